"""What decides how the default model is made, beside the data."""

from __future__ import annotations

from dataclasses import dataclass


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
        Sounds that are no music, synthesised; see :mod:`recsys.classifier.outliers`.
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
