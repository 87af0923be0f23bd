"""The page in a real browser, before a real server of synthetic music.

It needs Playwright (`make test` installs it) and a Chromium: Debian's package `chromium`, or the
one that RECSYS_CHROMIUM names. Without either the tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import mutagen
import pytest
from PIL import Image, ImageOps

import recsys.web  # noqa: F401 (so that the extra is known)
from recsys.api import Library
from recsys.demo import make_library

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Request, Response

SHORT_S = 8.0
HOSTILE = "<script>alert(1)</script> & \x1b[31m"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
# Without a graphics card, WebGL is drawn by the processor; without a click, sound may play.
FLAGS = (
    "--autoplay-policy=no-user-gesture-required",
    "--enable-unsafe-swiftshader",
    "--mute-audio",
)


def chromium() -> str | None:
    """Return the path of a Chromium."""
    given = os.environ.get("RECSYS_CHROMIUM")
    return given or next(filter(None, map(shutil.which, CHROMIUM)), None)


Launching = Callable[..., AbstractContextManager["Browser"]]


@pytest.fixture(scope="session")
def launching() -> Iterator[Launching]:
    """Start Chromium, with further flags."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: install Debian's package chromium, or name one: RECSYS_CHROMIUM")
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:

        @contextmanager
        def launch(*flags: str) -> Iterator[Browser]:
            args = [*FLAGS, *as_root, *flags]
            chrome = playwright.chromium.launch(executable_path=path, args=args)
            yield chrome
            chrome.close()

        yield launch


def camera(folder: Path, picture: Image.Image) -> tuple[str, str]:
    """Flags for a camera that sees a picture."""
    film = folder / "camera.y4m"
    size = (640, 480)
    with av.open(film, "w", format="yuv4mpegpipe") as target:
        stream = target.add_stream("rawvideo", rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_image(ImageOps.pad(picture.convert("RGB"), size))
        target.mux(stream.encode(frame.reformat(format="yuv420p")))
        target.mux(stream.encode())
    return "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"


@pytest.fixture(scope="session")
def browser(launching: Launching, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose camera, where a page may use it, sees the face of Grace Hopper.

    The photograph of 1984 is in the public domain, and comes with matplotlib.
    """
    cbook = pytest.importorskip("matplotlib.cbook")
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as portrait:
        flags = camera(tmp_path_factory.mktemp("camera"), portrait)
    with launching(*flags) as chrome:
        yield chrome


@dataclass
class Server:
    """A running `recsys serve`."""

    database: Path
    music: Path
    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rstrip("/").rsplit(":", 1)[1])


@contextmanager
def served(database: Path, music: Path, port: int = 0, *options: str) -> Iterator[Server]:
    """Run `recsys serve` as the command line does."""
    command = [sys.executable, "-m", "recsys", "serve", "--no-browser", "--json"]
    command += ["--port", str(port), "--db", str(database), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = json.loads(process.stdout.readline())["address"]
            yield Server(database, music, process, address)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tracks of eight styles; one has tags like HTML, four a language, one no sound."""
    folder = tmp_path_factory.mktemp("page") / "Music"
    paths = make_library(folder, duration_s=SHORT_S)
    first = next(path for path in paths if "breakbeat no. 1" in path.name)
    file = mutagen.File(first, easy=True)
    file["title"], file["year" if "year" in file else "date"] = HOSTILE, "1984"
    file.save()
    for path in paths:
        if "nocturne" in path.name:
            file = mutagen.File(path, easy=True)
            file["language"] = "German"
            file.save()
    (folder / "broken.mp3").write_bytes(b"no sound")
    return folder


@pytest.fixture(scope="session")
def indexed(music: Path) -> Path:
    database = music.parent / "library.db"
    with Library(database) as library:
        library.index(music)
    return database


@pytest.fixture
def database(indexed: Path, tmp_path: Path) -> Path:
    """A library of one's own."""
    for path in indexed.parent.glob("library.*"):
        target = tmp_path / path.name
        if path.is_dir():
            shutil.copytree(path, target)
        elif path.suffix != ".lock":
            shutil.copy(path, target)
    return tmp_path / "library.db"


@pytest.fixture
def server(database: Path, music: Path) -> Iterator[Server]:
    with served(database, music) as running:
        yield running


@dataclass
class Visit:
    """A page, and everything that must not happen on it."""

    page: Page
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    writes: list[tuple[str, Any]] = field(default_factory=list)

    def go(self, place: str) -> None:
        self.page.evaluate("place => { location.hash = place }", f"/{place}")

    def check(self) -> None:
        """Fail where something was fetched from elsewhere, or broke."""
        assert self.foreign == []
        assert self.errors == []


def watched(page: Page, address: str) -> Visit:
    """Note requests to other hosts, errors of scripts and of the policy, and what is written."""
    visit = Visit(page)

    def requested(request: Request) -> None:
        if not request.url.startswith((address, "blob:", "data:")):
            visit.foreign.append(request.url)
        if request.method != "GET":
            path = request.url.removeprefix(address)
            visit.writes.append((path, json.loads(request.post_data or "{}")))

    def answered(response: Response) -> None:
        if response.status >= 500 and response.status != 503:  # 503: there is no library yet
            visit.errors.append(f"{response.status} {response.url}")

    def said(message: Any) -> None:
        # That a cover or a map is not there is no error.
        if message.type == "error" and "Failed to load resource" not in message.text:
            visit.errors.append(message.text)

    page.on("request", requested)
    page.on("response", answered)
    page.on("console", said)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    return visit


Visiting = Callable[..., Visit]


@pytest.fixture
def visiting(browser: Browser, server: Server) -> Iterator[Visiting]:
    """Open the page, of any size and in any colours; whatever must not happen fails the test."""
    visits: list[Visit] = []
    contexts: list[BrowserContext] = []

    def visit(width: int = 1280, theme: str = "light", place: str = "", **options: Any) -> Visit:
        phone = width < 700
        context = browser.new_context(
            viewport={"width": width, "height": 844 if phone else 800},
            color_scheme=theme,  # type: ignore[arg-type]
            is_mobile=phone,
            has_touch=phone,
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(60_000)  # a machine may be slow
        opened = watched(context.new_page(), server.address)
        visits.append(opened)
        opened.page.goto(f"{server.address}#/{place}")
        opened.page.locator("nav a").last.wait_for()
        return opened

    yield visit
    for opened in visits:
        opened.check()
    for context in contexts:
        context.close()
