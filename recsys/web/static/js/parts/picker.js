/** Choose a track, an artist, an album or words, with suggestions as one types. */
import { get, wasAborted } from "../api.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { artistOf, shown, titleOf } from "../format.js";
import { Icon } from "../icons.js";
import { T } from "../texts.js";

/**
 * A seed, or words for a sound.
 * @typedef {{seed: string, name: string, track?: import("../types").Track, words?: boolean}} Choice
 */

let pickers = 0;

/**
 * @param {string} text
 * @param {AbortSignal} signal
 * @param {boolean} artistsOnly
 * @returns {Promise<{choice: Choice, title: string, note: string, icon: string}[]>}
 */
async function suggestions(text, signal, artistsOnly) {
  const found = await get("/suggest", { q: text, limit: 8 }, signal);
  /** @type {{choice: Choice, title: string, note: string, icon: string}[]} */
  const rows = [];
  for (const artist of (found.artists ?? []).slice(0, artistsOnly ? 8 : 3)) {
    const name = shown(artist.name);
    const note = T.radio.artist(artist.tracks);
    rows.push({ choice: { seed: artist.seed, name }, title: name, note, icon: "mood" });
  }
  if (artistsOnly) return rows;
  for (const track of found.tracks ?? []) {
    const choice = { seed: String(track.track_id), name: titleOf(track), track };
    rows.push({ choice, title: titleOf(track), note: artistOf(track), icon: "play" });
  }
  for (const album of (found.albums ?? []).slice(0, 2)) {
    const name = shown(album.name);
    const note = T.radio.album(album.tracks);
    rows.push({ choice: { seed: album.seed, name }, title: name, note, icon: "library" });
  }
  return rows;
}

/**
 * @param {{onChoose: (choice: Choice) => void, label: string, placeholder: string, words?: boolean,
 *          artistsOnly?: boolean, large?: boolean}} properties
 */
export function Picker({ onChoose, label, placeholder, words = false, artistsOnly = false, large }) {
  const [text, setText] = useState("");
  const [rows, setRows] = useState(/** @type {Awaited<ReturnType<typeof suggestions>>} */ ([]));
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const id = useRef(`picker-${pickers++}`).current;
  useEffect(() => {
    const wanted = text.trim();
    if (!wanted) {
      setRows([]);
      return undefined;
    }
    const stop = new AbortController();
    const timer = setTimeout(() => {
      suggestions(wanted, stop.signal, artistsOnly).then(
        (found) => {
          if (words) {
            const choice = { seed: "", name: wanted, words: true };
            found.push({ choice, title: T.radio.words(wanted), note: "", icon: "radio" });
          }
          setRows(found);
          setAt(0);
        },
        (error) => {
          if (!wasAborted(error)) setRows([]);
        },
      );
    }, 120);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text]);
  const choose = (/** @type {number} */ index) => {
    if (!rows[index]) return;
    onChoose(rows[index].choice);
    setText("");
    setOpen(false);
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowDown") setAt(Math.min(rows.length - 1, at + 1));
    else if (event.key === "ArrowUp") setAt(Math.max(0, at - 1));
    else if (event.key === "Enter") choose(at);
    else if (event.key === "Escape" && open) setOpen(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const isOpen = open && text.trim() !== "";
  return html`<div class=${`picker${large ? " large" : ""}`}>
    <${Icon} name="search" size=${18} />
    <input
      type="search"
      role="combobox"
      aria-label=${label}
      aria-expanded=${isOpen}
      aria-controls=${id}
      aria-autocomplete="list"
      aria-activedescendant=${isOpen && rows[at] ? `${id}-${at}` : undefined}
      autocomplete="off"
      spellcheck=${false}
      maxlength="200"
      placeholder=${placeholder}
      value=${text}
      onInput=${(/** @type {any} */ event) => {
        setText(event.target.value);
        setOpen(true);
      }}
      onFocus=${() => setOpen(true)}
      onBlur=${() => setOpen(false)}
      onKeyDown=${keys}
    />
    ${isOpen &&
    html`<ul class="suggestions" role="listbox" id=${id} aria-label=${T.picker.results}>
      ${rows.length === 0 && html`<li class="quiet" role="option" aria-disabled="true">${T.picker.nothing}</li>`}
      ${rows.map(
        (row, index) => html`<li
          role="option"
          id=${`${id}-${index}`}
          aria-selected=${index === at}
          onPointerDown=${(/** @type {Event} */ event) => event.preventDefault()}
          onPointerEnter=${() => setAt(index)}
          onClick=${() => choose(index)}
        >
          <${Icon} name=${row.icon} size=${18} />
          <span>${row.title}</span>
          <small>${row.note}</small>
        </li>`,
      )}
    </ul>`}
  </div>`;
}

/**
 * Chosen seeds, each with a cross.
 * @param {{choices: Choice[], onRemove: (index: number) => void}} properties
 */
export function Chosen({ choices, onRemove }) {
  if (!choices.length) return null;
  return html`<ul class="chips chosen">
    ${choices.map(
      (choice, index) => html`<li key=${choice.seed || choice.name}>
        <button
          class="chip on"
          aria-label=${T.picker.removeSeed(choice.name)}
          onClick=${() => onRemove(index)}
        >
          ${choice.name}<${Icon} name="close" size=${14} />
        </button>
      </li>`,
    )}
  </ul>`;
}
