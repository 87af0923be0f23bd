"""The index on disk: whole after a crash, healed when damaged, exact or of a measured recall."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recsys.errors import GenreIndexError
from recsys.index import genre_index
from recsys.index.base import unit_from_half
from recsys.index.genre_index import MANIFEST, GenreIndex, Manifest, Part, read_manifest
from tests.index.oracle import ExactIndex
from tests.stored import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.types import FloatArray

DIMENSION = 16
COUNT = 3000
LIMIT = 1000
ROWS = unit_rows(40, DIMENSION)
ROUNDING = 5e-4
"""Largest change of a component of a unit vector by float16."""


def an_index(revision: int = 1, folder: Path | None = None) -> GenreIndex:
    index = GenreIndex(DIMENSION)
    index.add("jazz", np.arange(20), ROWS[:20])
    index.add("rock", np.arange(20, 40), ROWS[20:])
    if folder is not None:
        index.save(folder, fingerprint="f", revision=revision)
    return index


def rounded(rows: FloatArray) -> FloatArray:
    """Unit vectors as an index has them."""
    return unit_from_half(rows.astype(np.float16))


def files(folder: Path) -> dict[str, str]:
    """The file of each genre."""
    return {part.genre: part.file for part in read_manifest(folder).parts}


def flip(path: Path, offset: int = -3) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


# Saving is atomic


class KilledError(BaseException):
    """Stands for the end of the process."""


def killed(*_: object) -> Any:
    raise KilledError


@pytest.mark.parametrize(
    ("owner", "step", "left"),
    [
        (os, "fsync", 1),  # while the first part is written
        (Path, "replace", 1),  # before the new manifest is in its place
        (Path, "unlink", 2),  # before the old parts are removed
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
    (tmp_path / f"part-{'0' * 16}-0000.bin").write_bytes(b"of a save that was killed for good")
    found.remove([1, 21])
    found.save(tmp_path, fingerprint="f", revision=3)
    again = GenreIndex.load(tmp_path)
    assert (again.revision, again.verify()) == (3, [])
    # What the killed save left behind is gone as well.
    assert {path.name for path in tmp_path.iterdir()} == {MANIFEST, *files(tmp_path).values()}


@pytest.mark.parametrize("step", ["__call__", "index"])
def test_a_full_disk_leaves_the_old_index_without_litter(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = an_index(1, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    index.remove([0, 20])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(genre_index._Writer, step, full)
        with pytest.raises(GenreIndexError) as caught:
            index.save(tmp_path, fingerprint="f", revision=2)
    assert str(tmp_path) in caught.value.message
    assert "space" in caught.value.hint
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    index.save(tmp_path, fingerprint="f", revision=2)
    assert (GenreIndex.load(tmp_path).count(), GenreIndex.load(tmp_path).verify()) == (38, [])


def test_an_error_of_the_disk_comes_through_faiss(tmp_path: Path) -> None:
    class FullDisk:
        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    part = Part(DIMENSION)
    part.add(np.arange(20), ROWS[:20])
    part.candidates(ROWS[0], 1)
    with pytest.raises(OSError, match="No space"):
        genre_index._Writer(FullDisk()).index(part._flat_index())  # type: ignore[arg-type]


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(GenreIndexError, match="cannot be written"):
        an_index(1, tmp_path / "file" / "index")


def after_each_reading(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    real = read_manifest

    def read(folder: Path) -> Manifest:
        found = real(folder)
        with monkeypatch.context() as patch:
            patch.setattr(genre_index, "read_manifest", real)
            act()
        return found

    monkeypatch.setattr(genre_index, "read_manifest", read)


def test_a_reader_overtaken_by_a_save_reads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_index(1, tmp_path)
    newer = an_index()
    newer.remove(range(15))
    after_each_reading(monkeypatch, lambda: newer.save(tmp_path, fingerprint="f", revision=2))
    index = GenreIndex.load(tmp_path)
    assert (index.revision, index.count()) == (2, 25)


def test_a_reader_overtaken_again_and_again_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_index(1, tmp_path)
    saves = []

    def save() -> None:
        saves.append(1)
        for path in tmp_path.glob("part-*"):
            path.unlink()
        fields = json.loads((tmp_path / MANIFEST).read_text())
        (tmp_path / MANIFEST).write_text(
            json.dumps(fields | {"snapshot": str(len(saves)), "crc32": None})
        )

    after_each_reading(monkeypatch, save)
    with pytest.raises(GenreIndexError, match="replaced") as caught:
        GenreIndex.load(tmp_path)
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
    np.testing.assert_allclose(reader.vectors(range(40)), ROWS, atol=ROUNDING)


# One file per genre


def test_the_manifest_describes_the_parts(tmp_path: Path) -> None:
    an_index(9, tmp_path)
    found = read_manifest(tmp_path)
    assert (found.dimension, found.fingerprint, found.revision) == (DIMENSION, "f", 9)
    assert [(p.genre, p.count, p.highest_id, p.factory) for p in found.parts] == [
        ("jazz", 20, 19, "SQfp16"),
        ("rock", 20, 39, "SQfp16"),
    ]
    for part in found.parts:
        assert (tmp_path / part.file).stat().st_size == part.size


def test_only_changed_parts_are_written(tmp_path: Path) -> None:
    rows = unit_rows(3, DIMENSION)
    index = GenreIndex(DIMENSION)
    for number, genre in enumerate(("blues", "jazz", "rock")):
        index.add(genre, np.array([number]), rows[number : number + 1])
    index.save(tmp_path / "a", fingerprint="f", revision=1)
    before = files(tmp_path / "a")

    again = GenreIndex.load(tmp_path / "a")
    again.add("jazz", np.array([7]), rows[:1])
    again.save(tmp_path / "a", fingerprint="f", revision=2)
    after = files(tmp_path / "a")
    assert [genre for genre in before if before[genre] != after[genre]] == ["jazz"]

    again.save(tmp_path / "b", fingerprint="f", revision=3)
    elsewhere = GenreIndex.load(tmp_path / "b")
    assert (elsewhere.count(), elsewhere.verify()) == (4, [])


def test_unchanged_parts_that_were_deleted_are_written_again(tmp_path: Path) -> None:
    an_index(1, tmp_path)
    again = GenreIndex.load(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    again.save(tmp_path, fingerprint="f", revision=1)
    np.testing.assert_allclose(GenreIndex.load(tmp_path).vectors(range(40)), ROWS, atol=ROUNDING)


def test_parts_are_read_when_they_are_needed(tmp_path: Path) -> None:
    an_index(1, tmp_path)
    flip(tmp_path / files(tmp_path)["rock"])
    lazy = GenreIndex.load(tmp_path)
    assert (lazy.genres, lazy.count(), lazy.highest_id) == (("jazz", "rock"), 40, 39)
    lazy.add("jazz", np.array([100]), ROWS[:1])
    assert [n.track_id for n in lazy.search("jazz", ROWS[0], 2)] == [0, 100]
    with pytest.raises(GenreIndexError, match="rock"):
        lazy.search(None, ROWS[0], 3)


@pytest.mark.parametrize("limit", [LIMIT, 10 * COUNT])  # a part with codes, and a flat one
def test_a_few_new_tracks_are_found_beside_the_file(
    limit: int, clustered: FloatArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(genre_index, "MOST_WAITING", 30)
    saved = GenreIndex(DIMENSION, flat_limit=limit)
    saved.add("jazz", np.arange(COUNT), clustered)
    saved.save(tmp_path, fingerprint="f", revision=1)
    index, oracle = GenreIndex.load(tmp_path, flat_limit=limit), ExactIndex(DIMENSION)
    oracle.add("jazz", np.arange(COUNT), saved.vectors(range(COUNT)))
    rng = np.random.default_rng(3)
    for first in range(COUNT, COUNT + 60, 12):
        new = np.arange(first, first + 12)
        rows = clustered[rng.integers(0, COUNT, 12)]  # each ties with one that was there
        index.add("jazz", new, rows)
        oracle.add("jazz", new, rounded(rows))
        for row, track_id in zip(rows, new.tolist(), strict=True):
            found = [near.track_id for near in index.search("jazz", row, 5)]
            assert track_id in found
            if limit > COUNT:
                assert found == [near.track_id for near in oracle.search("jazz", row, 5)]
    assert len(index.search("jazz", clustered[0], 2 * COUNT)) == COUNT + 60
    index.remove([COUNT + 59, 5])
    assert len(index.search("jazz", clustered[0], 2 * COUNT)) == COUNT + 58
    index.save(tmp_path, fingerprint="f", revision=2)
    again = GenreIndex.load(tmp_path, flat_limit=limit)
    np.testing.assert_array_equal(again.ids("jazz"), index.ids("jazz"))
    assert again.verify() == []


def test_new_tracks_are_found_without_a_copy_of_the_part(tmp_path: Path) -> None:
    rows = unit_rows(20_000, DIMENSION)
    index = GenreIndex(DIMENSION)
    index.add("jazz", np.arange(20_000), rows)
    index.save(tmp_path, fingerprint="f", revision=1)
    again = GenreIndex.load(tmp_path)
    again.search("jazz", rows[0], 5)
    tracemalloc.start()
    again.add("jazz", np.array([20_000]), rows[:1])
    found = again.search("jazz", rows[0], 2)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [near.track_id for near in found] == [0, 20_000]
    assert most < rows.nbytes / 4  # half of it are the rows as they are stored


def test_numpy_answers_first_and_faiss_the_same(tmp_path: Path) -> None:
    index = GenreIndex(DIMENSION)
    rows = unit_rows(500, DIMENSION)
    index.add("jazz", np.arange(500), rows)
    index.save(tmp_path, fingerprint="f", revision=1)
    script = (
        "import sys, pathlib, numpy as np\n"
        "from recsys.index import genre_index\n"
        "genre_index.NUMPY_ROWS = 1200\n"
        "index = genre_index.GenreIndex.load(pathlib.Path(sys.argv[1]))\n"
        "query = index.vectors([7])[0]\n"
        "for _ in range(3):\n"
        "    found = index.search('jazz', query, 30)\n"
        "    print(found[0].track_id, hash(tuple(found)), 'faiss' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second, third = (line.split() for line in done.stdout.splitlines())
    assert first == second == ["7", third[1], "False"]
    assert third == ["7", third[1], "True"]


# Damage


def test_damage_is_found_by_the_checksum(tmp_path: Path) -> None:
    an_index(1, tmp_path)
    flip(tmp_path / files(tmp_path)["jazz"])
    (problem,) = GenreIndex.load(tmp_path).verify()
    assert "jazz" in problem
    assert "checksum" in problem


def test_damage_is_healed_from_elsewhere(tmp_path: Path) -> None:
    index = GenreIndex(DIMENSION)
    index.add("jazz", np.arange(40), ROWS)
    index.save(tmp_path, fingerprint="f", revision=1)
    flip(tmp_path / files(tmp_path)["jazz"])

    def fill(empty: GenreIndex) -> None:
        assert empty.count() == 0
        empty.add("rock", np.arange(10), ROWS[:10])

    def mended() -> GenreIndex:
        return GenreIndex.load(tmp_path, on_damage=fill)

    assert mended().search(None, ROWS[3], 1)[0].track_id == 3
    assert mended().search("rock", ROWS[3], 1) == []  # nothing had to be read to know that
    assert mended().search("jazz", ROWS[3], 1) == []
    np.testing.assert_allclose(mended().vectors([9]), ROWS[[9]], atol=ROUNDING)
    assert mended().remove([5, 30]) == 1
    index = mended()
    index.add("rock", np.array([3, 70]), ROWS[:2])
    assert (index.genres, index.count()) == (("rock",), 11)
    index.save(tmp_path, fingerprint="f", revision=1)
    assert GenreIndex.load(tmp_path).verify() == []


@pytest.mark.parametrize("dimension", [DIMENSION - 1, DIMENSION + 1])
def test_a_manifest_of_another_dimension_is_damage(dimension: int, tmp_path: Path) -> None:
    an_index(1, tmp_path)
    fields = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(fields | {"dimension": dimension, "crc32": None}))
    with pytest.raises(GenreIndexError, match=f"not 20 vectors of dimension {dimension}"):
        GenreIndex.load(tmp_path).vectors([1])


@pytest.mark.parametrize("where", ["rows", "codes"])
def test_a_faiss_index_that_cannot_be_read_is_damage(
    where: str, coded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(genre_index, "CHECKED_BYTES", 0)  # as if the file were too large for that
    shutil.copytree(coded, tmp_path, dirs_exist_ok=True)
    (part,) = read_manifest(tmp_path).parts
    start = 8 * COUNT if where == "rows" else part.rows_at + 2 * DIMENSION * COUNT
    flip(tmp_path / part.file, start)  # the name of the kind of index
    with pytest.raises(GenreIndexError, match="damaged"):
        loaded(tmp_path).search("jazz", ROWS[0], 5)


# Large parts


@pytest.fixture(scope="module")
def clustered() -> FloatArray:
    """Vectors around 30 centres, as embeddings of one genre are."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((30, DIMENSION))
    rows = centres[rng.integers(0, 30, COUNT)] + 0.3 * rng.standard_normal((COUNT, DIMENSION))
    unit: FloatArray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def coded(clustered: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("coded")
    index = GenreIndex(DIMENSION, flat_limit=LIMIT)
    index.add("jazz", np.arange(COUNT), clustered)
    index.save(folder, fingerprint="f", revision=1)
    return folder


def loaded(folder: Path) -> GenreIndex:
    return GenreIndex.load(folder, flat_limit=LIMIT)


def reloaded(index: GenreIndex, folder: Path) -> GenreIndex:
    index.save(folder, fingerprint="f", revision=2)
    return loaded(folder)


def test_the_recall_of_a_large_part_is_measured_and_kept(coded: Path) -> None:
    (part,) = read_manifest(coded).parts
    assert (part.factory, part.count) == ("PQ16x4fs,Refine(SQfp16)", COUNT)
    assert part.k_factor is not None
    assert 20 * part.k_factor < COUNT
    assert part.recall_at_20 is not None
    assert genre_index.RECALL_WANTED <= part.recall_at_20 <= 1


def test_the_recall_is_that_of_exact_search(coded: Path, clustered: FloatArray) -> None:
    index, oracle = loaded(coded), ExactIndex(DIMENSION)
    oracle.add("jazz", np.arange(COUNT), clustered)
    hits, furthest = 0, 0.0
    for query in clustered[::150]:
        found = {n.track_id: n.similarity for n in index.search("jazz", query, 20)}
        right = {n.track_id: n.similarity for n in oracle.search("jazz", query, 20)}
        both = found.keys() & right.keys()
        hits += len(both)
        furthest = max(furthest, *(abs(found[i] - right[i]) for i in both))
    assert hits / (20 * 20) >= 0.97
    assert furthest < ROUNDING


def test_an_approximate_part_gives_everything_when_everything_is_asked_for(
    coded: Path, clustered: FloatArray
) -> None:
    for k in (COUNT - 5, COUNT, COUNT + 100):
        found = [n.track_id for n in loaded(coded).search("jazz", clustered[0], k)]
        assert len(found) == len(set(found)) == min(k, COUNT)


def test_an_approximate_part_can_be_changed_and_saved(
    coded: Path, clustered: FloatArray, tmp_path: Path
) -> None:
    index = loaded(coded)
    new = unit_rows(3, DIMENSION, seed=9)
    assert index.remove(range(0, 100)) == 100
    index.add("jazz", np.arange(5000, 5003), new)
    index.add("rock", np.array([150]), clustered[[150]])
    for subject in (index, reloaded(index, tmp_path)):
        assert (subject.count("jazz"), subject.count("rock")) == (COUNT - 98, 1)
        np.testing.assert_allclose(
            subject.vectors([5001, 100, 150]), [new[1], *clustered[[100, 150]]], atol=ROUNDING
        )
        for row, track_id in ((new[2], 5002), (clustered[500], 500), (clustered[2999], 2999)):
            assert subject.search("jazz", row, 1)[0].track_id == track_id
        assert subject.search("jazz", clustered[50], 1)[0].track_id >= 100
        found, vectors = subject.search_with_vectors(None, clustered[150], 300)
        np.testing.assert_array_equal(vectors, subject.vectors([n.track_id for n in found]))
    # The codes of what stayed were kept, so that they match a new encoding of all of it.
    (jazz, _) = read_manifest(tmp_path).parts
    assert (jazz.trained_on, jazz.factory[:4]) == (COUNT, "PQ16")
    oracle = ExactIndex(DIMENSION)
    oracle.add("jazz", np.arange(100, COUNT), clustered[100:])
    oracle.remove([150])
    oracle.add("jazz", np.arange(5000, 5003), new)
    hits = 0
    for query in clustered[::150]:
        ids = {n.track_id for n in subject.search("jazz", query, 20)}
        hits += len(ids & {n.track_id for n in oracle.search("jazz", query, 20)})
    assert hits / (20 * 20) >= 0.97


def test_codes_are_trained_again_when_the_part_has_grown(
    coded: Path, clustered: FloatArray, tmp_path: Path
) -> None:
    index = loaded(coded)
    trained = []
    for first, count in ((COUNT, 1000), (COUNT + 1000, 1000)):
        index.add("jazz", np.arange(first, first + count), unit_rows(count, DIMENSION, seed=first))
        index = reloaded(index, tmp_path)
        trained.append(read_manifest(tmp_path).parts[0].trained_on)
    assert trained == [COUNT, COUNT + 2000]
    assert index.verify() == []


def test_a_part_has_codes_while_it_is_large(coded: Path, tmp_path: Path) -> None:
    index = loaded(coded)

    def factory_at(count: int) -> str:
        index.remove(range(count, COUNT))
        index.save(tmp_path, fingerprint="f", revision=2)
        return read_manifest(tmp_path).parts[0].factory

    assert factory_at(LIMIT + 1) == "PQ16x4fs,Refine(SQfp16)"
    assert factory_at(LIMIT) == "SQfp16"
    assert loaded(tmp_path).search("jazz", loaded(tmp_path).vectors([7])[0], 1)[0].track_id == 7


def test_the_same_tracks_make_the_same_part(
    coded: Path, clustered: FloatArray, tmp_path: Path
) -> None:
    again = GenreIndex(DIMENSION, flat_limit=LIMIT)
    shuffled = np.random.default_rng(2).permutation(COUNT)
    again.add("jazz", shuffled, clustered[shuffled])
    again = reloaded(again, tmp_path)
    recalls = [read_manifest(folder).parts[0].recall_at_20 for folder in (coded, tmp_path)]
    assert recalls[0] == recalls[1]
    for query in clustered[:20]:
        assert again.search("jazz", query, 10) == loaded(coded).search("jazz", query, 10)
