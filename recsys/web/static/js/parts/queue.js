/** The panel beside the screen: the queue, and why a track plays. */
import { html } from "../html.js";
import { artistOf, clock, titleOf } from "../format.js";
import { Icon } from "../icons.js";
import { opinions } from "../live.js";
import { clearAhead, jump, moveRow, player, removeRow } from "../player.js";
import { State, useWatched } from "../state.js";
import { T } from "../texts.js";
import { addToPlaylist } from "./add-to-playlist.js";
import { Cover } from "./cover.js";
import { dragProperties } from "./drag.js";

export const panel = new State({ shown: /** @type {"queue" | "why" | null} */ (null) });

export function QueueRows() {
  const queue = useWatched(player, (p) => p.queue);
  const at = useWatched(player, (p) => p.at);
  const station = useWatched(player, (p) => p.station);
  const ended = useWatched(player, (p) => p.stationEnded);
  const ahead = queue.slice(at + 1, at + 101);
  if (!ahead.length && !station) return html`<p class="quiet">${T.queue.empty}</p>`;
  return html`<ol class="queue-rows">
      ${ahead.map((entry, index) => {
        const position = at + 1 + index;
        return html`<li
          key=${entry.key}
          ...${dragProperties(position, (from, to) => moveRow(from, to))}
        >
          <button
            class="queue-row"
            onClick=${() => jump(position)}
            onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
              if (event.key === "Delete") removeRow(entry.key);
            }}
          >
            <${Cover} track=${entry.track} />
            <span class="names"><b>${titleOf(entry.track)}</b><small>${artistOf(entry.track)}</small></span>
            <time>${clock(entry.track.duration_s)}</time>
          </button>
          <button
            class="icon-button"
            aria-label=${`${T.remove}: ${titleOf(entry.track)}`}
            onClick=${() => removeRow(entry.key)}
          >
            <${Icon} name="close" size=${16} />
          </button>
        </li>`;
      })}
    </ol>
    ${station &&
    html`<p class="quiet endless">
      <${Icon} name="radio" size=${18} /> ${ended ? T.radio.ended : T.queue.endless(station.name)}
    </p>`}`;
}

function Queue() {
  const rest = useWatched(player, (p) => p.queue.length - p.at - 1);
  const save = () => addToPlaylist(player.value.queue.map((entry) => entry.track));
  return html`<${QueueRows} />
    <div class="panel-foot">
      <button class="button" onClick=${save}>${T.queue.save}</button>
      <button class="button" disabled=${rest === 0} onClick=${clearAhead}>${T.queue.clear}</button>
    </div>`;
}

function Why() {
  const entry = useWatched(player, (p) => p.queue[p.at] ?? null);
  const liked = useWatched(opinions, (o) => entry !== null && o.likes.has(entry.track.track_id));
  if (!entry) return html`<p class="quiet">${T.player.nothing}</p>`;
  const { track, session, from } = entry;
  const reasons = [];
  if (session !== null) {
    reasons.push(T.why.radio(from));
    if (track.reasons?.length) reasons.push(capital(track.reasons[0]) + ".");
    else if (typeof track.similarity === "number") {
      reasons.push(T.why.sounds(T.why.closeness(track.similarity)));
    }
  } else {
    reasons.push(from ? T.queue.from(from) + "." : T.why.chosen);
    if (track.reasons?.length) reasons.push(capital(track.reasons[0]) + ".");
  }
  if (liked) reasons.push(T.why.liked);
  return html`<div class="why">
    <div class="why-track">
      <${Cover} track=${track} size=${160} />
      <span class="names"><b>${titleOf(track)}</b><small>${artistOf(track)}</small></span>
    </div>
    <ul>${reasons.map((reason) => html`<li>${reason}</li>`)}</ul>
    ${(track.reasons?.length ?? 0) > 1 &&
    html`<ul class="figures">${track.reasons?.slice(1).map((r) => html`<li>${r}</li>`)}</ul>`}
    <a class="button" href=${`#/track/${track.track_id}`}>${T.why.details}</a>
  </div>`;
}

/** @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function Panel() {
  const shown = useWatched(panel, (value) => value.shown);
  if (!shown) return null;
  const title = shown === "queue" ? T.queue.title : T.why.title;
  const close = () => panel.set({ shown: null });
  return html`<aside
    class="panel"
    aria-label=${title}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Escape" && close()}
  >
    <header>
      <h2>${title}</h2>
      <button class="icon-button" aria-label=${T.close} onClick=${close}><${Icon} name="close" /></button>
    </header>
    ${shown === "queue" ? html`<${Queue} />` : html`<${Why} />`}
  </aside>`;
}
