"""Libraries that go, change or break under the server, clients that leave, and processes killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from recsys.api import Library
from recsys.demo import SAMPLE_RATE
from recsys.errors import RecsysError
from recsys.store import connection
from recsys.web.server import ServeOptions, serve
from tests.sounds import staircase, write
from tests.web.conftest import API, Indexed, Serving, get, post
from tests.web.live import listening, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient


def copy_of(indexed: Indexed, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for path in indexed.database.parent.glob("library.*"):
        target = folder / path.name
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    return folder / "library.db"


def test_a_library_that_is_not_there_yet_appears(
    indexed: Indexed, serving: Serving, tmp_path: Path
) -> None:
    client = serving(tmp_path / "library.db")
    missing = get(client, "tracks", 503)
    assert (missing["code"], missing["reason"]) == ("unavailable", "no_library")
    assert "recsys index" in missing["hint"]
    assert get(client, "server")["name"] == "recsys"
    copy_of(indexed, tmp_path)
    assert get(client, "tracks")["total"] == 10


def test_a_library_that_is_replaced_or_deleted(
    indexed: Indexed, serving: Serving, tmp_path: Path
) -> None:
    database = copy_of(indexed, tmp_path / "one")
    client = serving(database)
    assert get(client, "tracks")["total"] == 10
    other = copy_of(indexed, tmp_path / "two")
    with Library(other) as library:
        for path in list(library.folders())[:1]:
            library.forget(path / "chamber")
    for path in database.parent.glob("library.*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert get(client, "tracks", 503)["reason"] == "no_library"
    for path in other.parent.glob("library.*"):
        path.rename(database.parent / path.name)
    for _ in range(12):  # whichever thread answers
        assert get(client, "tracks")["total"] == 8
        assert get(client, "tracks/1/similar" if client_has(client, 1) else "genres")


def client_has(client: TestClient, track: int) -> bool:
    return client.get(f"{API}/tracks/{track}").status_code == 200


def test_a_database_that_is_damaged_says_so(
    indexed: Indexed, serving: Serving, tmp_path: Path
) -> None:
    database = copy_of(indexed, tmp_path / "one")
    database.write_bytes(b"no database" * 1000)
    client = serving(database)
    found = get(client, "tracks", 503)
    assert found["reason"] == "library"
    assert "library.db" in found["detail"]


def test_a_damaged_index_is_made_again(indexed: Indexed, serving: Serving, tmp_path: Path) -> None:
    database = copy_of(indexed, tmp_path / "one")
    expected = [row.track.id for row in Library(database).similar(1).results]
    for path in database.with_name("library.index").iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = get(serving(database), "tracks/1/similar")
    assert [row["track_id"] for row in found["results"]] == expected


@contextmanager
def locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_a_write_that_another_process_holds_up_blocks_no_reader(
    indexed: Indexed, serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.2)
    database = copy_of(indexed, tmp_path / "one")
    client = serving(database)
    body = {"kind": "like", "seeds": ["1"]}
    with locked(database):
        assert get(client, "tracks")["total"] == 10
        assert post(client, "feedback", body, 409)["code"] == "busy"
    post(client, "feedback", body, 201)


def test_files_on_a_disk_that_is_away_are_left_out_with_a_note(
    copied: Indexed, serving: Serving
) -> None:
    client = serving(copied.database)
    copied.music.rename(copied.music.with_name("unmounted"))
    found = get(client, "tracks/1/similar")
    assert found["results"] == []
    assert "mount the disk" in found["notes"][0]
    assert all(row["missing"] for row in get(client, "tracks")["tracks"])


def test_a_listener_who_leaves_ends_the_transcoder(tmp_path: Path) -> None:
    music = tmp_path / "music"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 900 * SAMPLE_RATE)
    write(music / "long.wav", noise.astype(np.float32), SAMPLE_RATE)
    database = tmp_path / "library.db"
    with Library(database) as library:
        library.index([music])
    with listening(database) as client:
        slots = client.app.state.transcodes  # type: ignore[attr-defined]
        free = slots.free
        with client.stream("GET", f"{API}/media/1/opus") as sound:
            chunks = sound.iter_raw()  # kept: the client leaves with it
            assert next(chunks).startswith(b"OggS")
            assert slots.free == free - 1
        until(lambda: slots.free == free)
        assert client.get(f"{API}/tracks").json()["total"] == 1


def events_of(stream: httpx.Response) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in stream.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def test_runs_are_told_as_they_go(copied: Indexed, tmp_path: Path) -> None:
    shutil.copy(next(copied.music.glob("*/0.flac")), copied.music / "new.flac")
    write(copied.music / "newer.wav", staircase(8))
    with listening(copied.database) as client, client.stream("GET", f"{API}/events") as stream:
        run = client.post(f"{API}/runs", json={}).json()
        assert run["state"] in ("queued", "running")
        states, library = [], None
        for kind, value in events_of(stream):
            if kind == "run":
                states.append(value["state"])
                last = value
            elif kind == "library":
                library = value
            if states[-1:] == ["done"] and library is not None and library["tracks"] == 12:
                break
        assert {*states} <= {"queued", "running", "done"}
        assert last["summary"]["indexed"] == 2
        assert client.get(f"{API}/tracks").json()["total"] == 12
        assert [each["state"] for each in client.get(f"{API}/runs").json()["runs"]] == ["done"]


def test_a_run_that_fails_says_why_and_one_is_cancelled(copied: Indexed, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with listening(copied.database) as client:

        def run(number: int) -> dict[str, Any]:
            runs = client.get(f"{API}/runs").json()["runs"]
            return next(each for each in runs if each["run"] == number)

        absent = client.post(f"{API}/runs", json={"folders": [str(tmp_path / "no")]})
        assert absent.status_code == 400
        with connection.LibraryLock(copied.database):
            client.post(f"{API}/runs", json={})
            until(lambda: run(1)["state"] == "failed")
        assert "is being written" in run(1)["error"]["detail"]
        many = tmp_path / "many"
        for number in range(40):
            write(many / f"{number}.wav", staircase(7 + number / 100))
        client.post(f"{API}/runs", json={"folders": [str(many)]})
        client.post(f"{API}/runs", json={})
        client.request("DELETE", f"{API}/runs/3", json={})
        until(lambda: run(2)["state"] == "running")
        client.request("DELETE", f"{API}/runs/2", json={})
        until(lambda: run(2)["ended"])
        assert (run(2)["state"], run(3)["state"]) == ("cancelled", "cancelled")
        assert client.request("DELETE", f"{API}/runs/9", json={}).status_code == 404


@contextmanager
def served(database: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the process of ``recsys serve`` and its address."""
    command = [sys.executable, "-m", "recsys", "serve", "--db", str(database), "--no-browser"]
    with subprocess.Popen(
        [*command, "--json", *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["address"]
        finally:
            process.kill()


@pytest.mark.slow
def test_a_session_outlasts_a_server_that_is_killed(indexed: Indexed, tmp_path: Path) -> None:
    database = copy_of(indexed, tmp_path / "one")
    with served(database, "--port", "0") as (process, address):
        body = {"seeds": ["1"], "length": 3}
        first = httpx.post(f"{address}api/v1/radio", json=body, timeout=60).json()
        process.send_signal(signal.SIGKILL)
    with served(database, "--port", "0") as (process, address):
        kept = httpx.get(f"{address}api/v1/radio/{first['session']}", timeout=60).json()
        assert [r["track_id"] for r in kept["tracks"]] == [r["track_id"] for r in first["results"]]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_a_port_that_is_taken_names_its_holder(indexed: Indexed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(RecsysError, match=f"port {port} of 127.0.0.1 is taken") as caught:
            serve(indexed.database, ServeOptions(port=port))
    if sys.platform == "linux":
        assert f"by process {os.getpid()} (" in caught.value.message
    assert "--port 0" in caught.value.hint


@pytest.mark.parametrize(
    "options", [ServeOptions("0.0.0.0"), ServeOptions(names=("music.example.org",))]
)
def test_another_address_demands_a_token(
    indexed: Indexed, tmp_path: Path, options: ServeOptions
) -> None:
    with pytest.raises(RecsysError, match="a token is needed") as caught:
        serve(copy_of(indexed, tmp_path / "one"), options)
    assert "recsys serve --token" in caught.value.hint


def test_an_address_of_another_machine_is_no_place_to_listen(indexed: Indexed) -> None:
    with pytest.raises(RecsysError, match="cannot listen on"):
        serve(indexed.database, ServeOptions(port=99_999))
