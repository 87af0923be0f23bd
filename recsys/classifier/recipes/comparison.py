"""One table: what was published, what the report's protocol gives here, and what honesty gives."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from recsys.classifier.recipes.loading import ORDER
from recsys.classifier.recipes.reproduce import RANDOM

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
        95% intervals (Wilson). Segments of a track are not independent, so an interval of
        segments is too narrow.
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
    leaky: bool = False
    seed: int | None = None
    minutes: float | None = None
    note: str = ""


def compare(
    done: Mapping[Task, Measurement], failures: Sequence[Failure], *, weights: str, quick: bool
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
    return [
        _row(recipes[key[0]], pairs[key], _in_words(reasons.get(key, {})), weights, quick)
        for key in sorted(pairs, key=_place)
    ]


def _place(key: tuple[str, str]) -> int:
    base = key[0].partition(":")[0]
    return ORDER.index(base) if base in ORDER else len(ORDER)


def _in_words(reasons: Mapping[str, Sequence[str]]) -> str:
    """Say why measurements failed: each reason once, after the ways that it stopped."""
    return "; ".join(f"{' and '.join(ways)}: {reason}" for reason, ways in reasons.items())


def _row(
    recipe: Recipe, ways: Mapping[str, Measurement], failed: str, weights: str, quick: bool
) -> Row:
    report, honest = ways.get("report"), ways.get("honest")
    some = report or honest
    row = Row(
        recipe=recipe.name,
        title=recipe.title,
        data=some.data if some else "",
        published=recipe.published.test,
        leaky=report.leaky if report else recipe.protocol.split == "by-segment",
        report_unit=report.unit if report else "",
        seed=some.seed if some else None,
        minutes=sum(one.minutes for one in ways.values()) if ways else None,
        note="; ".join(_notes(recipe, ways, failed, weights, quick)),
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


def not_measured(recipe: Recipe, ways: Mapping[str, Measurement], weights: str) -> bool:
    """Return whether the figures of a recipe say nothing about the published one.

    Parameters
    ----------
    recipe : Recipe
    ways : mapping
        Its measurements.
    weights : str
        Which pretrained weights were used.

    Returns
    -------
    bool
        True where it began from random weights in the place of trained ones, or where it is
        about songs of several genres and there were none.
    """
    untrained = recipe.weights is not None and weights == RANDOM
    about_mixed = recipe.training is not None and recipe.training.loss == "sigmoid"
    return untrained or (about_mixed and not any("mixed" in one.notes for one in ways.values()))


def _notes(
    recipe: Recipe, ways: Mapping[str, Measurement], failed: str, weights: str, quick: bool
) -> list[str]:
    notes = ["quick run, measures nothing"] if quick else []
    if failed:
        notes.append(f"could not be run, {failed}")
    if ways and not_measured(recipe, ways, weights):
        figures = [f"{way} {one.test['accuracy']:.3f}" for way, one in ways.items()]
        notes.append(f"not measured: {recipe.unmeasured}")
        notes.append(f"ran to the end without ({', '.join(figures)})")
    for one in ways.values():
        if "mixed" in one.notes:
            notes.append(
                f"{one.way}: of songs of several genres; of {one.test['n']} tracks of one,"
                f" {one.test['accuracy']:.3f}"
            )
        if memorised := one.notes.get("memorised"):
            notes.append(
                f"learns {memorised['segments']} segments by heart to"
                f" {memorised['accuracy']:.3f} in {memorised['epochs']} epochs"
            )
        if one.train_accuracy is not None and one.way == "report":
            notes.append(f"train {one.train_accuracy:.3f}")
    if recipe.published.train is not None:
        notes.append(f"published train {recipe.published.train:.3f}")
    return notes


def as_csv(rows: Sequence[Row]) -> str:
    """Return the table as CSV, with every field of :class:`Row`."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [field.name for field in fields(Row)])
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return file.getvalue()


def as_markdown(rows: Sequence[Row], recipes: Sequence[Recipe]) -> str:
    """Return the table for people, and below it what had to be read into the reports.

    Parameters
    ----------
    rows : sequence of Row
    recipes : sequence of Recipe
        Whose readings are told.

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
    lines += ["", "Where the reports cannot be followed to the letter:", ""]
    for recipe in recipes:
        lines += [f"- `{recipe.name}`: {reading}" for reading in recipe.readings]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return text that stays in its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None, n: int | None, unit: str) -> str:
    return f"({low:.3f} to {high:.3f}, {n} {unit}s)"


def _report(row: Row) -> str:
    if row.report is None:
        return "not measured"
    mark = " leaky" if row.leaky else ""
    words = _interval(row.report_low, row.report_high, row.report_n, row.report_unit)
    return f"{row.report:.3f}{mark} {words}"


def _honest(row: Row) -> str:
    if row.honest is None:
        return "not measured"
    words = _interval(row.honest_low, row.honest_high, row.honest_n, "track")
    return f"{row.honest:.3f} {words}"
