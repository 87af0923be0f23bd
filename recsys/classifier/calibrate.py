"""Temperature scaling, per-genre decision thresholds, and calibration metrics.

Everything here works on pooled logits of whole tracks that the weights were not fitted to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.types import FloatArray, IdArray

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Temperature, thresholds and confusion, fitted to tracks that were not trained on."""

    temperature: float  # of a track with all windows
    thresholds: tuple[float, ...]  # per genre, in [0, 1]
    confusion: tuple[tuple[float, ...], ...]  # rows are true genres and sum to 1
    probabilities: Float64Array  # (n, n_genres), of the tracks that it was fitted to
    temperatures: tuple[float, ...] = ()  # by the number of windows, see `temperatures_of`

    @property
    def share_with_a_genre(self) -> float:
        """Share of the tracks whose most probable genre reaches its threshold."""
        best = self.probabilities.argmax(axis=1)
        reached = self.probabilities.max(axis=1) >= np.asarray(self.thresholds)[best]
        return float(np.mean(reached))


def calibrate(
    logits: FloatArray,
    targets: IdArray,
    temperature: float | None = None,
    temperatures: tuple[float, ...] = (),
    windows: Sequence[int] = (),
) -> Calibration:
    """Fit temperature, thresholds and confusion to pooled logits (n, n_genres) of held-out tracks.

    `targets` (n,) holds genre ids; a given temperature is kept. `temperatures` by the number of
    windows need the `windows` of each track, (n,).
    """
    if temperature is None:
        temperature = fit_temperature(logits, targets)
    of_each = temperatures_of(windows, temperatures) if temperatures else temperature
    probabilities = softmax(logits, of_each)
    confusion = smoothed_confusion(probabilities.argmax(axis=1), targets, logits.shape[1])
    return Calibration(
        temperature=temperature,
        thresholds=fit_thresholds(probabilities, targets),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        probabilities=probabilities,
        temperatures=temperatures,
    )


def temperatures_of(windows: Sequence[int], temperatures: Sequence[float]) -> Float64Array:
    """Return the temperature of tracks with so many windows, (n, 1).

    `temperatures` holds that of one window, of two, and so on; its last is that of more as well.
    The mean over few windows is less often right than that over many, and as confident.
    """
    rows = np.minimum(np.asarray(windows, dtype=np.int64), len(temperatures)) - 1
    found: Float64Array = np.asarray(temperatures, dtype=np.float64)[rows, np.newaxis]
    return found


def softmax(
    logits: npt.NDArray[np.floating], temperature: float | Float64Array = 1.0
) -> Float64Array:
    """Return probabilities over the last axis; a temperature above 1 flattens them."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    # Less the largest, so that no exponential overflows.
    weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    shares: Float64Array = weights / weights.sum(axis=-1, keepdims=True)
    return shares


def negative_log_likelihood(
    logits: FloatArray, targets: IdArray, temperature: float = 1.0
) -> float:
    """Return the mean negative log-likelihood of the true genres (nats)."""
    chosen = softmax(logits, temperature)[np.arange(len(targets)), targets]
    # A probability that underflows to 0 would make the mean infinite.
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def fit_temperature(logits: FloatArray, targets: IdArray) -> float:
    """Return the temperature of least negative log-likelihood, between 0.05 and 20.

    Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599.
    """
    from scipy.optimize import minimize_scalar

    # Over the logarithm: a half and a double are equally far from 1.
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, targets, float(np.exp(log_t))),
        bounds=(np.log(0.05), np.log(20.0)),
        method="bounded",
    )
    return float(np.exp(found.x))


def expected_calibration_error(
    probabilities: npt.NDArray[np.floating], targets: IdArray, bins: int = 10
) -> float:
    """Return the expected calibration error over bins of equal width, in [0, 1]; 0 is perfect.

    Raises ValueError if there are no rows.
    """
    if len(targets) == 0:
        raise ValueError("no predictions to judge")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    # A confidence of exactly 1 belongs to the last bin.
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(bin_of, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(targets))


def smoothed_confusion(
    predicted: IdArray, targets: IdArray, n_genres: int, pseudo_count: float = 1.0
) -> FloatArray:
    """Return the Laplace-smoothed confusion matrix; rows are true genres and sum to 1."""
    counts = np.full((n_genres, n_genres), pseudo_count, dtype=np.float64)
    np.add.at(counts, (targets, predicted), 1.0)
    shares: FloatArray = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def fit_thresholds(
    probabilities: npt.NDArray[np.floating],
    targets: IdArray,
    *,
    keep: float = 0.9,
    lowest: float = 0.3,
    highest: float = 0.5,
) -> tuple[float, ...]:
    """Choose the decision threshold of each genre.

    It is the probability that a share `keep` of the genre's own tracks reach, clipped to two
    bounds: the lower keeps noise from getting a genre, the upper keeps an easy genre from
    demanding certainty. A genre without tracks gets `highest`.
    """
    chosen = []
    for genre in range(probabilities.shape[1]):
        own = probabilities[targets == genre, genre]
        reached = float(np.quantile(own, 1.0 - keep)) if len(own) else highest
        chosen.append(round(min(highest, max(lowest, reached)), 4))
    return tuple(chosen)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95% interval of a proportion (Wilson, 1927)."""
    from scipy.stats import binomtest

    low, high = binomtest(successes, n).proportion_ci(method="wilson")
    return float(low), float(high)


def labels_to_numbers(genres: Sequence[str], labels: Sequence[str]) -> IdArray:
    """Return the row of each genre in `labels`, shape (n,); -1 where it is not among them."""
    numbers = {label: number for number, label in enumerate(labels)}
    return np.asarray([numbers.get(genre, -1) for genre in genres], dtype=np.int64)
