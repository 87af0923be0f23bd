/** What greets where there is no music yet. */
import { html } from "../html.js";
import { library } from "../live.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { FolderForm } from "../parts/run.js";

export function Empty() {
  const run = useWatched(library, (value) => value.run);
  const isRunning = run?.state === "running" || run?.state === "queued";
  const at = isRunning ? 1 : 0;
  return html`<section class="empty">
    <h1>${T.empty.title}</h1>
    <ol>
      ${T.empty.steps.map(
        ([title, text], index) => html`<li class=${index === at ? "now" : index < at ? "done" : ""}>
          <b>${title}</b>
          <p>${text}</p>
          ${index === 0 && !isRunning && html`<${FolderForm} />`}
        </li>`,
      )}
    </ol>
  </section>`;
}
