"""Candidates come in the order of the oracle, and no more of them than are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from recsys.recommender.query import OVERFETCH, nearest
from recsys.store import Store
from recsys.taste import Bans
from recsys.types import FloatArray, Neighbour, Track
from tests.planted import PlantedLibrary, scattered, unit


class Counting:
    """Passes questions on to the index and the store, and counts what they cost."""

    def __init__(self, library: PlantedLibrary) -> None:
        self._library = library
        self.searches: list[int] = []
        self.rows: list[int] = []

    def search_with_vectors(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        self.searches.append(k)
        return self._library.index.search_with_vectors(genre, query, k)

    def bans(self) -> Bans:
        return Bans()

    def tracks(self, ids: Iterable[int]) -> dict[int, Track]:
        wanted = list(ids)
        self.rows.append(len(wanted))
        return self._library.store.tracks(wanted)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    folder = tmp_path_factory.mktemp("library")
    return PlantedLibrary(folder, scattered(200, np.random.default_rng(1)))


QUERY = unit(np.random.default_rng(2).standard_normal(16))


@pytest.mark.parametrize("genre", ["jazz", None])
@pytest.mark.parametrize("expected", [1, 3, 1000])
def test_all_tracks_come_nearest_first(
    library: PlantedLibrary, genre: str | None, expected: int
) -> None:
    found = list(nearest(library.store, library.index, genre, QUERY, expected))
    assert [candidate.track.id for candidate in found] == library.nearest_ids(genre, QUERY)
    for candidate in found:
        assert np.array_equal(candidate.embedding, library.sounds[candidate.track.id].embedding)
        assert candidate.similarity == pytest.approx(candidate.embedding @ QUERY, abs=1e-5)


def test_nothing_is_read_beyond_what_is_expected(library: PlantedLibrary) -> None:
    counting = Counting(library)
    taken = list(islice(nearest(counting, counting, "jazz", QUERY, 10), 10))
    assert len(taken) == 10
    assert counting.searches == [10 * OVERFETCH]
    assert counting.rows == [10]


def test_searches_double_when_more_is_taken(library: PlantedLibrary) -> None:
    counting = Counting(library)
    taken = list(islice(nearest(counting, counting, None, QUERY, 5), 60))
    assert len(taken) == 60
    assert counting.searches == [10, 20, 40, 80]
    assert sum(counting.rows) == 60


def test_an_empty_part_has_no_candidates(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [])
    assert list(nearest(library.store, library.index, "jazz", QUERY, 5)) == []


def test_what_the_store_no_longer_has_is_passed_over(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered(20, np.random.default_rng(3)))
    gone, *_ = library.nearest_ids(None, QUERY)
    with Store.open(tmp_path / "library.db") as writer:
        writer.write([], removed=[gone])
    found = nearest(library.store, library.index, None, QUERY, 5)
    assert [candidate.track.id for candidate in found] == library.nearest_ids(None, QUERY)[1:]
