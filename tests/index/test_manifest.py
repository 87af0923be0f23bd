"""A save that is killed, or comes in between, leaves an index that is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recsys.errors import GenreIndexError
from recsys.index import manifest
from recsys.index.genre_index import GenreIndex
from recsys.index.manifest import MANIFEST, open_parts, read_manifest, release, verify_part
from tests.stored import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable

DIMENSION = 8
ROWS = unit_rows(40, DIMENSION)


def an_index(revision: int = 1, folder: Path | None = None) -> GenreIndex:
    index = GenreIndex(DIMENSION)
    index.add("jazz", np.arange(20), ROWS[:20])
    index.add("rock", np.arange(20, 40), ROWS[20:])
    if folder is not None:
        index.save(folder, fingerprint="f", revision=revision)
    return index


class KilledError(BaseException):
    """Stands for the end of the process."""


def killed(*_: object) -> Any:
    raise KilledError


@pytest.mark.parametrize(
    ("owner", "step", "left"),
    [
        (manifest.os, "fsync", 1),  # while the first part is written
        (Path, "replace", 1),  # before the new manifest is in its place
        (Path, "unlink", 2),  # before the old parts go
    ],
)
def test_a_killed_save_leaves_the_old_index_or_the_new_one(
    owner: object, step: str, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = an_index(1, tmp_path)
    index.remove([0, 20])
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(KilledError):
            index.save(tmp_path, fingerprint="f", revision=2)
    found = GenreIndex.load(tmp_path)
    assert (found.revision, found.count(), found.verify()) == (left, {1: 40, 2: 38}[left], [])
    (tmp_path / "part-000009-0000.bin").write_bytes(b"of a save that was killed for good")
    found.remove([1, 21])
    found.save(tmp_path, fingerprint="f", revision=3)
    again = GenreIndex.load(tmp_path)
    assert (again.revision, again.verify()) == (3, [])
    # What the killed save left behind is gone as well.
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [MANIFEST, *(entry.file for entry in again.part_info())]
    )


def test_a_full_disk_is_said_and_leaves_the_old_index_without_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = an_index(1, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    index.remove([0, 20])

    def full(self: object, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(manifest.ChecksumWriter, "__call__", full)
        with pytest.raises(GenreIndexError) as caught:
            index.save(tmp_path, fingerprint="f", revision=2)
    assert str(tmp_path) in caught.value.message
    assert "space" in caught.value.hint
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(GenreIndexError, match="cannot be written"):
        an_index(1, tmp_path / "file" / "index")


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], times: int = 1) -> None:
    """Do something each time after a manifest was read, up to so many times."""
    left = [times]

    def read(folder: Path) -> manifest.Manifest:
        found = read_manifest(folder)
        if left[0]:
            left[0] -= 1
            act()
        return found

    monkeypatch.setattr(manifest, "read_manifest", read)


def test_a_reader_overtaken_by_a_save_reads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_index(1, tmp_path)
    newer = an_index()
    newer.remove(range(15))
    between(monkeypatch, lambda: newer.save(tmp_path, fingerprint="f", revision=2))
    index = GenreIndex.load(tmp_path)
    assert (index.revision, index.count()) == (2, 25)


def test_a_reader_that_is_overtaken_again_and_again_gives_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_index(1, tmp_path)
    saves = []

    def save() -> None:
        saves.append(1)
        for path in tmp_path.glob("part-*"):
            path.unlink()
        fields = json.loads((tmp_path / MANIFEST).read_text())
        fields["generation"] += 1
        (tmp_path / MANIFEST).write_text(json.dumps(fields))

    between(monkeypatch, save, times=100)
    with pytest.raises(GenreIndexError, match="replaced") as caught:
        open_parts(tmp_path)
    assert caught.value.hint == "Run the command again."
    assert len(saves) < 100


def test_an_open_index_stays_what_it_was_while_it_is_replaced(tmp_path: Path) -> None:
    an_index(1, tmp_path)
    reader = GenreIndex.load(tmp_path)
    newer = an_index()
    newer.remove(range(5, 25))
    newer.save(tmp_path, fingerprint="f", revision=2)
    assert reader.revision == 1
    assert [n.track_id for n in reader.search("jazz", ROWS[7], 1)] == [7]
    np.testing.assert_array_equal(reader.vectors(range(40)), ROWS)


def test_the_manifest_describes_the_parts(tmp_path: Path) -> None:
    an_index(9, tmp_path)
    found = read_manifest(tmp_path)
    assert (found.dimension, found.fingerprint, found.revision) == (DIMENSION, "f", 9)
    assert [(p.genre, p.count, p.highest_id, p.kind) for p in found.parts] == [
        ("jazz", 20, 19, "flat"),
        ("rock", 20, 39, "flat"),
    ]
    for part in found.parts:
        assert (tmp_path / part.file).stat().st_size == part.size


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells")
def test_a_part_that_was_let_go_of_can_be_read_again(tmp_path: Path) -> None:
    index = GenreIndex(8)
    index.add("jazz", np.arange(50_000), unit_rows(50_000, 8))
    index.save(tmp_path, fingerprint="f", revision=1)
    _, [(entry, mapped)] = open_parts(tmp_path)

    def resident() -> int:
        text = Path("/proc/self/smaps").read_text(encoding="utf-8")
        own = text.partition(entry.file)[2]
        return int(own.partition("Rss:")[2].split()[0])

    verify_part(entry, mapped)
    assert resident() > 1000
    release(mapped)
    assert resident() == 0
    verify_part(entry, mapped)
