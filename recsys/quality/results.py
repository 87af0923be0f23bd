"""What :mod:`recsys.quality` is asked and what it answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from recsys.errors import QueryError
from recsys.quality.labels import AUTO, SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recsys.quality.metrics import Figure

EXACT_UP_TO = 5000
"""Tracks up to which all of them are queries unless a sample is asked for."""

DEFAULT_SAMPLE = 2000
"""Queries drawn from a larger library."""

FIGURES = {
    "genre_precision": "genre P@{k}",
    "genre_precision_artist_filtered": "genre P@{k}, other artists",
    "genre_map": "genre MAP",
    "genre_map_artist_filtered": "genre MAP, other artists",
    "artist_map": "artist MAP@{k}",
    "album_consistency": "album consistency@{k}",
    "coverage": "coverage",
    "same_artist_run": "same-artist run",
    "hubness_skewness": "hubness: skewness",
    "hubness_skewness_artist_filtered": "hubness: skewness, other artists",
    "robin_hood": "hubness: Robin Hood",
    "orphans": "hubness: orphans",
}
"""Every figure of a system, with its title."""


@dataclass(frozen=True, slots=True)
class QualityOptions:
    """How to measure.

    Attributes
    ----------
    labels : str
        What tracks are judged by: ``tag``, ``folder``, ``model``, or ``auto``.
    k : int
        Length of a list of recommendations.
    sample : int or None
        How many tracks query; None for all of a library of at most :data:`EXACT_UP_TO` tracks,
        and :data:`DEFAULT_SAMPLE` of a larger one.
    seed : int
        For the sample, the random rankings and the intervals.
    hand_made : bool
        Compare with hand-made features, for which the files are decoded.
    hubness : bool
        Compare ways to reduce hubness.

    Raises
    ------
    QueryError
        A value is out of range.
    """

    labels: str = AUTO
    k: int = 10
    sample: int | None = None
    seed: int = 0
    hand_made: bool = False
    hubness: bool = False

    def __post_init__(self) -> None:
        if self.labels not in (AUTO, *SOURCES):
            raise QueryError(
                f"unknown source of labels {self.labels!r}",
                f"Sources: {', '.join((AUTO, *SOURCES))}.",
            )
        if self.k < 1:
            raise QueryError(f"k must be at least 1, got {self.k}", "Ask for one track or more.")
        if self.sample is not None and self.sample <= self.k:
            raise QueryError(
                f"a sample of {self.sample} tracks is too small for lists of {self.k}",
                f"Give --sample {self.k + 1} or more, or leave it out.",
            )
        if self.seed < 0:
            raise QueryError(f"the seed must not be negative, got {self.seed}", "Give 0 or more.")


@dataclass(frozen=True, slots=True, eq=False)
class SystemQuality:
    """How good one ranking is.

    Attributes
    ----------
    name, title, note : str
        See :class:`~recsys.quality.systems.System`.
    figures : mapping of str to Figure
        By the keys of :data:`FIGURES`.
    per_label : mapping of str to float
        Genre P@k without tracks of the same artist, for the queries of each label.
    occurrences : tuple of int
        How many lists each track of the sample stands in, by falling number.
    """

    name: str
    title: str
    note: str
    figures: Mapping[str, Figure]
    per_label: Mapping[str, float]
    occurrences: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return what it says, ready for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "note": self.note,
            **{name: figure.as_dict() for name, figure in self.figures.items()},
            "per_label": {name: round(value, 6) for name, value in self.per_label.items()},
        }


@dataclass(frozen=True, slots=True)
class Hub:
    """A track that turns up in many lists."""

    track_id: int
    path: Path
    name: str
    lists: int


@dataclass(frozen=True, slots=True)
class TierPurity:
    """One part of the index: its tracks with a label, and the commonest label among them."""

    genre: str
    tracks: int
    label: str
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """How good the recommendations of a library are.

    Attributes
    ----------
    model : str
        That analysed the library.
    tracks, queries : int
        In the library, and of them those that asked. Where these are fewer, hubness is measured
        among them alone.
    k, seed : int
        As asked.
    label_source, label_reason : str
        What the tracks are judged by, and why.
    label_counts : mapping of str to int
        Tracks by label.
    artists, unnamed : int
        Different artists, and tracks that name none.
    ceiling : float or None
        Genre P@k of a perfect ranking without tracks of the same artist.
    near_duplicates : int
        Queries with a near-duplicate in their list by embedding.
    purity : Figure
        Share of the tracks that have the commonest label of their tier.
    tiers : tuple of TierPurity
        The same tier by tier, the largest first.
    confusion : mapping of str to mapping of str to int
        Label to tier to number of tracks.
    systems : tuple of SystemQuality
        The rows of the table.
    hubs : tuple of Hub
        What turns up most in the lists by embedding.
    notes : tuple of str
        What has to be known to read the table.
    """

    model: str
    tracks: int
    queries: int
    k: int
    seed: int
    label_source: str
    label_reason: str
    label_counts: Mapping[str, int]
    artists: int
    unnamed: int
    ceiling: float | None
    near_duplicates: int
    purity: Figure
    tiers: tuple[TierPurity, ...]
    confusion: Mapping[str, Mapping[str, int]]
    systems: tuple[SystemQuality, ...]
    hubs: tuple[Hub, ...]
    notes: tuple[str, ...]

    def title_of(self, figure: str) -> str:
        """Return the title of a figure for people."""
        return FIGURES[figure].format(k=self.k)

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "model": self.model,
            "tracks": self.tracks,
            "queries": self.queries,
            "sampled": self.queries < self.tracks,
            "k": self.k,
            "seed": self.seed,
            "labels": {
                "source": self.label_source,
                "reason": self.label_reason,
                "counts": dict(self.label_counts),
            },
            "artists": {"different": self.artists, "unnamed": self.unnamed},
            "ceiling": None if self.ceiling is None else round(self.ceiling, 6),
            "near_duplicates": {"treatment": "kept", "queries": self.near_duplicates},
            "tier_purity": {
                **self.purity.as_dict(),
                "tiers": [asdict(tier) for tier in self.tiers],
            },
            "systems": [system.as_dict() for system in self.systems],
            "hubs": [{**asdict(hub), "path": str(hub.path)} for hub in self.hubs],
            "notes": list(self.notes),
        }
