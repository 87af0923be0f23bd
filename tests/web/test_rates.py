"""How much one client may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from recsys.web import rates, uploads
from recsys.web.answers import ApiProblem
from recsys.web.rates import PER_MINUTE, Rates, Slots
from recsys.web.tokens import Tokens
from tests.web.conftest import API, Indexed, Serving, copy_of

BYTES = {"Content-Type": "application/octet-stream"}

ASKED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "logins": ("POST", "login", {"json": {"token": "x"}}),
    "uploads": ("POST", "classify?name=a.wav", {"content": b"no sound", "headers": BYTES}),
    "index runs": ("POST", "runs", {"json": {"folders": ["/no/such/folder"]}}),
    "corrected tags": ("POST", "tags/undo", {"json": {}}),
    "transcodes": ("GET", "media/999/opus", {}),
    "waveforms and spectrograms": ("GET", "media/999/spectrogram", {}),
    "covers": ("GET", "media/999/cover", {}),
}
"""A request of each kind, which takes no time."""


def test_tokens_grow_back() -> None:
    now = [0.0]
    counted = Rates(lambda: now[0])
    for _ in range(PER_MINUTE["logins"]):
        counted.take("logins", "a")
    with pytest.raises(ApiProblem, match="more than 20 logins") as caught:
        counted.take("logins", "a")
    assert caught.value.retry_after_s == 3
    counted.take("logins", "b")
    now[0] = 3.1
    counted.take("logins", "a")
    with pytest.raises(ApiProblem):
        counted.take("logins", "a")
    now[0] = 1000.0
    for _ in range(PER_MINUTE["logins"]):
        counted.take("logins", "a")


def test_the_clients_that_are_counted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_CLIENTS", 5)
    counted = Rates()
    for number in range(20):
        counted.take("covers", f"{number}")
    assert len(counted._left) == 5


@pytest.mark.parametrize("what", PER_MINUTE)
def test_too_many_of_a_kind_are_refused_for_a_while(
    indexed: Indexed, serving: Serving, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setitem(PER_MINUTE, what, 2)
    client = serving(indexed.database)
    method, path, more = ASKED[what]
    codes = [client.request(method, f"{API}/{path}", **more).status_code for _ in range(2)]
    assert 429 not in codes
    refused = client.request(method, f"{API}/{path}", **more)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.get(f"{API}/tracks").status_code == 200


def test_behind_a_proxy_each_token_is_a_client(
    indexed: Indexed, serving: Serving, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PER_MINUTE, "covers", 1)
    database = copy_of(indexed, tmp_path / "own")
    client = serving(database, tokens=True)
    tokens = [Tokens(database).make()[1] for _ in range(2)]
    codes = [
        client.get(
            f"{API}/media/999/cover", headers={"Authorization": f"Bearer {token}"}
        ).status_code
        for token in (*tokens, *tokens)
    ]
    assert codes == [404, 404, 429, 429]


def test_files_that_are_sent_at_once_are_few(client: TestClient) -> None:
    slots = client.app.state.uploads._slots  # type: ignore[attr-defined]
    assert slots.free == uploads.MOST_AT_ONCE
    slots.free = 0
    sent = client.post(f"{API}/classify?name=a.wav", content=b"x", headers=BYTES)
    assert sent.status_code == 429
    slots.free = uploads.MOST_AT_ONCE


def test_files_that_are_decoded_at_once_are_few(client: TestClient) -> None:
    client.app.state.decodings.free = 0  # type: ignore[attr-defined]
    for what in ("waveform", "spectrogram"):
        found = client.get(f"{API}/media/1/{what}")
        assert found.status_code in (200, 429)  # a waveform may be stored already
    assert found.status_code == 429


def test_a_slot_is_free_again_after_an_error() -> None:
    slots = Slots(1, "things go on")
    with pytest.raises(KeyError), slots.taken():
        raise KeyError
    with slots.taken(), pytest.raises(ApiProblem, match="1 things go on already"), slots.taken():
        pass
    assert slots.free == 1
