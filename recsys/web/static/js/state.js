/** A value that components can watch. */
import { useEffect, useRef, useState } from "./html.js";

/** @template {object} T */
export class State {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<() => void>} */
    this.watchers = new Set();
  }

  /** @param {Partial<T>} change */
  set(change) {
    this.value = { ...this.value, ...change };
    for (const watcher of [...this.watchers]) watcher();
  }

  /**
   * @param {() => void} watcher
   * @returns {() => void} to stop watching
   */
  watch(watcher) {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }
}

/**
 * The part of a state that a component shows: it is drawn again when that part changes.
 * @template {object} T
 * @template R
 * @param {State<T>} state
 * @param {(value: T) => R} select
 * @returns {R}
 */
export function useWatched(state, select) {
  const [, redraw] = useState({});
  const shown = useRef(/** @type {{select: (value: T) => R, value: R}} */ ({}));
  shown.current = { select, value: select(state.value) };
  useEffect(() => {
    const check = () => {
      if (shown.current.select(state.value) !== shown.current.value) redraw({});
    };
    check();
    return state.watch(check);
  }, [state]);
  return shown.current.value;
}

/**
 * A value that outlives the page.
 * @template T
 * @param {string} name
 * @param {T} otherwise
 * @returns {T}
 */
export function remembered(name, otherwise) {
  try {
    const text = localStorage.getItem(`recsys.${name}`);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/**
 * @param {string} name
 * @param {unknown} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(`recsys.${name}`, JSON.stringify(value));
  } catch {
    // Storage is full or forbidden: the page forgets, and works.
  }
}
