"""What decides a training run, and what each epoch of it brings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from recsys.classifier.augment import AugmentSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        :mod:`recsys.classifier.outliers`.
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
