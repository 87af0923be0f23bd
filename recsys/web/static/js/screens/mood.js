/** A feeling, chosen or read from a face, and the radio that goes with it. */
import { get } from "../api.js";
import { html, useState } from "../html.js";
import { languageName } from "../format.js";
import { library } from "../live.js";
import { startRadio } from "../player.js";
import { go } from "../router.js";
import { remember, remembered, useWatched } from "../state.js";
import { T } from "../texts.js";
import { say, sayProblem } from "../toasts.js";
import { Face } from "../parts/face.js";
import { Chosen, Picker } from "../parts/picker.js";
import { radioAmong } from "./radio.js";

/** @typedef {keyof typeof T.mood.buttons} Feeling */
/** @typedef {Feeling | import("../face.js").Expression} Felt */
/** @typedef {import("../parts/picker.js").Choice} Choice */

const OWN = 12; // tracks of the artist that begin the radio
const MOST = 500;

/** What plays for each feeling and each expression: moods of the library.
 * @type {Record<Felt, string>} */
const USUAL = {
  happy: "happy",
  calm: "calm",
  sad: "sad",
  angry: "angry",
  tired: "chill",
  neutral: "calm",
  surprised: "surprised",
  fearful: "fearful",
  disgusted: "disgusted",
};

/** Faces of 100 units: mouth and eyes. @type {Record<Feeling, string>} */
const FACES = {
  happy: "M30 58c6 14 34 14 40 0M36 40v4M64 40v4",
  calm: "M36 62h28M32 43c3 3 8 3 11 0M57 43c3 3 8 3 11 0",
  sad: "M34 68c6-10 26-10 32 0M36 42v4M64 42v4",
  angry: "M36 66h28M30 36l12 6M70 36l-12 6M38 46v2M62 46v2",
  tired: "M42 66c4-3 12-3 16 0M31 46h12M57 46h12",
};

/**
 * Start a radio of a mood; with an artist, it begins with what the artist has of that mood.
 * @param {string} mood
 * @param {Choice | null} artist
 * @param {string} language a code, or none
 */
async function play(mood, artist, language) {
  const rules = { moods: [mood], languages: language ? [language] : [] };
  const wish = { mood: [mood], language, artist: artist?.name };
  const name = [mood, artist?.name, language && languageName(language)].filter(Boolean).join(", ");
  if (!artist) return radioAmong(wish, rules, name);
  /** @type {{tracks: import("../types").Track[]}} */
  const { tracks } = await get("/tracks", { ...wish, limit: MOST });
  if (!tracks.length) {
    say(T.radio.noneOf(name));
    return false;
  }
  const own = tracks
    .map((track) => ({ track, drawn: Math.random() }))
    .sort((a, b) => a.drawn - b.drawn)
    .slice(0, OWN)
    .map(({ track }) => track);
  const seeds = own.map((track) => String(track.track_id));
  await startRadio({ seeds, rules, name, first: own });
  return true;
}

export function Mood() {
  const [artist, setArtist] = useState(/** @type {Choice | null} */ (null));
  const [language, setLanguage] = useState("");
  const [kept, setKept] = useState(
    remembered("moods", /** @type {Partial<Record<Felt, string>>} */ ({})),
  );
  const plays = { ...USUAL, ...kept };
  const feelings = /** @type {Feeling[]} */ (Object.keys(T.mood.buttons));
  const change = (/** @type {Partial<Record<Felt, string>>} */ now) => {
    setKept(now);
    remember("moods", now);
  };
  const start = (/** @type {string} */ mood) => {
    play(mood, artist, language).then((plays) => plays && go("radio"), sayProblem);
  };
  return html`<section class="mood">
    <h1>${T.mood.title}</h1>
    <ul class="feelings">
      ${feelings.map(
        (feeling) => html`<li key=${feeling}>
          <button class=${`feeling ${feeling}`} onClick=${() => start(plays[feeling])}>
            <svg viewBox="20 26 60 52" aria-hidden="true"><path d=${FACES[feeling]} /></svg>
            <b>${T.mood.buttons[feeling]}</b>
            <small>${T.mood.plays(plays[feeling])}</small>
          </button>
        </li>`,
      )}
    </ul>
    <${Face} plays=${plays} onPlay=${start} />
    <${Only}
      artist=${artist}
      onArtist=${setArtist}
      language=${language}
      onLanguage=${setLanguage}
    />
    <${Table} plays=${plays} onChange=${change} />
  </section>`;
}

/**
 * @param {{artist: Choice | null, onArtist: (choice: Choice | null) => void,
 *          language: string, onLanguage: (code: string) => void}} properties
 */
function Only({ artist, onArtist, language, onLanguage }) {
  const languages = useWatched(library, (value) => value.languages);
  return html`<section class="mood-only" aria-labelledby="only-title">
    <h2 id="only-title">${T.mood.only}</h2>
    <div class="bar">
      ${artist
        ? html`<${Chosen} choices=${[artist]} onRemove=${() => onArtist(null)} />`
        : html`<${Picker}
            label=${T.mood.artist}
            placeholder=${T.mood.artist}
            artistsOnly
            onChoose=${onArtist}
          />`}
      ${languages.length > 0 &&
      html`<select
        aria-label=${T.mood.language}
        value=${language}
        onChange=${(/** @type {any} */ event) => onLanguage(event.target.value)}
      >
        <option value="">${T.mood.anyLanguage}</option>
        ${languages.map(
          (each) => html`<option value=${each.language}>
            ${T.mood.counted(languageName(each.language), each.tracks)}
          </option>`,
        )}
      </select>`}
    </div>
  </section>`;
}

/**
 * What plays for what, and a way to change it.
 * @param {{plays: Record<Felt, string>, onChange: (plays: Partial<Record<Felt, string>>) => void}} properties
 */
function Table({ plays, onChange }) {
  const moods = useWatched(library, (value) => value.moods);
  const [editing, setEditing] = useState(false);
  const names = { ...T.mood.buttons, ...T.mood.face.expressions };
  const rows = /** @type {Felt[]} */ (Object.keys(USUAL));
  return html`<button
      class="button"
      aria-expanded=${editing}
      onClick=${() => setEditing(!editing)}
    >
      ${T.mood.edit}
    </button>
    ${editing &&
    html`<fieldset class="feelings-edit">
      <legend>${T.mood.editIntro}</legend>
      ${rows.map(
        (felt) => html`<label key=${felt}>
          ${names[felt]}
          <select
            value=${plays[felt]}
            onChange=${(/** @type {any} */ event) =>
              onChange({ ...plays, [felt]: event.target.value })}
          >
            ${moods.map(
              ({ mood, tracks }) => html`<option value=${mood}>${T.mood.counted(mood, tracks)}</option>`,
            )}
          </select>
        </label>`,
      )}
      <button class="button" onClick=${() => onChange({})}>${T.mood.reset}</button>
    </fieldset>`}`;
}
