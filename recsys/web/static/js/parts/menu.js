/** One menu at a time, beside what opened it. */
import { html, useEffect, useLayoutEffect, useRef } from "../html.js";
import { Icon } from "../icons.js";
import { State, useWatched } from "../state.js";

/** @typedef {{label: string, icon?: string, act: () => void, danger?: boolean, checked?: boolean}} Item */

const menu = new State({
  /** @type {{anchor: Element, items: (Item | null)[], label: string} | null} */
  open: null,
});

/**
 * @param {Element} anchor
 * @param {(Item | null | false)[]} items null draws a line
 * @param {string} label
 */
export function openMenu(anchor, items, label) {
  const shown = /** @type {(Item | null)[]} */ (items.filter((item) => item !== false));
  menu.set({ open: menu.value.open?.anchor === anchor ? null : { anchor, items: shown, label } });
}

function close() {
  const anchor = menu.value.open?.anchor;
  menu.set({ open: null });
  if (anchor instanceof HTMLElement) anchor.focus({ preventScroll: true });
}

/** @param {KeyboardEvent} event */
function walk(event) {
  const list = /** @type {HTMLElement} */ (event.currentTarget);
  const items = [...list.querySelectorAll("button")];
  const at = items.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to !== undefined) {
    items[(to + items.length) % items.length]?.focus();
  } else if (event.key === "Escape" || event.key === "Tab") {
    close();
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** A dialog has a menu of its own, since nothing outside it can be used. @param {{inDialog?: boolean}} properties */
export function Menu({ inDialog = false }) {
  const open = useWatched(menu, ({ open: each }) =>
    each && (each.anchor.closest("dialog") !== null) === inDialog ? each : null);
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  useLayoutEffect(() => {
    if (!open || !box.current) return;
    const at = open.anchor.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = box.current;
    const below = at.bottom + 4 + height <= innerHeight - 8;
    const left = Math.max(8, Math.min(at.right - width, innerWidth - width - 8));
    box.current.style.left = `${left}px`;
    box.current.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - height - 4)}px`;
    box.current.querySelector("button")?.focus({ preventScroll: true });
  }, [open]);
  useEffect(() => {
    if (!open) return undefined;
    const away = (/** @type {Event} */ event) => {
      const target = /** @type {Node} */ (event.target);
      if (!box.current?.contains(target) && !open.anchor.contains(target)) menu.set({ open: null });
    };
    const scrolled = () => menu.set({ open: null });
    document.addEventListener("pointerdown", away, true);
    document.querySelector("main")?.addEventListener("scroll", scrolled);
    addEventListener("resize", scrolled);
    return () => {
      document.removeEventListener("pointerdown", away, true);
      document.querySelector("main")?.removeEventListener("scroll", scrolled);
      removeEventListener("resize", scrolled);
    };
  }, [open]);
  if (!open) return null;
  return html`<div class="menu" role="menu" aria-label=${open.label} ref=${box} onKeyDown=${walk}>
    ${open.items.map((item) =>
      item === null
        ? html`<div class="line" role="separator"></div>`
        : html`<button
            role=${item.checked === undefined ? "menuitem" : "menuitemradio"}
            aria-checked=${item.checked}
            tabindex="-1"
            class=${item.danger ? "danger" : ""}
            onClick=${() => {
              close();
              item.act();
            }}
          >
            ${item.icon && html`<${Icon} name=${item.icon} size=${18} />`}
            <span>${item.label}</span>
            ${item.checked && html`<${Icon} name="check" size=${18} />`}
          </button>`,
    )}
  </div>`;
}
