/** A feeling, and the radio that goes with it. */
import { html, useState } from "../html.js";
import { library } from "../live.js";
import { go } from "../router.js";
import { remember, remembered, useWatched } from "../state.js";
import { T } from "../texts.js";
import { sayProblem } from "../toasts.js";
import { radioAmong } from "./radio.js";

/** @typedef {keyof typeof T.mood.buttons} Feeling */

/** What plays for each feeling: moods of the library. @type {Record<Feeling, string>} */
const USUAL = { happy: "happy", calm: "calm", sad: "sad", angry: "angry", tired: "chill" };

/** Faces of 100 units: mouth and eyes. @type {Record<Feeling, string>} */
const FACES = {
  happy: "M30 58c6 14 34 14 40 0M36 40v4M64 40v4",
  calm: "M36 62h28M32 43c3 3 8 3 11 0M57 43c3 3 8 3 11 0",
  sad: "M34 68c6-10 26-10 32 0M36 42v4M64 42v4",
  angry: "M36 66h28M30 36l12 6M70 36l-12 6M38 46v2M62 46v2",
  tired: "M42 66c4-3 12-3 16 0M31 46h12M57 46h12",
};

export function Mood() {
  const moods = useWatched(library, (value) => value.moods);
  const [plays, setPlays] = useState(remembered("moods", USUAL));
  const [editing, setEditing] = useState(false);
  const feelings = /** @type {Feeling[]} */ (Object.keys(USUAL));
  const change = (/** @type {Record<Feeling, string>} */ now) => {
    setPlays(now);
    remember("moods", now);
  };
  const start = (/** @type {string} */ mood) =>
    radioAmong({ mood: [mood] }, { moods: [mood] }, mood).then(() => go("radio"), sayProblem);
  return html`<section class="mood">
    <h1>${T.mood.title}</h1>
    <ul class="feelings">
      ${feelings.map(
        (feeling) => html`<li key=${feeling}>
          <button class=${`feeling ${feeling}`} onClick=${() => void start(plays[feeling])}>
            <svg viewBox="20 26 60 52" aria-hidden="true"><path d=${FACES[feeling]} /></svg>
            <b>${T.mood.buttons[feeling]}</b>
            <small>${T.mood.plays(plays[feeling])}</small>
          </button>
        </li>`,
      )}
    </ul>
    <button class="button" aria-expanded=${editing} onClick=${() => setEditing(!editing)}>
      ${T.mood.edit}
    </button>
    ${editing &&
    html`<fieldset class="feelings-edit">
      <legend>${T.mood.editIntro}</legend>
      ${feelings.map(
        (feeling) => html`<label key=${feeling}>
          ${T.mood.buttons[feeling]}
          <select
            value=${plays[feeling]}
            onChange=${(/** @type {any} */ event) =>
              change({ ...plays, [feeling]: event.target.value })}
          >
            ${moods.map(
              ({ mood, tracks }) => html`<option value=${mood}>${mood} (${T.tracks(tracks)})</option>`,
            )}
          </select>
        </label>`,
      )}
      <button class="button" onClick=${() => change(USUAL)}>${T.mood.reset}</button>
    </fieldset>`}
  </section>`;
}
