"""The options and the results of :mod:`recsys.quality`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from recsys.checks import check_at_least, check_types
from recsys.errors import QueryError
from recsys.learned import warning_of
from recsys.quality.labels import SOURCES, LabelSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recsys.quality.metrics import Figure

EXACT_UP_TO = 5000
"""Library size up to which all tracks query unless a sample is asked for."""

DEFAULT_SAMPLE = 2000
"""Queries drawn from a larger library."""

FIGURES = {
    "genre_precision": "genre P@{k}",
    "genre_precision_artist_filtered": "genre P@{k}, other artists",
    "genre_map": "genre MAP",
    "genre_map_artist_filtered": "genre MAP, other artists",
    "tag_ndcg": "tag nDCG@{k}, other artists",
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
    """Options of a measurement of quality.

    Attributes
    ----------
    labels : str
        A :class:`~recsys.quality.labels.LabelSource`.
    k : int
        Length of a list of recommendations.
    sample : int or None
        Number of query tracks; None for all of a library of at most :data:`EXACT_UP_TO` tracks,
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
        A value is out of range or of another type.
    """

    labels: Literal["auto", "tag", "folder", "model"] | LabelSource = LabelSource.AUTO
    k: int = 10
    sample: int | None = None
    seed: int = 0
    hand_made: bool = False
    hubness: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        if self.labels not in (LabelSource.AUTO, *SOURCES):
            raise QueryError(
                f"unknown source of labels {self.labels!r}",
                f"Sources: {', '.join((LabelSource.AUTO, *SOURCES))}.",
            )
        check_at_least(1, k=self.k)
        check_at_least(0, seed=self.seed)
        # Hubness is measured among the queries: a list needs more than k of them.
        if self.sample is not None and self.sample <= self.k:
            raise QueryError(
                f"a sample of {self.sample} tracks is too small for lists of {self.k}",
                f"Give --sample {self.k + 1} or more, or leave it out.",
            )


@dataclass(frozen=True, slots=True, eq=False)
class SystemQuality:
    """Figures of one ranking; for `name`, `title` and `note` see ``systems.System``."""

    name: str
    title: str
    note: str
    figures: Mapping[str, Figure]  # by the keys of FIGURES
    per_label: Mapping[str, float]  # artist-filtered genre P@k of the queries of each label
    occurrences: tuple[int, ...]  # lists that hold each track of the sample, falling
    ranked: int  # tracks of the library that it can rank

    def heading(self, tracks: int) -> str:
        """Return the title, which says so where others rank other tracks."""
        if self.ranked == tracks:
            return self.title
        return f"{self.title} (among {self.ranked} of {tracks} tracks)"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "note": self.note,
            "ranked": self.ranked,
            **{name: figure.as_dict() for name, figure in self.figures.items()},
            "per_label": {name: round(value, 6) for name, value in self.per_label.items()},
        }


@dataclass(frozen=True, slots=True)
class TierGain:
    """A figure of the recommender less that of the embedding alone, query by query."""

    name: str  # a key of FIGURES
    difference: Figure


@dataclass(frozen=True, slots=True)
class Lift:
    """A figure of the recommender against that of a random order, query by query."""

    name: str  # a key of FIGURES
    value: float  # of the recommender
    chance: float  # of the random order, for the same queries
    difference: Figure

    @property
    def times(self) -> float | None:
        """How many times the value by chance; None where that is 0."""
        return self.value / self.chance if self.chance > 0 else None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        numbers = {"value": self.value, "chance": self.chance, "times": self.times}
        rounded = {name: None if x is None else round(x, 6) for name, x in numbers.items()}
        return {"figure": self.name, **rounded, "difference": self.difference.as_dict()}


@dataclass(frozen=True, slots=True)
class Hub:
    """A track that is in many lists."""

    track_id: int
    path: Path
    name: str
    lists: int


@dataclass(frozen=True, slots=True)
class TierPurity:
    """One genre group of the index: its labelled tracks, and the most common label among them."""

    genre: str
    tracks: int
    label: str
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """Quality of the recommendations from a library.

    Attributes
    ----------
    model : str
        Its name.
    tracks, queries : int
        In the library, and used as queries. Where these are fewer, hubness is measured among them
        alone.
    k, seed : int
    label_source : LabelSource
    label_reason : str
        Why it was chosen.
    label_counts : mapping of str to int
        Tracks by label.
    artists, unnamed : int
        Different artists, and tracks without one.
    tagged : bool
        Some track has a genre tag.
    ceiling : float or None
        Genre P@k of a perfect ranking without tracks of the same artist.
    near_duplicates : int
        Queries with a near-duplicate in their list by embedding.
    purity : Figure
        Share of the tracks that have the most common label of their tier.
    tiers : tuple of TierPurity
        The same by tier, the largest first.
    confusion : mapping of str to mapping of str to int
        Label to tier to number of tracks.
    systems : tuple of SystemQuality
        The rows of the table.
    hubs : tuple of Hub
        The tracks in most lists by embedding.
    gains : tuple of TierGain
        What tiers gain over the embedding alone, in the figures that tell.
    lift : Lift or None
        What the recommender gains over a random order, in the first figure that tells.
    learned : int or None
        Tracks that the model was trained or selected on; None if its card does not tell.
    """

    model: str
    tracks: int
    queries: int
    k: int
    seed: int
    label_source: LabelSource
    label_reason: str
    label_counts: Mapping[str, int]
    artists: int
    unnamed: int
    tagged: bool
    ceiling: float | None
    near_duplicates: int
    purity: Figure
    tiers: tuple[TierPurity, ...]
    confusion: Mapping[str, Mapping[str, int]]
    systems: tuple[SystemQuality, ...]
    hubs: tuple[Hub, ...]
    gains: tuple[TierGain, ...]
    lift: Lift | None
    learned: int | None

    def title_of(self, figure: str) -> str:
        """Return the title of a figure."""
        return FIGURES[figure].format(k=self.k)

    @property
    def meaning(self) -> str:
        """What the figures say of the recommender, then of its tiers, a sentence each."""
        return " ".join(text for text in (self._meaning_of_lift, self._meaning_of_tiers) if text)

    @property
    def _meaning_of_lift(self) -> str:
        if self.lift is None:
            return ""
        lift, difference = self.lift, self.lift.difference
        if lift.name == "tag_ndcg":
            text = f"Tag nDCG@{self.k} is {lift.value:.3f}, by chance {lift.chance:.3f} ("
        else:
            text = (
                f"Of {self.k} recommended tracks by other artists {lift.value * self.k:.1f} have"
                f" the label of the query, of {self.k} random ones {lift.chance * self.k:.1f} ("
            )
            text += f"{lift.times:.1f} times as many, " if lift.times else ""
        text += f"difference {difference.value:+.3f}"
        text += f", {difference.interval_text()})" if difference.interval_text() else ")"
        if difference.low is not None and difference.low <= 0:
            return f"{text}: not measurably better than chance."
        return f"{text}."

    @property
    def _meaning_of_tiers(self) -> str:
        if not self.gains:
            return "Nothing here tells whether genre tiers are better than similarity alone."
        parts = []
        for gain in self.gains:
            value, interval = gain.difference.value, gain.difference.interval_text()
            within = f" ({interval})" if interval else ""
            parts.append(f"{value:+.3f}{within} in {self.title_of(gain.name)}")
        lows = [gain.difference.low or 0.0 for gain in self.gains]
        highs = [gain.difference.high or 0.0 for gain in self.gains]
        better, worse = max(lows) > 0, min(highs) < 0
        if better and worse:
            verdict = "in part better and in part worse than"
        elif better or worse:
            verdict = "better than" if better else "worse than"
        else:
            verdict = "not measurably different from"
        return f"Genre tiers are {verdict} similarity alone here: {', '.join(parts)}."

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the figures are too good, a sentence each."""
        text = warning_of(self.learned, self.tracks)
        return (text,) if text else ()

    @property
    def facts(self) -> tuple[str, ...]:
        """The figures of the library as a whole, a sentence each."""
        lines = []
        if self.ceiling is not None:
            title = self.title_of("genre_precision_artist_filtered")
            lines.append(f"The best possible {title}: {self.ceiling:.3f}")
        if self.purity.value is not None:
            lines.append(
                f"Tier purity: {self.purity.value:.3f} "
                f"({self.purity.interval_text() or 'no interval'}) of the tracks have the most "
                "common label of their tier"
            )
        return tuple(lines)

    @property
    def notes(self) -> tuple[str, ...]:
        """Reservations about the figures, a sentence each."""
        n, labelled = self.tracks, sum(self.label_counts.values())
        notes = []
        if self.label_source == LabelSource.NONE:
            notes.append(f"No genre figures: {self.label_reason}.")
        if 0 < labelled < n:
            notes.append(
                f"{n - labelled} of {n} tracks have no label and take no part in genre figures."
            )
        if self.label_source == LabelSource.MODEL:
            notes.append(
                "The labels are the model's own: genre figures do not show whether it is right."
            )
        if any(gain.name == "tag_ndcg" for gain in self.gains):
            notes.append(
                "The tags are the model's too: tag nDCG shows whether lists sound alike to it."
            )
        if self.queries < n:
            notes.append(
                f"{self.queries} of {n} tracks are queries, drawn with seed {self.seed}; hubness "
                "is measured among them alone."
            )
        if self.unnamed:
            notes.append(
                f"{self.unnamed} of {n} tracks name no artist; for them 'other artists' removes "
                "nothing."
            )
        if not self.tagged:
            notes.append("No track has a genre tag, so there is no row for tag genre only.")
        notes.append(
            "Near-duplicates stay in all rankings here, though recsys similar hides them; "
            f"{self.near_duplicates} of {self.queries} queries have one in their list by embedding."
        )
        return tuple(notes)

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "warnings": list(self.warnings),
            "learned": self.learned,
            "meaning": self.meaning,
            "lift": self.lift and self.lift.as_dict(),
            "gains": {gain.name: gain.difference.as_dict() for gain in self.gains},
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
