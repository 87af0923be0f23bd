/** The spectrogram of a track, with the analysed parts marked; one plays from where one points. */
import { getRows } from "../api.js";
import { clock } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { library } from "../live.js";
import { clockState, player, playTracks, seek } from "../player.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { marksOf } from "./waveform.js";

/** @typedef {{bands: number, frames: number, values: Uint8Array}} Levels */

const STEPS = 100; // that the arrows take from one end to the other

/** From dark over ember to light. @param {number} level */
const warm = (level) => [
  Math.min(255, level * 1.7),
  Math.max(0, Math.min(255, (level - 60) * 1.25)),
  Math.max(0, Math.min(255, 30 + (level - 150) * 2)),
  255,
];

/**
 * Low bands at the bottom; what was not analysed is darker.
 * @param {HTMLCanvasElement} canvas
 * @param {Levels} levels
 * @param {{start: number, end: number}[]} marks
 */
function draw(canvas, { bands, frames, values }, marks) {
  const context = canvas.getContext("2d");
  if (!context) return;
  canvas.width = frames;
  canvas.height = bands;
  const image = context.createImageData(frames, bands);
  for (let frame = 0; frame < frames; frame++) {
    const at = (frame + 0.5) / frames;
    const plain = !marks.length || marks.some(({ start, end }) => start <= at && at <= end);
    for (let band = 0; band < bands; band++) {
      const level = values[band * frames + frame];
      image.data.set(warm(plain ? level : level * 0.6), ((bands - 1 - band) * frames + frame) * 4);
    }
  }
  context.putImageData(image, 0, 0);
}

/** @param {number} id @param {boolean} isServed */
function useLevels(id, isServed) {
  const [levels, setLevels] = useState(/** @type {Levels | null} */ (null));
  useEffect(() => {
    if (!isServed) return undefined;
    const stop = new AbortController();
    // A track whose file is away, or cannot be decoded, has none.
    getRows(`/media/${id}/spectrogram`, stop.signal).then(
      ({ rows, length, values }) => {
        if (values.length === rows * length) setLevels({ bands: rows, frames: length, values });
      },
      () => undefined,
    );
    return () => stop.abort();
  }, [id, isServed]);
  return levels;
}

/**
 * @param {{track: import("../types").Track, windows: number[], window_s: number}} properties
 */
export function Spectrogram({ track, windows, window_s }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const isServed = useWatched(library, (value) =>
    value.routes.has("/api/v1/media/{track_id}/spectrogram"));
  const levels = useLevels(track.track_id, isServed);
  const isCurrent = useWatched(player, (p) => p.queue[p.at]?.track.track_id === track.track_id);
  const time = useWatched(clockState, (value) => (isCurrent ? value.time : -1));
  const [pointed, setPointed] = useState(0); // seconds, where it does not play
  const total = track.duration_s ?? 0;
  const marks = total > 0 ? marksOf(windows, window_s, total) : [];
  useEffect(() => {
    if (levels && canvas.current) draw(canvas.current, levels, marks);
  }, [levels, windows]);
  if (!levels || !(total > 0)) return null;
  const at = isCurrent ? time : pointed;
  const point = (/** @type {number} */ seconds) => {
    const to = Math.max(0, Math.min(total, seconds));
    if (isCurrent) seek(to);
    else setPointed(to);
  };
  const play = (/** @type {number} */ seconds) => {
    if (!isCurrent) playTracks([track], 0, "");
    seek(seconds);
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return;
    const step = total / STEPS;
    const to = {
      ArrowRight: at + step, ArrowUp: at + step, ArrowLeft: at - step, ArrowDown: at - step,
      PageUp: at + 10 * step, PageDown: at - 10 * step, Home: 0, End: total - step,
    }[event.key];
    if (event.key === "Enter") play(at);
    else if (to !== undefined) point(to);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div
    class="spectrogram"
    role="slider"
    tabindex="0"
    aria-label=${T.track.spectrogram}
    aria-valuemin="0"
    aria-valuemax=${Math.round(total)}
    aria-valuenow=${Math.round(at)}
    aria-valuetext=${T.player.seekValue(clock(at), clock(total))}
    title=${T.track.playFrom}
    onKeyDown=${keys}
    onClick=${(/** @type {MouseEvent} */ event) => {
      const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
      play(((event.clientX - box.left) / box.width) * total);
    }}
  >
    <canvas ref=${canvas} aria-hidden="true"></canvas>
    ${marks.map(
      ({ start, end }) => html`<i
        class="spectrogram-mark"
        style=${{ left: `${start * 100}%`, width: `${(end - start) * 100}%` }}
      ></i>`,
    )}
    ${at > 0 && html`<b class="spectrogram-at" style=${{ left: `${(at / total) * 100}%` }}></b>`}
  </div>`;
}
