"""What other sites, other machines and hostile clients send."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from recsys.hosts import is_loopback
from recsys.web import app, rates, security
from recsys.web.security import HEADERS, MOST_JSON
from recsys.web.tokens import Tokens
from tests.web.conftest import API, HOST, Indexed, Serving, get

WRITES = [
    ("POST", "feedback"),
    ("POST", "feedback/undo"),
    ("POST", "radio"),
    ("POST", "radio/1/next"),
    ("POST", "radio/1/steer"),
    ("POST", "playlists"),
    ("PUT", "playlists/1"),
    ("DELETE", "playlists/1"),
    ("POST", "runs"),
    ("DELETE", "runs/1"),
    ("PUT", "preferences"),
    ("POST", "login"),
    ("DELETE", "feedback/tracks/1/like"),
    ("POST", "map"),
    ("POST", "tracks/1/genre"),
    ("POST", "tags/undo"),
]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8337",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1.evil.example:8337",
        "127.0.0.1:8337.evil.example",
        "localhost:8337@evil.example",
        "",
    ],
)
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", f"{API}/server", f"{API}/tracks"):
        found = client.get(path, headers={"Host": host})
        assert found.status_code == 421
        assert found.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": f"http://{HOST}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_other_sites_neither_read_nor_write(client: TestClient, headers: dict[str, str]) -> None:
    for method, path in (("GET", "tracks"), ("GET", "media/1/audio"), ("POST", "feedback")):
        sent = client.request(
            method, f"{API}/{path}", headers=headers | {"Content-Type": "application/json"}
        )
        assert sent.status_code == 403
        assert "access-control-allow-origin" not in sent.headers


def test_a_link_from_another_site_opens_the_page_alone(client: TestClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/docs", headers=headers).status_code == 200
    assert client.get(f"{API}/status", headers=headers).status_code == 403


def test_the_page_itself_may_write(own: TestClient) -> None:
    headers = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}
    sent = own.post(f"{API}/feedback", json={"kind": "like", "seeds": ["1"]}, headers=headers)
    assert sent.status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", None])
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_write_must_be_json(client: TestClient, method: str, path: str, kind: str | None) -> None:
    body = json.dumps({"kind": "like", "seeds": ["1"]})
    headers = {} if kind is None else {"Content-Type": kind}
    sent = client.request(method, f"{API}/{path}", content=body, headers=headers)
    assert sent.status_code == 415


def test_nothing_is_written_by_get(own: TestClient) -> None:
    described = get(own, "openapi.json")["paths"]
    before = get(own, "status")
    for path, methods in described.items():
        if "get" in methods and "events" not in path:
            filled = path.replace("{track_id}", "1").replace("{session}", "1")
            own.get(filled.replace("{playlist}", "1"), params={"q": "a"})
    assert get(own, "status") == before
    assert get(own, "radio")["sessions"] == []
    for method, path in WRITES:
        if path not in (
            *("feedback", "radio", "playlists", "runs", "preferences", "playlists/1", "map"),
            "tags/undo",
        ):
            assert own.get(f"{API}/{path}").status_code == 405, (method, path)


def test_every_answer_has_the_headers(client: TestClient) -> None:
    for path in ("/", "/docs", f"{API}/tracks", f"{API}/no", "/static/no.js"):
        found = client.get(path)
        assert {name: found.headers[name] for name in HEADERS} == HEADERS
        assert "unsafe" not in found.headers["content-security-policy"]
    assert {*client.get("/", headers={"Host": "evil"}).headers} >= {n.lower() for n in HEADERS}


@pytest.mark.parametrize(
    "path",
    [
        "../app.py",
        "%2e%2e/app.py",
        "..%2fapp.py",
        "%2e%2e%2fapp.py",
        "..%5capp.py",
        ".hidden",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "a/../../app.py",
        "app.js%00",
        "",
        ".",
    ],
)
def test_only_files_of_the_page_are_static(
    client: TestClient, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "app.js").write_text("1")
    (folder / ".hidden").write_text("1")
    (tmp_path / "app.py").write_text("1")
    monkeypatch.setattr(app, "STATIC", folder)
    assert client.get("/static/app.js").headers["content-type"].startswith("text/javascript")
    assert client.get(f"/static/{path}").status_code == 404


@pytest.mark.parametrize(
    "seed",
    ["/etc/passwd", "~/x.mp3", "./x.mp3", "../x.mp3", "file:///etc/passwd", "x.mp3", "s3://a/b"],
)
def test_no_seed_is_a_path(
    client: TestClient, seed: str, indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a path was looked at")

    monkeypatch.setattr("recsys.seeds.os.path.exists", refuse)
    monkeypatch.setattr("recsys.seeds.SeedFinder._analyse_file", refuse)
    assert get(client, "similar", 400, seed=seed)["code"] == "bad_request"
    body = {"kind": "ban", "seeds": [str(indexed.music)]}
    assert client.post(f"{API}/feedback", json=body).status_code == 400


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("tracks", {"q": "x" * 201}),
        ("tracks", {"limit": 501}),
        ("tracks", {"limit": 0}),
        ("tracks", {"cursor": "no cursor"}),
        ("tracks", {"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTku"}),
        ("tracks", {"sort": "path; DROP TABLE tracks"}),
        ("tracks", {"ids": "1,a"}),
        ("tracks", {"energy": "high"}),
        ("tracks", {"mood": "no such mood"}),
        ("tracks", {"genre": "no such genre"}),
        ("tracks", {"added_since": "yesterday"}),
        ("tracks/1/similar", {"k": 10**9}),
        ("tracks/1/similar", {"tags": ["x"] * 51}),
        ("tracks/1/similar", {"min_length_s": "nan"}),
        ("tracks/1/similar", {"min_length_s": "inf"}),
        ("similar", {}),
        ("similar", {"seed": "\ud800".encode("utf-8", "surrogatepass")}),
        ("media/1/cover", {"size": 100_000}),
        ("media/1/opus", {"start": -1}),
        ("media/1/opus", {"start": "nan"}),
    ],
)
def test_values_out_of_bounds_are_refused(
    client: TestClient, path: str, params: dict[str, Any]
) -> None:
    found = get(client, path, 400, **params)
    assert found["detail"]


@pytest.mark.parametrize("number", ["0", "99", "-1", "x", "9" * 15, "9" * 40, "1.5", "%00", "1/x"])
def test_an_id_of_nothing_is_not_found(client: TestClient, number: str) -> None:
    for path in ("tracks", "media", "playlists", "radio"):
        for end in ("", "/similar", "/audio", "/cover", "/waveform", "/file"):
            found = client.get(f"{API}/{path}/{number}{end}")
            assert found.status_code in (400, 404, 405)
            assert found.headers["content-type"] == "application/problem+json"


def test_marks_of_full_text_search_are_words(client: TestClient) -> None:
    for q in (
        '"',
        "*",
        "NEAR(a b)",
        "a AND b",
        "col:x",
        "(((",
        "\0",
        "'; --",
        "^a",
        "-a",
        "é" * 200,
    ):
        get(client, "tracks", q=q)
        get(client, "suggest", q=q)


def test_too_much_is_refused_whatever_it_says(client: TestClient) -> None:
    def pieces() -> Any:
        for _ in range(20):
            yield b" " * (MOST_JSON // 10)

    headers = {"Content-Type": "application/json"}
    large = client.post(f"{API}/feedback", content=b" " * (MOST_JSON + 1), headers=headers)
    unsaid = client.post(f"{API}/feedback", content=pieces(), headers=headers)
    assert (large.status_code, unsaid.status_code) == (413, 413)
    long = client.get(f"{API}/tracks", params={"q": "a" * 10_000})
    assert long.status_code == 400


def test_a_large_file_is_refused_while_it_is_sent(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "MOST_UPLOAD", 1000)

    def pieces() -> Any:
        yield b"x" * 600
        yield b"x" * 600

    headers = {"Content-Type": "application/octet-stream"}
    sent = client.post(f"{API}/classify?name=a.wav", content=pieces(), headers=headers)
    assert sent.status_code == 413


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff", b'{"kind": "like"}', b'{"a": ' * 5000]
)
def test_a_body_that_is_none_is_refused(client: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    sent = client.post(f"{API}/feedback", content=body, headers=headers)
    assert sent.status_code == 400
    assert sent.json()["code"] == "bad_request"


# Login


@pytest.fixture
def locked(indexed: Indexed, tmp_path: Path, serving: Serving) -> tuple[TestClient, Tokens]:
    """A server that demands a token."""
    database = tmp_path / "library.db"
    database.write_bytes(indexed.database.read_bytes())
    return serving(database, tokens=True), Tokens(database)


def test_only_a_token_opens_the_library(locked: tuple[TestClient, Tokens]) -> None:
    client, tokens = locked
    made, text = tokens.make()
    assert get(client, "server") | {"version": ""} == {
        "home": None,
        "name": "recsys",
        "version": "",
        "login": True,
        "logged_in": False,
    }
    for path in ("tracks", "media/1/audio", "events", "openapi.json", "status"):
        assert get(client, path, 401)["code"] == "unauthorized"
    assert client.post(f"{API}/login", json={"token": "recsys_no"}).status_code == 401
    bearer = {"Authorization": f"Bearer {text}"}
    assert client.get(f"{API}/tracks", headers=bearer).status_code == 200
    logged_in = client.post(f"{API}/login", json={"token": text})
    cookie = logged_in.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert get(client, "tracks")["total"] == 10
    assert get(client, "server")["logged_in"]
    tokens.revoke(made.id)
    assert get(client, "tracks", 401)["hint"]


def test_logging_out_forgets_the_token(locked: tuple[TestClient, Tokens]) -> None:
    client, tokens = locked
    client.post(f"{API}/login", json={"token": tokens.make()[1]})
    client.post(f"{API}/logout", json={})
    get(client, "tracks", 401)


def test_guessing_is_slowed_down(locked: tuple[TestClient, Tokens]) -> None:
    client, tokens = locked
    codes = [
        client.post(f"{API}/login", json={"token": f"no{i}"}).status_code
        for i in range(rates.PER_MINUTE["logins"] + 1)
    ]
    assert codes == [401] * rates.PER_MINUTE["logins"] + [429]
    assert client.post(f"{API}/login", json={"token": tokens.make()[1]}).status_code == 429


def test_the_library_keeps_no_token_but_its_hash(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "library.db")
    _, text = tokens.make()
    assert text not in tokens.path.read_text()
    assert tokens.path.stat().st_mode & 0o777 == 0o600
    assert Tokens(tmp_path / "library.db").holds(text)
    assert not tokens.holds("")
    assert not tokens.holds("\udc80")


def test_damaged_tokens_let_nobody_in(locked: tuple[TestClient, Tokens]) -> None:
    client, tokens = locked
    text = tokens.make()[1]
    tokens.path.write_text("[{}]")
    os.utime(tokens.path, (1, 1))
    found = client.get(f"{API}/tracks", headers={"Authorization": f"Bearer {text}"})
    assert found.status_code == 503
    assert get(client, "server")["login"]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.1.5", False),
        ("::", False),
    ],
)
def test_what_is_of_this_machine_alone(host: str, local: bool) -> None:
    assert is_loopback(host) == local


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("tracks?q=%00", 200),
        ("tracks?added_since=2026-01-01", 400),
        ("tracks?folder=%00", 200),
        ("folders?folder=%00", 200),
        ("folders?folder=..", 200),
        ("similar?seed=%00", 400),
        ("similar?seed=id:999999999999999999", 404),
        ("similar?words=%00%ff", 400),
        ("similar?seed=1&not_like=1", 400),
        ("similar?upload=%00", 410),
        ("tracks?tempo=nan..", 400),
        ("radio/99999999999999999", 400),
        ("tracks/1/similar?exclude=%00", 200),
        ("tracks/1/similar?languages=xx", 200),
        ("failures?cursor=9", 200),
        ("tracks/ids?sort=-genre&kind=speech", 200),
    ],
)
def test_awkward_questions_are_answered_or_refused(
    client: TestClient, path: str, code: int
) -> None:
    assert client.get(f"{API}/{path}").status_code == code


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("radio", {"words": "\0"}, 400),
        ("radio", {"seeds": ["\0"]}, 400),
        ("radio/1/steer", {"kind": "like", "track": 0}, 404),
        ("playlists", {"name": "\ud800", "tracks": [1]}, 400),
        ("playlists", {"name": "a", "tracks": [2**52]}, 404),
        ("playlists/make", {"curves": ["x"]}, 400),
        ("playlists/make", {"cycle": []}, 400),
        ("playlists/make", {"cycle": ["no such genre"]}, 400),
        ("playlists/make", {"seeds": ["1"], "to": "\0"}, 400),
        ("playlists/make", {"extend": [999]}, 400),
        ("playlists/file", {"tracks": [], "format": "xspf", "name": "\0"}, 200),
        ("feedback", {"kind": "ban", "seeds": ["\0"]}, 400),
        ("runs", {"folders": ["\0"]}, 400),
        ("runs", {"folders": ["~nobody/x"]}, 400),
    ],
)
def test_awkward_wishes_are_met_or_refused(
    own: TestClient, path: str, body: dict[str, Any], code: int
) -> None:
    headers = {"Content-Type": "application/json"}
    sent = own.post(f"{API}/{path}", content=json.dumps(body), headers=headers)
    assert sent.status_code == code, sent.text
