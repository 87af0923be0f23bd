"""Which recipes are run, in which order, and what is left of recipes and music in a quick run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from recsys.classifier.training.datasets import LabelledFile
from recsys.errors import ModelError
from recsys.papers.recipe import recipe_names
from recsys.papers.reproduce import QUICK_EPOCHS, QUICK_TREES, all_recipes, shortened, spread
from tests.papers.small import TOML


def test_recipes_that_share_features_stand_together() -> None:
    names = [one.name for one in all_recipes(recipe_names())]
    assert len(names) == len(set(names)) == 35
    seen = [(one.features, one.genres) for one in all_recipes(recipe_names())]
    changes = sum(one != other for one, other in pairwise(seen))
    assert changes == len(set(seen)) - 1


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["mlp"], ["mlp"]),
        (["mlp", "mlp"], ["mlp"]),
        (["ann:chroma"], ["ann:chroma"]),
        (["ann"], ["ann", "ann:centroid", "ann:chroma"]),
        (["ann", "ann:chroma"], ["ann", "ann:centroid", "ann:chroma"]),
    ],
)
def test_a_name_stands_for_its_variants_and_each_is_run_once(
    names: list[str], expected: list[str]
) -> None:
    assert [one.name for one in all_recipes(names)] == expected


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "mine.toml")
        paths[-1].write_text(TOML)
    with pytest.raises(ModelError, match="two recipes are called mine"):
        all_recipes([str(path) for path in paths])
    assert [one.name for one in all_recipes([str(paths[0])])] == ["mine", "mine:wide"]


def test_a_shortened_recipe_keeps_its_name_and_loses_its_length() -> None:
    for own in all_recipes(recipe_names()):
        short = shortened(own)
        assert short.name == own.name
        assert short.features == own.features
        assert short.memorise == 0
        if short.training is not None:
            assert short.training.epochs <= QUICK_EPOCHS
        if short.search is not None:
            trials = [*short.search.network.values(), *short.search.training.values()]
            assert np.prod([len(values) for values in trials]) == 2
            assert short.search.epochs == 1
        if short.estimator is not None and short.estimator.name in ("xgboost", "random-forest"):
            assert short.estimator.settings["n_estimators"] == QUICK_TREES


def files(genre: str, count: int) -> list[LabelledFile]:
    return [LabelledFile(Path(f"{genre}.{n}.wav"), genre, f"{genre}.{n}") for n in range(count)]


def test_tracks_come_from_all_over_a_genre() -> None:
    """In GTZAN, the first 28 of reggae are of one artist."""
    chosen = [file.key for file in spread(files("reggae", 100), 8)]
    assert chosen == [f"reggae/reggae.{n}" for n in (0, 12, 25, 37, 50, 62, 75, 87)]


def test_small_genres_are_taken_whole() -> None:
    rock, jazz = files("rock", 3), files("jazz", 9)
    mixed = [*rock[:2], *jazz, rock[2]]
    chosen = spread(mixed, 8)
    assert [file for file in chosen if file.genre == "rock"] == rock
    assert len(chosen) == 3 + 8
    assert spread([], 8) == []
