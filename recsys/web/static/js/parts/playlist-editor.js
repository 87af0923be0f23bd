/** A playlist that is edited: order, locks, other tracks in a row's place, undo, save, export. */
import { get, post, postForFile, put, remove } from "../api.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { artistOf, clock, spell, titleOf } from "../format.js";
import { Icon } from "../icons.js";
import { playTracks, player } from "../player.js";
import { go } from "../router.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { say, sayProblem } from "../toasts.js";
import { Cover } from "./cover.js";
import { dragProperties } from "./drag.js";
import { openMenu } from "./menu.js";
import { trackMenu } from "./track-menu.js";

/** @typedef {import("../types").Track} Track */
/** @typedef {{key: number, track: Track, locked: boolean}} EditedRow */

const FORMATS = ["m3u8", "xspf", "pls", "json"];
const CANDIDATES = 80; // among which another track is looked for
const LONGER = 10; // tracks
const STEPS = 50; // that can be undone

let key = 1;

/** @param {Track} track @returns {EditedRow} */
const row = (track) => ({ key: key++, track, locked: false });

/**
 * The first track, similar to its neighbours, that is not in the list and was not turned down.
 * @param {EditedRow[]} rows
 * @param {number} at
 * @param {Set<number>} turnedDown
 * @returns {Promise<Track | null>}
 */
async function anotherFor(rows, at, turnedDown) {
  const near = [rows[at - 1], rows[at + 1]].filter(Boolean);
  const seeds = near.length ? near : [rows[at]];
  const wish = { seed: seeds.map((each) => each.track.track_id), k: CANDIDATES };
  const answer = await get("/similar", wish);
  const taken = new Set(rows.map((each) => each.track.track_id));
  return (
    answer.results.find(
      (/** @type {Track} */ track) => !taken.has(track.track_id) && !turnedDown.has(track.track_id),
    ) ?? null
  );
}

/** @param {Blob} file @param {string} name */
function download(file, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/**
 * @param {{playlist?: number, name: string, tracks: Track[], recipe: object | null, note: string,
 *          onRefresh?: () => void, onRows?: (tracks: Track[]) => void}} properties
 */
export function PlaylistEditor({ playlist, name: given, tracks, recipe, note, onRefresh, onRows }) {
  const [name, setName] = useState(given);
  const [rows, setRows] = useState(() => tracks.map(row));
  const [past, setPast] = useState(/** @type {EditedRow[][]} */ ([]));
  const [busy, setBusy] = useState(false);
  const turnedDown = useRef(/** @type {Set<number>} */ (new Set()));
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const ids = rows.map((each) => each.track.track_id);
  const changed = past.length > 0 || name !== given;

  const change = (/** @type {EditedRow[]} */ next) => {
    setPast([...past.slice(-STEPS), rows]);
    setRows(next);
    onRows?.(next.map((each) => each.track));
  };
  const undo = () => {
    const before = past[past.length - 1];
    if (!before) return;
    setPast(past.slice(0, -1));
    setRows(before);
    onRows?.(before.map((each) => each.track));
  };
  useEffect(() => {
    const keys = (/** @type {KeyboardEvent} */ event) => {
      const inText = event.target instanceof HTMLInputElement;
      if (!inText && (event.ctrlKey || event.metaKey) && event.key === "z") {
        event.preventDefault();
        undo();
      }
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  });
  const move = (/** @type {number} */ from, /** @type {number} */ to) => {
    if (to < 0 || to >= rows.length) return;
    const next = [...rows];
    next.splice(to, 0, ...next.splice(from, 1));
    change(next);
    say(T.playlists.moved(to + 1));
    requestAnimationFrame(() => {
      const moved = box.current?.querySelectorAll("li")[to]?.querySelector(".grip");
      if (moved instanceof HTMLElement) moved.focus();
    });
  };
  /** @param {number[]} places */
  const reroll = async (places) => {
    setBusy(true);
    const next = [...rows];
    let found = 0;
    try {
      for (const at of places) {
        turnedDown.current.add(next[at].track.track_id);
        const track = await anotherFor(next, at, turnedDown.current);
        if (!track) continue;
        next[at] = row(track);
        found++;
      }
      if (found) change(next);
      say(found ? T.playlists.rerolled : T.playlists.nothingElse);
    } catch (error) {
      sayProblem(error);
    }
    setBusy(false);
  };
  const extend = async () => {
    try {
      const made = await post("/playlists/make", { extend: ids, length: LONGER });
      const known = new Set(ids);
      const added = made.tracks.filter((/** @type {Track} */ t) => !known.has(t.track_id));
      if (added.length) change([...rows, ...added.map(row)]);
      else say(T.playlists.nothingElse);
    } catch (error) {
      sayProblem(error);
    }
  };
  const save = async () => {
    const body = { name: name.trim() || given, tracks: ids, recipe };
    try {
      const saved = playlist === undefined
        ? await post("/playlists", body)
        : await put(`/playlists/${playlist}`, body);
      say(T.saved);
      setPast([]);
      if (playlist === undefined) go(`playlists/${saved.playlist}`);
    } catch (error) {
      sayProblem(error);
    }
  };
  const exportAs = (/** @type {string} */ format) => {
    const body = { name: name.trim() || given, tracks: ids, format };
    postForFile("/playlists/file", body).then(
      (file) => download(file, `${(name.trim() || given).replace(/[\\/:*?"<>|]/g, "_")}.${format}`),
      sayProblem,
    );
  };
  const discard = () => {
    if (playlist === undefined) return;
    const body = { name: given, tracks: ids, recipe };
    remove(`/playlists/${playlist}`).then(() => {
      go("playlists");
      const again = () => post("/playlists", body).then((b) => go(`playlists/${b.playlist}`), sayProblem);
      say(T.playlists.deleted, { label: T.undo, act: () => void again() });
    }, sayProblem);
  };
  const open = rows.map((_, at) => at).filter((at) => !rows[at].locked);
  const seconds = rows.reduce((sum, each) => sum + (each.track.duration_s ?? 0), 0);
  const playFrom = (/** @type {number} */ at) =>
    playTracks(rows.map((each) => each.track), at, name);
  return html`<section class="editor" aria-label=${name} ref=${box}>
    <div class="editor-head">
      <input
        class="title-input"
        aria-label=${T.playlists.name}
        value=${name}
        maxlength="200"
        onInput=${(/** @type {any} */ event) => setName(event.target.value)}
      />
      <p class="quiet">${T.playlists.summary(rows.length, spell(seconds))}${note && ` · ${note}`}</p>
      <div class="actions">
        <button class="button primary" disabled=${!rows.length} onClick=${() => playFrom(0)}>
          <${Icon} name="play" size=${16} />${T.player.play}
        </button>
        <button class="button" disabled=${playlist !== undefined && !changed} onClick=${() => void save()}>
          ${playlist === undefined ? T.playlists.save : T.playlists.saveChanges}
        </button>
        <button
          class="icon-button"
          aria-label=${T.undo}
          title=${T.undo}
          disabled=${!past.length}
          onClick=${undo}
        >
          <${Icon} name="undo" />
        </button>
        <button
          class="button"
          aria-haspopup="menu"
          onClick=${(/** @type {any} */ event) =>
            openMenu(
              event.currentTarget,
              FORMATS.map((format) => ({
                label: format.toUpperCase(),
                act: () => exportAs(format),
              })),
              T.playlists.export,
            )}
        >
          ${T.playlists.export}
        </button>
        <button
          class="icon-button"
          aria-label=${T.more}
          aria-haspopup="menu"
          onClick=${(/** @type {any} */ event) =>
            openMenu(
              event.currentTarget,
              [
                { label: T.playlists.extend, icon: "plus", act: () => void extend() },
                { label: T.playlists.rerollAll, icon: "dice", act: () => void reroll(open) },
                !!onRefresh && { label: T.playlists.update, icon: "refresh", act: onRefresh },
                playlist !== undefined && {
                  label: T.playlists.delete, icon: "close", danger: true, act: discard,
                },
              ],
              T.more,
            )}
        >
          <${Icon} name="more" />
        </button>
      </div>
    </div>
    ${!rows.length && html`<p class="quiet">${T.playlists.empty}</p>`}
    <ol class=${`edited${busy ? " busy" : ""}`}>
      ${rows.map(
        (each, at) => html`<${Edited}
          key=${each.key}
          row=${each}
          at=${at}
          move=${move}
          onPlay=${() => playFrom(at)}
          onLock=${() =>
            setRows(rows.map((r) => (r === each ? { ...r, locked: !r.locked } : r)))}
          onReroll=${() => void reroll([at])}
          onRemove=${() => change(rows.filter((r) => r !== each))}
        />`,
      )}
    </ol>
  </section>`;
}

/**
 * @param {{row: EditedRow, at: number, move: (from: number, to: number) => void,
 *          onPlay: () => void, onLock: () => void, onReroll: () => void,
 *          onRemove: () => void}} properties
 */
function Edited({ row: { track, locked }, at, move, onPlay, onLock, onReroll, onRemove }) {
  const isCurrent = useWatched(player, (p) => p.queue[p.at]?.track.track_id === track.track_id);
  const title = titleOf(track);
  const cls = `${locked ? "locked" : ""}${isCurrent ? " playing" : ""}`;
  return html`<li class=${cls} ...${dragProperties(at, move)}>
    <button class="grip icon-button" aria-label=${`${title}. ${T.playlists.drag}`} title=${T.playlists.drag}>
      <${Icon} name="grip" size=${18} />
    </button>
    <button class="play-cover" aria-label=${T.actions.playNamed(title)} onClick=${onPlay}>
      <${Cover} track=${track} />
      <span class="over"><${Icon} name="play" size=${18} /></span>
    </button>
    <span class="names">
      <a href=${`#/track/${track.track_id}`}>${title}</a><small>${artistOf(track)}</small>
    </span>
    <time>${clock(track.duration_s)}</time>
    <button
      class=${`icon-button${locked ? " on" : ""}`}
      aria-pressed=${locked}
      aria-label=${`${locked ? T.playlists.locked : T.playlists.lock}: ${title}`}
      title=${locked ? T.playlists.locked : T.playlists.lock}
      onClick=${onLock}
    >
      <${Icon} name=${locked ? "lock" : "unlock"} size=${18} />
    </button>
    <button
      class="icon-button"
      disabled=${locked}
      aria-label=${`${T.playlists.reroll}: ${title}`}
      title=${T.playlists.reroll}
      onClick=${onReroll}
    >
      <${Icon} name="dice" size=${18} />
    </button>
    <button class="icon-button wide" aria-label=${`${T.remove}: ${title}`} onClick=${onRemove}>
      <${Icon} name="close" size=${18} />
    </button>
    <button
      class="icon-button"
      aria-label=${T.actions.menu(title)}
      aria-haspopup="menu"
      onClick=${(/** @type {any} */ event) =>
        openMenu(
          event.currentTarget,
          [...trackMenu(track), null, { label: T.remove, icon: "close", act: onRemove }],
          title,
        )}
    >
      <${Icon} name="more" size=${18} />
    </button>
  </li>`;
}

