"""Recipes cut down to seconds, to see that everything runs."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from recsys.classifier.recipes.estimators import ESTIMATORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.classifier.datasets import LabelledFile
    from recsys.classifier.recipes.recipe import Estimator, Recipe, Search

QUICK_TRACKS = 8
"""Of every genre."""

QUICK_EPOCHS = 2

QUICK_TREES = 20


def spread(files: Iterable[LabelledFile], count: int = QUICK_TRACKS) -> list[LabelledFile]:
    """Take a few tracks of every genre from all over it: neighbours are often of one artist.

    Parameters
    ----------
    files : iterable of LabelledFile
    count : int
        Of every genre, at most.

    Returns
    -------
    list of LabelledFile
        Genre by genre, in their order.
    """
    chosen: list[LabelledFile] = []
    by_genre = attrgetter("genre")
    # Sorting keeps the order within a genre.
    for _, group in groupby(sorted(files, key=by_genre), by_genre):
        own = list(group)
        taken = min(count, len(own))
        chosen += [own[number * len(own) // taken] for number in range(taken)]
    return chosen


def shortened(recipe: Recipe) -> Recipe:
    """Return a recipe with two epochs, two trials and few trees; its figures mean nothing.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    Recipe
        Of the same name.
    """
    update: dict[str, object] = {"memorise": 0}
    if recipe.training is not None:
        epochs = min(QUICK_EPOCHS, recipe.training.epochs)
        update["training"] = recipe.training.model_copy(update={"epochs": epochs})
    if recipe.search is not None:
        update["search"] = _two_trials(recipe.search)
    if recipe.estimator is not None:
        update["estimator"] = _few_trees(recipe.estimator)
    return recipe.model_copy(update=update)


def _two_trials(search: Search) -> Search:
    """Keep all candidates of the first setting and one of every other."""
    names = list(search.network)
    network = {name: search.network[name][: 2 if name == names[0] else 1] for name in names}
    training = {name: values[:1] for name, values in search.training.items()}
    return search.model_copy(update={"network": network, "training": training, "epochs": 1})


def _few_trees(estimator: Estimator) -> Estimator:
    defaults = ESTIMATORS[estimator.name][2] if estimator.name in ESTIMATORS else {}
    if "n_estimators" not in {**defaults, **estimator.settings}:
        return estimator
    settings = {**estimator.settings, "n_estimators": QUICK_TREES}
    return estimator.model_copy(update={"settings": settings})
