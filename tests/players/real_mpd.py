"""The real MPD on loopback, with an output that plays into nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.players.mpd.address import MpdAddress
from recsys.players.mpd.connection import MpdConnection
from tests.planted import PlantedLibrary, Sound, scattered
from tests.players.music_files import linked_music

WAIT_S = 60.0

needs_mpd = pytest.mark.skipif(
    shutil.which("mpd") is None, reason="needs the real mpd (apt-get install mpd)"
)


def until(is_so: Callable[[], Any]) -> Any:
    """Wait till something is so, and return it."""
    end = time.monotonic() + WAIT_S
    while not (found := is_so()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
    return found


def planted_music(folder: Path, count: int, artists: int = 40) -> tuple[Path, Path]:
    """Return music directory and database of a library of planted tracks that MPD can play."""
    music = folder / "music"
    sounds = scattered(count, np.random.default_rng(11), artists=artists)
    paths = linked_music(music, [f"a{i % 7}/{i:03d} b c.flac" for i in range(count)])
    placed = [
        Sound(each.genre, each.embedding, artist=each.artist, path=str(path))
        for each, path in zip(sounds, paths, strict=True)
    ]
    PlantedLibrary(folder, placed).store.close()
    return music, folder / "library.db"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class RealMpd:
    """A process of MPD that can be killed and started again."""

    def __init__(self, folder: Path, music: Path, *, password: str | None = None) -> None:
        self.folder, self.port, self.socket = folder, free_port(), folder / "mpd.socket"
        self.abstract = f"@recsys-{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "playlists").mkdir(parents=True, exist_ok=True)
        allowed = ""
        if password is not None:
            allowed = f'password "{password}@read,add,control,admin"\ndefault_permissions "read"\n'
        (folder / "mpd.conf").write_text(
            f'music_directory "{music}"\n'
            f'playlist_directory "{folder}/playlists"\n'
            f'db_file "{folder}/database"\n'
            f'state_file "{folder}/state"\n'
            f'sticker_file "{folder}/stickers"\n'
            f'bind_to_address "{self.socket}"\n'
            f'bind_to_address "{self.abstract}"\n'
            'bind_to_address "127.0.0.1"\n'
            f'port "{self.port}"\n'
            'audio_output {\ntype "null"\nname "nothing"\n}\n'
            'zeroconf_enabled "no"\n'
            f"{allowed}"
        )

    @property
    def address(self) -> MpdAddress:
        return MpdAddress(str(self.socket))

    def start(self) -> None:
        command = ["mpd", "--no-daemon", "--stderr", str(self.folder / "mpd.conf")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._listens)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(WAIT_S)
            self._process = None

    def client(self) -> MpdConnection:
        connection = MpdConnection(self.address)
        connection.connect()
        return connection

    def update(self) -> None:
        """Let MPD read its music directory; it does so only while no other program works."""
        with self.client() as mpd:
            mpd.ask("update")
            until(lambda: self._hurry() and "updating_db" not in mpd.ask("status"))

    def _hurry(self) -> bool:
        assert self._process is not None
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            with suppress(OSError):
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
        return True
