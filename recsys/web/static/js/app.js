/** The frame of the page: screens, player, panel, menu, messages. */
import { get, post, Problem } from "./api.js";
import { html, render, useEffect, useRef, useState } from "./html.js";
import { Icon } from "./icons.js";
import { listenToKeys, KeysDialog } from "./keyboard.js";
import { library, listen } from "./live.js";
import { listenToMediaKeys, player, restore } from "./player.js";
import { place } from "./router.js";
import { useWatched } from "./state.js";
import { T } from "./texts.js";
import { chooseTheme, theme, themes } from "./theme.js";
import { Toasts } from "./toasts.js";
import { AddToPlaylist } from "./parts/add-to-playlist.js";
import { Menu, openMenu } from "./parts/menu.js";
import { Panel } from "./parts/queue.js";
import { PlayerBar } from "./parts/player-bar.js";
import { RunDialog, RunNotice } from "./parts/run.js";
import { Empty } from "./screens/empty.js";
import { Library } from "./screens/library.js";
import { MapScreen } from "./screens/map.js";
import { Mood } from "./screens/mood.js";
import { Playlists } from "./screens/playlists.js";
import { Radio } from "./screens/radio.js";
import { TrackScreen } from "./screens/track.js";

/** @type {Record<string, any>} */
const SCREENS = {
  library: Library,
  radio: Radio,
  track: TrackScreen,
  playlists: Playlists,
  map: MapScreen,
  mood: Mood,
};

/** @type {("library" | "radio" | "playlists" | "map" | "mood")[]} */
const NAVIGATION = ["library", "radio", "playlists", "map", "mood"];

function Navigation() {
  const screen = useWatched(place, (value) => value.here.screen);
  const chosen = useWatched(theme, (value) => value.name);
  const hasMap = useWatched(library, (value) => value.routes.has("/api/v1/map"));
  return html`<nav class="nav" aria-label=${T.nav.label}>
    <a class="brand" href="#/library" aria-label=${T.name}>
      <img src="/static/icon.svg" alt="" width="28" height="28" /><b>${T.name}</b>
    </a>
    ${NAVIGATION.filter((name) => name !== "map" || hasMap).map(
      (name) => html`<a
        key=${name}
        href=${`#/${name}`}
        aria-current=${screen === name ? "page" : undefined}
      >
        <${Icon} name=${name} /><span>${T.nav[name]}</span>
      </a>`,
    )}
    <button
      class="nav-theme icon-button"
      aria-label=${T.nav.theme}
      aria-haspopup="menu"
      onClick=${(/** @type {any} */ event) =>
        openMenu(
          event.currentTarget,
          themes.map(([name, label]) => ({
            label,
            checked: name === chosen,
            act: () => chooseTheme(name),
          })),
          T.nav.theme,
        )}
    >
      <${Icon} name="theme" />
    </button>
  </nav>`;
}

function Screen() {
  const here = useWatched(place, (value) => value.here);
  const { loaded, empty, offline, trouble } = useWatched(library, (value) => value);
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    main.current?.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [here.screen, here.id]);
  const Shown = SCREENS[here.screen] ?? Library;
  const notice = offline ? T.offline : trouble;
  return html`<main id="content" tabindex="-1" ref=${main} class=${`screen-${here.screen}`}>
    ${notice && html`<p class="notice" role="alert">${notice}</p>`}
    <${RunNotice} />
    ${loaded && empty ? html`<${Empty} />` : html`<${Shown} key=${here.screen} id=${here.id} />`}
  </main>`;
}

function App() {
  const hasPlayer = useWatched(player, (p) => p.at >= 0);
  return html`<div class=${`app${hasPlayer ? " with-player" : ""}`}>
      <a class="skip-link" href="#content" onClick=${skipToContent}>${T.skipToContent}</a>
      <${Navigation} />
      <${Screen} />
      <${Panel} />
      <${PlayerBar} />
    </div>
    <${RunDialog} />
    <${KeysDialog} />
    <${AddToPlaylist} />
    <${Menu} />
    <${Toasts} />`;
}

/** @param {Event} event */
function skipToContent(event) {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function Login() {
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState(false);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    post("/login", { token: token.trim() }).then(
      () => location.reload(),
      () => setWrong(true),
    );
  };
  return html`<main class="login">
    <form onSubmit=${submit}>
      <img src="/static/icon.svg" alt="" width="56" height="56" />
      <h1>${T.login.title}</h1>
      <label>
        ${T.login.token}
        <input
          type="password"
          autocomplete="current-password"
          autofocus
          value=${token}
          onInput=${(/** @type {any} */ event) => setToken(event.target.value)}
        />
      </label>
      <p class="quiet" role="status">${wrong ? T.login.wrong : T.login.hint}</p>
      <button class="button primary">${T.login.submit}</button>
    </form>
  </main>`;
}

async function begin() {
  const server = await get("/server").catch((error) => {
    if (!(error instanceof Problem)) throw error;
    return { login: false, logged_in: true, home: "" };
  });
  if (server.login && !server.logged_in) {
    render(html`<${Login} />`, document.body);
    return;
  }
  library.set({ home: server.home ?? "" });
  listen();
  listenToMediaKeys();
  listenToKeys();
  render(html`<${App} />`, document.body);
  await restore().catch(() => undefined);
}

void begin();
