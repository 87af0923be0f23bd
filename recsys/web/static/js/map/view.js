/** Which part of the map is seen: its centre in 0..1 of the map, and how near. */

const NEAREST = 60;
const FARTHEST = 0.8;

export class View {
  x = 0.5;
  y = 0.5;
  zoom = 0.95;
  width = 1;
  height = 1;

  /** Pixels of the whole map. */
  get side() {
    return Math.min(this.width, this.height) * this.zoom;
  }

  /**
   * @param {number} x in 0..1
   * @param {number} y
   * @returns {[number, number]} pixels
   */
  toScreen(x, y) {
    return [(x - this.x) * this.side + this.width / 2, (y - this.y) * this.side + this.height / 2];
  }

  /**
   * @param {number} left pixels
   * @param {number} top
   * @returns {[number, number]} in 0..1
   */
  toMap(left, top) {
    return [(left - this.width / 2) / this.side + this.x, (top - this.height / 2) / this.side + this.y];
  }

  /** @param {number} right pixels @param {number} down */
  move(right, down) {
    this.x = Math.max(0, Math.min(1, this.x - right / this.side));
    this.y = Math.max(0, Math.min(1, this.y - down / this.side));
  }

  /** Zoom, and keep what lies at a pixel there. @param {number} by @param {number} left @param {number} top */
  zoomAt(by, left, top) {
    const [x, y] = this.toMap(left, top);
    this.zoom = Math.max(FARTHEST, Math.min(NEAREST, this.zoom * by));
    const [nowX, nowY] = this.toMap(left, top);
    this.x += x - nowX;
    this.y += y - nowY;
    this.move(0, 0);
  }

  reset() {
    this.x = this.y = 0.5;
    this.zoom = 0.95;
  }
}
