"""Who gets in, what is refused, and in which form: every failure has the whole envelope."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import stat
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from recsys.api import Library
from recsys.errors import QueryError, RecsysError
from recsys.store import Store
from recsys.web.devices import Devices
from recsys.web.security import PLUGINS
from recsys.web.subsonic import desk
from recsys.web.subsonic.calls import HANDLERS
from recsys.web.subsonic.protocol import respond
from recsys.web.tokens import Tokens
from tests.web.conftest import HOST, Indexed, Serving
from tests.web.subsonic.conftest import SALT, Player, playing

WHOLE = {"status", "version", "type", "serverVersion", "openSubsonic"}


def failed(response: Any) -> int:
    """Return the code of a failure, which has all that a client looks for."""
    content = response.json()["subsonic-response"]
    assert {*content} == {*WHOLE, "error"}
    assert (content["status"], content["openSubsonic"]) == ("failed", True)
    assert content["error"]["message"]
    return int(content["error"]["code"])


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def logins(player: Player) -> list[tuple[dict[str, str], int | None]]:
    secret, name = player.device.secret, player.device.name
    signed = player.login()
    hexed = secret.encode().hex()
    return [
        (signed, None),
        ({**signed, "t": signed["t"].upper()}, None),
        ({"u": name.upper(), "p": secret}, None),
        ({**signed, "t": md5(secret.replace("-", "") + signed["s"])}, None),
        ({**signed, "t": md5(secret.replace("-", "").upper() + signed["s"])}, None),
        ({"u": name, "p": f"enc:{hexed}"}, None),
        ({"u": name, "p": secret.replace("-", "").upper()}, None),
        ({"apiKey": secret}, None),
        ({}, 10),
        ({"u": name}, 10),
        ({"u": name, "t": "", "s": ""}, 10),  # the first call of Supersonic
        ({"u": name, "t": signed["t"]}, 10),
        ({**signed, "s": "another"}, 40),
        ({**signed, "u": "desk"}, 40),
        ({**signed, "t": "0" * 32}, 40),
        ({**signed, "t": "\u00e4\ud7ff"}, 40),
        ({"u": name, "p": "wrong"}, 40),
        ({"u": name, "p": "enc:zz"}, 40),
        ({"u": name, "p": "\u0000"}, 40),
        ({"apiKey": "wrong"}, 44),
        ({"apiKey": secret, "u": name}, 43),
        ({**signed, "p": secret}, 43),
        ({**signed, "v": "2.0.0"}, 30),
        ({**signed, "v": "0.9"}, 20),
        ({**signed, "v": "one"}, None),
    ]


def test_each_way_to_log_in_and_what_is_none(shared: Player) -> None:
    for given, code in logins(shared):
        found = shared.client.get("/rest/ping", params={**given, "f": "json"})
        if code is None:
            assert found.json()["subsonic-response"]["status"] == "ok", given
        else:
            assert failed(found) == code, given
        assert found.status_code in (200, 429)


def test_the_token_of_the_page_opens_nothing(
    shared: Player, indexed: Indexed, serving: Serving
) -> None:
    _, token = Tokens(shared.database).make()
    for secret in (token, shared.device.secret):
        for headers in (
            {"Authorization": f"Bearer {secret}"},
            {"Cookie": f"recsys_token={secret}"},
        ):
            assert failed(shared.client.get("/rest/ping?f=json", headers=headers)) == 10
    name, signed = shared.device.name, {**shared.login(), "t": md5(token + SALT)}
    for login, code in (({"apiKey": token}, 44), ({"u": name, "p": token}, 40), (signed, 40)):
        assert failed(shared.client.get("/rest/ping", params={**login, "f": "json"})) == code
    for path in PLUGINS:
        for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"recsys_token={token}"}):
            assert shared.client.get(path, headers=headers).status_code == 401
    # Nor does the secret of a device open the page's.
    page = serving(indexed.database, tokens=True)
    bearer = {"Authorization": f"Bearer {shared.device.secret}"}
    assert page.get("/api/v1/tracks", headers=bearer).status_code == 401
    assert "set-cookie" not in shared.raw("ping").headers


def test_without_being_asked_for_there_are_no_players(indexed: Indexed, serving: Serving) -> None:
    for path in ("/rest/ping", "/rest/getOpenSubsonicExtensions.view"):
        found = serving(indexed.database).get(path)
        assert found.status_code == 404
        assert found.headers["content-type"] == "application/problem+json"


def test_extensions_are_told_to_anyone(shared: Player) -> None:
    found = shared.client.get("/rest/getOpenSubsonicExtensions?f=json").json()
    names = [each["name"] for each in found["subsonic-response"]["openSubsonicExtensions"]]
    assert {"sonicSimilarity", "apiKeyAuthentication", "formPost", "transcodeOffset"} <= {*names}
    assert found["subsonic-response"]["status"] == "ok"


def test_any_site_may_ask_and_no_cookie_counts(shared: Player) -> None:
    headers = {"Origin": "https://feishin.example", "Sec-Fetch-Site": "cross-site"}
    found = shared.client.get("/rest/ping", params=shared.login(), headers=headers)
    assert found.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in found.headers
    before = shared.client.options("/rest/search3", headers=headers)
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (204, "*")
    for call in ("stream", "getCoverArt", "download"):
        given = shared.client.get(f"/rest/{call}", params={**shared.login(), "id": 1})
        assert given.headers["access-control-allow-origin"] == "*"
        assert "cross-origin-resource-policy" not in given.headers
    page = shared.client.get("/api/v1/server", headers={"Host": HOST, **headers})
    assert page.status_code == 403
    assert "access-control-allow-origin" not in page.headers


def test_failed_logins_are_limited_and_good_ones_never(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_FAILED", 5)
    wrong = {"u": "phone", "p": "wrong", "f": "json"}
    statuses = [player.client.get("/rest/ping", params=wrong).status_code for _ in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    limited = player.client.get("/rest/ping", params=wrong)
    assert failed(limited) == 40
    assert limited.headers["retry-after"] == "60"
    for _ in range(20):
        player.ask("ping")


def test_a_device_that_is_revoked_is_out_at_once(player: Player) -> None:
    player.ask("ping")
    Devices(player.database).revoke("phone")
    assert player.code("ping") == 40


def test_secrets_lie_in_a_file_for_the_owner_alone(tmp_path: Path) -> None:
    database = tmp_path / "new" / "library.db"  # whose folder the first index run would make
    devices = Devices(database)
    made = devices.make("  my   phone ")
    assert made.name == "my phone"
    assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", made.secret)
    assert stat.S_IMODE(devices.path.stat().st_mode) == 0o600
    for bad in ("", " ", "x" * 41, "a\nb\x00", "MY PHONE"):
        with pytest.raises(QueryError):
            devices.make(bad)
    with pytest.raises(QueryError, match="no device"):
        devices.revoke("other")
    assert [each.name for each in Devices(database).all()] == ["my phone"]
    for damaged in ("[", "[1]", "[{}]", '[{"name": "a", "secret": 6, "made": "x"}]'):
        devices.path.write_text(damaged)
        with pytest.raises(RecsysError, match="cannot be read"):
            devices.named("a")


HOSTILE: list[dict[str, Any]] = [
    {"id": "../../etc/passwd"},
    {"id": "-1"},
    {"id": "1e9"},
    {"id": "9" * 400},
    {"id": "\u0661"},  # a digit, but not of this script
    {"id": "al-0000000000000000"},
    {"id": "ar-'; DROP TABLE tracks; --"},
    {"id": "pl-1"},
    {"id": "\x00\ufffe<x>"},
    {"id": ["1", "2"], "count": "1e400"},
    {"id": "1", "count": "nan"},
    {"id": "1", "size": "-9" * 50, "timeOffset": "inf"},
    {"id": "1", "count": "1_0", "songCount": "x", "rating": "five"},
    {"query": "\x00" * 50, "songCount": "99999999999999999999"},
    {"query": '"' * 5000, "type": "<script>", "genre": "\ud7ff"},
    {"startSongId": "1", "endSongId": "x", "mediaId": "x", "mediaType": "song"},
    {"playlistId": "x", "songIndexToRemove": "-1", "name": "\x1b[31m" * 999},
    {"playlistId": "99", "name": "a", "songIdToAdd": ["1"] * 300},
    {"id": "1", "time": ["x", str(10**30)], "submission": "maybe", "username": "root"},
]


@pytest.mark.slow
def test_hostile_parameters_get_an_answer_in_the_form_of_the_protocol(player: Player) -> None:
    handled = sorted(HANDLERS)
    for params in HOSTILE:
        for call in (*handled, "getopensubsonicextensions"):
            if call in ("stream", "download", "getcoverart") and params.get("id") in ("1", None):
                continue
            found = player.client.post(
                f"/rest/{call}", data={**player.login(), "f": "json", **params}
            )
            assert found.status_code in (200, 501), (call, params)
            if found.headers["content-type"] == "application/json":
                content = found.json()["subsonic-response"]
                assert content["status"] == "ok" or failed(found) in (0, 10, 40, 50, 70)
                assert "unexpected" not in found.text, (call, params, found.text)
                assert "Traceback" not in found.text
    with Library(player.database) as library:
        assert library.store.track_count() == 10


def test_what_is_no_call_fails_in_the_same_form(shared: Player) -> None:
    for name in ("nope", "", "ping/x", "..%2f..%2fetc", "a" * 3000, "ping.view.view"):
        found = shared.raw(name)
        assert (found.status_code, failed(found)) == (404, 70)
    assert ET.fromstring(shared.raw("nope", "xml").content).attrib["status"] == "failed"
    put = shared.client.put("/rest/ping", params={**shared.login(), "f": "json"})
    assert (put.status_code, failed(put)) == (405, 0)
    login = {**shared.login(), "f": "json"}
    typed = shared.client.post("/rest/ping", params=login, json={"id": 1})
    assert failed(typed) == 0
    large = shared.client.post(
        "/rest/ping?f=json", content=b"a=" + b"x" * 2**20, headers={"Content-Type": FORM}
    )
    assert (large.status_code, failed(large)) == (413, 0)
    many = shared.client.post(
        "/rest/ping?f=json", content=b"&a" * 50_000, headers={"Content-Type": FORM}
    )
    assert failed(many) == 0
    assert failed(shared.raw("getAvatar")) == 0


FORM = "application/x-www-form-urlencoded"


def test_a_bug_fails_in_the_same_form_and_tells_no_secret(
    player: Player, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: object) -> Any:
        raise ZeroDivisionError("division")

    monkeypatch.setitem(HANDLERS, "ping", broken)
    with caplog.at_level(logging.DEBUG):
        found = player.raw("ping")
    assert (found.status_code, failed(found)) == (500, 0)
    assert "ZeroDivisionError" in caplog.text
    ours = "\n".join(each.getMessage() for each in caplog.records if "httpx" not in each.name)
    for hidden in (*player.login().values(), player.device.secret, "Traceback"):
        if len(hidden) > 5 and hidden != "1.16.1":
            assert hidden not in ours


def test_names_that_are_not_utf8_are_sent_as_what_can_be_read() -> None:
    strange = {"song": [{"title": "a\udce9\x00\x1b<&\"'>\n", "path": os.fsdecode(b"\xff")}]}
    as_json = json.loads(respond(strange, {"f": "json"}).body)
    assert as_json["subsonic-response"]["song"][0]["path"] == "\ufffd"
    song = ET.fromstring(respond(strange, {}).body)[0]
    assert song.attrib["title"] == "a\ufffd\ufffd\ufffd<&\"'>\n"


def test_a_library_that_is_not_there_empty_or_gone(tmp_path: Path, indexed: Indexed) -> None:
    with playing(tmp_path / "library.db") as player:
        player.ask("ping")
        for call, more in (("getArtists", {}), ("search3", {"query": ""}), ("stream", {"id": 1})):
            assert player.code(call, **more) in (0, 70)
    empty = tmp_path / "empty" / "library.db"
    empty.parent.mkdir()
    Store.open(empty, create=True).close()
    with playing(empty) as player:
        assert player.ask("getArtists")["artists"]["index"] == []
        assert player.ask("search3", query='""')["searchResult3"] == {
            **{"artist": [], "album": [], "song": []}
        }
        assert player.ask("getRandomSongs")["randomSongs"]["song"] == []
        assert player.ask("getAlbumList2", type="newest")["albumList2"]["album"] == []
        assert player.code("getSimilarSongs", id=1) == 70
        # A library takes its place while the server runs.
        for path in indexed.database.parent.glob("library.db*"):
            _copy(path, tmp_path / f"new-{path.name}").replace(empty.parent / path.name)
        assert len(player.ask("getArtists")["artists"]["index"]) > 0


def _copy(path: Path, target: Path) -> Path:
    target.write_bytes(path.read_bytes())
    return target


def test_ids_of_tracks_that_left_are_not_found(player: Player) -> None:
    with Store.open(player.database) as writer:
        writer.write((), removed=[4])
    for call, name in (
        *(("getSong", "id"), ("stream", "id"), ("download", "id"), ("getCoverArt", "id")),
        *(("getSimilarSongs", "id"), ("getSonicSimilarTracks", "id"), ("star", "id")),
        *(("scrobble", "id"), ("setRating", "id")),
    ):
        assert player.code(call, **{name: 4, "rating": 3}) == 70, call
    songs = player.ask("search3", query="")["searchResult3"]["song"]
    assert len(songs) == 9


@pytest.mark.slow
def test_a_flood_of_covers_leaves_others_their_answers(player: Player) -> None:
    """A client that asks for very many covers at once waits for them, and nobody else does."""
    answers: list[int] = []

    def ask(number: int) -> None:
        found = player.raw("getCoverArt", id=number % 10 + 1, size=number)
        answers.append(found.status_code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        player.ask("getArtists")
    for thread in threads:
        thread.join(120)
    assert answers == [200] * 200


def test_the_page_is_as_it_was(shared: Player) -> None:
    page = shared.client
    assert page.get("/api/v1/tracks", headers={"Host": HOST}).status_code == 200
    assert page.get("/api/v1/tracks").status_code == 421
    assert page.get("/restless", headers={"Host": HOST}).status_code == 404
