"""What needs no MPD: addresses, names of files, plays and skips, an MPD that breaks off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from recsys.api import Library
from recsys.errors import QueryError
from recsys.players.mpd.address import MpdAddress
from recsys.players.mpd.connection import LostMpdError, MpdConnection, MpdRefusedError, MpdStatus
from recsys.players.mpd.listening import Listening
from recsys.players.mpd.queue import MusicFolders
from recsys.players.mpd.stickers import opinion
from recsys.playlists.files import RootMap
from recsys.types import Track
from tests.stored import analysed, new_library, record

PLAYING = {"state": "play", "playlistlength": "9", "duration": "200", "elapsed": "10"}


def status(song_id: int | None, uri: str | None, **changes: str) -> MpdStatus:
    answer = {**PLAYING, **changes}
    if song_id is not None:
        answer |= {"song": "1", "songid": str(song_id)}
    return MpdStatus.of(answer, {"file": uri})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("music.local", ("music.local", None)),
        ("secret@music.local", ("music.local", "secret")),
        ("/run/mpd/socket", ("/run/mpd/socket", None)),
        ("secret@/run/mpd/socket", ("/run/mpd/socket", "secret")),
        ("@mpd", ("@mpd", None)),
        ("secret@@mpd", ("@mpd", "secret")),
        ("::1", ("::1", None)),
    ],
)
def test_the_forms_of_mpd_host(host: str, expected: tuple[str, str | None]) -> None:
    address = MpdAddress.find(None, None, {"MPD_HOST": host, "MPD_PORT": "6611"})
    assert (address.host, address.password) == expected
    assert address.port == 6611
    assert "secret" not in f"{address} {address!r} {address.key}"


def test_what_is_given_goes_before_the_environment() -> None:
    environment = {"MPD_HOST": "elsewhere", "MPD_PORT": "6611"}
    assert str(MpdAddress.find("here", 6622, environment)) == "here:6622"
    assert str(MpdAddress.find("::1", None, {})) == "[::1]:6600"


@pytest.mark.parametrize(
    "environment", [{"MPD_PORT": "x"}, {"MPD_PORT": "70000"}, {"MPD_HOST": "a\nb"}]
)
def test_what_is_no_address_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(QueryError) as caught:
        MpdAddress.find(None, None, environment)
    assert caught.value.hint


def test_names_of_this_machine_are_one() -> None:
    with pytest.raises(QueryError) as refused:
        MpdAddress.parse("hunter2@")
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"
    keys = {MpdAddress.parse(host).key for host in ("localhost", "127.0.0.1", "x@localhost")}
    assert keys == {"localhost:6600"}


def test_plays_and_skips() -> None:
    listening = Listening()
    assert listening.follow(status(1, "a", elapsed="0"), 0.0) is None
    assert listening.follow(status(1, "a", elapsed="90"), 90.0) is None
    left = listening.follow(status(2, "b", elapsed="0"), 101.0)  # at 101 of 200 s
    assert (left and left.uri, left and left.kind) == ("a", "play")
    assert listening.follow(status(2, "b", elapsed="20", state="pause"), 121.0) is None
    left = listening.follow(status(3, "c"), 500.0)  # paused meanwhile
    assert (left and left.uri, left and left.kind) == ("b", "skip")
    assert listening.follow(status(None, None, state="stop"), 501.0) is None  # says nothing
    assert listening.follow(status(4, "d"), 502.0) is None
    listening.forget()
    assert listening.follow(status(5, "e"), 503.0) is None


def test_the_last_song_of_a_queue_counts_if_it_was_played() -> None:
    listening = Listening()
    listening.follow(status(1, "a", elapsed="150"), 0.0)
    left = listening.follow(status(None, None, state="stop"), 50.0)
    assert (left and left.uri, left and left.kind) == ("a", "play")


@pytest.mark.parametrize(
    ("stickers", "expected"),
    [
        ({"rating": 10.0}, "like"),
        ({"rating": 2.0, "plays": 9.0}, "dislike"),
        ({"rating": 0.0}, None),
        ({"rating": 5.0, "plays": 3.0, "skips": 1.0}, "play"),
        ({"like": 2.0}, "like"),
        ({"like": 0.0}, "dislike"),
        ({"plays": 1.0, "skips": 4.0}, "skip"),
        ({}, None),
    ],
)
def test_what_stickers_say(stickers: dict[str, float], expected: str | None) -> None:
    assert opinion(stickers) == expected


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("library")
    (folder / "real" / "jazz").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "real")
    paths = ["/m/a/b.flac", "/m/jazz/#1 é.flac", "/m/\udce9.mp3", "/new/x.flac"]
    with new_library(folder) as store:
        records = [record(path, analysed()) for path in paths]
        store.add_root(Path("/m"))
        store.write([*records, record(folder / "real" / "jazz" / "c.flac", analysed())])
    with Library(folder / "library.db") as library:
        yield library


def track(library: Library, path: str | Path) -> Track:
    found = library.store.track_by_path(Path(path))
    assert found is not None
    return found


def test_names_of_mpd_and_back(library: Library) -> None:
    folders = MusicFolders(library, [RootMap(Path("/m"), "")])
    for path, uri in (("/m/a/b.flac", "a/b.flac"), ("/m/jazz/#1 é.flac", "jazz/#1 é.flac")):
        assert folders.uri(track(library, path)) == uri
        assert folders.track(uri) == track(library, path)
    assert folders.uri(track(library, "/new/x.flac")) is None
    assert folders.uri(track(library, "/m/\udce9.mp3")) is None  # its protocol is UTF-8
    assert folders.track("a/other.flac") is None
    assert folders.track("http://radio/stream") is None
    own = MusicFolders(library, [RootMap(Path("/m/jazz"), "x/jazz")], absolute=True)
    assert own.uri(track(library, "/m/jazz/#1 é.flac")) == "x/jazz/#1 é.flac"
    assert own.uri(track(library, "/new/x.flac")) == "/new/x.flac"
    assert own.track("/new/x.flac") == track(library, "/new/x.flac")


def test_where_mpd_has_its_music(library: Library) -> None:
    """As it is given, or as MPD tells, or else where the library has its own."""
    found = track(library, "/m/a/b.flac")
    for answer, roots, uri in (
        (b"music_directory: /m/a\npcre: 1\nOK\n", [], "b.flac"),
        (b"music_directory: smb://nas/m\nOK\n", [], "a/b.flac"),
        (b'ACK [4@0] {config} you don\'t have permission for "config"\n', [], "a/b.flac"),
        (b"", [RootMap(Path("/m"), "x")], "x/a/b.flac"),
    ):
        with server(answer) as address, MpdConnection(address) as mpd:
            assert MusicFolders.of(library, mpd, roots).uri(found) == uri


def test_a_music_directory_that_is_a_link(library: Library) -> None:
    folder = library.database.parent
    folders = MusicFolders(library, [RootMap(folder / "link", "")])
    found = track(library, folder / "real" / "jazz" / "c.flac")
    assert folders.track("jazz/c.flac") == found
    assert folders.uri(found) == "jazz/c.flac"


def test_what_plays_and_is_not_in_the_library(library: Library) -> None:
    folders = MusicFolders(library, [RootMap(Path("/m"), "")])
    assert folders.seeds(status(None, None)) == ()
    with pytest.raises(QueryError, match=r"'a/other\.flac'; looked in /m") as caught:
        folders.seeds(status(1, "a/other.flac"))
    assert "--root" in caught.value.hint


@contextmanager
def server(*answers: bytes) -> Iterator[MpdAddress]:
    """Answer one connection with these bytes, one per command, then go away."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"OK MPD 0.23.5\n")
            for answer in answers:
                connection.recv(4096)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield MpdAddress("127.0.0.1", listener.getsockname()[1])
        thread.join(10)


@pytest.mark.parametrize(
    "answer", [b"", b"volume: 10\nstate: pl", b"volume: 10\nnonsense\nOK\n", b"\xff\xfe\nOK\n"]
)
@pytest.mark.parametrize("ask", [MpdConnection.status, MpdConnection.queue])
def test_an_mpd_that_breaks_off(answer: bytes, ask: Callable[[MpdConnection], object]) -> None:
    with server(answer) as address, MpdConnection(address) as mpd:
        with pytest.raises(LostMpdError, match="cannot be reached") as caught:
            ask(mpd)
        assert caught.value.hint
        with pytest.raises(LostMpdError):  # it stays lost until it is connected again
            mpd.wait(1.0)


@pytest.mark.parametrize("status", [b"song: x\nOK\n", b"duration: 1\nduration: 2\nOK\n"])
def test_an_mpd_that_is_not_understood(status: bytes) -> None:
    refused = pytest.raises(LostMpdError, match="its answer is not understood")
    with server(status, b"OK\n", b"") as address, MpdConnection(address) as mpd, refused:
        mpd.status()


def test_a_line_is_one_command() -> None:
    with pytest.raises(QueryError, match="a line break in"):
        MpdConnection(MpdAddress("nowhere")).ask("playlistadd", "x\nclear", "y")


def test_an_mpd_without_news_is_reached_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mpd = MpdConnection(MpdAddress("127.0.0.1", listener.getsockname()[1]))
        thread = threading.Thread(target=greet, args=(listener, 2), daemon=True)
        thread.start()
        mpd.connect()
        mpd.wait(0.1)  # no event comes, so it connects again
        thread.join(10)
        assert not thread.is_alive()
        mpd.close()


def greet(listener: socket.socket, times: int) -> None:
    """Take connections as MPD does, and answer nothing."""
    with ExitStack() as taken:
        for _ in range(times):
            connection, _ = listener.accept()
            taken.enter_context(connection).sendall(b"OK MPD 0.23.5\n")


def test_what_is_no_mpd() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = MpdAddress("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(LostMpdError, match=r"cannot be reached: .+"):
        MpdConnection(address).connect()


def test_errors_of_mpd_have_words() -> None:
    refusal = b'ACK [4@0] {addid} you don\'t have permission for "addid"\n'
    answers = (refusal, b"ACK [50@0] {addid} No such song\n")
    with server(*answers) as address, MpdConnection(address) as mpd:
        with pytest.raises(MpdRefusedError, match="without a password") as caught:
            mpd.ask("addid", "x")
        assert "MPD_HOST=password@host" in caught.value.hint
        with pytest.raises(MpdRefusedError, match="No such song"):
            mpd.ask("addid", "x")
