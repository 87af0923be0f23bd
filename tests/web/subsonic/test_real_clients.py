"""The libraries that players are made with, against a server that listens."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from recsys.api import Library
from recsys.web.devices import Devices, PlayerDevice
from tests.web.conftest import Indexed
from tests.web.live import listening
from tests.web.subsonic.conftest import copied_to

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).with_name("client.mjs")
NPM = Path(__file__).parents[2] / "page" / "node_modules" / "subsonic-api"


@dataclass(frozen=True)
class Address:
    host: str
    port: int
    device: PlayerDevice
    database: Path


@pytest.fixture
def address(indexed: Indexed, tmp_path: Path) -> Iterator[Address]:
    database = copied_to(tmp_path, indexed.database)
    device = Devices(database).make("phone")
    with listening(database, players=True) as client:
        found = urlsplit(str(client.base_url))
        yield Address(str(found.hostname), int(found.port or 80), device, database)


def ids(songs: list[Any]) -> list[str]:
    return [song.id for song in songs]


@contextmanager
def opensonic(address: Address, password: str, how: str = "token") -> Iterator[Any]:
    """Yield a connection of py-opensonic, and close what it leaves open."""
    libopensonic = pytest.importorskip("libopensonic")
    login: dict[str, Any] = {"username": "phone", "password": password}
    if how == "key":
        login = {"username": None, "password": None, "api_key": password}
    connection = libopensonic.Connection(
        f"http://{address.host}",
        port=address.port,
        use_get=how == "get",
        use_views=how != "get",
        legacy_auth=how == "password",
        **login,
    )
    try:
        yield connection
    finally:
        connection.cleanup()
        connection._thread.join(10)
        connection._loop.close()


@pytest.mark.parametrize("how", ["key", "token", "password", "get"])
def test_py_opensonic_understands_every_call(address: Address, how: str) -> None:
    with opensonic(address, address.device.secret, how) as connection:
        use_every_call(connection)
    with Library(address.database) as library:
        kinds = {(str(event.kind), event.source) for event in library.feedback()}
    assert kinds == {("like", "phone"), ("play", "phone")}


def use_every_call(connection: Any) -> None:
    assert connection.ping()
    extensions = {each.name for each in connection.get_open_subsonic_extensions()}
    assert {"sonicSimilarity", "apiKeyAuthentication"} <= extensions
    assert connection.get_license()["license"]["valid"]
    artists = [each for index in connection.get_artists().index for each in index.artist]
    artist = connection.get_artist(artists[0].id)
    album = connection.get_album(artist.album[0].id)
    song = connection.get_song(album.song[0].id)
    assert song.album_id == album.id
    # As Music Assistant takes over a library.
    page, found = 0, []
    while more := connection.search3("", 0, 0, 0, 0, 4, page).song:
        found += ids(more)
        page += 4
    assert sorted(map(int, found)) == list(range(1, 11))
    for similar in (
        connection.get_similar_songs(song.id, 5),
        connection.get_similar_songs2(artist.id, 5),
    ):
        assert len(similar) == 5
    sonic = connection.get_sonic_similar_tracks(song.id, 5)
    assert len(sonic) == 5
    assert all(0 <= match.similarity <= 1 for match in sonic)
    path = connection.find_sonic_path(found[0], found[-1], 5)
    assert (path[0].entry.id, path[-1].entry.id) == (found[0], found[-1])
    assert connection.create_playlist(name="ours", song_ids=found[:3])
    (playlist,) = connection.get_playlists()
    connection.update_playlist(playlist.id, song_ids_to_add=[found[5]], song_indices_to_remove=[0])
    assert ids(connection.get_playlist(playlist.id).entry) == [*found[1:3], found[5]]
    assert connection.star(sids=[song.id], album_ids=[album.id], artist_ids=[artist.id])
    starred = connection.get_starred2()
    assert (len(starred.artist), len(starred.album), ids(starred.song)) == (1, 1, [song.id])
    assert connection.unstar(sids=[song.id])
    assert connection.set_rating(song.id, 5)
    assert connection.scrobble(song.id)
    assert connection.report_playback(song.id, "song", 1000, "playing")
    assert connection.get_now_playing()[0].id == song.id
    assert connection.save_play_queue(found[:2], current=found[1], position=5)
    assert ids(connection.get_play_queue().entry) == found[:2]
    assert len(connection.get_album_list2("newest")) == 5
    assert len(connection.get_random_songs(4)) == 4
    assert connection.get_genres()
    assert connection.get_user("phone").username == "phone"
    assert connection.get_scan_status().count == 10
    assert connection.get_artist_info2(artist.id).similar_artist
    assert connection.get_top_songs(artist.name)
    assert connection.get_podcasts() == []
    assert connection.get_internet_radio_stations() == []


def test_py_opensonic_understands_errors(address: Address) -> None:
    with opensonic(address, "wrong") as connection:
        from libopensonic import errors

        with pytest.raises(errors.CredentialError):
            connection.get_artists()
    with (
        opensonic(address, address.device.secret) as connection,
        pytest.raises(errors.DataNotFoundError),
    ):
        connection.get_song("99")


@pytest.mark.parametrize("legacy", [False, True])
def test_py_sonic_understands_the_older_calls(address: Address, legacy: bool) -> None:
    libsonic = pytest.importorskip("libsonic")
    connection = libsonic.Connection(
        *(f"http://{address.host}", "phone", address.device.secret),
        port=address.port,
        legacyAuth=legacy,
    )
    assert connection.ping()
    indexes = connection.getIndexes()["indexes"]["index"]
    artist = indexes[0]["artist"][0]
    albums = connection.getMusicDirectory(artist["id"])["directory"]["child"]
    songs = connection.getMusicDirectory(albums[0]["id"])["directory"]["child"]
    assert connection.stream(songs[0]["id"]).read() == connection.download(songs[0]["id"]).read()
    assert connection.getSong(songs[0]["id"])["song"]["size"] > 0
    assert len(connection.getSimilarSongs(songs[0]["id"], 3)["similarSongs"]["song"]) == 3
    assert connection.search2("chamber")["searchResult2"]["album"]
    assert connection.getStarred()["starred"]["song"] == []
    assert len(connection.getAlbumList("random", 3)["albumList"]["album"]) == 3


@pytest.mark.parametrize(("login", "post"), [("password", "get"), ("key", "post")])
def test_subsonic_api_of_npm(address: Address, login: str, post: str) -> None:
    node = shutil.which("node")
    if node is None or not NPM.is_dir():
        pytest.skip("subsonic-api is not installed: npm ci in tests/page, or make page")
    url = f"http://{address.host}:{address.port}"
    command = (node, CLIENT, url, "phone", address.device.secret, login, post)
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["ping"] == "ok"
    assert sorted(map(int, told["songs"])) == list(range(1, 11))
    assert len(told["artists"]) == 5
    assert told["similar"] == 4
    assert told["playlist"] == told["songs"][:2]
    assert told["starred"] == [told["songs"][2]]
    assert told["bytes"] == told["size"]
    assert told["cover"] == 200
    assert told["wrong"] == 40
    with Library(address.database) as library:
        assert {str(event.kind) for event in library.feedback()} == {"like", "play"}


def test_a_server_of_its_own_writes_no_secret(indexed: Indexed, tmp_path: Path) -> None:
    """Whatever is sent to it, its output has neither what was asked nor a traceback."""
    database = copied_to(tmp_path, indexed.database)
    secret = Devices(database).make("phone").secret
    command = (sys.executable, "-m", "recsys", "serve", "--subsonic", "--no-browser", "--json")
    options = ("--port", "0", "--db", str(database))
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = urlsplit(json.loads(process.stdout.readline())["address"])
            for line in (
                f"GET /rest/ping?apiKey={secret}&f=json HTTP/1.1",
                f"GET /rest/ping?u=phone&p=wrong-{secret} HTTP/1.1",
                f"GET /rest/nothing?apiKey={secret} HTTP/1.1",
                f"GET /rest/stream?apiKey={secret}&id=9999 HTTP/1.1",
                f"GET /rest/ping?apiKey={secret}\x01 HTTP/9.9",
                f"BREW /rest/ping?apiKey={secret} HTTP/1.1",
                f"GET /rest/getSong?apiKey={secret}&id={'9' * 70_000} HTTP/1.1",
            ):
                with socket.create_connection((str(url.hostname), int(url.port or 80)), 30) as at:
                    at.sendall(f"{line}\r\nHost: nas.local\r\nConnection: close\r\n\r\n".encode())
                    assert at.recv(12).startswith(b"HTTP/1.1 ")
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    for hidden in (secret, "apiKey", "Traceback", "rest/"):
        assert hidden not in out + err, err
