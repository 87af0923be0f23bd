"""Curves of a number over a playlist: energy that rises, tempo that stays."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recsys.errors import QueryError
from recsys.types import TRACK_NUMBERS


class Shape(StrEnum):
    """The course of a number from the first track to the last."""

    RISE = "rise"
    FALL = "fall"
    ARC = "arc"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Curve:
    """A number of tracks and its course, ``Curve.parse("energy=rise")``.

    QueryError for a number or shape that is not known.
    """

    number: str  # one of recsys.types.TRACK_NUMBERS
    shape: Shape

    def __post_init__(self) -> None:
        if self.number not in TRACK_NUMBERS:
            raise QueryError(
                f"tracks have no {self.number!r} for a curve", f"Known: {', '.join(TRACK_NUMBERS)}."
            )
        if self.shape not in list(Shape):
            raise QueryError(f"unknown shape {self.shape!r}", f"Shapes: {', '.join(Shape)}.")

    @classmethod
    def parse(cls, text: str) -> Curve:
        """Return the curve of ``NUMBER=SHAPE``."""
        number, equals, shape = text.partition("=")
        if not equals or shape.strip() not in list(Shape):
            raise QueryError(
                f"{text!r} is not a curve", f"Give NUMBER=SHAPE, a shape of {', '.join(Shape)}."
            )
        return cls(number.strip(), Shape(shape.strip()))

    def __str__(self) -> str:
        return f"{self.number}={self.shape}"

    def target(self, progress: float, start: float) -> float:
        """Return the quantile at a progress in [0, 1], for a list whose first track has `start`.

        A rise begins at the first track, but in the lower half, so that there is a rise; a fall
        begins in the upper half, an arc comes back to where it began.

        Examples
        --------
        >>> [Curve.parse("energy=arc").target(at, 0.2) for at in (0, 0.25, 0.5, 1)]
        [0.2, 0.6, 1.0, 0.2]
        """
        low, high = min(start, 0.5), max(start, 0.5)
        match self.shape:
            case Shape.RISE:
                return low + (1 - low) * progress
            case Shape.FALL:
                return high * (1 - progress)
            case Shape.ARC:
                return low + (1 - low) * (1 - abs(2 * progress - 1))
            case Shape.STEADY:
                return start
