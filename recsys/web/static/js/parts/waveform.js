/** The waveform of a track, in which one can seek. */
import { getBytes } from "../api.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { clock } from "../format.js";
import { clockState, player, seek } from "../player.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";

const KEPT = 200; // waveforms
const STEP_S = 5;

/** @type {Map<number, Promise<Uint8Array>>} */
const known = new Map();

/** @param {number} id @returns {Promise<Uint8Array>} empty where there is none */
function peaksOf(id) {
  let found = known.get(id);
  if (!found) {
    found = getBytes(`/media/${id}/waveform`).then(
      (bytes) => new Uint8Array(bytes),
      () => new Uint8Array(),
    );
    known.set(id, found);
    const oldest = known.keys().next().value;
    if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  }
  return found;
}

/** @param {number | undefined} id */
function usePeaks(id) {
  const [peaks, setPeaks] = useState(/** @type {Uint8Array | null} */ (null));
  useEffect(() => {
    setPeaks(null);
    if (id === undefined) return undefined;
    let wanted = true;
    void peaksOf(id).then((found) => wanted && setPeaks(found));
    return () => void (wanted = false);
  }, [id]);
  return peaks;
}

const BAR = 3; // pixels of a bar with its gap

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array | null} peaks
 * @param {number} share played, in [0, 1]
 * @param {{start: number, end: number}[]} marks shares of the track
 */
function draw(canvas, peaks, share, marks) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const styles = getComputedStyle(canvas);
  const played = styles.getPropertyValue("--accent");
  const ahead = styles.getPropertyValue("--wave");
  context.fillStyle = styles.getPropertyValue("--wave-mark");
  for (const { start, end } of marks) {
    context.fillRect(start * width, 0, Math.max(2, (end - start) * width), height);
  }
  const bars = Math.max(1, Math.floor(width / BAR));
  const loudest = Math.max(48, ...(peaks ?? []));
  for (let bar = 0; bar < bars; bar++) {
    let top = 0;
    if (peaks?.length) {
      const first = Math.floor((bar / bars) * peaks.length);
      const last = Math.max(first + 1, Math.floor(((bar + 1) / bars) * peaks.length));
      for (let at = first; at < last; at++) top = Math.max(top, peaks[at]);
    }
    const tall = Math.max(2, (top / loudest) * (height - 2));
    context.fillStyle = (bar + 0.5) / bars <= share ? played : ahead;
    context.fillRect(bar * BAR, (height - tall) / 2, BAR - 1, tall);
  }
}

/**
 * The analysed parts as shares of the track; those that overlap are one.
 * @param {number[]} windows
 * @param {number} length
 * @param {number} total
 */
export function marksOf(windows, length, total) {
  /** @type {{start: number, end: number}[]} */
  const marks = [];
  for (const window of [...windows].sort((a, b) => a - b)) {
    const mark = { start: window / total, end: Math.min(1, (window + length) / total) };
    const last = marks[marks.length - 1];
    if (last && mark.start <= last.end) last.end = mark.end;
    else marks.push(mark);
  }
  return marks;
}

/**
 * @param {{track: import("../types").Track | null, windows?: number[], window_s?: number}} properties
 */
export function Waveform({ track, windows = [], window_s = 0 }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const playing = useWatched(player, (p) => p.queue[p.at]?.track.track_id);
  const isCurrent = track !== null && playing === track.track_id;
  const { time, duration } = useWatched(clockState, (value) => (isCurrent ? value : IDLE));
  const total = isCurrent ? duration : (track?.duration_s ?? 0);
  const peaks = usePeaks(track?.track_id);
  const [width, setWidth] = useState(0);
  const [hover, setHover] = useState(/** @type {number | null} */ (null));
  const marks = total > 0 ? marksOf(windows, window_s, total) : [];
  useEffect(() => {
    if (!canvas.current) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(canvas.current);
    return () => observer.disconnect();
  }, []);
  const theme = document.documentElement.dataset.theme;
  useEffect(() => {
    if (canvas.current) draw(canvas.current, peaks, total > 0 ? time / total : 0, marks);
  }, [peaks, time, total, width, theme, windows]);
  if (!isCurrent) {
    return html`<canvas class="wave" ref=${canvas} aria-hidden="true"></canvas>`;
  }
  const shareAt = (/** @type {PointerEvent} */ event) => {
    const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const to = {
      ArrowRight: time + STEP_S, ArrowUp: time + STEP_S, ArrowLeft: time - STEP_S,
      ArrowDown: time - STEP_S, PageUp: time + 30, PageDown: time - 30, Home: 0, End: total - 1,
    }[event.key];
    if (to === undefined || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    seek(to);
  };
  return html`<div
    class="wave-slider"
    role="slider"
    tabindex="0"
    aria-label=${T.player.seek}
    aria-valuemin="0"
    aria-valuemax=${Math.round(total)}
    aria-valuenow=${Math.round(time)}
    aria-valuetext=${T.player.seekValue(clock(time), clock(total))}
    onKeyDown=${keys}
    onPointerDown=${(/** @type {PointerEvent} */ event) => seek(shareAt(event) * total)}
    onPointerMove=${(/** @type {PointerEvent} */ event) => setHover(shareAt(event))}
    onPointerLeave=${() => setHover(null)}
  >
    <canvas class="wave" ref=${canvas} aria-hidden="true"></canvas>
    ${hover !== null &&
    html`<span class="wave-time" style=${{ left: `${hover * 100}%` }}>${clock(hover * total)}</span>`}
  </div>`;
}

const IDLE = { time: 0, duration: 0 };
