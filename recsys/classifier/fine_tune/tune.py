"""Tuning the layers above the front end, so that they tell genres apart."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.classifier.precision import bfloat16_is_quick
from recsys.classifier.train import NAN_HINT
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.classifier.fine_tune.hearing import HeardTrack
    from recsys.classifier.fine_tune.settings import FineTuneSettings
    from recsys.classifier.models.musicnn import MusiCNN
    from recsys.types import IdArray

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
