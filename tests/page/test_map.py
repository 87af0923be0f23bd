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
    fifth = page.evaluate("fetch('/api/v1/tracks/5').then(answer => answer.json())")["title"]
    title = fifth.split("\x1b")[0]  # one title has a control character, which is not shown
    box = page.locator(".map-box").bounding_box()
    assert box is not None
    side = min(box["width"], box["height"]) * 0.95
    x, y = PLACES[4]
    left = box["x"] + box["width"] / 2 + (x - 0.5) * side
    top = box["y"] + box["height"] / 2 + (y - 0.5) * side
    page.mouse.move(left + 3, top + 2)
    page.locator(".map-card", has_text=title).wait_for()
    page.mouse.click(left + 3, top + 2)
    page.locator(".player").wait_for()
    until(page, lambda: title in page.locator(".player .names").first.inner_text())
