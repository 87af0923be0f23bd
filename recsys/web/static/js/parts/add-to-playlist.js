/** Add tracks to a saved playlist, or to a new one. */
import { get, post, put } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { Icon } from "../icons.js";
import { State, useWatched } from "../state.js";
import { T } from "../texts.js";
import { say, sayProblem } from "../toasts.js";
import { Dialog } from "./dialog.js";

const adding = new State({ tracks: /** @type {import("../types").Track[] | null} */ (null) });

/** @param {import("../types").Track[]} tracks */
export const addToPlaylist = (tracks) => adding.set({ tracks });

/** @param {import("../types").SavedPlaylist} playlist @param {number[]} ids */
async function extend(playlist, ids) {
  const known = await get(`/playlists/${playlist.playlist}`);
  const before = known.tracks.map((/** @type {import("../types").Track} */ t) => t.track_id);
  const body = { name: known.name, tracks: [...before, ...ids], recipe: known.recipe };
  await put(`/playlists/${playlist.playlist}`, body);
}

export function AddToPlaylist() {
  const tracks = useWatched(adding, (value) => value.tracks);
  return tracks && html`<${Chooser} tracks=${tracks} />`;
}

/** @param {{tracks: import("../types").Track[]}} properties */
function Chooser({ tracks }) {
  const [lists, setLists] = useState(/** @type {import("../types").SavedPlaylist[]} */ ([]));
  const [name, setName] = useState("");
  useEffect(() => {
    get("/playlists").then((answer) => setLists(answer.playlists), sayProblem);
  }, []);
  const close = () => adding.set({ tracks: null });
  const ids = tracks.map((track) => track.track_id);
  const done = (/** @type {string} */ to) => {
    close();
    say(T.playlists.addedTo(to));
  };
  return html`<${Dialog} title=${T.playlists.addTo} onClose=${close}>
    <form
      class="inline-form"
      onSubmit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        if (!name.trim()) return;
        post("/playlists", { name: name.trim(), tracks: ids, recipe: null })
          .then(() => done(name.trim()), sayProblem);
      }}
    >
      <input
        aria-label=${T.playlists.name}
        placeholder=${T.playlists.make}
        value=${name}
        onInput=${(/** @type {any} */ event) => setName(event.target.value)}
      />
      <button class="button primary">${T.playlists.save}</button>
    </form>
    <ul class="choices">
      ${lists.map(
        (list) => html`<li key=${list.playlist}>
          <button onClick=${() => extend(list, ids).then(() => done(list.name), sayProblem)}>
            <${Icon} name="playlists" size=${18} /><span>${list.name}</span>
            <small>${T.tracks(list.tracks)}</small>
          </button>
        </li>`,
      )}
    </ul>
  <//>`;
}
