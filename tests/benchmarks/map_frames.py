"""How fast the map is in a browser: ``python -m tests.benchmarks.map_frames --tracks 100000``.

A planted library is served and opened in Chromium, without a graphics card unless
RECSYS_CHROMIUM_FLAGS give it one. A frame counts when the browser draws it: the pointer drags,
turns the wheel and hovers as fast as the page takes it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from recsys.index.sync import open_index, required_model, save_index
from recsys.store import Store
from recsys.web.projection import Projection, map_file, project, save, trustworthiness
from tests.benchmarks.planted_libraries import make_library, music_of
from tests.page.conftest import FLAGS, chromium, served

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from recsys.types import FloatArray

SECONDS = 6.0
SIZE = {"width": 1280, "height": 800}

COUNT = """() => {
  window.frames_ = [];
  const count = (at) => { frames_.push(at); requestAnimationFrame(count); };
  requestAnimationFrame(count);
}"""


def plane(embeddings: FloatArray) -> np.ndarray[Any, Any]:
    """Return places by the two directions in which embeddings differ most: quick, and no map."""
    centred = embeddings - embeddings.mean(axis=0)
    _, _, directions = np.linalg.svd(centred[:5000], full_matrices=False)
    flat = centred @ directions[:2].T
    low, high = np.percentile(flat, [0.1, 99.9], axis=0)
    scaled = np.clip((flat - low) / (high - low).max(), 0, 1)
    return (scaled * (2**16 - 1)).round().astype(np.uint16)


def make(database: Path, tracks: int, *, umap: bool) -> dict[str, float | None]:
    """Make a planted library and its map; return what is known of it."""
    make_library(database, tracks)
    with Store.open(database) as store:
        save_index(store, index := open_index(store))
        ids = np.sort(index.ids())
        embeddings = index.vectors(ids.tolist())
        begun = time.perf_counter()
        places = project(embeddings) if umap else plane(embeddings)
        took = time.perf_counter() - begun
        true = trustworthiness(embeddings, places)
        save(Projection(ids, places, required_model(store).fingerprint, true), map_file(database))
    return {"map_s": round(took, 1), "trustworthiness": true and round(true, 3)}


def frames(page: Page, act: Callable[[float], None]) -> dict[str, float]:
    """Return the frames a second while something is done, and the longest time between two."""
    page.evaluate("window.frames_ = []")
    begun = time.perf_counter()
    while (passed := time.perf_counter() - begun) < SECONDS:
        act(passed)
    at = np.array(page.evaluate("window.frames_"))
    gaps = np.diff(at)
    return {
        "frames_per_s": round(1000 * len(gaps) / float(gaps.sum()), 1),
        "slowest_tenth_ms": round(float(np.quantile(gaps, 0.9)), 1),
        "longest_ms": round(float(gaps.max()), 1),
    }


def measure(page: Page, address: str) -> dict[str, Any]:
    """Open the map, move in it, and measure."""
    page.goto(address)
    page.locator(".row").first.wait_for()
    begun = time.perf_counter()
    page.evaluate("location.hash = '/map'")
    page.locator(".map-labels span").first.wait_for()
    result: dict[str, Any] = {"shown_after_s": round(time.perf_counter() - begun, 2)}
    page.evaluate(COUNT)
    box = page.locator(".map-box").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    renderer = page.evaluate("""() => {
      const gl = document.createElement("canvas").getContext("webgl2");
      const about = gl.getExtension("WEBGL_debug_renderer_info");
      return gl.getParameter(about ? about.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
    }""")
    result["renderer"] = renderer

    def round_about(passed: float) -> None:
        page.mouse.move(x + 150 * np.sin(3 * passed), y + 100 * np.cos(3 * passed))

    page.mouse.move(x, y + 100)
    page.mouse.down()
    result["drag"] = frames(page, round_about)
    page.mouse.up()
    result["zoom"] = frames(page, lambda s: page.mouse.wheel(0, -40 if s % 2 < 1 else 40))
    result["hover"] = frames(page, round_about)
    page.get_by_role("button", name="Lasso").click()
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -0.9)]
    page.mouse.move(x - 200, y - 150)
    page.mouse.down()
    for right, down in corners:
        page.mouse.move(x + 200 * right, y + 150 * down, steps=8)
    begun = time.perf_counter()
    page.mouse.up()
    page.locator(".map-selected").wait_for()
    result["lasso_s"] = round(time.perf_counter() - begun, 2)
    result["selected"] = page.locator(".map-selected b").inner_text()
    return result


@click.command()
@click.option("--tracks", default=100_000, show_default=True, help="Points of the map.")
@click.option("--umap", is_flag=True, help="A true map, by UMAP: minutes.")
@click.option("--picture", type=click.Path(path_type=Path), help="Keep a picture of the map here.")
def main(tracks: int, umap: bool, picture: Path | None) -> None:
    """Measure how fast the map of a planted library is in Chromium; print one JSON object."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        sys.exit("no Chromium: install Debian's package chromium, or name one: RECSYS_CHROMIUM")
    flags = [*FLAGS, *os.environ.get("RECSYS_CHROMIUM_FLAGS", "").split()]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "library.db"
        result: dict[str, Any] = {"tracks": tracks, **make(database, tracks, umap=umap)}
        with served(database, music_of(database)) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=flags)
            page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
            page.set_default_timeout(120_000)
            result |= measure(page, server.address)
            if picture is not None:
                page.get_by_role("button", name="The whole map").click()
                page.wait_for_timeout(1000)
                page.screenshot(path=picture)
            browser.close()
    print(json.dumps(result, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
