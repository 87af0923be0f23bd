"""The measures, as functions of embeddings. All embeddings are of unit length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from recsys.types import FloatArray

TIE = 1e-6
"""Cosines that are nearer to each other than this are equal."""

RESAMPLES = 2000
"""Draws of a bootstrap interval."""

_BLOCK = 1024

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VariantFigures:
    """How near variants stay to their originals.

    Attributes
    ----------
    n : int
        Variants.
    found : float
        Share of them whose nearest original is their own.
    median, low : float
        Of the cosines to their own originals: the median and the 5th percentile.
    """

    n: int
    found: float
    median: float
    low: float


@dataclass(frozen=True, slots=True)
class HalfFigures:
    """How well the first halves of tracks find the second ones.

    Attributes
    ----------
    n : int
        Tracks that took part: those of genres with at least two.
    mean_reciprocal_rank : float
        In (0, 1]; 1 when every second half is found first.
    interval : (float, float)
        95%, bootstrap over tracks.
    by_chance : float
        What an order drawn at random gets on average.
    """

    n: int
    mean_reciprocal_rank: float
    interval: tuple[float, float]
    by_chance: float


def median_cosine(embeddings: FloatArray) -> float:
    """Return the median cosine over all pairs of different tracks.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n, d)
        One per track, n at least 2.

    Raises
    ------
    ValueError
        If there is no pair.
    """
    if len(embeddings) < 2:
        raise ValueError(f"two tracks are needed for a pair, there is {len(embeddings)}")
    cosines = embeddings @ embeddings.T
    return float(np.median(cosines[np.triu_indices(len(embeddings), k=1)]))


def own_cosines(originals: FloatArray, variants: FloatArray) -> tuple[Float64Array, Float64Array]:
    """Compare variants with their own originals and with all others.

    Parameters
    ----------
    originals, variants : ndarray of float32, shape (n, d)
        Row ``i`` of one belongs to row ``i`` of the other.

    Returns
    -------
    cosines : ndarray of float64, shape (n,)
        Of each variant to its own original.
    found : ndarray of float64, shape (n,)
        1 where the own original is the nearest one, 0 where it is not, and 1/m where m originals
        are equally near, so that an embedding that tells nothing apart finds nothing.
    """
    own = np.einsum("ij,ij->i", originals.astype(float), variants.astype(float))
    found = np.zeros(len(own))
    for start in range(0, len(own), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosines = variants[block].astype(float) @ originals.T.astype(float)
        highest = cosines.max(axis=1)
        equal = (cosines >= highest[:, np.newaxis] - TIE).sum(axis=1)
        found[block] = (own[block] >= highest - TIE) / equal
    return own, found


def variant_figures(cosines: Float64Array, found: Float64Array) -> VariantFigures:
    """Summarise what :func:`own_cosines` returned, of one kind of variant or of several."""
    low, median = np.quantile(cosines, (0.05, 0.5))
    return VariantFigures(len(cosines), float(found.mean()), float(median), float(low))


def reciprocal_ranks(
    firsts: FloatArray, seconds: FloatArray, genres: Sequence[str]
) -> tuple[Float64Array, Float64Array]:
    """Let first halves look for their second halves among those of their genre.

    Parameters
    ----------
    firsts, seconds : ndarray of float32, shape (n, d)
        Halves of the same tracks.
    genres : sequence of str
        One per track; a genre with a single track is left out.

    Returns
    -------
    reciprocal_ranks : ndarray of float64, shape (m,)
        One per track that took part: 1 over its rank. Halves that are equally near share the
        ranks between them.
    by_chance : ndarray of float64, shape (m,)
        What a random order gets on average: the harmonic number of the genre's size, over it.
    """
    names = np.asarray(genres)
    reached, chances = [], []
    for genre in sorted(set(genres)):
        own = np.flatnonzero(names == genre)
        if len(own) < 2:
            continue
        cosines = firsts[own].astype(float) @ seconds[own].T.astype(float)
        right = np.diag(cosines)[:, np.newaxis]
        nearer = (cosines > right + TIE).sum(axis=1)
        as_near = (np.abs(cosines - right) <= TIE).sum(axis=1) - 1
        reached.append(1.0 / (1 + nearer + as_near / 2))
        harmonic = float(np.sum(1.0 / np.arange(1, len(own) + 1)))
        chances.append(np.full(len(own), harmonic / len(own)))
    if not reached:
        return np.zeros(0), np.zeros(0)
    return np.concatenate(reached), np.concatenate(chances)


def half_figures(
    firsts: FloatArray, seconds: FloatArray, genres: Sequence[str], seed: int = 0
) -> HalfFigures | None:
    """Summarise :func:`reciprocal_ranks`; None where no genre has two tracks."""
    ranks, chances = reciprocal_ranks(firsts, seconds, genres)
    if len(ranks) == 0:
        return None
    rng = np.random.default_rng(seed)
    means = [ranks[rng.integers(len(ranks), size=len(ranks))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return HalfFigures(
        len(ranks), float(ranks.mean()), (float(low), float(high)), float(chances.mean())
    )
