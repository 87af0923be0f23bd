/** Keys that work on every screen. */
import { html } from "./html.js";
import { like } from "./live.js";
import { clockState, current, player, seek, step, toggle, toggleMuted } from "./player.js";
import { State, useWatched } from "./state.js";
import { T } from "./texts.js";
import { Dialog } from "./parts/dialog.js";
import { panel } from "./parts/queue.js";
import { go, place } from "./router.js";

const help = new State({ open: false });

/** @param {"queue" | "why"} name */
const turnPanel = (name) => panel.set({ shown: panel.value.shown === name ? null : name });

function search() {
  const field = document.querySelector('main input[type="search"]');
  if (field instanceof HTMLInputElement) {
    field.focus();
    field.select();
  } else if (place.value.here.screen !== "library") {
    go("library");
    setTimeout(search, 50);
  }
}

/** @type {Record<string, () => void>} */
const KEYS = {
  " ": toggle,
  "/": search,
  "?": () => help.set({ open: true }),
  l: () => {
    const entry = current();
    if (entry) void like(entry.track);
  },
  m: toggleMuted,
  q: () => turnPanel("queue"),
  w: () => turnPanel("why"),
  ArrowRight: () => seek(clockState.value.time + 5),
  ArrowLeft: () => seek(clockState.value.time - 5),
  "shift+ArrowRight": () => step(1),
  "shift+ArrowLeft": () => step(-1),
};

/** @param {EventTarget | null} target */
const takesText = (target) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** @param {EventTarget | null} target */
const takesSpace = (target) =>
  target instanceof HTMLElement && /^(BUTTON|A|SUMMARY)$/.test(target.tagName);

export function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (takesText(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === " " && takesSpace(event.target)) return;
    const target = event.target instanceof Element ? event.target : null;
    if (event.key.startsWith("Arrow") && target?.closest("[data-arrows]")) return;
    const arrow = event.shiftKey && event.key.startsWith("Arrow") ? "shift+" : "";
    const act = KEYS[arrow + (event.key.length === 1 ? event.key.toLowerCase() : event.key)];
    if (!act || (event.key.startsWith("Arrow") && player.value.at < 0)) return;
    event.preventDefault();
    act();
  });
}

export function KeysDialog() {
  const open = useWatched(help, (value) => value.open);
  if (!open) return null;
  return html`<${Dialog} title=${T.keys.title} onClose=${() => help.set({ open: false })}>
    <dl class="keys">
      ${T.keys.rows.map(
        ([keys, what]) => html`<dt>${keys.split(/ {3}/).map((k) => html`<kbd>${k}</kbd> `)}</dt>
          <dd>${what}</dd>`,
      )}
    </dl>
  <//>`;
}
