"""What each player of the table in docs/players.md needs, on the bytes that are written for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from recsys.playlists.files import RootMap, write
from recsys.types import Playlist, Tags, Track

PAGE = Path(__file__).parents[2] / "docs" / "players.md"

NFC, NFD = (unicodedata.normalize(form, "Café.flac") for form in ("NFC", "NFD"))

NAMES = ("plain.flac", "#1 hit.flac", " b.flac", "dir /c.flac", NFC, f"d/{NFD}", "100%25.flac")
"""Names in the folder of the music: signs of comments and URLs, spaces, two forms of Unicode."""

RELATIVE = ("plain.flac", "./#1 hit.flac", "./ b.flac", *NAMES[3:])
UP = tuple(f"../{name}" for name in NAMES)


@dataclass(frozen=True)
class Case:
    """A row of the table: how the list is written, and the lines that name its tracks."""

    player: str
    name: str
    lines: tuple[str, ...]
    relative: bool = False
    target: str | None = None  # of --root


def under(folder: str, separator: str = "/") -> tuple[str, ...]:
    return tuple(folder + name.replace("/", separator) for name in NAMES)


CASES = (
    Case("Navidrome", "evening.m3u8", RELATIVE, relative=True),
    Case("Navidrome", "lists/evening.m3u8", UP, relative=True),
    Case("Jellyfin", "evening.m3u8", RELATIVE, relative=True),
    Case("Plex", "evening.m3u8", under("/data/music/"), target="/data/music"),
    Case("MPD", "evening.m3u", RELATIVE, target=""),
    Case("Kodi", "evening.m3u8", under("/storage/music/"), target="/storage/music"),
    Case("foobar2000", "evening.m3u8", under("Z:\\Music\\", "\\"), target="Z:\\Music"),
)


def music_list(music: Path) -> Playlist:
    tracks = (
        Track(i, music / name, Tags(artist="Ä", title="T"), 61.0, f"h{i}", "jazz")
        for i, name in enumerate(NAMES, start=1)
    )
    return Playlist("Evening", tuple(tracks))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.player} {case.name}")
def test_the_bytes_for_a_player(case: Case, tmp_path: Path) -> None:
    target = tmp_path / case.name
    target.parent.mkdir(exist_ok=True)
    roots = [] if case.target is None else [RootMap(tmp_path, case.target)]
    result = write(music_list(tmp_path), target, relative=case.relative, roots=roots)
    content = target.read_bytes()
    assert content.startswith(b"#EXTM3U\n#PLAYLIST:Evening\n#EXTINF:61,\xc3\x84 - T\n")  # no mark
    assert content.endswith(b"\n")
    assert b"\r" not in content
    lines = [line for line in content.decode("utf-8").split("\n") if line and line[0] != "#"]
    assert tuple(lines) == case.lines  # raw: neither percent-encoded, nor in another form
    assert not result.left_out
    assert not result.unmapped


def test_the_table_has_these_players() -> None:
    rows = re.findall(r"^\| ([\w ]+?) \| `", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == {*(case.player for case in CASES), "VLC"}


VLC = shutil.which("cvlc")

IN_M3U = tuple(name for name in (*NAMES, "what?.flac", "a;b&c.flac") if not re.search("[#%]", name))
"""Names that VLC finds in M3U: it takes # and % for parts of a URL."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that every user may read: VLC does not run as root."""
    with tempfile.TemporaryDirectory(prefix="recsys-vlc-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@pytest.mark.slow
@pytest.mark.skipif(VLC is None, reason="needs VLC (apt-get install vlc-bin vlc-plugin-base)")
@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize(
    ("name", "songs"),
    [
        ("evening.m3u8", IN_M3U),
        ("evening.m3u", IN_M3U),
        ("lists/evening.m3u8", IN_M3U),
        ("evening.xspf", (*IN_M3U, *NAMES)),
    ],
)
def test_vlc_opens_every_track(
    folder: Path, name: str, songs: tuple[str, ...], relative: bool
) -> None:
    from tests.players.music_files import linked_music

    paths = linked_music(folder, list(dict.fromkeys(songs)), 0.2)
    target = folder / name
    target.parent.mkdir(exist_ok=True)
    tracks = (Track(i, path, Tags(), 0.2, f"h{i}", "jazz") for i, path in enumerate(paths))
    write(Playlist("Evening", tuple(tracks)), target, relative=relative)
    opened = opened_by_vlc(target, folder)
    assert set(map(str, paths)) <= opened


def opened_by_vlc(target: Path, home: Path) -> set[str]:
    """Let VLC play a list to its end, and return the files that it opened."""
    quiet = ("--aout=dummy", "--no-video", "--no-media-library", "--no-metadata-network-access")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        ["cvlc", "-vv", "--no-color", *quiet, "--play-and-exit", str(target), "vlc://quit"],
        env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        **nobody,
    )
    said = done.stderr.decode("utf-8", "replace")
    return {unquote(found) for found in re.findall(r"creating access: file://(\S+)", said)}
