/** The map: written in another step. */
import { html } from "../html.js";
import { T } from "../texts.js";

export function MapScreen() {
  return html`<h1>${T.map.title}</h1>`;
}
