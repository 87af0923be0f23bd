/** Playlists: made by seeds, a way, genres or a mood; saved ones. */
import { get, post } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { genreName, shown, spell } from "../format.js";
import { Icon } from "../icons.js";
import { library } from "../live.js";
import { State, useWatched } from "../state.js";
import { T } from "../texts.js";
import { say, sayProblem } from "../toasts.js";
import { Chip, Segments } from "../parts/chips.js";
import { PlaylistEditor } from "../parts/playlist-editor.js";
import { Chosen, Picker } from "../parts/picker.js";

/** @typedef {import("../parts/picker.js").Choice} Choice */
/** @typedef {"seed" | "way" | "cycle" | "mood"} PlaylistKind */
/** @typedef {import("../types").MadePlaylist & {recipe: object}} Draft */

/** The form and the list that was made stay while one looks elsewhere. */
const maker = new State({
  kind: /** @type {PlaylistKind} */ ("seed"),
  seeds: /** @type {Choice[]} */ ([]),
  to: /** @type {Choice | null} */ (null),
  genres: /** @type {string[]} */ ([]),
  mood: "",
  course: /** @type {keyof typeof T.playlists.courses} */ (""),
  length: 30,
  seed: 0,
  made: /** @type {Draft | null} */ (null),
  /** Counts the lists that were made. */
  count: 0,
});

/** @param {{id: string}} properties */
export function Playlists({ id }) {
  if (id) return html`<${Saved} key=${id} id=${id} />`;
  return html`<section class="playlists">
    <h1>${T.playlists.make}</h1>
    <${Maker} />
    <${Made} />
    <${SavedLists} />
  </section>`;
}

/** The body of `playlists/make`, or what is missing. */
function wish() {
  const { kind, seeds, to, genres, mood, course, length, seed } = maker.value;
  const words = seeds.filter((each) => each.words).map((each) => each.name).join(", ") || null;
  const named = seeds.filter((each) => !each.words).map((each) => each.seed);
  const common = { length, seed };
  if (kind === "seed") {
    if (!seeds.length) return T.playlists.needSeed;
    return { ...common, seeds: named, words, diversity: seed ? 0.3 : 0 };
  }
  if (kind === "way") {
    if (!named.length) return T.playlists.needSeed;
    if (!to) return T.playlists.needTo;
    return { ...common, seeds: named.slice(0, 1), to: to.seed };
  }
  const curves = course ? [course] : [];
  if (kind === "cycle") return { ...common, cycle: genres.length ? genres : "auto", curves };
  const name = T.playlists.ofMood(mood, course ? T.playlists.courses[course] : "");
  return { ...common, name, moods: mood ? [mood] : [], curves, diversity: 0.3 };
}

/** @param {boolean} another draw other tracks */
async function make(another) {
  maker.set({ seed: another ? Math.floor(Math.random() * 1e6) + 1 : 0 });
  const body = wish();
  if (typeof body === "string") {
    say(body);
    return;
  }
  try {
    /** @type {import("../types").MadePlaylist} */
    const made = await post("/playlists/make", body);
    maker.set({ made: { ...made, recipe: body }, count: maker.value.count + 1 });
  } catch (error) {
    sayProblem(error);
  }
}

function Maker() {
  const { kind, seeds, to, genres, mood, course, length, made } = useWatched(maker, (m) => m);
  const { genres: known, moods } = useWatched(library, (value) => value);
  const kinds = /** @type {PlaylistKind[]} */ (Object.keys(T.playlists.kinds));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void make(false);
  };
  const toggleGenre = (/** @type {string} */ name) =>
    maker.set({
      genres: genres.includes(name) ? genres.filter((g) => g !== name) : [...genres, name],
    });
  return html`<form class="maker" onSubmit=${submit}>
    <${Segments}
      label=${T.playlists.kindLabel}
      value=${kind}
      options=${kinds.map((value) => ({ value, label: T.playlists.kinds[value][0] }))}
      onChoose=${(/** @type {PlaylistKind} */ value) =>
        maker.set({ kind: value, seeds: value === "way" ? seeds.slice(0, 1) : seeds })}
    />
    <p class="quiet">${T.playlists.kinds[kind][1]}</p>
    ${(kind === "seed" || kind === "way") &&
    html`<div class="field">
      <span>${T.playlists.seeds}</span>
      <${Chosen}
        choices=${seeds}
        onRemove=${(/** @type {number} */ at) =>
          maker.set({ seeds: seeds.filter((_, index) => index !== at) })}
      />
      ${(kind === "seed" || !seeds.length) &&
      html`<${Picker}
        key=${kind}
        label=${T.playlists.seeds}
        placeholder=${kind === "way" ? T.picker.choose : T.radio.placeholder}
        words=${kind === "seed"}
        onChoose=${(/** @type {Choice} */ choice) => maker.set({ seeds: [...maker.value.seeds, choice] })}
      />`}
    </div>`}
    ${kind === "way" &&
    html`<div class="field">
      <span>${T.playlists.to}</span>
      <${Chosen} choices=${to ? [to] : []} onRemove=${() => maker.set({ to: null })} />
      ${!to &&
      html`<${Picker}
        label=${T.playlists.to}
        placeholder=${T.picker.choose}
        onChoose=${(/** @type {Choice} */ choice) => maker.set({ to: choice })}
      />`}
    </div>`}
    ${kind === "cycle" &&
    html`<div class="field">
      <span>${T.playlists.genres}</span>
      <div class="chips">
        <${Chip}
          label=${T.playlists.genresAll}
          on=${!genres.length}
          onSwitch=${() => maker.set({ genres: [] })}
        />
        ${known
          .filter((each) => each.genre !== "unknown")
          .slice(0, 16)
          .map(
            ({ genre }) => html`<${Chip}
              key=${genre}
              label=${genreName(genre)}
              genre=${genre}
              on=${genres.includes(genre)}
              onSwitch=${() => toggleGenre(genre)}
            />`,
          )}
      </div>
    </div>`}
    ${kind === "mood" &&
    html`<div class="field">
      <span>${T.playlists.mood}</span>
      <div class="chips">
        ${moods
          .filter((each) => each.tracks > 0)
          .map(
            (each) => html`<${Chip}
              key=${each.mood}
              label=${each.mood}
              on=${mood === each.mood}
              onSwitch=${() => maker.set({ mood: mood === each.mood ? "" : each.mood })}
            />`,
          )}
      </div>
    </div>`}
    <div class="maker-foot">
      <label class="field inline">
        <span>${T.playlists.length}</span>
        <input
          type="number"
          min="2"
          max="500"
          value=${length}
          onInput=${(/** @type {any} */ event) =>
            maker.set({ length: Math.max(1, Math.min(500, Number(event.target.value) || 1)) })}
        />
      </label>
      ${(kind === "mood" || kind === "cycle") &&
      html`<label class="field inline">
        <span>${T.playlists.course}</span>
        <select
          value=${course}
          onChange=${(/** @type {any} */ event) => maker.set({ course: event.target.value })}
        >
          ${Object.entries(T.playlists.courses).map(
            ([value, name]) => html`<option value=${value}>${name}</option>`,
          )}
        </select>
      </label>`}
      <button class="button primary">${T.playlists.makeIt}</button>
      ${made &&
      kind !== "way" &&
      html`<button class="button" type="button" onClick=${() => void make(true)}>
        <${Icon} name="dice" size=${18} />${T.playlists.another}
      </button>`}
    </div>
  </form>`;
}

function Made() {
  const made = useWatched(maker, (m) => m.made);
  const count = useWatched(maker, (m) => m.count);
  if (!made) return null;
  return html`<${PlaylistEditor}
    key=${count}
    name=${shown(made.name)}
    tracks=${made.tracks}
    recipe=${made.recipe}
    note=${made.note}
    onRows=${(/** @type {import("../types").Track[]} */ tracks) => {
      // Kept as it is now, without drawing the editor again.
      maker.value.made = { ...made, tracks };
    }}
  />`;
}

function SavedLists() {
  const [lists, setLists] = useState(/** @type {import("../types").SavedPlaylist[] | null} */ (null));
  useEffect(() => {
    get("/playlists").then((answer) => setLists(answer.playlists), sayProblem);
  }, []);
  if (lists === null) return null;
  return html`<h2>${T.playlists.saved}</h2>
    ${lists.length === 0 && html`<p class="quiet">${T.playlists.none}</p>`}
    <ul class="tiles">
      ${lists.map(
        (list) => html`<li key=${list.playlist}>
          <a class="tile plain" href=${`#/playlists/${list.playlist}`}>
            <${Icon} name="playlists" /><b>${shown(list.name)}</b>
            <small>${T.playlists.summary(list.tracks, spell(list.duration_s))}</small>
          </a>
        </li>`,
      )}
    </ul>`;
}

/** @param {{id: string}} properties */
function Saved({ id }) {
  const [list, setList] = useState(/** @type {any} */ (null));
  const [loads, setLoads] = useState(0);
  const path = `/playlists/${encodeURIComponent(id)}`;
  useEffect(() => {
    get(path).then(setList, sayProblem);
  }, [id, loads]);
  if (!list) return null;
  const refresh = () => {
    post(`${path}/refresh`).then(() => {
      say(T.playlists.refreshed);
      setLoads(loads + 1);
    }, sayProblem);
  };
  return html`<section class="playlists">
    <a class="back-link" href="#/playlists"><${Icon} name="back" size=${18} />${T.playlists.title}</a>
    <${PlaylistEditor}
      key=${`${list.playlist}-${loads}-${list.changed}`}
      playlist=${list.playlist}
      name=${shown(list.name)}
      tracks=${list.tracks}
      recipe=${list.recipe}
      note=${list.gone ? T.playlists.gone(list.gone) : ""}
      onRefresh=${list.recipe ? refresh : undefined}
    />
  </section>`;
}
