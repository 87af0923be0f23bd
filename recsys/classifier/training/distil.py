"""Distillation: what a second teacher knows, into units that are added to the penultimate layer.

MusiCNN learned from tags of popular music; YAMNet learned from two million clips of everything.
Units that YAMNet teaches over music without labels join those of a tuned network, which stays as
it is: letting its layers follow the second teacher made genres worse and albums no better. Two
losses count on every window: the units of the second teacher (whitened) and its class logits. A
third is contrastive: two windows of a track are nearer to each other than to those of others
(NT-Xent; Chen et al., arXiv:2002.05709).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import evened_axes, pooled_over_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys.classifier.calibrate import Float64Array
    from recsys.classifier.training.datasets import HalfArray
    from recsys.types import FloatArray


@dataclass(frozen=True, slots=True)
class DistilSettings:
    """How the second teacher is distilled."""

    units: int = 312  # added to the penultimate layer
    steps: int = 500
    tracks: int = 48  # of a batch, two windows each
    learning_rate: float = 4e-3  # it rises, then falls
    weight_decay: float = 0.02
    dropout: float = 0.3
    targets: int = 118  # principal axes of the second teacher's units
    classes_weight: float = 6.0  # of the losses, against that of the targets
    contrast_weight: float = 0.2
    contrast_temperature: float = 0.15
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class TaughtTrack:
    """A track without a label, and what the second teacher says of its windows."""

    group: str  # tracks of large groups are drawn less often each
    is_music: bool
    responses: HalfArray  # of the front end, (n_windows, n_filters, frames)
    logits: FloatArray  # of the second teacher's classes, (n_windows, n_classes)
    units: FloatArray  # of the second teacher, (n_windows, n_units)


class _Outputs(NamedTuple):
    targets: Tensor
    classes: Tensor
    contrast: Tensor  # unit length


class _Added(nn.Module):
    """More units of the penultimate layer, and heads that are dropped afterwards."""

    def __init__(self, model: MusiCNN, n_classes: int, settings: DistilSettings) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(model.n_pooled, affine=False)
        self.dense = nn.Linear(model.n_pooled, settings.units)
        self.norm = nn.BatchNorm1d(settings.units, eps=model.dense_norm.eps)
        width = model.dense.out_features + settings.units
        self.targets = nn.Linear(width, settings.targets)
        self.classes = nn.Linear(width, n_classes)
        self.contrast = nn.Linear(width, settings.targets)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, pooled: Tensor, units: Tensor) -> _Outputs:
        """Map maxima and means over time, and the units of the network, to the outputs."""
        added = self.norm(torch.relu(self.dense(self.scale(pooled))))
        both = self.dropout(torch.cat([units, added], dim=1))
        contrast = functional.normalize(self.contrast(both), dim=1)
        return _Outputs(self.targets(both), self.classes(both), contrast)


def distil(model: MusiCNN, tracks: Sequence[TaughtTrack], settings: DistilSettings) -> MusiCNN:
    """Return a network with a wider penultimate layer, taught by a second teacher.

    Parameters
    ----------
    model : MusiCNN
        Its layers stay as they are; its heads are lost.
    tracks : sequence of TaughtTrack
        The axes of the targets are those of the music among them.
    settings : DistilSettings
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        added = _Added(model, tracks[0].logits.shape[1], settings)
        _train(added, _Batches(model, tracks, settings), settings)
        return _widened(model, added.eval())


def _widened(model: MusiCNN, added: _Added) -> MusiCNN:
    """Return the network with the added units in its penultimate layer; fresh heads."""
    wider = MusiCNN(
        model.genres.out_features,
        filters=model.filters,
        channels=model.layers[0].out_channels,  # type: ignore[arg-type]
        hidden=model.dense.out_features + added.dense.out_features,
        dimension=model.dimension,
        n_tags=model.tags.out_features,
        flatness=model.flatness,
        genre_weight=model.genre_weight,
    )
    heads = ("genres.", "nothing.", "embed.", "tags.")
    before, fresh = model.state_dict(), wider.state_dict()
    state = {name: (fresh if name.startswith(heads) else before)[name] for name in fresh}
    mean, variance = added.scale.running_mean, added.scale.running_var
    assert mean is not None
    assert variance is not None
    weight = added.dense.weight / torch.sqrt(variance + added.scale.eps)
    state["dense.weight"] = torch.cat([model.dense.weight, weight])
    state["dense.bias"] = torch.cat([model.dense.bias, added.dense.bias - weight @ mean])
    for name, value in added.norm.state_dict().items():
        if value.ndim:
            whole = f"dense_norm.{name}"
            state[whole] = torch.cat([before[whole], value])
    wider.load_state_dict({name: value.detach().clone() for name, value in state.items()})
    return wider.eval()


def _train(added: _Added, batches: _Batches, settings: DistilSettings) -> None:
    optimiser = torch.optim.AdamW(added.parameters(), weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps, pct_start=0.15
    )
    added.train()
    for batch in batches.draw():
        loss = _loss(added(batch.pooled, batch.units), batch, settings)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


class _Batch(NamedTuple):
    pooled: Tensor
    units: Tensor
    targets: Tensor
    classes: Tensor  # probabilities


class _Batches:
    """Batches of two windows each of some tracks, with the targets of the second teacher."""

    def __init__(
        self, model: MusiCNN, tracks: Sequence[TaughtTrack], settings: DistilSettings
    ) -> None:
        self._settings = settings
        self._lengths = np.array([len(track.responses) for track in tracks])
        self._starts = np.cumsum(self._lengths) - self._lengths
        music = np.stack([track.units.mean(axis=0) for track in tracks if track.is_music])
        weight, bias = evened_axes(music, settings.targets)
        targets = np.concatenate([track.units @ weight.T + bias for track in tracks])
        logits = np.concatenate([track.logits for track in tracks])
        pooled = pooled_over_time(model, [track.responses for track in tracks])
        with torch.inference_mode():
            units = model.penultimate(pooled)
        self._rows = _Batch(
            pooled,
            units,
            torch.from_numpy(targets / targets.std()).float(),
            torch.sigmoid(torch.from_numpy(logits).float()),
        )
        groups = [track.group for track in tracks]
        sizes = {group: groups.count(group) for group in set(groups)}
        shares = np.array([sizes[group] ** -0.5 for group in groups])
        self._shares: Float64Array = shares / shares.sum()

    def draw(self) -> Iterator[_Batch]:
        """Yield one batch per step; windows 2i and 2i + 1 are of one track."""
        settings = self._settings
        rng = np.random.default_rng(settings.seed)
        n = len(self._lengths)
        for _ in range(settings.steps):
            chosen = rng.choice(n, min(settings.tracks, n), replace=False, p=self._shares)
            pairs = np.repeat(chosen, 2)
            rows = torch.from_numpy(self._starts[pairs] + rng.integers(self._lengths[pairs]))
            yield _Batch(*(part[rows] for part in self._rows))


def _loss(outputs: _Outputs, batch: _Batch, settings: DistilSettings) -> Tensor:
    targets = functional.mse_loss(outputs.targets, batch.targets)
    classes = functional.binary_cross_entropy_with_logits(outputs.classes, batch.classes)
    n = len(outputs.contrast)
    cosines = outputs.contrast @ outputs.contrast.T / settings.contrast_temperature
    others = cosines - 1e4 * torch.eye(n)
    contrast = functional.cross_entropy(others, torch.arange(n) ^ 1)
    return targets + settings.classes_weight * classes + settings.contrast_weight * contrast
