"""`recsys mpd` with the real MPD: queues, an hour of skips, restarts, passwords."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from recsys.api import Library
from recsys.players.mpd.connection import MpdConnection, MpdRefusedError
from recsys.playlists.files import RootMap, write
from recsys.types import Playlist, Tags, Track
from tests.players.music_files import linked_music
from tests.players.real_mpd import WAIT_S, RealMpd, needs_mpd, planted_music, until
from tests.playlists.test_players import NAMES

pytestmark = [pytest.mark.slow, needs_mpd, pytest.mark.timeout(600)]

TRACKS = 250
SKIPS = 180
"""What somebody skips in an hour, one track every 20 s."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Music directory and library of planted tracks, and the database that MPD made of them."""
    folder = tmp_path_factory.mktemp("music")
    music, library = planted_music(folder, TRACKS)
    mpd = RealMpd(folder / "mpd", music)
    mpd.start()
    try:
        mpd.update()
    finally:
        mpd.stop()
    return music, library, folder / "mpd" / "database"


@pytest.fixture
def library(music: tuple[Path, Path, Path], tmp_path: Path) -> Path:
    for name in music[1].parent.glob("library.db*"):
        shutil.copytree(name, tmp_path / name.name) if name.is_dir() else shutil.copy(
            name, tmp_path
        )
    return tmp_path / "library.db"


@pytest.fixture
def mpd(music: tuple[Path, Path, Path], tmp_path: Path) -> Iterator[RealMpd]:
    server = RealMpd(tmp_path / "mpd", music[0])
    shutil.copy(music[2], tmp_path / "mpd" / "database")
    server.start()
    yield server
    server.stop(kill=True)


def environment(mpd: RealMpd, library: Path, **changes: str) -> dict[str, str]:
    own = {
        "MPD_HOST": str(mpd.socket),
        "RECSYS_DB": str(library),
        "XDG_CACHE_HOME": str(library.parent / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    return {**os.environ, **own, **changes}


@pytest.fixture
def run(mpd: RealMpd, library: Path) -> Run:
    def run(*words: object, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "recsys", "mpd", *map(str, words)]
        done = subprocess.run(
            command, env=environment(mpd, library, **changes), capture_output=True, text=True
        )
        assert "Traceback" not in done.stderr
        return done

    return run


class Station:
    """`recsys mpd radio` in a process of its own."""

    def __init__(self, mpd: RealMpd, library: Path, *words: str) -> None:
        self._log = library.parent / f"radio-{len(list(library.parent.glob('radio-*')))}"
        command = [sys.executable, "-m", "recsys", "mpd", "radio", *words]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=environment(mpd, library), stdout=log, stderr=log
            )
        until(lambda: self.process.poll() is not None or "Radio in MPD" in self.said)

    @property
    def said(self) -> str:
        return self._log.read_text()

    def end(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(WAIT_S)
        assert "Traceback" not in self.said
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def station(mpd: RealMpd, library: Path) -> Iterator[Callable[..., Station]]:
    running: list[Station] = []

    def start(*words: str) -> Station:
        running.append(Station(mpd, library, *words))
        return running[-1]

    yield start
    for each in running:
        each.kill()


def queued(client: MpdConnection) -> list[str]:
    return [entry.uri for entry in client.queue()]


def play(client: MpdConnection, *uris: str) -> None:
    for uri in uris:
        client.ask("add", uri)
    client.ask("play", 0)


SEED, OTHER = "a0/000 b c.flac", "a1/001 b c.flac"


def test_similar_tracks_follow_the_current_one(mpd: RealMpd, run: Run) -> None:
    with mpd.client() as client:
        play(client, SEED, OTHER)
        names = run("similar", "--k", 3, "--dry-run").stdout.splitlines()
        assert queued(client) == [SEED, OTHER]
        done = run("similar", "--k", 3)
        assert (done.returncode, "3 tracks queued" in done.stderr) == (0, True)
        assert queued(client) == [SEED, *names, OTHER]
        run("similar", "--k", 2, "--replace")
        assert queued(client) == [SEED, *names[:2]]
        assert client.status().state == "play"


def test_in_random_mode_priorities_keep_the_order(mpd: RealMpd, run: Run) -> None:
    with mpd.client() as client:
        play(client, SEED, *(f"a2/{i:03d} b c.flac" for i in range(2, 100, 7)))
        client.ask("random", 1)
        names = run("similar", "--k", 3, "--dry-run").stdout.splitlines()
        run("similar", "--k", 3)
        heard = []
        for _ in names:
            client.ask("next")
            heard.append(client.status().uri)
        assert heard == names
        assert client.status().random


def test_playlists_are_queued_or_stored(mpd: RealMpd, run: Run) -> None:
    with mpd.client() as client:
        play(client, SEED)
        assert run("playlist", "--length", 5).returncode == 0
        assert len(set(queued(client))) == 5
        assert queued(client)[0] == SEED
        assert run("playlist", "--length", 4, "--save", "evening").returncode == 0
        stored = client.ask("listplaylist", "evening")
        assert (len(stored), stored[0]) == (4, SEED)
        again = run("playlist", "--length", 4, "--save", "evening")
        assert (again.returncode, "mpc rm evening" in again.stderr) == (1, True)
        assert client.ask("listplaylist", "evening") == stored


def test_an_hour_of_skips(mpd: RealMpd, library: Path, station: Callable[..., Station]) -> None:
    with mpd.client() as client:
        play(client, SEED)
        radio = station("--ahead", "3")
        heard = [SEED]
        for _ in range(SKIPS):
            until(lambda: client.status().following > 0)
            client.ask("next")
            status = client.status()
            assert status.state == "play"
            heard.append(str(status.uri))
        assert len(heard) == len(set(heard)) == SKIPS + 1
        until(lambda: client.status().following == 3)
        assert radio.process.poll() is None
        assert radio.end() == 130
        assert set(heard) < set(queued(client))  # Ctrl-C leaves the queue
        assert client.status().state == "play"
    with Library(library) as opened:
        events = opened.feedback()
        assert {(event.kind, event.source) for event in events} == {("skip", "mpd")}
        assert 1 <= len(events) <= SKIPS  # of several at once, one is seen
        assert opened.radio_session(1).not_like


def test_what_runs_dry_plays_on(mpd: RealMpd, station: Callable[..., Station]) -> None:
    with mpd.client() as client:
        play(client, SEED)
        station("--ahead", "1")
        for _ in range(6):  # faster than anyone can feed
            with suppress(MpdRefusedError):  # it stopped
                client.ask("next")
        until(lambda: client.status().state == "play" and client.status().following == 1)
        client.ask("stop")
        client.ask("clear")
        until(lambda: client.status().length == 1)
        assert client.status().state == "stop"  # what was stopped stays so


@pytest.mark.parametrize("kill", [False, True], ids=["restart", "kill"])
def test_an_mpd_that_goes_away_and_comes_back(
    mpd: RealMpd, station: Callable[..., Station], kill: bool
) -> None:
    with mpd.client() as client:
        play(client, SEED)
    radio = station("--ahead", "4", "--play")
    mpd.stop(kill=kill)
    until(lambda: "trying again" in radio.said)
    mpd.start()
    until(lambda: "is back" in radio.said)
    with mpd.client() as client:
        until(lambda: client.status().state == "play" and client.status().following == 4)
        before = queued(client)
        assert len(before) == len(set(before))
        client.ask("next")
        until(lambda: client.status().following == 4)
    assert radio.end(signal.SIGTERM) == 143


def test_an_mpd_that_is_killed_in_the_middle_of_a_command(
    mpd: RealMpd, station: Callable[..., Station]
) -> None:
    with mpd.client() as client:
        play(client, SEED)
    radio = station("--ahead", "20", "--play")
    heard: list[str] = []
    for _ in range(4):
        with mpd.client() as client:
            until(lambda: client.status().state == "play" and client.status().following >= 10)
            heard += [uri for uri in queued(client) if uri not in heard[-30:]]
            # It is killed while the radio fills what this makes empty.
            client.ask("delete", (1, client.status().length))
        mpd.stop(kill=True)
        mpd.start()
    with mpd.client() as client:
        until(lambda: client.status().following == 20)
        heard += [uri for uri in queued(client) if uri not in heard[-30:]]
    assert len(heard) == len(set(heard))
    assert radio.process.poll() is None
    radio.end()


def test_two_radios_say_so(mpd: RealMpd, station: Callable[..., Station], run: Run) -> None:
    with mpd.client() as client:
        play(client, SEED)
    radio = station()
    second = run("radio")
    assert second.returncode == 1
    assert f"already: process {radio.process.pid}" in second.stderr
    radio.end()
    third = station()
    assert third.process.poll() is None


def test_random_mode_and_consume(mpd: RealMpd, station: Callable[..., Station]) -> None:
    with mpd.client() as client:
        play(client, SEED)
        client.ask("random", 1)
        station("--ahead", "3", "--consume")
        heard = {SEED}
        for _ in range(20):
            until(lambda: client.status().following >= 3)
            client.ask("next")
            status = client.status()
            assert status.uri not in heard
            heard.add(str(status.uri))
        until(lambda: len(client.queue()) == 5)  # the first one is the listener's own
        assert client.status().random
        assert queued(client)[0] == SEED


def test_the_consume_mode_of_mpd(mpd: RealMpd, station: Callable[..., Station]) -> None:
    with mpd.client() as client:
        play(client, SEED)
        client.ask("consume", 1)
        station("--ahead", "3")
        for _ in range(5):
            until(lambda: client.status().following == 3)
            client.ask("next")
        until(lambda: client.status().following == 3)
        assert len(client.queue()) == 4


def test_stickers_are_feedback_once(
    mpd: RealMpd, library: Path, station: Callable[..., Station]
) -> None:
    with mpd.client() as client:
        play(client, SEED)
        client.ask("sticker_set", "song", SEED, "rating", "10")
        client.ask("sticker_set", "song", OTHER, "skip_count", "4")
        client.ask("sticker_set", "song", "a2/002 b c.flac", "rating", "no number")
    for _ in range(2):
        station().end()
    with Library(library) as opened:
        said = sorted((event.kind, event.name) for event in opened.feedback())
        assert said == [("like", "000 b c"), ("skip", "001 b c")]


def test_passwords_ports_and_what_is_not_there(
    music: tuple[Path, Path, Path], library: Path, tmp_path: Path
) -> None:
    locked = RealMpd(tmp_path / "locked", music[0], password="secret")
    shutil.copy(music[2], tmp_path / "locked" / "database")
    locked.start()
    try:
        over_network = {"MPD_HOST": "127.0.0.1", "MPD_PORT": str(locked.port)}

        def similar(**changes: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "recsys", "mpd", "similar", "id:1", "--root"]
            env = environment(locked, library, **{**over_network, **changes})
            return subprocess.run(
                [*command, str(music[0])], env=env, capture_output=True, text=True
            )

        without, wrong = similar(), similar(MPD_HOST="other@127.0.0.1")
        assert "MPD_HOST=password@host" in without.stderr
        assert "refuses the password" in wrong.stderr
        assert similar(MPD_HOST="secret@127.0.0.1").returncode == 0
        assert similar(MPD_HOST=f"secret@{locked.socket}").returncode == 0
        assert similar(MPD_HOST=f"secret@{locked.abstract}").returncode == 0
        gone = similar(MPD_HOST=f"{tmp_path}/none")
        assert "cannot be reached: No such file" in gone.stderr
        said = "".join(done.stderr for done in (without, wrong, gone))
        assert "Traceback" not in said
        assert "secret" not in said
    finally:
        locked.stop()


def test_what_mpd_does_not_have(mpd: RealMpd, run: Run, tmp_path: Path) -> None:
    with mpd.client() as client:
        play(client, SEED)
        done = run(
            "similar", "id:1", "--root", tmp_path, MPD_HOST="127.0.0.1", MPD_PORT=str(mpd.port)
        )
        assert (done.returncode, "MPD has none of the tracks" in done.stderr) == (1, True)
        unknown = run("radio", "--root", tmp_path)
        assert f"what MPD calls '{SEED}'" in unknown.stderr
        assert queued(client) == [SEED]
    assert run("radio", "--dry-run").stdout


@pytest.mark.parametrize("random", [0, 1])
def test_a_library_of_a_few_tracks_begins_again(tmp_path: Path, random: int) -> None:
    music, library = planted_music(tmp_path, 4)
    server = RealMpd(tmp_path / "mpd", music)
    server.start()
    radio = None
    try:
        server.update()
        with server.client() as client:
            client.ask("random", random)
            play(client, SEED)
            radio = Station(server, library, "--ahead", "2")
            for _ in range(12):
                until(lambda: client.status().state == "play")
                client.ask("next")
            until(lambda: client.status().state == "play")
            assert len(client.queue()) > 4
            assert "all tracks were given: session 2 begins" in radio.said
            assert radio.end() == 130
    finally:
        if radio is not None:
            radio.kill()
        server.stop()


def test_mpd_opens_every_list_of_files(tmp_path: Path) -> None:
    music = tmp_path / "music"
    names = [name for name in NAMES if " b" not in name and "dir /" not in name]  # MPD trims
    paths = linked_music(music, names, 0.2)
    tracks = (Track(i, path, Tags(), 0.2, f"h{i}", "jazz") for i, path in enumerate(paths))
    playlist = Playlist("Evening", tuple(tracks))
    server = RealMpd(tmp_path / "mpd", music)
    stored = tmp_path / "mpd" / "playlists" / "evening.m3u"
    (music / "lists").mkdir()
    write(playlist, stored, roots=[RootMap(music, "")])
    write(playlist, music / "lists" / "evening.m3u8", relative=True)
    write(playlist, music / "here.m3u8", relative=True)
    write(playlist, music / "absolute.m3u8")
    server.start()
    try:
        server.update()
        with server.client() as client:
            for name in ("evening", "lists/evening.m3u8", "here.m3u8", "absolute.m3u8"):
                client.ask("clear")
                client.ask("load", name)
                assert queued(client) == names
    finally:
        server.stop()
