"""Where the windows of a track lie."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MORE_PLACES = 4
"""Silent windows are replaced; for that, so many times more places than windows are looked at."""


def plan_offsets(
    duration_s: float, window_s: float, max_windows: int, overlap: float = 0.0
) -> list[float]:
    """Return offsets in seconds, ascending, that spread windows evenly over a track.

    Each window is centred in one of `count` equal parts of the track, so that a few more samples
    at the start (a codec's delay) move no window by more than that. `overlap` is the share of a
    window that it has in common with the next, where the track is too short for separate windows.

    Examples
    --------
    >>> plan_offsets(12.0, 3.0, 10)
    [0.0, 3.0, 6.0, 9.0]
    >>> plan_offsets(1.0, 3.0, 10)
    [0.0]
    >>> len(plan_offsets(3600.0, 3.0, 10))
    10
    >>> plan_offsets(7.5, 3.0, 10, overlap=0.5)
    [0.0, 1.5, 3.0, 4.5]
    """
    step = window_s * (1.0 - overlap)
    count = min(max_windows, max(1, round((duration_s - overlap * window_s) / step)))
    last = max(0.0, duration_s - window_s)
    if overlap and count > 1 and count * window_s > duration_s:
        return [last * i / (count - 1) for i in range(count)]
    part = duration_s / count
    return [min(last, max(0.0, (i + 0.5) * part - window_s / 2)) for i in range(count)]


def where_there_is_sound(
    planned: Sequence[float],
    duration_s: float,
    window_s: float,
    audible: Callable[[float], bool],
) -> list[float]:
    """Return offsets of as many windows with sound: the planned ones, and others for silent ones.

    The others lie between windows with sound, then on the border of the silence. A track that
    seems silent is looked at from its start and its end inwards. Without any sound: those planned.

    Examples
    --------
    >>> where_there_is_sound([5.0, 15.0, 25.0], 30.0, 3.0, lambda offset: offset < 20)
    [5.0, 10.0, 15.0]
    """
    known = {offset: audible(offset) for offset in planned}
    if not any(known.values()):
        for end in (0.0, max(0.0, duration_s - window_s)):
            if all(abs(end - other) >= window_s for other in known):
                known[end] = audible(end)
    wanted = len(planned)
    for _ in range(MORE_PLACES * wanted):
        offset = _between(known, window_s)
        if sum(known.values()) >= wanted or offset is None:
            break
        known[offset] = audible(offset)
    return sorted(offset for offset, sounds in known.items() if sounds) or list(planned)


def _between(known: dict[float, bool], window_s: float) -> float | None:
    """Return the middle of the widest gap, of those between windows with sound if any has room."""
    gaps = [
        (known[before] + known[after], after - before, before)
        for before, after in pairwise(sorted(known))
        if after - before >= 2 * window_s
    ]
    if not gaps:
        return None
    _, width, before = max(gaps)
    return before + width / 2
