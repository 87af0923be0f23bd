"""How much of a track is heard: the same model, in fewer windows.

What was heard in fewer windows is not quite what is heard in all of them, so it counts as made by
another model: its fingerprint ends in the name of the effort, and a library never mixes the two.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from recsys.features.base import Features

AnyFeatures = TypeVar("AnyFeatures", bound=Features)

FULL = "full"
"""All windows that the model's card asks for."""

EFFORTS: dict[str, int | None] = {"fast": 3, "balanced": 6, FULL: None}
"""Windows of a track at most, by the name of the effort; docs/performance.md has what each costs
and gains."""

DEFAULT_EFFORT = "balanced"
"""Of a new library: within 0.01 of the accuracy of all windows, in three fifths of the time."""


def at_effort(features: AnyFeatures, effort: str) -> AnyFeatures:
    """Return features with no more windows than an effort allows, the very same if they fit."""
    windows = EFFORTS[effort]
    if windows is None or windows >= features.max_windows:
        return features
    return replace(features, max_windows=windows)


def with_effort(fingerprint: str, effort: str) -> str:
    """Return the fingerprint of the same model where it hears with an effort."""
    known = effort_of(fingerprint)
    model = fingerprint if known == FULL else fingerprint.removesuffix(f"-{known}")
    return model if effort == FULL else f"{model}-{effort}"


def effort_of(fingerprint: str) -> str:
    """Return with which effort the model behind a fingerprint heard.

    Examples
    --------
    >>> effort_of("8217ee8834c0542f"), effort_of(with_effort("8217ee8834c0542f", "fast"))
    ('full', 'fast')
    """
    effort = fingerprint.rpartition("-")[2]
    return effort if effort in EFFORTS else FULL
