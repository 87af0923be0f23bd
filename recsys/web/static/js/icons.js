/** Icons of 24 units, drawn with the colour of the text. */
import { html } from "./html.js";

/** @type {Record<string, string>} */
const PATHS = {
  play: "M8 5.3v13.4a.8.8 0 0 0 1.2.7l11-6.7a.8.8 0 0 0 0-1.4l-11-6.7a.8.8 0 0 0-1.2.7z",
  pause: "M7.5 5h2.6c.5 0 .9.4.9.9v12.2c0 .5-.4.9-.9.9H7.5a.9.9 0 0 1-.9-.9V5.9c0-.5.4-.9.9-.9zM13.9 5h2.6c.5 0 .9.4.9.9v12.2c0 .5-.4.9-.9.9h-2.6a.9.9 0 0 1-.9-.9V5.9c0-.5.4-.9.9-.9z",
  next: "M5 6.2v11.6a.8.8 0 0 0 1.2.7L14.5 13v5.2c0 .4.4.8.8.8h1.4c.4 0 .8-.4.8-.8V5.8c0-.4-.4-.8-.8-.8h-1.4c-.4 0-.8.4-.8.8V11L6.2 5.5A.8.8 0 0 0 5 6.2z",
  previous: "M19 6.2v11.6a.8.8 0 0 1-1.2.7L9.5 13v5.2c0 .4-.4.8-.8.8H7.3c-.4 0-.8-.4-.8-.8V5.8c0-.4.4-.8.8-.8h1.4c.4 0 .8.4.8.8V11l8.3-5.5a.8.8 0 0 1 1.2.7z",
};

/** @type {Record<string, string>} */
const LINES = {
  library: "M4 5v14M8 5v14M12.5 5.5l5.5 13.5M20 19V9",
  radio: "M12 12h.01M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7M5.6 18.4a9 9 0 0 1 0-12.8M18.4 5.6a9 9 0 0 1 0 12.8",
  playlists: "M4 6h11M4 11h11M4 16h6M17 19V9l4 2M17 19a2.2 2.2 0 1 1-4.4 0 2.2 2.2 0 0 1 4.4 0z",
  map: "M9 4L3.5 6.5v13.5L9 17.5l6 2.5 5.5-2.5V4L15 6.5zM9 4v13.5M15 6.5V20",
  mood: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.5 14.5s1.2 2 3.5 2 3.5-2 3.5-2M9 9.5h.01M15 9.5h.01",
  heart: "M12 20s-7.5-4.6-7.5-10.2A4.3 4.3 0 0 1 12 7a4.3 4.3 0 0 1 7.5 2.8C19.5 15.4 12 20 12 20z",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  queue: "M4 7h16M4 12h16M4 17h9",
  volume: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  muted: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
  why: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.6 9.5a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.2 1-1.2 1.9M12 16.8h.01",
  camera: "M4.5 8h3l1.6-2.5h5.8L16.5 8h3A1.5 1.5 0 0 1 21 9.5v8a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 17.5v-8A1.5 1.5 0 0 1 4.5 8zM12 16.5a3.3 3.3 0 1 0 0-6.6 3.3 3.3 0 0 0 0 6.6z",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  down: "M6 9.5l6 6 6-6",
  up: "M6 14.5l6-6 6 6",
  back: "M14.5 6l-6 6 6 6",
  folder: "M3.5 7.5V18a1.5 1.5 0 0 0 1.5 1.5h14a1.5 1.5 0 0 0 1.5-1.5V9A1.5 1.5 0 0 0 19 7.5h-7L10 5H5a1.5 1.5 0 0 0-1.5 1.5z",
  lock: "M7 11V8.5a5 5 0 0 1 10 0V11M6 11h12v9H6z",
  unlock: "M7 11V8.5a5 5 0 0 1 9.6-2M6 11h12v9H6z",
  dice: "M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zM8.5 8.5h.01M15.5 15.5h.01M12 12h.01M15.5 8.5h.01M8.5 15.5h.01",
  ban: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM6 6l12 12",
  undo: "M8.5 5L4 9.5 8.5 14M4 9.5h10a5.5 5.5 0 0 1 0 11h-3",
  grip: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  theme: "M12 3.5v17a8.5 8.5 0 0 0 0-17zM12 20.5a8.5 8.5 0 0 1 0-17",
  refresh: "M20 11a8 8 0 0 0-14.3-4L4 9M4 4.5V9h4.5M4 13a8 8 0 0 0 14.3 4l1.7-2M20 19.5V15h-4.5",
  repeat: "M17 3.5l3 3-3 3M4 11V9.5a3 3 0 0 1 3-3h13M7 20.5l-3-3 3-3M20 13v1.5a3 3 0 0 1-3 3H4",
  shuffle: "M17 4l3 3-3 3M17 14l3 3-3 3M4 7h3.5c4.5 0 5 10 9.5 10h3M4 17h3.5c1.5 0 2.5-1.1 3.2-2.6M13.3 9.6C14 8.1 15 7 16.5 7H20",
  lasso: "M12 5c4.7 0 8.5 2.2 8.5 5s-3.8 5-8.5 5-8.5-2.2-8.5-5S7.3 5 12 5zM7 14.5c-1 1.5 0 3 1.5 3s2 1.5 1 3.5",
  way: "M5 19c6 0 2-9 7-9s3-5 7-5M5 19h.01M19 5h.01",
  move: "M12 4v16M4 12h16M12 4l-2 2M12 4l2 2M12 20l-2-2M12 20l2-2M4 12l2-2M4 12l2 2M20 12l-2-2M20 12l-2 2",
  check: "M5 12.5l4.5 4.5L19 7.5",
  sliders: "M4 8h9M17 8h3M4 16h3M11 16h9M15 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM9 18a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  target: "M12 19a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM12 2.5V5M12 19v2.5M2.5 12H5M19 12h2.5",
};

/**
 * @param {{name: string, filled?: boolean, size?: number}} properties
 */
export function Icon({ name, filled = false, size = 20 }) {
  const solid = PATHS[name];
  return html`<svg
    class="icon"
    width=${size}
    height=${size}
    viewBox="0 0 24 24"
    aria-hidden="true"
    fill=${solid || filled ? "currentColor" : "none"}
    stroke=${solid ? "none" : "currentColor"}
    stroke-width=${name === "more" || name === "grip" ? 2.6 : 1.7}
    stroke-linecap="round"
    stroke-linejoin="round"
  >
    <path d=${solid || LINES[name]} />
  </svg>`;
}
