"""Genre scores: smoothing by the confusion matrix, and names of genres."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import QueryError
from recsys.recommender.taxonomy import SMOOTHING, genre_scores, resolve_genre
from tests.planted import LABELS, make_info

INFO = make_info()

weights = st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(lambda row: sum(row) > 0.01)


def normalised(row: list[float]) -> np.ndarray:
    return np.array(row) / sum(row)


def test_scores_are_the_blend_of_probability_and_confusion() -> None:
    p = np.array([0.1, 0.6, 0.25, 0.05], np.float32)
    expected = (1 - SMOOTHING) * p + SMOOTHING * p @ INFO.confusion
    scores = genre_scores(INFO, p)
    assert [genre for genre, _ in scores] == ["classical", "jazz", "blues", "rock"]
    for genre, score in scores:
        assert score == pytest.approx(expected[LABELS.index(genre)], abs=1e-6)


def test_a_certain_query_gets_its_order_from_the_confusion() -> None:
    scores = genre_scores(INFO, np.array([0, 0, 0, 1], np.float32))
    assert [genre for genre, _ in scores] == ["rock", "blues", "jazz", "classical"]


def test_the_most_probable_genre_stays_first_when_smoothing_lifts_another() -> None:
    # Everything that is blues is mostly called rock, so the blend alone would put rock first.
    confusion = [[0.1, 0, 0, 0.9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    info = make_info(confusion=confusion)
    p = np.array([0.45, 0.0, 0.15, 0.40], np.float32)
    blend = (1 - SMOOTHING) * p + SMOOTHING * p @ info.confusion
    assert blend[3] > blend[0]
    scores = genre_scores(info, p)
    assert [genre for genre, _ in scores] == ["blues", "rock", "jazz", "classical"]
    assert scores[0][1] == scores[1][1] == pytest.approx(blend[0], abs=1e-6)


@given(p=weights, rows=st.lists(weights, min_size=4, max_size=4))
def test_scores_hold_every_genre_never_rise_and_begin_with_the_most_probable(
    p: list[float], rows: list[list[float]]
) -> None:
    info = make_info(confusion=[normalised(row).tolist() for row in rows])
    probabilities = normalised(p).astype(np.float32)
    scores = genre_scores(info, probabilities)
    values = [score for _, score in scores]
    assert sorted(genre for genre, _ in scores) == sorted(LABELS)
    assert scores[0][0] == info.top_genre(probabilities)
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values)


@pytest.mark.parametrize("name", ["jazz", "Jazz", " JAZZ "])
def test_a_genre_is_found_whatever_its_case(name: str) -> None:
    assert resolve_genre(INFO, name) == "jazz"


def test_an_unknown_genre_is_named_with_the_nearest_and_all_others() -> None:
    with pytest.raises(QueryError) as caught:
        resolve_genre(INFO, "clasical")
    assert caught.value.message == "unknown genre 'clasical'; did you mean 'classical'?"
    assert all(label in caught.value.hint for label in LABELS)


@pytest.mark.parametrize("name", ["", "zydeco"])
def test_a_genre_like_no_other_is_not_guessed_at(name: str) -> None:
    with pytest.raises(QueryError) as caught:
        resolve_genre(INFO, name)
    assert caught.value.message == f"unknown genre {name!r}"
