/** Short messages, with an action where one helps. */
import { html } from "./html.js";
import { State, useWatched } from "./state.js";
import { Problem } from "./api.js";
import { T } from "./texts.js";

/** @typedef {{key: number, text: string, hint?: string, action?: {label: string, act: () => void}}} Toast */

const SHOWN_MS = 6000;
const toasts = new State({ list: /** @type {Toast[]} */ ([]) });
let key = 1;

/**
 * @param {string} text
 * @param {{label: string, act: () => void}} [action]
 * @param {string} [hint]
 */
export function say(text, action, hint) {
  const toast = { key: key++, text, action, hint };
  const others = toasts.value.list.filter((other) => other.text !== text);
  toasts.set({ list: [...others.slice(-2), toast] });
  setTimeout(() => dismiss(toast.key), SHOWN_MS);
}

/** @param {unknown} error */
export function sayProblem(error) {
  if (error instanceof Problem) {
    if (error.reason === "no_library" || error.reason === "empty") return; // the screen says so
    say(error.code === "offline" ? T.offline : error.message, undefined, error.hint);
  } else {
    throw error;
  }
}

/** @param {number} toastKey */
function dismiss(toastKey) {
  toasts.set({ list: toasts.value.list.filter((toast) => toast.key !== toastKey) });
}

export function Toasts() {
  const list = useWatched(toasts, (value) => value.list);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${list.map(
      (toast) => html`<div class="toast" key=${toast.key}>
        <span>${toast.text}${toast.hint && html`<small>${toast.hint}</small>`}</span>
        ${toast.action &&
        html`<button
          class="link"
          onClick=${() => {
            dismiss(toast.key);
            toast.action?.act();
          }}
        >
          ${toast.action.label}
        </button>`}
      </div>`,
    )}
  </div>`;
}
