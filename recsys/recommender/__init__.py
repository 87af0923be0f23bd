"""Similar tracks: the query's genre first, then the related ones, as far as they are near.

    query --taxonomy--> tiers --nearest--> candidates --ResultFilter--> Answer

Each genre group is one part of the index, so a tier of one group is one search. Candidates are
fetched only as far as the answer needs them; those that are left out are counted by reason.
"""

from recsys.genres import genre_scores
from recsys.recommender.filters import Filters
from recsys.recommender.query import OUTSIDE_LIBRARY, Query, Seed, make_query
from recsys.recommender.recommender import Answer, Recommender, SimilarOptions
from recsys.recommender.tiers import Strategy, Tier, TierKind, plan_tiers, tier_candidates

__all__ = [
    "OUTSIDE_LIBRARY",
    "Answer",
    "Filters",
    "Query",
    "Recommender",
    "Seed",
    "SimilarOptions",
    "Strategy",
    "Tier",
    "TierKind",
    "genre_scores",
    "make_query",
    "plan_tiers",
    "tier_candidates",
]
