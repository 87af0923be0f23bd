"""Tiers: which genre groups come first, which follow, and where a tier ends.

    first tier   the query's genre group, and those that score nearly as much
    then         one tier for each related group, by score
    last         everything else, by similarity, whatever its genre

Genre groups say what kind of music is wanted, the embedding how near a track is. So a tier ends
where its tracks are no longer near: a library with five tracks of a genre has other music that is
nearer to the query than the least similar track of a related one.

The three figures below were measured on tracks of GTZAN that the model had not learned from (two
networks, each trained on the other's half, by artist), in full libraries and in libraries with one
genre cut to 3, 5 or 8 tracks: ``tests/benchmarks/compare_rankings.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from heapq import merge
from itertools import takewhile
from typing import TYPE_CHECKING

from recsys.recommender.query import TASTE_REACH, by_taste
from recsys.types import NOT_MUSIC, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys.recommender.query import Candidate, Search
    from recsys.taste.ranking import Taste
    from recsys.types import FloatArray

NEARLY_EQUAL = 1 / 3
"""Share of the best score from which a genre group is in the first tier.

So one seed of three puts its genre there. Between a half and a fifth the share hardly matters.
"""

RELATED = 1 / 10
"""Share of the best score from which a genre group is related and has a tier of its own.

Groups of lower scores were worse than the nearest tracks of any genre, in thin libraries by far.
"""

ENDS_AT = 0.4
"""Cosine below which a tier ends.

The higher, the less the genre counts, and every weight of the genre costs a little agreement with
tags that the ranking does not see. This is the lowest at which it costs no more than one per cent
of what similarity alone reaches. Two random tracks have a cosine of 0.02 (median), the nearest of
320 one of 0.75, the twentieth one of 0.48. In a model whose cosines are all higher, tiers end with
their groups.
"""

AS_NEAR_AS_CAN_BE = 0.85
"""Cosine of a result from which no track of the library is looked for that is nearer: it would not
sound nearer, and in a large library the search costs more than the answer."""


class Strategy(StrEnum):
    """How results are ranked."""

    TIERS = "tiers"
    """By genre group as far as tracks are near, then by similarity."""

    SIMILARITY = "similarity"
    """By similarity alone."""


class TierKind(StrEnum):
    """What the tracks of a tier have in common."""

    FIRST = "first"
    """Their genre group is the query's, or scores nearly as much."""

    RELATED = "related"
    """Their genre group is the next one by score."""

    OTHER = "other"
    """Nothing: they come after all others, by similarity."""

    SIMILARITY = "similarity"
    """Nothing: there are no tiers."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Genre groups that are ranked together by similarity."""

    number: int  # from 1; 0 for a ranking by similarity alone
    kind: TierKind
    genres: tuple[str, ...]  # empty for all of them
    ends_at: float = -1.0  # cosine: tracks further away are not in the tier

    def holds(self, candidate: Candidate) -> bool:
        """Return whether a track is in the tier, if it is in no earlier one."""
        in_group = not self.genres or candidate.track.genre_group in self.genres
        return in_group and candidate.similarity >= self.ends_at


def plan_tiers(
    group: str,
    scores: Sequence[tuple[str, float]],
    genre: str | None = None,
    strategy: str = Strategy.TIERS,
) -> list[Tier]:
    """Return the tiers in which a query searches the library, best first.

    A query of group ``unknown`` has one tier, ranked by similarity. `scores` come best first. With
    `genre`, only that group is left, all of it, and keeps the number of its tier.

    Examples
    --------
    >>> scores = [("disco", 0.42), ("reggae", 0.38), ("pop", 0.09), ("jazz", 0.01)]
    >>> for tier in plan_tiers("disco", scores):
    ...     print(tier.number, tier.kind, tier.genres)
    1 first ('disco', 'reggae')
    2 related ('pop',)
    3 other ()
    """
    if strategy == Strategy.SIMILARITY or group == UNKNOWN:
        return [Tier(0, TierKind.SIMILARITY, () if genre is None else (genre,))]
    best = scores[0][1]
    # All speech comes before music for a query of speech, however far: that is no matter of taste.
    ends_at = -1.0 if group in NOT_MUSIC else ENDS_AT
    first = tuple(name for name, score in scores if score >= NEARLY_EQUAL * best)
    related = [name for name, score in scores[len(first) :] if score >= RELATED * best]
    tiers = [Tier(1, TierKind.FIRST, first, ends_at)]
    tiers += [
        Tier(number, TierKind.RELATED, (name,), ENDS_AT)
        for number, name in enumerate(related, start=2)
    ]
    other = Tier(len(tiers) + 1, TierKind.OTHER, ())
    if genre is None:
        return [*tiers, other]
    own = next((tier for tier in tiers if genre in tier.genres), other)
    return [Tier(own.number, own.kind, (genre,))]


def tier_candidates(
    tiers: Sequence[Tier],
    position: int,
    search: Search,
    query: FloatArray,
    expected: int,
    taste: Taste | None = None,
) -> Iterator[Candidate]:
    """Yield the tracks of a tier that are in no earlier one, nearest first, equals by id.

    `query` has shape (d,) and unit length; `expected` is how many tracks are expected to be taken.
    With a `taste`, the best come first: :func:`recsys.recommender.query.by_taste`.
    """
    if taste is not None:
        expected = max(expected, TASTE_REACH)
    return by_taste(_nearest_of_tier(tiers, position, search, query, expected), taste)


def _nearest_of_tier(
    tiers: Sequence[Tier], position: int, search: Search, query: FloatArray, expected: int
) -> Iterator[Candidate]:
    tier, earlier = tiers[position], tiers[:position]
    if not tier.genres:
        found = search(None, query, expected)
        return (near for near in found if not any(other.holds(near) for other in earlier))
    groups = [search(genre, query, expected) for genre in tier.genres]
    merged = merge(*groups, key=lambda near: (-near.similarity, near.track.id))
    return takewhile(lambda near: near.similarity >= tier.ends_at, merged)
