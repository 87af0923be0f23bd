"""Every screen, wide and narrow, light and dark: what is seen, and that everyone can use it.

RECSYS_SCREENSHOTS=FOLDER keeps the pictures.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.page.conftest import AXE, HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.page.conftest import Visit, Visiting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SIZES = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
GRAVE = ("serious", "critical")


def picture(page: Page, name: str, width: int, theme: str) -> None:
    """Keep a picture, where a folder is named for them."""
    if folder := os.environ.get("RECSYS_SCREENSHOTS"):
        page.wait_for_timeout(600)  # until nothing moves
        image = Image.open(io.BytesIO(page.screenshot()))
        image.save(Path(folder) / f"{name}-{width}-{theme}.webp", quality=82, method=6)


def check(visit: Visit, name: str) -> None:
    """Nothing reaches beyond the window, and axe finds nothing grave."""
    page = visit.page
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{name}: {wide} pixels too wide"
    main = page.evaluate(
        "document.querySelector('main').scrollWidth - document.querySelector('main').clientWidth"
    )
    assert main <= 0, f"{name}: the screen is {main} pixels too wide"
    if not AXE.exists():
        pytest.skip("axe is not installed: npm ci in tests/page, or make page")
    # Not as a script element, which the policy of the page forbids.
    page.evaluate(AXE.read_text("utf-8"))
    found: list[dict[str, Any]] = page.evaluate("axe.run(document).then(r => r.violations)")
    grave = [
        (each["id"], [node["html"][:160] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in GRAVE
    ]
    assert grave == [], f"{name}: {json.dumps(grave, indent=1)}"


def play_first(page: Page) -> None:
    page.locator(".row .play-cover").first.click()
    page.locator(".player").wait_for()


@pytest.mark.parametrize(("width", "theme"), SIZES)
def test_every_screen(visiting: Visiting, width: int, theme: str) -> None:
    visit = visiting(width, theme, permissions=["camera"])
    page = visit.page

    def seen(name: str) -> None:
        check(visit, name)
        picture(page, name, width, theme)

    page.locator(".row .row-names a").nth(5).wait_for()
    check(visit, "library")
    play_first(page)
    page.locator(".wave-slider").first.wait_for(state="attached")
    check(visit, "library that plays")
    picture(page, "library", width, theme)

    visit.go("library?view=folders")
    page.locator(".folder-list button").first.wait_for()
    seen("folders")

    visit.go("library?view=failures")
    page.locator(".failures summary").first.wait_for()
    seen("failures")

    visit.go("radio")
    page.locator(".tile").first.wait_for()
    seen("stations")
    page.locator(".tile", has_text="lassical").first.click()
    page.locator(".on-air .row").nth(1).wait_for()
    seen("radio")

    visit.go("track/5")
    page.locator(".similar .row").first.wait_for()
    page.locator(".spectrogram").wait_for()
    seen("track")
    page.get_by_role("button", name="Correct the genre").click()
    page.locator("dialog").wait_for()
    seen("genre")
    page.keyboard.press("Escape")

    visit.go("playlists")
    page.locator(".maker").wait_for()
    check(visit, "maker")
    page.get_by_role("button", name="Round the genres").click()
    page.get_by_role("button", name="Make the playlist").click()
    page.locator(".edited li").nth(3).wait_for()
    seen("playlist")

    visit.go("mood")
    page.locator(".feeling").first.wait_for()
    page.get_by_role("button", name="Change what plays").click()
    check(visit, "what plays")
    page.get_by_role("button", name="Change what plays").click()
    seen("mood")
    page.get_by_role("button", name="Open the camera").click()
    page.get_by_text("You look neutral.").wait_for(timeout=120_000)
    seen("face")

    visit.go("library")
    page.locator(".row .row-menu").nth(1).click()
    page.locator("[role=menu]").wait_for()
    check(visit, "menu")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add music").click() if width > 700 else None
    if width > 700:
        page.locator("dialog").wait_for()
        check(visit, "add music")
        page.keyboard.press("Escape")
        page.keyboard.press("w")
        page.locator("aside.panel").wait_for()
        check(visit, "why")
        page.keyboard.press("q")
        seen("queue")
    else:
        page.locator(".player-open").click()
        page.locator("dialog.sheet").wait_for()
        seen("sheet")


def test_tags_are_text(visiting: Visiting) -> None:
    visit = visiting()
    page = visit.page
    page.locator("main input[type=search]").fill("script alert")
    link = page.locator(".row-names a", has_text="<script>")
    link.wait_for()
    assert HOSTILE.split("\x1b")[0] in link.inner_text()
    link.click()
    assert "<script>alert(1)</script>" in page.locator("h1").inner_text()
    assert page.evaluate("document.querySelectorAll('main script').length") == 0


def test_the_policy_of_the_page_forbids_what_it_does_not_need(visiting: Visiting) -> None:
    page = visiting().page
    response = page.request.get(page.url.split("#")[0])
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_nothing_moves_where_motion_is_reduced(visiting: Visiting) -> None:
    page = visiting(reduced_motion="reduce").page
    page.locator(".row").first.wait_for()
    play_first(page)
    page.locator(".bars i").first.wait_for(state="attached")
    assert page.evaluate("document.getAnimations().length") == 0
