"""Rankings against a NumPy oracle over planted libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.genres import genre_scores
from recsys.recommender import Answer, Recommender, SimilarOptions
from recsys.recommender.query import make_query
from tests.planted import LABELS, PlantedLibrary, Sound, at_cosine, file_outside, scattered, unit

EVERYTHING = SimilarOptions(k=1000, show_duplicates=True)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    folder = tmp_path_factory.mktemp("library")
    return PlantedLibrary(folder, scattered(240, np.random.default_rng(4), artists=30))


def recommender(library: PlantedLibrary) -> Recommender:
    return Recommender(library.store, library.index, library.info)


def ids(answer: Answer) -> list[int]:
    return [row.track.id for row in answer.results]


@pytest.mark.parametrize("track_id", [1, 2, 50, 240])
def test_tiers_come_in_the_order_of_the_scores_and_end_where_tracks_are_far(
    library: PlantedLibrary, track_id: int
) -> None:
    query = library.query(track_id)
    answer = recommender(library).similar(query, EVERYTHING)
    rows = [(row.track.id, row.tier) for row in answer.results]
    assert rows == library.ranked_by_hand(query, genre_scores(library.info, query.probabilities))
    assert {tier for _, tier in rows} >= {1, 2}
    assert [row.rank for row in answer.results] == list(range(1, 240))
    assert answer.filtered == {"query": 1}


def test_rows_carry_their_genre_score_and_similarity(library: PlantedLibrary) -> None:
    query = library.query(7)
    answer = recommender(library).similar(query, EVERYTHING)
    scores = dict(answer.genre_scores)
    assert answer.genre_scores == genre_scores(library.info, query.probabilities)
    for row in answer.results:
        assert row.genre_score == scores[row.track.genre]
        embedding = library.sounds[row.track.id].embedding
        assert row.similarity == pytest.approx(embedding @ query.embedding, abs=1e-5)


@pytest.mark.parametrize("k", [1, 5, 20, 100])
def test_a_short_answer_is_the_beginning_of_a_long_one(library: PlantedLibrary, k: int) -> None:
    ask = recommender(library)
    query = library.query(11)
    short = ask.similar(query, SimilarOptions(k=k, show_duplicates=True))
    assert ids(short) == ids(ask.similar(query, EVERYTHING))[:k]
    assert short.notes == ()


def test_similarity_alone_ranks_across_genres(library: PlantedLibrary) -> None:
    query = library.query(3)
    options = SimilarOptions(k=1000, strategy="similarity", show_duplicates=True)
    answer = recommender(library).similar(query, options)
    assert ids(answer) == [i for i in library.nearest_ids(None, query.embedding) if i != 3]
    assert {row.tier for row in answer.results} == {0}


def test_a_genre_limits_the_answer_and_keeps_its_tier(library: PlantedLibrary) -> None:
    query = library.query(3)
    scores = genre_scores(library.info, query.probabilities)
    shares = {genre: score / scores[0][1] for genre, score in scores}
    related = [genre for genre, _ in scores if 0.1 <= shares[genre] < 1 / 3]
    for genre, share in shares.items():
        tier = 1 if share >= 1 / 3 else len(related) + 2
        tier = related.index(genre) + 2 if genre in related else tier
        options = SimilarOptions(k=1000, genre=genre.upper(), show_duplicates=True)
        answer = recommender(library).similar(query, options)
        expected = [i for i in library.nearest_ids(genre, query.embedding) if i != 3]
        assert ids(answer) == expected
        assert {row.tier for row in answer.results} == {tier}


def test_an_unknown_query_is_ranked_by_similarity_and_reports_it(library: PlantedLibrary) -> None:
    embedding = unit(np.random.default_rng(5).standard_normal(16))
    analysis = library.analysis(embedding, [0.3, 0.3, 0.2, 0.2])
    query = make_query(library.info, [(file_outside(Path("/elsewhere/x.mp3")), analysis)])
    answer = recommender(library).similar(query, SimilarOptions(k=10))
    assert query.genre == "unknown"
    assert ids(answer) == library.nearest_ids(None, embedding)[:10]
    assert answer.notes == (
        "The genre of the query is unknown, so the ranking is by similarity alone.",
    )


def test_several_seeds_are_asked_for_by_their_mean(library: PlantedLibrary) -> None:
    seeds = library.ids("rock")[:3]
    mean = unit(np.mean([library.sounds[i].embedding for i in seeds], axis=0))
    answer = recommender(library).similar(library.query(*seeds), SimilarOptions(k=10))
    assert ids(answer) == [i for i in library.nearest_ids("rock", mean) if i not in seeds][:10]


def test_ties_are_broken_by_track_number(tmp_path: Path) -> None:
    same = unit([1, 2, 3, 4] * 4)
    library = PlantedLibrary(tmp_path, [Sound("jazz", same)] * 6)
    answer = recommender(library).similar(library.query(3), EVERYTHING)
    assert ids(answer) == [1, 2, 4, 5, 6]


def test_an_empty_library_gives_an_empty_answer_that_reports_it(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [])
    analysis = library.analysis(unit([1] * 16), [0, 0, 1, 0])
    query = make_query(library.info, [(file_outside(Path("/elsewhere/x.mp3")), analysis)])
    answer = recommender(library).similar(query)
    assert answer.results == ()
    assert answer.notes == ("0 of 20 tracks: the library holds 0 tracks",)


def test_a_genre_without_tracks_gives_an_empty_answer_that_reports_it(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [Sound("jazz", unit([1] * 16))])
    answer = recommender(library).similar(library.query(1), SimilarOptions(genre="rock"))
    assert answer.results == ()
    assert answer.notes == ("0 of 20 tracks: rock holds 0 tracks",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"k": -1}, "k must be at least 1, got -1"),
        ({"max_per_artist": 0}, "max_per_artist must be at least 1, got 0"),
        ({"strategy": "tier"}, "unknown strategy 'tier'; did you mean 'tiers'?"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(QueryError) as caught:
        SimilarOptions(**options)
    assert caught.value.message == message
    assert caught.value.hint


def test_an_unknown_genre_is_refused(library: PlantedLibrary) -> None:
    with pytest.raises(QueryError, match="unknown genre 'rook'; did you mean 'rock'") as caught:
        recommender(library).similar(library.query(1), SimilarOptions(genre="rook"))
    assert all(label in caught.value.hint for label in LABELS)


def test_explanations_carry_the_numbers_of_query_and_track(tmp_path: Path) -> None:
    north, east = np.eye(16, dtype=np.float32)[:2]
    library = PlantedLibrary(
        tmp_path,
        [
            Sound("jazz", north, sure=0.91),
            Sound("jazz", at_cosine(north, east, 0.9), sure=0.82),
            Sound("blues", at_cosine(north, east, 0.5), sure=0.64),
            Sound("rock", at_cosine(north, east, 0.6), sure=0.73),
        ],
    )
    ask = recommender(library)
    answer = ask.similar(library.query(1))
    explanations = ask.explain(answer)
    assert [(e.genre, e.tier) for e in explanations] == [("jazz", 1), ("rock", 2), ("blues", 2)]
    scores = dict(answer.genre_scores)
    for explanation, cosine, sure in zip(
        explanations, (0.9, 0.6, 0.5), (0.82, 0.73, 0.64), strict=True
    ):
        assert explanation.query_genre_score == scores[explanation.genre]
        assert explanation.track_genre_probability == pytest.approx(sure)
        assert explanation.similarity == pytest.approx(cosine, abs=5e-4)
    first, second, last = (row.reasons for row in ask.with_reasons(answer).results)
    assert first == (
        "also jazz, sounds very close",
        "similarity 0.900 (1 is the same sound)",
        f"tier 1: score {scores['jazz']:.2f} for jazz; itself 82% jazz",
    )
    assert second[0] == "rock, another genre, sounds close"
    assert last[0] == "blues, another genre, sounds similar"


def test_explanations_by_similarity_alone_claim_no_tier(library: PlantedLibrary) -> None:
    ask = recommender(library)
    answer = ask.similar(library.query(1), SimilarOptions(k=1, strategy="similarity"))
    (row,) = ask.with_reasons(answer).results
    assert row.reasons[2].startswith("no tiers: score ")


def test_an_explanation_survives_the_removal_of_its_track(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered(5, np.random.default_rng(6)))
    ask = recommender(library)
    answer = ask.similar(library.query(1))
    library.store.write([], removed=[row.track.id for row in answer.results])
    for explanation in ask.explain(answer):
        assert explanation.track_genre_probability is None
        assert len(explanation.sentences()) == 3
