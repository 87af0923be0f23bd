"""Training a recipe's network as its report did: plain Adam over shuffled batches.

The networks of the reports are trained as Keras and PyTorch tutorials do it, without what the
default model's own training adds (:mod:`recsys.classifier.train`). The caller drives it epoch by
epoch; every epoch draws its chance from the seed and its own number, so that on the CPU of one
machine a run that was killed and taken up again ends where an undisturbed one would have. On a
GPU sums are added in no fixed order, and bfloat16 is used where the machine computes in it, so
there, and on another machine, the last digits differ.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from recsys.classifier.precision import bfloat16_is_quick
from recsys.classifier.settings import EpochResult
from recsys.classifier.train import NAN_HINT
from recsys.errors import ModelError
from recsys.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    from torch import Tensor, nn

    from recsys.classifier.partial import PartialRun
    from recsys.classifier.recipes.recipe import Fitting
    from recsys.types import IdArray

BATCH = 64
"""Segments in one pass where nothing is learned."""

SAVE_EVERY_S = 10.0
"""Seconds of work that a kill may cost at least, so that quick epochs do not wait for the disk."""

SAVING_SHARE = 0.05
"""Share of the time that keeping the state may take: large networks are kept less often."""


@dataclass(frozen=True, slots=True)
class LabelledInputs:
    """Some of the segments in an array, which is large and so is not copied, and their genres.

    Attributes
    ----------
    inputs : ndarray of float16 or float32, shape (n, *shape)
    targets : ndarray of int64, shape (n,)
        Numbers of the genres.
    rows : ndarray of int64, shape (n_used,)
        Which segments are meant.
    """

    inputs: npt.NDArray[np.floating]
    targets: IdArray
    rows: IdArray

    def __len__(self) -> int:
        """Return the number of segments that are meant."""
        return len(self.rows)

    def batch(self, chosen: IdArray | slice) -> tuple[Tensor, Tensor]:
        """Return inputs as float32 and targets of some of the segments that are meant."""
        rows = self.rows[chosen]
        return torch.from_numpy(self.inputs[rows]).float(), torch.from_numpy(self.targets[rows])

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all that are meant, a few at a time and in their order."""
        for start in range(0, len(self), BATCH):
            yield self.batch(slice(start, start + BATCH))


class NetworkTraining:
    """A run that trains one network.

    Parameters
    ----------
    model : nn.Module
        With fresh weights; is trained in place.
    train : LabelledInputs
        To learn from.
    valid : LabelledInputs
        To watch, and to stop and choose by; may be empty.
    settings : Fitting
        How to train.
    seed : int
        Of everything random.
    partial : PartialRun
        Where the state is kept, and taken up from.
    device : torch.device
        Where to compute.
    keep_best : bool
        Keep the weights of the epoch with the lowest validation loss, not those of the last.
    """

    def __init__(
        self,
        model: nn.Module,
        train: LabelledInputs,
        valid: LabelledInputs,
        settings: Fitting,
        *,
        seed: int,
        partial: PartialRun,
        device: torch.device,
        keep_best: bool,
    ) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        self._settings = settings
        self._seed = seed
        self._device = device
        self._partial = partial
        self._model: Any = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._bfloat16 = bfloat16_is_quick(device)
        self._keep_best = keep_best and len(valid) > 0
        self._train = self._once(train)
        self._valid = self._once(valid)
        trainable = [p for p in model.parameters() if p.requires_grad]
        epsilon = 1e-7 if settings.framework == "keras" else 1e-8
        self._optimiser = torch.optim.Adam(trainable, lr=settings.learning_rate, eps=epsilon)
        self._plateau = (
            torch.optim.lr_scheduler.ReduceLROnPlateau(
                self._optimiser, factor=settings.plateau_factor, patience=settings.plateau_patience
            )
            if settings.plateau_factor and len(valid)
            else None
        )
        self._history: list[dict[str, Any]] = []
        self._best: dict[str, Tensor] = {}
        if (state := partial.read(device)) is not None:
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

        Raises
        ------
        ModelError
            If the loss is no longer a number.
        """
        saved, cost = time.monotonic(), 0.0
        while len(self._history) < self._settings.epochs and not self._is_exhausted():
            started = time.monotonic()
            loss, accuracy = self._train_epoch(len(self._history))
            valid_loss, valid_accuracy = self._validate()
            result = self._note(loss, accuracy, valid_loss, valid_accuracy, started)
            if time.monotonic() - saved >= max(SAVE_EVERY_S, cost / SAVING_SHARE):
                before = time.monotonic()
                self._save()
                saved = time.monotonic()
                cost = saved - before
            yield result

    def trained(self) -> nn.Module:
        """Return the network with the weights that the settings ask for, on the CPU.

        Raises
        ------
        ModelError
            If they are no longer numbers: the last step of all is followed by no loss that shows.
        """
        if self._keep_best and self._best:
            self._model.load_state_dict(self._best, strict=False)
        model: nn.Module = self._model.cpu().eval()
        if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
            raise ModelError(
                f"the weights became infinite or no numbers in epoch {len(self._history)}",
                NAN_HINT,
            )
        return model

    def _once(self, data: LabelledInputs) -> LabelledInputs:
        """Replace inputs by what the frozen part of the network makes of them, if it has one."""
        if not self._is_transfer or self._settings.augment or not len(data):
            return data
        self._model.eval()
        with torch.inference_mode():
            seen = [
                self._model.features(inputs.to(self._device)).cpu().numpy()
                for inputs, _ in data.chunks()
            ]
        return LabelledInputs(
            np.concatenate(seen), data.targets[data.rows], np.arange(len(data), dtype=np.int64)
        )

    @property
    def _is_transfer(self) -> bool:
        return hasattr(self._model, "from_features")

    def _forward(self, inputs: Tensor) -> Tensor:
        if self._is_transfer and not self._settings.augment:
            logits: Tensor = self._model.from_features(inputs)[0]
        else:
            logits = self._model(inputs)[0]
        return logits

    def _train_epoch(self, epoch: int) -> tuple[float, float]:
        """Return the mean loss and accuracy over the batches of one epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self._model.train()
        losses, right, seen = [], 0, 0
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(rng.integers(2**62)))
            for chosen in self._batches(rng):
                inputs, targets = self._train.batch(chosen)
                inputs, targets = inputs.to(self._device), targets.to(self._device)
                if self._settings.augment:
                    inputs = shift_and_zoom(inputs, generator)
                loss, logits = self._step(inputs, targets)
                losses.append(loss * len(chosen))
                right += int((logits.argmax(1) == targets).sum())
                seen += len(chosen)
        return float(np.sum(losses)) / seen, right / seen

    def _batches(self, rng: np.random.Generator) -> Iterator[IdArray]:
        """Shuffle the training set and cut it up; what is left over is left out if it is one."""
        n, batch = len(self._train), self._settings.batch
        steps = self._settings.steps_per_epoch or -(-n // batch)
        wanted = min(steps * batch, n) if self._settings.steps_per_epoch is None else steps * batch
        order = np.concatenate([rng.permutation(n) for _ in range(-(-wanted // n))])[:wanted]
        for start in range(0, wanted, batch):
            chosen = order[start : start + batch]
            if len(chosen) > 1 or 1 in (batch, wanted):
                yield chosen

    def _step(self, inputs: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            logits = self._forward(inputs)
        loss = self._loss(logits.float(), targets)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the training loss became {value} in epoch {len(self._history) + 1}",
                NAN_HINT,
            )
        if self._settings.l2:
            kernels = (p for p in self._model.parameters() if p.requires_grad and p.ndim >= 2)
            loss = loss + self._settings.l2 * sum(kernel.square().sum() for kernel in kernels)
        torch.autograd.backward(loss)
        self._optimiser.step()
        return value, logits.detach()

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self._settings.loss == "sigmoid":
            ones = functional.one_hot(targets, logits.shape[1]).float()
            return functional.binary_cross_entropy_with_logits(logits, ones)
        return functional.cross_entropy(logits, targets)

    def _validate(self) -> tuple[float | None, float | None]:
        """Return loss and accuracy over the validation segments, if there are any."""
        n = len(self._valid)
        if n == 0:
            return None, None
        self._model.eval()
        loss, right = 0.0, 0
        with torch.inference_mode():
            for inputs, targets in self._valid.chunks():
                logits = self._forward(inputs.to(self._device)).float().cpu()
                loss += float(self._loss(logits, targets)) * len(targets)
                right += int((logits.argmax(1) == targets).sum())
        return loss / n, right / n

    def _note(
        self,
        loss: float,
        accuracy: float,
        valid_loss: float | None,
        valid_accuracy: float | None,
        started: float,
    ) -> EpochResult:
        """Write an epoch into the history, and keep its weights if they are the best."""
        earlier = [entry["valid_loss"] for entry in self._history]
        is_best = valid_loss is None or valid_loss < min(earlier, default=math.inf)
        if valid_loss is not None:
            if is_best and self._keep_best:
                self._best = self._trained_state()
            if self._plateau is not None:
                self._plateau.step(valid_loss)
        result = EpochResult(
            epoch=len(self._history) + 1,
            epochs=self._settings.epochs,
            loss=loss,
            accuracy=accuracy,
            valid_loss=valid_loss,
            valid_accuracy=valid_accuracy,
            is_best=is_best,
            seconds=time.monotonic() - started,
        )
        self._history.append(asdict(result))
        return result

    def _trained_state(self) -> dict[str, Tensor]:
        """Copy all that training changes: frozen parts are large and stay as they are."""
        frozen = {name for name, p in self._model.named_parameters() if not p.requires_grad}
        state = self._model.state_dict()
        return {name: v.detach().clone() for name, v in state.items() if name not in frozen}

    def _is_exhausted(self) -> bool:
        """Whether the validation loss has not fallen for as many epochs as the report waits."""
        losses = [entry["valid_loss"] for entry in self._history]
        if self._settings.patience is None or not losses or losses[0] is None:
            return False
        return len(losses) - 1 - int(np.argmin(losses)) >= self._settings.patience

    def _save(self) -> None:
        self._partial.write(
            {
                "model": self._trained_state(),
                "optimiser": self._optimiser.state_dict(),
                "plateau": self._plateau.state_dict() if self._plateau else {},
                "best": self._best,
                "history": self._history,
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        self._model.load_state_dict(state["model"], strict=False)
        self._optimiser.load_state_dict(state["optimiser"])
        if self._plateau is not None:
            self._plateau.load_state_dict(state["plateau"])
        self._best = state["best"]
        self._history = state["history"]


def shift_and_zoom(pictures: Tensor, generator: torch.Generator, most: float = 0.1) -> Tensor:
    """Shift and zoom each picture by its own random amounts; edges are continued.

    Parameters
    ----------
    pictures : Tensor, shape (b, height, width)
    generator : torch.Generator
        Source of all chance, on the CPU.
    most : float
        Largest shift and change of size, as a share of the picture.

    Returns
    -------
    Tensor, same shape
    """
    drawn = torch.rand(len(pictures), 3, generator=generator) * 2 * most - most
    turn = torch.zeros(len(pictures), 2, 3)
    turn[:, 0, 0] = turn[:, 1, 1] = 1.0 + drawn[:, 0]
    # The grid runs from -1 to 1, so a shift by a share of the picture is twice that.
    turn[:, :, 2] = 2 * drawn[:, 1:]
    size = [len(pictures), 1, *pictures.shape[1:]]
    grid = functional.affine_grid(turn, size, align_corners=False).to(pictures.device)
    moved = functional.grid_sample(
        pictures.unsqueeze(1), grid, padding_mode="border", align_corners=False
    )
    return moved.squeeze(1)
