"""Similar tracks: the query's genre first, then the related ones; inside a genre the nearest first.

    query --taxonomy--> tiers --nearest--> candidates --Screen--> Answer

Every genre is one part of the index, so a tier is one search. Candidates are fetched as far as the
answer needs them, and whatever is left out on the way is counted under the name of its reason.
"""

from recsys.recommender.query import OUTSIDE_LIBRARY, Query, Seed, make_query
from recsys.recommender.recommender import (
    STRATEGIES,
    Answer,
    Recommender,
    SimilarOptions,
    Tier,
    plan_tiers,
)
from recsys.recommender.taxonomy import genre_scores

__all__ = [
    "OUTSIDE_LIBRARY",
    "STRATEGIES",
    "Answer",
    "Query",
    "Recommender",
    "Seed",
    "SimilarOptions",
    "Tier",
    "genre_scores",
    "make_query",
    "plan_tiers",
]
