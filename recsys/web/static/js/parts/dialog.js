/** A window over the page: the browser keeps the focus inside, and Escape closes it. */
import { html, useEffect, useRef } from "../html.js";
import { Icon } from "../icons.js";
import { T } from "../texts.js";
import { Toasts } from "../toasts.js";
import { Menu } from "./menu.js";

/**
 * @param {{title: string, onClose: () => void, children?: any, kind?: string}} properties
 */
export function Dialog({ title, onClose, children, kind = "" }) {
  const box = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const before = document.activeElement;
    box.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    };
  }, []);
  const outside = (/** @type {MouseEvent} */ event) => event.target === box.current && onClose();
  return html`<dialog
    ref=${box}
    class=${kind}
    aria-label=${title}
    onCancel=${(/** @type {Event} */ event) => {
      event.preventDefault();
      onClose();
    }}
    onMouseDown=${outside}
  >
    <div class="dialog-body">
      <header>
        <h2>${title}</h2>
        <button class="icon-button" aria-label=${T.close} onClick=${onClose}>
          <${Icon} name="close" />
        </button>
      </header>
      ${children}
    </div>
    <${Menu} inDialog />
    <${Toasts} />
  </dialog>`;
}
