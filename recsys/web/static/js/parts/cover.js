/** The cover of a track, or a tile with the initial of its album. */
import { address } from "../api.js";
import { html, useState } from "../html.js";
import { hash, shown } from "../format.js";

/** Albums and tracks without a cover, so that nothing is asked twice. @type {Set<string>} */
const without = new Set();

/** @param {import("../types").Track} track */
const keyOf = (track) => (track.album ? `${track.artist}/${track.album}` : String(track.track_id));

/** @param {string} name */
const initial = (name) =>
  ([...name.trim().replace(/^(the|a|an|der|die|das|les?|los?|la) /i, "")][0] ?? "").toUpperCase();

/**
 * @param {{track: import("../types").Track, size?: 64 | 160 | 320 | 640, large?: boolean}} properties
 */
export function Cover({ track, size = 64, large = false }) {
  const key = keyOf(track);
  const [missing, setMissing] = useState("");
  const name = shown(track.album || track.artist || track.title || "?");
  const none = missing === key || without.has(key);
  const hue = hash(name) % 360;
  return html`<span
    class=${`cover${large ? " large" : ""}`}
    aria-hidden="true"
    style=${none ? { background: `linear-gradient(145deg, oklch(0.62 0.09 ${hue}), oklch(0.42 0.08 ${(hue + 50) % 360}))` } : { background: "" }}
  >
    ${none
      ? html`<b>${initial(name)}</b>`
      : html`<img
          src=${address(`/media/${track.track_id}/cover?size=${size}`)}
          alt=""
          loading="lazy"
          decoding="async"
          onError=${() => {
            without.add(key);
            setMissing(key);
          }}
        />`}
  </span>`;
}
