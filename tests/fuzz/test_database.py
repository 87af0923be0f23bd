"""A damaged library is read as far as it is whole, or refused with a message; never a traceback."""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result

from recsys import Library
from recsys.index.sync import rebuild_index
from recsys.store import Store
from recsys.types import Failure, Tags
from tests.cli.running import call
from tests.stored import DIMENSION, analysed, audio_file, new_library, record, unit_rows

TRACKS = 90
GENRES = ("blues", "jazz", "rock")
LEAF, INTERIOR, INDEX_LEAF, INDEX_INTERIOR = 13, 5, 10, 2
KINDS = {LEAF: "leaf", INTERIOR: "interior", INDEX_LEAF: "index", INDEX_INTERIOR: "index interior"}

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status", "--json"),
    ("list", "--json"),
    ("similar", "3", "--no-taste", "--json"),
    ("similar", "title 9", "--no-taste", "--k", "5"),
    ("show", "7"),
    ("playlist", "4", "--no-taste", "--length", "8"),
    ("feedback", "export"),
    ("blends",),
    ("doctor",),
)


def make_library(folder: Path) -> Path:
    """Return one with every kind of page: long texts overflow, removed tracks leave free pages."""
    music = folder / "music"
    music.mkdir()
    rows = unit_rows(TRACKS, DIMENSION, 5)
    with new_library(folder) as store:
        records = []
        for i in range(TRACKS):
            (music / f"{i}.mp3").write_bytes(b"x")
            title = f"Title {i}" + " long" * (2000 if i % 40 == 7 else 0)
            tags = Tags(artist=f"Artist {i % 17}", album=f"Album {i % 23}", title=title, year=1999)
            found = analysed(GENRES[i % 3], rows[i])
            records.append(record(music / f"{i}.mp3", found, tags=tags))
        store.write(records, [Failure(audio_file(music / "bad.mp3"), "too short: 0.1 s")])
        store.write([], removed=list(range(TRACKS - 30, TRACKS + 1)))
        store.add_root(music)
        rebuild_index(store)
    with Library(folder / "library.db") as library:
        library.like([3])
        library.ban([5])
        library.set_preferences(library.preferences())
    return folder / "library.db"


@dataclass(frozen=True)
class Intact:
    """The library before the damage, and what the commands answer."""

    folder: Path
    pages: dict[str, list[int]]  # numbers by kind, from 0
    answers: list[Result]
    page_size: int


def answers_of(database: Path) -> list[Result]:
    return [call(*command, db=database) for command in COMMANDS]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Intact:
    folder = tmp_path_factory.mktemp("intact")
    database = make_library(folder)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint (TRUNCATE)")
        rows = connection.execute("SELECT name, rootpage FROM sqlite_master").fetchall()
    assert any(name.startswith("tracks_fts") for name, _ in rows)
    content = database.read_bytes()
    (size,) = struct.unpack(">H", content[16:18])
    pages: dict[str, list[int]] = defaultdict(list)
    for number in range(len(content) // size):
        first = content[number * size + (100 if number == 0 else 0)]
        pages[KINDS.get(first, "overflow or free") if number else "header"].append(number)
    answers = answers_of(database)
    assert [answer.exit_code for answer in answers] == [0] * len(COMMANDS), answers
    return Intact(folder, pages, answers, size)


def check(intact: Intact, found: Sequence[Result], what: str) -> None:
    """Assert on messages instead of tracebacks, and on a reason for every failure."""
    for command, result in zip(COMMANDS, found, strict=True):
        said = f"{what}, {command}: {result.output}"
        assert "unexpected" not in result.stderr, said
        assert "Traceback" not in result.output, said
        assert result.exit_code in (0, 1), said
        if result.exit_code:
            assert result.stderr.startswith("Error: ") or command[0] == "doctor", said


def damaged(
    intact: Intact,
    folder: Path,
    damage: Callable[[bytearray, int, random.Random], None],
    count: int,
) -> Iterator[tuple[str, list[Result]]]:
    """Yield the answers of libraries with one damaged page of each kind in turn."""
    content = (intact.folder / "library.db").read_bytes()
    for number in range(count):
        rng = random.Random(f"{damage.__name__}/{number}")
        kind = sorted(intact.pages)[number % len(intact.pages)]
        page = rng.choice(intact.pages[kind])
        changed = bytearray(content)
        damage(changed, page * intact.page_size, rng)
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(intact.folder, work)
        (work / "library.db").write_bytes(changed)
        yield (
            f"{damage.__name__} {number} in a page of kind {kind}",
            answers_of(work / "library.db"),
        )


def flip_a_header(content: bytearray, at: int, rng: random.Random) -> None:
    """Flip bits where a page says what it holds."""
    length = 132 if at == 0 else 64
    for _ in range(rng.choice((1, 1, 3))):
        content[at + rng.randrange(length)] ^= 1 << rng.randrange(8)


def flip_anywhere(content: bytearray, at: int, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 4, 16))):
        content[at + rng.randrange(4096)] ^= 1 << rng.randrange(8)


def overwrite(content: bytearray, at: int, rng: random.Random) -> None:
    start, length = at + rng.randrange(4096 - 512), rng.randint(1, 512)
    content[start : start + length] = rng.choice((bytes(length), rng.randbytes(length)))


DAMAGE = (flip_a_header, flip_anywhere, overwrite)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_pages(
    damage: Callable[[bytearray, int, random.Random], None], intact: Intact, tmp_path: Path
) -> None:
    for what, found in damaged(intact, tmp_path, damage, 12):
        check(intact, found, what)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("damage", DAMAGE)
def test_many_damaged_pages(
    damage: Callable[[bytearray, int, random.Random], None], intact: Intact, tmp_path: Path
) -> None:
    for what, found in damaged(intact, tmp_path, damage, 250):
        check(intact, found, what)


def test_every_kind_of_page_is_damaged(intact: Intact) -> None:
    kinds = {"header", "overflow or free", *KINDS.values()}
    assert set(intact.pages) == kinds


def test_cut_off_and_empty_files(intact: Intact, tmp_path: Path) -> None:
    content = (intact.folder / "library.db").read_bytes()
    for length in (0, 1, 16, 99, 100, 4095, 4096, 3 * 4096 + 7, len(content) - 4096):
        database = tmp_path / f"{length}.db"
        database.write_bytes(content[:length])
        found = answers_of(database)
        check(intact, found, f"cut at {length}")
        assert found[0].exit_code == 1 or length > 4096


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_damaged_logs(suffix: str, intact: Intact, tmp_path: Path) -> None:
    """A log that is damaged is passed over by SQLite from there on: an older, whole library."""
    base = tmp_path / "base"
    shutil.copytree(intact.folder, base)
    database = base / "library.db"
    with Store.open(database) as store:
        for i in range(8):
            store.write([record(f"/new/{i}", analysed("jazz", i))])
        log = Path(f"{database}{suffix}").read_bytes()
        for number in range(10):
            rng = random.Random(f"{suffix}/{number}")
            work = tmp_path / "work"
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(base, work)
            changed = bytearray(log)
            for _ in range(rng.choice((1, 8, 64))):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            (work / f"library.db{suffix}").write_bytes(changed)
            check(intact, answers_of(work / "library.db"), f"{suffix} {number}")


def test_a_text_that_is_no_json_is_damage(intact: Intact, tmp_path: Path) -> None:
    shutil.copytree(intact.folder, tmp_path / "work")
    database = tmp_path / "work" / "library.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO preferences VALUES ('k', 'no JSON')")
        connection.execute("UPDATE events SET tracks = '[' WHERE kind = 'like'")
    check(intact, found := answers_of(database), "no JSON")
    assert [result.exit_code for result in found[2:4]] == [1, 1]


def test_a_value_of_a_wrong_kind_costs_that_value(intact: Intact, tmp_path: Path) -> None:
    shutil.copytree(intact.folder, tmp_path / "work")
    database = tmp_path / "work" / "library.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE tracks SET artist = x'ff' WHERE id = 3")
        connection.execute("UPDATE tracks SET year = 'long ago' WHERE id = 7")
    check(intact, answers := answers_of(database), "wrong kinds")
    *found, doctor = answers
    assert [result.exit_code for result in found] == [0] * len(found)
    assert doctor.exit_code == 1
    assert "Tracks with values of a wrong kind, which are left out: 2." in doctor.stdout
    with Library(database) as library:
        assert (library.track(3).tags.artist, library.track(3).tags.title) == (None, "Title 2")
        assert library.track(7).tags.year is None


NO_VECTORS = {
    "NaN": "CAST(x'0000c07f' || substr(embedding, 5) AS BLOB)",
    "a flipped exponent": "CAST(x'00000040' || substr(embedding, 5) AS BLOB)",
    "huge": "CAST(x'0000207f' || substr(embedding, 5) AS BLOB)",
    "an odd length": "x'000000'",
    "empty": "x''",
    "a number": "5",
    "a text": "'text'",
}


@pytest.mark.parametrize("kind", NO_VECTORS)
@pytest.mark.parametrize("rebuild", [False, True])
def test_an_embedding_that_is_no_unit_vector_costs_no_question(
    kind: str, rebuild: bool, intact: Intact, tmp_path: Path
) -> None:
    """The other tracks answer, and `doctor` counts it."""
    shutil.copytree(intact.folder, tmp_path / "work")
    database = tmp_path / "work" / "library.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            f"UPDATE analyses SET embedding = {NO_VECTORS[kind]}"
            " WHERE audio_hash = (SELECT audio_hash FROM tracks WHERE id = 9)"
        )
    if rebuild:
        shutil.rmtree(database.with_suffix(".index"))
    check(intact, found := answers_of(database), kind)
    *others, doctor = found
    assert [result.exit_code for result in others] == [0] * len(others)
    assert doctor.exit_code == 1
    assert "NaN" not in "".join(result.stdout for result in found)
