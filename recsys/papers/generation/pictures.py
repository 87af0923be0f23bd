"""Plots of a generator: the way to the equilibrium, and its spectrograms next to real ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from recsys.reports.drawing import PALETTE, Picture, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from recsys.classifier.training.datasets import SegmentSet
    from recsys.papers.generation.music import MusicGenerator
    from recsys.types import FloatArray

EACH = 2
"""Real and generated spectrograms of each genre."""


def curves_picture(generator: MusicGenerator) -> Picture:
    """Draw the losses and the probabilities of the discriminator over the epochs."""
    history = generator.training["history"]
    epochs = [entry["epoch"] for entry in history]
    figure = new_figure(9.0, 3.6)
    losses, probabilities = figure.subplots(1, 2)
    for key, colour in (("generator_loss", PALETTE[0]), ("discriminator_loss", PALETTE[1])):
        losses.plot(epochs, [e[key] for e in history], color=colour, label=key.split("_")[0])
    losses.axhline(math.log(4), color="0.6", linestyle=":", label="discriminator, guessing")
    losses.set_ylabel("loss")
    for key, colour in (("real", PALETTE[0]), ("generated", PALETTE[1])):
        probabilities.plot(epochs, [e[key] for e in history], color=colour, label=f"{key} images")
    probabilities.axhline(0.5, color="0.6", linestyle=":", label="equilibrium")
    probabilities.set_ylabel("probability of being real")
    probabilities.set_ylim(0.0, 1.0)
    for axes in (losses, probabilities):
        axes.set_xlabel("epoch")
        axes.legend()
    n = generator.training["segments"]
    caption = f"Losses, and what the discriminator says of {n} real windows and as many generated."
    return Picture("curves", "The way to the equilibrium", caption, figure)


def grid_picture(generator: MusicGenerator, segments: SegmentSet, seed: int) -> Picture:
    """Draw spectrograms of every genre, real ones on the left, generated ones on the right."""
    rng = np.random.default_rng(seed)
    genres = [genre for genre in generator.labels if genre in segments.labels]
    figure = new_figure(1.2 + 1.5 * 2 * EACH, 0.6 + 1.1 * len(genres))
    grid = figure.subplots(len(genres), 2 * EACH, squeeze=False)
    for row, genre in zip(grid, genres, strict=True):
        of_genre = np.flatnonzero(segments.targets == segments.labels.index(genre))
        chosen = rng.permutation(of_genre)[:EACH]
        latent = rng.standard_normal((EACH, generator.network.latent)).astype(np.float32)
        generated = generator.windows(latent, [generator.genre_row(genre)] * EACH)
        images = [*segments.inputs[chosen].astype(np.float32), *generated]
        for axes, image in zip(row, images, strict=False):
            _draw(axes, image)
        row[0].set_ylabel(literal(genre))
    for number, axes in enumerate(grid[0]):
        axes.set_title("real" if number < EACH else "generated")
    caption = "Mel spectrograms of 3 s, low bands below; dark is silent."
    return Picture("samples", "Real and generated spectrograms", caption, figure)


def _draw(axes: Axes, image: FloatArray) -> None:
    axes.imshow(image, origin="lower", aspect="auto", cmap="magma", vmin=-1.0, vmax=1.0)
    axes.set_xticks([])
    axes.set_yticks([])
