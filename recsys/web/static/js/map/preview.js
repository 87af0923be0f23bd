/** A few seconds of a track, from a part that was analysed; the player waits meanwhile. */
import { address, get } from "../api.js";
import { player, toggle } from "../player.js";

const SECONDS = 12;
const audio = document.createElement("audio");
let wanted = 0;
let wasPlaying = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let end;

/** @param {number} id */
export async function preview(id) {
  wanted = id;
  clearTimeout(end);
  const track = await get(`/tracks/${id}`).catch(() => null);
  if (!track || wanted !== id) return;
  const windows = track.analysis?.windows ?? [];
  const start = windows[Math.floor(windows.length / 2)] ?? 0;
  if (player.value.playing) {
    wasPlaying = true;
    toggle();
  }
  const direct = track.direct && audio.canPlayType(track.media_type) !== "";
  audio.src = direct
    ? `${address(`/media/${id}/audio`)}#t=${start}`
    : address(`/media/${id}/opus?start=${start}`);
  audio.volume = player.value.muted ? 0 : player.value.volume * 0.8;
  audio.play().catch(() => undefined);
  end = setTimeout(stopPreview, SECONDS * 1000);
}

export function stopPreview() {
  wanted = 0;
  clearTimeout(end);
  audio.pause();
  audio.removeAttribute("src");
  if (wasPlaying && !player.value.playing) toggle();
  wasPlaying = false;
}
