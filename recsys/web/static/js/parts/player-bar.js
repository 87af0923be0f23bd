/** The player at the foot of every screen, and on the phone the sheet that it opens. */
import { html, useState } from "../html.js";
import { artistOf, clock, titleOf } from "../format.js";
import { Icon } from "../icons.js";
import {
  clockState, player, setVolume, step, toggle, toggleLevel, toggleMuted, turnRepeat,
} from "../player.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { trackMenu } from "./track-menu.js";
import { Cover } from "./cover.js";
import { Dialog } from "./dialog.js";
import { openMenu } from "./menu.js";
import { panel, QueueRows } from "./queue.js";
import { Heart } from "./rows.js";
import { Waveform } from "./waveform.js";

/** @returns {import("../types").Entry | null} */
export const useCurrent = () => useWatched(player, (p) => p.queue[p.at] ?? null);

/** @param {{large?: boolean}} properties */
export function Transport({ large = false }) {
  const playing = useWatched(player, (p) => p.playing);
  const waiting = useWatched(player, (p) => p.playing && p.waiting);
  const size = large ? 30 : 22;
  return html`<div class=${`transport${large ? " large" : ""}`}>
    <button class="icon-button" aria-label=${T.player.previous} onClick=${() => step(-1)}>
      <${Icon} name="previous" size=${size} />
    </button>
    <button
      class=${`play-button${waiting ? " waiting" : ""}`}
      aria-label=${playing ? T.player.pause : T.player.play}
      onClick=${toggle}
    >
      <${Icon} name=${playing ? "pause" : "play"} size=${size + 2} />
    </button>
    <button class="icon-button" aria-label=${T.player.next} onClick=${() => step(1)}>
      <${Icon} name="next" size=${size} />
    </button>
  </div>`;
}

function Times() {
  const at = useWatched(clockState, (c) => clock(c.time));
  const of = useWatched(clockState, (c) => clock(c.duration));
  return html`<span class="times" aria-hidden="true"><span>${at}</span><span>${of}</span></span>`;
}

function Volume() {
  const volume = useWatched(player, (p) => (p.muted ? 0 : p.volume));
  const muted = volume === 0;
  return html`<span class="volume">
    <button
      class="icon-button"
      aria-label=${muted ? T.player.unmute : T.player.mute}
      onClick=${toggleMuted}
    >
      <${Icon} name=${muted ? "muted" : "volume"} />
    </button>
    <input
      type="range"
      min="0"
      max="1"
      step="0.02"
      aria-label=${T.player.volume}
      value=${volume}
      style=${{ "--share": `${volume * 100}%` }}
      onInput=${(/** @type {any} */ event) => setVolume(Number(event.target.value))}
    />
  </span>`;
}

/** @param {Element} anchor */
function playerMenu(anchor) {
  const { level, repeat } = player.value;
  const repeats = { off: T.player.repeatOff, all: T.player.repeatAll, one: T.player.repeatOne };
  openMenu(
    anchor,
    [
      { label: T.player.level, checked: level, act: toggleLevel },
      { label: repeats[repeat], icon: "repeat", act: turnRepeat },
    ],
    T.more,
  );
}

function ProgressLine() {
  const share = useWatched(clockState, (c) => (c.duration > 0 ? c.time / c.duration : 0));
  return html`<i class="progress-line" style=${{ transform: `scaleX(${share})` }}></i>`;
}

export function PlayerBar() {
  const entry = useCurrent();
  const [sheet, setSheet] = useState(false);
  const shown = useWatched(panel, (value) => value.shown);
  if (!entry) return null;
  const { track } = entry;
  const side = (/** @type {"queue" | "why"} */ name) =>
    panel.set({ shown: shown === name ? null : name });
  return html`<footer class="player" aria-label=${T.player.label} role="region">
      <${ProgressLine} />
      <div class="player-track">
        <a href=${`#/track/${track.track_id}`} aria-label=${T.actions.open} class="player-cover">
          <${Cover} track=${track} size=${160} />
        </a>
        <button class="player-open" aria-haspopup="dialog" onClick=${() => setSheet(true)}>
          <${Cover} track=${track} size=${160} />
          <span class="names"><b>${titleOf(track)}</b><small>${artistOf(track)}</small></span>
        </button>
        <span class="names">
          <a href=${`#/track/${track.track_id}`}>${titleOf(track)}</a>
          <small>${artistOf(track)}</small>
        </span>
        <${Heart} track=${track} />
      </div>
      <${Transport} />
      <div class="player-wave"><${Waveform} track=${track} /><${Times} /></div>
      <div class="player-side">
        <button
          class="icon-button"
          aria-label=${T.player.why}
          title=${T.player.why}
          aria-pressed=${shown === "why"}
          onClick=${() => side("why")}
        >
          <${Icon} name="why" />
        </button>
        <button
          class="icon-button"
          aria-label=${T.player.queue}
          title=${T.player.queue}
          aria-pressed=${shown === "queue"}
          onClick=${() => side("queue")}
        >
          <${Icon} name="queue" />
        </button>
        <${Volume} />
        <button
          class="icon-button"
          aria-label=${T.more}
          aria-haspopup="menu"
          onClick=${(/** @type {any} */ event) => playerMenu(event.currentTarget)}
        >
          <${Icon} name="sliders" />
        </button>
      </div>
    </footer>
    ${sheet && html`<${Sheet} onClose=${() => setSheet(false)} />`}`;
}

/** The player of the phone. @param {{onClose: () => void}} properties */
function Sheet({ onClose }) {
  const entry = useCurrent();
  if (!entry) return null;
  const { track } = entry;
  const show = (/** @type {"queue" | "why"} */ name) => {
    onClose();
    panel.set({ shown: name });
  };
  return html`<${Dialog} title=${T.player.nowPlaying} kind="sheet" onClose=${onClose}>
    <div class="sheet-cover"><${Cover} track=${track} size=${640} large /></div>
    <div class="sheet-names">
      <span class="names">
        <a href=${`#/track/${track.track_id}`} onClick=${onClose}>${titleOf(track)}</a>
        <small>${artistOf(track)}</small>
      </span>
      <${Heart} track=${track} />
      <button
        class="icon-button"
        aria-label=${T.more}
        onClick=${(/** @type {any} */ event) => {
          const anchor = event.currentTarget;
          openMenu(anchor, trackMenu(track), titleOf(track));
        }}
      >
        <${Icon} name="more" />
      </button>
    </div>
    <${Waveform} track=${track} />
    <${Times} />
    <${Transport} large />
    <div class="sheet-more">
      <button class="button" onClick=${() => show("why")}>
        <${Icon} name="why" size=${18} /> ${T.player.why}
      </button>
      <button class="button" aria-pressed=${player.value.level} onClick=${toggleLevel}>
        <${Icon} name="volume" size=${18} /> ${T.player.level}
      </button>
    </div>
    <h3>${T.queue.next}</h3>
    <${QueueRows} />
  <//>`;
}
