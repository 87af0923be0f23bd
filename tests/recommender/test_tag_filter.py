"""Only what carries the tags asked for, in the order that it had anyway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.genres import HOLDS_FROM
from recsys.recommender import Recommender, SimilarOptions
from recsys.recommender.query import TagFilter
from tests.planted import PlantedLibrary, make_info, scattered

TAGS = ("rock", "Mellow", "Hip-Hop", "80s")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    rng = np.random.default_rng(12)
    sounds = [
        replace(sound, strengths=tuple(rng.normal(0, 1.5, len(TAGS)).tolist()))
        for sound in scattered(200, rng)
    ]
    return PlantedLibrary(tmp_path_factory.mktemp("library"), sounds, make_info(tags=TAGS))


def answer_ids(library: PlantedLibrary, *tags: str, k: int = 500) -> list[int]:
    options = SimilarOptions(k=k, show_duplicates=True, tags=tags)
    answer = Recommender(library.store, library.index, library.info).similar(
        library.query(1), options
    )
    return [row.track.id for row in answer.results]


def carriers(library: PlantedLibrary, *columns: int) -> set[int]:
    return {
        i
        for i, sound in library.sounds.items()
        if all(sound.strengths[column] >= HOLDS_FROM for column in columns)
    }


@pytest.mark.parametrize(
    ("names", "columns"),
    [(("Mellow",), (1,)), (("MELLOW", "80s"), (1, 3)), (("hip hop",), (2,)), (("80S",) * 2, (3,))],
)
def test_only_carriers_remain_and_keep_their_order(
    library: PlantedLibrary, names: tuple[str, ...], columns: tuple[int, ...]
) -> None:
    wanted = carriers(library, *columns)
    expected = [i for i in answer_ids(library) if i in wanted]
    assert answer_ids(library, *names) == expected
    assert answer_ids(library, *names, k=3) == expected[:3]
    assert len(expected) > 3


def test_what_is_left_out_is_counted_and_a_short_answer_explained(library: PlantedLibrary) -> None:
    options = SimilarOptions(k=150, show_duplicates=True, tags=("Mellow",))
    answer = Recommender(library.store, library.index, library.info).similar(
        library.query(1), options
    )
    refused = len(library.sounds) - len(carriers(library, 1))
    assert answer.filtered["tag"] == refused
    (note,) = answer.notes
    assert f"without the tags asked for ({refused})" in note


def test_the_strongest_come_first_by_their_weakest_tag(library: PlantedLibrary) -> None:
    ids, strengths = TagFilter(library.store, library.info, ["rock", "80s"]).strongest()
    weakest = {i: min(s.strengths[0], s.strengths[3]) for i, s in library.sounds.items()}
    assert set(ids.tolist()) == carriers(library, 0, 3)
    assert ids.tolist() == sorted(ids.tolist(), key=lambda i: (-weakest[i], i))
    np.testing.assert_allclose(strengths, [weakest[i] for i in ids.tolist()], atol=1e-4)


def test_an_unknown_tag_names_the_near_ones_and_all(library: PlantedLibrary) -> None:
    with pytest.raises(QueryError, match="unknown tag 'mellw'; did you mean 'Mellow'") as caught:
        answer_ids(library, "mellw")
    assert "rock, Mellow, Hip-Hop, 80s" in caught.value.hint


def test_a_model_without_tags_asks_for_another_run(tmp_path: Path) -> None:
    plain = PlantedLibrary(tmp_path, scattered(5, np.random.default_rng(0)))
    plain.store.add_root(Path("/music"))
    with pytest.raises(QueryError, match="has no tags") as caught:
        answer_ids(plain, "mellow")
    assert "recsys index --reanalyse /music" in caught.value.hint
