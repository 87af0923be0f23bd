/** The calls of the server. Errors are `Problem`s with sentences for the listener. */

const BASE = "/api/v1";
const OUTLIVES = 4096; // characters of a write that is sent even if the page is left at once

/** An answer that is none: `message` and `hint` are sentences. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, detail?: string, title?: string, hint?: string, reason?: string,
   *          matches?: import("./types").Match[]}} body
   */
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.code = body.code || "";
    this.hint = body.hint || "";
    this.reason = body.reason || "";
    this.matches = body.matches || [];
  }
}

/** @typedef {Record<string, string | number | boolean | null | undefined | (string|number)[]>} Parameters */

/** @param {Parameters} [parameters] */
export function queryText(parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === null || value === undefined || value === "" || value === false) continue;
    for (const each of Array.isArray(value) ? value : [value]) query.append(name, String(each));
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
async function send(method, path, body, signal) {
  /** @type {RequestInit} */
  const request = { method, signal, credentials: "same-origin" };
  if (method !== "GET") {
    request.headers = { "Content-Type": "application/json" };
    const text = JSON.stringify(body ?? {});
    request.body = text;
    // A like goes out though the page is reloaded; of what outlives a page, 64 KiB may be under way.
    request.keepalive = text.length < OUTLIVES;
  }
  let response;
  try {
    response = await fetch(BASE + path, request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, { code: "offline" });
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Problem(response.status, problem);
  }
  return response;
}

/**
 * @param {string} path
 * @param {Parameters} [parameters]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function get(path, parameters, signal) {
  return (await send("GET", path + queryText(parameters), undefined, signal)).json();
}

/**
 * @param {string} path
 * @param {Parameters} [parameters]
 * @param {AbortSignal} [signal]
 */
export async function getBytes(path, parameters, signal) {
  return (await send("GET", path + queryText(parameters), undefined, signal)).arrayBuffer();
}

/**
 * Bytes in rows, whose number and length the server tells.
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export async function getRows(path, signal) {
  const response = await send("GET", path, undefined, signal);
  const [rows, length] = (response.headers.get("X-Shape") ?? "").split(",").map(Number);
  return { rows, length, values: new Uint8Array(await response.arrayBuffer()) };
}

/**
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function post(path, body) {
  const response = await send("POST", path, body);
  return response.status === 204 ? null : response.json();
}

/**
 * @param {string} path
 * @param {unknown} body
 * @returns {Promise<any>}
 */
export async function put(path, body) {
  const response = await send("PUT", path, body);
  return response.status === 204 ? null : response.json();
}

/** @param {string} path */
export async function remove(path) {
  await send("DELETE", path);
}

/**
 * @param {string} path
 * @param {unknown} body
 */
export async function postForFile(path, body) {
  return (await send("POST", path, body)).blob();
}

/** @param {string} path */
export const address = (path) => BASE + path;

/**
 * @param {unknown} error
 * @returns {boolean} whether a request was called off on purpose
 */
export const wasAborted = (error) => error instanceof DOMException && error.name === "AbortError";
