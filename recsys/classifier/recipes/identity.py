"""What decides the outcome of a training or a measurement, so that only such results are reused."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from recsys.classifier.models import complete_config
from recsys.classifier.recipes.building import network_config
from recsys.classifier.recipes.estimators import ESTIMATORS
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from recsys.classifier.datasets import LabelledFile
    from recsys.classifier.recipes.fit import FitOptions
    from recsys.classifier.recipes.recipe import Estimator, Network, Recipe

MEASUREMENT_VERSION = 1
"""To be raised by hand whenever a change of the code changes what a measurement finds."""

RANDOM = "random"
"""Name of pretrained weights that are none."""

_WORDS = frozenset(
    {"name", "title", "summary", "report", "source", "readings", "published", "unmeasured"}
)
"""Parts of a recipe that say something about it and change nothing."""


def recipe_identity(recipe: Recipe, options: FitOptions) -> list[object]:
    """Return all of a recipe and its options that decides what comes out.

    Sizes and settings that the recipe leaves to their defaults are written out: a default that
    changes makes it another run. What has no effect is left out.

    Parameters
    ----------
    recipe : Recipe
    options : FitOptions

    Returns
    -------
    list
        Ready for JSON.
    """
    said = recipe.model_dump(mode="json", exclude={*_WORDS, "features", "network", "estimator"})
    # Where no weights are wanted, which were offered makes no difference.
    weights = options.weights if recipe.weights else RANDOM
    epochs = options.epochs if recipe.training is not None else None
    return [
        said,
        _whole_network(recipe.network) if recipe.network else None,
        _whole_estimator(recipe.estimator) if recipe.estimator else None,
        recipe.features.as_dict(),
        *(options.seed, weights, epochs, options.by_report),
    ]


def _whole_network(network: Network) -> list[object]:
    config = network_config(network)
    try:
        return [network.architecture, complete_config(network.architecture, config)]
    except ModelError:
        # No such architecture, which whoever makes the network says better.
        return [network.architecture, config]


def _whole_estimator(estimator: Estimator) -> dict[str, Any]:
    defaults = ESTIMATORS[estimator.name][2] if estimator.name in ESTIMATORS else {}
    said = estimator.model_dump(mode="json")
    return {**said, "settings": {**defaults, **estimator.settings}}


def digest(parts: object) -> str:
    """Return 16 hexadecimal digits that stand for something ready for JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def music_digest(files: Iterable[LabelledFile]) -> str:
    """Return what changes when audio does: names, sizes and times of the last change.

    Parameters
    ----------
    files : iterable of LabelledFile

    Returns
    -------
    str
        The audio itself is not read: that would take longer than many a measurement.

    Raises
    ------
    OSError
        If a file has gone.
    """
    stats = [(file.key, file.path.stat()) for file in files]
    return digest([[key, stat.st_size, stat.st_mtime_ns] for key, stat in stats])


def file_digest(path: Path | None) -> str | None:
    """Return the SHA-256 of a small file, or None where there is none."""
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
