"""Whether the numbers that turn scores into genres can be what they are said to be.

Files made by other programs, or by hand, bring them along. One that is out of range would not
fail: it would make every genre unknown, or put NaN into every comparison of genres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

TOLERANCE = 1e-3
"""How far a row of the confusion may be from summing to 1: numbers are written down rounded."""


def check_calibration(
    labels: Sequence[str],
    temperature: float,
    thresholds: Sequence[float],
    confusion: Sequence[Sequence[float]] | None,
) -> None:
    """Raise unless a model's calibration can be meant.

    Parameters
    ----------
    labels : sequence of str
        n genres, for the message.
    temperature : float
    thresholds : sequence of float, length n
    confusion : sequence of n sequences of n floats, or None
        None where it was never measured.

    Raises
    ------
    ValueError
        Naming the number that cannot be, and what it should be.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature: {temperature:g} must be finite and above 0")
    for label, threshold in zip(labels, thresholds, strict=True):
        if not 0 <= threshold <= 1:
            raise ValueError(f"thresholds: {threshold:g} of {label} must be from 0 to 1")
    for label, row in zip(labels, confusion or (), strict=False):
        for share in row:
            if not 0 <= share <= 1 + TOLERANCE:
                raise ValueError(f"confusion: {share:g} in the row of {label} must be from 0 to 1")
        if abs(sum(row) - 1) > TOLERANCE:
            raise ValueError(f"confusion: the row of {label} sums to {sum(row):.4g}, not to 1")


def check_tags(names: Sequence[str], means: Sequence[float], deviations: Sequence[float]) -> None:
    """Raise unless every tag has a name of its own and statistics that strengths need.

    Parameters
    ----------
    names : sequence of str
        Upper and lower case count as the same.
    means, deviations : sequence of float, as many
        Of the pooled tag logits.

    Raises
    ------
    ValueError
        Naming what cannot be, and what it should be.
    """
    counts = (len(names), len(means), len(deviations))
    if len(set(counts)) != 1:
        raise ValueError("{} names, {} means, {} deviations of tags".format(*counts))
    if len({name.casefold() for name in names}) != len(names):
        raise ValueError("tags: a tag is named twice")
    for name, mean, deviation in zip(names, means, deviations, strict=True):
        if not math.isfinite(mean):
            raise ValueError(f"the mean {mean:g} of the tag {name} must be finite")
        if not (math.isfinite(deviation) and deviation > 0):
            raise ValueError(
                f"the deviation {deviation:g} of the tag {name} must be finite and above 0"
            )
