"""Damaged playlists and feedback that are read back: a message, or what can be read of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recsys.index.sync import rebuild_index
from recsys.types import Tags
from tests.cli.running import call, refused
from tests.fuzz.mutations import mutated
from tests.stored import DIMENSION, analysed, new_library, record, unit_rows

TRACKS = 30
GENRES = ("blues", "jazz", "rock")
JUNK = (
    *(b"\0", b"\xff\xfe", b"\x1b[31m", b"../" * 50, b"%00%ff", b"file://%00", b"file://["),
    *(b"[" * 50_000, b'{"a":' * 20_000, b"9" * 5_000, b"\n" * 500, b"x" * 50_000, b"http://[::1"),
)
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        1,
        2**70,
        float("nan"),
        [],
        [1],
        {},
        {"a": 1},
        "",
        "x",
        "a\0b",
        "\ud800",
        "\udce9",
    ),
    *("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-11-27"),
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    (folder / "music").mkdir()
    rows = unit_rows(TRACKS, DIMENSION, 5)
    records = []
    for i in range(TRACKS):
        path = folder / "music" / f"{i}.mp3"
        path.write_bytes(b"x")
        tags = Tags(artist=f"Artist {i % 7}", title=f"Title {i}")
        records.append(record(path, analysed(GENRES[i % 3], rows[i]), tags=tags))
    with new_library(folder) as store:
        store.write(records)
        store.add_root(folder / "music")
        rebuild_index(store)
    for command in (("like", "3"), ("ban", "5"), ("like", "artist:Artist 2")):
        assert call(*command, db=folder / "library.db").exit_code == 0
    return folder / "library.db"


def playlists(library: Path) -> dict[str, bytes]:
    paths = [library.parent / "music" / f"{i}.mp3" for i in range(5)]
    extended = "".join(f"#EXTINF:200,A - B\n{path}\n" for path in paths)
    return {
        "a.m3u8": f"\ufeff#EXTM3U\n{extended}".encode(),
        "b.m3u": "".join(f"music/{path.name}\r\n" for path in paths).encode(),
        "c.txt": "".join(f"{path.as_uri()}\n" for path in paths).encode() + b"http://x/y\n",
    }


def damaged_playlists(library: Path, count: int) -> Iterator[Path]:
    given = playlists(library)
    for number in range(count):
        rng = random.Random(number)
        name = rng.choice(sorted(given))
        content = bytearray(mutated(given[name], list(given.values()), f"{number}", 2))
        if rng.random() < 0.5:
            at = rng.randrange(len(content) + 1)
            content[at:at] = rng.choice(JUNK)
        path = library.with_name(name)
        path.write_bytes(content)
        yield path


def check_playlists(library: Path, count: int) -> int:
    """Continue damaged playlists; return how many could be."""
    continued = 0
    for path in damaged_playlists(library, count):
        before = path.read_bytes()
        result = call("playlist", "--extend", path, "--length", "+3", "--no-taste", db=library)
        assert result.exit_code in (0, 1), (before[:300], result.output)
        assert "unexpected" not in result.output, before[:300]
        after = path.read_bytes()
        assert after.startswith(before) if result.exit_code == 0 else after == before
        continued += result.exit_code == 0
    return continued


def test_damaged_playlists(library: Path) -> None:
    assert check_playlists(library, 120) > 40


@pytest.mark.slow
def test_many_damaged_playlists(library: Path) -> None:
    check_playlists(library, 3000)


def damaged_feedback(library: Path, count: int) -> Iterator[bytes]:
    """Yield damaged exports: bytes anywhere, or odd values in whole lines."""
    given = call("feedback", "export", db=library).stdout.encode()
    lines = [json.loads(line) for line in given.splitlines()]
    for number in range(count):
        rng = random.Random(number)
        if number % 2:
            event = dict(rng.choice(lines))
            event[rng.choice([*event, "track"])] = rng.choice(ODD)
            yield json.dumps(event).encode()
        else:
            content = bytearray(mutated(given, [given], f"{number}", 2))
            if rng.random() < 0.5:
                at = rng.randrange(len(content) + 1)
                content[at:at] = rng.choice(JUNK)
            yield bytes(content)


def check_feedback(library: Path, count: int) -> int:
    """Import damaged events, and ask after those that were taken; return how many were."""
    taken = 0
    for content in damaged_feedback(library, count):
        result = call("feedback", "import", "-", db=library, input=content)
        assert result.exit_code in (0, 1), (content[:300], result.output)
        assert "unexpected" not in result.output, content[:300]
        if result.exit_code:
            refused(result, "Error: ")
            continue
        taken += 1
        for command in (("feedback", "list"), ("feedback", "bans"), ("similar", "3")):
            later = call(*command, db=library)
            assert later.exit_code == 0, (content[:300], later.output)
    return taken


def test_damaged_feedback(library: Path) -> None:
    assert check_feedback(library, 120) > 10


@pytest.mark.slow
def test_much_damaged_feedback(library: Path) -> None:
    check_feedback(library, 3000)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"track": "\ud800"}, "not a character: '\\ud800'"),
        ({"track": "a\0b"}, "a text with the character 0"),
        ({"track": "3", "time": "9999-12-31T23:59:59-14:00"}, "not a time with a time zone"),
    ],
)
def test_events_that_cannot_be(line: dict[str, Any], words: str, library: Path) -> None:
    event = {"kind": "like", "time": "2026-11-27T12:30:00Z", **line}
    result = call("feedback", "import", "-", db=library, input=json.dumps(event).encode())
    refused(result, "line 1: ", words)
