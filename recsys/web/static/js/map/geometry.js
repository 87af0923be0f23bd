/** Lassos, ways, and labels that do not collide. */

/** @typedef {[number, number]} Point */

/**
 * @param {number} x
 * @param {number} y
 * @param {Point[]} polygon
 */
export function isInside(x, y, polygon) {
  let inside = false;
  for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at++) {
    const [ax, ay] = polygon[at];
    const [bx, by] = polygon[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/** @param {Point[]} points */
export const bounds = (points) => ({
  minX: Math.min(...points.map((p) => p[0])),
  minY: Math.min(...points.map((p) => p[1])),
  maxX: Math.max(...points.map((p) => p[0])),
  maxY: Math.max(...points.map((p) => p[1])),
});

/**
 * Places at equal distances along a line.
 * @param {Point[]} line
 * @param {number} count
 * @returns {Point[]}
 */
export function along(line, count) {
  const lengths = line.slice(1).map((p, at) => Math.hypot(p[0] - line[at][0], p[1] - line[at][1]));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  /** @type {Point[]} */
  const places = [];
  for (let step = 0; step < count; step++) {
    let left = count > 1 ? (total * step) / (count - 1) : 0;
    let at = 0;
    while (at < lengths.length - 1 && left > lengths[at]) left -= lengths[at++];
    const share = lengths[at] ? Math.min(1, left / lengths[at]) : 0;
    const [from, to] = [line[at], line[at + 1] ?? line[at]];
    places.push([from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share]);
  }
  return places;
}

/**
 * The labels that have room, the first ones first.
 * @template {{left: number, top: number, width: number, height: number}} Label
 * @param {Label[]} labels
 * @returns {Label[]}
 */
export function withRoom(labels) {
  /** @type {Label[]} */
  const placed = [];
  for (const label of labels) {
    const free = placed.every(
      (other) =>
        Math.abs(label.left - other.left) > (label.width + other.width) / 2 ||
        Math.abs(label.top - other.top) > (label.height + other.height) / 2,
    );
    if (free) placed.push(label);
  }
  return placed;
}
