/** Chips that are switched on and off. */
import { html } from "../html.js";
import { colourOf } from "../format.js";

/**
 * @param {{label: string, on: boolean, onSwitch: () => void, genre?: string, count?: number}} properties
 */
export function Chip({ label, on, onSwitch, genre, count }) {
  return html`<button class=${`chip${on ? " on" : ""}`} aria-pressed=${on} onClick=${onSwitch}>
    ${genre && html`<i class="dot" style=${{ background: colourOf(genre) }}></i>`}${label}
    ${count !== undefined && html`<small>${count}</small>`}
  </button>`;
}

/**
 * One of several, as buttons that stand together.
 * @param {{options: {value: string, label: string, count?: number}[], value: string, label: string,
 *          onChoose: (value: string) => void}} properties
 */
export function Segments({ options, value, label, onChoose }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${options.map(
      (option) => html`<button
        key=${option.value}
        aria-pressed=${option.value === value}
        class=${option.value === value ? "on" : ""}
        onClick=${() => onChoose(option.value)}
      >
        ${option.label}${option.count ? html`<small>${option.count}</small>` : ""}
      </button>`,
    )}
  </div>`;
}
