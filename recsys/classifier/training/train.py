"""Training: from labelled tracks to a model, reproducible and resumable.

The caller drives it epoch by epoch and shows what it likes::

    training = Training(train_examples, valid_tracks, labels, settings, partial_path)
    for result in training.epochs():
        ...
    model = training.best_model()
"""

from __future__ import annotations

import math
import platform
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from recsys.classifier.calibrate import (
    Float64Array,
    fit_temperature,
    fit_thresholds,
    labels_to_numbers,
    negative_log_likelihood,
    smoothed_confusion,
    softmax,
)
from recsys.classifier.card import ModelCard
from recsys.classifier.inference import pooled_scores
from recsys.classifier.log_mel import MEL, LogMel
from recsys.classifier.training.architectures import TorchNetwork, build_model, complete_config
from recsys.classifier.training.datasets import restore
from recsys.classifier.training.evaluate import as_dict, score
from recsys.classifier.training.outliers import make_outliers
from recsys.classifier.training.partial import PartialRun
from recsys.errors import ModelError
from recsys.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Generator, Tensor, nn

    from recsys.classifier.training.datasets import Example, Pieces, ValidTrack
    from recsys.classifier.training.prepare import TrainingData
    from recsys.types import FloatArray, IdArray

# What happens to log-mel windows in training, so that the model learns music and not masters.


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How strongly training windows are changed.

    Attributes
    ----------
    stretch : float
        Greatest change of speed: 0.15 means 0.85 to 1.15.
    mel_shift : float
        Greatest shift up or down the mel axis, bands (a transposition).
    tilt : float
        Greatest gain at either end of the spectrum, standard deviations of the picture.
    equaliser : float
        Standard deviation of a smooth random gain curve, same unit.
    low_pass, high_pass : float
        Share of the windows whose treble or bass is cut off.
    style : float
        Share of the windows that take over part of another's mean and deviation per mel band
        (Freq-MixStyle, Schmid et al., DCASE 2022): other microphones, rooms and masters.
    noise : float
        Greatest standard deviation of added noise.
    time_masks, mel_masks : int
        Number of masked stripes (SpecAugment, Park et al., arXiv:1904.08779).
    time_mask, mel_mask : int
        Greatest width of a stripe, frames and bands.
    mixup : float
        Parameter of the Beta distribution for mixing windows (Zhang et al.,
        arXiv:1710.09412); 0 leaves them unmixed.
    """

    stretch: float = 0.15
    mel_shift: float = 4.0
    tilt: float = 0.5
    equaliser: float = 0.15
    low_pass: float = 0.35
    high_pass: float = 0.1
    style: float = 0.1
    noise: float = 0.15
    time_masks: int = 2
    mel_masks: int = 2
    time_mask: int = 20
    mel_mask: int = 14
    mixup: float = 0.3


def uniform(generator: Generator, low: float, high: float, *shape: int) -> Tensor:
    """Draw float32 values from ``[low, high)``."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def augment(
    windows: Tensor, frames: int, settings: AugmentSettings, generator: Generator
) -> Tensor:
    """Change windows at random: speed, pitch, spectrum, noise, masks.

    Parameters
    ----------
    windows : Tensor, shape (b, n_mels, longer)
        Standardised log-mel; `longer` leaves room for a quicker reading, see
        :func:`crop_length`.
    frames : int
        Frames to return.
    settings : AugmentSettings
        How strongly.
    generator : torch.Generator
        Source of all chance.

    Returns
    -------
    Tensor of float32, shape (b, n_mels, frames)
    """
    out = stretch_and_shift(windows, frames, settings, generator)
    out = colour(out, settings, generator)
    out = mix_style(out, settings.style, generator)
    level = uniform(generator, 0.0, settings.noise, out.shape[0], 1, 1)
    out = out + level * torch.randn(out.shape, generator=generator)
    return mask(out, settings, generator)


def crop_length(frames: int, settings: AugmentSettings) -> int:
    """Return how many frames must be read so that the quickest speed fills a window."""
    return math.ceil(frames * (1.0 + settings.stretch))


def stretch_and_shift(
    windows: Tensor, frames: int, settings: AugmentSettings, generator: Generator
) -> Tensor:
    """Resample the picture: another speed, another pitch; the edges are repeated."""
    batch, mels, longer = windows.shape
    speed = uniform(generator, 1.0 - settings.stretch, 1.0 + settings.stretch, batch)
    shift = uniform(generator, -settings.mel_shift, settings.mel_shift, batch)
    theta = torch.zeros(batch, 2, 3)
    theta[:, 0, 0] = speed * frames / longer
    theta[:, 0, 2] = theta[:, 0, 0] - 1.0
    theta[:, 1, 1] = 1.0
    theta[:, 1, 2] = 2.0 * shift / mels
    grid = functional.affine_grid(theta, [batch, 1, mels, frames], align_corners=False)
    return functional.grid_sample(
        windows.unsqueeze(1), grid, padding_mode="border", align_corners=False
    ).squeeze(1)


def colour(windows: Tensor, settings: AugmentSettings, generator: Generator) -> Tensor:
    """Tilt, equalise and cut the spectrum, then restore each window's mean and deviation."""
    batch, mels, _ = windows.shape
    axis = torch.linspace(-1.0, 1.0, mels)
    gain = uniform(generator, -settings.tilt, settings.tilt, batch, 1) * axis
    points = settings.equaliser * torch.randn((batch, 1, 8), generator=generator)
    gain = gain + functional.interpolate(
        points, size=mels, mode="linear", align_corners=True
    ).squeeze(1)
    treble = uniform(generator, 0.2, 1.0, batch, 1)
    bass = uniform(generator, -1.0, -0.85, batch, 1)
    cut = (axis > treble) & (uniform(generator, 0, 1, batch, 1) < settings.low_pass)
    cut |= (axis < bass) & (uniform(generator, 0, 1, batch, 1) < settings.high_pass)
    gain = torch.where(cut, gain - 4.0, gain)
    floor = windows.amin((1, 2), keepdim=True)
    changed = torch.maximum(windows + gain.unsqueeze(2), floor)
    before = torch.std_mean(windows, (1, 2), keepdim=True)
    after = torch.std_mean(changed, (1, 2), keepdim=True)
    return (changed - after[1]) / after[0].clamp_min(1e-3) * before[0] + before[1]


def mix_style(windows: Tensor, share: float, generator: Generator) -> Tensor:
    """Move some windows' mean and deviation per mel band towards those of another window.

    Parameters
    ----------
    windows : Tensor, shape (b, n_mels, frames)
        Standardised log-mel.
    share : float
        How many of the windows, in [0, 1].
    generator : torch.Generator
        Source of all chance.

    Returns
    -------
    Tensor, same shape
    """
    batch = windows.shape[0]
    chosen = uniform(generator, 0, 1, batch, 1, 1) < share
    weight = uniform(generator, 0, 1, batch, 1, 1) * chosen
    partner = torch.randperm(batch, generator=generator)
    deviation, mean = torch.std_mean(windows, 2, keepdim=True)
    deviation = deviation.clamp_min(1e-2)
    new_mean = torch.lerp(mean, mean[partner], weight)
    new_deviation = torch.lerp(deviation, deviation[partner], weight)
    return (windows - mean) / deviation * new_deviation + new_mean


def mask(windows: Tensor, settings: AugmentSettings, generator: Generator) -> Tensor:
    """Set random stripes of time and of frequency to the mean, which is 0."""
    batch, mels, frames = windows.shape
    keep = torch.ones(batch, mels, frames, dtype=torch.bool)
    keep &= ~_stripes(batch, frames, settings.time_masks, settings.time_mask, generator)[:, None]
    keep &= ~_stripes(batch, mels, settings.mel_masks, settings.mel_mask, generator)[:, :, None]
    return windows * keep


def _stripes(batch: int, length: int, count: int, widest: int, generator: Generator) -> Tensor:
    """Mark `count` random stripes in each row of a (batch, length) mask."""
    place = torch.arange(length)
    marked = torch.zeros(batch, length, dtype=torch.bool)
    for _ in range(count):
        width = uniform(generator, 0, widest, batch, 1)
        start = uniform(generator, 0, length, batch, 1) - width / 2
        marked |= (place >= start) & (place < start + width)
    return marked


def mix(
    windows: Tensor, targets: Tensor, settings: AugmentSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Blend pairs of windows with other pairs, and their targets likewise.

    Parameters
    ----------
    windows : Tensor, shape (2, b, n_mels, frames)
        Two readings of each of b tracks; both are blended with the same partner in the same
        ratio, so that they still belong together.
    targets : Tensor, shape (b, n_genres)
        Rows sum to 1.
    settings : AugmentSettings
        ``mixup`` is used.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    windows, targets : Tensor
        Same shapes.
    """
    if settings.mixup <= 0:
        return windows, targets
    batch = targets.shape[0]
    drawn = rng.beta(settings.mixup, settings.mixup, batch)
    share = torch.from_numpy(np.maximum(drawn, 1 - drawn).astype(np.float32))
    partner = torch.from_numpy(rng.permutation(batch))
    ratio = share[:, None, None]
    blended = windows * ratio + windows[:, partner] * (1 - ratio)
    return blended, targets * share[:, None] + targets[partner] * (1 - share[:, None])


# What decides a training run, and what each epoch of it brings.


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that decides what training does, beside the data.

    Attributes
    ----------
    architecture : str
        A key of ``ARCHITECTURES``.
    config : mapping
        Further arguments of the architecture.
    epochs : int
        At most; the learning rate follows one cycle over all of them.
    steps_per_epoch : int
        Batches in an epoch.
    batch : int
        Tracks in a batch, two windows of each.
    learning_rate, weight_decay : float
        Of AdamW, at the peak of the cycle.
    warm_up : float
        Share of all steps in which the learning rate rises.
    label_smoothing : float
        Probability spread over all genres.
    contrast_weight, contrast_temperature : float
        Of the loss that keeps two windows of a track together and different tracks apart
        (NT-Xent, Chen et al., arXiv:2002.05709); it keeps the embedding from shrinking to the
        labels.
    average_decay : float
        Of the running average of the weights, which is what is validated and kept.
    patience : int
        Epochs without improvement on validation after which training stops.
    seed : int
        Of everything random.
    augmentation : AugmentSettings
        How windows are changed.
    outliers : int
        Sounds that are no music, synthesised for every genre to be denied; see
        :mod:`recsys.classifier.training.outliers`.
    outliers_per_batch : int
        How many of them are in each batch.
    bfloat16 : bool
        Compute in bfloat16 where it is safe: about twice as fast on processors that have it.
    """

    architecture: str = "cnn-lstm"
    config: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 32
    steps_per_epoch: int = 64
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.1
    label_smoothing: float = 0.1
    contrast_weight: float = 0.2
    contrast_temperature: float = 0.2
    average_decay: float = 0.995
    patience: int = 20
    seed: int = 0
    augmentation: AugmentSettings = field(default_factory=AugmentSettings)
    outliers: int = 150
    outliers_per_batch: int = 3
    bfloat16: bool = False


def scaled_to(settings: TrainSettings, n_tracks: int) -> TrainSettings:
    """Shorten the epochs where there are few tracks: each is heard some five times in one."""
    return replace(
        settings,
        steps_per_epoch=min(settings.steps_per_epoch, max(4, 5 * n_tracks // settings.batch)),
        outliers=min(settings.outliers, max(10, n_tracks)),
    )


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What one epoch brought.

    Attributes
    ----------
    epoch, epochs : int
        Number, from 1, and the most there can be.
    loss : float
        Mean training loss.
    valid_loss : float or None
        Negative log-likelihood on validation; None where there is none. The default model's is
        of whole tracks, at the best temperature; a recipe's is of segments.
    valid_accuracy : float or None
        Share of the validation tracks, or of a recipe's validation segments, given their genre.
    is_best : bool
        The validation loss is the lowest so far.
    seconds : float
        How long it took.
    accuracy : float or None
        On training, while it went on; None where the targets are blends of genres.
    """

    epoch: int
    epochs: int
    loss: float
    valid_loss: float | None
    valid_accuracy: float | None
    is_best: bool
    seconds: float
    accuracy: float | None = None


# Which windows training looks at: genres in equal shares, whatever their number of tracks.


class BalancedSampler:
    """Draws windows: a genre, then one of its tracks, then a view, then a place in it.

    Parameters
    ----------
    examples : sequence of Example
        At least one for every label.
    labels : sequence of str
        Genres in the order of the model's outputs.
    """

    def __init__(self, examples: Sequence[Example], labels: Sequence[str]) -> None:
        self._examples = list(examples)
        self._of_genre = [
            [number for number, example in enumerate(self._examples) if example.genre == label]
            for label in labels
        ]

    def draw(self, rng: np.random.Generator, batch: int, frames: int) -> tuple[FloatArray, IdArray]:
        """Draw two windows each of `batch` tracks, no track twice while there are enough.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of chance.
        batch : int
            Number of tracks.
        frames : int
            Length of a window, frames; shorter pieces are repeated.

        Returns
        -------
        windows : ndarray of float32, shape (2, batch, n_mels, frames)
        targets : ndarray of int64, shape (batch,)
            Number of the genre.
        """
        genres = np.resize(rng.permutation(len(self._of_genre)), batch)
        waiting: dict[int, list[int]] = {}
        pairs, targets = [], []
        for genre in genres:
            queue = waiting.setdefault(int(genre), [])
            if not queue:
                queue += rng.permutation(self._of_genre[genre]).tolist()
            example = self._examples[queue.pop()]
            pairs.append([self._window(example.views, rng, frames) for _ in range(2)])
            targets.append(genre)
        return restore(np.asarray(pairs).swapaxes(0, 1)), np.asarray(targets, dtype=np.int64)

    def draw_outliers(
        self, outliers: Pieces, rng: np.random.Generator, count: int, frames: int
    ) -> FloatArray:
        """Draw two windows each of `count` sounds that are no music.

        Parameters
        ----------
        outliers : ndarray of int8, shape (n, n_mels, longer)
            See :func:`recsys.classifier.training.outliers.make_outliers`.
        rng, count, frames
            As in :meth:`draw`.

        Returns
        -------
        ndarray of float32, shape (2, count, n_mels, frames)
        """
        chosen = rng.choice(len(outliers), count, replace=False)
        pairs = [
            [self._window((outliers[number][np.newaxis],), rng, frames) for _ in range(2)]
            for number in chosen
        ]
        return restore(np.asarray(pairs).swapaxes(0, 1))

    @staticmethod
    def _window(views: Sequence[Pieces], rng: np.random.Generator, frames: int) -> Pieces:
        """Cut a window out of a view; longer views are the likelier, by the root of length."""
        weights = np.sqrt([view.shape[0] * view.shape[2] for view in views])
        view = views[rng.choice(len(views), p=weights / weights.sum())]
        piece: Pieces = view[rng.integers(len(view))]
        length = piece.shape[1]
        start = int(rng.integers(length - frames + 1 if length >= frames else length))
        window: Pieces = piece.take(np.arange(start, start + frames), axis=1, mode="wrap")
        return window


# The last step of training: calibrate on the held-out tracks, measure, and write the card.


def make_card(
    model: nn.Module,
    data: TrainingData,
    settings: TrainSettings,
    features: LogMel,
    *,
    name: str,
    history: tuple[EpochResult, ...] = (),
    notes: dict[str, Any] | None = None,
) -> ModelCard:
    """Calibrate a trained model and describe it.

    Parameters
    ----------
    model : nn.Module
        On the CPU.
    data : TrainingData
        Its held-out tracks are used.
    settings : TrainSettings
        How it was trained.
    features : LogMel
        What a window looks like.
    name : str
        For people.
    history : tuple of EpochResult
        Of the training.
    notes : dict, optional
        More for the card's ``training`` part.

    Returns
    -------
    ModelCard
        Without a fingerprint, which :func:`recsys.classifier.card.save_model` adds.
    """
    logits, embeddings = pooled_scores(
        TorchNetwork(model, torch.device("cpu")), [track.windows for track in data.valid]
    )
    truth = labels_to_numbers([track.genre for track in data.valid], data.labels)
    temperature = fit_temperature(logits, truth)
    probabilities = softmax(logits, temperature)
    thresholds = fit_thresholds(probabilities, truth)
    confusion = smoothed_confusion(probabilities.argmax(axis=1), truth, len(data.labels))
    return ModelCard(
        name=name,
        architecture=settings.architecture,
        config=complete_config(settings.architecture, settings.config),
        labels=data.labels,
        features=features,
        dimension=embeddings.shape[1],
        temperature=temperature,
        thresholds=thresholds,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        training={
            **(notes or {}),
            "tracks": {label: _count(data, label) for label in data.labels},
            "held_out": len(data.valid),
            "split": data.split,
            "seed": settings.seed,
            "settings": asdict(settings),
            "epochs_run": len(history),
            "history": history_entries(history),
            "best_epoch": max((entry.epoch for entry in history if entry.is_best), default=0),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        metrics={
            **_metrics(probabilities, truth, data),
            "median_cosine_between_tracks": _median_cosine(embeddings),
            "valid_given_a_genre": _share_with_a_genre(probabilities, thresholds),
        },
        created=datetime.now(UTC).date().isoformat(),
    )


def history_entries(history: tuple[EpochResult, ...]) -> list[dict[str, Any]]:
    """Return what each epoch brought, as cards keep it: curves are drawn from it later."""
    kept = ("epoch", "loss", "accuracy", "valid_loss", "valid_accuracy")
    return [{name: getattr(entry, name) for name in kept} for entry in history]


def _metrics(probabilities: Float64Array, truth: IdArray, data: TrainingData) -> dict[str, Any]:
    """Judge all held-out tracks, and those that are audio files on their own if not all are."""
    judged: dict[str, Any] = {
        "note": "The epoch, the temperature and the thresholds were chosen on these tracks too.",
        "valid": as_dict(score(probabilities, truth, data.labels)),
    }
    from_audio = np.asarray([track.key in data.valid_from_audio for track in data.valid])
    if from_audio.any() and not from_audio.all():
        audio = score(probabilities[from_audio], truth[from_audio], data.labels)
        judged["valid_audio_files_only"] = as_dict(audio)
    return judged


def _share_with_a_genre(probabilities: Float64Array, thresholds: tuple[float, ...]) -> float:
    """Return the share of the tracks whose most probable genre holds."""
    best = probabilities.argmax(axis=1)
    return float(np.mean(probabilities.max(axis=1) >= np.asarray(thresholds)[best]))


def _count(data: TrainingData, label: str) -> int:
    return sum(example.genre == label for example in data.examples)


def _median_cosine(embeddings: FloatArray) -> float:
    """Return the median cosine between different tracks; nan when there is but one."""
    cosines = (embeddings @ embeddings.T)[np.triu_indices(len(embeddings), 1)]
    return float(np.median(cosines)) if len(cosines) else float("nan")


# ----------------------------------------------------------------------


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
