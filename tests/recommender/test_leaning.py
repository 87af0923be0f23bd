"""Queries that lean towards tracks and away from others, by Rocchio's formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.playlists.radio import Radio, RadioOptions
from recsys.recommender import Recommender, SimilarOptions
from recsys.recommender.query import Query, make_query
from recsys.types import Blend, SeedRole
from tests.planted import PlantedLibrary, Sound, at_cosine, make_info

NORTH, EAST, UP, WEST = np.eye(16, dtype=np.float32)[:4]


def lean(
    library: PlantedLibrary,
    *seeds: int,
    like: tuple[int, ...] = (),
    not_like: tuple[int, ...] = (),
) -> Query:
    groups = ([library.seed(i) for i in group] for group in (seeds, like, not_like))
    return make_query(library.info, *groups)


@pytest.fixture
def library(tmp_path: Path) -> PlantedLibrary:
    """Two branches from one seed: even tracks lie east of it, odd ones up."""
    sounds = [Sound("jazz", NORTH, strengths=(1.0, 2.0))]
    for number in range(40):
        towards = EAST if number % 2 else UP
        vector = at_cosine(NORTH, towards, 0.9 - 0.01 * number)
        sounds.append(Sound("jazz", vector, strengths=(-1.0, 4.0)))
    info = make_info(tags=("Happy", "sad"))
    return PlantedLibrary(tmp_path, sounds, info)


def test_the_formula(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", NORTH, strengths=(1.0,)),
        Sound("jazz", EAST, strengths=(3.0,)),
        Sound("rock", UP, strengths=(2.0,)),
        Sound("blues", WEST, strengths=(-4.0,)),
    ]
    library = PlantedLibrary(tmp_path, sounds, make_info(tags=("sad",)))
    query = lean(library, 1, 2, like=(3,), not_like=(4,))
    seeds = (NORTH + EAST) / np.sqrt(2)
    expected = seeds + 0.75 * UP - 0.5 * WEST
    assert query.embedding == pytest.approx(expected / np.linalg.norm(expected), abs=1e-3)
    # blues, classical, jazz, rock: 0.97 for the genre of a track and 0.01 for each other.
    sums = np.array([0.01 + 0.0075 - 0.485, 0.0125, 0.97 + 0.0075 - 0.005, 0.01 + 0.7275 - 0.005])
    clipped = np.maximum(sums, 0)
    assert query.probabilities == pytest.approx(clipped / clipped.sum(), abs=1e-5)
    # What an unwanted track lacks is not wanted for that.
    assert query.tag_strengths == pytest.approx([(2.0 + 0.75 * 2.0) / 1.75], abs=1e-3)
    assert [seed.role for seed in query.seeds] == [SeedRole.SEED, SeedRole.SEED, SeedRole.LIKE]
    assert query.blend == Blend(("hash-0", "hash-1"), ("hash-2",), ("hash-3",))


def test_without_a_lean_nothing_changes(library: PlantedLibrary) -> None:
    one, other = lean(library, 1, 2), library.query(1, 2)
    assert np.array_equal(one.embedding, other.embedding)
    assert np.array_equal(one.probabilities, other.probabilities)
    assert np.array_equal(one.tag_strengths, other.tag_strengths)


def test_without_seeds_the_liked_tracks_are_the_seeds(library: PlantedLibrary) -> None:
    one, other = lean(library, like=(1, 2), not_like=(3,)), lean(library, 1, 2, not_like=(3,))
    assert np.array_equal(one.embedding, other.embedding)
    assert [seed.role for seed in one.seeds] == [SeedRole.SEED] * 2


def test_what_cancels_out_leaves_the_seeds(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [Sound("jazz", NORTH), Sound("jazz", NORTH)])
    query = make_query(library.info, [library.seed(1)], not_like=[library.seed(2)])
    assert query.embedding == pytest.approx(NORTH)
    assert query.genre == "jazz"


def test_a_track_is_not_both(library: PlantedLibrary) -> None:
    query = lean(library, 1, 2, not_like=(2,))
    assert [seed.track.id for seed in query.seeds] == [1]
    with pytest.raises(QueryError, match="0 seeds"):
        lean(library, 2, not_like=(2,))


@pytest.mark.parametrize("strategy", ["tiers", "similarity"])
def test_the_branch_that_is_not_liked_falls_behind(library: PlantedLibrary, strategy: str) -> None:
    recommender = Recommender(library.store, library.index, library.info)
    options = SimilarOptions(k=10, strategy=strategy)
    plain = {row.track.id % 2 for row in recommender.similar(lean(library, 1), options).results}
    away = recommender.similar(lean(library, 1, not_like=(2,)), options).results  # 2 lies up
    towards = recommender.similar(lean(library, 1, like=(3,)), options).results  # 3 lies east
    assert plain == {0, 1}
    assert {row.track.id % 2 for row in away} == {1}
    assert {row.track.id % 2 for row in towards[:5]} == {1}


def test_near_duplicates_of_what_is_not_liked_are_in_no_list(tmp_path: Path) -> None:
    up = at_cosine(NORTH, UP, 0.9)
    sounds = [
        Sound("jazz", NORTH),
        Sound("jazz", up, duration_s=200, artist="A", title="T"),
        Sound("jazz", up, duration_s=201),  # the same embedding and length
        Sound("jazz", at_cosine(up, EAST, 0.95), duration_s=200.5, artist="a", title="t"),
        Sound("jazz", at_cosine(NORTH, UP, 0.8)),
        Sound("jazz", at_cosine(NORTH, EAST, 0.5)),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    query = lean(library, 1, not_like=(2,))
    recommender = Recommender(library.store, library.index, library.info)
    for show in (False, True):
        answer = recommender.similar(query, SimilarOptions(show_duplicates=show))
        assert {row.track.id for row in answer.results} == {5, 6}
        assert answer.filtered == {"not_like": 3, "query": 1}
    maker = PlaylistMaker(library.store, library.index, library.info)
    playlist = maker.from_seeds(query, PlaylistOptions())
    assert [track.id for track in playlist.tracks[:1]] == [1]
    assert {track.id for track in playlist.tracks} == {1, 5, 6}
    assert playlist.name == "Like 0000, not like A - T"
    radio = Radio(library.store, library.index, library.info)
    assert {row.track.id for row in radio.following(1, query, [], RadioOptions()).results} == {5, 6}
