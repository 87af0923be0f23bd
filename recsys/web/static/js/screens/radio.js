/** Radio from anything: endless, steered by likes and skips, with rules as chips. */
import { get, getBytes } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { artistOf, genreName, hueOf, languageName, shown, titleOf } from "../format.js";
import { Icon } from "../icons.js";
import { dislike, library } from "../live.js";
import { player, jump, resumeRadio, setRules, startRadio } from "../player.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { say, sayProblem } from "../toasts.js";
import { Chip } from "../parts/chips.js";
import { Cover } from "../parts/cover.js";
import { openMenu } from "../parts/menu.js";
import { Picker } from "../parts/picker.js";
import { Transport } from "../parts/player-bar.js";
import { Heart, TrackList } from "../parts/rows.js";

/** @typedef {import("../types").Rules} Rules */

const MANY = 12; // stations of genres

/**
 * Start a radio from a track drawn among those that fit, and keep to what they have in common.
 * @param {import("../api.js").Parameters} wish as of `tracks`
 * @param {Rules} rules
 * @param {string} name
 * @returns {Promise<boolean>} whether there was one
 */
export async function radioAmong(wish, rules, name) {
  const ids = new Uint32Array(await getBytes("/tracks/ids", wish));
  if (!ids.length) {
    say(T.radio.noneOf(name));
    return false;
  }
  const seed = ids[Math.floor(Math.random() * ids.length)];
  await startRadio({ seeds: [String(seed)], rules, name });
  return true;
}

export function Radio() {
  const station = useWatched(player, (p) => p.station);
  const playing = useWatched(player, (p) => p.at >= 0);
  const [choosing, setChoosing] = useState(false);
  if (station && playing && !choosing) {
    return html`<${OnAir} station=${station} onAnother=${() => setChoosing(true)} />`;
  }
  return html`<${Stations} onStart=${() => setChoosing(false)} />`;
}

/** @param {{onStart: () => void}} properties */
function Stations({ onStart }) {
  const { genres, moods } = useWatched(library, (value) => value);
  const [sessions, setSessions] = useState(/** @type {any[]} */ ([]));
  useEffect(() => {
    get("/radio").then((answer) => setSessions(answer.sessions), sayProblem);
  }, []);
  const begin = (/** @type {Promise<unknown>} */ started) => {
    started.then(onStart, sayProblem);
  };
  const choose = (/** @type {import("../parts/picker.js").Choice} */ choice) =>
    begin(
      choice.words
        ? startRadio({ words: choice.name, name: choice.name })
        : startRadio({ seeds: [choice.seed], name: choice.name }),
    );
  const withTracks = moods.filter((mood) => mood.tracks > 0);
  return html`<section class="stations">
    <h1>${T.radio.from}</h1>
    <${Picker}
      label=${T.radio.from}
      placeholder=${T.radio.placeholder}
      words
      large
      onChoose=${choose}
    />
    ${sessions.length > 0 &&
    html`<h2>${T.radio.recent}</h2>
      <ul class="tiles">
        ${sessions.slice(0, 4).map(
          (each) => html`<li key=${each.session}>
            <button
              class="tile plain"
              onClick=${() => begin(resumeRadio(each.session, shown(each.name)))}
            >
              <${Icon} name="radio" /><b>${shown(each.name)}</b>
              <small>${T.radio.given(each.given)}</small>
            </button>
          </li>`,
        )}
      </ul>`}
    <h2>${T.radio.genres}</h2>
    <ul class="tiles">
      ${genres
        .filter((each) => each.genre !== "unknown")
        .slice(0, MANY)
        .map(
          ({ genre, tracks }) => html`<li key=${genre}>
            <button
              class="tile"
              style=${{ "--hue": hueOf(genre) }}
              onClick=${() => begin(radioAmong({ genre }, { genre }, genreName(genre)))}
            >
              <b>${genreName(genre)}</b><small>${T.tracks(tracks)}</small>
            </button>
          </li>`,
        )}
    </ul>
    ${withTracks.length > 0 &&
    html`<h2>${T.radio.moods}</h2>
      <ul class="tiles">
        ${withTracks.map(
          ({ mood, tracks }) => html`<li key=${mood}>
            <button
              class="tile plain"
              onClick=${() => begin(radioAmong({ mood: [mood] }, { moods: [mood] }, mood))}
            >
              <b>${mood}</b><small>${T.tracks(tracks)}</small>
            </button>
          </li>`,
        )}
      </ul>`}
  </section>`;
}

/**
 * @param {{station: {session: number, name: string, rules: Rules}, onAnother: () => void}} properties
 */
function OnAir({ station, onAnother }) {
  const entry = useWatched(player, (p) => p.queue[p.at]);
  const queue = useWatched(player, (p) => p.queue);
  const at = useWatched(player, (p) => p.at);
  const ended = useWatched(player, (p) => p.stationEnded);
  const ahead = queue.slice(at + 1, at + 21);
  const tracks = ahead.map((row) => row.track);
  return html`<section class="on-air">
    <div class="on-air-head">
      <span class="eyebrow"><${Icon} name="radio" size=${16} /> ${T.radio.onAir}</span>
      <h1>${station.name}</h1>
      <button class="button" onClick=${onAnother}>${T.radio.another}</button>
    </div>
    ${entry &&
    html`<div class="on-air-now">
      <${Cover} track=${entry.track} size=${320} large />
      <div class="on-air-names">
        <a href=${`#/track/${entry.track.track_id}`}>${titleOf(entry.track)}</a>
        <p>${artistOf(entry.track)}</p>
        <div class="on-air-actions">
          <${Heart} track=${entry.track} />
          <${Transport} large />
          <button class="button" onClick=${() => void dislike(entry.track)}>
            <${Icon} name="down" size=${18} /> ${T.actions.dislike}
          </button>
        </div>
      </div>
    </div>`}
    <${RuleChips} rules=${station.rules} track=${entry?.track} />
    <h2>${T.radio.upNext}</h2>
    ${ended && !ahead.length
      ? html`<div class="nothing"><b>${T.radio.ended}</b><p>${T.radio.endedHint}</p></div>`
      : html`<${TrackList}
          tracks=${tracks}
          label=${T.radio.upNext}
          onPlay=${(/** @type {number} */ index) => jump(at + 1 + index)}
        />`}
  </section>`;
}

/**
 * @param {{rules: Rules, track: import("../types").Track | undefined}} properties
 */
function RuleChips({ rules, track }) {
  const change = (/** @type {Rules} */ part) => {
    setRules({ ...rules, ...part }).catch(sayProblem);
  };
  const { rule } = T.radio;
  const tags = rules.tags ?? [];
  const ranges = rules.ranges ?? {};
  const range = (/** @type {string} */ name, /** @type {string} */ value) => {
    const { [name]: old, ...others } = ranges;
    change({ ranges: old === value ? others : { ...others, [name]: value } });
  };
  const genre = rules.genre ?? (track && track.label !== "unknown" ? track.label : null);
  const artist = track?.artist ?? null;
  const notArtists = rules.not_artists ?? [];
  return html`<div class="chips rules" role="group" aria-label=${T.radio.rules}>
    ${genre &&
    html`<${Chip}
      label=${rule.genre(genre)}
      on=${!!rules.genre}
      onSwitch=${() => change({ genre: rules.genre ? null : genre })}
    />`}
    ${(rules.languages ?? []).map(
      (code) => html`<${Chip}
        label=${rule.language(languageName(code))}
        on
        onSwitch=${() => change({ languages: [] })}
      />`,
    )}
    ${(rules.moods ?? []).map(
      (mood) => html`<${Chip} label=${rule.mood(mood)} on onSwitch=${() => change({ moods: [] })} />`,
    )}
    <${Chip}
      label=${rule.short}
      on=${!!rules.max_length_s}
      onSwitch=${() => change({ max_length_s: rules.max_length_s ? null : 360 })}
    />
    <${Chip}
      label=${rule.otherArtists}
      on=${!!rules.no_same_artist}
      onSwitch=${() => change({ no_same_artist: !rules.no_same_artist })}
    />
    <${Chip}
      label=${rule.instrumental}
      on=${ranges.vocals === "..0.2"}
      onSwitch=${() => range("vocals", "..0.2")}
    />
    <${Chip}
      label=${rule.calm}
      on=${ranges.energy === "..0.4"}
      onSwitch=${() => range("energy", "..0.4")}
    />
    <${Chip}
      label=${rule.energetic}
      on=${ranges.energy === "0.6.."}
      onSwitch=${() => range("energy", "0.6..")}
    />
    <button
      class=${`chip${tags.length ? " on" : ""}`}
      aria-haspopup="menu"
      onClick=${(/** @type {any} */ event) =>
        openMenu(
          event.currentTarget,
          ["", ...rule.eras].map((era) => ({
            label: era ? rule.era(era) : rule.anyEra,
            checked: era ? tags.includes(era) : !tags.length,
            act: () => change({ tags: era ? [era] : [] }),
          })),
          rule.anyEra,
        )}
    >
      ${tags.length ? rule.era(tags[0]) : rule.anyEra}<${Icon} name="down" size=${14} />
    </button>
    ${notArtists.map(
      (name) => html`<${Chip}
        label=${rule.notArtist(name)}
        on
        onSwitch=${() => change({ not_artists: notArtists.filter((each) => each !== name) })}
      />`,
    )}
    ${artist &&
    !notArtists.includes(artist) &&
    html`<${Chip}
      label=${rule.notArtist(shown(artist))}
      on=${false}
      onSwitch=${() => change({ not_artists: [...notArtists, artist] })}
    />`}
    <${Chip}
      label=${rule.taste}
      on=${rules.taste !== false}
      onSwitch=${() => change({ taste: rules.taste === false })}
    />
  </div>`;
}
