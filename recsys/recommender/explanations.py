"""Reasons of a rank, as figures and as sentences.

What is "near" depends on the library, so an explanation compares with a random sample of it: the
share of its pairs that are less similar than query and track, and the share of the sample to which
the track is near. Neither takes a search of the index.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.recommender.duplicates import artist_key, same_album
from recsys.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.query import Query
    from recsys.types import Analysis, Catalogue, ModelInfo, Recommendation

DRAWN = 120
"""Size of the sample; a smaller library is compared as a whole."""

NEAR = 1 / 40
"""Share of the sample that counts as near a track: its nearest."""

FEWEST_DRAWN = 40
"""A smaller sample is not compared with."""

EVERYWHERE = 3.0
"""Multiple of the usual share from which a track "turns up in many lists"."""

_DRAWS_PER_TRACK = 4
_SEED = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """The figures behind one result, and those that put them in proportion.

    Attributes
    ----------
    genre : str
        The genre group of the recommended track.
    tier : int
        From 1; 0 when the ranking is by similarity alone.
    query_genre_score : float
        The query's score of this group, in [0, 1].
    track_genre_probability : float or None
        The track's own probability of this genre, in [0, 1]; None where the track was removed from
        the library meanwhile, or the group is not a genre of the model.
    similarity : float
        Cosine between query and track, in [-1, 1].
    shared_genre : str or None
        The most probable genre of both, where it reaches its threshold in both.
    same_artist, same_album : bool
        Whether a track of the query is by the same artist, or from the same album.
    closer_than : float or None
        Share of the pairs of the sample that are less similar; None in a library too small for it.
    near_share : float or None
        Share of the sample to which the track is near; None likewise.
    usual_share : float
        The same for an average track.
    """

    genre: str
    tier: int
    query_genre_score: float
    track_genre_probability: float | None
    similarity: float
    shared_genre: str | None = None
    same_artist: bool = False
    same_album: bool = False
    closer_than: float | None = None
    near_share: float | None = None
    usual_share: float = NEAR

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name, for JSON."""
        return asdict(self)

    def sentences(self) -> tuple[str, ...]:
        """Return sentences on tier, genre, artist, similarity and popularity.

        Examples
        --------
        >>> explanation = Explanation("rock", 2, 0.21, 0.93, 0.874, None, True, False, 0.991, 0.1)
        >>> for sentence in explanation.sentences():
        ...     print(sentence)
        tier 2: rock, the query's next genre (score 0.21)
        the track itself is rock with probability 0.93
        by the same artist
        similarity 0.874 (1 is the same sound): closer than 99% of the pairs in the library
        turns up in many lists: near 10% of the library, 2.5% is usual
        """
        return (
            self._tier_sentence(),
            *self._genre_sentence(),
            *self._origin_sentence(),
            self._similarity_sentence(),
            *self._popularity_sentence(),
        )

    def _tier_sentence(self) -> str:
        score = f"(score {self.query_genre_score:.2f})"
        if self.tier == 0:
            return f"ranked by similarity alone; {self.genre} has no part in it {score}"
        ranks = {1: "most probable genre", 2: "next genre"}
        rank = ranks.get(self.tier, f"{ordinal(self.tier)} genre")
        return f"tier {self.tier}: {self.genre}, the query's {rank} {score}"

    def _genre_sentence(self) -> tuple[str, ...]:
        p = self.track_genre_probability
        if self.shared_genre is not None:
            own = "" if p is None else f", the track itself with probability {p:.2f}"
            return (f"both are clearly {self.shared_genre}{own}",)
        if p is None:
            return ()
        return (f"the track itself is {self.genre} with probability {p:.2f}",)

    def _origin_sentence(self) -> tuple[str, ...]:
        if self.same_album:
            return ("from the same album",)
        return ("by the same artist",) if self.same_artist else ()

    def _similarity_sentence(self) -> str:
        similarity = f"similarity {self.similarity:.3f} (1 is the same sound)"
        if self.closer_than is None:
            return similarity
        return f"{similarity}: closer than {percent(self.closer_than)} of the pairs in the library"

    def _popularity_sentence(self) -> tuple[str, ...]:
        if self.near_share is None:
            return ()
        if self.near_share >= EVERYWHERE * self.usual_share:
            share, usual = percent(self.near_share), percent(self.usual_share)
            return (f"turns up in many lists: near {share} of the library, {usual} is usual",)
        if self.near_share == 0:
            return ("turns up in few lists",)
        return ("turns up in lists about as often as most",)


class Explainer:
    """Explains answers by comparing them with a sample of the library.

    Parameters
    ----------
    store : Catalogue
        The library.
    index : EmbeddingIndex
        Its embeddings.
    info : ModelInfo
        The model that made them.
    """

    def __init__(self, store: Catalogue, index: EmbeddingIndex, info: ModelInfo) -> None:
        self._store = store
        self._index = index
        self._info = info

    def explain(self, query: Query, rows: Sequence[Recommendation]) -> tuple[Explanation, ...]:
        """Return the figures behind each result, in their order."""
        analyses = self._store.analyses([row.track.id for row in rows])
        return tuple(self._explanation(query, row, analyses.get(row.track.id)) for row in rows)

    @cached_property
    def _sample(self) -> _Sample:
        return draw_sample(self._store, self._index)

    def _explanation(
        self, query: Query, row: Recommendation, analysis: Analysis | None
    ) -> Explanation:
        track, labels = row.track, self._info.labels
        probability = None
        if analysis is not None and track.genre_group in labels:
            probability = float(analysis.probabilities[labels.index(track.genre_group)])
        sample = self._sample
        artist = artist_key(track)
        seeds = [seed.track for seed in query.seeds]
        return Explanation(
            genre=track.genre_group,
            tier=row.tier,
            query_genre_score=row.genre_score,
            track_genre_probability=probability,
            similarity=row.similarity,
            shared_genre=self._shared_genre(query, analysis),
            same_artist=artist is not None and any(artist == artist_key(s) for s in seeds),
            same_album=any(same_album(track, seed) for seed in seeds),
            closer_than=sample.closer_than(row.similarity),
            near_share=None if analysis is None else sample.near_share(track.id, analysis),
            usual_share=sample.usual_share,
        )

    def _shared_genre(self, query: Query, analysis: Analysis | None) -> str | None:
        if analysis is None or query.genre == UNKNOWN:
            return None
        genre = self._info.genre_of(analysis.probabilities)
        return genre if genre == query.genre else None


class _Sample:
    """Tracks drawn from a library, with unit embeddings (n, d), and their similarities."""

    def __init__(self, ids: Sequence[int], embeddings: npt.NDArray[np.float32]) -> None:
        n = len(ids)
        self._ids = np.array(ids, dtype=np.int64)
        self._vectors = embeddings
        self.enough = n >= FEWEST_DRAWN
        nearest = max(1, round(NEAR * n))
        self.usual_share = nearest / max(1, n - 1)
        if not self.enough:
            return
        cosines = embeddings @ embeddings.T
        self._pairs = np.sort(cosines[np.triu_indices(n, 1)])
        np.fill_diagonal(cosines, -np.inf)
        self._limits = np.partition(cosines, -nearest, axis=1)[:, -nearest]

    def closer_than(self, similarity: float) -> float | None:
        """Return the share of pairs that are less similar than this."""
        if not self.enough:
            return None
        return float(np.searchsorted(self._pairs, similarity)) / len(self._pairs)

    def near_share(self, track_id: int, analysis: Analysis) -> float | None:
        """Return the share of the sample to which a track is as near as their nearest."""
        if not self.enough:
            return None
        near = self._vectors @ analysis.embedding >= self._limits
        return float(near[self._ids != track_id].mean())


def draw_sample(store: Catalogue, index: EmbeddingIndex) -> _Sample:
    """Draw :data:`DRAWN` tracks, always the same ones of the same library.

    Random ids are drawn and those of removed tracks skipped, so that only the sample is read,
    whatever the size of the library.
    """
    highest = index.highest_id
    draws = min(highest, _DRAWS_PER_TRACK * DRAWN)
    drawn = np.random.default_rng(_SEED).choice(highest, draws, replace=False) + 1
    ids: list[int] = []
    embeddings: list[npt.NDArray[np.float32]] = []
    for start in range(0, draws, DRAWN):
        page = drawn[start : start + DRAWN].tolist()
        analyses = store.analyses(page)
        found = [track_id for track_id in page if track_id in analyses][: DRAWN - len(ids)]
        ids += found
        embeddings += [analyses[track_id].embedding for track_id in found]
        if len(ids) == DRAWN:
            break
    return _Sample(ids, np.array(embeddings).reshape(len(ids), -1))


def percent(share: float) -> str:
    """Return a share as a percentage; a share of a sample is never rounded to none or all.

    Examples
    --------
    >>> [percent(share) for share in (0.025, 0.1, 0.991, 0.9999, 1.0, 0.0)]
    ['2.5%', '10%', '99%', '99.9%', '99.9%', '0%']
    """
    value = 100 * share
    if 0 < value < 10 or value >= 99.5:
        return f"{round(min(max(value, 0.1), 99.9), 1):g}%"
    return f"{value:.0f}%"


def ordinal(number: int) -> str:
    """Return an English ordinal.

    Examples
    --------
    >>> [ordinal(n) for n in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
