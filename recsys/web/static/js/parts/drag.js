/** Rows that can be dragged; with the keyboard, Alt and an arrow move them. */

/**
 * @param {number} position
 * @param {(from: number, to: number) => void} move
 */
export function dragProperties(position, move) {
  return {
    draggable: true,
    onDragStart: (/** @type {DragEvent} */ event) => {
      event.dataTransfer?.setData("text/x-row", String(position));
      if (event.dataTransfer) event.dataTransfer.effectAllowed = "move";
      /** @type {HTMLElement} */ (event.currentTarget).classList.add("dragged");
    },
    onDragEnd: (/** @type {DragEvent} */ event) =>
      /** @type {HTMLElement} */ (event.currentTarget).classList.remove("dragged"),
    onDragOver: (/** @type {DragEvent} */ event) => {
      if (!event.dataTransfer?.types.includes("text/x-row")) return;
      event.preventDefault();
      /** @type {HTMLElement} */ (event.currentTarget).classList.add("drop-here");
    },
    onDragLeave: (/** @type {DragEvent} */ event) =>
      /** @type {HTMLElement} */ (event.currentTarget).classList.remove("drop-here"),
    onDrop: (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      /** @type {HTMLElement} */ (event.currentTarget).classList.remove("drop-here");
      const from = Number(event.dataTransfer?.getData("text/x-row"));
      if (Number.isInteger(from) && from !== position) move(from, position);
    },
    onKeyDown: (/** @type {KeyboardEvent} */ event) => {
      const to = { ArrowUp: position - 1, ArrowDown: position + 1 }[event.key];
      if (!event.altKey || to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      move(position, to);
    },
  };
}
