"""Large parts are approximate by a measured amount, and saved parts are used where they lie."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recsys.index import codes, parts
from recsys.index.base import DamagedPartError
from recsys.index.genre_index import GenreIndex
from recsys.index.parts import Part
from tests.index.oracle import ExactIndex
from tests.stored import unit_rows

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.types import FloatArray

DIMENSION = 16
COUNT = 3000


@pytest.fixture(scope="module")
def clustered() -> FloatArray:
    """Vectors around 30 centres, as embeddings of one genre are."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((30, DIMENSION))
    rows = centres[rng.integers(0, 30, COUNT)] + 0.3 * rng.standard_normal((COUNT, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def coded(clustered: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("coded")
    index = GenreIndex(DIMENSION, flat_limit=1000)
    index.add("jazz", np.arange(COUNT), clustered)
    index.save(folder, fingerprint="f", revision=1)
    return folder


def loaded(folder: Path) -> GenreIndex:
    return GenreIndex.load(folder, flat_limit=1000)


def test_the_recall_of_a_large_part_is_measured_and_kept(coded: Path) -> None:
    (info,) = loaded(coded).part_info()
    assert (info.kind, info.count) == (parts.CODED, COUNT)
    assert info.compared is not None
    assert 20 * info.compared < COUNT
    assert info.recall_at_20 is not None
    assert parts.RECALL_WANTED <= info.recall_at_20 <= 1


def test_the_recall_is_what_exact_search_says(coded: Path, clustered: FloatArray) -> None:
    index, oracle = loaded(coded), ExactIndex(DIMENSION)
    oracle.add("jazz", np.arange(COUNT), clustered)
    hits = 0
    for query in clustered[::150]:
        found = {n.track_id for n in index.search("jazz", query, 20)}
        hits += len(found & {n.track_id for n in oracle.search("jazz", query, 20)})
    assert hits / (20 * 20) >= 0.97


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
    for subject in (index, reloaded(index, tmp_path)):
        assert subject.count() == COUNT - 100 + 3
        np.testing.assert_array_equal(subject.vectors([5001, 100]), [new[1], clustered[100]])
        assert subject.search("jazz", new[2], 1)[0].track_id == 5002
        assert subject.search("jazz", clustered[500], 1)[0].track_id == 500
        assert subject.search("jazz", clustered[50], 1)[0].track_id >= 100
        assert subject.part_info()[0].kind == parts.CODED


def reloaded(index: GenreIndex, folder: Path) -> GenreIndex:
    index.save(folder, fingerprint="f", revision=2)
    return loaded(folder)


def test_a_part_is_coded_while_it_is_large(coded: Path, tmp_path: Path) -> None:
    index = loaded(coded)

    def kind_at(count: int) -> str:
        index.remove(range(count, COUNT))
        return reloaded(index, tmp_path).part_info()[0].kind

    assert [kind_at(count) for count in (1001, 1000)] == ["coded", "flat"]


def test_the_same_vectors_make_the_same_part(
    coded: Path, clustered: FloatArray, tmp_path: Path
) -> None:
    again = GenreIndex(DIMENSION, flat_limit=1000)
    shuffled = np.random.default_rng(2).permutation(COUNT)
    again.add("jazz", shuffled, clustered[shuffled])
    again = reloaded(again, tmp_path)
    assert again.part_info()[0].recall_at_20 == loaded(coded).part_info()[0].recall_at_20
    for query in clustered[:20]:
        assert again.search("jazz", query, 10) == loaded(coded).search("jazz", query, 10)


def test_few_tracks_are_added_without_writing_a_large_part_again(
    coded: Path, clustered: FloatArray, tmp_path: Path
) -> None:
    shutil.copytree(coded, tmp_path, dirs_exist_ok=True)
    index = GenreIndex.load(tmp_path, flat_limit=1000, tail_from=100)
    (large,) = index.part_info()
    oracle = ExactIndex(DIMENSION)
    oracle.add("jazz", np.arange(COUNT), clustered)
    # 375 tracks are an eighth of 3000, and merged.
    sizes = []
    for first, count in ((COUNT, 150), (COUNT + 150, 50), (COUNT + 200, 250)):
        new = unit_rows(count, DIMENSION, seed=first)
        ids = np.arange(first, first + count)
        for subject in (index, oracle):
            subject.add("jazz", ids, new)
        index.save(tmp_path, fingerprint="f", revision=2)
        index = GenreIndex.load(tmp_path, flat_limit=1000, tail_from=100)
        sizes.append(tuple(entry.count for entry in index.part_info()))
        assert (large in index.part_info()) == (len(sizes) < 3)
        assert index.search("jazz", new[7], 1)[0].track_id == first + 7
        everything = index.search("jazz", new[0], index.count())
        assert everything == oracle.search("jazz", new[0], oracle.count())
    assert sizes == [(3000, 150), (3000, 200), (3450,)]
    assert index.verify() == []


def test_codes_serve_for_what_is_added_later_and_are_measured_again(
    coded: Path, clustered: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[int] = []
    real = codes.Codes.of
    monkeypatch.setattr(codes.Codes, "of", lambda rows: learnt.append(len(rows)) or real(rows))
    (entry,) = loaded(coded).part_info()
    content = np.frombuffer((coded / entry.file).read_bytes(), np.uint8)
    part, new = Part.read(entry, content, DIMENSION), unit_rows(500, DIMENSION, seed=4)
    part.add(np.arange(COUNT, COUNT + 500), new)
    for row in (0, 499):
        found, vectors = part.candidates(new[row], 3)
        assert COUNT + row in found
        assert new[row].tolist() in vectors.tolist()
    settled = part.settle(1000)
    assert (settled is part, settled.kind, learnt) == (True, parts.CODED, [])
    assert settled.entry("jazz").count == COUNT + 500
    monkeypatch.setattr(parts, "MOST_COMPARED", 1)
    part.add(np.arange(9000, 9010), clustered[:10])
    assert part.settle(1000) is not part
    assert learnt == [COUNT + 510]


def test_a_track_of_a_large_part_can_be_replaced_by_one_elsewhere(
    coded: Path, clustered: FloatArray, tmp_path: Path
) -> None:
    shutil.copytree(coded, tmp_path, dirs_exist_ok=True)
    index = GenreIndex.load(tmp_path, flat_limit=1000, tail_from=100)
    index.add("jazz", np.arange(COUNT, COUNT + 200), unit_rows(200, DIMENSION))
    index.add("rock", np.array([5, COUNT + 5]), clustered[[5, 6]])
    for subject in (index, reloaded(index, tmp_path)):
        assert (subject.count("jazz"), subject.count("rock")) == (COUNT + 198, 2)
        assert [near.track_id for near in subject.search("rock", clustered[5], 1)] == [5]
        found, vectors = subject.search_with_vectors(None, clustered[5], 300)
        np.testing.assert_array_equal(vectors, subject.vectors([n.track_id for n in found]))


def test_saved_parts_are_read_when_they_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = GenreIndex(DIMENSION)
    rows = unit_rows(30, DIMENSION)
    for number, genre in enumerate(("blues", "jazz", "rock")):
        index.add(genre, np.arange(10) + 10 * number, rows[10 * number : 10 * number + 10])
    index.save(tmp_path, fingerprint="f", revision=1)
    read: list[str] = []
    real = Part.read

    def spy(entry: parts.PartEntry, mapped: object, dimension: int) -> Part:
        read.append(entry.genre)
        return real(entry, mapped, dimension)  # type: ignore[arg-type]

    monkeypatch.setattr(Part, "read", spy)
    lazy = GenreIndex.load(tmp_path)
    assert (lazy.genres, lazy.count(), lazy.count("jazz")) == (index.genres, 30, 10)
    lazy.part_info()
    lazy.add("rock", np.array([100]), rows[:1])
    assert read == ["rock"]
    for _ in range(2):
        lazy.search("jazz", rows[0], 3)
    assert read == ["rock", "jazz"]
    lazy.search(None, rows[0], 3)
    assert read == ["rock", "jazz", "blues"]


def test_parts_that_did_not_change_are_not_written_again(tmp_path: Path) -> None:
    rows = unit_rows(3, DIMENSION)
    index = GenreIndex(DIMENSION)
    for number, genre in enumerate(("blues", "jazz", "rock")):
        index.add(genre, np.array([number]), rows[number : number + 1])
    index.save(tmp_path / "a", fingerprint="f", revision=1)
    files = {entry.genre: entry.file for entry in index.part_info()}

    again = GenreIndex.load(tmp_path / "a")
    again.add("jazz", np.array([7]), rows[:1])
    again.save(tmp_path / "a", fingerprint="f", revision=2)
    changed = {entry.genre: entry.file for entry in GenreIndex.load(tmp_path / "a").part_info()}
    assert [genre for genre in files if files[genre] != changed[genre]] == ["jazz"]

    again.save(tmp_path / "b", fingerprint="f", revision=3)
    elsewhere = GenreIndex.load(tmp_path / "b")
    assert (elsewhere.count(), elsewhere.verify()) == (4, [])


def test_unchanged_parts_that_someone_removed_are_written_again(tmp_path: Path) -> None:
    rows = unit_rows(2, DIMENSION)
    index = GenreIndex(DIMENSION)
    index.add("jazz", np.array([1, 2]), rows)
    index.save(tmp_path, fingerprint="f", revision=1)
    again = GenreIndex.load(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    again.save(tmp_path, fingerprint="f", revision=1)
    np.testing.assert_array_equal(GenreIndex.load(tmp_path).vectors([1, 2]), rows)


def damage(folder: Path) -> None:
    (part,) = folder.glob("part-*")
    content = bytearray(part.read_bytes())
    content[-3] ^= 1
    part.write_bytes(content)


def test_damage_is_found_by_the_checksum(tmp_path: Path) -> None:
    index = GenreIndex(DIMENSION)
    index.add("jazz", np.arange(50), unit_rows(50, DIMENSION))
    index.save(tmp_path, fingerprint="f", revision=1)
    damage(tmp_path)
    (problem,) = GenreIndex.load(tmp_path).verify()
    assert "jazz" in problem
    assert "checksum" in problem


def test_damage_can_be_made_good_from_elsewhere(tmp_path: Path) -> None:
    rows = unit_rows(50, DIMENSION)
    index = GenreIndex(DIMENSION)
    index.add("jazz", np.arange(50), rows)
    index.save(tmp_path, fingerprint="f", revision=1)
    damage(tmp_path)

    def fill(empty: GenreIndex) -> None:
        assert empty.count() == 0
        empty.add("rock", np.arange(10), rows[:10])

    def mended() -> GenreIndex:
        return GenreIndex.load(tmp_path, on_damage=fill)

    assert mended().search(None, rows[3], 1)[0].track_id == 3
    assert mended().search("rock", rows[3], 1) == []  # nothing had to be read to know that
    assert mended().search("jazz", rows[3], 1) == []
    np.testing.assert_array_equal(mended().vectors([9]), rows[[9]])
    assert mended().remove([5, 30]) == 1
    index = mended()
    index.add("rock", np.array([3, 70]), rows[:2])
    assert index.genres == ("rock",)
    assert index.count() == 11
    index.save(tmp_path, fingerprint="f", revision=1)
    assert GenreIndex.load(tmp_path).verify() == []


def test_a_part_that_is_not_what_it_was_is_damage(coded: Path, tmp_path: Path) -> None:
    index = GenreIndex(DIMENSION)
    index.add("jazz", np.arange(50), unit_rows(50, DIMENSION))
    index.save(tmp_path, fingerprint="f", revision=1)
    (flat,), (entry,) = tmp_path.glob("part-*"), index.part_info()
    whole = np.frombuffer(flat.read_bytes(), dtype=np.uint8)
    for dimension in (DIMENSION - 1, DIMENSION + 1):
        with pytest.raises(DamagedPartError, match=f"not 50 vectors of dimension {dimension}"):
            Part.read(entry, whole, dimension)


def test_codes_that_cannot_be_read_are_damage(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CHECKED_BYTES", 0)  # as if the part were too large to be summed
    (part,), (entry,) = coded.glob("part-*"), loaded(coded).part_info()
    content = part.read_bytes()
    start = COUNT * (8 + 4 * DIMENSION)
    assert len(Part.read(entry, np.frombuffer(content, np.uint8), DIMENSION)) == COUNT
    other = content[:start] + codes.Codes.of(unit_rows(20, DIMENSION)).data().tobytes()
    for odd, what in (
        (content[:start] + b"????" + content[start + 4 :], "damaged"),
        (content[:start], "damaged"),
        (other, "20 codes of dimension 16"),
    ):
        with pytest.raises(DamagedPartError, match=what):
            Part.read(entry, np.frombuffer(odd, np.uint8), DIMENSION)


def test_a_library_of_small_parts_never_loads_faiss(tmp_path: Path) -> None:
    index = GenreIndex(DIMENSION)
    index.add("jazz", np.arange(50), unit_rows(50, DIMENSION))
    index.save(tmp_path, fingerprint="f", revision=1)
    script = (
        "import sys, pathlib, numpy as np\n"
        "from recsys.index.genre_index import GenreIndex\n"
        "index = GenreIndex.load(pathlib.Path(sys.argv[1]))\n"
        "print(index.search('jazz', index.vectors([7])[0], 1)[0].track_id, 'faiss' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["7", "False"]
