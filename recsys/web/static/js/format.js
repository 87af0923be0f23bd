/** Numbers and names as they are shown. */
import { T } from "./texts.js";

/** @param {number | null | undefined} seconds */
export function clock(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** @param {number} seconds */
export function spell(seconds) {
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? T.minutes(minutes) : T.hours(Math.floor(minutes / 60), minutes % 60);
}

/** @param {number} count */
export const number = (count) => count.toLocaleString(T.locale);

/**
 * A path or tag may hold halves of surrogate pairs, where the bytes of the disk are no UTF-8.
 * @param {string} text
 */
export const shown = (text) => text.replace(/[\ud800-\udfff]/g, (c, at) => {
  const high = /[\ud800-\udbff]/.test(c) && /[\udc00-\udfff]/.test(text[at + 1] ?? "");
  const low = /[\udc00-\udfff]/.test(c) && /[\ud800-\udbff]/.test(text[at - 1] ?? "");
  return high || low ? c : "\ufffd";
});

const languages = new Intl.DisplayNames([T.locale], { type: "language" });

/** @param {string} code of ISO 639, or what stands in a tag */
export function languageName(code) {
  try {
    return languages.of(code) ?? code;
  } catch {
    return shown(code);
  }
}

/** @param {string} path */
export const fileName = (path) => shown(path.split(/[\\/]/).pop() || path);

/** @param {import("./types").Track} track */
export const titleOf = (track) => shown(track.title || fileName(track.path));

/** @param {import("./types").Track} track */
export const artistOf = (track) => shown(track.artist || T.unknownArtist);

/** @param {string} name */
export const genreName = (name) => (name === "unknown" ? T.unknownGenre : name);

/**
 * Hues of common genres, so that neighbours in sound are neighbours in colour.
 * @type {Record<string, number>}
 */
const HUES = {
  blues: 258, jazz: 232, soul: 325, funk: 345, rnb: 312, classical: 205, ambient: 182,
  electronic: 165, electronica: 160, house: 148, dance: 135, techno: 172, disco: 292,
  pop: 5, "indie pop": 15, indie: 28, rock: 42, "alternative rock": 52, alternative: 55,
  metal: 20, "heavy metal": 22, punk: 62, country: 82, folk: 98, reggae: 120, hiphop: 275,
  "hip-hop": 275,
};

/**
 * @param {string} text
 * @returns {number} the same for the same text
 */
export function hash(text) {
  let value = 7;
  for (let at = 0; at < text.length; at++) value = (value * 31 + text.charCodeAt(at)) >>> 0;
  return value;
}

/** @param {string} genre */
export const hueOf = (genre) => HUES[genre.toLowerCase()] ?? hash(genre) % 360;

/** @param {string} genre */
export const colourOf = (genre) =>
  genre === "unknown" ? "var(--muted)" : `oklch(var(--genre-l) 0.13 ${hueOf(genre)})`;
