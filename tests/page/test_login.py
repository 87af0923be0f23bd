"""Where other machines may reach the page, it asks for a token first."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.page.conftest import served, watched
from tests.page.test_screens import SIZES, check, picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.page.conftest import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def token(database: Path) -> str:
    command = [sys.executable, "-m", "recsys", "serve", "--token", "--json", "--db", str(database)]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    return str(json.loads(made.stdout)["token"])


@pytest.fixture
def guarded(database: Path, music: Path, token: str) -> Iterator[Server]:
    """A server with a name of its own, which demands a token."""
    assert token
    with served(database, music, 0, "--name", "127.0.0.1") as server:
        yield server


def test_a_token_opens_the_page(browser: Browser, guarded: Server, token: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    visit = watched(page, guarded.address)
    page.goto(f"{guarded.address}#/mood")
    field = page.get_by_label("Token")
    field.fill("a guess")
    field.press("Enter")
    page.get_by_text("This is not the token.").wait_for()
    assert page.locator("nav").count() == 0
    field.fill(f" {token} ")
    page.get_by_role("button", name="Sign in").click()
    page.locator(".feeling").first.wait_for()  # where one wanted to go
    page.reload()
    page.locator(".feeling").first.wait_for()
    assert token not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
    (kept,) = context.cookies()
    assert kept["httpOnly"]
    assert kept["sameSite"] == "Strict"
    page.goto(f"{guarded.address}#/library")
    page.locator(".row .play-cover").first.click()
    page.locator(".player").wait_for()
    page.locator(".transport").get_by_role("button", name="Pause").wait_for()
    visit.check()
    context.close()


@pytest.mark.parametrize(("width", "theme"), SIZES)
def test_the_form(browser: Browser, guarded: Server, width: int, theme: str) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": theme}
    context = browser.new_context(**options)  # type: ignore[arg-type]
    page = context.new_page()
    visit = watched(page, guarded.address)
    page.goto(guarded.address)
    page.get_by_label("Token").wait_for()
    check(visit, "login")
    picture(page, "login", width, theme)
    visit.check()
    context.close()
