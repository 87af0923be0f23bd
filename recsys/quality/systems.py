"""The compared rankings: the recommender, its parts, and simple baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsys.errors import require
from recsys.index.base import DECIMALS
from recsys.quality.metrics import NOBODY
from recsys.recommender.query import make_query
from recsys.recommender.tiers import AS_NEAR_AS_CAN_BE, TierKind, plan_tiers

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.quality.labels import Columns
    from recsys.quality.metrics import BoolArray, Values
    from recsys.recommender.taxonomy import Taxonomy
    from recsys.store import Store
    from recsys.types import FloatArray, IdArray, ModelInfo

Scores: TypeAlias = Callable[["IdArray"], "Values"]
"""Query rows to their scores of all n tracks, shape (rows, n); higher is better."""

SCORE_LIMIT = 1000.0
"""Scores are clipped to ±1000, and rounded to as many decimals as similarities of the index."""

NEIGHBOURHOOD = 10
"""Neighbours by which local scaling corrects the similarity of a track."""

_TIER_COST = 4.0
"""More than the 2 by which cosines can differ."""

_COLUMN_BITS = 32
_BLOCK = 2_000_000  # pairs of tracks at once


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """A ranking of all tracks for a track."""

    name: str  # in JSON
    title: str  # in tables
    scores: Scores  # ties go to the track with the lower row
    note: str = ""  # a reservation about its figures
    known: BoolArray | None = None  # (n,): tracks that can query and be ranked; None for all


def best_first(scores: Values) -> IdArray:
    """Return the columns of every row by falling score, equals by column.

    Score and column are packed into one integer, which sorts several times as fast as a stable
    sort of the scores.
    """
    clipped = np.clip(scores, -SCORE_LIMIT, SCORE_LIMIT)
    # Rounded as in the index, so that equal similarities are ties here too.
    keys = np.rint(clipped * -(10.0**DECIMALS)).astype(np.int64)
    keys <<= _COLUMN_BITS
    keys |= np.arange(scores.shape[1], dtype=np.int64)
    keys.sort(axis=1)
    keys &= (1 << _COLUMN_BITS) - 1
    return keys


def random_order(n: int, seed: int) -> System:
    """Rank at random; the same for a row, whatever the block it comes in."""

    def scores(rows: IdArray) -> Values:
        return np.stack([np.random.default_rng((seed, int(row))).random(n) for row in rows])

    return System("random", "random", scores)


def tag_genre(columns: Columns, seed: int, *, judged_by_tags: bool) -> System:
    """Rank tracks with the same genre tag in random order, then the others."""
    order = random_order(len(columns), seed)

    def scores(rows: IdArray) -> Values:
        own = columns.tags[rows][:, np.newaxis]
        same = (columns.tags == own) & (own != NOBODY)
        result: Values = order.scores(rows) / 2 + same  # random in [0, 0.5), plus 1 for the tag
        return result

    note = "right by definition: the labels are the tags" if judged_by_tags else ""
    return System("tag_genre", "tag genre only", scores, note)


def embedding(vectors: FloatArray) -> System:
    """Rank by the cosine of embeddings alone: ``similar --strategy similarity``."""
    return System("embedding", "embedding without tiers", _cosines(vectors))


def _cosines(vectors: npt.NDArray[np.floating]) -> Scores:
    precise = vectors.astype(np.float64)  # the order of near ties must not depend on the block

    def scores(rows: IdArray) -> Values:
        cosines: Values = precise[rows] @ precise.T
        return cosines

    return scores


def tiers(columns: Columns, store: Store, info: ModelInfo, taxonomy: Taxonomy) -> System:
    """Rank as the recommender does: by tiers (:mod:`recsys.recommender.tiers`), then by cosine.

    Near-duplicates, which the recommender hides, stay in, so that all systems rank the same tracks.
    """
    cosines = _cosines(columns.embeddings)

    def tiers_for(row: int, near: Values) -> IdArray:
        track_id, untiered = int(columns.ids[row]), np.zeros(len(columns), np.int64)
        track, analysis = store.track(track_id), store.analysis(track_id)
        if track is None or analysis is None:
            return untiered
        query = make_query(info, [(track, analysis)])
        planned = plan_tiers(taxonomy.group_of(query), taxonomy.scores(query))
        if planned[0].kind == TierKind.SIMILARITY:
            return untiered
        found = np.full(len(columns), planned[-1].number)
        for tier in planned[:-1]:
            groups = np.isin(columns.group_names, tier.genres)[columns.groups]
            found[groups & (near >= tier.ends_at)] = tier.number
        # The nearest of all leads the first tier, unless that has a track as near as can be.
        others = np.arange(len(columns)) != row
        best = np.max(near, initial=-1.0, where=others & (found == 1))
        nearest = int(np.argmax(np.where(others, near, -np.inf)))
        if best < min(near[nearest], AS_NEAR_AS_CAN_BE):
            found[nearest] = 1
        return found

    def scores(rows: IdArray) -> Values:
        near = np.round(cosines(rows), DECIMALS)  # as in the index
        pairs = zip(rows.tolist(), near, strict=True)
        result: Values = near - _TIER_COST * np.stack([tiers_for(row, own) for row, own in pairs])
        return result

    return System("recommender", "recommender (genre tiers)", scores)


def hand_made(features: FloatArray, *, skipped: int, limited: bool) -> System:
    """Rank by the cosine of standardised hand-made features (n, features), NaN for none.

    `skipped` tracks could not be decoded; with `limited`, only the queries have features.
    """
    known = np.asarray(~np.isnan(features).any(axis=1))
    notes = []
    if limited:
        notes.append(
            f"ranks the {int(known.sum())} drawn tracks only, so it is not comparable with the "
            "other rows"
        )
    if skipped:
        notes.append(f"{skipped} tracks that could not be decoded are left out")
    title = f"{features.shape[1]} hand-made features"
    scores = _cosines(standardised(features, known))
    return System("hand_made", title, scores, "; ".join(notes), known)


def standardised(features: FloatArray, known: BoolArray) -> Values:
    """Return features as z-scores over the known rows, rows of unit length.

    A constant feature counts for nothing; unknown rows are 0.
    """
    result = np.zeros(features.shape)
    chosen = features[known].astype(np.float64)
    if len(chosen):
        deviation = chosen.std(axis=0)
        scaled = (chosen - chosen.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        result[known] = _unit(scaled)
    return result


def _unit(rows: Values) -> Values:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Values = rows / np.where(length > 0, length, 1.0)
    return unit


# Hubness reductions that also work when tracks are added or removed one at a time


def centred(vectors: FloatArray) -> System:
    """Rank by the cosine around the mean of the library.

    I. Suzuki et al., "Centering similarity measures to reduce hubs", EMNLP 2013.
    """
    moved = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    return System("centred", "centring", _cosines(_unit(moved)))


def local_scaling(vectors: FloatArray) -> System:
    """Rank by cosine minus the mean cosine of query and candidate to their nearest neighbours.

    The form of A. Conneau et al., "Word translation without parallel data", ICLR 2018 (CSLS); for
    local scaling see D. Schnitzer et al., "Local and global scaling reduce hubs in space", JMLR 13
    (2012).
    """
    cosines, n = _cosines(vectors), len(vectors)
    k = min(NEIGHBOURHOOD, n - 1)

    def mean_of_nearest(rows: IdArray) -> Values:
        near = cosines(rows)
        near[np.arange(len(rows)), rows] = -np.inf  # not its own neighbour
        nearest: Values = np.partition(near, -k, axis=1)[:, -k:].mean(axis=1)
        return nearest

    step = max(1, _BLOCK // n)
    blocks = [np.arange(start, min(start + step, n)) for start in range(0, n, step)]
    around = np.concatenate([mean_of_nearest(rows) for rows in blocks])

    def scores(rows: IdArray) -> Values:
        result: Values = 2 * cosines(rows) - around[rows][:, np.newaxis] - around
        return result

    return System("local_scaling", "local scaling", scores)


def mutual_proximity(vectors: FloatArray) -> System:
    """Rank by the probability that two tracks are each other's neighbours, for normal similarities.

    The product of the two probabilities that a random track is less similar than this one
    (D. Schnitzer et al., JMLR 13, 2012; the form for independent normal distributions), as a
    logarithm. Mean and variance of a track's similarities follow from the first two moments of all
    embeddings.
    """
    log_ndtr = require("scipy.special", "train").log_ndtr
    precise, cosines, n = vectors.astype(np.float64), _cosines(vectors), len(vectors)
    itself = np.einsum("ij,ij->i", precise, precise)
    mean = (precise @ precise.sum(axis=0) - itself) / (n - 1)
    moments = precise.T @ precise
    squares = np.einsum("ij,jk,ik->i", precise, moments, precise, optimize=True)
    variance = (squares - itself**2) / (n - 1) - mean**2
    deviation = np.sqrt(np.maximum(variance, 1e-12))

    def scores(rows: IdArray) -> Values:
        near = cosines(rows)
        of_query = (near - mean[rows][:, np.newaxis]) / deviation[rows][:, np.newaxis]
        of_candidate = (near - mean) / deviation
        result: Values = log_ndtr(of_query) + log_ndtr(of_candidate)
        return result

    return System("mutual_proximity", "mutual proximity", scores)
