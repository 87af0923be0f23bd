/** The library: search as one types, filters, folders, what is new, what failed. */
import { get } from "../api.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { fileName, genreName, number, shown } from "../format.js";
import { Icon } from "../icons.js";
import { library } from "../live.js";
import { place, replaceParameters } from "../router.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { sayProblem } from "../toasts.js";
import { playTracks } from "../player.js";
import { Chip, Segments } from "../parts/chips.js";
import { openRunDialog, startRun } from "../parts/run.js";
import { LongList } from "../parts/rows.js";
import { useTracks } from "../parts/tracks.js";
import { Folders } from "./folders.js";

const FEW = 10; // chips that are shown at first

/** @typedef {{q: string, view: string, sort: string, genre: string, tag: string[], artist: string,
 *             album: string, mood: string[]}} Wish */

/** @param {URLSearchParams} parameters @returns {Wish} */
const read = (parameters) => ({
  q: parameters.get("q") ?? "",
  view: parameters.get("view") ?? "all",
  sort: parameters.get("sort") ?? "",
  genre: parameters.get("genre") ?? "",
  tag: parameters.getAll("tag"),
  artist: parameters.get("artist") ?? "",
  album: parameters.get("album") ?? "",
  mood: parameters.getAll("mood"),
});

export function Library() {
  const parameters = useWatched(place, (value) => value.here.parameters);
  const wish = read(parameters);
  const failures = useWatched(library, (value) => value.failures);
  const change = (/** @type {Partial<Wish>} */ part) => {
    const { view, ...rest } = { ...wish, ...part };
    replaceParameters({ ...rest, view: view === "all" ? "" : view });
  };
  const views = [
    { value: "all", label: T.library.all },
    { value: "added", label: T.library.added },
    { value: "folders", label: T.library.folders },
    { value: "failures", label: T.library.failures, count: failures },
  ];
  return html`<section class="library" aria-label=${T.library.title}>
    <h1 class="unseen">${T.library.title}</h1>
    <div class="bar">
      <${SearchField} value=${wish.q} onChange=${(/** @type {string} */ q) =>
        change({ q, view: wish.view === "all" || wish.view === "added" ? wish.view : "all" })} />
      <button class="button" onClick=${openRunDialog}>
        <${Icon} name="plus" size=${18} /><span class="wide">${T.library.addMusic}</span>
      </button>
    </div>
    <div class="bar views">
      <${Segments}
        label=${T.library.views}
        options=${views}
        value=${wish.view}
        onChoose=${(/** @type {string} */ view) => change({ view })}
      />
    </div>
    ${wish.view === "folders"
      ? html`<${Folders} />`
      : wish.view === "failures"
        ? html`<${Failures} />`
        : html`<${Tracks} wish=${wish} change=${change} />`}
  </section>`;
}

/** @param {{value: string, onChange: (q: string) => void}} properties */
function SearchField({ value, onChange }) {
  const [text, setText] = useState(value);
  // What comes back late must not overwrite what was typed since.
  const sent = useRef(value);
  useEffect(() => {
    if (value !== sent.current) setText((sent.current = value));
  }, [value]);
  useEffect(() => {
    if (text === sent.current) return undefined;
    const timer = setTimeout(() => onChange((sent.current = text)), 120);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<span class="search">
    <${Icon} name="search" size=${18} />
    <input
      type="search"
      aria-label=${T.library.search}
      placeholder=${T.library.search}
      autocomplete="off"
      spellcheck=${false}
      maxlength="200"
      value=${text}
      onInput=${(/** @type {any} */ event) => setText(event.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "ArrowDown") return;
        event.preventDefault();
        const row = document.querySelector('.rows [role="row"][tabindex="0"]');
        if (row instanceof HTMLElement) row.focus();
      }}
    />
  </span>`;
}

/** @param {{wish: Wish, change: (part: Partial<Wish>) => void}} properties */
function Tracks({ wish, change }) {
  const { genres, tags, revision } = useWatched(library, (value) => value);
  const [allGenres, setAllGenres] = useState(false);
  const [showTags, setShowTags] = useState(wish.tag.length > 0);
  const sort = wish.sort || (wish.q ? "" : wish.view === "added" ? "-added" : "artist");
  const { q, genre, tag, artist, album, mood } = wish;
  const tracks = useTracks({ q, genre, tag, artist, album, mood, sort }, revision);
  const { count, ids, trackAt, onSeen } = tracks;
  const filtered = q || genre || tag.length || artist || album || mood.length;
  const label = filtered
    ? [q, genre, ...tag, artist, album, ...mood].filter(Boolean).join(", ")
    : T.library.title;
  const playFrom = async (/** @type {number} */ index) => {
    try {
      playTracks(await tracks.around(index), 0, label);
    } catch (error) {
      sayProblem(error);
    }
  };
  const shuffle = async () => {
    try {
      playTracks(await tracks.drawn(200), 0, label);
    } catch (error) {
      sayProblem(error);
    }
  };
  const shownGenres = allGenres ? genres : genres.slice(0, FEW);
  const toggleTag = (/** @type {string} */ name) =>
    change({ tag: tag.includes(name) ? tag.filter((t) => t !== name) : [...tag, name] });
  return html`<div class="chips" role="group" aria-label=${T.library.genres}>
      ${shownGenres.map(
        (each) => html`<${Chip}
          key=${each.genre}
          label=${genreName(each.genre)}
          genre=${each.genre}
          count=${number(each.tracks)}
          on=${genre === each.genre}
          onSwitch=${() => change({ genre: genre === each.genre ? "" : each.genre })}
        />`,
      )}
      ${genres.length > FEW &&
      html`<button class="chip more" onClick=${() => setAllGenres(!allGenres)}>
        ${allGenres ? T.library.fewer : T.more}
      </button>`}
      ${tags.length > 0 &&
      html`<button
        class="chip more"
        aria-expanded=${showTags}
        onClick=${() => setShowTags(!showTags)}
      >
        ${T.library.tags}<${Icon} name=${showTags ? "up" : "down"} size=${14} />
      </button>`}
      ${artist && html`<${Chip} label=${T.library.artistFilter(artist)} on onSwitch=${() => change({ artist: "" })} />`}
      ${album && html`<${Chip} label=${T.library.albumFilter(album)} on onSwitch=${() => change({ album: "" })} />`}
      ${mood.map((m) => html`<${Chip} label=${m} on onSwitch=${() => change({ mood: [] })} />`)}
    </div>
    ${showTags &&
    html`<div class="chips" role="group" aria-label=${T.library.tags}>
      ${tags.map(
        (each) => html`<${Chip}
          key=${each.tag}
          label=${each.tag}
          on=${tag.includes(each.tag)}
          onSwitch=${() => toggleTag(each.tag)}
        />`,
      )}
    </div>`}
    <div class="list-head">
      <span class="count" role="status">${ids === null ? "" : T.tracks(count)}</span>
      <button class="button" disabled=${!count} onClick=${() => void playFrom(0)}>
        <${Icon} name="play" size=${16} />${T.actions.playAll}
      </button>
      <button class="button" disabled=${!count} onClick=${() => void shuffle()}>
        <${Icon} name="shuffle" size=${16} /><span class="wide">${T.actions.shuffle}</span>
      </button>
      ${wish.view !== "added" &&
      html`<label class="sort">
        <span class="unseen">${T.library.sort}</span>
        <select
          value=${sort}
          onChange=${(/** @type {any} */ event) => change({ sort: event.target.value })}
        >
          ${q && html`<option value="">${T.library.best}</option>`}
          ${Object.entries(T.library.sorts).map(
            ([value, name]) => html`<option value=${value}>${name}</option>`,
          )}
        </select>
      </label>`}
    </div>
    ${ids !== null && count === 0
      ? html`<div class="nothing">
          <b>${T.library.none}</b>
          ${filtered &&
          html`<p>${T.library.noneHint}</p>
            <button
              class="button"
              onClick=${() => change({ q: "", genre: "", tag: [], artist: "", album: "", mood: [] })}
            >
              ${T.library.clearFilters}
            </button>`}
        </div>`
      : html`<${LongList}
          count=${count}
          trackAt=${trackAt}
          onSeen=${onSeen}
          label=${T.library.list}
          onPlay=${(/** @type {number} */ index) => void playFrom(index)}
        />`}`;
}

/** @typedef {{path: string, reason: string, hint: string}} Failure */

function Failures() {
  const revision = useWatched(library, (value) => value.revision);
  const [groups, setGroups] = useState(/** @type {any[] | null} */ (null));
  const [failures, setFailures] = useState(/** @type {Failure[]} */ ([]));
  const [next, setNext] = useState(/** @type {string | null} */ (null));
  const load = (/** @type {string | null} */ cursor) =>
    get("/failures", { limit: 200, cursor }).then((answer) => {
      setGroups(answer.groups);
      setFailures((old) => (cursor ? [...old, ...answer.failures] : answer.failures));
      setNext(answer.next);
    }, sayProblem);
  useEffect(() => void load(null), [revision]);
  if (groups === null) return null;
  if (!groups.length) {
    return html`<div class="nothing"><${Icon} name="check" size=${28} /><b>${T.library.noFailures}</b></div>`;
  }
  return html`<div class="failures">
    <button class="button" onClick=${() => void startRun([])}>
      <${Icon} name="refresh" size=${18} /> ${T.run.again}
    </button>
    ${groups.map(
      (group) => html`<details key=${group.reason} open=${groups.length === 1}>
        <summary>
          <b>${shown(group.reason)}</b> <small>${T.library.files(group.files)}</small>
          ${group.hint && html`<p>${shown(group.hint)}</p>`}
        </summary>
        <ul>
          ${failures
            .filter((failure) => failure.reason.startsWith(group.reason))
            .map(
              (failure) => html`<li title=${shown(failure.path)}>
                <b>${fileName(failure.path)}</b><small>${shown(failure.path)}</small>
              </li>`,
            )}
        </ul>
      </details>`,
    )}
    ${next && html`<button class="button" onClick=${() => void load(next)}>${T.more}</button>`}
  </div>`;
}
