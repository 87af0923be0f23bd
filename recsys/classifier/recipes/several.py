"""Songs of several genres, and models that let several hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from recsys.classifier.calibrate import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from recsys.classifier.recipes.data import MixedSongs
    from recsys.classifier.recipes.recipe import Recipe


def judge_mixed(
    recipe: Recipe, model: nn.Module, songs: MixedSongs, labels: Sequence[str]
) -> dict[str, Any]:
    """Measure how often exactly the right genres hold.

    Parameters
    ----------
    recipe : Recipe
        A genre holds where its probability is higher than the recipe's threshold.
    model : nn.Module
        Gives logarithms of a probability for each genre on its own.
    songs : MixedSongs
    labels : sequence of str
        Genres, in the order of the outputs.

    Returns
    -------
    dict
        ``n``, ``accuracy``, its 95% ``interval``, and ``given``: name of the song to its genres.
    """
    assert recipe.training is not None
    given = {}
    right = 0
    for name, inputs, truth in zip(songs.names, songs.inputs, songs.genres, strict=True):
        with torch.inference_mode():
            probabilities = model(torch.from_numpy(inputs).float())[0].exp().mean(0).numpy()
        holds = [
            label
            for label, probability in zip(labels, probabilities, strict=True)
            # The report's words: higher than the threshold.
            if probability > recipe.training.threshold
        ]
        given[name] = holds
        right += set(holds) == truth
    n = len(songs.names)
    return {
        "n": n,
        "accuracy": right / n,
        "interval": list(wilson_interval(right, n)),
        "given": given,
    }
