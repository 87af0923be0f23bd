"""Libraries that go, change or break under the server, clients that leave, and processes killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx
import pytest

from recsys.api import Library
from recsys.errors import RecsysError
from recsys.indexing import IndexOptions
from recsys.store import connection
from recsys.store.connection import LibraryLock
from recsys.web import media
from recsys.web.devices import Devices
from recsys.web.media import MOST_TRANSCODES, SentSound
from recsys.web.rates import Slots
from recsys.web.server import ServeOptions, bound_socket, serve
from recsys.web.uploads import MOST_AT_ONCE
from tests.sounds import noise, staircase, write
from tests.web.conftest import API, Indexed, Serving, copy_of, get, post
from tests.web.live import WAIT_S, listening, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from starlette.testclient import TestClient
    from starlette.types import Message


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


def test_a_listener_who_leaves_ends_the_transcoder(long: Path) -> None:
    with listening(long) as client:
        slots = client.app.state.transcodes  # type: ignore[attr-defined]
        free = slots.free
        with client.stream("GET", f"{API}/media/1/opus") as sound:
            chunks = sound.iter_raw()  # kept: the client leaves with it
            assert next(chunks).startswith(b"OggS")
            assert slots.free == free - 1
        until(lambda: slots.free == free)
        assert client.get(f"{API}/tracks").json()["total"] == 1


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a library of one file of 40 MB, which no buffer holds."""
    folder = tmp_path_factory.mktemp("long")
    path = write(folder / "music" / "long.wav", noise(900))
    with Library(folder / "library.db") as library:
        library.index([path.parent])
    return folder / "library.db"


def own_long(long: Path, folder: Path) -> tuple[Path, Path]:
    """Return a library with a file of its own, and the file."""
    music = folder / "music"
    shutil.copytree(long.with_name("music"), music)
    with Library(folder / "library.db") as library:
        library.index([music])
    return folder / "library.db", music / "long.wav"


@pytest.mark.slow
def test_ten_slow_readers_hold_up_nobody(long: Path) -> None:
    with listening(long) as client, ExitStack() as slow:
        for _ in range(10):
            sound = slow.enter_context(client.stream("GET", f"{API}/media/1/audio"))
            assert sound.status_code == 200
            assert next(sound.iter_raw(1000))
        decoded = [
            slow.enter_context(client.stream("GET", f"{API}/media/1/opus")) for _ in range(10)
        ]
        codes = [each.status_code for each in decoded]
        assert (codes.count(200), codes.count(429)) == (MOST_TRANSCODES, 2)
        for _ in range(20):
            assert client.get(f"{API}/tracks").json()["total"] == 1
        body = {"kind": "like", "seeds": ["1"]}
        assert client.post(f"{API}/feedback", json=body).status_code == 201
        assert client.post(f"{API}/feedback/undo", json={}).status_code == 200


@pytest.mark.parametrize("is_wanted", [True, False])
def test_sound_that_nobody_reads_ends_when_others_want_its_place(
    monkeypatch: pytest.MonkeyPatch, is_wanted: bool
) -> None:
    monkeypatch.setattr(media, "UNREAD_S", 0.01)
    slots = Slots(1 if is_wanted else 2, "transcodings")
    is_full = asyncio.Event()

    async def sound() -> AsyncGenerator[bytes, None]:
        with slots.taken():
            while True:
                yield b"sound"

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            is_full.set()
            await asyncio.sleep(60)  # a reader who reads nothing

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def stall() -> bool:
        response = SentSound(sound(), slots, {}, "audio/mpeg")
        sending = asyncio.ensure_future(response({"type": "http"}, receive, send))
        await is_full.wait()
        await asyncio.wait({sending}, timeout=0.2)
        return sending.done()

    assert asyncio.run(stall()) is is_wanted
    assert slots.free == (1 if is_wanted else 2)


def test_listeners_who_leave_are_forgotten(long: Path) -> None:
    with listening(long) as client:
        told = client.app.state.events  # type: ignore[attr-defined]
        for _ in range(3):
            with client.stream("GET", f"{API}/events") as stream:
                parts = stream.iter_raw()  # kept: without it, the stream is closed
                assert next(parts)
                assert told._listeners
        with client.stream("GET", f"{API}/media/1/audio") as sound:
            assert next(sound.iter_raw(1000))
        until(lambda: not told._listeners)
        assert client.get(f"{API}/tracks").json()["total"] == 1


def test_a_file_that_is_cut_off_while_it_is_sent_ends_there(
    long: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database, path = own_long(long, tmp_path)
    with listening(database) as client:
        size = path.stat().st_size
        with client.stream("GET", f"{API}/media/1/audio") as sound:
            assert int(sound.headers["content-length"]) == size
            chunks = sound.iter_raw(1000)
            assert next(chunks)
            os.truncate(path, size // 2)
            with pytest.raises(httpx.RemoteProtocolError):
                list(chunks)
        assert client.get(f"{API}/tracks").json()["total"] == 1
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.slow
def test_a_file_that_grows_while_it_is_sent_is_sent_as_it_was(long: Path, tmp_path: Path) -> None:
    database, path = own_long(long, tmp_path)
    with listening(database) as client:
        size = path.stat().st_size
        with client.stream("GET", f"{API}/media/1/audio") as sound:
            with path.open("ab") as file:
                file.write(bytes(100_000))
            assert sum(map(len, sound.iter_raw())) == size


def test_a_client_who_leaves_while_it_sends_leaves_nothing(long: Path) -> None:
    with listening(long) as client:
        sent = client.app.state.uploads  # type: ignore[attr-defined]
        host, port = client.base_url.host, client.base_url.port
        with socket.create_connection((host, port or 0)) as raw:
            head = f"POST {API}/classify?name=a.wav HTTP/1.1\r\nHost: {host}:{port}\r\n"
            kind = "Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n"
            raw.sendall((head + kind).encode() + bytes(1000))
            until(lambda: sent._slots.free < MOST_AT_ONCE)
        until(lambda: sent._slots.free == MOST_AT_ONCE)
        assert not list(Path(sent._folder.name).iterdir())


def test_a_library_that_is_analysed_again_answers_as_it_is_now(
    copied: Indexed, serving: Serving
) -> None:
    client = serving(copied.database)
    before = get(client, "tracks/1")["analysis"]
    with Library(copied.database, effort="fast") as library:
        library.index([copied.music], IndexOptions(reanalyse=True))
    for _ in range(12):  # whichever thread answers
        now = get(client, "tracks/1")["analysis"]
        assert (before["effort"], now["effort"]) == ("balanced", "fast")
        assert len(get(client, "tracks/1/similar")["results"]) > 3


def test_an_index_that_is_deleted_is_made_again(copied: Indexed, serving: Serving) -> None:
    client = serving(copied.database)
    expected = get(client, "tracks/1/similar")["results"]
    shutil.rmtree(copied.database.with_name("library.index"))
    for _ in range(12):
        assert get(client, "tracks/1/similar")["results"] == expected
    assert get(serving(copied.database), "tracks/1/similar")["results"] == expected


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
def served(
    database: Path, *options: str, log: IO[str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the process of ``recsys serve`` and its address."""
    command = [sys.executable, "-m", "recsys", "serve", "--db", str(database), "--no-browser"]
    with subprocess.Popen(
        [*command, "--json", *options], stdout=subprocess.PIPE, stderr=log, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["address"]
        finally:
            process.kill()


@pytest.mark.slow
def test_what_the_server_logs_holds_no_address_and_no_secret(
    indexed: Indexed, tmp_path: Path
) -> None:
    database = copy_of(indexed, tmp_path / "one")
    secret = Devices(database).make("phone").secret
    asked = {"apiKey": secret, "f": "json", "id": "1"}
    errors = tmp_path / "errors"
    with (
        errors.open("w") as log,
        served(database, "--port", "0", "--subsonic", log=log) as (process, address),
    ):
        for call in ("ping", "getSong", "stream", "nope"):
            httpx.get(f"{address}rest/{call}", params=asked, timeout=60)
        httpx.get(f"{address}rest/ping", params={"u": "phone", "p": f"{secret}x"}, timeout=60)
        where = httpx.URL(address)
        with socket.create_connection((where.host, where.port or 80)) as broken:
            broken.sendall(f"GET /rest/ping?apiKey={secret} no HTTP\r\n\r\n".encode())
            assert broken.recv(1000)
        process.send_signal(signal.SIGINT)
        told = process.stdout.read() if process.stdout is not None else ""
    told += errors.read_text()
    for hidden in (secret, "?", "apiKey", "getSong", "Traceback"):
        assert hidden not in told


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


@pytest.mark.slow
def test_a_run_of_a_server_that_is_killed_ends_and_is_taken_up_again(tmp_path: Path) -> None:
    for number in range(60):
        write(tmp_path / "music" / f"{number}.wav", staircase(7 + number / 100))
    database = tmp_path / "library.db"
    body = {"folders": [str(tmp_path / "music")]}

    def run(address: str) -> Any:
        return httpx.get(f"{address}api/v1/runs", timeout=60).json()["runs"][0]

    with served(database, "--port", "0") as (process, address):
        httpx.post(f"{address}api/v1/runs", json=body, timeout=60)
        until(lambda: run(address)["done"] > 0)
        process.send_signal(signal.SIGKILL)
    with LibraryLock(database, WAIT_S):  # the run ends with the server
        pass
    with served(database, "--port", "0") as (process, address):
        httpx.post(f"{address}api/v1/runs", json=body, timeout=60)
        until(lambda: run(address)["ended"])
        assert run(address)["state"] == "done"
        assert httpx.get(f"{address}api/v1/tracks", timeout=60).json()["total"] == 60


@pytest.mark.slow
def test_a_write_that_is_held_up_says_so_in_seconds(indexed: Indexed, tmp_path: Path) -> None:
    database = copy_of(indexed, tmp_path / "one")
    with served(database, "--port", "0") as (_, address), locked(database):
        body = {"kind": "like", "seeds": ["1"]}
        # The client would give up long before SQLite does by itself.
        busy = httpx.post(f"{address}api/v1/feedback", json=body, timeout=connection.BUSY_TIMEOUT_S)
        assert (busy.status_code, busy.json()["code"]) == (409, "busy")
        assert busy.headers["retry-after"]


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


@pytest.mark.parametrize("name", ["http://music.example.org/", "a b", ""])
def test_a_name_that_no_request_can_have_is_refused(indexed: Indexed, name: str) -> None:
    with pytest.raises(RecsysError, match="no name of a host"):
        serve(indexed.database, ServeOptions(names=(name,)))


def test_an_address_of_another_machine_is_no_place_to_listen(indexed: Indexed) -> None:
    with pytest.raises(RecsysError, match="cannot listen on"):
        serve(indexed.database, ServeOptions(port=99_999))


def test_a_server_that_ends_ends_its_programs_first(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / "music" / f"{number}.wav", staircase(7 + number / 100))
    with listening(tmp_path / "library.db") as client:
        client.post(f"{API}/runs", json={"folders": [str(tmp_path / "music")]})
        runs = client.app.state.runs  # type: ignore[attr-defined]
        until(lambda: runs._process is not None)
        process = runs._process
    assert process.returncode is not None


def test_small_answers_are_sent_at_once() -> None:
    """An answer that waits for the next packet takes 40 ms more."""
    told: list[int] = []

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        told.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async def visit() -> None:
        with bound_socket(ServeOptions(port=0)) as listener:
            async with await asyncio.start_server(greet, sock=listener):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                await reader.read()
                writer.close()

    asyncio.run(visit())
    assert [bool(each) for each in told] == [True]
