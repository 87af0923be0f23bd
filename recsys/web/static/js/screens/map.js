/** The map: every track a point, what sounds alike close together. */
import KDBush from "../../vendor/kdbush.js";
import { get, getBytes, post, remove } from "../api.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { artistOf, genreName, hueOf, shown, titleOf } from "../format.js";
import { Icon } from "../icons.js";
import { library } from "../live.js";
import { along, bounds, isInside, withRoom } from "../map/geometry.js";
import { DIM, MARKED, PLAIN, Points } from "../map/points.js";
import { preview, stopPreview } from "../map/preview.js";
import { View } from "../map/view.js";
import { player, playTracks, startRadio } from "../player.js";
import { go } from "../router.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { theme } from "../theme.js";
import { say, sayProblem } from "../toasts.js";
import { addToPlaylist } from "../parts/add-to-playlist.js";
import { Chip, Segments } from "../parts/chips.js";

/** @typedef {import("../types").MapAnswer} MapAnswer */
/** @typedef {import("../types").Track} Track */
/** @typedef {{ids: Uint32Array, places: Uint16Array, genres: Uint8Array, tree: KDBush}} Cloud */

const UNIT = 65535;
const REACH = 12; // pixels in which the pointer finds a point
const STEPS = 24; // tracks of a way that is drawn
const MOST = 500; // tracks that can be asked for at once
const THINNED = 10_000; // points, above which a slow map is thinned while it moves
const THINNING = 8;
const SLOW_MS = 60;
const STILL_MS = 200;
const REST_MS = 220; // until a point under the pointer plays
const SEEDS = 12; // of the radio of a region
const LEGEND = 14; // genres

export function MapScreen() {
  const revision = useWatched(library, (value) => value.mapRevision);
  const [answer, setAnswer] = useState(/** @type {MapAnswer | null} */ (null));
  useEffect(() => {
    get("/map").then(setAnswer, sayProblem);
  }, [revision]);
  if (!answer) return null;
  const make = () => {
    post("/map").then(() => setAnswer({ ...answer, state: "making" }), sayProblem);
  };
  const stop = () => {
    remove("/map").then(() => get("/map")).then(setAnswer, sayProblem);
  };
  if (answer.state === "ready") {
    return html`<${Ready} key=${answer.revision} answer=${answer} onAgain=${make} />`;
  }
  return html`<section class="map-intro">
    <h1>${T.map.title}</h1>
    <p>${T.map.intro}</p>
    ${answer.state === "making"
      ? html`<p role="status">${T.map.making}</p>
          <progress aria-label=${T.map.making} value=${answer.share ?? undefined}></progress>
          <button class="button" onClick=${stop}>${T.map.stop}</button>`
      : html`${answer.state === "failed" && html`<p class="notice">${answer.note || T.map.failed}</p>`}
          <button class="button primary" onClick=${make}>${T.map.make}</button>`}
  </section>`;
}

/** @param {{answer: MapAnswer, onAgain: () => void}} properties */
function Ready({ answer, onAgain }) {
  const [cloud, setCloud] = useState(/** @type {Cloud | null} */ (null));
  useEffect(() => {
    getBytes("/map/points").then((bytes) => setCloud(read(bytes)), sayProblem);
  }, []);
  return cloud && html`<${Plot} answer=${answer} cloud=${cloud} onAgain=${onAgain} />`;
}

/** @param {ArrayBuffer} bytes @returns {Cloud} */
function read(bytes) {
  const count = Math.floor(bytes.byteLength / 9);
  const ids = new Uint32Array(bytes, 0, count);
  const places = new Uint16Array(bytes, count * 4, count * 2);
  const genres = new Uint8Array(bytes, count * 8, count);
  const tree = new KDBush(count, 64, Uint16Array);
  for (let at = 0; at < count; at++) tree.add(places[at * 2], places[at * 2 + 1]);
  tree.finish();
  return { ids, places, genres, tree };
}

/** @param {string[]} genres @returns {[number, number, number][]} */
function coloursOf(genres) {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const lightness = theme.value.name && document.documentElement.dataset.theme === "dark" ? 0.75 : 0.6;
  return genres.map((genre) => {
    if (!context) return [128, 128, 128];
    context.fillStyle = genre === "unknown"
      ? "#8a8378" : `oklch(${lightness} 0.15 ${hueOf(genre)})`;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b];
  });
}

/** @typedef {"move" | "lasso" | "way"} Tool */

/** @param {{answer: MapAnswer, cloud: Cloud, onAgain: () => void}} properties */
function Plot({ answer, cloud, onAgain }) {
  const { genres = [], regions = [] } = answer;
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const overlay = useRef(/** @type {SVGPolylineElement | null} */ (null));
  const labels = useRef(/** @type {HTMLDivElement | null} */ (null));
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const view = useRef(new View()).current;
  const points = useRef(/** @type {Points | null} */ (null));
  const frame = useRef(0);
  const [tool, setTool] = useState(/** @type {Tool} */ ("move"));
  const [playsOnHover, setPlaysOnHover] = useState(false);
  const [broken, setBroken] = useState(false);
  const [off, setOff] = useState(/** @type {Set<number>} */ (new Set()));
  const [selected, setSelected] = useState(/** @type {number[]} */ ([]));
  const [near, setNear] = useState(
    /** @type {{track: Track, left: number, top: number} | null} */ (null),
  );
  const playingId = useWatched(player, (p) => p.queue[p.at]?.track.track_id);
  useWatched(theme, (value) => value.name);
  const shade = document.documentElement.dataset.theme;

  const size = () => {
    const base = cloud.ids.length > 20000 ? 2.5 : cloud.ids.length > 2000 ? 4 : 7;
    return Math.min(14, base * Math.sqrt(view.zoom));
  };
  const pace = useRef({ slow: false, full: 0 }).current;
  const draw = (moves = false) => {
    cancelAnimationFrame(frame.current);
    clearTimeout(pace.full);
    frame.current = requestAnimationFrame((start) => {
      const thin = moves && pace.slow && cloud.ids.length > THINNED;
      points.current?.draw(view, size(), thin ? THINNING : 1);
      if (labels.current) placeLabels(labels.current, regions, view);
      if (thin) pace.full = setTimeout(() => draw(), STILL_MS);
      else if (moves) requestAnimationFrame((end) => (pace.slow = end - start > SLOW_MS));
    });
  };
  const at = (/** @type {number} */ index) => /** @type {[number, number]} */ ([
    cloud.places[index * 2] / UNIT, cloud.places[index * 2 + 1] / UNIT,
  ]);

  useEffect(() => {
    if (!canvas.current || !box.current) return undefined;
    try {
      points.current = new Points(canvas.current, cloud.places, cloud.genres, coloursOf(genres));
    } catch {
      setBroken(true);
      return undefined;
    }
    const observer = new ResizeObserver(([entry]) => {
      view.width = entry.contentRect.width;
      view.height = entry.contentRect.height;
      draw();
    });
    observer.observe(box.current);
    const lost = (/** @type {Event} */ event) => event.preventDefault();
    canvas.current.addEventListener("webglcontextlost", lost);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame.current);
      points.current?.close();
      points.current = null;
      stopPreview();
    };
  }, [cloud]);
  useEffect(() => {
    points.current?.setColours(coloursOf(genres));
    draw();
  }, [shade]);
  useEffect(() => {
    if (!points.current) return;
    const { states } = points.current;
    const chosen = new Set(selected);
    for (let index = 0; index < states.length; index++) {
      const hidden = off.size > 0 && !off.has(cloud.genres[index]);
      const isPlaying = cloud.ids[index] === playingId;
      const marked = chosen.has(index) || isPlaying;
      states[index] = marked ? MARKED : hidden || chosen.size ? DIM : PLAIN;
    }
    points.current.sendStates();
    draw();
  }, [selected, off, playingId, cloud]);

  /** @param {number} left @param {number} top @param {number} [reach] @returns {number} index, or -1 */
  const find = (left, top, reach = REACH) => {
    const [x, y] = view.toMap(left, top);
    const radius = (reach / view.side) * UNIT;
    let best = -1;
    let least = Infinity;
    for (const index of cloud.tree.within(x * UNIT, y * UNIT, radius)) {
      if (off.size && !off.has(cloud.genres[index])) continue;
      const [px, py] = at(index);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [index, distance];
    }
    return best;
  };

  // The pointer

  const gesture = useRef(
    /** @type {{line: [number, number][], moved: number, pinch: number}} */ ({ line: [], moved: 0, pinch: 0 }),
  ).current;
  const pointers = useRef(/** @type {Map<number, [number, number]>} */ (new Map())).current;
  const rest = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  const hovered = useRef(-1);

  const local = (/** @type {PointerEvent | WheelEvent} */ event) => {
    const area = /** @type {HTMLElement} */ (box.current).getBoundingClientRect();
    return /** @type {[number, number]} */ ([event.clientX - area.left, event.clientY - area.top]);
  };
  const hover = (/** @type {number} */ index, /** @type {[number, number]} */ place) => {
    if (index === hovered.current) return;
    hovered.current = index;
    clearTimeout(rest.current);
    if (playsOnHover) stopPreview();
    if (index < 0) {
      setNear(null);
      return;
    }
    rest.current = setTimeout(async () => {
      const id = cloud.ids[index];
      const { tracks } = await get("/tracks", { ids: String(id) }).catch(() => ({ tracks: [] }));
      if (hovered.current !== index || !tracks.length) return;
      setNear({ track: tracks[0], left: place[0], top: place[1] });
      if (playsOnHover) void preview(id);
    }, playsOnHover ? REST_MS : 60);
  };
  const down = (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0) return;
    /** @type {HTMLElement} */ (event.currentTarget).setPointerCapture(event.pointerId);
    const place = local(event);
    pointers.set(event.pointerId, place);
    gesture.line = [place];
    gesture.moved = 0;
    gesture.pinch = 0;
  };
  const moved = (/** @type {PointerEvent} */ event) => {
    const place = local(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      hover(find(...place), place);
      return;
    }
    pointers.set(event.pointerId, place);
    gesture.moved += Math.hypot(place[0] - before[0], place[1] - before[1]);
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()];
      const apart = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (gesture.pinch) view.zoomAt(apart / gesture.pinch, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      gesture.pinch = apart;
      draw(true);
    } else if (tool === "move") {
      view.move(place[0] - before[0], place[1] - before[1]);
      draw(true);
    } else {
      gesture.line.push(place);
      overlay.current?.setAttribute("points", gesture.line.map((p) => p.join(",")).join(" "));
    }
  };
  const up = (/** @type {PointerEvent} */ event) => {
    if (!pointers.delete(event.pointerId)) return;
    overlay.current?.setAttribute("points", "");
    const line = gesture.line.map(([left, top]) => view.toMap(left, top));
    if (gesture.moved < 5) click(local(event));
    else if (tool === "lasso" && line.length > 2) lasso(line, event.shiftKey, event.altKey);
    else if (tool === "way" && line.length > 1) way(line);
  };
  const click = async (/** @type {[number, number]} */ place) => {
    const index = find(...place, REACH * 1.5);
    if (index < 0) {
      setSelected([]);
      return;
    }
    await play([index]);
  };
  const lasso = (
    /** @type {[number, number][]} */ polygon, /** @type {boolean} */ adds, /** @type {boolean} */ takes,
  ) => {
    const { minX, minY, maxX, maxY } = bounds(polygon);
    const inside = cloud.tree
      .range(minX * UNIT, minY * UNIT, maxX * UNIT, maxY * UNIT)
      .filter((index) => isInside(...at(index), polygon))
      .filter((index) => !off.size || off.has(cloud.genres[index]));
    const found = new Set(inside);
    if (takes) setSelected(selected.filter((index) => !found.has(index)));
    else setSelected(adds ? [...new Set([...selected, ...inside])] : inside);
  };
  const way = (/** @type {[number, number][]} */ line) => {
    /** @type {number[]} */
    const found = [];
    for (const [x, y] of along(line, Math.min(STEPS, cloud.ids.length))) {
      const [left, top] = view.toScreen(x, y);
      const index = find(left, top, 80);
      if (index >= 0 && !found.includes(index)) found.push(index);
    }
    setSelected(found);
    if (found.length) void play(found);
  };
  const wheel = (/** @type {WheelEvent} */ event) => {
    event.preventDefault();
    view.zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...local(event));
    draw(true);
  };
  useEffect(() => {
    const area = box.current;
    area?.addEventListener("wheel", wheel, { passive: false });
    return () => area?.removeEventListener("wheel", wheel);
  });
  const zoom = (/** @type {number} */ by) => {
    view.zoomAt(by, view.width / 2, view.height / 2);
    draw();
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    /** @type {Record<string, () => void>} */
    const acts = {
      ArrowLeft: () => view.move(60, 0),
      ArrowRight: () => view.move(-60, 0),
      ArrowUp: () => view.move(0, 60),
      ArrowDown: () => view.move(0, -60),
      "+": () => zoom(1.4),
      "=": () => zoom(1.4),
      "-": () => zoom(1 / 1.4),
      0: () => view.reset(),
      Enter: () => void click([view.width / 2, view.height / 2]),
      Escape: () => setSelected([]),
    };
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
    draw(true);
    if (event.key.startsWith("Arrow") || "+-=".includes(event.key)) {
      hover(find(view.width / 2, view.height / 2, 40), [view.width / 2, view.height / 2]);
    }
  };

  // What is done with points

  const tracksOf = async (/** @type {number[]} */ indexes) => {
    const step = Math.ceil(indexes.length / MOST);
    const ids = indexes.filter((_, at) => at % step === 0).map((index) => cloud.ids[index]);
    if (step > 1) say(T.map.some(ids.length, indexes.length));
    const answered = await get("/tracks", { ids: ids.join(",") });
    return /** @type {Track[]} */ (answered.tracks);
  };
  const play = async (/** @type {number[]} */ indexes) => {
    stopPreview();
    try {
      playTracks(await tracksOf(indexes), 0, T.map.title);
    } catch (error) {
      sayProblem(error);
    }
  };
  const radio = () => {
    const step = Math.max(1, Math.floor(selected.length / SEEDS));
    const seeds = selected.filter((_, index) => index % step === 0).slice(0, SEEDS)
      .map((index) => String(cloud.ids[index]));
    startRadio({ seeds, name: T.map.title }).then(() => go("radio"), sayProblem);
  };
  const save = () => tracksOf(selected).then(addToPlaylist, sayProblem);

  if (broken) return html`<div class="nothing"><b>${T.map.noWebgl}</b></div>`;
  const tools = /** @type {{value: Tool, label: string}[]} */ ([
    { value: "move", label: T.map.move },
    { value: "lasso", label: T.map.lasso },
    { value: "way", label: T.map.way },
  ]);
  const hint = tool === "lasso" ? T.map.lassoHint : tool === "way" ? T.map.wayHint : "";
  return html`<section class="map" aria-label=${T.map.title}>
    <h1 class="unseen">${T.map.title}</h1>
    <div class="bar map-bar">
      <${Segments} label=${T.map.title} options=${tools} value=${tool} onChoose=${setTool} />
      <${Chip}
        label=${T.map.hover}
        on=${playsOnHover}
        onSwitch=${() => {
          stopPreview();
          setPlaysOnHover(!playsOnHover);
        }}
      />
      <span class="quiet small wide">${hint}</span>
      <span class="map-zoom">
        <button class="icon-button" aria-label=${T.map.zoomIn} onClick=${() => zoom(1.5)}><${Icon} name="plus" /></button>
        <button class="icon-button" aria-label=${T.map.zoomOut} onClick=${() => zoom(1 / 1.5)}><${Icon} name="minus" /></button>
        <button
          class="icon-button"
          aria-label=${T.map.reset}
          onClick=${() => {
            view.reset();
            draw();
          }}
        >
          <${Icon} name="target" />
        </button>
      </span>
    </div>
    <div
      class=${`map-box ${tool}`}
      ref=${box}
      tabindex="0"
      role="application"
      data-arrows
      aria-label=${T.map.label(cloud.ids.length)}
      onPointerDown=${down}
      onPointerMove=${moved}
      onPointerUp=${up}
      onPointerCancel=${up}
      onPointerLeave=${() => hover(-1, [0, 0])}
      onKeyDown=${keys}
    >
      <canvas ref=${canvas}></canvas>
      <svg class="map-line" aria-hidden="true">
        <polyline ref=${overlay} class=${tool === "lasso" ? "closed" : ""} />
      </svg>
      <div class="map-labels" ref=${labels} aria-hidden="true"></div>
      ${near &&
      html`<div
        class="map-card"
        role="status"
        style=${{
          left: `${Math.min(near.left + 14, view.width - 230)}px`,
          top: `${Math.min(near.top + 14, view.height - 64)}px`,
        }}
      >
        <b>${titleOf(near.track)}</b>
        <small>${artistOf(near.track)} · ${genreName(near.track.label)}</small>
      </div>`}
    </div>
    ${selected.length > 0 &&
    html`<div class="bar map-selected" role="status">
      <b>${T.map.selected(selected.length)}</b>
      <button class="button primary" onClick=${() => void play(selected)}>
        <${Icon} name="play" size=${16} />${T.map.play}
      </button>
      <button class="button" onClick=${radio}><${Icon} name="radio" size=${16} />${T.map.radio}</button>
      <button class="button" onClick=${() => void save()}>${T.map.save}</button>
      <button class="button" onClick=${() => setSelected([])}>${T.map.clear}</button>
    </div>`}
    <div class="chips" role="group" aria-label=${T.map.legend}>
      ${legend(cloud.genres, genres).map(
        (number) => html`<${Chip}
          key=${number}
          label=${genreName(shown(genres[number]))}
          genre=${genres[number]}
          on=${off.has(number)}
          onSwitch=${() => {
            const next = new Set(off);
            if (!next.delete(number)) next.add(number);
            setOff(next);
          }}
        />`,
      )}
    </div>
    <p class="quiet small">
      ${T.map.distances}
      ${typeof answer.trustworthiness === "number" &&
      ` ${T.map.truth(answer.trustworthiness, answer.neighbours ?? 12)}`}
      ${answer.note && ` ${answer.note}.`}${" "}
      <button class="link" onClick=${onAgain}>${T.map.again}</button>
    </p>
  </section>`;
}

/** The most frequent genres. @param {Uint8Array} of @param {string[]} genres */
function legend(of, genres) {
  const counts = new Uint32Array(256);
  for (const genre of of) counts[genre]++;
  return genres
    .map((_, number) => number)
    .filter((number) => counts[number])
    .sort((a, b) => counts[b] - counts[a])
    .slice(0, LEGEND);
}

/**
 * Write the names of the regions that have room, the largest first.
 * @param {HTMLElement} box
 * @param {{name: string, x: number, y: number, tracks: number}[]} regions
 * @param {View} view
 */
function placeLabels(box, regions, view) {
  const labels = [...regions]
    .sort((a, b) => b.tracks - a.tracks)
    .map((region) => {
      const [left, middle] = view.toScreen(region.x, region.y);
      const name = genreName(shown(region.name));
      // Above the middle, where it hides no point of a small library.
      return { name, left, top: middle - 18, width: name.length * 8.5 + 16, height: 26 };
    })
    .filter((label) =>
      label.left > label.width / 2 && label.left < view.width - label.width / 2 &&
      label.top > 14 && label.top < view.height - 14);
  box.replaceChildren(
    ...withRoom(labels).map((label) => {
      const span = document.createElement("span");
      span.textContent = label.name;
      span.style.transform = `translate(-50%, -50%) translate(${label.left}px, ${label.top}px)`;
      return span;
    }),
  );
}
