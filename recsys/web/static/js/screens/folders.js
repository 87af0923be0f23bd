/** The folders of the library. */
import { get } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { fileName, shown } from "../format.js";
import { Icon } from "../icons.js";
import { library } from "../live.js";
import { playTracks } from "../player.js";
import { useWatched } from "../state.js";
import { T } from "../texts.js";
import { sayProblem } from "../toasts.js";
import { LongList } from "../parts/rows.js";
import { useTracks } from "../parts/tracks.js";

/** @typedef {{folder: string | null, parent: string | null, folders: import("../types").Folder[]}} Answer */

export function Folders() {
  const revision = useWatched(library, (value) => value.revision);
  const [folder, setFolder] = useState("");
  const [answer, setAnswer] = useState(/** @type {Answer | null} */ (null));
  useEffect(() => {
    get("/folders", { folder }).then(setAnswer, sayProblem);
  }, [folder, revision]);
  if (!answer || (answer.folder ?? "") !== folder) {
    return html`<p class="quiet" role="status">${T.loading}</p>`;
  }
  return html`<div class="folders">
    ${folder &&
    html`<div class="bar">
      <button class="button" onClick=${() => setFolder(answer.parent ?? "")}>
        <${Icon} name="back" size=${18} /> ${answer.parent ? fileName(answer.parent) : T.library.root}
      </button>
      <b class="folder-name">${fileName(folder)}</b>
    </div>`}
    <ul class="folder-list">
      ${answer.folders.map(
        (each) => html`<li key=${each.folder}>
          <button onClick=${() => setFolder(each.folder)} class=${each.there === false ? "dim" : ""}>
            <${Icon} name="folder" /><span>${shown(each.name)}</span>
            <small>${each.there === false ? T.library.away : T.tracks(each.tracks)}</small>
          </button>
        </li>`,
      )}
    </ul>
    ${folder && html`<${Within} key=${folder} folder=${folder} revision=${revision} />`}
  </div>`;
}

/** @param {{folder: string, revision: number}} properties */
function Within({ folder, revision }) {
  const tracks = useTracks({ folder, sort: "album" }, revision);
  const play = (/** @type {number} */ index) => {
    tracks.around(index).then((rows) => playTracks(rows, 0, fileName(folder)), sayProblem);
  };
  return html`<div class="list-head">
      <span class="count">${T.tracks(tracks.count)}</span>
      <button class="button" disabled=${!tracks.count} onClick=${() => play(0)}>
        <${Icon} name="play" size=${16} />${T.actions.playAll}
      </button>
    </div>
    <${LongList}
      count=${tracks.count}
      trackAt=${tracks.trackAt}
      onSeen=${tracks.onSeen}
      label=${fileName(folder)}
      onPlay=${play}
    />`;
}
