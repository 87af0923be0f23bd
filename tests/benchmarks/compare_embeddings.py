"""The shipped recipe's embedding and MusiCNN's, on clips whose genres neither was trained on.

    python -m tests.benchmarks.compare_embeddings gtzan --weights MSD_musicnn --train-split LIST
        --valid-split LIST [--mel ARCHIVE]

One network is made from the training list by the shipped recipe and analyses the validation clips;
five more are made by cross-validation by artist, and each analyses the clips of its fold, which are
compared with each other. MusiCNN's embedding is its penultimate layer, averaged over the same
windows. Only clips with ten windows take part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import outputs_of, penultimate, tune_and_fit
from recsys.quality.metrics import figure_of, k_occurrences, skewness
from recsys.robustness import median_cosine, reciprocal_ranks
from recsys.types import FloatArray, IdArray
from tests.benchmarks.held_out import FULL_WINDOWS, HeldOut, load_held_out

K = 10

Responses: TypeAlias = "Sequence[np.ndarray]"
Embed: TypeAlias = Callable[[Responses], FloatArray]


def embed_with_teacher(teacher: MusiCNN) -> Embed:
    """Return what embeds tracks as MusiCNN does: the mean of its penultimate layer."""

    def embed(responses: Responses) -> FloatArray:
        rows = np.stack([units.mean(axis=0) for units in penultimate(teacher, responses)])
        unit: FloatArray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    return embed


def embed_with(network: MusiCNN) -> Embed:
    """Return what embeds tracks with a network of the shipped recipe."""
    return lambda responses: outputs_of(network, responses).embeddings


def figures(
    embed: Embed, responses: Responses, genres: IdArray, artists: IdArray
) -> dict[str, np.ndarray | float]:
    """Return precision and reciprocal rank per clip, and hubness and median cosine of them all."""
    rows = embed(responses)
    cosines = rows @ rows.T
    others = np.where(artists[:, np.newaxis] == artists, -np.inf, cosines)
    nearest = np.argsort(-others, axis=1, kind="stable")[:, :K]
    reachable = np.take_along_axis(others, nearest, axis=1) > -np.inf
    same = (genres[nearest] == genres[:, np.newaxis]) & reachable
    halves = [
        embed([windows[part] for windows in responses])
        for part in (slice(None, FULL_WINDOWS // 2), slice(FULL_WINDOWS // 2, None))
    ]
    ranks, _ = reciprocal_ranks(*halves, [str(genre) for genre in genres])
    np.fill_diagonal(cosines, -np.inf)
    lists = np.argsort(-cosines, axis=1, kind="stable")[:, :K]
    return {
        "P@10, other artists": same.sum(axis=1) / K,
        "half-track MRR": ranks,
        "skewness of 10-occurrence": float(skewness(k_occurrences(lists, len(rows)))),
        "median cosine": median_cosine(rows),
    }


def compare(data: HeldOut) -> Table:
    """Return both embeddings' figures on the validation clips and over the folds."""
    music, responses, seed = data.music, data.tuning.tracks, data.settings.seed

    def both(learned: IdArray, held_out: IdArray, seed: int) -> list[dict[str, object]]:
        clips = [row for row in held_out.tolist() if data.is_clip(row)]
        network = tune_and_fit(
            data.teacher, data.tuning.of(learned), replace(data.settings, seed=seed)
        )
        given = ([responses[row].plain for row in clips], music.targets[clips], music.groups[clips])
        embeds = (embed_with(network), embed_with_teacher(data.teacher))
        return [figures(embed, *given) for embed in embeds]

    table = Table("", "shipped recipe", "MusiCNN")
    _add_rows(table, "validation list", [both(music.train, music.valid, seed)])
    everything = np.arange(len(responses))
    pairs = [
        both(np.setdiff1d(everything, fold), fold, seed + number)
        for number, fold in enumerate(data.folds)
    ]
    _add_rows(table, "inside the folds", pairs)
    return table


def _add_rows(table: Table, where: str, pairs: list[list[dict[str, object]]]) -> None:
    for name, first in pairs[0][0].items():
        cells = []
        for system in range(2):
            found = [pair[system][name] for pair in pairs]
            if isinstance(first, np.ndarray):
                values = np.concatenate(found)
                figure = figure_of(values, np.arange(len(values)), 0)
                cells.append(f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")
            else:
                cells.append(f"{np.mean(found):.3f}")
        count = sum(np.size(pair[0][name]) for pair in pairs)
        table.add_row(f"{where}: {name}" + (f", n {count}" if count > len(pairs) else ""), *cells)


def main() -> None:
    """Measure and print a table."""
    Console(width=120).print(compare(load_held_out("Compare the embedding with MusiCNN's.")))


if __name__ == "__main__":
    main()
