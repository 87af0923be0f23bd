/** One audio element that plays one track, from the original file or transcoded. */
import { address } from "./api.js";

const probe = document.createElement("audio");

/** @param {import("./types").Track} track */
const playsDirectly = (track) => track.direct && probe.canPlayType(track.media_type) !== "";

export class Deck {
  /** @param {(deck: Deck, event: "time" | "playing" | "waiting" | "paused" | "ended" | "broken") => void} tell */
  constructor(tell) {
    this.audio = document.createElement("audio");
    this.audio.preload = "auto";
    /** @type {import("./types").Track | null} */
    this.track = null;
    this.direct = true;
    /** Where the stream began: a transcoded one begins where it was sought. */
    this.offset = 0;
    this.startAt = 0;
    const on = (/** @type {string} */ name, /** @type {() => void} */ act) =>
      this.audio.addEventListener(name, () => this.track && act());
    on("timeupdate", () => tell(this, "time"));
    on("playing", () => tell(this, "playing"));
    on("waiting", () => tell(this, "waiting"));
    on("pause", () => !this.audio.ended && tell(this, "paused"));
    on("ended", () => tell(this, "ended"));
    on("loadedmetadata", () => {
      if (this.direct && this.startAt > 0) this.audio.currentTime = this.startAt;
      this.startAt = 0;
    });
    on("error", () => {
      if (this.direct && this.track) this.open(this.track, this.time, false);
      else tell(this, "broken");
    });
  }

  /**
   * @param {import("./types").Track} track
   * @param {number} at seconds
   */
  load(track, at = 0) {
    if (this.track?.track_id === track.track_id && at === 0 && this.time === 0) return;
    this.open(track, at, playsDirectly(track));
  }

  /**
   * @param {import("./types").Track} track
   * @param {number} at
   * @param {boolean} direct
   */
  open(track, at, direct) {
    const wasPlaying = this.track !== null && this.wanted;
    this.track = track;
    this.direct = direct;
    this.startAt = at;
    this.offset = direct ? 0 : at;
    const media = address(`/media/${track.track_id}`);
    this.audio.src = direct ? `${media}/audio` : `${media}/opus?start=${at.toFixed(2)}`;
    if (wasPlaying) this.play();
  }

  /** Whether it was told to play. */
  wanted = false;

  async play() {
    this.wanted = true;
    try {
      await this.audio.play();
      return true;
    } catch (error) {
      return !(error instanceof DOMException && error.name === "NotAllowedError");
    }
  }

  pause() {
    this.wanted = false;
    this.audio.pause();
  }

  /** Stop, and let go of the stream. */
  clear() {
    this.pause();
    this.track = null;
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  get time() {
    return this.startAt > 0 && this.direct ? this.startAt : this.offset + this.audio.currentTime;
  }

  /** Seconds of the whole track: a transcoded stream does not know. */
  get duration() {
    const told = this.audio.duration;
    return this.direct && Number.isFinite(told) ? told : (this.track?.duration_s ?? 0);
  }

  /** @param {number} seconds */
  seek(seconds) {
    if (!this.track) return;
    const to = Math.max(0, Math.min(seconds, this.duration - 0.05));
    if (!this.direct) this.open(this.track, to, false);
    else if (this.audio.readyState === 0) this.startAt = to;
    else this.audio.currentTime = to;
  }
}
