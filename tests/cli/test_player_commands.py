"""``recsys serve --device`` and the like, and ``recsys link``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
from click.testing import Result

from recsys.api import Library
from recsys.web.devices import Devices
from tests.cli.conftest import IndexedLibrary
from tests.cli.documented import documented
from tests.web.stand_ins import PASSWORD, standing_in

Run = Callable[..., Result]


def test_a_device_is_made_listed_and_revoked(run: Run, indexed: IndexedLibrary) -> None:
    try:
        made = json.loads(run("serve", "--device", "phone", "--json").output)
        assert made.keys() == {"device", "secret"}
        assert Devices(indexed.database).of_key(made["secret"]) is not None
        again = run("serve", "--device", "Phone")
        assert again.exit_code == 1
        assert "already" in again.output
        (device,) = json.loads(run("serve", "--devices", "--json").output)["devices"]
        assert device["device"] == "phone"
        assert made["secret"] not in run("serve", "--devices").output
        token = json.loads(run("serve", "--token", "--json").output)["id"]
        assert json.loads(run("serve", "--revoke", "phone", "--json").output) == {
            "revoked": "phone"
        }
        unknown = run("serve", "--revoke", "phone")
        assert unknown.exit_code == 1
        assert token in unknown.output  # what can be revoked
        assert run("serve", "--revoke", token).exit_code == 0
        shown = run("serve", "--device", "desk").output
        assert "User name: desk" in shown
        assert "not shown again" in shown
        assert run("serve", "--device", "x", "--token").exit_code == 2
    finally:
        for name in ("devices", "tokens"):
            indexed.database.with_name(f"library.{name}.json").unlink(missing_ok=True)


def test_what_serve_cannot_do_is_told_before_it_starts(run: Run) -> None:
    without = run("serve", "--subsonic", "--no-browser", "--port", "0")
    assert without.exit_code == 1
    assert "recsys serve --device phone" in without.output
    alone = run("serve", "--mdns", "--no-browser", "--port", "0")
    assert alone.exit_code == 1
    assert "nothing to announce" in alone.output


def test_linking_needs_nothing_of_the_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("fastapi", "uvicorn", "PIL"):
        monkeypatch.setitem(sys.modules, module, None)
    given = ("link", "navidrome", "--url", "nas", "--user", "me", "--secret", PASSWORD)
    assert "'nas' is no address of a server" in run(*given).output


def test_link_says_what_it_found(run: Run, indexed: IndexedLibrary) -> None:
    with Library(indexed.database) as library:
        tracks = list(library.tracks())
    songs = [
        {"id": f"s{each.id}", "path": str(each.path), "duration": each.duration_s}
        for each in tracks
    ]
    songs.append({"id": "other", "title": "Elsewhere\x1b[31m", "artist": "Nobody"})
    links = indexed.database.with_name("library.links.json")
    try:
        with standing_in("navidrome", songs) as (url, _):
            given = ("link", "navidrome", "--url", url, "--user", "me", "--secret", PASSWORD)
            found = json.loads(run(*given, "--json").output)
            (shown,) = documented("link")
            assert found.keys() == shown.keys()
            assert found["unmapped"][0].keys() == shown["unmapped"][0].keys()
            assert (found["found"], found["by_path"]) == (len(songs), len(tracks))
            told = run(*given)
            assert f"{len(tracks)} of {len(songs)} songs" in told.output
            assert "Nobody - Elsewhere" in told.output
            assert "\x1b[31m" not in told.output
            assert run("link", "navidrome", "--url", url).exit_code == 2  # no user
            wrong = run(*given[:-1], "wrong")
            assert (wrong.exit_code, "refuses" in wrong.output) == (1, True)
        gone = run(*given)
        assert "cannot be reached" in gone.output
        assert PASSWORD not in gone.output + links.read_text()
    finally:
        links.unlink(missing_ok=True)
