/** The camera, and the expression of the face that it sees. No picture leaves the page. */

/** @typedef {import("../vendor/face-api.js").Expressions} Strengths */
/** @typedef {keyof Strengths} Expression */
/** A face in shares of the picture. @typedef {import("../vendor/face-api.js").Box} Box */

/**
 * What is seen: the face, how strong each expression is on average over the last second or so, and
 * which one has been the strongest for a while.
 * @typedef {{box: Box | null, strengths: Strengths | null, steady: Expression | null}} Seen
 */

/** Why there is no camera: not allowed, none there, in use, only with HTTPS, or anything else.
 * @typedef {"denied" | "absent" | "busy" | "insecure" | "failed"} Trouble */

const WEIGHTS = "/static/vendor/face";
const INPUT = 224; // pixels of the picture in which a face is looked for
const LEAST_SCORE = 0.4; // from which something is a face
const SMOOTH_MS = 1000; // what was seen so long ago counts 1/e
const STEADY_MS = 1500; // an expression is steady when it has been the strongest for so long
const LOST_MS = 1500; // without a face, until what it expressed is forgotten
const REST_MS = 100; // between two looks, or as long as a look takes: the page needs time, too

/** @type {Seen} */
export const NOTHING_SEEN = { box: null, strengths: null, steady: null };

/** Without a graphics card, WebGL takes longer than the processor. */
function hasGraphicsCard() {
  const options = { failIfMajorPerformanceCaveat: true };
  const canvas = document.createElement("canvas");
  const context = /** @type {WebGL2RenderingContext | null} */ (canvas.getContext("webgl2", options));
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return context !== null;
}

async function loadNetworks() {
  const api = await import("../vendor/face-api.js");
  await api.tf.setBackend(hasGraphicsCard() ? "webgl" : "cpu");
  await api.tf.ready();
  await api.nets.tinyFaceDetector.loadFromUri(WEIGHTS);
  await api.nets.faceExpressionNet.loadFromUri(WEIGHTS);
  return api;
}

/** @type {ReturnType<typeof loadNetworks> | null} */
let networks = null;

/** @param {Strengths} strengths */
const strongest = (strengths) =>
  /** @type {[Expression, number][]} */ (Object.entries(strengths)).sort((a, b) => b[1] - a[1])[0][0];

/** What was seen so far, one look after the other. */
export class Impression {
  /** @type {Strengths | null} */
  strengths = null;
  /** @type {Expression | null} */
  leading = null;
  since = 0;
  last = 0;

  /**
   * @param {{box: Box, strengths: Strengths} | null} look
   * @param {number} now milliseconds
   * @returns {Seen}
   */
  add(look, now) {
    if (!look) {
      if (now - this.last > LOST_MS) this.strengths = this.leading = null;
      return { ...NOTHING_SEEN, strengths: this.strengths };
    }
    const kept = this.strengths ? Math.exp((this.last - now) / SMOOTH_MS) : 0;
    const names = /** @type {Expression[]} */ (Object.keys(look.strengths));
    this.strengths = /** @type {Strengths} */ (
      Object.fromEntries(
        names.map((name) => [
          name, (this.strengths?.[name] ?? 0) * kept + look.strengths[name] * (1 - kept),
        ]),
      )
    );
    this.last = now;
    const leading = strongest(this.strengths);
    if (leading !== this.leading) {
      this.leading = leading;
      this.since = now;
    }
    const steady = now - this.since >= STEADY_MS ? leading : null;
    return { box: look.box, strengths: this.strengths, steady };
  }
}

/** @param {unknown} error @returns {Trouble} */
function troubleOf(error) {
  /** @type {Record<string, Trouble>} */
  const troubles = {
    NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "absent",
    OverconstrainedError: "absent", NotReadableError: "busy", AbortError: "busy",
  };
  return (error instanceof DOMException && troubles[error.name]) || "failed";
}

/** A camera that is open, until it is closed. */
export class Camera {
  /**
   * @param {HTMLVideoElement} video shows what it sees
   * @param {(seen: Seen) => void} onSeen
   * @param {(trouble: Trouble) => void} onTrouble it is closed then
   */
  constructor(video, onSeen, onTrouble) {
    this.video = video;
    this.onSeen = onSeen;
    this.onTrouble = onTrouble;
    this.closed = false;
    /** @type {MediaStream | null} */
    this.stream = null;
    void this.#look();
  }

  async #look() {
    try {
      await this.#open();
      if (this.closed) return;
      const api = await (networks ??= loadNetworks());
      const options = new api.TinyFaceDetectorOptions({
        inputSize: INPUT, scoreThreshold: LEAST_SCORE,
      });
      const impression = new Impression();
      while (!this.closed) {
        const begun = performance.now();
        const found = await api.detectSingleFace(this.video, options).withFaceExpressions();
        if (this.closed) return;
        const ended = performance.now();
        const look = found && { box: found.detection.relativeBox, strengths: found.expressions };
        this.onSeen(impression.add(look ?? null, ended));
        await new Promise((resolve) => setTimeout(resolve, Math.max(REST_MS, ended - begun)));
      }
    } catch (error) {
      if (this.closed) return;
      networks = null; // tried again when the camera is opened again
      this.#fail(troubleOf(error));
    }
  }

  async #open() {
    if (!navigator.mediaDevices) return this.#fail("insecure");
    const video = { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    this.stream = stream;
    if (this.closed) return this.close();
    stream.getVideoTracks()[0].addEventListener("ended", () => !this.closed && this.#fail("absent"));
    this.video.srcObject = stream;
    await this.video.play();
  }

  /** @param {Trouble} trouble */
  #fail(trouble) {
    this.close();
    this.onTrouble(trouble);
  }

  /** Its light goes out. */
  close() {
    this.closed = true;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
  }
}
