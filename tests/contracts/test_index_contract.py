"""What holds for every embedding index; run over each implementation."""

from __future__ import annotations

import atexit
import copy
import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import GenreIndexError
from recsys.index.genre_index import MANIFEST, GenreIndex, read_manifest
from recsys.milvus.client import Connection, parse_place
from recsys.milvus.milvus_index import MilvusIndex
from recsys.types import Neighbour
from tests.index.oracle import ExactIndex
from tests.stored import unit_rows as any_unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.index.base import EmbeddingIndex

DIMENSION = 8


@dataclass(frozen=True)
class Kind:
    """How to make an index, and how to keep one and open it again."""

    name: str
    make: Callable[[int], Any]

    def reopened(
        self, index: Any, folder: Path, fingerprint: str = "f", revision: int = 1
    ) -> EmbeddingIndex:
        raise NotImplementedError


@dataclass(frozen=True)
class SavedKind(Kind):
    """One that is kept in the files of a folder."""

    load: Callable[[Path], EmbeddingIndex] = GenreIndex.load

    def reopened(
        self, index: Any, folder: Path, fingerprint: str = "f", revision: int = 1
    ) -> EmbeddingIndex:
        index.save(folder, fingerprint=fingerprint, revision=revision)
        return self.load(folder)


@dataclass(frozen=True)
class MilvusKind(Kind):
    """One that lies on Milvus."""

    def reopened(
        self, index: Any, folder: Path, fingerprint: str = "f", revision: int = 1
    ) -> EmbeddingIndex:
        index.commit(fingerprint=fingerprint, revision=revision)
        return MilvusIndex.open(lite(), index.name)


@cache
def lite() -> Connection:
    """A Milvus Lite file for all tests of a process."""
    folder = tempfile.mkdtemp()
    connection = Connection(parse_place(f"{folder}/index.db"), create=True)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(connection.close)
    return connection


_numbers = count()


def milvus_index(dimension: int) -> MilvusIndex:
    return MilvusIndex.create(lite(), f"tracks_{next(_numbers)}", dimension)


@dataclass(frozen=True)
class OracleKind(Kind):
    """The oracle lives in memory alone."""

    def reopened(
        self, index: Any, folder: Path, fingerprint: str = "f", revision: int = 1
    ) -> EmbeddingIndex:
        index.fingerprint, index.revision = fingerprint, revision
        again: ExactIndex = copy.deepcopy(index)
        return again


SAVED_KINDS = (
    SavedKind("flat", GenreIndex, load=GenreIndex.load),
    # Parts of more than 5 tracks become approximate when they are saved.
    SavedKind(
        "coded", partial(GenreIndex, flat_limit=5), load=partial(GenreIndex.load, flat_limit=5)
    ),
)

KINDS: tuple[Kind, ...] = (
    OracleKind("oracle", ExactIndex),
    *SAVED_KINDS,
    MilvusKind("milvus", milvus_index),
)

kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
saved_kinds = pytest.mark.parametrize("kind", SAVED_KINDS, ids=lambda kind: kind.name)


def unit_rows(count: int, dimension: int, seed: int = 0) -> Any:
    """Rows of unit length that an index which rounds to float16 gives back as they are."""
    halves = any_unit_rows(count, dimension, seed).astype(np.float16).astype(np.float64)
    return (halves / np.sqrt((halves * halves).sum(axis=1, keepdims=True))).astype(np.float32)


def ids(*numbers: int) -> Any:
    return np.array(numbers, dtype=np.int64)


def planted(kind: Kind) -> Any:
    """Jazz holds 0 to 9, rock 10 to 14, the embedding of track i is row i."""
    rows = unit_rows(15, DIMENSION)
    index = kind.make(DIMENSION)
    index.add("rock", np.arange(10, 15), rows[10:])
    index.add("jazz", np.arange(10), rows[:10])
    return index


def expected(rows: Any, numbers: Any, query: Any, k: int) -> list[Neighbour]:
    """The answer by plain NumPy and Python sorting."""
    values = {int(i): round(float(rows[i].astype(float) @ query.astype(float)), 6) for i in numbers}
    best = sorted(values, key=lambda i: (-values[i], i))[:k]
    return [Neighbour(i, values[i]) for i in best]


@kinds
@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_search_finds_the_nearest_of_a_part_and_of_all(
    kind: Kind, saved: bool, k: int, tmp_path: Path
) -> None:
    index = planted(kind)
    if saved:
        index = kind.reopened(index, tmp_path)
    rows = unit_rows(15, DIMENSION)
    for query in unit_rows(5, DIMENSION, seed=1):
        assert index.search("jazz", query, k) == expected(rows, range(10), query, k)
        assert index.search("rock", query, k) == expected(rows, range(10, 15), query, k)
        assert index.search(None, query, k) == expected(rows, range(15), query, k)


@kinds
def test_a_track_is_its_own_nearest_neighbour(kind: Kind) -> None:
    index = planted(kind)
    for track_id in (0, 9, 12):
        (vector,) = index.vectors([track_id])
        assert index.search(None, vector, 1) == [Neighbour(track_id, 1.0)]


@kinds
def test_opposite_and_orthogonal_tracks_have_their_cosines(kind: Kind) -> None:
    index = kind.make(4)
    rows = [[-1, 0, 0, 0], [0, 0, 1, 0], [0.5, -0.5, 0.5, 0.5]]
    index.add("g", ids(1, 2, 3), np.array(rows, dtype=np.float32))
    found = index.search("g", np.array([1, 0, 0, 0], dtype=np.float32), 3)
    assert found == [Neighbour(3, 0.5), Neighbour(2, 0.0), Neighbour(1, -1.0)]


@kinds
def test_equals_are_ordered_by_id_even_where_the_list_is_cut(kind: Kind, tmp_path: Path) -> None:
    row = unit_rows(1, DIMENSION)
    index = kind.make(DIMENSION)
    order = np.random.default_rng(0).permutation(100)
    index.add("a", order[:60], np.repeat(row, 60, axis=0))
    index.add("b", order[60:], np.repeat(row, 40, axis=0))
    for subject in (index, kind.reopened(index, tmp_path)):
        assert [n.track_id for n in subject.search(None, row[0], 7)] == list(range(7))
        assert [n.track_id for n in subject.search("a", row[0], 7)] == sorted(order[:60])[:7]


@kinds
def test_an_empty_index_answers_everything_with_nothing(kind: Kind, tmp_path: Path) -> None:
    index = kind.make(DIMENSION)
    query = unit_rows(1, DIMENSION)[0]
    for subject in (index, kind.reopened(index, tmp_path)):
        assert subject.genres == ()
        assert subject.count() == subject.count("jazz") == 0
        assert subject.search(None, query, 5) == subject.search("jazz", query, 5) == []
        assert subject.remove([1, 2]) == 0
        assert subject.vectors([]).shape == (0, DIMENSION)


@kinds
def test_parts_are_listed_only_while_they_hold_something(kind: Kind, tmp_path: Path) -> None:
    index = planted(kind)
    assert index.genres == ("jazz", "rock")
    assert (index.count("jazz"), index.count("rock"), index.count("pop")) == (10, 5, 0)
    assert index.remove(range(10, 15)) == 5
    assert index.genres == ("jazz",)
    assert index.search("rock", unit_rows(1, DIMENSION)[0], 3) == []
    again = kind.reopened(index, tmp_path)
    assert (again.genres, again.count()) == (("jazz",), 10)


@kinds
def test_no_id_is_higher_than_the_highest(kind: Kind, tmp_path: Path) -> None:
    assert kind.make(DIMENSION).highest_id == 0
    index = planted(kind)
    assert index.highest_id == 14
    assert kind.reopened(index, tmp_path).highest_id == 14


@kinds
def test_removing_ignores_unknown_ids_and_counts_the_known(kind: Kind) -> None:
    index = planted(kind)
    assert index.remove([3, 3, 999, 11, 10**12]) == 2
    assert index.remove([3, 11]) == 0
    assert index.remove([]) == 0
    assert index.remove(iter([4])) == 1
    assert index.count() == 12
    found = {n.track_id for n in index.search(None, unit_rows(1, DIMENSION)[0], 100)}
    assert found == set(range(15)) - {3, 4, 11}


@kinds
@pytest.mark.parametrize("genre", ["jazz", "rock", "pop"])
def test_adding_a_known_id_replaces_it_wherever_it_was(
    kind: Kind, genre: str, tmp_path: Path
) -> None:
    new = unit_rows(1, DIMENSION, seed=7)
    index = kind.reopened(planted(kind), tmp_path)
    index.add(genre, ids(3), new)
    assert index.count() == 15
    assert index.count("jazz") == (10 if genre == "jazz" else 9)
    assert index.search(genre, new[0], 1) == [Neighbour(3, 1.0)]
    np.testing.assert_array_equal(index.vectors([3]), new)


@kinds
def test_of_an_id_that_is_given_twice_the_last_counts(kind: Kind) -> None:
    rows = unit_rows(4, DIMENSION)
    index = kind.make(DIMENSION)
    index.add("g", ids(5, 6, 5, 5), rows)
    assert index.count() == 2
    np.testing.assert_array_equal(index.vectors([5, 6]), rows[[3, 1]])


@kinds
def test_vectors_come_in_the_order_of_the_ids(kind: Kind, tmp_path: Path) -> None:
    rows = unit_rows(15, DIMENSION)
    index = planted(kind)
    for subject in (index, kind.reopened(index, tmp_path)):
        wanted = [14, 0, 9, 0, 11]
        np.testing.assert_array_equal(subject.vectors(wanted), rows[wanted])


@kinds
def test_unknown_ids_have_no_vectors(kind: Kind) -> None:
    with pytest.raises(GenreIndexError, match="no track 77, 99") as caught:
        planted(kind).vectors([1, 99, 77])
    assert caught.value.hint


@kinds
def test_changing_what_was_passed_in_or_given_out_changes_nothing(kind: Kind) -> None:
    rows = unit_rows(3, DIMENSION)
    index = kind.make(DIMENSION)
    mine = rows.copy()
    index.add("g", ids(1, 2, 3), mine)
    mine[:] = 0
    index.vectors([1])[:] = 0
    np.testing.assert_array_equal(index.vectors([1, 2, 3]), rows)


@kinds
def test_what_cannot_be_an_embedding_is_refused_and_nothing_is_added(kind: Kind) -> None:
    index = planted(kind)
    good = unit_rows(2, DIMENSION)
    nan = good.copy()
    nan[1, 0] = np.nan
    for odd in (good[:1], good[:, :-1], good[0], 2 * good, 0 * good, nan, good[:, :0]):
        with pytest.raises(GenreIndexError):
            index.add("jazz", ids(20, 21), odd)
    with pytest.raises(GenreIndexError, match="-1"):
        index.add("jazz", ids(1, -1), good)
    assert index.count() == 15


@kinds
def test_what_cannot_be_asked_is_refused(kind: Kind) -> None:
    index = planted(kind)
    query = unit_rows(1, DIMENSION)[0]
    for k in (0, -1):
        with pytest.raises(GenreIndexError, match=f"k is {k}"):
            index.search("jazz", query, k)
    for odd in (query[:-1], query[np.newaxis], 2 * query, 0 * query, query * np.nan):
        with pytest.raises(GenreIndexError):
            index.search("jazz", odd, 3)
    with pytest.raises(GenreIndexError):
        kind.make(0)


@kinds
def test_what_was_kept_is_found_again(kind: Kind, tmp_path: Path) -> None:
    index = planted(kind)
    folder = tmp_path / "deep" / "library.index"
    loaded = kind.reopened(index, folder, fingerprint="model 1", revision=42)
    assert (index.fingerprint, index.revision) == ("model 1", 42)
    assert (loaded.fingerprint, loaded.revision, loaded.dimension) == ("model 1", 42, DIMENSION)
    assert loaded.genres == index.genres
    np.testing.assert_array_equal(loaded.vectors(range(15)), index.vectors(range(15)))


@kinds
def test_any_text_may_name_a_genre(kind: Kind, tmp_path: Path) -> None:
    names = ("", "..", "a/b", "hip hop", "Šlágr", "日本", "\udcff", "CON", "x" * 300)
    index = kind.make(DIMENSION)
    for number, name in enumerate(names):
        index.add(name, ids(number), unit_rows(1, DIMENSION, number))
    loaded = kind.reopened(index, tmp_path)
    assert loaded.genres == tuple(sorted(names))
    for number, name in enumerate(names):
        query = unit_rows(1, DIMENSION, number)[0]
        assert loaded.search(name, query, 9) == [Neighbour(number, 1.0)]


@saved_kinds
def test_saving_again_replaces_and_leaves_other_files_alone(
    kind: SavedKind, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "part-of-me.bin").write_text("mine too")
    index = planted(kind)
    index.save(tmp_path, fingerprint="f", revision=1)
    files = set(tmp_path.iterdir())
    index.remove([0])
    index.save(tmp_path, fingerprint="f", revision=2)
    assert len(set(tmp_path.iterdir())) == len(files)
    assert kind.load(tmp_path).count() == 14
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "part-of-me.bin").read_text() == "mine too"


@saved_kinds
def test_an_index_that_is_not_there_is_reported(kind: SavedKind, tmp_path: Path) -> None:
    with pytest.raises(GenreIndexError, match="no index") as caught:
        kind.load(tmp_path / "nothing")
    assert "--rebuild" in caught.value.hint


@saved_kinds
@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "gone"])
def test_a_damaged_part_is_reported(kind: SavedKind, damage: str, tmp_path: Path) -> None:
    planted(kind).save(tmp_path, fingerprint="f", revision=1)
    part = sorted(tmp_path.glob("part-*"))[0]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if damage == "gone":
        part.unlink()
    else:
        part.write_bytes(
            {"empty": b"", "cut": bytes(content[:-1]), "flipped": bytes(content)}[damage]
        )
    with pytest.raises(GenreIndexError) as caught:
        kind.load(tmp_path).search(None, unit_rows(1, DIMENSION)[0], 3)
    assert part.name in caught.value.message
    assert "--rebuild" in caught.value.hint


@saved_kinds
@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '"x"', "null", '{"format": 1, "metric": "cosine", "parts": [1]}', "\0"],
)
def test_a_damaged_manifest_is_reported(kind: SavedKind, content: str, tmp_path: Path) -> None:
    planted(kind).save(tmp_path, fingerprint="f", revision=1)
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(GenreIndexError) as caught:
        kind.load(tmp_path)
    assert "--rebuild" in caught.value.hint


@saved_kinds
@pytest.mark.parametrize("field", ["format", "metric"])
def test_an_index_of_another_version_is_reported(
    kind: SavedKind, field: str, tmp_path: Path
) -> None:
    planted(kind).save(tmp_path, fingerprint="f", revision=1)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {field: "other"}))
    with pytest.raises(GenreIndexError, match="another version"):
        kind.load(tmp_path)


# Any sequence of operations leads to the same index as with the exact one.

genre_names = st.sampled_from(["blues", "jazz", "rock"])
track_ids = st.lists(st.integers(0, 40), max_size=12)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), genre_names, track_ids, st.integers(0, 5)),
        st.tuples(st.just("remove"), track_ids),
        st.tuples(st.just("save")),
        st.tuples(st.just("reload")),
    ),
    max_size=14,
)


def change(index: EmbeddingIndex, operation: tuple[Any, ...]) -> Any:
    match operation:
        case ("add", genre, numbers, seed):
            # Few different rows: duplicates and ties are the rule.
            rows = unit_rows(5, DIMENSION, seed)[np.arange(len(numbers)) % 5]
            index.add(genre, ids(*numbers), rows)
        case ("remove", numbers):
            return index.remove(numbers)
    return None


@pytest.mark.parametrize(
    "kind",
    [
        # Each example makes a collection of Milvus anew.
        pytest.param(kind, id=kind.name, marks=[pytest.mark.slow] * (kind.name == "milvus"))
        for kind in KINDS[1:]
    ],
)
@settings(max_examples=60, deadline=None)
@given(operations, st.integers(1, 45))
def test_any_history_gives_the_answers_of_exact_search(
    kind: Kind, history: list[tuple[Any, ...]], k: int
) -> None:
    oracle: EmbeddingIndex = ExactIndex(DIMENSION)
    index: EmbeddingIndex = kind.make(DIMENSION)
    with tempfile.TemporaryDirectory() as folder:
        for operation in history:
            if operation[0] in ("save", "reload"):
                again = kind.reopened(index, Path(folder))
                index = again if operation[0] == "reload" else index
            assert change(index, operation) == change(oracle, operation)
        assert index.genres == oracle.genres
        query = unit_rows(1, DIMENSION, seed=3)[0]
        for genre in (None, "blues", "jazz", "rock"):
            assert index.count(genre) == oracle.count(genre)
            assert index.search(genre, query, k) == oracle.search(genre, query, k)
        held = [n.track_id for n in oracle.search(None, query, 100)]
        np.testing.assert_array_equal(index.vectors(held), oracle.vectors(held))


def test_parts_of_the_approximate_kind_are_approximate(tmp_path: Path) -> None:
    planted(KINDS[2]).save(tmp_path, fingerprint="f", revision=1)
    factories = {part.genre: part.factory for part in read_manifest(tmp_path).parts}
    assert factories == {"jazz": "PQ8x4fs,Refine(SQfp16)", "rock": "SQfp16"}


@kinds
def test_a_search_brings_the_embeddings_of_what_it_finds(kind: Kind, tmp_path: Path) -> None:
    index = kind.reopened(planted(kind), tmp_path)
    rows = unit_rows(15, DIMENSION)
    for genre in ("jazz", None):
        found, vectors = index.search_with_vectors(genre, rows[3], 4)
        assert found == index.search(genre, rows[3], 4)
        np.testing.assert_array_equal(vectors, rows[[near.track_id for near in found]])
    found, vectors = index.search_with_vectors("polka", rows[3], 4)
    assert (found, vectors.shape) == ([], (0, DIMENSION))
