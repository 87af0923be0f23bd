/** Add music: start an analysis of folders, and see how far it is. */
import { post, remove } from "../api.js";
import { html, useState } from "../html.js";
import { fileName, shown } from "../format.js";
import { Icon } from "../icons.js";
import { library } from "../live.js";
import { State, remember, remembered, useWatched } from "../state.js";
import { T } from "../texts.js";
import { sayProblem } from "../toasts.js";
import { Dialog } from "./dialog.js";

const dialog = new State({ open: false });
const TITLES = {
  running: T.run.running,
  queued: T.run.queued,
  done: T.run.done,
  failed: T.run.failed,
  cancelled: T.run.cancelled,
};

const hidden = new State({ run: 0 });

export const openRunDialog = () => dialog.set({ open: true });

/** @param {string[]} folders empty for those of the library */
export async function startRun(folders) {
  const also = remembered("measure-loudness", false) ? ["loudness"] : [];
  try {
    const run = await post("/runs", { folders, also });
    library.set({ run });
    dialog.set({ open: false });
  } catch (error) {
    sayProblem(error);
  }
}

/** How far a run is, at the head of the screen. */
export function RunNotice() {
  const run = useWatched(library, (value) => value.run);
  const dismissed = useWatched(hidden, (value) => value.run);
  if (!run || run.run === dismissed || (run.state === "done" && !run.failed && !run.done)) return null;
  const active = run.state === "running" || run.state === "queued";
  const title = TITLES[run.state];
  const share = run.total ? run.done / run.total : 0;
  const hide = () => hidden.set({ run: run.run });
  return html`<section class="run" aria-label=${title}>
    <span class="run-text" role="status">
      <b>${title}</b>
      <small>
        ${run.error ? `${run.error.detail} ${run.error.hint ?? ""}` : T.run.progress(run.done, run.total)}
        ${run.failed > 0 && html`, <a href="#/library?view=failures">${T.run.failedFiles(run.failed)}</a>`}
      </small>
    </span>
    ${active &&
    html`<progress
        aria-label=${T.run.running}
        max="1"
        value=${run.total ? share : undefined}
      ></progress>
      <small class="run-file">${run.path ? fileName(run.path) : ""}</small>
      <button class="button" onClick=${() => remove(`/runs/${run.run}`).catch(sayProblem)}>
        ${T.cancel}
      </button>`}
    ${!active &&
    html`<button class="icon-button" aria-label=${T.close} onClick=${hide}>
      <${Icon} name="close" size=${18} />
    </button>`}
  </section>`;
}

export function FolderForm() {
  const [folder, setFolder] = useState(library.value.roots.length ? "" : library.value.home);
  const [measure, setMeasure] = useState(remembered("measure-loudness", false));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (folder.trim()) void startRun([folder.trim()]);
  };
  return html`<form class="folder-form" onSubmit=${submit}>
    <label>
      ${T.run.folder}
      <span class="inline-form">
        <input
          value=${folder}
          placeholder=${T.run.placeholder}
          spellcheck=${false}
          autocapitalize="off"
          onInput=${(/** @type {any} */ event) => setFolder(event.target.value)}
        />
        <button class="button primary" disabled=${!folder.trim()}>${T.run.add}</button>
      </span>
    </label>
    <label class="check">
      <input
        type="checkbox"
        checked=${measure}
        onChange=${(/** @type {any} */ event) => {
          setMeasure(event.target.checked);
          remember("measure-loudness", event.target.checked);
        }}
      />
      ${T.run.loudness}
    </label>
  </form>`;
}

export function RunDialog() {
  const open = useWatched(dialog, (value) => value.open);
  const roots = useWatched(library, (value) => value.roots);
  if (!open) return null;
  return html`<${Dialog} title=${T.run.title} onClose=${() => dialog.set({ open: false })}>
    <p class="quiet">${T.run.intro}</p>
    <${FolderForm} />
    ${roots.length > 0 &&
    html`<h3>${T.run.known}</h3>
      <ul class="roots">
        ${roots.map(
          (root) => html`<li>
            <${Icon} name="folder" size=${18} /><span>${shown(root.path)}</span>
            ${!root.available && html`<small>${T.library.away}</small>`}
          </li>`,
        )}
      </ul>
      <button class="button" onClick=${() => void startRun([])}>
        <${Icon} name="refresh" size=${18} /> ${T.run.again}
      </button>`}
  <//>`;
}
