"""Which tracks come first, and where a tier ends, in libraries whose right answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.index.sync import open_index
from recsys.recommender import Answer, Recommender, SimilarOptions, TierKind, plan_tiers
from recsys.recommender.query import Query, make_query
from tests.planted import PlantedLibrary, Sound, at_cosine, file_outside, make_info, unit

NORTH, EAST, UP = np.eye(16, dtype=np.float32)[:3]
LABELS = ("folk", "pop", "jazz", "rock")
INFO = make_info(LABELS, np.eye(4).tolist(), threshold=0.3, tags=(*LABELS, "chill"))


def sound(genre: str, cosine: float, **fields: object) -> Sound:
    """Return a track at a cosine to the query, of one genre by model, tag and file."""
    strengths = tuple(3.0 if tag == genre else 0.0 for tag in INFO.tags)
    embedding = at_cosine(NORTH, EAST, cosine)
    return Sound(genre, embedding, 0.97, genre_tag=genre, strengths=strengths, **fields)


def ask(library: PlantedLibrary, query: Query, **options: object) -> Answer:
    recommender = Recommender(library.store, open_index(library.store), library.info)
    return recommender.similar(query, SimilarOptions(**{"show_duplicates": True, **options}))


def ids(answer: Answer) -> list[int]:
    return [row.track.id for row in answer.results]


def unsure(library: PlantedLibrary, *probabilities: float) -> Query:
    analysis = library.analysis(NORTH, probabilities, [0.0] * len(INFO.tags))
    return make_query(library.info, [(file_outside(Path("/elsewhere/x.mp3")), analysis)])


@pytest.mark.parametrize("source", ["gtzan", "all", "own"])
def test_a_thin_genre_is_not_followed_by_the_farthest_music(tmp_path: Path, source: str) -> None:
    sounds = [
        *(sound("folk", 1.0), sound("folk", 0.8), sound("folk", 0.7), sound("folk", 0.1)),
        *(sound("pop", 0.005), sound("pop", 0.03), sound("rock", 0.6), sound("rock", 0.5)),
    ]
    library = PlantedLibrary(tmp_path, sounds, INFO)
    library.store.set_genre_source(source)
    answer = ask(library, library.query(1))
    assert answer.genre_group == "folk"
    assert ids(answer) == [2, 3, 7, 8, 4, 6, 5]
    assert [row.tier for row in answer.results][:2] == [1, 1]
    last = answer.tiers[-1]
    assert (last.kind, last.genres) == (TierKind.OTHER, ())
    assert [row.tier for row in answer.results][-3:] == [last.number] * 3


def test_two_seeds_of_two_genres_share_the_first_tier(tmp_path: Path) -> None:
    between = unit(NORTH + EAST)
    cosines = [("folk", 0.5), ("jazz", 0.67), ("folk", 0.45), ("jazz", 0.6), ("rock", 0.65)]
    sounds = [Sound("folk", NORTH), Sound("jazz", EAST)]
    sounds += [Sound(genre, at_cosine(between, UP, cosine)) for genre, cosine in cosines]
    library = PlantedLibrary(tmp_path, sounds, INFO)
    answer = ask(library, library.query(1, 2))
    assert set(answer.tiers[0].genres) == {"folk", "jazz"}
    assert ids(answer) == [4, 6, 3, 5, 7]
    assert [row.tier for row in answer.results] == [1, 1, 1, 1, 2]


def test_one_seed_of_three_puts_its_genre_into_the_first_tier(tmp_path: Path) -> None:
    sounds = [Sound("folk", NORTH), Sound("folk", NORTH), Sound("jazz", NORTH)]
    library = PlantedLibrary(tmp_path, sounds, INFO)
    assert ask(library, library.query(1, 2, 3)).tiers[0].genres == ("folk", "jazz")


def test_an_unsure_query_ranks_the_genres_that_it_may_be_before_the_others(tmp_path: Path) -> None:
    sounds = [sound("pop", 0.8), sound("rock", 0.7), sound("jazz", 0.6), sound("jazz", 0.85)]
    library = PlantedLibrary(tmp_path, sounds, INFO)
    answer = ask(library, unsure(library, 0.15, 0.09, 0.38, 0.38))
    assert set(answer.tiers[0].genres) == {"jazz", "rock", "folk"}
    assert ids(answer) == [4, 2, 3, 1]
    assert [row.tier for row in answer.results] == [1, 1, 1, 2]


def test_related_genres_follow_by_score_and_not_by_similarity(tmp_path: Path) -> None:
    sounds = [sound("pop", 0.8), sound("rock", 0.6), sound("jazz", 0.81), sound("folk", 0.79)]
    library = PlantedLibrary(tmp_path, sounds, INFO)
    answer = ask(library, unsure(library, 0.01, 0.1, 0.7, 0.19))
    assert [(tier.kind, tier.genres) for tier in answer.tiers] == [
        (TierKind.FIRST, ("jazz",)),
        (TierKind.RELATED, ("rock",)),
        (TierKind.RELATED, ("pop",)),
        (TierKind.OTHER, ()),
    ]
    assert ids(answer) == [3, 2, 1, 4]
    assert [row.tier for row in answer.results] == [1, 2, 3, 4]


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_nearest_track_of_all_is_never_hidden(tmp_path: Path, k: int) -> None:
    sounds = [sound("folk", 1.0), *(sound("folk", 0.5 + 0.01 * i) for i in range(20))]
    library = PlantedLibrary(tmp_path, [*sounds, sound("rock", 0.85), sound("rock", 0.75)], INFO)
    answer = ask(library, library.query(1), k=k)
    nearest = len(sounds) + 1
    assert ids(answer) == [nearest, *range(21, 21 - k + 1, -1)]
    assert [row.tier for row in answer.results] == [1] * k
    whole = ids(ask(library, library.query(1), k=100))
    assert whole[:k] == ids(answer)
    assert sorted(whole) == list(range(2, nearest + 2))


def test_a_track_as_near_as_can_be_needs_no_other_before_it(tmp_path: Path) -> None:
    sounds = [sound("folk", 1.0), sound("folk", 0.86), sound("rock", 0.9)]
    library = PlantedLibrary(tmp_path, sounds, INFO)
    assert ids(ask(library, library.query(1))) == [2, 3]


def test_a_nearest_track_that_is_left_out_makes_room_for_the_next(tmp_path: Path) -> None:
    sounds = [
        sound("folk", 1.0, artist="A", title="T", duration_s=200),
        sound("folk", 0.5),
        sound("rock", 0.95, artist="A", title="T", duration_s=200),
        sound("rock", 0.8),
    ]
    library = PlantedLibrary(tmp_path, sounds, INFO)
    answer = ask(library, library.query(1), show_duplicates=False)
    assert ids(answer) == [4, 2]
    assert answer.filtered == {"query": 1, "near_duplicate": 1}


def test_a_tag_counts_every_track_without_it_once(tmp_path: Path) -> None:
    sounds = [sound("folk", cosine) for cosine in (1.0, 0.8, 0.2)] + [sound("rock", 0.6)]
    library = PlantedLibrary(tmp_path, sounds, INFO)
    answer = ask(library, library.query(1), tags=("rock",))
    assert ids(answer) == [4]
    assert answer.filtered == {"tag": 3}


def test_reasons_say_why_a_track_is_in_its_tier(tmp_path: Path) -> None:
    cosines = [("jazz", 0.6), ("rock", 0.8), ("folk", 0.5), ("pop", 0.7), ("jazz", 0.3)]
    library = PlantedLibrary(tmp_path, [sound(*planted) for planted in cosines], INFO)
    recommender = Recommender(library.store, library.index, library.info)
    answer = recommender.similar(unsure(library, 0.3, 0.1, 0.59, 0.01))
    reasons = [
        (row.reasons[0], row.reasons[2].split(";")[0])
        for row in recommender.with_reasons(answer).results
    ]
    assert reasons == [
        (
            "the nearest of all, although it is rock, sounds close",
            "tier 1: score 0.01 for rock",
        ),
        ("also jazz, sounds close", "tier 1: score 0.59 for jazz"),
        (
            "folk, which the query may be as well, sounds similar",
            "tier 1: score 0.30 for folk",
        ),
        ("pop, a related genre, sounds close", "tier 2: score 0.10 for pop"),
        ("also jazz, sounds a little similar", "tier 3: score 0.59 for jazz"),
    ]


def test_a_genre_is_asked_for_as_a_whole() -> None:
    scores = [("folk", 0.6), ("pop", 0.3), ("jazz", 0.08), ("rock", 0.02)]
    for genre, number in (("folk", 1), ("pop", 1), ("jazz", 2), ("rock", 3)):
        (tier,) = plan_tiers("folk", scores, genre)
        assert (tier.number, tier.genres, tier.ends_at) == (number, (genre,), -1.0)
