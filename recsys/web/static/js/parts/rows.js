/** Rows of tracks: one row, a list of them, and a list that draws only what is seen. */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { artistOf, clock, colourOf, genreName, shown, titleOf } from "../format.js";
import { Icon } from "../icons.js";
import { like, opinions } from "../live.js";
import { player, toggle } from "../player.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { Cover } from "./cover.js";
import { openMenu } from "./menu.js";
import { trackMenu } from "./track-menu.js";

export const ROW_HEIGHT = 56;
const BEYOND = 8; // rows drawn above and below those that are seen

/** @typedef {import("../types").Track} Track */

/** @param {{genre: string}} properties */
export function Genre({ genre }) {
  return html`<span class="genre">
    <i class="dot" style=${{ background: colourOf(genre) }}></i>${genreName(genre)}
  </span>`;
}

/** @param {{track: Track, tabindex?: number}} properties */
export function Heart({ track, tabindex = 0 }) {
  const liked = useWatched(opinions, (value) => value.likes.has(track.track_id));
  return html`<button
    class=${`icon-button heart${liked ? " on" : ""}`}
    tabindex=${tabindex}
    aria-pressed=${liked}
    aria-label=${`${T.actions.like} ${titleOf(track)}`}
    onClick=${() => void like(track)}
  >
    <${Icon} name="heart" filled=${liked} size=${18} />
  </button>`;
}

/**
 * @param {{track: Track | undefined, index: number, onPlay: () => void, note?: any, extra?: any,
 *          top?: number, focused?: boolean, onFocus?: () => void, kind?: string}} properties
 */
export function Row({ track, index, onPlay, note, extra, top, focused, onFocus, kind = "" }) {
  const state = useWatched(player, (p) => {
    const isCurrent = track !== undefined && p.queue[p.at]?.track.track_id === track.track_id;
    return isCurrent ? (p.playing ? "playing" : "paused") : "";
  });
  const banned = useWatched(opinions, (o) => track !== undefined && o.bans.has(track.track_id));
  const style = top === undefined ? undefined : { transform: `translateY(${top}px)` };
  if (!track) {
    return html`<div class="row waiting" role="row" aria-rowindex=${index + 1} style=${style}>
      <span role="gridcell"><i></i></span>
    </div>`;
  }
  const play = () => (state ? toggle() : onPlay());
  return html`<div
    class=${`row ${state} ${kind}${banned || track.missing ? " dim" : ""}`}
    role="row"
    aria-rowindex=${index + 1}
    data-index=${index}
    tabindex=${focused ? 0 : -1}
    style=${style}
    onFocus=${onFocus}
    onDblClick=${(/** @type {MouseEvent} */ event) => {
      const target = /** @type {Element} */ (event.target);
      if (!target.closest("button, a")) play();
    }}
    onContextMenu=${(/** @type {MouseEvent} */ event) => {
      event.preventDefault();
      const button = /** @type {HTMLElement} */ (event.currentTarget).querySelector(".row-menu");
      if (button) openMenu(button, trackMenu(track), titleOf(track));
    }}
  >
    <span role="gridcell" class="row-cover">
      <button
        class="play-cover"
        tabindex=${focused ? 0 : -1}
        aria-label=${state === "playing" ? T.player.pause : T.actions.playNamed(titleOf(track))}
        onClick=${play}
      >
        <${Cover} track=${track} />
        <span class="over">
          ${state === "playing" && html`<span class="bars"><i></i><i></i><i></i></span>`}
          <${Icon} name=${state === "playing" ? "pause" : "play"} size=${18} />
        </span>
      </button>
    </span>
    <span role="gridcell" class="row-names">
      <a href=${`#/track/${track.track_id}`} tabindex=${focused ? 0 : -1}>${titleOf(track)}</a>
      <small>${note ?? artistOf(track)}</small>
    </span>
    <span role="gridcell" class="row-album">${track.album ? shown(track.album) : ""}</span>
    <span role="gridcell" class="row-genre"><${Genre} genre=${track.label} /></span>
    <span role="gridcell" class="row-time">${clock(track.duration_s)}</span>
    <span role="gridcell" class="row-actions">
      ${extra}
      <${Heart} track=${track} tabindex=${focused ? 0 : -1} />
      <button
        class="icon-button row-menu"
        tabindex=${focused ? 0 : -1}
        aria-haspopup="menu"
        aria-label=${T.actions.menu(titleOf(track))}
        onClick=${(/** @type {MouseEvent} */ event) =>
          openMenu(/** @type {Element} */ (event.currentTarget), trackMenu(track), titleOf(track))}
      >
        <${Icon} name="more" />
      </button>
    </span>
  </div>`;
}

/**
 * The row of the keyboard; keys may come faster than rows are drawn.
 * @returns {[number, (index: number) => void, {current: number}]}
 */
function useFocused() {
  const [focused, setFocused] = useState(0);
  const latest = useRef(0);
  const set = (/** @type {number} */ index) => {
    latest.current = index;
    setFocused(index);
  };
  return [focused, set, latest];
}

/**
 * Walk the rows with the arrows; Enter plays.
 * @param {KeyboardEvent} event
 * @param {number} at
 * @param {number} count
 * @param {(index: number) => void} focus
 * @param {(index: number) => void} play
 */
function walk(event, at, count, focus, play) {
  const target = /** @type {HTMLElement} */ (event.target);
  const to = {
    ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: count - 1, PageDown: at + 10, PageUp: at - 10,
  }[event.key];
  if (to !== undefined && !event.altKey) {
    event.preventDefault();
    focus(Math.max(0, Math.min(count - 1, to)));
  } else if (event.key === "Enter" && target.getAttribute("role") === "row") {
    event.preventDefault();
    play(at);
  }
}

/**
 * A list that is drawn as a whole.
 * @param {{tracks: Track[], label: string, from?: string, onPlay?: (index: number) => void,
 *          note?: (track: Track, index: number) => any, extra?: (track: Track, index: number) => any,
 *          kind?: string}} properties
 */
export function TrackList({ tracks, label, onPlay, note, extra, kind = "" }) {
  const [focused, setFocused, latest] = useFocused();
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const focus = (/** @type {number} */ index) => {
    setFocused(index);
    const row = box.current?.querySelector(`[data-index="${index}"]`);
    if (row instanceof HTMLElement) row.focus();
  };
  const play = (/** @type {number} */ index) => onPlay?.(index);
  return html`<div
    class="rows"
    role="grid"
    aria-label=${label}
    aria-rowcount=${tracks.length}
    ref=${box}
    onKeyDown=${(/** @type {KeyboardEvent} */ e) => walk(e, latest.current, tracks.length, focus, play)}
  >
    ${tracks.map(
      (track, index) => html`<${Row}
        key=${`${track.track_id}-${index}`}
        track=${track}
        index=${index}
        kind=${kind}
        focused=${index === Math.min(focused, tracks.length - 1)}
        onFocus=${() => setFocused(index)}
        onPlay=${() => play(index)}
        note=${note?.(track, index)}
        extra=${extra?.(track, index)}
      />`,
    )}
  </div>`;
}

/**
 * A list of any length: only the rows that are seen are drawn, and asked for.
 * @param {{count: number, trackAt: (index: number) => Track | undefined,
 *          onSeen: (first: number, last: number) => void, label: string,
 *          onPlay: (index: number) => void}} properties
 */
export function LongList({ count, trackAt, onSeen, label, onPlay }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [range, setRange] = useState([0, 20]);
  const [focused, setFocused, latest] = useFocused();
  useLayoutEffect(() => {
    const main = document.querySelector("main");
    if (!main || !box.current) return undefined;
    const measure = () => {
      if (!box.current) return;
      const above = main.getBoundingClientRect().top - box.current.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(above / ROW_HEIGHT) - BEYOND);
      const last = Math.min(count, Math.ceil((above + main.clientHeight) / ROW_HEIGHT) + BEYOND);
      setRange((old) => (old[0] === first && old[1] === last ? old : [first, last]));
    };
    measure();
    main.addEventListener("scroll", measure, { passive: true });
    const observer = new ResizeObserver(measure);
    observer.observe(main);
    return () => {
      main.removeEventListener("scroll", measure);
      observer.disconnect();
    };
  }, [count]);
  const [first, last] = [range[0], Math.min(range[1], count)];
  useEffect(() => {
    if (last > first) onSeen(first, last);
  }, [first, last, onSeen]);
  const focus = (/** @type {number} */ index) => {
    setFocused(index);
    const main = document.querySelector("main");
    const top = (box.current?.offsetTop ?? 0) + index * ROW_HEIGHT;
    if (main && (top < main.scrollTop + 120 || top + ROW_HEIGHT > main.scrollTop + main.clientHeight)) {
      main.scrollTop = top - main.clientHeight / 2;
    }
    requestAnimationFrame(() => {
      const row = box.current?.querySelector(`[data-index="${index}"]`);
      if (row instanceof HTMLElement) row.focus({ preventScroll: true });
    });
  };
  const rows = [];
  for (let index = first; index < last; index++) {
    rows.push(html`<${Row}
      key=${index}
      track=${trackAt(index)}
      index=${index}
      top=${index * ROW_HEIGHT}
      focused=${index === focused || (index === first && (focused < first || focused >= last))}
      onFocus=${() => setFocused(index)}
      onPlay=${() => onPlay(index)}
    />`);
  }
  return html`<div
    class="rows long"
    role="grid"
    aria-label=${label}
    aria-rowcount=${count}
    ref=${box}
    style=${{ height: `${count * ROW_HEIGHT}px` }}
    onKeyDown=${(/** @type {KeyboardEvent} */ e) => walk(e, latest.current, count, focus, onPlay)}
  >
    ${rows}
  </div>`;
}
