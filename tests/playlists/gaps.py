"""Whether a list keeps its artists apart."""

from __future__ import annotations

from collections.abc import Sequence


def gap_holds(artists: Sequence[str | None], gap: int) -> bool:
    """Return whether at least `gap` other tracks are between any two of one artist."""
    last: dict[str, int] = {}
    for position, artist in enumerate(artists):
        if artist is None:
            continue
        if artist in last and position - last[artist] <= gap:
            return False
        last[artist] = position
    return True
