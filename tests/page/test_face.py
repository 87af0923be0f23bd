"""The mood from a face: what the camera sees plays, and never leaves the page."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.page.conftest import camera, watched
from tests.page.test_listening import until

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Request

    from tests.page.conftest import Launching, Server, Visit, Visiting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SLOW_MS = 120_000  # a look takes seconds where the processor does it all, and other tests run

# Notes each camera that is opened.
NOTE = """
(() => {
  window.cameras = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => {
    const stream = await open(wish);
    window.cameras.push(...stream.getTracks());
    return stream;
  };
})()
"""


def cameras(page: Page) -> list[str]:
    """Return the states of all tracks of cameras and microphones that were opened."""
    return list(page.evaluate("window.cameras.map(track => `${track.kind} ${track.readyState}`)"))


def opened(visiting: Visiting, **options: Any) -> Visit:
    """Open the camera, which sees a face."""
    visit = visiting(place="mood", permissions=["camera"], **options)
    page = visit.page
    page.evaluate(NOTE)
    page.get_by_role("button", name="Open the camera").click()
    page.locator(".face-box").wait_for(timeout=SLOW_MS)
    return visit


def test_nothing_is_opened_or_loaded_unasked(visiting: Visiting) -> None:
    visit = visiting(permissions=["camera"])
    fetched: list[str] = []
    visit.page.on("request", lambda request: fetched.append(request.url))
    visit.page.add_init_script(NOTE)
    visit.page.reload()
    visit.go("mood")
    visit.page.locator(".face").wait_for()
    visit.page.get_by_role("button", name="Change what plays").click()
    assert cameras(visit.page) == []
    assert not [url for url in fetched if "face-api" in url or "/face/" in url]


def test_an_expression_plays_and_no_picture_leaves_the_page(visiting: Visiting) -> None:
    visit = visiting(place="mood", permissions=["camera"])
    page = visit.page
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    page.on("websocket", lambda socket: visit.errors.append(f"a socket to {socket.url}"))
    page.evaluate(NOTE)
    page.get_by_role("button", name="Open the camera").click()
    page.locator(".face-box").wait_for(timeout=SLOW_MS)
    page.get_by_text("You look neutral.").wait_for(timeout=SLOW_MS)
    assert cameras(page) == ["video live"]
    shares = page.locator(".face .figure").all_inner_texts()
    assert sum(int(share.rstrip("%")) for share in shares) == pytest.approx(100, abs=4)
    face = page.locator(".face-box").bounding_box()
    view = page.locator(".face-view").bounding_box()
    assert face is not None
    assert view is not None
    # The portrait is the middle third of the picture; its face is above the middle.
    assert view["x"] + view["width"] / 4 < face["x"]
    assert face["x"] + face["width"] < view["x"] + view["width"] * 3 / 4
    assert face["y"] + face["height"] / 2 < view["y"] + view["height"] / 2
    page.get_by_role("button", name="Play calm music").click()
    page.locator(".on-air").wait_for()
    page.get_by_role("button", name="Only calm").wait_for()
    assert cameras(page) == ["video ended"]

    path, body = visit.writes[0]
    assert path == "api/v1/radio"
    (seed,) = body.pop("seeds")
    assert seed.isdecimal()
    assert body == {"words": None, "new": True, "length": 8, "moods": ["calm"], "languages": []}
    # All else that was sent: what the radio and the player ask for, by small addresses and bodies.
    for path, body in visit.writes[1:]:
        assert re.fullmatch(r"api/v1/radio/\d+/(next|steer)", path)
        assert len(json.dumps(body)) < 200
    assert all(len(request.url) < 300 for request in requests)


def test_leaving_or_hiding_closes_the_camera(visiting: Visiting) -> None:
    visit = opened(visiting)
    page = visit.page
    visit.go("library")
    until(page, lambda: cameras(page) == ["video ended"])
    visit.go("mood")
    page.get_by_role("button", name="Open the camera").click()
    page.locator(".face-box").wait_for(timeout=SLOW_MS)
    page.get_by_role("button", name="Close the camera").click()
    until(page, lambda: cameras(page) == ["video ended"] * 2)
    page.get_by_role("button", name="Open the camera").click()
    page.locator(".face-box").wait_for(timeout=SLOW_MS)
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { get: () => true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.get_by_text("closed when the page was hidden").wait_for()
    assert cameras(page) == ["video ended"] * 3


def test_what_an_expression_plays_can_be_changed(visiting: Visiting) -> None:
    page = visiting(place="mood").page
    page.get_by_role("button", name="Change what plays").click()
    chosen = page.locator(".feelings-edit select")
    shown = "() => [...document.querySelectorAll('.feelings-edit select')].map(s => s.value)"
    usual = ["happy", "calm", "sad", "angry", "chill", "calm", "surprised", "fearful", "disgusted"]
    until(page, lambda: page.evaluate(shown) == usual)
    chosen.nth(0).select_option("chill")
    chosen.nth(5).select_option("sad")  # neutral
    page.reload()
    page.locator(".feeling.happy", has_text="plays chill").wait_for()
    page.get_by_role("button", name="Change what plays").click()
    until(page, lambda: chosen.count() == len(usual))
    changed = ["chill", *usual[1:5], "sad", *usual[6:]]
    until(page, lambda: page.evaluate(shown) == changed)
    page.get_by_role("button", name="As it was").click()
    until(page, lambda: page.evaluate(shown) == usual)


def test_only_of_an_artist_or_in_a_language(visiting: Visiting) -> None:
    visit = visiting(place="mood")
    page = visit.page
    tracks = page.evaluate("fetch('/api/v1/tracks?mood=chill').then(answer => answer.json())")
    artist = tracks["tracks"][0]["artist"]
    own = {row["title"] for row in tracks["tracks"] if row["artist"] == artist}
    page.get_by_role("combobox", name="Of an artist").fill(artist)
    page.get_by_role("option", name=re.compile(artist)).click()
    page.get_by_role("button", name=re.compile("Tired")).click()
    page.locator(".on-air").wait_for()
    assert page.locator("h1").inner_text().lower() == f"chill, {artist.lower()}"
    title = page.locator(".player .names a")
    assert title.inner_text() in own

    visit.go("mood")
    languages = page.get_by_label("In a language")
    languages.select_option("de")
    assert languages.inner_text().split("\n")[1:] == ["German (4 tracks)"]
    calm = page.evaluate(
        "fetch('/api/v1/tracks?mood=calm&language=de').then(answer => answer.json())"
    )
    page.get_by_role("button", name=re.compile("Calm")).click()
    if not calm["total"]:
        page.get_by_text("No track of the library is calm, German.").wait_for()
        return
    page.get_by_role("button", name="Only in German").wait_for()
    playing = page.evaluate("JSON.parse(localStorage.getItem('recsys.queue')).rows.map(r => r[0])")
    assert set(playing) <= {row["track_id"] for row in calm["tracks"]}


def test_where_the_camera_is_not_allowed_feelings_stay(visiting: Visiting) -> None:
    page = visiting(place="mood").page
    page.get_by_role("button", name="Open the camera").click()
    page.get_by_role("alert").get_by_text("does not allow the camera").wait_for()
    assert page.locator(".feeling").count() == 5
    page.evaluate("delete Navigator.prototype.mediaDevices")
    page.get_by_role("button", name="Open the camera").click()
    page.get_by_role("alert").get_by_text("over HTTPS").wait_for()


def seen_by(browser: Browser, server: Server) -> Page:
    """Open the camera of another browser."""
    context = browser.new_context(permissions=["camera"])
    page = context.new_page()
    visit = watched(page, server.address)
    page.goto(f"{server.address}#/mood")
    page.get_by_role("button", name="Open the camera").click()
    page.on("close", lambda _: visit.check())
    return page


def test_without_a_camera_the_page_says_so(launching: Launching, server: Server) -> None:
    with launching() as browser:
        page = seen_by(browser, server)
        page.get_by_role("alert").get_by_text("There is no camera").wait_for()
        assert page.locator(".feeling").count() == 5


def test_without_a_face_nothing_plays(launching: Launching, server: Server, tmp_path: Path) -> None:
    wall = Image.new("RGB", (640, 480), (120, 130, 140))
    with launching(*camera(tmp_path, wall)) as browser:
        page = seen_by(browser, server)
        page.get_by_text("No face is seen").wait_for(timeout=SLOW_MS)
        assert page.locator(".face-box").count() == 0
        assert page.locator(".face .button.primary").is_disabled()


def test_an_expression_counts_when_it_stays(visiting: Visiting) -> None:
    """One look among others changes nothing; what stays for a second and a half does."""
    page = visiting().page
    seen = page.evaluate("""async () => {
      const { Impression } = await import("/static/js/face.js");
      const box = { x: 0, y: 0, width: 1, height: 1 };
      const impression = new Impression();
      const none = { neutral: 0, happy: 0, sad: 0 };
      const look = (name, now) =>
        impression.add(name && { box, strengths: { ...none, [name]: 1 } }, now);
      const looks = [
        ["happy", 0], ["happy", 800], ["happy", 1600], ["sad", 1900], ["happy", 2200],
        ["sad", 4200], ["sad", 5000], ["sad", 5800], [null, 6000], [null, 9000],
      ];
      return looks.map(([name, now]) => {
        const { steady, strengths } = look(name, now);
        return [steady, strengths && Math.round(100 * strengths.happy)];
      });
    }""")
    assert [steady for steady, _ in seen] == [
        *(None, None, "happy", "happy", "happy"),
        *(None, None, "sad", None, None),
    ]
    happy = [share for _, share in seen]
    assert happy[:4] == [100, 100, 100, 74]  # exp(-0.3)
    assert happy[8] == happy[7]  # for a moment, what was seen stays
    assert happy[9] is None
