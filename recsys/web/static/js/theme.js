/** Light, dark, or as the system has it. */
import { State, remember, remembered } from "./state.js";
import { T } from "./texts.js";

/** @type {[string, string][]} */
export const themes = [
  ["auto", T.nav.themeAuto],
  ["light", T.nav.themeLight],
  ["dark", T.nav.themeDark],
];

export const theme = new State({ name: remembered("theme", "auto") });

const system = matchMedia("(prefers-color-scheme: dark)");

function apply() {
  const { name } = theme.value;
  const dark = name === "dark" || (name === "auto" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

/** @param {string} name */
export function chooseTheme(name) {
  remember("theme", name);
  theme.set({ name });
  apply();
}

system.addEventListener("change", apply);
apply();
