"""What a listener does with the page: play, steer, search, save, come back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mutagen
import numpy as np
import pytest
import soundfile

from recsys.api import Library
from recsys.demo import SAMPLE_RATE, STYLES, render
from tests.page.conftest import SHORT_S, served, watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tests.page.conftest import Visiting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEPT = "() => JSON.parse(localStorage.getItem('recsys.queue'))"


def playing(page: Page) -> str:
    """Return the title in the player."""
    return page.locator(".player .names a").inner_text()


def until(page: Page, is_so: Callable[[], object]) -> None:
    """Wait till something is so."""
    for _ in range(600):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it never came to that")


def position(page: Page) -> int:
    return int(page.locator(".player [role=slider]").get_attribute("aria-valuenow") or 0)


def play(page: Page, title: str) -> None:
    """Play a track that is among the rows."""
    row = page.locator(".row", has_text=title).first
    row.locator(".play-cover").click()
    page.locator(".player").wait_for()
    until(page, lambda: position(page) > 0)


def queued(page: Page) -> list[int]:
    """Return the ids of the tracks ahead."""
    kept: Any = page.evaluate(KEPT)
    return [row[0] for row in kept["rows"][kept["at"] + 1 :]]


def test_one_track_follows_the_other(visiting: Visiting) -> None:
    page = visiting().page
    play(page, "Chamber no. 1")
    assert page.evaluate("navigator.mediaSession.metadata.title") == "Chamber no. 1"
    page.locator(".player [role=slider]").press("End")
    until(page, lambda: playing(page) == "Chamber no. 3")  # sorted by artist
    page.keyboard.press("Shift+ArrowLeft")
    until(page, lambda: playing(page) == "Chamber no. 1")


def test_one_seeks_with_the_pointer_and_with_keys(visiting: Visiting) -> None:
    page = visiting().page
    play(page, "Chamber no. 2")
    box = page.locator(".player .wave-slider").bounding_box()
    assert box is not None
    page.locator(".transport .play-button").click()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    until(page, lambda: abs(position(page) - SHORT_S / 2) <= 1)
    before = position(page)
    page.locator(".player .wave-slider").press("Home")
    until(page, lambda: position(page) == 0 < before)


def test_playing_goes_on_where_it_was(browser: Browser, database: Path, music: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    with served(database, music) as first:
        visit = watched(page, first.address)
        page.goto(f"{first.address}#/library?q=shuffle")
        play(page, "Shuffle no. 2")
        page.locator(".transport .play-button").click()
        name = playing(page)  # a slow machine may be at the next one
        for key in ("Home", "ArrowRight"):
            page.locator(".player [role=slider]").press(key)
        until(page, lambda: position(page) == 5)
        first.process.kill()
        page.get_by_role("alert").wait_for()
        assert "recsys serve" in page.get_by_role("alert").inner_text()
        port = first.port
    with served(database, music, port):
        page.get_by_role("alert").wait_for(state="detached", timeout=60_000)
        page.reload()
        page.locator(".player").wait_for()
        assert playing(page) == name
        assert position(page) == 5
        page.locator(".transport .play-button").click()
        page.locator(".transport").get_by_role("button", name="Pause").wait_for()
        page.goto("about:blank")
    # While the server was away, nothing but connections failed.
    assert not [each for each in visit.errors if "ERR_" not in each]
    context.close()


def test_search_as_one_types(visiting: Visiting) -> None:
    page = visiting().page
    page.keyboard.press("/")
    page.keyboard.type("noct 3")
    page.locator(".count", has_text="1 track").wait_for()
    names = page.locator(".row-names a")
    until(page, lambda: names.all_inner_texts() == ["Nocturne no. 3"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator(".player").wait_for()
    assert playing(page) == "Nocturne no. 3"


def test_filters_stand_in_the_address(visiting: Visiting) -> None:
    page = visiting(place="library?genre=classical&sort=title").page
    page.locator(".row .row-genre").first.wait_for()
    until(page, lambda: set(page.locator(".row .row-genre").all_inner_texts()) == {"classical"})
    titles = page.locator(".row .row-names a").all_inner_texts()
    assert titles == sorted(titles)
    page.locator(".chip.on", has_text="classical").click()
    until(page, lambda: "genre" not in page.url)


def test_a_radio_never_repeats_and_is_steered_at_once(visiting: Visiting) -> None:
    visit = visiting()
    page = visit.page
    page.locator(".row", has_text="Chamber no. 1").locator(".row-menu").click()
    page.get_by_role("menuitem", name="Start a radio").click()
    page.locator(".on-air").wait_for()
    assert playing(page) == "Chamber no. 1"  # the seed first
    before = queued(page)
    page.locator(".player").get_by_role("button", name="Next", exact=True).click()
    until(page, lambda: any(path.endswith("/steer") for path, _ in visit.writes))
    (seed,) = [body["track"] for _, body in visit.writes if body.get("kind") == "skip"]
    told = page.evaluate(f"fetch('/api/v1/tracks/{seed}').then(answer => answer.json())")
    assert told["title"] == "Chamber no. 1"
    until(page, lambda: queued(page) and queued(page) != before[1:])
    assert not set(queued(page)) & {seed, before[0]}
    page.locator(".player .heart").click()
    until(page, lambda: any(body.get("kind") == "like" for _, body in visit.writes))
    page.get_by_text("The radio goes that way now").wait_for()


def test_rules_of_a_radio_count_at_once(visiting: Visiting) -> None:
    visit = visiting(place="radio")
    page = visit.page
    page.locator(".tile", has_text="azz").first.click()
    page.locator(".on-air .row").first.wait_for()
    chip = page.get_by_role("button", name="Only jazz")
    assert chip.get_attribute("aria-pressed") == "true"
    genres = page.locator(".on-air .row .row-genre")
    assert set(genres.all_inner_texts()) == {"jazz"}
    chip.click()
    until(page, lambda: len(set(genres.all_inner_texts())) > 1)


def likes(page: Page) -> list[int]:
    """Return the ids of what is liked, as the server has it."""
    asked = "fetch('/api/v1/feedback/tracks').then(answer => answer.json())"
    return list(page.evaluate(asked)["like"])


def test_a_like_outlives_the_page_and_is_taken_back(visiting: Visiting) -> None:
    page = visiting(place="library?q=offbeat").page
    heart = page.locator(".row", has_text="Offbeat no. 1").locator(".heart")

    def turned_and_left(pressed: str) -> None:
        """Click the heart, and reload before anything can have answered."""
        heart.hover()
        heart.click()
        page.reload()
        until(page, lambda: bool(likes(page)) == (pressed == "true"))
        with page.expect_response("**/api/v1/feedback/tracks"):
            page.reload()
        until(page, lambda: heart.get_attribute("aria-pressed") == pressed)

    turned_and_left("true")
    turned_and_left("false")


def test_a_ban_can_be_undone(visiting: Visiting) -> None:
    page = visiting(place="library?sort=title").page
    title = "Chamber no. 1"
    page.locator(".row", has_text=title).locator(".row-menu").click()
    page.get_by_role("menuitem", name="Never play again").click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text(f"{title} may play again").wait_for()


def test_a_playlist_is_made_changed_saved_and_exported(visiting: Visiting) -> None:
    page = visiting(place="playlists").page
    page.get_by_role("combobox", name="Begin with").fill("chamber 2")
    page.get_by_role("option", name=re.compile("Chamber no. 2")).click()
    page.get_by_label("Tracks").fill("6")
    page.get_by_role("button", name="Make the playlist").click()
    rows = page.locator(".edited li")
    rows.nth(5).wait_for()

    def titles() -> list[str]:
        return page.locator(".edited .names a").all_inner_texts()

    made = titles()
    assert made[0] == "Chamber no. 2"
    assert len(set(made)) == 6
    rows.nth(1).get_by_role("button", name=re.compile("Another track here")).click()
    until(page, lambda: titles()[1] != made[1])
    assert titles()[2:] == made[2:]
    rolled = titles()
    rows.nth(3).locator(".grip").press("Alt+ArrowUp")
    until(page, lambda: titles() == [*rolled[:2], rolled[3], rolled[2], *rolled[4:]])
    for expected in (rolled, made):
        page.get_by_role("button", name="Undo").first.click()
        until(page, lambda expected=expected: titles() == expected)
    rows.nth(0).get_by_role("button", name=re.compile("Keep this row")).click()
    assert rows.nth(0).get_by_role("button", name=re.compile("Another track")).is_disabled()

    page.get_by_label("Name").fill("Sunday")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(re.compile(r"#/playlists/\d+"))
    until(page, lambda: titles() == made)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as saved:
        page.get_by_role("menuitem", name="M3U8").click()
    text = Path(saved.value.path()).read_text("utf-8")
    assert "Sunday" in saved.value.suggested_filename
    assert sum(not line.startswith("#") for line in text.splitlines()) == 6


def test_a_way_from_one_track_to_another(visiting: Visiting) -> None:
    page = visiting(place="playlists").page
    page.get_by_role("button", name="From here to there").click()
    for label, title in (("Begin with", "Chamber no. 1"), ("Arrive at", "Overdrive no. 1")):
        page.get_by_role("combobox", name=label).fill(title)
        page.get_by_role("option", name=re.compile(title)).click()
    page.get_by_label("Tracks").fill("5")
    page.get_by_role("button", name="Make the playlist").click()
    page.locator(".edited li").nth(2).wait_for()
    titles = page.locator(".edited .names a").all_inner_texts()
    assert (titles[0], titles[-1]) == ("Chamber no. 1", "Overdrive no. 1")


def test_a_track_says_why_and_what_sounds_like_it(visiting: Visiting) -> None:
    page = visiting(place="track/5").page
    page.locator(".similar .row").first.wait_for()
    assert page.locator(".similar .row em").first.inner_text()
    bars = page.locator(".bars-list li .figure").all_inner_texts()
    assert bars
    page.get_by_role("button", name="Play", exact=True).first.click()
    page.locator(".player").wait_for()
    page.keyboard.press("w")
    assert "You chose it." in page.locator("aside.panel").inner_text()


def test_a_feeling_plays(visiting: Visiting) -> None:
    page = visiting(place="mood").page
    page.get_by_role("button", name=re.compile("Calm")).click()
    page.locator(".on-air").wait_for()
    assert page.locator("h1").inner_text().lower() == "calm"
    page.get_by_role("button", name="Only calm").wait_for()


def test_everything_by_keyboard(visiting: Visiting) -> None:
    page = visiting().page
    page.locator(".row .row-names a").first.wait_for()
    page.keyboard.press("?")
    page.locator("dialog").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.keyboard.press("/")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.locator(".player").wait_for()
    focused = "document.activeElement.dataset.index"
    until(page, lambda: page.evaluate(focused) == "2")
    page.keyboard.press("Tab")
    page.keyboard.press("q")
    page.locator("aside.panel").wait_for()


def test_an_empty_library_greets_and_fills(browser: Browser, tmp_path: Path, music: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    with served(tmp_path / "library.db", music) as server:
        visit = watched(page, server.address)
        page.goto(server.address)
        page.locator(".empty").wait_for()
        assert page.locator(".empty li").count() == 3
        page.get_by_label("Folder on this computer").fill(str(music / "nowhere"))
        page.get_by_role("button", name="Add the folder").click()
        page.locator(".toast, .run").first.wait_for()
        page.get_by_label("Folder on this computer").fill(str(music))
        page.get_by_role("button", name="Add the folder").click()
        page.locator(".row .row-names a").first.wait_for(timeout=120_000)
        play(page, "Chamber no. 1")
        page.goto("about:blank")
        visit.check()
    context.close()


def test_a_spectrogram_is_low_at_the_bottom_and_plays_from_where_one_points(
    visiting: Visiting,
) -> None:
    visit = visiting()
    page = visit.page
    told = page.evaluate("fetch('/api/v1/tracks/5').then(answer => answer.json())")
    told["analysis"] |= {"windows": [0.5 * SHORT_S], "window_s": 0.25 * SHORT_S}
    loud_below = bytes(600 * [255]) + bytes(600 * 95)
    page.route("**/api/v1/tracks/5", lambda route: route.fulfill(json=told))
    page.route(
        "**/api/v1/media/5/spectrogram",
        lambda route: route.fulfill(body=loud_below, headers={"X-Shape": "96,600"}),
    )
    visit.go("track/5")
    picture = page.locator(".spectrogram")
    picture.wait_for()
    shade = """(canvas, [x, y]) => {
      const [r, g, b] = canvas.getContext('2d').getImageData(x, y, 1, 1).data;
      return r + g + b;
    }"""
    canvas = picture.locator("canvas")
    low, low_elsewhere, high = (
        canvas.evaluate(shade, at) for at in ([350, 95], [50, 95], [350, 0])
    )
    assert low == 255 + 244 + 240  # the lightest
    assert low_elsewhere < low  # it was not analysed
    assert high < 60
    mark = page.locator(".spectrogram-mark")
    assert mark.evaluate("mark => [mark.style.left, mark.style.width]") == ["50%", "25%"]

    picture.focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    at = round(0.3 * SHORT_S)
    assert picture.get_attribute("aria-valuenow") == str(at)
    page.keyboard.press("Enter")
    page.locator(".player").wait_for()
    until(page, lambda: position(page) >= at)


def test_a_spectrogram_comes_with_the_windows_of_the_track(visiting: Visiting) -> None:
    page = visiting(place="track/5").page
    canvas = page.locator(".spectrogram canvas")
    canvas.wait_for()
    until(page, lambda: canvas.evaluate("canvas => [canvas.width, canvas.height]") == [600, 96])
    assert page.locator(".spectrogram-mark").count() > 0


def test_a_genre_is_corrected_and_the_file_brought_back(visiting: Visiting, music: Path) -> None:
    visit = visiting(place="library?q=offbeat+no+2")
    page = visit.page
    page.locator(".row-names a", has_text="Offbeat no. 2").click()
    page.get_by_role("button", name="Correct the genre").click()
    field = page.get_by_label("Genre", exact=True)
    field.fill("Dub")
    page.get_by_role("button", name="Write").click()
    page.get_by_text("The genre tag says Dub now").wait_for()
    page.locator(".facts dd", has_text="Dub").wait_for()
    (path,) = music.rglob("*offbeat no. 2*")
    assert mutagen.File(path, easy=True)["genre"] == ["Dub"]
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Undone").wait_for()
    page.locator(".facts dd", has_text="Dub").wait_for(state="detached")
    assert "genre" not in mutagen.File(path, easy=True)


def test_without_the_routes_nothing_asks_for_them(visiting: Visiting) -> None:
    """An older server lists neither spectrograms nor corrections."""
    visit = visiting()
    page = visit.page
    page.route("**/api/v1/openapi.json", lambda route: route.fulfill(json={"paths": {"/x": {}}}))
    page.reload()
    visit.go("track/5")
    page.locator(".similar .row").first.wait_for()
    assert page.locator(".spectrogram").count() == 0
    assert page.get_by_role("button", name="Correct the genre").count() == 0


def seeks_through_opus(page: Page, asked: list[str]) -> None:
    """What plays is transcoded, and again from where one seeks to."""
    until(page, lambda: position(page) > 0)
    assert asked[-1].endswith("/opus?start=0.00")
    slider = page.locator(".player [role=slider]")
    slider.press("Home")
    slider.press("ArrowRight")
    until(page, lambda: position(page) >= 5)
    # The place is shown at once, and the sound of it asked for after that.
    until(page, lambda: [url.split("=")[-1] for url in asked[-2:]] == ["0.00", "5.00"])
    assert slider.get_attribute("aria-valuemax") == str(round(SHORT_S))  # the stream has no end
    until(page, lambda: position(page) >= round(SHORT_S) - 1)


def test_what_the_browser_cannot_play_is_transcoded(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "Music"
    folder.mkdir()
    sound = render(STYLES["chamber"], np.random.default_rng(1), SHORT_S)
    soundfile.write(folder / "chamber.aiff", sound, SAMPLE_RATE)
    with Library(tmp_path / "library.db") as library:
        library.index(folder)
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "opus" in request.url else None)
    with served(tmp_path / "library.db", folder) as server:
        visit = watched(page, server.address)
        page.goto(server.address)
        page.locator(".row .play-cover").first.click()
        seeks_through_opus(page, asked)
        page.goto("about:blank")
        visit.check()
    context.close()


def test_a_file_that_fails_to_play_is_transcoded(visiting: Visiting) -> None:
    page = visiting(place="library?q=chamber").page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "opus" in request.url else None)
    page.route("**/api/v1/media/*/audio", lambda route: route.fulfill(body=b"no sound at all"))
    page.locator(".row", has_text="Chamber no. 1").locator(".play-cover").click()
    seeks_through_opus(page, asked)
