"""Distillation: what a second teacher knows, into units that are added to the penultimate layer.

MusiCNN learned from tags of popular music; YAMNet learned from two million clips of everything.
Taught by both over music without labels, the layers above the front end tell apart more than
either set of labels names. Three losses count on every window: the units of the second teacher
(whitened), its class logits, and the units that the network had before, which must not drift. A
fourth is contrastive: two windows of a track are nearer to each other than to those of others
(NT-Xent; Chen et al., arXiv:2002.05709).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.classifier.training.loop import PartialRun
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import evened_axes, penultimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from recsys.classifier.calibrate import Float64Array
    from recsys.classifier.training.datasets import HalfArray
    from recsys.types import FloatArray


@dataclass(frozen=True, slots=True)
class DistilSettings:
    """How the second teacher is distilled."""

    units: int = 312  # added to the penultimate layer
    steps: int = 1000
    tracks: int = 48  # of a batch, two windows each
    learning_rate: float = 3e-3  # of the added units and the heads; it rises, then falls
    tuned_rate: float = 0.2  # of the layers that were there, times that
    weight_decay: float = 0.02
    dropout: float = 0.3
    targets: int = 118  # principal axes of the second teacher's units
    classes_weight: float = 6.0  # of the losses, against that of the targets
    kept_weight: float = 0.5
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
    kept: Tensor  # the units that were there before
    targets: Tensor
    classes: Tensor
    contrast: Tensor  # unit length


class _Student(nn.Module):
    """The layers above the front end, more units, and heads that are dropped afterwards."""

    def __init__(self, model: MusiCNN, n_classes: int, settings: DistilSettings) -> None:
        super().__init__()
        self.model = model
        self.scale = nn.BatchNorm1d(model.n_pooled, affine=False)
        self.added = nn.Linear(model.n_pooled, settings.units)
        self.norm = nn.BatchNorm1d(settings.units, eps=model.dense_norm.eps)
        width = model.dense.out_features + settings.units
        self.targets = nn.Linear(width, settings.targets)
        self.classes = nn.Linear(width, n_classes)
        self.contrast = nn.Linear(width, settings.targets)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, responses: Tensor) -> _Outputs:
        pooled = self.model.pooled(responses)
        kept = self.model.penultimate(pooled)
        added = self.norm(torch.relu(self.added(self.scale(pooled))))
        units = self.dropout(torch.cat([kept, added], dim=1))
        contrast = functional.normalize(self.contrast(units), dim=1)
        return _Outputs(kept, self.targets(units), self.classes(units), contrast)

    def train(self, mode: bool = True) -> _Student:
        super().train(mode)
        self.model.eval()  # keep the batch statistics, which are of a million songs
        return self

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        """Return the fresh parameters, and those of the layers that are tuned."""
        model = self.model
        parts = (model.layers, model.norms, model.dense, model.dense_norm)
        tuned = [parameter for part in parts for parameter in part.parameters()]
        of_model = {id(parameter) for parameter in model.parameters()}
        return [[p for p in self.parameters() if id(p) not in of_model], tuned]

    def widened(self) -> MusiCNN:
        """Return the network with the added units in its penultimate layer; fresh heads."""
        old = self.model
        n_genres, n_tags = old.genres.out_features, old.tags.out_features
        new = MusiCNN(
            n_genres,
            filters=old.filters,
            channels=old.layers[0].out_channels,  # type: ignore[arg-type]
            hidden=old.dense.out_features + self.added.out_features,
            dimension=old.dimension,
            n_tags=n_tags,
            flatness=old.flatness,
            genre_weight=old.genre_weight,
        )
        heads = ("genres.", "nothing.", "embed.", "tags.")
        state = {k: v for k, v in old.state_dict().items() if not k.startswith(heads)}
        state |= {k: v for k, v in new.state_dict().items() if k.startswith(heads)}
        assert self.scale.running_mean is not None
        assert self.scale.running_var is not None
        weight = self.added.weight / torch.sqrt(self.scale.running_var + self.scale.eps)
        bias = self.added.bias - weight @ self.scale.running_mean
        state["dense.weight"] = torch.cat([old.dense.weight, weight])
        state["dense.bias"] = torch.cat([old.dense.bias, bias])
        for name, value in self.norm.state_dict().items():
            if value.ndim:
                whole = f"dense_norm.{name}"
                state[whole] = torch.cat([old.state_dict()[whole], value])
        new.load_state_dict({name: value.detach().clone() for name, value in state.items()})
        return new.eval()


def distil(
    model: MusiCNN,
    tracks: Sequence[TaughtTrack],
    settings: DistilSettings,
    *,
    out: Path | None = None,
    on_step: Callable[[int], None] | None = None,
) -> MusiCNN:
    """Return a network with a wider penultimate layer, taught by a second teacher.

    Parameters
    ----------
    model : MusiCNN
        Its front end stays as it is. Its heads are lost.
    tracks : sequence of TaughtTrack
        The axes of the targets are those of the music among them.
    settings : DistilSettings
    out : Path, optional
        Where the finished network is kept until the model is written.
    on_step : callable, optional
        Gets the number of steps after each of them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        student = _Student(model, tracks[0].logits.shape[1], settings)
        partial = PartialRun(
            out, [asdict(settings), len(tracks), sum(len(track.responses) for track in tracks)]
        )
        saved = partial.read(torch.device("cpu"))
        if saved is None:
            _train(student, tracks, settings, on_step)
            partial.write({"student": student.state_dict()})
        else:
            student.load_state_dict(saved["student"])
        return student.eval().widened()


def _train(
    student: _Student,
    tracks: Sequence[TaughtTrack],
    settings: DistilSettings,
    on_step: Callable[[int], None] | None,
) -> None:
    fresh, tuned = student.parameter_groups()
    rates = [settings.learning_rate, settings.learning_rate * settings.tuned_rate]
    groups = [{"params": p, "lr": rate} for p, rate in zip((fresh, tuned), rates, strict=True)]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rates, total_steps=settings.steps, pct_start=0.15
    )
    batches = _Batches(student.model, tracks, settings)
    student.train()
    for batch in batches.draw():
        loss = _loss(student(batch.responses), batch, batches.scale, settings)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if on_step is not None:
            on_step(settings.steps)


class _Batch(NamedTuple):
    responses: Tensor
    kept: Tensor
    targets: Tensor
    classes: Tensor  # probabilities


class _Batches:
    """Batches of two windows each of some tracks, with the targets of both teachers."""

    def __init__(
        self, model: MusiCNN, tracks: Sequence[TaughtTrack], settings: DistilSettings
    ) -> None:
        self._settings = settings
        self._responses = [track.responses for track in tracks]
        music = np.stack([track.units.mean(axis=0) for track in tracks if track.is_music])
        weight, bias = evened_axes(music, settings.targets)
        targets = [track.units @ weight.T + bias for track in tracks]
        spread = np.concatenate(targets).std()
        self._targets = [(rows / spread).astype(np.float32) for rows in targets]
        self._classes = [1 / (1 + np.exp(-np.clip(track.logits, -30, 30))) for track in tracks]
        self._kept = penultimate(model, self._responses)
        # Units that hardly vary would weigh most.
        self.scale = torch.from_numpy(np.concatenate(self._kept).std(axis=0) + 0.05)
        groups = [track.group for track in tracks]
        sizes = {group: groups.count(group) for group in set(groups)}
        shares = np.array([sizes[group] ** -0.5 for group in groups])
        self._shares: Float64Array = shares / shares.sum()

    def draw(self) -> Iterator[_Batch]:
        """Yield one batch per step."""
        settings = self._settings
        rng = np.random.default_rng(settings.seed)
        count = min(settings.tracks, len(self._responses))
        for _ in range(settings.steps):
            rows: list[tuple[int, int]] = []
            for row in rng.choice(len(self._responses), count, replace=False, p=self._shares):
                n = len(self._responses[row])
                rows += [(row, window) for window in rng.choice(n, 2, replace=n < 2)]
            parts = (self._responses, self._kept, self._targets, self._classes)
            stacked = (np.stack([part[row][window] for row, window in rows]) for part in parts)
            yield _Batch(*(torch.from_numpy(part).float() for part in stacked))


def _loss(outputs: _Outputs, batch: _Batch, scale: Tensor, settings: DistilSettings) -> Tensor:
    targets = functional.mse_loss(outputs.targets, batch.targets)
    classes = functional.binary_cross_entropy_with_logits(outputs.classes, batch.classes)
    kept = ((outputs.kept - batch.kept) / scale).square().clamp(max=25).mean()
    n = len(outputs.contrast)
    cosines = outputs.contrast @ outputs.contrast.T / settings.contrast_temperature
    others = cosines - 1e4 * torch.eye(n)
    contrast = functional.cross_entropy(others, torch.arange(n) ^ 1)
    return (
        targets
        + settings.classes_weight * classes
        + settings.kept_weight * kept
        + settings.contrast_weight * contrast
    )
