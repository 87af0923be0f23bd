"""The key of a sound, from sonara's candidates, and how certain it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from recsys.keys import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

OFFSET, BY_SCORE, BY_MARGIN = -7.16, 8.64, 4.89
"""Logistic regression of "the key is right" on the score of the best candidate and on sonara's
confidence, which is its lead over the second: fitted by ``tests/benchmarks/compare_mix.py``."""


class FoundKey(NamedTuple):
    """A key, and the share of keys found like it that are right."""

    key: str
    confidence: float


def find_key(candidates: Sequence[Sequence[object]], lead: float) -> FoundKey | None:
    """Return the key of sonara's candidates: names, Camelot codes and scores, the best first."""
    if not candidates:
        return None
    name, _, score = candidates[0]
    key = key_of(str(name))
    if key is None:
        return None
    logit = OFFSET + BY_SCORE * float(str(score)) + BY_MARGIN * lead
    return FoundKey(key, round(1 / (1 + math.exp(-logit)), 3))
