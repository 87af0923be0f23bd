"""A large index is filled a piece at a time, and nothing of it counts before the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from recsys.errors import GenreIndexError
from recsys.index import genre_index, manifest, sync
from recsys.index.genre_index import GenreIndex
from recsys.index.manifest import read_manifest
from recsys.index.sync import bring_up_to_date, index_directory, index_problems, rebuild_index
from tests.stored import heard, new_library, record, unit_rows

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.index.manifest import NewGeneration, NewPart, PartEntry
    from recsys.index.slots import Slot

GENRES = ("blues", "jazz", "rock")
ROWS = unit_rows(300, 4)


def held_by(index: GenreIndex) -> int:
    """Tracks that are in memory alone."""
    return sum(len(slot) for slot in index._segments(None) if slot.entry is None)


def filled(folder: Path, held: int, segment_limit: int = 40) -> GenreIndex:
    """Add 30 tracks at a time, and let no more than ``held`` stay in memory."""
    index = GenreIndex(4, tail_from=1, segment_limit=segment_limit)
    index.spill_into, index.held_limit = folder, held
    for first in range(0, len(ROWS), 30):
        ids = np.arange(first, first + 30)
        index.extend([GENRES[i % 3] for i in ids.tolist()], ids, ROWS[ids])
        assert held_by(index) <= held
    return index


@pytest.mark.parametrize("held", [0, 25, 1000])
def test_what_was_put_away_is_in_the_saved_index(tmp_path: Path, held: int) -> None:
    index = filled(tmp_path, held)
    index.save(tmp_path, fingerprint="f", revision=3)
    loaded = GenreIndex.load(tmp_path)
    assert (loaded.count(), loaded.fingerprint, loaded.revision) == (300, "f", 3)
    assert not loaded.verify()
    for number in (0, 7, 299):
        found = loaded.search(GENRES[number % 3], ROWS[number], 100)
        assert len(found) == 100
        assert found[0].track_id == number
    np.testing.assert_array_equal(loaded.vectors(list(range(300))), ROWS)
    named = {entry.file for entry in read_manifest(tmp_path).parts}
    assert {path.name for path in tmp_path.glob("*.bin")} == named


def test_segments_stop_growing(tmp_path: Path) -> None:
    filled(tmp_path, held=25).save(tmp_path, fingerprint="f", revision=1)
    counts = [entry.count for entry in read_manifest(tmp_path).parts]
    assert sum(counts) == 300
    assert 10 < max(counts) <= 40


def test_nothing_counts_before_the_end(tmp_path: Path) -> None:
    before = GenreIndex(4)
    before.add("jazz", np.array([5]), ROWS[:1])
    before.save(tmp_path, fingerprint="old", revision=1)
    filled(tmp_path, held=10)  # and then the process is killed, say
    loaded = GenreIndex.load(tmp_path)
    assert (loaded.count(), loaded.fingerprint) == (1, "old")
    loaded.add("rock", np.array([6]), ROWS[1:2])
    loaded.save(tmp_path, fingerprint="new", revision=2)
    named = {entry.file for entry in read_manifest(tmp_path).parts}
    assert {path.name for path in tmp_path.glob("*.bin")} == named


def test_a_full_disk_in_the_middle_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = filled(tmp_path, held=25)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("recsys.index.manifest._replace_manifest", full)
        with pytest.raises(GenreIndexError, match="No space left"):
            index.save(tmp_path, fingerprint="f", revision=1)
    assert not list(tmp_path.iterdir())
    index.save(tmp_path, fingerprint="f", revision=1)
    assert GenreIndex.load(tmp_path).count() == 300


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with the tracks in memory alone whenever a segment is written."""
    held: list[int] = []
    write = GenreIndex._write

    def watch(self: GenreIndex, generation: NewGeneration, genre: str, slot: Slot) -> None:
        write(self, generation, genre, slot)
        held.append(held_by(self))

    monkeypatch.setattr(GenreIndex, "_write", watch)
    return held


def test_a_full_disk_while_it_is_filled_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = manifest._write_part
    left = [3]

    def filling_up(path: Path, part: NewPart) -> PartEntry:
        entry = write(path, part)
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return entry

    monkeypatch.setattr(manifest, "_write_part", filling_up)
    with pytest.raises(GenreIndexError, match="No space left"):
        filled(tmp_path, held=10)
    assert left[0] == -1
    assert not list(tmp_path.iterdir())


def test_what_was_put_away_is_not_written_again_for_every_few_tracks(tmp_path: Path) -> None:
    index = GenreIndex(4)
    index.spill_into, index.held_limit = tmp_path, 50
    for first in range(0, 300, 30):
        ids = np.arange(first, first + 30)
        index.extend([f"genre {i % 20}" for i in ids.tolist()], ids, ROWS[ids])
    written = sum(path.stat().st_size for path in tmp_path.glob("*.bin"))
    index.save(tmp_path, fingerprint="f", revision=1)
    final = sum(path.stat().st_size for path in tmp_path.glob("*.bin"))
    assert 0 < written <= final
    assert index.count() == 300


def test_taking_tracks_out_of_every_segment_holds_few_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, held=25).save(tmp_path, fingerprint="f", revision=1)
    index = GenreIndex.load(tmp_path, tail_from=1, segment_limit=40)
    index.spill_into, index.held_limit = tmp_path, 45
    held = watched(monkeypatch)
    gone = range(0, 300, 7)
    assert index.remove(gone) == len(gone)
    assert held_by(index) <= 45
    index.save(tmp_path, fingerprint="f", revision=2)
    assert len(held) > 5
    assert max(held) <= 45 + 40
    loaded = GenreIndex.load(tmp_path)
    assert loaded.count() == 300 - len(gone)
    assert not loaded.verify()
    assert {n.track_id for n in loaded.search(None, ROWS[1], 300)} == set(range(300)) - set(gone)


def test_a_damaged_part_that_an_update_needs_is_made_good(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        store.write([record(f"/{i}", heard(GENRES[i % 3], i % 4)) for i in range(20)])
        rebuild_index(store)
        for path in index_directory(store.path).glob("*.bin"):
            content = bytearray(path.read_bytes())
            content[-1] ^= 1
            path.write_bytes(content)
        store.write([record("/more", heard("jazz", 1))], removed=[1])
        bring_up_to_date(store)
        assert not index_problems(store)


def test_a_library_is_made_anew_a_piece_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(genre_index, "HELD_LIMIT", 8)
    monkeypatch.setattr(sync, "MOST_CHANGES", 3)
    held = watched(monkeypatch)
    with new_library(tmp_path) as store:
        store.write([record(f"/{i}", heard(GENRES[i % 3], i % 4)) for i in range(20)])
        rebuild_index(store)
        assert len(held) > 2
        assert max(held) <= 20
        assert held[-1] <= 8
        assert not index_problems(store)
        files = {path.name for path in index_directory(store.path).glob("*.bin")}
        store.write([record(f"/more {i}", heard("jazz", 1)) for i in range(2)])
        bring_up_to_date(store)
        assert not index_problems(store)
        kept = {path.name for path in index_directory(store.path).glob("*.bin")} & files
        assert kept  # few changes are brought in
        store.write([record(f"/many {i}", heard("jazz", 1)) for i in range(4)])
        bring_up_to_date(store)
        assert not index_problems(store)
        assert not {path.name for path in index_directory(store.path).glob("*.bin")} & files
