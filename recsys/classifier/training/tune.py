"""Tuning the layers above the front end, so that they tell genres apart."""

from __future__ import annotations

import copy
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.classifier.training.heads import fit_heads, penultimate
from recsys.classifier.training.musicnn_torch import bfloat16_is_quick
from recsys.classifier.training.train import NAN_HINT
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.classifier.training.examples import HalfArray
    from recsys.classifier.training.heads import HeardTrack, Lessons
    from recsys.classifier.training.musicnn_torch import MusiCNN
    from recsys.types import FloatArray, IdArray

# What decides how the default model is made, beside the data.


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """How MusiCNN's layers are tuned to genres.

    Attributes
    ----------
    epochs, steps_per_epoch : int
        The learning rate follows one cycle over all steps.
    batch : int
        Windows in a step, genres in equal shares.
    learning_rate : float
        Of AdamW for the fresh output layer, at the peak of the cycle.
    tuned_rate : float
        Share of it for the layers that are tuned.
    weight_decay : float
        Of AdamW.
    mixup : float
        Parameter of the Beta distribution for mixing what the front end heard in two windows
        (Verma et al., "Manifold Mixup", arXiv:1806.05236).
    pool_dropout, dropout : float
        Behind the pooling, and before the fresh output layer.
    label_smoothing : float
        Probability spread over all genres.
    average_decay : float
        Of the running average of the weights, which is what is kept.
    variations : int
        How many changed copies of each track are learned from, beside the track itself.
    spectrogram_share : float
        How often a track that is there as sound and as ready-made spectrogram is read from the
        latter.
    folds : int
        Of the cross-validation by artist that calibrates the model.
    outliers : int
        Sounds that are no music, synthesised; see :mod:`recsys.classifier.training.outliers`.
    seed : int
        Of everything random.
    """

    epochs: int = 5
    steps_per_epoch: int = 60
    batch: int = 64
    learning_rate: float = 1e-3
    tuned_rate: float = 0.15
    weight_decay: float = 0.01
    mixup: float = 0.3
    pool_dropout: float = 0.2
    dropout: float = 0.5
    label_smoothing: float = 0.1
    average_decay: float = 0.98
    variations: int = 4
    spectrogram_share: float = 0.2
    folds: int = 5
    outliers: int = 150
    seed: int = 0


# ----------------------------------------------------------------------


WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""


class _Tuned(nn.Module):
    """The layers above the front end, and an output layer that is thrown away afterwards."""

    def __init__(self, model: MusiCNN, n_genres: int, settings: FineTuneSettings) -> None:
        super().__init__()
        self.model = model
        self.pool_dropout = nn.Dropout(settings.pool_dropout)
        hidden = model.dense.out_features
        last = nn.Linear(hidden, n_genres)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.output = nn.Sequential(nn.BatchNorm1d(hidden), nn.Dropout(settings.dropout), last)

    def forward(self, heard: Tensor) -> Tensor:
        pooled = self.pool_dropout(self.model.pooled(heard))
        return self.output(self.model.penultimate(pooled))  # type: ignore[no-any-return]

    def learning(self) -> None:
        """Go into training mode; statistics that a million songs have taught stay as they are."""
        self.train()
        self.model.eval()

    def tuned(self) -> list[nn.Parameter]:
        """Return the parameters of the network that are tuned."""
        parts = (self.model.layers, self.model.norms, self.model.dense, self.model.dense_norm)
        return [parameter for part in parts for parameter in part.parameters()]


def tune(
    model: MusiCNN,
    tracks: Sequence[HeardTrack],
    targets: IdArray,
    settings: FineTuneSettings,
    seed: int,
    on_step: Callable[[float], None] | None = None,
) -> MusiCNN:
    """Tune a copy of a network.

    Parameters
    ----------
    model : MusiCNN
        Stays as it is.
    tracks : sequence of HeardTrack
        What to learn from.
    targets : ndarray of int64, shape (n_tracks,)
        Genres.
    settings : FineTuneSettings
    seed : int
    on_step : callable, optional
        Called after every step with its loss.

    Returns
    -------
    MusiCNN
        The running average over the steps, in evaluation mode. Its heads are those of `model`.

    Raises
    ------
    ModelError
        If the loss is no number.
    """
    n_genres = model.genres.out_features
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = _Tuned(copy.deepcopy(model), n_genres, settings)
        average = copy.deepcopy(learner)
        tuned = learner.tuned()
        rate = settings.learning_rate
        groups = [
            {"params": list(learner.output.parameters()), "lr": rate},
            {"params": tuned, "lr": rate * settings.tuned_rate},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        steps = settings.epochs * settings.steps_per_epoch
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _cycle(step, steps))
        batches = _Batches(tracks, targets, n_genres, settings, seed)
        learner.learning()
        for step in range(steps):
            loss = _loss(learner, *batches.draw(), settings.label_smoothing)
            if not math.isfinite(loss.item()):
                raise ModelError(f"the loss became {loss.item()} in step {step + 1}", NAN_HINT)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            _follow(average, learner, min(settings.average_decay, (1 + step) / (10 + step)))
            if on_step is not None:
                on_step(loss.item())
    return average.model.eval()


def _cycle(step: int, steps: int) -> float:
    rising = min(1.0, (step + 1) / max(1.0, WARM_UP * steps))
    return rising * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def _loss(learner: _Tuned, heard: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    quick = bfloat16_is_quick(torch.device("cpu"))
    with torch.autocast("cpu", torch.bfloat16, enabled=quick):
        logits = learner(heard)
    return functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


@torch.no_grad()
def _follow(average: nn.Module, learner: nn.Module, decay: float) -> None:
    """Move the running average towards the present weights."""
    pairs = zip(average.state_dict().values(), learner.state_dict().values(), strict=True)
    for mean, present in pairs:
        if mean.dtype.is_floating_point:
            mean.lerp_(present, 1.0 - decay)
        else:
            mean.copy_(present)


class _Batches:
    """Windows drawn from the genres in equal shares, and mixed in pairs."""

    def __init__(
        self,
        tracks: Sequence[HeardTrack],
        targets: IdArray,
        n_genres: int,
        settings: FineTuneSettings,
        seed: int,
    ) -> None:
        self._tracks = tracks
        self._targets = targets
        self._n_genres = n_genres
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._present = np.unique(targets)
        self._of_genre = {genre: np.flatnonzero(targets == genre) for genre in self._present}

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return windows (b, n_filters, frames) and the genres in them (b, n_genres)."""
        rng, settings = self._rng, self._settings
        genres = self._present[rng.permutation(settings.batch) % len(self._present)]
        chosen = [int(rng.choice(self._of_genre[genre])) for genre in genres]
        share = settings.spectrogram_share
        windows = np.stack([self._tracks[place].draw(rng, share) for place in chosen])
        heard = torch.from_numpy(windows).float()
        wanted = functional.one_hot(torch.from_numpy(genres), self._n_genres).float()
        if settings.mixup <= 0:
            return heard, wanted
        drawn = rng.beta(settings.mixup, settings.mixup, len(chosen))
        ratio = torch.from_numpy(np.maximum(drawn, 1 - drawn).astype(np.float32))
        partner = torch.from_numpy(rng.permutation(len(chosen)))
        mixed = torch.lerp(heard[partner], heard, ratio[:, None, None])
        return mixed, torch.lerp(wanted[partner], wanted, ratio[:, None])


# How good a tuned network is on tracks that it has not learned from, track by track.


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
        As :func:`recsys.classifier.inference.pooled_outputs` would give it.
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
