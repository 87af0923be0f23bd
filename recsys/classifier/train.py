"""Training: from labelled tracks to a model, reproducible and resumable.

The caller drives it epoch by epoch and shows what it likes::

    training = Training(train_examples, valid_tracks, labels, settings, partial_path)
    for result in training.epochs():
        ...
    model = training.best_model()
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from recsys.classifier.augment import augment, crop_length, mix
from recsys.classifier.calibrate import fit_temperature, negative_log_likelihood
from recsys.classifier.models import build_model
from recsys.classifier.outliers import make_outliers
from recsys.classifier.partial import PartialRun
from recsys.classifier.pooling import pooled_scores
from recsys.classifier.sampling import BalancedSampler
from recsys.classifier.settings import EpochResult, TrainSettings
from recsys.classifier.torch_network import TorchNetwork
from recsys.errors import ModelError
from recsys.features import MEL, LogMel
from recsys.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from recsys.classifier.datasets import Example, ValidTrack
    from recsys.types import IdArray


NAN_HINT = "Lower the learning rate, and look for damaged audio among the tracks."
"""What to do about a loss that is no number."""


class Training:
    """A training run, which goes on where an earlier one was interrupted.

    Parameters
    ----------
    examples : sequence of Example
        To learn from.
    valid : sequence of ValidTrack
        To choose the epoch by.
    labels : sequence of str
        Genres, in the order of the model's outputs.
    settings : TrainSettings
    partial : Path, optional
        Where the state is kept after every epoch; an existing file is taken up.
    device : torch.device
    features : LogMel
        What a window looks like.

    Raises
    ------
    ModelError
        If the partial file is damaged or belongs to another run.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        valid: Sequence[ValidTrack],
        labels: Sequence[str],
        settings: TrainSettings,
        partial: Path | None = None,
        device: torch.device | None = None,
        features: LogMel = MEL,
    ) -> None:
        self._settings = settings
        self._device = device or torch.device("cpu")
        if self._device.type == "cpu":
            keep_freed_memory()
        self._frames = features.frames
        self._labels = tuple(labels)
        self._sampler = BalancedSampler(examples, self._labels)
        self._outliers = (
            make_outliers(settings.outliers, settings.seed, features)
            if settings.outliers_per_batch > 0
            else None
        )
        self._valid = list(valid)
        places = {label: number for number, label in enumerate(self._labels)}
        self._truth: IdArray = np.asarray([places[t.genre] for t in valid], dtype=np.int64)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            model = build_model(
                settings.architecture, len(self._labels), features.shape, settings.config
            )
        self._model = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = AveragedModel(
            self._model, avg_fn=_moving_average(settings.average_decay), use_buffers=True
        )
        self._optimiser = torch.optim.AdamW(
            _parameter_groups(self._model, settings.weight_decay), lr=settings.learning_rate
        )
        self._history: list[dict[str, Any]] = []
        self._best: dict[str, Tensor] = {}
        tracks = [[example.key for example in examples], [track.key for track in valid]]
        self._partial = PartialRun(partial, [asdict(settings), self._labels, *tracks])
        if (state := self._partial.read(self._device)) is not None:
            self._resume(state)

    @property
    def history(self) -> tuple[EpochResult, ...]:
        """Results of all epochs so far, those before an interruption too."""
        return tuple(EpochResult(**entry) for entry in self._history)

    def epochs(self) -> Iterator[EpochResult]:
        """Train, and tell after each epoch.

        Yields
        ------
        EpochResult
            The state has been saved by then, so the caller may stop at any time.

        Raises
        ------
        ModelError
            If the loss is no longer a number.
        """
        while len(self._history) < self._settings.epochs and not self._is_exhausted():
            started = time.monotonic()
            loss = self._train_epoch(len(self._history))
            valid_loss, accuracy = self._validate()
            best = min((entry["valid_loss"] for entry in self._history), default=math.inf)
            if valid_loss < best:
                self._best = _copy_state(self._average.module)
            result = EpochResult(
                epoch=len(self._history) + 1,
                epochs=self._settings.epochs,
                loss=loss,
                valid_loss=valid_loss,
                valid_accuracy=accuracy,
                is_best=valid_loss < best,
                seconds=time.monotonic() - started,
            )
            self._history.append(asdict(result))
            self._save()
            yield result

    def best_model(self) -> nn.Module:
        """Return the averaged model of the best epoch, ready for inference, on the CPU."""
        model: nn.Module = self._average.module
        model.load_state_dict(self._best)
        return model.cpu().eval()

    def _is_exhausted(self) -> bool:
        """Whether the validation loss has stopped falling."""
        losses = [entry["valid_loss"] for entry in self._history]
        return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= self._settings.patience

    def _train_epoch(self, epoch: int) -> float:
        settings = self._settings
        rng = np.random.default_rng([settings.seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self._model.train()
        losses = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            for step in range(settings.steps_per_epoch):
                for group in self._optimiser.param_groups:
                    group["lr"] = self._learning_rate(epoch * settings.steps_per_epoch + step)
                losses.append(self._step(rng, generator))
        return float(np.mean(losses))

    def _learning_rate(self, step: int) -> float:
        """One cycle: a linear rise, then half a cosine down to a hundredth."""
        settings = self._settings
        place = (step + 1) / (settings.epochs * settings.steps_per_epoch)
        if place < settings.warm_up:
            return settings.learning_rate * place / settings.warm_up
        fall = (place - settings.warm_up) / (1.0 - settings.warm_up)
        return settings.learning_rate * (0.01 + 0.99 * (1.0 + math.cos(math.pi * fall)) / 2)

    def _step(self, rng: np.random.Generator, generator: torch.Generator) -> float:
        windows, targets = self._batch(rng, generator)
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._settings.bfloat16):
            logits, embedding = self._model(windows.flatten(0, 1))
        loss = self._loss(logits.float(), embedding.float(), targets)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the training loss became {value}",
                NAN_HINT,
            )
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 2.0)
        self._optimiser.step()
        self._average.update_parameters(self._model)
        return value

    def _batch(self, rng: np.random.Generator, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw, augment and mix two windows each of some tracks."""
        settings = self._settings
        length = crop_length(self._frames, settings.augmentation)
        drawn, genres = self._sampler.draw(rng, settings.batch, length)
        targets = functional.one_hot(torch.from_numpy(genres), len(self._labels)).float()
        if self._outliers is not None:
            count = settings.outliers_per_batch
            no_music = self._sampler.draw_outliers(self._outliers, rng, count, length)
            drawn = np.concatenate([drawn, no_music], axis=1)
            even = torch.full((count, len(self._labels)), 1.0 / len(self._labels))
            targets = torch.cat([targets, even])
        flat = torch.from_numpy(drawn).flatten(0, 1)
        changed = augment(flat, self._frames, settings.augmentation, generator)
        pairs = changed.reshape(2, len(targets), *changed.shape[1:])
        pairs, targets = mix(pairs, targets, settings.augmentation, rng)
        return pairs.to(self._device), targets.to(self._device)

    def _loss(self, logits: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of both windows, and the contrast between tracks."""
        settings = self._settings
        loss = functional.cross_entropy(
            logits, targets.repeat(2, 1), label_smoothing=settings.label_smoothing
        )
        if settings.contrast_weight > 0:
            contrast = contrastive_loss(embedding, settings.contrast_temperature)
            loss = loss + settings.contrast_weight * contrast
        return loss

    def _validate(self) -> tuple[float, float]:
        scores, _ = pooled_scores(
            TorchNetwork(self._average.module, self._device),
            [track.windows for track in self._valid],
        )
        temperature = fit_temperature(scores, self._truth)
        accuracy = float(np.mean(scores.argmax(axis=1) == self._truth))
        return negative_log_likelihood(scores, self._truth, temperature), accuracy

    def _save(self) -> None:
        self._partial.write(
            {
                "model": self._model.state_dict(),
                "average": self._average.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "best": self._best,
                "history": self._history,
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        self._model.load_state_dict(state["model"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._best = state["best"]
        self._history = state["history"]


def contrastive_loss(embedding: Tensor, temperature: float) -> Tensor:
    """Tell two windows of one track from those of all other tracks (NT-Xent).

    Parameters
    ----------
    embedding : Tensor, shape (2 * b, d)
        Row ``i`` and row ``i + b`` are the same track.
    temperature : float
        Of the cosines.

    Returns
    -------
    Tensor, scalar
    """
    unit = functional.normalize(embedding, dim=1)
    cosines = unit @ unit.T / temperature
    cosines = cosines.masked_fill(torch.eye(len(unit), dtype=torch.bool, device=unit.device), -1e4)
    partners = torch.arange(len(unit), device=unit.device).roll(len(unit) // 2)
    return functional.cross_entropy(cosines, partners)


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Average exponentially, over a shorter past while the steps are few."""

    def average(old: Tensor, new: Tensor, steps: Tensor | int) -> Tensor:
        if not old.is_floating_point():
            return new
        return torch.lerp(old, new, max(1.0 - decay, 10.0 / (10.0 + int(steps))))

    return average


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and kernels only; gains and shifts are left alone."""
    heavy = [p for p in model.parameters() if p.ndim >= 2]
    light = [p for p in model.parameters() if p.ndim < 2]
    return [
        {"params": heavy, "weight_decay": weight_decay},
        {"params": light, "weight_decay": 0.0},
    ]


def _copy_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
