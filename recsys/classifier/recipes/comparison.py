"""One table: what was published, what the report's protocol gives here, and what honesty gives."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from recsys.classifier.recipes.loading import ORDER
from recsys.classifier.recipes.remarks import (
    CAUTIONS,
    about_data,
    mostly_unknown,
    not_measured,
    remarks,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.classifier.recipes.measure import Measurement
    from recsys.classifier.recipes.recipe import Recipe
    from recsys.classifier.recipes.reproduce import Failure, Task


@dataclass(frozen=True, slots=True)
class Row:
    """One recipe on one kind of data.

    Attributes
    ----------
    recipe, title, data : str
    published : float or None
        Accuracy that the report gives.
    report, honest : float or None
        Accuracy here under the report's protocol, and by track and artist.
    report_n, honest_n : int or None
        Tracks or segments judged.
    report_unit : str
        What `report_n` counts: ``track`` or ``segment``. The honest figure is always of tracks.
    report_low, report_high, honest_low, honest_high : float or None
        95% intervals (Wilson). Segments of a track are not independent, nor are tracks of an
        artist, so they are too narrow.
    report_train, honest_train : int or None
        Tracks, or segments where `report_unit` is that, that were learned from; of the fold with
        the fewest. Where they differ, so does what the figures stand for.
    unknown_artists, tracks : int or None
        Of how many tracks the artist is not known. Where it is most of them, the honest figure
        keeps tracks apart and no artists.
    leaky : bool
        The report's protocol had segments of one track on both sides.
    seed : int or None
    minutes : float or None
        Both measurements together, without decoding.
    note : str
        Why a figure is missing, or what it must not be taken for.
    """

    recipe: str
    title: str
    data: str
    published: float | None = None
    report: float | None = None
    report_n: int | None = None
    report_unit: str = ""
    report_low: float | None = None
    report_high: float | None = None
    honest: float | None = None
    honest_n: int | None = None
    honest_low: float | None = None
    honest_high: float | None = None
    report_train: int | None = None
    honest_train: int | None = None
    unknown_artists: int | None = None
    tracks: int | None = None
    leaky: bool = False
    seed: int | None = None
    minutes: float | None = None
    note: str = ""

    @property
    def artists_unknown(self) -> bool:
        """Most tracks have no known artist: "honest" keeps tracks apart, and hardly an artist."""
        return mostly_unknown(self.unknown_artists, self.tracks)


def compare(
    done: Mapping[Task, Measurement],
    failures: Sequence[Failure],
    *,
    weights: str,
    quick: bool,
    epochs: int | None = None,
) -> list[Row]:
    """Bring both measurements of each recipe into one row.

    Parameters
    ----------
    done : mapping
        Measurements that were made.
    failures : sequence of Failure
        Measurements that could not be made.
    weights : str
        Which pretrained weights were used.
    quick : bool
        Nothing was measured in earnest.
    epochs : int, optional
        The most that were allowed, if not the recipes'.

    Returns
    -------
    list of Row
        Report by report, then recipes that do not come with recsys.
    """
    pairs: dict[tuple[str, str], dict[str, Measurement]] = {}
    recipes: dict[str, Recipe] = {}
    reasons: dict[tuple[str, str], dict[str, list[str]]] = {}
    for task, measurement in done.items():
        pairs.setdefault((task.recipe.name, task.source), {})[task.way] = measurement
        recipes[task.recipe.name] = task.recipe
    for failure in failures:
        key = (failure.task.recipe.name, failure.task.source)
        pairs.setdefault(key, {})
        recipes[failure.task.recipe.name] = failure.task.recipe
        reasons.setdefault(key, {}).setdefault(failure.reason, []).append(failure.task.way)
    rows = []
    for key in sorted(pairs, key=_place):
        recipe, ways = recipes[key[0]], pairs[key]
        failed = _in_words(reasons.get(key, {}))
        notes = remarks(recipe, ways, failed, weights=weights, quick=quick, epochs=epochs)
        rows.append(_row(recipe, ways, "; ".join(notes), weights))
    return rows


def _place(key: tuple[str, str]) -> int:
    base = key[0].partition(":")[0]
    return ORDER.index(base) if base in ORDER else len(ORDER)


def _in_words(reasons: Mapping[str, Sequence[str]]) -> str:
    """Say why measurements failed: each reason once, after the ways that it stopped."""
    return "; ".join(f"{' and '.join(ways)}: {reason}" for reason, ways in reasons.items())


def _row(recipe: Recipe, ways: Mapping[str, Measurement], note: str, weights: str) -> Row:
    report, honest = ways.get("report"), ways.get("honest")
    some = report or honest
    row = Row(
        recipe=recipe.name,
        title=recipe.title,
        data=some.data if some else "",
        published=recipe.published.test,
        leaky=report.leaky if report else recipe.protocol.split == "by-segment",
        report_unit=report.unit if report else "",
        report_train=report.n_train if report else None,
        honest_train=honest.n_train if honest else None,
        unknown_artists=some.unknown_artists if some else None,
        tracks=some.n_tracks if some else None,
        seed=some.seed if some else None,
        minutes=sum(one.minutes for one in ways.values()) if ways else None,
        note=note,
    )
    if not_measured(recipe, ways, weights):
        return row
    values = asdict(row)
    for way, one in (("report", report), ("honest", honest)):
        if one is not None:
            # What a report says of songs of several genres is compared with such songs.
            figures = one.notes.get("mixed") or one.test
            low, high = figures["interval"]
            values[way], values[f"{way}_n"] = figures["accuracy"], figures["n"]
            values[f"{way}_low"], values[f"{way}_high"] = low, high
    return Row(**values)


def as_csv(rows: Sequence[Row]) -> str:
    """Return the table as CSV, with every field of :class:`Row`."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [field.name for field in fields(Row)])
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return file.getvalue()


def as_markdown(
    rows: Sequence[Row],
    recipes: Sequence[Recipe],
    done: Mapping[Task, Measurement] | None = None,
) -> str:
    """Return the table for people, and below it what they must know to read it.

    Parameters
    ----------
    rows : sequence of Row
    recipes : sequence of Recipe
        Whose readings are told.
    done : mapping, optional
        Measurements behind the rows; what is uneven or missing in their data is told.

    Returns
    -------
    str
        Markdown.
    """
    lines = [
        "| recipe | data | published | report's protocol here | honest here | seed | min | note |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{row.recipe}` | {_cell(row.data)} | {_figure(row.published)} | {_report(row)}"
        f" | {_honest(row)} | {'' if row.seed is None else row.seed}"
        f" | {'' if row.minutes is None else f'{row.minutes:.1f}'} | {_cell(row.note)} |"
        for row in rows
    ]
    lines += ["", *(f"- {caution}" for caution in CAUTIONS)]
    if about := about_data(done or {}):
        lines += ["", "The data:", "", *(f"- {line}" for line in about)]
    lines += ["", "Where the reports cannot be followed to the letter:", ""]
    for recipe in recipes:
        lines += [f"- `{recipe.name}`: {reading}" for reading in recipe.readings]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return text that stays in its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(
    low: float | None, high: float | None, n: int | None, unit: str, learned: int | None
) -> str:
    from_how_many = "" if learned is None else f"; learned from {learned}"
    return f"({low:.3f} to {high:.3f}, {n} {unit}s{from_how_many})"


def _report(row: Row) -> str:
    if row.report is None:
        return "not measured"
    mark = " leaky" if row.leaky else ""
    interval = row.report_low, row.report_high
    words = _interval(*interval, row.report_n, row.report_unit, row.report_train)
    return f"{row.report:.3f}{mark} {words}"


def _honest(row: Row) -> str:
    if row.honest is None:
        return "not measured"
    interval = row.honest_low, row.honest_high
    words = _interval(*interval, row.honest_n, "track", row.honest_train)
    mark = " by track" if row.artists_unknown else ""
    return f"{row.honest:.3f}{mark} {words}"
