/** The address of a screen is the hash: `#/track/7`, `#/library?genre=jazz`. */
import { State } from "./state.js";

/** @typedef {{screen: string, id: string, parameters: URLSearchParams}} Place */

/** @returns {Place} */
function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [screen, id = ""] = path.split("/");
  return { screen: screen || "library", id, parameters: new URLSearchParams(query) };
}

export const place = new State({ here: read() });

addEventListener("hashchange", () => place.set({ here: read() }));

/** @param {string} path such as `track/7` */
export const go = (path) => {
  location.hash = `/${path}`;
};

/**
 * Change the parameters of the present screen without a step in the history.
 * @param {Record<string, string | string[]>} values
 */
export function replaceParameters(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const each of Array.isArray(value) ? value : [value]) if (each) query.append(name, each);
  }
  const { screen, id } = place.value.here;
  const text = query.toString();
  history.replaceState(null, "", `#/${screen}${id && `/${id}`}${text && `?${text}`}`);
  place.set({ here: read() });
}
