/** The player: a queue, two decks that take turns so that no gap is heard, and the radio behind. */
import { get, post, Problem } from "./api.js";
import { Deck } from "./deck.js";
import { artistOf, titleOf } from "./format.js";
import { State, remember, remembered } from "./state.js";
import { T } from "./texts.js";
import { say } from "./toasts.js";

/** @typedef {import("./types").Track} Track */
/** @typedef {import("./types").Entry} Entry */
/** @typedef {"off" | "all" | "one"} Repeat */

const LONGEST = 1000; // rows of the queue that are kept
const AHEAD = 3; // rows below which the radio is asked for more
const BATCH = 8;
const PLAYED_FROM = 0.5; // share of a track from which it counts as played, as everywhere
const RESTART_S = 4; // "previous" within these seconds is the track before
const MOST_BROKEN = 4; // tracks that cannot be played in a row, until the player stops
const LEAD_S = 0.03; // the next deck starts so much before the end, as long as starting takes
const QUIET_DB = -4; // for tracks of unknown loudness, where others are levelled

export const player = new State({
  /** @type {Entry[]} */
  queue: [],
  at: -1,
  playing: false,
  waiting: false,
  volume: remembered("volume", 1),
  muted: false,
  level: remembered("level", true),
  /** @type {Repeat} */
  repeat: remembered("repeat", /** @type {Repeat} */ ("off")),
  /** The radio that fills the queue.
   * @type {{session: number, name: string, rules: import("./types").Rules} | null} */
  station: null,
  /** No further track fits the rules of the radio. */
  stationEnded: false,
});

/** Apart from the rest, since it changes four times a second. */
export const clockState = new State({ time: 0, duration: 0 });

let key = 1;
let brokenInRow = 0;
let decks = [new Deck(follow), new Deck(follow)];
let active = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let handover;
/** @type {Set<number>} keys of rows whose playing was told to the server */
const told = new Set();

export const current = () => player.value.queue[player.value.at] ?? null;

/**
 * @param {Track[]} tracks
 * @param {string} from
 * @param {number | null} session
 * @returns {Entry[]}
 */
const entries = (tracks, from, session = null) =>
  tracks.map((track) => ({ key: key++, track, session, from }));

// What plays

/** @param {Track | undefined} track */
function volumeOf(track) {
  const { volume, muted, level } = player.value;
  if (muted) return 0;
  if (!level) return volume;
  const gain = track?.replay_gain_db ?? QUIET_DB;
  return Math.min(1, volume * 10 ** (gain / 20));
}

function setVolumes() {
  for (const deck of decks) deck.audio.volume = volumeOf(deck.track ?? undefined);
}

/** @param {Entry[]} queue @param {number} at @param {number} seconds @param {boolean} play */
function start(queue, at, seconds = 0, play = true) {
  clearTimeout(handover);
  const entry = queue[at];
  if (!entry) {
    decks.forEach((deck) => deck.clear());
    player.set({ queue, at: -1, playing: false, waiting: false });
    clockState.set({ time: 0, duration: 0 });
    keep();
    return;
  }
  const ready = decks.findIndex((deck) => deck.track?.track_id === entry.track.track_id);
  if (ready !== active && ready >= 0 && seconds === 0) active = ready;
  decks[1 - active].clear();
  const deck = decks[active];
  deck.load(entry.track, seconds);
  if (seconds === 0 && deck.time > 0) deck.seek(0);
  player.set({ queue, at, playing: play, waiting: play });
  clockState.set({ time: seconds, duration: entry.track.duration_s ?? 0 });
  setVolumes();
  if (play) void begin(deck);
  else deck.pause();
  announce(entry.track);
  keep();
  void topUp();
}

/** @param {Deck} deck */
async function begin(deck) {
  if (await deck.play()) return;
  player.set({ playing: false, waiting: false });
  say(T.player.blocked);
}

/** The row that follows, by the repeat mode. @returns {number} */
function following() {
  const { at, queue, repeat } = player.value;
  if (repeat === "one") return at;
  if (at + 1 < queue.length) return at + 1;
  return repeat === "all" && queue.length ? 0 : -1;
}

/** Load the next track into the other deck, and start it when this one ends. */
function prepare() {
  const deck = decks[active];
  const next = following();
  const entry = player.value.queue[next];
  if (!entry || next === player.value.at) return;
  const other = decks[1 - active];
  if (other.track?.track_id !== entry.track.track_id) other.load(entry.track);
  setVolumes();
  const left = deck.duration - deck.time;
  if (left < 1 && deck.direct) {
    clearTimeout(handover);
    handover = setTimeout(() => advance(), Math.max(0, (left - LEAD_S) * 1000));
  }
}

function advance() {
  clearTimeout(handover);
  if (!player.value.playing) return;
  tellPlayed();
  const next = following();
  if (next < 0) {
    player.set({ playing: false, waiting: false });
    decks[active].pause();
    clockState.set({ time: clockState.value.duration });
    void topUp().then((more) => more && step(1));
    return;
  }
  if (next === player.value.at) {
    told.delete(player.value.queue[next].key);
    decks[active].seek(0);
    void decks[active].play();
    return;
  }
  const ending = decks[active];
  const starting = decks[1 - active];
  if (starting.track?.track_id !== player.value.queue[next].track.track_id) {
    start(player.value.queue, next);
    return;
  }
  active = 1 - active;
  void begin(starting);
  setTimeout(() => ending !== decks[active] && ending.clear(), LEAD_S * 1000 + 20);
  player.set({ at: next });
  clockState.set({ time: 0, duration: starting.duration });
  announce(player.value.queue[next].track);
  keep();
  void topUp();
}

/**
 * @param {Deck} deck
 * @param {"time" | "playing" | "waiting" | "paused" | "ended" | "broken"} event
 */
function follow(deck, event) {
  if (deck !== decks[active]) return;
  if (event === "time") {
    clockState.set({ time: deck.time, duration: deck.duration });
    if (player.value.playing && deck.duration - deck.time < 15) prepare();
    tellPosition(deck);
  } else if (event === "playing") {
    brokenInRow = 0;
    player.set({ playing: true, waiting: false });
  } else if (event === "waiting") {
    player.set({ waiting: true });
  } else if (event === "paused") {
    if (!deck.wanted || deck.time < deck.duration - 1) player.set({ playing: false });
    keep();
  } else if (event === "ended") {
    advance();
  } else if (deck.track) {
    brokenInRow++;
    const goesOn = brokenInRow < MOST_BROKEN && player.value.at + 1 < player.value.queue.length;
    const name = titleOf(deck.track);
    say(goesOn ? T.player.unplayable(name) : T.player.stopped(name));
    if (goesOn && player.value.playing) step(1, true);
    else player.set({ playing: false, waiting: false });
  }
}

// What the listener does

/**
 * @param {Track[]} tracks
 * @param {number} at
 * @param {string} from
 */
export function playTracks(tracks, at = 0, from = "") {
  player.set({ station: null, stationEnded: false });
  start(entries(tracks, from), at);
}

/** @param {Track[]} tracks */
export function enqueue(tracks) {
  const { queue, at } = player.value;
  if (at < 0) return playTracks(tracks);
  player.set({ queue: [...queue, ...entries(tracks, "")].slice(0, LONGEST) });
  keep();
  return undefined;
}

/** @param {Track[]} tracks */
export function playNext(tracks) {
  const { queue, at } = player.value;
  if (at < 0) return playTracks(tracks);
  player.set({ queue: [...queue.slice(0, at + 1), ...entries(tracks, ""), ...queue.slice(at + 1)] });
  keep();
  return undefined;
}

export function toggle() {
  const deck = decks[active];
  if (!current()) {
    if (player.value.queue.length) start(player.value.queue, 0);
    return;
  }
  if (player.value.playing) {
    player.set({ playing: false });
    deck.pause();
  } else {
    player.set({ playing: true });
    if (!deck.track) start(player.value.queue, player.value.at, clockState.value.time);
    else void begin(deck);
  }
}

/**
 * @param {number} by
 * @param {boolean} quiet do not tell the server of a skip
 */
export function step(by, quiet = false) {
  const { queue, at, repeat } = player.value;
  if (by < 0 && clockState.value.time > RESTART_S) return seek(0);
  if (by > 0 && !quiet) tellLeft();
  let to = at + by;
  if (to >= queue.length && repeat === "all") to = 0;
  if (to >= queue.length) {
    return void topUp().then((more) => (more ? start(player.value.queue, at + 1) : undefined));
  }
  return start(queue, Math.max(0, to), 0, true);
}

/** @param {number} at */
export function jump(at) {
  tellLeft();
  start(player.value.queue, at);
}

/** @param {number} seconds */
export function seek(seconds) {
  clearTimeout(handover);
  decks[active].seek(seconds);
  clockState.set({ time: Math.max(0, Math.min(seconds, clockState.value.duration)) });
  keep();
}

/** @param {number} volume in [0, 1] */
export function setVolume(volume) {
  player.set({ volume, muted: false });
  remember("volume", volume);
  setVolumes();
}

export function toggleMuted() {
  player.set({ muted: !player.value.muted });
  setVolumes();
}

export function toggleLevel() {
  player.set({ level: !player.value.level });
  remember("level", player.value.level);
  setVolumes();
}

export function turnRepeat() {
  /** @type {Record<Repeat, Repeat>} */
  const after = { off: "all", all: "one", one: "off" };
  player.set({ repeat: after[player.value.repeat] });
  remember("repeat", player.value.repeat);
}

/** @param {number} rowKey */
export function removeRow(rowKey) {
  const { queue, at } = player.value;
  const index = queue.findIndex((entry) => entry.key === rowKey);
  if (index < 0 || index === at) return;
  player.set({ queue: queue.filter((_, i) => i !== index), at: index < at ? at - 1 : at });
  keep();
}

/** @param {number} from @param {number} to */
export function moveRow(from, to) {
  const { queue, at } = player.value;
  if (to < 0 || to >= queue.length) return;
  const playing = queue[at];
  const moved = [...queue];
  moved.splice(to, 0, ...moved.splice(from, 1));
  player.set({ queue: moved, at: moved.indexOf(playing) });
  keep();
}

/** Drop what comes after the present track. */
export function clearAhead() {
  const { queue, at } = player.value;
  player.set({ queue: queue.slice(0, at + 1), station: null, stationEnded: false });
  decks[1 - active].clear();
  keep();
}

// The radio

/** @param {{length?: number} & import("./types").Rules} rules */
const asked = (rules) =>
  Object.fromEntries(Object.entries(rules).filter(([, v]) => v !== null && v !== undefined));

/**
 * Start a radio: its tracks take the place of the queue, after `first`, or the only seed.
 * @param {{seeds?: string[], words?: string | null, rules?: import("./types").Rules, name?: string,
 *          first?: Track[]}} wish
 */
export async function startRadio({ seeds = [], words = null, rules = {}, name, first }) {
  const body = { seeds, words, new: true, length: BATCH, ...asked(rules) };
  /** @type {import("./types").RadioSession} */
  const answer = await post("/radio", body);
  const title = name ?? answer.name;
  const only = seeds.length === 1 && answer.seeds.length === 1 ? answer.seeds : [];
  const given = first ?? only.filter((s) => s.track_id > 0 && String(s.track_id) === seeds[0]);
  const now = current();
  // The seed that plays already is not begun again.
  const isPlaying = now !== null && !first && given.some((s) => s.track_id === now.track.track_id);
  const rows = entries(answer.results ?? [], title, answer.session);
  player.set({ station: { session: answer.session, name: title, rules }, stationEnded: false });
  if (isPlaying && now) {
    player.set({ queue: [now, ...rows], at: 0 });
    keep();
    if (!player.value.playing) toggle();
  } else {
    start([...entries(given, title, null), ...rows], 0);
  }
  return answer;
}

/**
 * Go on with a radio of before.
 * @param {number} session
 * @param {string} name
 */
export async function resumeRadio(session, name) {
  player.set({ station: { session, name, rules: {} }, stationEnded: false });
  /** @type {import("./types").RadioSession} */
  const answer = await post(`/radio/${session}/next`, { length: BATCH });
  start(entries(answer.results ?? [], name, session), 0);
}

/** @type {Promise<boolean> | null} */
let filling = null;

/** Ask the radio for more where the queue runs out. @returns {Promise<boolean>} whether it gave */
function topUp() {
  const { queue, at, station, stationEnded } = player.value;
  if (!station || stationEnded || queue.length - at - 1 >= AHEAD) return Promise.resolve(false);
  filling ??= fill(station).finally(() => (filling = null));
  return filling;
}

/** @param {{session: number, name: string, rules: import("./types").Rules}} station */
async function fill(station) {
  try {
    const body = { length: BATCH, ...asked(station.rules) };
    /** @type {import("./types").RadioSession} */
    const answer = await post(`/radio/${station.session}/next`, body);
    if (player.value.station?.session !== station.session) return false;
    const rows = entries(answer.results ?? [], station.name, station.session);
    const { queue, at } = player.value;
    const kept = Math.max(0, Math.min(at, queue.length + rows.length - LONGEST));
    player.set({
      queue: [...queue.slice(kept), ...rows],
      at: at - kept,
      stationEnded: rows.length === 0,
    });
    keep();
    return rows.length > 0;
  } catch (error) {
    if (error instanceof Problem) say(error.message);
    return false;
  }
}

/** Throw away what the radio gave and was not played, and ask again. */
async function refill() {
  const { queue, at, station } = player.value;
  if (!station) return;
  const ahead = queue.slice(at + 1).filter((entry) => entry.session !== station.session);
  decks[1 - active].clear();
  player.set({ queue: [...queue.slice(0, at + 1), ...ahead], stationEnded: false });
  await filling;
  await (filling ??= fill(station).finally(() => (filling = null)));
}

/** @param {import("./types").Rules} rules */
export async function setRules(rules) {
  const { station } = player.value;
  if (!station) return;
  player.set({ station: { ...station, rules } });
  await refill();
}

/**
 * Lean the radio, if one plays, and store what was said.
 * @param {"like" | "dislike" | "skip" | "play"} kind
 * @param {Track} track
 * @returns {Promise<boolean>} whether a radio was leant
 */
export async function steer(kind, track) {
  const { station } = player.value;
  if (!station) {
    await post("/feedback", { kind, seeds: [String(track.track_id)], source: "web" });
    return false;
  }
  await post(`/radio/${station.session}/steer`, { kind, track: track.track_id });
  if (kind !== "play") await refill();
  return true;
}

// What the server is told

function tellPlayed() {
  const entry = current();
  if (!entry || told.has(entry.key)) return;
  told.add(entry.key);
  steer("play", entry.track).catch(() => undefined);
}

/** The listener leaves a track: it was played, or skipped. */
function tellLeft() {
  const entry = current();
  const { time, duration } = clockState.value;
  if (!entry || told.has(entry.key) || duration <= 0) return;
  if (time / duration >= PLAYED_FROM) return tellPlayed();
  told.add(entry.key);
  return void steer("skip", entry.track).catch(() => undefined);
}

// Media keys and the lock screen

/** @param {Track} track */
function announce(track) {
  document.title = `${titleOf(track)} · ${artistOf(track)}`;
  if (!("mediaSession" in navigator)) return;
  const artwork = [160, 320, 640].map((size) => ({
    src: `/api/v1/media/${track.track_id}/cover?size=${size}`,
    sizes: `${size}x${size}`,
    type: "image/webp",
  }));
  navigator.mediaSession.metadata = new MediaMetadata({
    title: titleOf(track),
    artist: artistOf(track),
    album: track.album ?? "",
    artwork,
  });
}

/** @param {Deck} deck */
function tellPosition(deck) {
  if (!("mediaSession" in navigator) || !(deck.duration > 0)) return;
  navigator.mediaSession.playbackState = player.value.playing ? "playing" : "paused";
  navigator.mediaSession.setPositionState({
    duration: deck.duration,
    position: Math.min(deck.time, deck.duration),
  });
}

/** Answer the keys of keyboards and headphones. */
export function listenToMediaKeys() {
  if (!("mediaSession" in navigator)) return;
  /** @type {[MediaSessionAction, MediaSessionActionHandler][]} */
  const keys = [
    ["play", () => !player.value.playing && toggle()],
    ["pause", () => player.value.playing && toggle()],
    ["nexttrack", () => step(1)],
    ["previoustrack", () => step(-1)],
    ["seekto", (details) => seek(details.seekTime ?? 0)],
    ["seekforward", (details) => seek(clockState.value.time + (details.seekOffset ?? 10))],
    ["seekbackward", (details) => seek(clockState.value.time - (details.seekOffset ?? 10))],
  ];
  for (const [action, act] of keys) {
    try {
      navigator.mediaSession.setActionHandler(action, act);
    } catch {
      // The browser does not know this key.
    }
  }
}

// After a restart

function keep() {
  const { queue, at, station } = player.value;
  const first = Math.max(0, at - 50);
  const rows = queue.slice(first, first + 300);
  remember("queue", {
    rows: rows.map((entry) => [entry.track.track_id, entry.session, entry.from]),
    at: at - first,
    time: clockState.value.time,
    station,
  });
}

addEventListener("pagehide", keep);
setInterval(() => player.value.playing && keep(), 5000);

const NOTHING_KEPT = {
  rows: /** @type {[number, number | null, string][]} */ ([]),
  at: -1,
  time: 0,
  station: player.value.station,
};

/** Take up the queue where the last visit left it. */
export async function restore() {
  const kept = remembered("queue", NOTHING_KEPT);
  if (!kept.rows.length) return;
  /** @type {{tracks: Track[]}} */
  const { tracks } = await get("/tracks", { ids: kept.rows.map((row) => row[0]).join(",") });
  if (player.value.queue.length) return;
  const byId = new Map(tracks.map((track) => [track.track_id, track]));
  /** @type {Entry[]} */
  const queue = [];
  let at = -1;
  kept.rows.forEach(([id, session, from], row) => {
    const track = byId.get(id);
    if (!track) return;
    if (row === kept.at) at = queue.length;
    queue.push({ key: key++, track, session, from });
  });
  player.set({ station: kept.station ?? null });
  if (at >= 0) start(queue, at, kept.time, false);
  else player.set({ queue });
}
