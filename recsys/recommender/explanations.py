"""Reasons of a rank, as figures and as sentences.

What is "near" depends on the library, so an explanation compares with a random sample of it: the
share of its pairs that are less similar than query and track, and the share of the sample to which
the track is near. Neither takes a search of the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from recsys.recommender.duplicates import artist_key, same_album
from recsys.recommender.tiers import TierKind
from recsys.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.query import Query
    from recsys.recommender.tiers import Tier
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
"""Ids drawn per track of the sample, since those of removed tracks are skipped."""

_SEED = 0


class Standing(StrEnum):
    """Why a track is in its tier."""

    MOST_PROBABLE = "most_probable"
    NEARLY_EQUAL = "nearly_equal"  # of a group that scores nearly as much as the query's
    NEAREST = "nearest"  # of all tracks; it leads the first tier, whatever its genre
    RELATED = "related"
    OTHER = "other"  # after the tiers of genres, by similarity
    SIMILARITY = "similarity"  # there are no tiers


@dataclass(frozen=True, slots=True)
class Explanation:
    """The figures behind one result, and those that put them in proportion.

    In a library too small for a sample, `closer_than` and `near_share` are None.
    """

    genre: str  # genre group of the track
    tier: int  # from 1; 0 when the ranking is by similarity alone
    query_genre_score: float
    # None where the group is no genre of the model, or the track was removed meanwhile.
    track_genre_probability: float | None
    similarity: float  # cosine of query and track
    shared_genre: str | None = None  # the most probable of both, if both reach its threshold
    same_artist: bool = False
    same_album: bool = False
    closer_than: float | None = None  # share of the pairs of the sample that are less similar
    near_share: float | None = None  # share of the sample to which the track is near
    usual_share: float = NEAR  # the same for an average track
    standing: Standing = Standing.MOST_PROBABLE

    def sentences(self) -> tuple[str, ...]:
        """Return sentences on tier, genre, artist, similarity and popularity.

        Examples
        --------
        >>> explanation = Explanation(
        ...     "rock", 2, 0.21, 0.93, 0.874, None, True, False, 0.991, 0.1, 0.025, Standing.RELATED
        ... )
        >>> for sentence in explanation.sentences():
        ...     print(sentence)
        tier 2: rock, a related genre (score 0.21)
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
        if self.standing == Standing.SIMILARITY:
            return f"ranked by similarity alone; {self.genre} has no part in it {score}"
        said = {
            Standing.MOST_PROBABLE: f"{self.genre}, the query's most probable genre",
            Standing.NEARLY_EQUAL: f"{self.genre}, nearly as probable as the query's first genre",
            Standing.NEAREST: f"the nearest track of all, although its genre is {self.genre}",
            Standing.RELATED: f"{self.genre}, a related genre",
            Standing.OTHER: f"by similarity, whatever the genre; {self.genre}",
        }
        return f"tier {self.tier}: {said[self.standing]} {score}"

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


def explain(
    store: Catalogue,
    index: EmbeddingIndex,
    info: ModelInfo,
    query: Query,
    rows: Sequence[Recommendation],
    tiers: Sequence[Tier],
) -> tuple[Explanation, ...]:
    """Return the figures behind each result, in their order."""
    if not rows:
        return ()
    analyses, sample = store.analyses([row.track.id for row in rows]), draw_sample(store, index)
    tier_of = {tier.number: tier for tier in tiers}
    return tuple(
        _explanation(info, sample, query, row, tier_of[row.tier], analyses.get(row.track.id))
        for row in rows
    )


def _explanation(
    info: ModelInfo,
    sample: Sample,
    query: Query,
    row: Recommendation,
    tier: Tier,
    analysis: Analysis | None,
) -> Explanation:
    track, artist = row.track, artist_key(row.track)
    probability = near_share = shared_genre = None
    # Another process may have removed the track since the search: then it has no analysis.
    if analysis is not None:
        if track.genre_group in info.labels:
            probability = float(analysis.probabilities[info.labels.index(track.genre_group)])
        near_share = sample.near_share(track.id, analysis)
        if query.genre != UNKNOWN and info.genre_of(analysis.probabilities) == query.genre:
            shared_genre = query.genre
    seeds = [seed.track for seed in query.seeds]
    return Explanation(
        genre=track.genre_group,
        tier=row.tier,
        query_genre_score=row.genre_score,
        track_genre_probability=probability,
        similarity=row.similarity,
        shared_genre=shared_genre,
        same_artist=artist is not None and any(artist == artist_key(s) for s in seeds),
        same_album=any(same_album(track, seed) for seed in seeds),
        closer_than=sample.closer_than(row.similarity),
        near_share=near_share,
        usual_share=sample.usual_share,
        standing=_standing(tier, row),
    )


def _standing(tier: Tier, row: Recommendation) -> Standing:
    group = row.track.genre_group
    if tier.kind != TierKind.FIRST:
        return Standing(tier.kind.value)
    if group not in tier.genres:
        return Standing.NEAREST
    return Standing.MOST_PROBABLE if group == tier.genres[0] else Standing.NEARLY_EQUAL


class Sample:
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
        np.fill_diagonal(cosines, -np.inf)  # no track is its own neighbour
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


def draw_sample(store: Catalogue, index: EmbeddingIndex) -> Sample:
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
    return Sample(ids, np.array(embeddings).reshape(len(ids), -1))


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
