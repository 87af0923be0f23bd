"""The map, of points whose places are known; the routes of the server are played by the test."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.page.test_listening import until
from tests.page.test_screens import check

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.page.conftest import Visiting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GENRES = ["jazz", "rock"]
# Of 32 tracks, the first half lies left, the others right.
PLACES = [(0.2 if id_ <= 16 else 0.8, 0.1 + 0.05 * (id_ % 16)) for id_ in range(1, 33)]


def points() -> bytes:
    count = len(PLACES)
    scaled = [round(value * 65535) for place in PLACES for value in place]
    genres = [0 if x < 0.5 else 1 for x, _ in PLACES]
    ids = range(1, count + 1)
    return struct.pack(f"<{count}I{2 * count}H{count}B", *ids, *scaled, *genres)


def show(visiting: Visiting, width: int, theme: str) -> Page:
    answer = {
        "state": "ready",
        "points": len(PLACES),
        "revision": 1,
        "trustworthiness": 0.93,
        "neighbours": 12,
        "genres": GENRES,
        "regions": [
            {"name": "jazz", "x": 0.2, "y": 0.5, "tracks": 16},
            {"name": "rock", "x": 0.8, "y": 0.5, "tracks": 15},
            {"name": "hidden", "x": 0.8, "y": 0.51, "tracks": 1},  # no room under "rock"
        ],
    }
    visit = visiting(width, theme)
    page = visit.page
    page.route("**/api/v1/map", lambda route: route.fulfill(json=answer))
    page.route("**/api/v1/map/points", lambda route: route.fulfill(body=points()))
    visit.go("map")
    page.locator(".map-labels span").first.wait_for()
    check(visit, "map")
    return page


def title_of(page: Page, track: int) -> str:
    """Return the title of a track, as far as it is shown."""
    told = page.evaluate(f"fetch('/api/v1/tracks/{track}').then(answer => answer.json())")
    return str(told["title"]).split("\x1b")[0]


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return the pixel of a place of the map, which is seen as a whole."""
    box = page.locator(".map-box").bounding_box()
    assert box is not None
    side = min(box["width"], box["height"]) * 0.95
    return (
        box["x"] + box["width"] / 2 + (x - 0.5) * side,
        box["y"] + box["height"] / 2 + (y - 0.5) * side,
    )


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_labels_have_room(visiting: Visiting, width: int, theme: str) -> None:
    page = show(visiting, width, theme)
    assert sorted(page.locator(".map-labels span").all_inner_texts()) == GENRES


def test_a_lasso_takes_what_lies_in_it(visiting: Visiting) -> None:
    page = show(visiting, 1280, "dark")
    page.get_by_role("button", name="Lasso").click()
    box = page.locator(".map-box").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2
    left, top, bottom = box["x"] + 4, box["y"] + 4, box["y"] + box["height"] - 4
    corners = [(left, top), (middle, top), (middle, bottom), (left, bottom)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner)
    page.mouse.up()
    page.get_by_text("16 tracks selected").wait_for()
    page.get_by_role("button", name="Play them").click()
    page.locator(".player").wait_for()
    kept = page.evaluate("() => JSON.parse(localStorage.getItem('recsys.queue')).rows")
    assert sorted(row[0] for row in kept) == list(range(1, 17))


def test_a_click_plays_the_nearest_point(visiting: Visiting) -> None:
    page = show(visiting, 1280, "light")
    title = title_of(page, 5)
    left, top = on_screen(page, *PLACES[4])
    page.mouse.move(left + 3, top + 2)
    page.locator(".map-card", has_text=title).wait_for()
    page.mouse.click(left + 3, top + 2)
    page.locator(".player").wait_for()
    until(page, lambda: title in page.locator(".player .names").first.inner_text())


def test_a_map_by_umap_plays_where_one_points_and_along_a_way(visiting: Visiting) -> None:
    pytest.importorskip("umap")
    page = visiting(place="map").page
    page.get_by_role("button", name="Draw the map").click()
    page.locator(".map-labels span").first.wait_for(timeout=240_000)
    raw = bytes(
        page.evaluate(
            "fetch('/api/v1/map/points').then(answer => answer.arrayBuffer())"
            ".then(bytes => [...new Uint8Array(bytes)])"
        )
    )
    count = len(raw) // 9
    assert count == len(PLACES)
    ids = struct.unpack_from(f"<{count}I", raw)
    flat = struct.unpack_from(f"<{2 * count}H", raw, 4 * count)
    places = dict(zip(ids, zip(flat[::2], flat[1::2], strict=True), strict=True))
    genres = {page.locator(".map-labels span").nth(0).inner_text()}
    assert genres <= set(page.locator(".map .chips .chip").all_inner_texts())

    # The two that lie farthest from each other.
    apart = {
        (a, b): (places[a][0] - places[b][0]) ** 2 + (places[a][1] - places[b][1]) ** 2
        for a in ids
        for b in ids
    }
    here, there = max(apart, key=lambda pair: apart[pair])
    begin, end = (on_screen(page, *(v / 65535 for v in places[each])) for each in (here, there))
    page.get_by_role("button", name="Play on hover").click()
    with page.expect_request(f"**/api/v1/media/{here}/**"):
        page.mouse.move(*begin)
    page.locator(".map-card", has_text=title_of(page, here)).wait_for()
    page.mouse.move(5, 5)

    page.get_by_role("button", name="Draw a way").click()
    page.mouse.move(*begin)
    page.mouse.down()
    page.mouse.move(*end, steps=12)
    page.mouse.up()
    page.locator(".player").wait_for()
    kept = page.evaluate("() => JSON.parse(localStorage.getItem('recsys.queue')).rows")
    queued = [row[0] for row in kept]
    assert (queued[0], queued[-1]) == (here, there)
    assert len(set(queued)) == len(queued)
    page.get_by_text(f"{len(queued)} tracks selected").wait_for()
