"""Runs over two small recipes at once."""

from __future__ import annotations

from typing import Any

from recsys.classifier.training.architectures import complete_config
from recsys.papers.measure import Measurement
from recsys.papers.recipe import Recipe
from recsys.papers.reproduce import (
    FailedMeasurement,
    ReproduceOptions,
    ReproduceProgress,
    Reproduction,
)
from tests.papers.small_recipes import classical, recipe

Outcomes = list[tuple[str, str, Measurement | FailedMeasurement]]


def named(name: str, own: Recipe) -> Recipe:
    return own.model_copy(update={"name": name})


NETWORK = named("network", recipe())
DENSE = {"architecture": "dense", "config": complete_config("dense", {"hidden": [8]})}
NEIGHBOURS = named("neighbours", classical())
BOTH = [NETWORK, NEIGHBOURS]


def run(recipes: list[Recipe], options: ReproduceOptions, **watched: Any) -> Outcomes:
    watcher = ReproduceProgress(**watched)
    return [
        (task.recipe.name, task.way, outcome)
        for task, outcome in Reproduction(recipes, options).run(watcher)
    ]
