"""Heads that are fitted to a teacher: here one whose rule is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from recsys import Library
from recsys.errors import QueryError
from recsys.mood import mood_numbers
from recsys.mood.fit import MoodFitOptions, cross_validated, fit_heads, rank_correlation
from recsys.mood.numbers import Heads, settings_text
from tests.planted import LABELS, PlantedLibrary, Sound, make_info, unit

DIMENSION, TRACKS = 16, 120


def level_of(number: int) -> float:
    return 0.5 + 0.4 * math.sin(number)


def judge(path: Path) -> tuple[float, ...]:
    """Return what the names of the planted files say; one of them is damaged."""
    number = int(path.stem)
    if number == 7:
        raise QueryError("a damaged file")
    return (level_of(number), 1 - level_of(number), 0.5, 0.5, level_of(number))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    """The first dimension of the embedding is what the teacher hears."""
    rng = np.random.default_rng(6)
    sounds = []
    for i in range(TRACKS):
        vector = np.concatenate([[level_of(i)], 0.3 * rng.standard_normal(DIMENSION - 1)])
        sounds.append(Sound(LABELS[i % 4], unit(vector), artist=f"Artist {i % 40}"))
    return PlantedLibrary(tmp_path_factory.mktemp("library"), sounds, make_info(tags=("rock",)))


def test_heads_agree_with_their_teacher_and_move_into_the_library(library: PlantedLibrary) -> None:
    tracks = [library.seed(i) for i in library.sounds]
    told: list[bool] = []
    found = fit_heads(
        library.info,
        mood_numbers(None),
        tracks,
        MoodFitOptions(TRACKS, workers=1),
        judge=judge,
        on_track=told.append,
    )
    assert (found.tracks, found.artists, len(found.failed)) == (TRACKS - 1, 40, 1)
    assert sorted(told) == [False] * (TRACKS - 1) + [True]
    assert (found.correlations["energy"] or 0) > 0.8
    assert (found.correlations["valence"] or 0) > 0.8
    assert found.correlations["danceability"] is None  # the same everywhere
    assert found.of_table["energy"] is None  # this model has none of its tags
    settings = settings_text(None, found.heads)
    library.store.set_moods(settings)
    energies = library.store.numbers()[:, 0]
    levels = np.array([level_of(i) for i in range(TRACKS)])
    assert rank_correlation(energies, levels) > 0.85
    again = library.store.moods().heads
    assert again is not None
    assert again.as_json() == found.heads.as_json() == Heads.of(found.heads.as_json()).as_json()


def test_a_fold_never_learns_from_its_own_artists() -> None:
    """Each artist has a level of its own that no other tells: there is nothing to predict."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(30), 4)
    inputs = np.eye(30)[groups] + 0.01 * rng.standard_normal((120, 30))
    wanted = rng.standard_normal(30)[groups][:, np.newaxis]
    predicted = cross_validated(inputs, wanted, groups, 0)
    assert abs(rank_correlation(predicted[:, 0], wanted[:, 0])) < 0.5


def test_too_few_tracks_are_refused(library: PlantedLibrary) -> None:
    with pytest.raises(QueryError, match="10 tracks are too few"):
        MoodFitOptions(10)
    tracks, options = [library.seed(i) for i in (1, 2, 3, 4)], MoodFitOptions(50, workers=1)
    with pytest.raises(QueryError, match="only 4 of 4 tracks were judged"):
        fit_heads(library.info, mood_numbers(None), tracks, options, judge=judge)


def test_rank_correlation() -> None:
    one = np.array([1.0, 2.0, 2.0, 5.0])
    assert rank_correlation(one, -one) == -1
    assert rank_correlation(one, np.array([0.1, 0.4, 0.3, 0.9])) == pytest.approx(0.948683)
    assert np.isnan(rank_correlation(one, np.array([1.0, np.nan, 2.0, 3.0])))


def test_without_vibenet_the_extra_is_named(
    library: PlantedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "vibenet", None)
    with pytest.raises(Exception, match="vibenet") as refused:
        Library(library.store.path).fit_moods()
    assert "vibenet" in str(refused.value)
