"""How many windows of a track are analysed: the same model, at three costs."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from recsys.features.base import Features
from recsys.types import Effort

AnyFeatures = TypeVar("AnyFeatures", bound=Features)

EFFORTS: dict[Effort, int | None] = {Effort.FAST: 3, Effort.BALANCED: 6, Effort.FULL: None}
"""Windows of a track at most, None for all that the model's card asks for; docs/performance.md has
what each costs and gains."""

DEFAULT_EFFORT = Effort.BALANCED
"""Of a new library: within 0.01 of the accuracy of all windows, in three fifths of the time."""


def at_effort(features: AnyFeatures, effort: Effort) -> AnyFeatures:
    """Return features with no more windows than an effort allows, the very same if they fit."""
    windows = EFFORTS[effort]
    if windows is None or windows >= features.max_windows:
        return features
    return replace(features, max_windows=windows)
