"""The rankings that are compared: the recommender, its parts, and what costs nothing.

A system scores every track of the library for a block of query tracks; higher is better, and ties
go to the track with the lower number. Scores lie within :data:`SCORE_LIMIT` of 0 and count to six
decimals, as the similarities of the index do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from recsys.index.base import DECIMALS
from recsys.quality.metrics import NOBODY
from recsys.recommender.query import make_query
from recsys.types import UNKNOWN

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.quality.labels import Catalogue
    from recsys.quality.metrics import BoolArray, Values
    from recsys.recommender.taxonomy import Taxonomy
    from recsys.store import Store
    from recsys.types import FloatArray, IdArray, ModelInfo

SCORE_LIMIT = 1000.0

_BELOW_ANY_SIMILARITY = 4.0
"""What a tier costs: more than the 2 by which similarities can differ."""

_COLUMN_BITS = 32


class System(Protocol):
    """Something that ranks tracks for a track.

    Attributes
    ----------
    name : str
        For scripts.
    title : str
        For people.
    note : str
        What has to be known to read its figures, or nothing.
    known : ndarray of bool, shape (n,), or None
        The tracks of which it knows anything; None for all of them. The others neither query nor
        are ranked.
    """

    name: str
    title: str
    note: str
    known: BoolArray | None

    def scores(self, rows: IdArray) -> Values:
        """Return how well every track goes with some, shape (len(rows), n)."""


def best_first(scores: Values) -> IdArray:
    """Return the columns of every row by falling score, equals by their number.

    Score and column are packed into one integer, which sorts several times as fast as a stable
    sort of the scores.
    """
    clipped = np.clip(scores, -SCORE_LIMIT, SCORE_LIMIT)
    keys = np.rint(clipped * -(10.0**DECIMALS)).astype(np.int64)
    keys <<= _COLUMN_BITS
    keys |= np.arange(scores.shape[1], dtype=np.int64)
    keys.sort(axis=1)
    keys &= (1 << _COLUMN_BITS) - 1
    return keys


class RandomOrder:
    """Any track is as good as any other."""

    name = "random"
    title = "random"
    note = ""
    known: BoolArray | None = None

    def __init__(self, n: int, seed: int) -> None:
        self._n = n
        self._seed = seed

    def scores(self, rows: IdArray) -> Values:
        """See :class:`System`. The same for a row, whatever the block it comes in."""
        drawn = [np.random.default_rng((self._seed, int(row))).random(self._n) for row in rows]
        return np.stack(drawn)


class TagGenre:
    """Tracks with the same genre tag, in random order, then the others."""

    name = "tag_genre"
    title = "tag genre only"
    known: BoolArray | None = None

    def __init__(self, catalogue: Catalogue, seed: int, *, judged_by_tags: bool) -> None:
        self._tags = catalogue.tags
        self._random = RandomOrder(len(catalogue), seed)
        self.note = "right by definition: the labels are the tags" if judged_by_tags else ""

    def scores(self, rows: IdArray) -> Values:
        """See :class:`System`."""
        own = self._tags[rows][:, np.newaxis]
        same = (self._tags == own) & (own != NOBODY)
        scores: Values = self._random.scores(rows) / 2 + same
        return scores


class Embedding:
    """By the cosine of embeddings alone: ``similar --strategy similarity``."""

    note = ""
    known: BoolArray | None = None

    def __init__(
        self,
        vectors: npt.NDArray[np.floating],
        name: str = "embedding",
        title: str = "embedding without tiers",
    ) -> None:
        self.name = name
        self.title = title
        self._vectors = vectors.astype(np.float64)

    def scores(self, rows: IdArray) -> Values:
        """See :class:`System`."""
        cosines: Values = self._vectors[rows] @ self._vectors.T
        return cosines


class Tiers(Embedding):
    """As the recommender ranks: the query's genre first, then the related ones, each by cosine.

    Near-duplicates, which the recommender hides, stay in, so that all rows of the table rank the
    same tracks.
    """

    def __init__(
        self, catalogue: Catalogue, store: Store, info: ModelInfo, taxonomy: Taxonomy
    ) -> None:
        super().__init__(catalogue.embeddings, "recommender", "recommender (genre tiers)")
        self._catalogue = catalogue
        self._store = store
        self._info = info
        self._taxonomy = taxonomy

    def scores(self, rows: IdArray) -> Values:
        """See :class:`System`."""
        tiers = np.stack([self._tiers(int(row)) for row in rows])
        return super().scores(rows) - _BELOW_ANY_SIMILARITY * tiers

    def _tiers(self, row: int) -> IdArray:
        """Return the tier of every track of the library for one query, from 0."""
        number, untiered = int(self._catalogue.ids[row]), np.zeros(len(self._catalogue), np.int64)
        track, analysis = self._store.track(number), self._store.analysis(number)
        if track is None or analysis is None:
            return untiered
        query = make_query(self._info, [(track, analysis)])
        if self._taxonomy.label_of(query) == UNKNOWN:
            return untiered
        places = {name: place for place, (name, _) in enumerate(self._taxonomy.scores(query))}
        by_part = [places.get(name, len(places)) for name in self._catalogue.part_names]
        return np.array(by_part, dtype=np.int64)[self._catalogue.parts]


class HandMade(Embedding):
    """By the cosine of hand-made features, each brought to mean 0 and deviation 1.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        NaN in the rows of tracks of which there are none.
    skipped : int
        How many tracks that should have had some have none.
    limited : bool
        Only part of the library was to have some.
    """

    def __init__(self, features: FloatArray, *, skipped: int, limited: bool) -> None:
        known = np.asarray(~np.isnan(features).any(axis=1))
        self.known = known
        super().__init__(
            standardised(features, known),
            "hand_made",
            f"{features.shape[1]} hand-made features",
        )
        parts = [
            f"ranks the {int(known.sum())} drawn tracks only, which makes it look different "
            "from the other rows"
            if limited
            else "",
            f"{skipped} tracks that could not be decoded are left out" if skipped else "",
        ]
        self.note = "; ".join(part for part in parts if part)


def standardised(features: FloatArray, known: BoolArray) -> Values:
    """Return features with mean 0 and deviation 1 over the known rows, rows of unit length.

    A feature that never changes counts for nothing; unknown rows are 0.
    """
    result = np.zeros(features.shape)
    chosen = features[known].astype(np.float64)
    if len(chosen):
        deviation = chosen.std(axis=0)
        scaled = (chosen - chosen.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        length = np.linalg.norm(scaled, axis=1, keepdims=True)
        result[known] = scaled / np.where(length > 0, length, 1.0)
    return result


# Ways to reduce hubness that work when tracks come and go one at a time.


NEIGHBOURHOOD = 10
"""Neighbours that make up the surroundings of a track in :class:`LocalScaling`."""

_BLOCK = 2_000_000


def centred(embeddings: FloatArray) -> Embedding:
    """Return the ranking by the cosine around the mean of the library.

    I. Suzuki et al., "Centering similarity measures to reduce hubs", EMNLP 2013.
    """
    moved = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return Embedding(moved / np.where(length > 0, length, 1.0), "centred", "centring")


class LocalScaling(Embedding):
    """Cosine minus the mean cosine of query and of candidate to their own nearest neighbours.

    The form of A. Conneau et al., "Word translation without parallel data", ICLR 2018 (CSLS); for
    local scaling see D. Schnitzer et al., "Local and global scaling reduce hubs in space", JMLR 13
    (2012).
    """

    def __init__(self, embeddings: FloatArray) -> None:
        super().__init__(embeddings, "local_scaling", "local scaling")
        self._around = self._surroundings(min(NEIGHBOURHOOD, len(embeddings) - 1))

    def _surroundings(self, k: int) -> Values:
        n = len(self._vectors)
        step = max(1, _BLOCK // n)
        blocks = [np.arange(start, min(start + step, n)) for start in range(0, n, step)]
        return np.concatenate([self._mean_of_nearest(rows, k) for rows in blocks])

    def _mean_of_nearest(self, rows: IdArray, k: int) -> Values:
        cosines = self._vectors[rows] @ self._vectors.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        nearest: Values = np.partition(cosines, -k, axis=1)[:, -k:].mean(axis=1)
        return nearest

    def scores(self, rows: IdArray) -> Values:
        """See :class:`~recsys.quality.systems.System`."""
        return 2 * super().scores(rows) - self._around[rows][:, np.newaxis] - self._around


class MutualProximity(Embedding):
    """How likely two tracks are each other's neighbours, if similarities were normal.

    The product of the two chances that a random track is less similar than this one (D. Schnitzer
    et al., JMLR 13, 2012; the form for independent normal distributions). Mean and variance of a
    track's similarities follow from the first two moments of all embeddings.
    """

    def __init__(self, embeddings: FloatArray) -> None:
        super().__init__(embeddings, "mutual_proximity", "mutual proximity")
        n = len(self._vectors)
        itself = np.einsum("ij,ij->i", self._vectors, self._vectors)
        self._mean = (self._vectors @ self._vectors.sum(axis=0) - itself) / (n - 1)
        moments = self._vectors.T @ self._vectors
        squares = np.einsum("ij,jk,ik->i", self._vectors, moments, self._vectors, optimize=True)
        variance = (squares - itself**2) / (n - 1) - self._mean**2
        self._deviation = np.sqrt(np.maximum(variance, 1e-12))

    def scores(self, rows: IdArray) -> Values:
        """See :class:`~recsys.quality.systems.System`. The logarithm, which ranks the same."""
        from scipy.special import log_ndtr

        cosines = super().scores(rows)
        query = (cosines - self._mean[rows][:, np.newaxis]) / self._deviation[rows][:, np.newaxis]
        candidate = (cosines - self._mean) / self._deviation
        log_chance: Values = log_ndtr(query) + log_ndtr(candidate)
        return log_chance
