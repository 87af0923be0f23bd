"""The one training loop: epochs over batches, resumable, with the state of the best epoch.

The caller drives it epoch by epoch::

    training = Training(model, Shuffled(train, settings), settings, seed=0, n_genres=10)
    for result in training.epochs():
        ...
    model = training.trained()

The same seed gives the same weights, interrupted or not; on the CPU they are bit-identical.
"""

from __future__ import annotations

import copy
import glob
import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.classifier.training.musicnn_torch import bfloat16_is_quick
from recsys.errors import ModelError
from recsys.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from recsys.types import IdArray

INFERENCE_BATCH = 64
"""Inputs in one forward pass without gradients."""

SAVE_EVERY_S = 10.0
"""Seconds of work that a kill may cost at least, so that quick epochs do not wait for the disk."""

SAVING_SHARE = 0.05
"""Share of the time that saving may take: the state of large networks is saved less often."""

WARM_UP = 0.1
"""Share of the steps of a cycle in which the learning rate rises."""

NAN_HINT = "Lower the learning rate, and look for damaged audio among the tracks."
"""What to do about a loss that is not finite."""


class Loss(StrEnum):
    """``softmax``: one genre a track; ``sigmoid``: each genre on its own."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


class Schedule(StrEnum):
    """``constant``, or ``cycle``: a linear rise, then half a cosine down to 0."""

    CONSTANT = "constant"
    CYCLE = "cycle"


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a network is trained; the names are those of PyTorch."""

    epochs: int  # at most
    batch: int = 32  # inputs
    steps_per_epoch: int | None = None  # None for one pass over the training set
    learning_rate: float = 1e-3
    epsilon: float = 1e-8
    weight_decay: float = 0.0  # of AdamW; without decay it is Adam
    schedule: Schedule = Schedule.CONSTANT  # of the learning rate, over all steps
    plateau_factor: float | None = None  # of the learning rate, where the validation loss
    plateau_patience: int = 5  # has not fallen for more than so many epochs
    patience: int | None = None  # epochs without a lower validation loss before training stops
    l2: float = 0.0  # weight of the sum of squares of all kernels in the loss
    loss: Loss = Loss.SOFTMAX
    label_smoothing: float = 0.0  # probability spread over all genres
    mixup: float = 0.0  # of the Beta distribution (Zhang et al., arXiv:1710.09412); 0 for none
    average_decay: float | None = None  # of the mean of the weights, which is validated and kept
    augment: bool = False  # shift and zoom inputs (height, width) at random, by up to a tenth
    keep_best: bool = False  # the weights of the lowest validation loss, not the last ones


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Figures of one epoch."""

    epoch: int  # from 1
    epochs: int  # at most
    loss: float  # mean over the training batches
    valid_loss: float | None  # None without validation inputs
    valid_accuracy: float | None
    is_best: bool  # lowest validation loss so far
    seconds: float
    accuracy: float | None = None  # on the training batches; None where inputs are mixed


def history_entries(history: Sequence[EpochResult]) -> list[dict[str, Any]]:
    """Return the epochs as model cards keep them, for learning curves."""
    kept = ("epoch", "loss", "accuracy", "valid_loss", "valid_accuracy")
    return [{name: getattr(entry, name) for name in kept} for entry in history]


# The training data.


class Batches(Protocol):
    """Source of the training batches."""

    def epoch(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (b, *shape) of float32 and targets (b,) of int64 for one epoch."""


@dataclass(frozen=True, slots=True)
class LabelledInputs:
    """Some rows of an array, which is large and so is not copied, and their genres."""

    inputs: npt.NDArray[np.floating]  # (n, *shape), float16 or float32
    targets: IdArray  # (n,): genre ids
    rows: IdArray  # (n_used,): rows in use

    def __len__(self) -> int:
        """Return the number of rows in use."""
        return len(self.rows)

    def batch(self, chosen: IdArray | slice) -> tuple[Tensor, Tensor]:
        """Return inputs as float32 and targets of some of the rows."""
        rows = self.rows[chosen]
        return torch.from_numpy(self.inputs[rows]).float(), torch.from_numpy(self.targets[rows])

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all rows in order, a few at a time."""
        for start in range(0, len(self), INFERENCE_BATCH):
            yield self.batch(slice(start, start + INFERENCE_BATCH))


class Shuffled:
    """Batches of a shuffled training set; a last one of a single input is left out."""

    def __init__(self, data: LabelledInputs, settings: TrainingSettings) -> None:
        self._data = data
        self._settings = settings

    def epoch(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """See :meth:`Batches.epoch`."""
        n, batch, steps = len(self._data), self._settings.batch, self._settings.steps_per_epoch
        wanted = n if steps is None else steps * batch
        order = np.concatenate([rng.permutation(n) for _ in range(-(-wanted // n))])[:wanted]
        for start in range(0, wanted, batch):
            chosen = order[start : start + batch]
            # Batch normalisation cannot train on one input.
            if len(chosen) > 1 or 1 in (batch, wanted):
                yield self._data.batch(chosen)


def shift_and_zoom(inputs: Tensor, generator: torch.Generator, most: float = 0.1) -> Tensor:
    """Shift and zoom each input (b, height, width) at random; edges are continued.

    `most` is the largest shift and change of size, as a share of the side. The generator is on the
    CPU, so that a seed draws the same on every device.
    """
    drawn = torch.rand(len(inputs), 3, generator=generator) * 2 * most - most
    turn = torch.zeros(len(inputs), 2, 3)
    turn[:, 0, 0] = turn[:, 1, 1] = 1.0 + drawn[:, 0]
    # The grid runs from -1 to 1, so a shift by a share of the side is twice that.
    turn[:, :, 2] = 2 * drawn[:, 1:]
    size = [len(inputs), 1, *inputs.shape[1:]]
    grid = functional.affine_grid(turn, size, align_corners=False).to(inputs.device)
    moved = functional.grid_sample(
        inputs.unsqueeze(1), grid, padding_mode="border", align_corners=False
    )
    return moved.squeeze(1)


def mix(
    inputs: Tensor, targets: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mix inputs and one-hot targets with a smaller share of those of a random partner."""
    drawn = rng.beta(alpha, alpha, len(inputs))
    ratio = torch.from_numpy(np.maximum(drawn, 1 - drawn).astype(np.float32)).to(inputs.device)
    partner = torch.from_numpy(rng.permutation(len(inputs)))
    of_inputs = ratio.reshape(-1, *(1,) * (inputs.ndim - 1))
    mixed = torch.lerp(inputs[partner], inputs, of_inputs)
    return mixed, torch.lerp(targets[partner], targets, ratio[:, None])


# The loop.


class Training:
    """A run that trains one network in place, from the weights that it has.

    Parameters
    ----------
    model : nn.Module
    train : Batches
    settings : TrainingSettings
    seed : int
        Of everything random.
    n_genres : int
    valid : LabelledInputs, optional
        For early stopping and the choice of the best epoch; may be empty.
    partial : PartialRun, optional
        Where the state is saved, and resumed from.
    device : torch.device, optional
        The CPU if None.
    forward : callable, optional
        Maps inputs to logits; the first output of the model if None.
    groups : list of dict, optional
        Parameter groups of the optimiser; everything that requires a gradient if None.
    save_finished : bool
        Save the state of the last epoch as well, so that a finished run is not repeated.

    Raises
    ------
    ModelError
        If the partial state is damaged or belongs to another run.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Batches,
        settings: TrainingSettings,
        *,
        seed: int,
        n_genres: int,
        valid: LabelledInputs | None = None,
        partial: PartialRun | None = None,
        device: torch.device | None = None,
        forward: Callable[[nn.Module, Tensor], Tensor] | None = None,
        groups: list[dict[str, Any]] | None = None,
        save_finished: bool = False,
    ) -> None:
        self._device = device or torch.device("cpu")
        if self._device.type == "cpu":
            # Every step frees and asks for the same large blocks; the kernel would clear them.
            keep_freed_memory()
        self._model: Any = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._train = train
        self._valid = valid if valid is not None and len(valid) else None
        self._settings = settings
        self._seed = seed
        self._n_genres = n_genres
        self._partial = partial or PartialRun(None, None)
        self._forward = forward or (lambda network, inputs: network(inputs)[0])
        self._bfloat16 = bfloat16_is_quick(self._device)
        self._optimiser = torch.optim.AdamW(
            groups or [{"params": [p for p in model.parameters() if p.requires_grad]}],
            lr=settings.learning_rate,
            eps=settings.epsilon,
            weight_decay=settings.weight_decay,
        )
        self._rates = [float(group["lr"]) for group in self._optimiser.param_groups]
        self._plateau = (
            torch.optim.lr_scheduler.ReduceLROnPlateau(
                self._optimiser, factor=settings.plateau_factor, patience=settings.plateau_patience
            )
            if settings.plateau_factor and self._valid
            else None
        )
        self._average = copy.deepcopy(self._model) if settings.average_decay else None
        self._history: list[EpochResult] = []
        self._best: dict[str, Tensor] = {}
        self._steps = 0
        self._save_finished = save_finished
        if (state := self._partial.read(self._device)) is not None:
            self._resume(state)

    @property
    def history(self) -> tuple[EpochResult, ...]:
        """Results of all epochs so far, those before an interruption too."""
        return tuple(self._history)

    def epochs(self) -> Iterator[EpochResult]:
        """Train, and yield the result of each epoch; raise ModelError if the loss is not finite."""
        saved, cost, behind = time.monotonic(), 0.0, False
        while len(self._history) < self._settings.epochs and not self._is_exhausted():
            started = time.monotonic()
            loss, accuracy = self._train_epoch(len(self._history))
            valid_loss, valid_accuracy = self._validate()
            result = EpochResult(
                epoch=len(self._history) + 1,
                epochs=self._settings.epochs,
                loss=loss,
                accuracy=accuracy,
                valid_loss=valid_loss,
                valid_accuracy=valid_accuracy,
                is_best=self._is_best(valid_loss),
                seconds=time.monotonic() - started,
            )
            self._record(result)
            behind = time.monotonic() - saved < max(SAVE_EVERY_S, cost / SAVING_SHARE)
            if not behind:
                before = time.monotonic()
                self._save()
                saved = time.monotonic()
                cost = saved - before
            # Only now: the caller may stop here, and resume from the state just saved.
            yield result
        if behind and self._save_finished:
            self._save()

    def trained(self) -> nn.Module:
        """Return the network with the weights that the settings ask for, on the CPU.

        Raises ModelError if they are not finite: no loss follows the last step and shows it.
        """
        kept = self._average or self._model
        if self._settings.keep_best and self._best:
            kept.load_state_dict(self._best, strict=False)
        model: nn.Module = kept.cpu().eval()
        if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
            raise ModelError(
                f"the weights became infinite or no numbers in epoch {len(self._history)}",
                NAN_HINT,
            )
        return model

    def _train_epoch(self, epoch: int) -> tuple[float, float | None]:
        """Return the mean loss and accuracy over the batches of one epoch."""
        # Seeds of its own, so that a resumed run draws what an uninterrupted one would have drawn.
        rng = np.random.default_rng([self._seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self._model.train()
        losses, right, seen = [], 0, 0
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(rng.integers(2**62)))
            for cpu_inputs, cpu_targets in self._train.epoch(rng):
                inputs, targets = cpu_inputs.to(self._device), cpu_targets.to(self._device)
                if self._settings.augment:
                    inputs = shift_and_zoom(inputs, generator)
                if self._settings.mixup:
                    targets = functional.one_hot(targets, self._n_genres).float()
                    inputs, targets = mix(inputs, targets, self._settings.mixup, rng)
                loss, logits = self._step(inputs, targets)
                losses.append(loss * len(inputs))
                seen += len(inputs)
                if not self._settings.mixup:
                    right += int((logits.argmax(1) == targets).sum())
        return float(np.sum(losses)) / seen, None if self._settings.mixup else right / seen

    def _step(self, inputs: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        settings = self._settings
        self._optimiser.zero_grad(set_to_none=True)
        # The loss is computed in 32 bits: bfloat16 has three digits.
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            logits = self._forward(self._model, inputs)
        loss = self._loss(logits.float(), targets, settings.label_smoothing)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the training loss became {value} in epoch {len(self._history) + 1}",
                NAN_HINT,
            )
        if settings.l2:
            kernels = (p for p in self._model.parameters() if p.requires_grad and p.ndim >= 2)
            loss = loss + settings.l2 * sum(kernel.square().sum() for kernel in kernels)
        torch.autograd.backward(loss)
        if settings.schedule == Schedule.CYCLE:
            for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
                group["lr"] = rate * self._cycle()
        self._optimiser.step()
        self._follow()
        self._steps += 1
        return value, logits.detach()

    def _cycle(self) -> float:
        """Return the share of the learning rate in this step."""
        settings = self._settings
        if settings.steps_per_epoch is None:
            raise ValueError("a cycle needs steps_per_epoch")
        steps = settings.epochs * settings.steps_per_epoch
        rising = min(1.0, (self._steps + 1) / max(1.0, WARM_UP * steps))
        return rising * 0.5 * (1.0 + math.cos(math.pi * self._steps / steps))

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the running average towards the current weights, over a shorter past at first."""
        decay = self._settings.average_decay
        if self._average is None or decay is None:
            return
        share = 1.0 - min(decay, (1 + self._steps) / (10 + self._steps))
        averages, present = self._average.state_dict(), self._model.state_dict()
        for mean, value in zip(averages.values(), present.values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, share)
            else:
                mean.copy_(value)

    def _loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        if self._settings.loss == Loss.SIGMOID:
            wanted = targets
            if targets.ndim == 1:
                wanted = functional.one_hot(targets, logits.shape[1]).float()
            return functional.binary_cross_entropy_with_logits(logits, wanted)
        return functional.cross_entropy(logits, targets, label_smoothing=smoothing)

    def _validate(self) -> tuple[float | None, float | None]:
        """Return loss and accuracy over the validation inputs, if there are any."""
        if self._valid is None:
            return None, None
        network = self._average or self._model
        network.eval()
        loss, right = 0.0, 0
        with torch.inference_mode():
            for inputs, targets in self._valid.chunks():
                logits = self._forward(network, inputs.to(self._device)).float().cpu()
                loss += float(self._loss(logits, targets)) * len(targets)
                right += int((logits.argmax(1) == targets).sum())
        return loss / len(self._valid), right / len(self._valid)

    def _is_best(self, valid_loss: float | None) -> bool:
        earlier = [r.valid_loss for r in self._history if r.valid_loss is not None]
        return valid_loss is None or valid_loss < min(earlier, default=math.inf)

    def _record(self, result: EpochResult) -> None:
        """Append an epoch to the history, and keep its weights if they are the best."""
        self._history.append(result)
        if result.valid_loss is None:
            return
        if result.is_best and self._settings.keep_best:
            self._best = _trained_state(self._average or self._model)
        if self._plateau is not None:
            self._plateau.step(result.valid_loss)

    def _is_exhausted(self) -> bool:
        """Return whether the validation loss has not fallen for `patience` epochs."""
        losses = [r.valid_loss for r in self._history if r.valid_loss is not None]
        if self._settings.patience is None or not losses:
            return False
        return len(losses) - 1 - int(np.argmin(losses)) >= self._settings.patience

    def _save(self) -> None:
        self._partial.write(
            {
                "model": _trained_state(self._model),
                "average": self._average.state_dict() if self._average else {},
                "optimiser": self._optimiser.state_dict(),
                "plateau": self._plateau.state_dict() if self._plateau else {},
                "best": self._best,
                "history": [asdict(result) for result in self._history],
                "steps": self._steps,
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        self._model.load_state_dict(state["model"], strict=False)
        self._optimiser.load_state_dict(state["optimiser"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if self._plateau is not None:
            self._plateau.load_state_dict(state["plateau"])
        self._best = state["best"]
        self._history = [EpochResult(**entry) for entry in state["history"]]
        self._steps = state["steps"]


def _trained_state(model: nn.Module) -> dict[str, Tensor]:
    """Copy everything that training changes; frozen parts are large, and unchanged."""
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    state = model.state_dict()
    return {name: v.detach().clone() for name, v in state.items() if name not in frozen}


# The state of an interrupted run, in a file.

PARTIAL_VERSION = 1


def partial_path(out: Path, number: int = 0) -> Path:
    """Return where the state of an interrupted training is saved, one file per network."""
    return out.with_name(f"{out.name}.partial{f'.{number}' if number else ''}.pt")


def forget_partial(out: Path) -> None:
    """Delete the saved states of a complete model."""
    for path in out.parent.glob(f"{glob.escape(out.name)}.partial*.pt*"):
        path.unlink(missing_ok=True)


class PartialRun:
    """The file from which an interrupted run resumes; a path of None saves nothing.

    The identity holds everything that determines the outcome except the audio, ready for JSON; a
    state with another identity belongs to another run.
    """

    def __init__(self, path: Path | None, identity: object) -> None:
        self._path = path
        text = json.dumps(identity, sort_keys=True, default=_plain)
        self._signature = hashlib.sha256(text.encode()).hexdigest()

    def read(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state of an earlier run with its tensors on a device, None without one.

        Raises ModelError if the file is damaged or belongs to another run.
        """
        if self._path is None or not self._path.exists():
            return None
        hint = f"Delete {self._path} to start again."
        try:
            state: dict[str, Any] = torch.load(self._path, map_location=device, weights_only=True)
            known = state.pop("version"), state.pop("signature")
        except Exception as error:  # whatever PyTorch, zip files and pickles raise
            raise ModelError(f"the interrupted training {self._path} is damaged", hint) from error
        if known != (PARTIAL_VERSION, self._signature):
            raise ModelError(
                f"{self._path} belongs to a run with other settings or other tracks",
                f"Use the same ones to resume. {hint}",
            )
        return state

    def write(self, state: Mapping[str, Any]) -> None:
        """Save a state of tensors and plain values atomically; raise ModelError if it cannot be."""
        if self._path is None:
            return
        whole = {**state, "version": PARTIAL_VERSION, "signature": self._signature}
        try:
            # Under a fixed name, so that forget_partial finds what a kill has left.
            torch.save(whole, _temporary(self._path))
            _temporary(self._path).replace(self._path)
        except (OSError, RuntimeError) as error:
            raise ModelError(
                f"the state of the training cannot be written to {self._path}: {error}",
                "Free some space, or choose a folder that is writable.",
            ) from error


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
