/** What the server tells by itself: runs, changes of the library, feedback; and what is asked once. */
import { address, get, post, remove } from "./api.js";
import { titleOf } from "./format.js";
import { State } from "./state.js";
import { T } from "./texts.js";
import { say, sayProblem } from "./toasts.js";
import { steer } from "./player.js";

export const library = new State({
  /** Counts up when lists must be asked again. */
  revision: 0,
  loaded: false,
  /** No library, or an empty one. */
  empty: false,
  offline: false,
  /** @type {string} */
  trouble: "",
  tracks: 0,
  failures: 0,
  /** @type {{path: string, available: boolean}[]} */
  roots: [],
  /** @type {import("./types").IndexRun | null} */
  run: null,
  /** @type {{genre: string, tracks: number}[]} */
  genres: [],
  /** @type {{tag: string, tracks: number}[]} */
  tags: [],
  /** @type {{mood: string, tracks: number}[]} */
  moods: [],
  /** Of the files' tags, by code. @type {{language: string, tracks: number}[]} */
  languages: [],
  mapRevision: 0,
  /** A folder of this computer that may hold music. */
  home: "",
  /** The routes of the server, as the description of the API has them.
   * @type {Set<string>} */
  routes: new Set(),
});

export const opinions = new State({
  likes: /** @type {Set<number>} */ (new Set()),
  bans: /** @type {Set<number>} */ (new Set()),
});

/** What ended before the page was opened is no news. @param {import("./types").IndexRun} run */
const isActive = (run) => run.state === "running" || run.state === "queued";

export async function loadLibrary() {
  try {
    /** @type {import("./types").Status} */
    const status = await get("/status");
    library.set({
      loaded: true,
      offline: false,
      trouble: "",
      empty: status.tracks === 0,
      tracks: status.tracks,
      failures: status.failures,
      roots: status.roots,
      run: status.run && isActive(status.run) ? status.run : library.value.run,
    });
  } catch (error) {
    const problem = /** @type {import("./api.js").Problem} */ (error);
    const empty = problem.reason === "no_library" || problem.reason === "empty";
    const offline = problem.code === "offline";
    library.set({ loaded: true, empty, offline, trouble: empty || offline ? "" : problem.message });
  }
  if (!library.value.routes.size) void loadRoutes();
  const run = library.value.run;
  if (run === null || isActive(run)) void loadRuns();
  if (library.value.empty || library.value.offline) return;
  const [genres, tags, moods, languages] = await Promise.all(
    ["/genres", "/tags", "/moods", "/languages"].map((path) => get(path).catch(() => ({}))),
  );
  library.set({
    genres: genres.genres ?? [],
    tags: tags.tags ?? [],
    moods: moods.moods ?? [],
    languages: languages.languages ?? [],
  });
}

async function loadRoutes() {
  const { paths = {} } = await get("/openapi.json").catch(() => ({}));
  library.set({ routes: new Set(Object.keys(paths)) });
}

async function loadRuns() {
  const { runs } = await get("/runs").catch(() => ({ runs: [] }));
  const active = runs.find(isActive);
  if (active) library.set({ run: active });
}

async function loadOpinions() {
  const { like = [], ban = [] } = await get("/feedback/tracks").catch(() => ({}));
  opinions.set({ likes: new Set(like), bans: new Set(ban) });
}

/** Listen to the server, and ask for everything whenever the connection is made. */
export function listen() {
  const events = new EventSource(address("/events"));
  events.addEventListener("open", () => {
    const wasOffline = library.value.offline;
    void loadLibrary().then(() => wasOffline && changed());
    void loadOpinions();
  });
  events.addEventListener("error", () => {
    if (library.value.loaded) library.set({ offline: true });
    else void loadLibrary();
  });
  events.addEventListener("run", (event) => {
    /** @type {import("./types").IndexRun} */
    const run = JSON.parse(event.data);
    library.set({ run });
  });
  events.addEventListener("library", () => changed());
  events.addEventListener("feedback", () => void loadOpinions());
  events.addEventListener("map", () =>
    library.set({ mapRevision: library.value.mapRevision + 1 }));
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let pending;

/** Ask again, at most once a second: a run stores many batches. */
function changed() {
  pending ??= setTimeout(() => {
    pending = undefined;
    void loadLibrary().then(() => library.set({ revision: library.value.revision + 1 }));
  }, 1000);
}

// What the listener says of tracks

/**
 * @param {"likes" | "bans"} name
 * @param {number} id
 * @param {boolean} is
 */
function mark(name, id, is) {
  const marked = new Set(opinions.value[name]);
  if (is) marked.add(id);
  else marked.delete(id);
  opinions.set({ [name]: marked });
}

/** @param {import("./types").Track} track */
export async function like(track) {
  const liked = opinions.value.likes.has(track.track_id);
  mark("likes", track.track_id, !liked);
  try {
    if (liked) {
      await remove(`/feedback/tracks/${track.track_id}/like`);
      return;
    }
    const leant = await steer("like", track);
    if (leant) say(T.radio.steered);
  } catch (error) {
    mark("likes", track.track_id, liked);
    sayProblem(error);
  }
}

/** @param {import("./types").Track} track */
export async function dislike(track) {
  try {
    const leant = await steer("dislike", track);
    mark("likes", track.track_id, false);
    say(leant ? T.radio.steeredAway : T.actions.disliked);
  } catch (error) {
    sayProblem(error);
  }
}

/**
 * @param {"ban" | "unban"} kind
 * @param {string[]} seeds
 */
const sendBan = (kind, seeds) => post("/feedback", { kind, seeds, source: "web" });

/** @param {import("./types").Track} track */
export async function ban(track) {
  const id = track.track_id;
  try {
    await sendBan("ban", [String(id)]);
    mark("bans", id, true);
    const undo = () => unban(track);
    say(T.actions.banned(titleOf(track)), { label: T.undo, act: () => void undo() });
  } catch (error) {
    sayProblem(error);
  }
}

/** @param {import("./types").Track} track */
export async function unban(track) {
  try {
    await sendBan("unban", [String(track.track_id)]);
    mark("bans", track.track_id, false);
    say(T.actions.unbanned(titleOf(track)));
  } catch (error) {
    sayProblem(error);
  }
}

/** @param {string} artist */
export async function banArtist(artist) {
  const seed = `artist:${artist}`;
  try {
    await sendBan("ban", [seed]);
    const undo = () => sendBan("unban", [seed]).then(() => say(T.actions.unbanned(artist)));
    say(T.actions.banned(artist), { label: T.undo, act: () => void undo().catch(sayProblem) });
  } catch (error) {
    sayProblem(error);
  }
}
