/** One track: its genres, its sound, and what sounds like it. */
import { get, post } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { artistOf, clock, colourOf, fileName, genreName, shown, titleOf } from "../format.js";
import { Icon } from "../icons.js";
import { ban, library, opinions, unban } from "../live.js";
import { player, playTracks, startRadio, toggle } from "../player.js";
import { go } from "../router.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { say, sayProblem } from "../toasts.js";
import { Cover } from "../parts/cover.js";
import { Dialog } from "../parts/dialog.js";
import { openMenu } from "../parts/menu.js";
import { Heart, TrackList } from "../parts/rows.js";
import { Spectrogram } from "../parts/spectrogram.js";
import { trackMenu } from "../parts/track-menu.js";
import { Waveform } from "../parts/waveform.js";

const GENRES = 6; // bars
const TAGS = 10;
const SIMILAR = 24;

/** @typedef {import("../types").TrackDetails} TrackDetails */

/** @param {{id: string}} properties */
export function TrackScreen({ id }) {
  const revision = useWatched(library, (value) => value.revision);
  const [track, setTrack] = useState(/** @type {TrackDetails | null} */ (null));
  const [problem, setProblem] = useState("");
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    setProblem("");
    get(`/tracks/${encodeURIComponent(id)}`).then(setTrack, (error) => {
      setTrack(null);
      setProblem(error.message);
    });
  }, [id, revision, changes]);
  if (problem) return html`<div class="nothing"><b>${problem}</b></div>`;
  if (!track) return html`<p class="unseen" role="status">${T.loading}</p>`;
  return html`<article class="track-screen">
    <${Head} track=${track} />
    <${Sound} track=${track} />
    <div class="columns">
      <${Genres} track=${track} onChange=${() => setChanges((n) => n + 1)} />
      <${Character} track=${track} />
    </div>
    <${Similar} track=${track} revision=${revision} />
    <${Facts} track=${track} />
  </article>`;
}

/** @param {{track: TrackDetails}} properties */
function Head({ track }) {
  const state = useWatched(player, (p) =>
    p.queue[p.at]?.track.track_id === track.track_id ? (p.playing ? "playing" : "paused") : "");
  const banned = useWatched(opinions, (o) => o.bans.has(track.track_id));
  const play = () => (state ? toggle() : playTracks([track], 0, ""));
  const radio = () => {
    startRadio({ seeds: [String(track.track_id)], name: titleOf(track) })
      .then(() => go("radio"), sayProblem);
  };
  const artist = track.artist ? shown(track.artist) : "";
  return html`<header class="track-head">
    <${Cover} track=${track} size=${320} large />
    <div>
      <h1>${titleOf(track)}</h1>
      <p class="track-by">
        ${artist
          ? html`<a href=${`#/library?artist=${encodeURIComponent(artist)}`}>${artist}</a>`
          : artistOf(track)}
        ${track.album &&
        html`<span>
          <a href=${`#/library?album=${encodeURIComponent(shown(track.album))}&sort=album`}>
            ${shown(track.album)}
          </a>
        </span>`}
        ${track.year && html`<span>${track.year}</span>`}
        <span>${clock(track.duration_s)}</span>
      </p>
      ${track.missing && html`<p class="notice">${T.track.missing}</p>`}
      <div class="actions">
        <button class="button primary" onClick=${play}>
          <${Icon} name=${state === "playing" ? "pause" : "play"} size=${18} />
          ${state === "playing" ? T.player.pause : T.player.play}
        </button>
        <button class="button" onClick=${radio}>
          <${Icon} name="radio" size=${18} />${T.radio.title}
        </button>
        <${Heart} track=${track} />
        <button
          class=${`icon-button${banned ? " on" : ""}`}
          aria-pressed=${banned}
          aria-label=${banned ? T.actions.unban : T.actions.ban}
          title=${banned ? T.actions.unban : T.actions.ban}
          onClick=${() => void (banned ? unban(track) : ban(track))}
        >
          <${Icon} name="ban" size=${18} />
        </button>
        <button
          class="icon-button"
          aria-haspopup="menu"
          aria-label=${T.actions.menu(titleOf(track))}
          onClick=${(/** @type {any} */ event) =>
            openMenu(event.currentTarget, trackMenu(track), titleOf(track))}
        >
          <${Icon} name="more" />
        </button>
      </div>
    </div>
  </header>`;
}

/** @param {{track: TrackDetails}} properties */
function Sound({ track }) {
  const { windows = [], window_s = 0 } = track.analysis ?? {};
  return html`<section class="sound" aria-label=${T.track.sound}>
    <${Waveform} track=${track} windows=${windows} window_s=${window_s} />
    <${Spectrogram} key=${track.track_id} track=${track} windows=${windows} window_s=${window_s} />
    ${windows.length > 0 && html`<p class="quiet small">${T.track.analysed}</p>`}
  </section>`;
}

/** @param {{track: TrackDetails, onChange: () => void}} properties */
function Genres({ track, onChange }) {
  const rows = Object.entries(track.probabilities)
    .sort((a, b) => b[1] - a[1])
    .slice(0, GENRES);
  const [correcting, setCorrecting] = useState(false);
  const canCorrect = useWatched(library, (value) =>
    value.routes.has("/api/v1/tracks/{track_id}/genre"));
  return html`<section>
    <div class="section-head">
      <h2>${T.track.genres}</h2>
      ${canCorrect &&
      html`<button class="link" onClick=${() => setCorrecting(true)}>${T.track.correct}</button>`}
    </div>
    <ul class="bars-list">
      ${rows.map(([genre, share]) => {
        const threshold = track.threshold?.[genre];
        const counts = threshold !== undefined && share >= threshold;
        return html`<li class=${counts ? "" : "below"}>
          <span>${genreName(genre)}</span>
          <span class="bar-track">
            <i style=${{ width: `${share * 100}%`, background: colourOf(genre) }}></i>
            ${threshold !== undefined && html`<b style=${{ left: `${threshold * 100}%` }}></b>`}
          </span>
          <span class="figure">${Math.round(share * 100)}%</span>
        </li>`;
      })}
    </ul>
    <p class="quiet small">
      ${track.label === "unknown" ? T.track.unknown : T.track.genresNote}
    </p>
    ${correcting &&
    html`<${Correct} track=${track} onChange=${onChange} onClose=${() => setCorrecting(false)} />`}
  </section>`;
}

/** @param {{track: TrackDetails, onChange: () => void, onClose: () => void}} properties */
function Correct({ track, onChange, onClose }) {
  const genres = useWatched(library, (value) => value.genres);
  const [genre, setGenre] = useState(
    track.genre_tag ?? (track.label === "unknown" ? "" : track.label),
  );
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const wanted = genre.trim();
    try {
      /** @type {{run: number | null}} null: the file has the genre already */
      const { run } = await post(`/tracks/${track.track_id}/genre`, { genre: wanted });
      const undo = () =>
        post("/tags/undo", { run }).then(() => {
          onChange();
          say(T.actions.undone);
        }, sayProblem);
      onClose();
      onChange();
      const action = run === null ? undefined : { label: T.undo, act: () => void undo() };
      say(T.track.corrected(wanted), action);
    } catch (error) {
      sayProblem(error);
    }
  };
  return html`<${Dialog} title=${T.track.correct} onClose=${onClose}>
    <p class="quiet">${T.track.correctIntro}</p>
    <form class="inline-form" onSubmit=${submit}>
      <input
        aria-label=${T.track.genreLabel}
        list="genre-names"
        value=${genre}
        onInput=${(/** @type {any} */ event) => setGenre(event.target.value)}
      />
      <datalist id="genre-names">
        ${genres.map((each) => html`<option value=${each.genre}></option>`)}
      </datalist>
      <button class="button primary" disabled=${!genre.trim()}>${T.track.write}</button>
    </form>
  <//>`;
}

/** @typedef {keyof typeof T.track.numbers} NumberName */

/** @param {{track: TrackDetails}} properties */
function Character({ track }) {
  const names = /** @type {NumberName[]} */ (Object.keys(T.track.numbers));
  const tags = Object.keys(track.tags).slice(0, TAGS);
  return html`<section>
    <h2>${T.track.character}</h2>
    <ul class="bars-list">
      ${names
        .filter((name) => track[name] !== null)
        .map(
          (name) => html`<li>
            <span>${T.track.numbers[name]}</span>
            <span class="bar-track"><i style=${{ width: `${(track[name] ?? 0) * 100}%` }}></i></span>
            <span class="figure">${Math.round((track[name] ?? 0) * 100)}</span>
          </li>`,
        )}
    </ul>
    ${tags.length > 0 &&
    html`<p class="tags" aria-label=${T.track.tags}>
      ${tags.map(
        (tag) => html`<a class="chip" href=${`#/library?tag=${encodeURIComponent(tag)}`}>${tag}</a>`,
      )}
    </p>`}
  </section>`;
}

/** @param {{track: TrackDetails, revision: number}} properties */
function Similar({ track, revision }) {
  const [answer, setAnswer] = useState(/** @type {import("../types").SimilarAnswer | null} */ (null));
  useEffect(() => {
    setAnswer(null);
    const wish = { k: SIMILAR, explain: true };
    get(`/tracks/${track.track_id}/similar`, wish).then(setAnswer, sayProblem);
  }, [track.track_id, revision]);
  if (!answer) return html`<section class="similar"></section>`;
  const { results } = answer;
  if (!results.length) {
    return html`<section class="similar">
      <h2>${T.track.similar}</h2><p class="quiet">${T.track.noSimilar}</p>
    </section>`;
  }
  const tiers = answer.tiers.filter((tier) => results.some((row) => row.tier === tier.tier));
  const groups = tiers.length
    ? tiers.map((tier) => ({
        name: tier.genres.length ? T.track.tier(tier.genres.map(genreName)) : T.track.otherTier,
        rows: results.filter((row) => row.tier === tier.tier),
      }))
    : [{ name: "", rows: results }];
  const from = titleOf(track);
  return html`<section class="similar">
    <div class="section-head">
      <h2>${T.track.similar}</h2>
      <button class="button" onClick=${() => playTracks(results, 0, from)}>
        <${Icon} name="play" size=${16} />${T.actions.playAll}
      </button>
    </div>
    ${groups.map(
      ({ name, rows }) => html`<section key=${name} aria-label=${name}>
        ${name && html`<h3>${name}</h3>`}
        <${TrackList}
          tracks=${rows}
          label=${name || T.track.similar}
          kind="reasoned"
          onPlay=${(/** @type {number} */ index) =>
            playTracks(results, results.indexOf(rows[index]), from)}
          note=${(/** @type {import("../types").Track} */ row) =>
            html`${artistOf(row)}${row.reasons?.length ? html`<em>${row.reasons[0]}</em>` : ""}`}
        />
      </section>`,
    )}
    ${answer.notes.map((note) => html`<p class="quiet small">${note}</p>`)}
  </section>`;
}

/** @param {{track: TrackDetails}} properties */
function Facts({ track }) {
  const facts = [
    [T.track.tagGenre, track.genre_tag && shown(track.genre_tag)],
    [T.track.tempo, track.tempo && `${Math.round(track.tempo)} BPM`],
    [T.track.key, track.key && [track.key, track.camelot].filter(Boolean).join(" · ")],
    [T.track.loudness, track.loudness && `${track.loudness.toFixed(1)} LUFS`],
    [T.track.warning, track.warning && shown(track.warning)],
    [T.track.copies, track.copies.map(fileName).join(", ")],
  ].filter(([, value]) => value);
  return html`<section class="facts">
    <h2>${T.track.facts}</h2>
    <p class="path">${shown(track.path)}</p>
    ${facts.length > 0 &&
    html`<dl>${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`}
  </section>`;
}
