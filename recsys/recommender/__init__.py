"""Similar tracks: the query's genre first, then the related ones; inside a genre the nearest first.

    query --taxonomy--> tiers --nearest--> candidates --ResultFilter--> Answer

Each genre group is one part of the index, so a tier is one search. Candidates are fetched only as
far as the answer needs them; those that are left out are counted by reason.
"""

from recsys.recommender.query import OUTSIDE_LIBRARY, Query, Seed, make_query
from recsys.recommender.recommender import (
    Answer,
    Recommender,
    SimilarOptions,
    Strategy,
    plan_tiers,
)
from recsys.recommender.taxonomy import genre_scores

__all__ = [
    "OUTSIDE_LIBRARY",
    "Answer",
    "Query",
    "Recommender",
    "Seed",
    "SimilarOptions",
    "Strategy",
    "genre_scores",
    "make_query",
    "plan_tiers",
]
