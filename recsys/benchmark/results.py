"""What a measurement returns: figures with their units, in tables, beside those of peers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    Attributes
    ----------
    name : str
        What was measured, the same in every run.
    value : float
        The figure: a median, where there were several repeats.
    unit : str
        ``ms``, ``s``, ``MB``, ``tracks/s``, ``recall``; ``MB`` is 1,000,000 bytes.
    repeats : int
        How often it was measured.
    low, high : float or None
        Least and greatest of the repeats, where there were several.
    target : float or None
        What was promised: the value must not be on the wrong side of it.
    higher_is_better : bool
        Which side is the right one.
    note : str
        What the reader must know to judge it.
    """

    name: str
    value: float
    unit: str
    repeats: int = 1
    low: float | None = None
    high: float | None = None
    target: float | None = None
    higher_is_better: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"{self.name}: measured {self.repeats} times")

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept; None where nothing was promised."""
        if self.target is None:
            return None
        if self.higher_is_better:
            return self.value >= self.target
        return self.value <= self.target

    def times_better_than(self, other: Figure) -> float:
        """Return how many times better this figure is than another one of the same unit.

        Above 1 this one is better, whichever side is the right one.

        Raises
        ------
        ValueError
            The units differ, or a value is not above 0.
        """
        if (self.unit, self.higher_is_better) != (other.unit, other.higher_is_better):
            raise ValueError(f"{self.name} ({self.unit}) and {other.name} ({other.unit}) differ")
        if min(self.value, other.value) <= 0:
            raise ValueError(f"no ratio of {self.value} and {other.value}")
        ratio = self.value / other.value
        return ratio if self.higher_is_better else 1 / ratio


@dataclass(frozen=True, slots=True)
class Peer:
    """Another system, measured in the same run.

    Attributes
    ----------
    name : str
        With its version.
    figure : Figure
        Its figure.
    ratio : float
        How many times better recsys is; below 1 the peer is better.
    """

    name: str
    figure: Figure
    ratio: float


@dataclass(frozen=True, slots=True)
class Table:
    """The figures of one subject.

    Attributes
    ----------
    title : str
        The subject, with size and conditions.
    figures : tuple of Figure
        Those of recsys.
    peers : tuple of Peer
        Others beside it.
    skipped : tuple of str
        Peers that were not measured, each with the reason.
    notes : tuple of str
        What holds for all of the table.
    """

    title: str
    figures: tuple[Figure, ...]
    peers: tuple[Peer, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def figure(self, name: str) -> Figure:
        """Return a figure of recsys by its name.

        Raises
        ------
        KeyError
            There is none of this name.
        """
        found = {figure.name: figure for figure in self.figures}
        return found[name]

    def short_of(self) -> tuple[Figure, ...]:
        """Return the figures that miss what was promised."""
        return tuple(figure for figure in self.figures if figure.met is False)

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return the table of JSON values; the inverse of :meth:`as_json`."""
        return cls(
            title=fields["title"],
            figures=tuple(Figure(**figure) for figure in fields["figures"]),
            peers=tuple(
                Peer(peer["name"], Figure(**peer["figure"]), peer["ratio"])
                for peer in fields["peers"]
            ),
            skipped=tuple(fields["skipped"]),
            notes=tuple(fields["notes"]),
        )


def figure_of(name: str, values: Sequence[float], unit: str, **fields: Any) -> Figure:  # noqa: ANN401
    """Return the figure of several repeats: their median, with the least and the greatest.

    Raises
    ------
    ValueError
        There are none.
    """
    if not values:
        raise ValueError(f"{name}: not measured")
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Figure(name, median, unit, len(ordered), ordered[0], ordered[-1], **fields)


def beside(ours: Figure, name: str, figure: Figure) -> Peer:
    """Return a peer with its ratio to one of our figures."""
    return Peer(name, figure, ours.times_better_than(figure))
