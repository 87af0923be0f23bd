"""How good a tuned network is on tracks that it has not learned from, track by track."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from recsys.classifier.fine_tune.heads import fit_heads, penultimate
from recsys.classifier.fine_tune.tune import tune
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.classifier.fine_tune.heads import Lessons
    from recsys.classifier.fine_tune.pictures import HalfArray
    from recsys.classifier.fine_tune.settings import FineTuneSettings
    from recsys.classifier.models.musicnn import MusiCNN
    from recsys.types import FloatArray, IdArray


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What networks said of tracks, pooled over the windows of each.

    Attributes
    ----------
    logits : ndarray of float32, shape (n, n_genres)
    embeddings : ndarray of float32, shape (n, d)
        Unit length.
    tag_logits : ndarray of float32, shape (n, n_tags)
    """

    logits: FloatArray
    embeddings: FloatArray
    tag_logits: FloatArray


def say(model: MusiCNN, heard: Sequence[HalfArray]) -> Said:
    """Let a network speak of tracks whose front end was heard before.

    Parameters
    ----------
    model : MusiCNN
        With heads.
    heard : sequence of ndarray of float16, each (n_windows, n_filters, frames)

    Returns
    -------
    Said
        As :func:`recsys.classifier.pooling.pooled_outputs` would give it.
    """
    rows = []
    with torch.inference_mode():
        for units in penultimate(model, heard):
            outputs = model.heads(torch.from_numpy(units))
            rows.append([output.numpy().mean(axis=0) for output in outputs])
    logits, embeddings, tags = (np.stack(part) for part in zip(*rows, strict=True))
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Said(logits, embeddings / np.maximum(lengths, 1e-12), tags)


def make_network(
    model: MusiCNN,
    lessons: Lessons,
    settings: FineTuneSettings,
    seed: int,
    on_step: Callable[[float], None] | None = None,
) -> MusiCNN:
    """Tune a network and give it its heads.

    Parameters
    ----------
    model : MusiCNN
        To begin from; stays as it is.
    lessons : Lessons
        What to learn from.
    settings : FineTuneSettings
    seed : int
    on_step : callable, optional
        Called after every step with its loss.

    Returns
    -------
    MusiCNN
    """
    tuned = tune(model, lessons.tracks, lessons.targets, settings, seed, on_step)
    return fit_heads(tuned, lessons)


def folds_by_artist(targets: IdArray, groups: IdArray, n_folds: int, seed: int) -> list[IdArray]:
    """Divide tracks into folds, no artist in two of them, genres in proportion.

    Parameters
    ----------
    targets, groups : ndarray of int64, shape (n_tracks,)
        Genre, and what must stay together.
    n_folds : int
        Wanted; fewer where there are fewer groups.
    seed : int

    Returns
    -------
    list of ndarray of int64
        The tracks held out by each fold.

    Raises
    ------
    ModelError
        If all tracks belong together.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ModelError(
            f"all {len(targets)} tracks are by one artist",
            "A model is measured on other artists than it has learned from: correct the tags,"
            " or name the artists with --artists.",
        )
    count = min(n_folds, int(np.bincount(targets).max()), n_groups)
    cutter = StratifiedGroupKFold(max(2, count), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = [part for _, part in cutter.split(targets, targets, groups)]
    return [part.astype(np.int64) for part in parts if len(part)]


def cross_validate(
    model: MusiCNN,
    lessons: Lessons,
    folds: Sequence[IdArray],
    settings: FineTuneSettings,
    on_step: Callable[[float], None] | None = None,
) -> Said:
    """Let networks speak of tracks, each of those that it has not learned from.

    Parameters
    ----------
    model : MusiCNN
        To begin from.
    lessons : Lessons
        All tracks.
    folds : sequence of ndarray of int64
        Tracks held out; together all of them.
    settings : FineTuneSettings
    on_step : callable, optional
        Called after every step with its loss.

    Returns
    -------
    Said
        One row per track.
    """
    everything = np.arange(len(lessons.tracks))
    rows: list[tuple[IdArray, Said]] = []
    for number, held_out in enumerate(folds):
        learned = np.setdiff1d(everything, held_out)
        network = make_network(
            model, lessons.of(learned), settings, settings.seed + number, on_step
        )
        rows.append((held_out, say(network, [lessons.tracks[place].plain for place in held_out])))
    order = np.argsort(np.concatenate([held_out for held_out, _ in rows]))
    return Said(
        *(
            np.concatenate([getattr(said, name) for _, said in rows])[order]
            for name in ("logits", "embeddings", "tag_logits")
        )
    )
