/** The tracks of a search: all ids at once, and the rows that are seen. */
import { get, getBytes, wasAborted } from "../api.js";
import { useCallback, useEffect, useRef, useState } from "../html.js";
import { sayProblem } from "../toasts.js";

const PAGE = 100; // rows asked for at once
const WAIT_MS = 60; // while one scrolls past
const QUEUED = 300; // tracks that playing a row puts into the queue

/** @typedef {import("../types").Track} Track */

/** @param {Iterable<number>} ids @returns {Promise<Track[]>} */
async function fetchTracks(ids) {
  const answer = await get("/tracks", { ids: [...ids].join(",") });
  return answer.tracks;
}

/**
 * @param {import("../api.js").Parameters} wish
 * @param {number} revision asks again where it changes
 */
export function useTracks(wish, revision) {
  const [ids, setIds] = useState(/** @type {Uint32Array | null} */ (null));
  const [, redraw] = useState(0);
  const rows = useRef(/** @type {Map<number, Track>} */ (new Map()));
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  const text = JSON.stringify(wish);
  useEffect(() => {
    const stop = new AbortController();
    getBytes("/tracks/ids", wish, stop.signal).then(
      (bytes) => {
        if (stop.signal.aborted) return;
        rows.current = new Map();
        setIds(new Uint32Array(bytes));
      },
      (error) => {
        if (!wasAborted(error)) sayProblem(error);
      },
    );
    return () => stop.abort();
  }, [text, revision]);
  const trackAt = (/** @type {number} */ index) => ids ? rows.current.get(ids[index]) : undefined;
  const onSeen = useCallback(
    (/** @type {number} */ first, /** @type {number} */ last) => {
      if (!ids) return;
      clearTimeout(timer.current);
      const known = rows.current;
      timer.current = setTimeout(
        () => {
          const from = Math.floor(first / PAGE) * PAGE;
          const to = Math.min(ids.length, Math.ceil(last / PAGE) * PAGE);
          const wanted = ids.subarray(from, to).filter((id) => !known.has(id));
          if (!wanted.length) return;
          fetchTracks(wanted.subarray(0, 500)).then((tracks) => {
            for (const track of tracks) known.set(track.track_id, track);
            redraw((n) => n + 1);
          }, sayProblem);
        },
        known.size ? WAIT_MS : 0,
      );
    },
    [ids],
  );
  return {
    ids,
    count: ids?.length ?? 0,
    trackAt,
    onSeen,
    /** The tracks from `index` on. @param {number} index */
    around: (index) => fetchTracks((ids ?? new Uint32Array()).subarray(index, index + QUEUED)),
    /** As many at random. @param {number} count */
    drawn: (count) => {
      const left = [...(ids ?? [])];
      const drawn = [];
      while (left.length && drawn.length < count) {
        const at = Math.floor(Math.random() * left.length);
        drawn.push(left[at]);
        left[at] = left[left.length - 1];
        left.pop();
      }
      return fetchTracks(drawn);
    },
  };
}
