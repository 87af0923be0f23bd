/** Reads the mood from a face, where the listener opens the camera. */
import { html, useEffect, useRef, useState } from "../html.js";
import { Camera, NOTHING_SEEN } from "../face.js";
import { Icon } from "../icons.js";
import { T } from "../texts.js";

/** @typedef {import("../face.js").Expression} Expression */

/** @param {{plays: Record<Expression, string>, onPlay: (mood: string) => void}} properties */
export function Face({ plays, onPlay }) {
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const camera = useRef(/** @type {Camera | null} */ (null));
  const section = useRef(/** @type {HTMLElement | null} */ (null));
  const [isOpen, setOpen] = useState(false);
  const [trouble, setTrouble] = useState("");
  // Null until the first look, which takes longer than the others.
  const [seen, setSeen] = useState(/** @type {import("../face.js").Seen | null} */ (null));
  const [expression, setExpression] = useState(/** @type {Expression | null} */ (null));
  const text = T.mood.face;
  const close = (/** @type {string} */ why) => {
    camera.current?.close();
    camera.current = null;
    setOpen(false);
    setTrouble(why);
  };
  const open = () => {
    if (!video.current) return;
    setOpen(true);
    setTrouble("");
    setSeen(null);
    setExpression(null);
    camera.current = new Camera(
      video.current,
      (now) => {
        setSeen(now);
        if (now.steady || !now.strengths) setExpression(now.steady);
      },
      (why) => close(text.troubles[why]),
    );
  };
  useEffect(() => {
    const left = () => document.hidden && camera.current && close(text.hidden);
    document.addEventListener("visibilitychange", left);
    return () => {
      document.removeEventListener("visibilitychange", left);
      camera.current?.close();
    };
  }, []);
  useEffect(() => {
    if (isOpen) section.current?.scrollIntoView({ block: "start" });
  }, [isOpen]);
  const { box, strengths } = seen ?? NOTHING_SEEN;
  const mood = expression && plays[expression];
  const told = !seen ? text.opening : expression ? text.looks[expression]
    : strengths ? text.hold : text.noFace;
  return html`<section class="face" ref=${section} aria-labelledby="face-title">
    <h2 id="face-title">${text.title}</h2>
    <p class="quiet">${text.intro}</p>
    ${trouble && html`<p class="notice" role="alert">${trouble}</p>`}
    <div class="face-open" hidden=${!isOpen}>
      <div class="face-view">
        <video ref=${video} muted playsinline aria-label=${text.view}></video>
        ${box &&
        html`<i
          class="face-box"
          style=${{
            left: `${(1 - box.x - box.width) * 100}%`, // as in a mirror
            top: `${box.y * 100}%`,
            width: `${box.width * 100}%`,
            height: `${box.height * 100}%`,
          }}
        ></i>`}
      </div>
      <div class="face-read">
        <p class="face-told" role="status">${told}</p>
        <div class="actions">
          <button class="button primary" disabled=${!mood} onClick=${() => mood && onPlay(mood)}>
            <${Icon} name="play" size=${18} />${mood ? text.play(mood) : T.player.play}
          </button>
          <button class="button" onClick=${() => close("")}>${text.close}</button>
        </div>
        <ul class="bars-list" aria-label=${text.strengths}>
          ${/** @type {Expression[]} */ (Object.keys(text.expressions)).map((name) => {
            const share = Math.round((strengths?.[name] ?? 0) * 100);
            return html`<li key=${name} class=${name === expression ? "" : "below"}>
              <span>${text.expressions[name]}</span>
              <span class="bar-track"><i style=${{ width: `${share}%` }}></i></span>
              <span class="figure">${share}%</span>
            </li>`;
          })}
        </ul>
      </div>
    </div>
    ${!isOpen &&
    html`<button class="button" onClick=${open}>
      <${Icon} name="camera" size=${18} />${text.open}
    </button>`}
  </section>`;
}
