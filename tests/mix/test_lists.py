"""Tempo, key and loudness in lists: what is uncertain stays out, and is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.recommender import Answer, Filters, Recommender, SimilarOptions
from recsys.recommender.filters import reasons
from recsys.store.rows import Unmeasured
from recsys.types import CERTAIN_FROM, Mix, MixKind
from tests.planted import PlantedLibrary, Sound, at_cosine

NORTH, EAST = np.eye(16, dtype=np.float32)[:2]
SURE, UNSURE = CERTAIN_FROM, CERTAIN_FROM - 0.01


@pytest.fixture
def library(tmp_path: Path) -> PlantedLibrary:
    mixes = [
        Mix(120, SURE, "x", "A minor", SURE, "x", -8.0, -1.0, "y"),
        Mix(122, SURE, "x", "C major", SURE, "x", -9.0, -1.0, "y"),
        Mix(130, SURE, "x", "E minor", SURE, "x", -20.0, -1.0, "y"),
        Mix(121, UNSURE, "x", "D minor", UNSURE, "x"),
        Mix(119, None, "tag", "Db major", None, "tag"),
        Mix(),
    ]
    sounds = [
        Sound("jazz", at_cosine(NORTH, EAST, 1 - 0.05 * i), audio_hash=f"h{i}")
        for i in range(len(mixes))
    ]
    library = PlantedLibrary(tmp_path, sounds)
    library.store.write_mixes(
        (Unmeasured(Path(), f"h{i}", 0.0, tuple(MixKind)), mix) for i, mix in enumerate(mixes)
    )
    return library


def ask(library: PlantedLibrary, *seeds: int, **filters: object) -> Answer:
    options = SimilarOptions(filters=Filters(**filters), show_duplicates=True)
    recommender = Recommender(library.store, library.index, library.info)
    return recommender.similar(library.query(*seeds), options)


def found(answer: Answer) -> list[int]:
    return [row.track.id for row in answer.results]


def test_a_tempo_that_is_not_certain_enough_is_in_no_range(library: PlantedLibrary) -> None:
    answer = ask(library, 1, ranges={"tempo": "118..126"})
    assert found(answer) == [2, 5]
    assert answer.filtered == {"query": 1, "tempo": 1, "no_tempo": 2}
    assert "without a tempo that is certain enough (2)" in reasons(answer.filtered)


def test_a_loudness_is_in_a_range(library: PlantedLibrary) -> None:
    answer = ask(library, 1, ranges={"loudness": "-14.."})
    assert found(answer) == [2]
    assert answer.filtered == {"query": 1, "loudness": 1, "no_loudness": 3}


def test_keys_go_with_that_of_the_seed(library: PlantedLibrary) -> None:
    answer = ask(library, 1, key_match=True)
    assert found(answer) == [2, 3]
    assert answer.filtered == {"query": 1, "key": 1, "no_key": 2}
    assert found(ask(library, 1, 5, key_match=True)) == [2, 3]


def test_a_seed_without_a_certain_key_is_an_error_that_says_why(library: PlantedLibrary) -> None:
    with pytest.raises(QueryError, match=r"D minor, which is too uncertain .*0\.49") as error:
        ask(library, 4, key_match=True)
    assert "--also" not in error.value.hint
    with pytest.raises(QueryError, match="was not measured") as error:
        ask(library, 6, key_match=True)
    assert "recsys index --also key" in error.value.hint


def test_a_key_needs_a_seed() -> None:
    assert Filters().over(Filters(key_match=True)).key_match is False
