"""From scores to probabilities that mean what they say, and to words: genres, or unknown.

Everything here works on whole tracks, after pooling over windows, and on data that the weights
were not fitted to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.types import FloatArray, IdArray

Float64Array = npt.NDArray[np.float64]


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> Float64Array:
    """Turn scores into probabilities.

    Parameters
    ----------
    logits : ndarray, shape (..., n_genres)
        Scores.
    temperature : float
        Above 1 the probabilities are flatter.

    Returns
    -------
    ndarray of float64, same shape
        Sums to 1 over the last axis.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    shares: Float64Array = weights / weights.sum(axis=-1, keepdims=True)
    return shares


def negative_log_likelihood(
    logits: FloatArray, targets: IdArray, temperature: float = 1.0
) -> float:
    """Return the mean surprise at the true genres, nats.

    Parameters
    ----------
    logits : ndarray, shape (n, n_genres)
    targets : ndarray of int64, shape (n,)
    temperature : float

    Returns
    -------
    float
    """
    chosen = softmax(logits, temperature)[np.arange(len(targets)), targets]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def fit_temperature(logits: FloatArray, targets: IdArray) -> float:
    """Find the temperature at which the true genres are least surprising.

    Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599.

    Parameters
    ----------
    logits : ndarray, shape (n, n_genres)
        Pooled scores of tracks that were not trained on.
    targets : ndarray of int64, shape (n,)
        True genres.

    Returns
    -------
    float
        Between 0.05 and 20.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, targets, float(np.exp(log_t))),
        bounds=(np.log(0.05), np.log(20.0)),
        method="bounded",
    )
    return float(np.exp(found.x))


def expected_calibration_error(
    probabilities: npt.NDArray[np.floating], targets: IdArray, bins: int = 10
) -> float:
    """Measure how far confidence and accuracy of the most probable genre lie apart.

    Parameters
    ----------
    probabilities : ndarray, shape (n, n_genres)
        Rows sum to 1.
    targets : ndarray of int64, shape (n,)
        True genres.
    bins : int
        Equal in width over [0, 1].

    Returns
    -------
    float
        In [0, 1]; 0 is perfect.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if len(targets) == 0:
        raise ValueError("no predictions to judge")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(targets))


def smoothed_confusion(
    predicted: IdArray, targets: IdArray, n_genres: int, pseudo_count: float = 1.0
) -> FloatArray:
    """Count which genres are taken for which, with Laplace's correction.

    Parameters
    ----------
    predicted, targets : ndarray of int64, shape (n,)
        Most probable and true genres.
    n_genres : int
    pseudo_count : float
        Added to every cell, so that nothing is impossible.

    Returns
    -------
    ndarray of float32, shape (n_genres, n_genres)
        Row: true genre; rows sum to 1.
    """
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
    """Choose per genre the probability from which it is said to hold.

    A threshold is the quantile that `keep` of the genre's own validation tracks reach, held
    between two bounds: the lower keeps noise from being given a genre, the upper keeps an easy
    genre from demanding certainty.

    Parameters
    ----------
    probabilities : ndarray, shape (n, n_genres)
        Calibrated.
    targets : ndarray of int64, shape (n,)
        True genres.
    keep : float
        Share of a genre's tracks that should reach its threshold.
    lowest, highest : float
        Bounds.

    Returns
    -------
    tuple of float
        One per genre; `highest` where a genre has no track.
    """
    chosen = []
    for genre in range(probabilities.shape[1]):
        own = probabilities[targets == genre, genre]
        reached = float(np.quantile(own, 1.0 - keep)) if len(own) else highest
        chosen.append(round(min(highest, max(lowest, reached)), 4))
    return tuple(chosen)


def wilson_interval(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95% interval of a share (Wilson, 1927).

    Parameters
    ----------
    successes, n : int
        Right ones of all.
    z : float
        Standard normal quantile.

    Returns
    -------
    (low, high) : tuple of float

    Raises
    ------
    ValueError
        If `n` is 0.
    """
    if n == 0:
        raise ValueError("an interval needs at least one observation")
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, float((centre - spread) / scale)), min(1.0, float((centre + spread) / scale))


def labels_to_numbers(genres: Sequence[str], labels: Sequence[str]) -> IdArray:
    """Return the number of each genre in `labels`; -1 where it is not among them."""
    places = {label: number for number, label in enumerate(labels)}
    return np.asarray([places.get(genre, -1) for genre in genres], dtype=np.int64)
