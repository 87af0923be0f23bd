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

from recsys.credits import NOT_AN_ARTIST, artist_key, credited_artists
from recsys.genres import style_strengths, styles_of
from recsys.recommender.duplicates import same_album
from recsys.recommender.tiers import AS_NEAR_AS_CAN_BE, ENDS_AT, TierKind
from recsys.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.query import Query
    from recsys.recommender.tiers import Tier
    from recsys.types import Analysis, Catalogue, ModelInfo, Recommendation, Track

DRAWN = 120
"""Size of the sample; a smaller library is compared as a whole."""

NEAR = 1 / 40
"""Share of the sample that counts as near a track: its nearest."""

FEWEST_DRAWN = 40
"""A smaller sample is not compared with."""

CLOSENESS = (
    (AS_NEAR_AS_CAN_BE, "sounds very close"),
    (0.6, "sounds close"),
    (ENDS_AT, "sounds similar"),
    (0.2, "sounds a little similar"),
    (-2.0, "sounds different"),
)
"""Cosines from which a track sounds like the query, in words: two random tracks have one of 0.02
(median), the nearest of 320 one of 0.75, the twentieth one of 0.48."""

EVERYWHERE = 3.0
"""Multiple of the usual share from which a track "turns up in many lists"."""

_DRAWS_PER_TRACK = 4
"""Ids drawn per track of the sample, since those of removed tracks are skipped."""

_SEED = 0


class Standing(StrEnum):
    """What a track's genre group is to the query."""

    SAME = "same"
    NEARLY_EQUAL = "nearly_equal"  # it scores nearly as much as the query's
    NEAREST = "nearest"  # another, but no track is nearer
    RELATED = "related"
    OTHER = "other"


class Origin(StrEnum):
    """What a track's artist and album are to the query, in words."""

    ALBUM = "the same album"
    ARTIST = "the same artist"
    ANOTHER = "another artist"
    UNKNOWN = ""


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
    origin: Origin = Origin.UNKNOWN
    closer_than: float | None = None  # share of the pairs of the sample that are less similar
    near_share: float | None = None  # share of the sample to which the track is near
    usual_share: float = NEAR  # the same for an average track
    standing: Standing = Standing.SAME
    track_genre_strength: float | None = None  # where the group is a style of the model alone

    def sentences(self) -> tuple[str, ...]:
        """Return sentences: in words what the track is, then the numbers, then how often it shows.

        Examples
        --------
        >>> explanation = Explanation(
        ...     "rock", 2, 0.21, 0.93, 0.874, Origin.ARTIST, 0.991, 0.1, 0.025, Standing.RELATED
        ... )
        >>> for sentence in explanation.sentences():
        ...     print(sentence)
        rock, a related genre, sounds very close, the same artist
        similarity 0.874 (1 is the same sound), closer than 99% of pairs in the library
        tier 2: score 0.21 for rock; itself 93% rock
        turns up in many lists: near 10% of the library, 2.5% is usual
        """
        return (
            ", ".join(filter(None, (self._genre(), closeness(self.similarity), self.origin.value))),
            self._similarity_sentence(),
            self._tier_sentence(),
            *self._popularity_sentence(),
        )

    def _genre(self) -> str:
        if self.genre == UNKNOWN:
            return "of no clear genre"
        said = {
            Standing.SAME: f"also {self.genre}",
            Standing.NEARLY_EQUAL: f"{self.genre}, which the query may be as well",
            Standing.NEAREST: f"the nearest of all, although it is {self.genre}",
            Standing.RELATED: f"{self.genre}, a related genre",
            Standing.OTHER: f"{self.genre}, another genre",
        }
        return said[self.standing]

    def _similarity_sentence(self) -> str:
        similarity = f"similarity {self.similarity:.3f} (1 is the same sound)"
        if self.closer_than is None:
            return similarity
        return f"{similarity}, closer than {percent(self.closer_than)} of pairs in the library"

    def _tier_sentence(self) -> str:
        tier = f"tier {self.tier}" if self.tier else "no tiers"
        score = f"{tier}: score {self.query_genre_score:.2f} for {self.genre}"
        p = self.track_genre_probability
        if p is None and self.track_genre_strength is not None:
            return f"{score}; itself {self.genre} at a strength of {self.track_genre_strength:.1f}"
        return score if p is None else f"{score}; itself {percent(p)} {self.genre}"

    def _popularity_sentence(self) -> tuple[str, ...]:
        if self.near_share is None:
            return ()
        if self.near_share >= EVERYWHERE * self.usual_share:
            share, usual = percent(self.near_share), percent(self.usual_share)
            return (f"turns up in many lists: near {share} of the library, {usual} is usual",)
        if self.near_share == 0:
            return ("turns up in few lists",)
        return ("turns up in lists about as often as most",)


def closeness(similarity: float) -> str:
    """Return in words how alike two tracks sound.

    Examples
    --------
    >>> [closeness(cosine) for cosine in (0.9, 0.7, 0.5, 0.3, 0.0)][::2]
    ['sounds very close', 'sounds similar', 'sounds different']
    """
    return next(words for least, words in CLOSENESS if similarity >= least)


def explain(
    store: Catalogue,
    index: EmbeddingIndex,
    info: ModelInfo,
    query: Query,
    query_group: str,
    rows: Sequence[Recommendation],
    tiers: Sequence[Tier],
) -> tuple[Explanation, ...]:
    """Return the figures behind each result of a query, and of its genre group, in their order."""
    if not rows:
        return ()
    analyses, sample = store.analyses([row.track.id for row in rows]), draw_sample(store, index)
    tier_of = {tier.number: tier for tier in tiers}
    explanations = []
    for row in rows:
        standing = _standing(query_group, tier_of[row.tier], row.track.genre_group)
        analysis = analyses.get(row.track.id)
        explanations.append(_explanation(info, sample, query, row, standing, analysis))
    return tuple(explanations)


def _explanation(
    info: ModelInfo,
    sample: Sample,
    query: Query,
    row: Recommendation,
    standing: Standing,
    analysis: Analysis | None,
) -> Explanation:
    group, probability, near_share = row.track.genre_group, None, None
    strength = None
    # Another process may have removed the track since the search: then it has no analysis.
    if analysis is not None:
        if group in info.labels:
            probability = float(analysis.probabilities[info.labels.index(group)])
        elif group in (styles := [style.name for style in styles_of(info.tags, info.labels)]):
            strengths = style_strengths(info, info.tag_strengths(analysis.tags)[np.newaxis])[0]
            strength = float(strengths[styles.index(group)])
        near_share = sample.near_share(row.track.id, analysis)
    return Explanation(
        genre=group,
        tier=row.tier,
        query_genre_score=row.genre_score,
        track_genre_probability=probability,
        similarity=row.similarity,
        origin=_origin(row.track, [seed.track for seed in query.seeds]),
        closer_than=sample.closer_than(row.similarity),
        near_share=near_share,
        usual_share=sample.usual_share,
        standing=standing,
        track_genre_strength=strength,
    )


def _origin(track: Track, seeds: Sequence[Track]) -> Origin:
    if any(same_album(track, seed) for seed in seeds):
        return Origin.ALBUM
    if artist_key(track) is None or None in map(artist_key, seeds):
        return Origin.UNKNOWN
    # One of several in a tag is the same artist: "Ice Cube, Mack 10 & Ms. Toi".
    ours = credited_artists(track) - NOT_AN_ARTIST
    same = any(not ours.isdisjoint(credited_artists(seed)) for seed in seeds)
    return Origin.ARTIST if same else Origin.ANOTHER


def _standing(query_group: str, tier: Tier, group: str) -> Standing:
    if group == query_group:
        return Standing.SAME
    if tier.kind == TierKind.FIRST:
        return Standing.NEARLY_EQUAL if group in tier.genres else Standing.NEAREST
    return Standing.RELATED if tier.kind == TierKind.RELATED else Standing.OTHER


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
