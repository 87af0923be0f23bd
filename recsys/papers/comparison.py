"""The table of a reproduction: published figures and those measured here, as CSV, Markdown, HTML.

Every row holds numbers; :func:`formatted` alone turns them into text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recsys.errors import require
from recsys.papers.features import ImageFeatures
from recsys.papers.fit import RANDOM
from recsys.papers.recipe import RECIPE_NAMES, split_name
from recsys.papers.reproduce import WAYS
from recsys.reports.drawing import (
    EXTRA,
    PALETTE,
    Picture,
    data_uri,
    literal,
    new_figure,
    png,
    render,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from recsys.papers.measure import Measurement
    from recsys.papers.recipe import Recipe
    from recsys.papers.reproduce import FailedMeasurement, Task

FIELDS = (
    # Name and title of the recipe, and the data.
    *("recipe", "title", "data"),
    # Accuracies: of the report; here by its protocol, and by an artist-grouped split; of several
    # seeds the median one. The 95% intervals draw whole artists; n counts tracks, or segments where
    # report_unit is that.
    *("published", "report", "report_n", "report_unit", "report_low", "report_high"),
    *("honest", "honest_n", "honest_low", "honest_high"),
    # Of several seeds: their number, and the least and greatest accuracy.
    *("report_seeds", "report_least", "report_most"),
    *("honest_seeds", "honest_least", "honest_most"),
    # Tracks (segments) learned from, of the fold with the fewest.
    *("report_train", "honest_train"),
    # Of how many tracks the artist is not known.
    *("unknown_artists", "tracks"),
    # Segments of one track were on both sides under the paper protocol.
    "leaky",
    # Minutes of both measurements, without decoding.
    *("seed", "minutes", "note"),
)
"""Columns of the table; a figure that is missing is None."""

CAUTIONS = (
    "The intervals draw whole artists, for tracks of one artist and segments of one track are"
    " alike. They are of one training and one division of the data.",
    "Another seed can change the figure of a network by more than its interval: with --seeds the"
    " median is shown, with the least and the greatest.",
    "'learned from' counts what 'n' counts: segments where the report mixed them, else tracks; of"
    " several folds the fewest. The two protocols often learn from different numbers of tracks,"
    " so that their difference is not of leaks and artists alone.",
)
"""Notes that hold for every table."""

SKIPPED_SHOWN = 5
"""Skipped files that are named; of the others the number is given."""

KINDS = (
    ("published", "published", "D", PALETTE[3]),
    ("report", WAYS["report"], "o", PALETTE[1]),
    ("honest", WAYS["honest"], "s", PALETTE[0]),
)
"""Column, label, marker and colour of an accuracy in the figure."""


def compare(
    done: Mapping[Task, Measurement],
    failures: Sequence[FailedMeasurement],
    *,
    weights: str,
    quick: bool,
    epochs: int | None = None,
) -> pd.DataFrame:
    """Bring both measurements of each recipe on each source of data into one row.

    Parameters
    ----------
    done : mapping
    failures : sequence of FailedMeasurement
    weights : str
        Pretrained weights that were used.
    quick : bool
        A quick run, which measures nothing.
    epochs : int, optional
        The most that were allowed, if not the recipes'.

    Returns
    -------
    DataFrame
        With the columns FIELDS; report by report, then recipes that do not come with recsys.
    """
    found = _by_recipe([*done, *(failure.task for failure in failures)])
    reasons: dict[tuple[str, str], dict[str, list[str]]] = {key: {} for key in found}
    for failure in failures:
        key = failure.task.recipe.name, failure.task.source
        reasons[key].setdefault(failure.reason, []).append(WAYS[failure.task.way])

    def place(key: tuple[str, str]) -> int:
        base = key[0].partition(":")[0]
        return RECIPE_NAMES.index(base) if base in RECIPE_NAMES else len(RECIPE_NAMES)

    rows = []
    for key in sorted(found, key=place):
        recipe = found[key][0].recipe
        ways = _median_by_way(found[key], done)
        notes = ["quick run, measures nothing"] if quick else []
        if recipe.training is not None and epochs is not None and epochs < recipe.training.epochs:
            notes.append(f"at most {epochs} epochs instead of {recipe.training.epochs}")
        if reasons[key]:
            failed = (f"{' and '.join(of)}: {reason}" for reason, of in reasons[key].items())
            notes.append(f"could not be run, {'; '.join(failed)}")
        notes += _about_measurements(recipe, ways, weights)
        notes += _other_figures(recipe, ways.get("report"))
        row = _row(recipe, ways, "; ".join(notes), weights)
        every = [(task.way, done[task]) for task in found[key] if task in done]
        rows.append({**row, **_over_seeds(recipe, every, weights)})
    # As objects: a missing count stays None, and a whole number does not become a float.
    return require("pandas", EXTRA).DataFrame(rows, columns=list(FIELDS), dtype=object)


def _by_recipe(tasks: Sequence[Task]) -> dict[tuple[str, str], list[Task]]:
    """Return the tasks of each recipe and source of data."""
    found: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        found.setdefault((task.recipe.name, task.source), []).append(task)
    return found


def _median_by_way(
    tasks: Sequence[Task], done: Mapping[Task, Measurement]
) -> dict[str, Measurement]:
    """Return the measurement of each way: that of the median accuracy, of two the lesser."""
    found: dict[str, list[Measurement]] = {}
    for task in tasks:
        if task in done:
            found.setdefault(task.way, []).append(done[task])
    return {
        way: sorted(measured, key=_accuracy_of)[(len(measured) - 1) // 2]
        for way, measured in found.items()
    }


def _accuracy_of(measurement: Measurement) -> float:
    """Return the accuracy that is compared: of songs of several genres where a report has them."""
    return float((measurement.notes.get("mixed") or measurement.test)["accuracy"])


def _over_seeds(
    recipe: Recipe, measured: Sequence[tuple[str, Measurement]], weights: str
) -> dict[str, object]:
    """Return the columns about several seeds, and the minutes of all."""
    if not measured:
        return {}
    columns: dict[str, object] = {"minutes": sum(one.minutes for _, one in measured)}
    for way in WAYS:
        own = [one for of, one in measured if of == way]
        if len(own) > 1 and not not_measured(recipe, {way: own[0]}, weights):
            accuracies = [_accuracy_of(one) for one in own]
            values = {"seeds": len(own), "least": min(accuracies), "most": max(accuracies)}
            columns |= {f"{way}_{name}": value for name, value in values.items()}
    return columns


def _row(
    recipe: Recipe, ways: Mapping[str, Measurement], note: str, weights: str
) -> dict[str, object]:
    report, grouped = ways.get("report"), ways.get("honest")
    row: dict[str, object] = {
        **dict.fromkeys(FIELDS),
        "recipe": recipe.name,
        "title": recipe.title,
        "data": "",
        "published": recipe.published.test,
        "report_unit": report.unit if report else "",
        "leaky": report.leaky if report else recipe.protocol.split == "by-segment",
        "note": note,
    }
    if some := report or grouped:
        row["data"], row["seed"] = some.data, some.seed
        row["unknown_artists"], row["tracks"] = some.unknown_artists, some.n_tracks
    for way, one in ways.items():
        row[f"{way}_train"] = one.n_train
        if not not_measured(recipe, ways, weights):
            # A figure of a report about songs of several genres is compared with such songs.
            figures = one.notes.get("mixed") or one.test
            row[way], row[f"{way}_n"] = figures["accuracy"], figures["n"]
            row[f"{way}_low"], row[f"{way}_high"] = figures["interval"]
    return row


def not_measured(recipe: Recipe, ways: Mapping[str, Measurement], weights: str) -> bool:
    """Return whether the figures of a recipe cannot be compared with the published one.

    It began from random instead of pretrained weights, or it is about songs of several genres and
    there were none.
    """
    untrained = recipe.weights is not None and weights == RANDOM
    about_mixed = recipe.training is not None and recipe.training.loss == "sigmoid"
    return untrained or (about_mixed and not any("mixed" in one.notes for one in ways.values()))


def mostly_unknown(unknown: int | None, tracks: int | None) -> bool:
    """Return whether most artists are unknown: tracks are then separated, not artists."""
    return unknown is not None and tracks is not None and 2 * unknown > tracks


def _about_measurements(
    recipe: Recipe, ways: Mapping[str, Measurement], weights: str
) -> Iterator[str]:
    """Yield notes that the figures of a recipe need."""
    if ways and not_measured(recipe, ways, weights):
        figures = [f"{WAYS[way]} {one.test['accuracy']:.3f}" for way, one in ways.items()]
        yield f"not measured: {recipe.unmeasured}"
        yield f"ran to the end without ({', '.join(figures)})"
    grouped = ways.get("honest")
    if grouped and grouped.unknown_artists:
        unknown = f"{grouped.unknown_artists} of {grouped.n_tracks} artists unknown"
        by_track = mostly_unknown(grouped.unknown_artists, grouped.n_tracks)
        yield f"grouped by track only: {unknown}" if by_track else unknown
    for one in ways.values():
        if "mixed" in one.notes:
            n, accuracy = one.test["n"], one.test["accuracy"]
            yield f"{WAYS[one.way]}: songs of several genres; {n} tracks of one: {accuracy:.3f}"
        if mixes := one.notes.get("mixes"):
            yield (
                f"{WAYS[one.way]}: mixes of two test clips each, a stand-in for songs of two"
                f" genres: {mixes['accuracy']:.3f} of {mixes['n']}"
            )
        if check := one.notes.get("memorised"):
            yield (
                f"overfit check: {check['segments']} segments learned to"
                f" {check['accuracy']:.3f} in {check['epochs']} epochs"
            )


def _other_figures(recipe: Recipe, report: Measurement | None) -> Iterator[str]:
    """Yield the other published figures, each after the one measured here."""
    published = recipe.published
    measured: dict[str, float | None] = {}
    if report:
        measured = {"train": report.train_accuracy, "valid": _valid_accuracy(recipe, report)}
        if published.loss is not None:
            measured["loss"] = report.loss
    for name in ("train", "valid", "loss"):
        for prefix, value in (("", measured.get(name)), ("published ", getattr(published, name))):
            if value is not None:
                yield f"{prefix}{name} {value:.3f}"
    if report and "chosen" in report.notes:
        chosen = ", ".join(f"{name} = {value}" for name, value in report.notes["chosen"].items())
        counts = [f"{report.notes[key]} {key}" for key in ("fits", "trials") if key in report.notes]
        yield f"chosen: {chosen}" + (f" ({', '.join(counts)})" if counts else "")
    if published.also:
        yield f"published also: {', '.join(published.also)}"


def _valid_accuracy(recipe: Recipe, report: Measurement) -> float | None:
    """Return the accuracy on validation of the epoch that was kept; None without validation."""
    history = [entry for entry in report.history if entry.get("valid_loss") is not None]
    if recipe.training is None or not history:
        return None
    best = min(history, key=lambda entry: float(entry["valid_loss"]))
    kept = best if recipe.training.keep == "best" else history[-1]
    accuracy: float | None = kept["valid_accuracy"]
    return accuracy


def about_data(done: Mapping[Task, Measurement]) -> list[str]:
    """Return the notes on the data of all measurements, each once."""
    lines: dict[str, None] = {}
    for one in done.values():
        skipped = describe_skipped(one.notes.get("skipped_files", ()))
        for line in (*one.notes.get("data", ()), *([skipped] if skipped else [])):
            lines[f"{one.data}: {line}"] = None
    return list(lines)


def describe_skipped(files: Sequence[Sequence[str]]) -> str:
    """Name files that were left out, each a pair of name and reason; of many, some are named."""
    if not files:
        return ""
    shown = ", ".join(f"{name} ({reason})" for name, reason in files[:SKIPPED_SHOWN])
    more = f" and {len(files) - SKIPPED_SHOWN} more" if len(files) > SKIPPED_SHOWN else ""
    return f"{len(files)} file{'s' if len(files) > 1 else ''} skipped: {shown}{more}"


# Text and figures.


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as text: each accuracy with its interval and counts."""

    def accuracy(row: Any, way: str, unit: str, mark: str) -> str:  # noqa: ANN401 (a named tuple)
        value, low, high, n, learned = (
            getattr(row, f"{way}{part}") for part in ("", "_low", "_high", "_n", "_train")
        )
        if value is None:
            return "not measured"
        from_how_many = "" if learned is None else f"; learned from {learned}"
        count, least, most = (getattr(row, f"{way}_{name}") for name in ("seeds", "least", "most"))
        seeds = "" if count is None else f"; {count} seeds: {least:.3f} to {most:.3f}"
        return f"{value:.3f}{mark} ({low:.3f} to {high:.3f}, {n} {unit}s{from_how_many}{seeds})"

    rows = []
    for row in table.itertuples(index=False):
        leaky = " leaky" if row.leaky else ""
        by_track = " by track" if mostly_unknown(row.unknown_artists, row.tracks) else ""
        rows.append(
            {
                "recipe": row.recipe,
                "data": row.data,
                "published (other data)": "" if row.published is None else f"{row.published:.3f}",
                "paper protocol (its test part)": accuracy(row, "report", row.report_unit, leaky),
                "artist-grouped (its test parts)": accuracy(row, "honest", "track", by_track),
                "seed": "" if row.seed is None else str(row.seed),
                "min": "" if row.minutes is None else f"{row.minutes:.1f}",
                "note": row.note,
            }
        )
    # The figures of a row are of different tracks, which its heading says.
    accuracies = ["published (other data)", "paper protocol (its test part)"]
    columns = ["recipe", "data", *accuracies, "artist-grouped (its test parts)"]
    return require("pandas", EXTRA).DataFrame(rows, columns=[*columns, "seed", "min", "note"])


def as_markdown(
    table: pd.DataFrame, recipes: Sequence[Recipe], done: Mapping[Task, Measurement] | None = None
) -> str:
    """Return the table of :func:`compare` as Markdown, with notes on its data and the recipes."""
    text = formatted(table)

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(" ".join(c.split()).replace("|", "\\|") for c in cells) + " |"

    text["recipe"] = "`" + text["recipe"].astype(str) + "`"
    lines = [line(text.columns), line(["---"] * len(text.columns))]
    lines += [line(cells) for cells in text.itertuples(index=False)]
    lines += ["", *(f"- {caution}" for caution in CAUTIONS)]
    if about := about_data(done or {}):
        lines += ["", "The data:", "", *(f"- {entry}" for entry in about)]
    lines += ["", "Where the reports cannot be followed to the letter:", ""]
    lines += [f"- `{recipe.name}`: {reading}" for recipe in recipes for reading in recipe.readings]
    return "\n".join(lines) + "\n"


def genre_rows(done: Mapping[Task, Measurement], *, weights: str) -> list[dict[str, Any]]:
    """Return published precisions, recalls and F1 of genres with those measured here.

    Each row has ``recipe``, ``source``, ``genre``, and ``published``, ``report`` and ``honest``:
    precision, recall and F1, None where not measured. Recipes whose figures cannot be compared
    are left out.
    """
    found = []
    for (name, source), tasks in _by_recipe(list(done)).items():
        recipe, ways = tasks[0].recipe, _median_by_way(tasks, done)
        if not_measured(recipe, ways, weights):
            continue
        for genre, figures in recipe.published.per_genre.items():
            row: dict[str, Any] = {"recipe": name, "source": source, "genre": genre}
            row["published"] = (figures.precision, figures.recall, figures.f1)
            for way in WAYS:
                own = ways[way].test["per_genre"].get(genre) if way in ways else None
                row[way] = (own["precision"], own["recall"], own["f1"]) if own else None
            if row["report"] or row["honest"]:
                found.append(row)
    return found


def write_page(
    out: Path,
    table: pd.DataFrame,
    recipes: Sequence[Recipe],
    done: Mapping[Task, Measurement],
    *,
    weights: str,
    quick: bool,
) -> Path:
    """Write ``index.html`` and its figures into an existing folder; return the path of the page.

    A quick run shows no figures of genres. Raises RecsysError if a file cannot be written,
    MissingExtraError if a library is not installed.
    """
    drawn = []
    measured = table["report"].notna().any() or table["honest"].notna().any()
    possible = (
        comparison_picture(table) if measured else None,
        overfit_picture(done),
        kinds_picture(done),
    )
    for picture in filter(None, possible):
        content = png(picture.figure)
        write_file(out / picture.file_name, content)
        drawn.append({"title": picture.title, "caption": picture.caption, "uri": data_uri(content)})
    values = {
        "title": "Published systems, measured again",
        "date": datetime.now(UTC).date().isoformat(),
        "table": formatted(table),
        "pictures": drawn,
        "recipes": recipes,
        "cautions": CAUTIONS,
        "about_data": about_data(done),
        "genres": [] if quick else genre_rows(done, weights=weights),
        "splits": [
            (f"{task.recipe.name} ({task.source})", WAYS[task.way], m.split)
            for task, m in done.items()
        ],
    }
    return write_file(out / "index.html", render("reproduction.html", values))


def comparison_picture(table: pd.DataFrame) -> Picture:
    """Draw three accuracies of each recipe on one line, with the intervals of those measured."""
    shown = table[table["report"].notna() | table["honest"].notna()]
    figure = new_figure(8, 1.6 + 0.3 * len(shown))
    axes = figure.add_subplot()
    for (column, label, marker, colour), shift in zip(KINDS, (0.0, -0.16, 0.16), strict=True):
        known = shown[column].notna().to_numpy()
        heights = [number + shift for number in range(len(shown)) if known[number]]
        rows = shown[known]
        axes.scatter(
            rows[column].astype(float), heights, marker=marker, color=colour, s=34, label=label,
            zorder=2,
        )  # fmt: skip
        if column != "published":
            low, high = (rows[f"{column}_{end}"].astype(float) for end in ("low", "high"))
            axes.hlines(heights, low, high, color=colour, linewidth=1.5, zorder=1)
    from_table = shown["data"].str.startswith("public")
    axes.set_yticks(
        range(len(shown)), shown["recipe"] + from_table.map({True: " (table)", False: ""})
    )
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy")
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    caption = (
        "Lines are 95% intervals, whole artists drawn. Where the report mixed segments of one track"
        " into both sides, its protocol gives more than any new track will get; the artist-grouped"
        " figure keeps tracks and artists apart."
    )
    return Picture("comparison", "Published, paper protocol, artist-grouped", caption, figure)


def overfit_picture(done: Mapping[Task, Measurement]) -> Picture | None:
    """Draw the accuracy of every overfit check by epoch; None if there was none."""
    curves = {
        task.recipe.name: (check["segments"], check["curve"])
        for task, one in done.items()
        if (check := one.notes.get("memorised")) and check.get("curve")
    }
    if not curves:
        return None
    figure = new_figure(7.5, 4.2)
    axes = figure.subplots()
    for number, (name, (segments, curve)) in enumerate(curves.items()):
        axes.plot(
            range(1, len(curve) + 1), curve, label=literal(f"{name} ({segments} segments)"),
            color=PALETTE[number % len(PALETTE)], marker=".",
        )  # fmt: skip
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy on the tracks learned from")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    caption = (
        "A network that cannot learn a few tracks by repetition is broken. This tests no more."
    )
    return Picture("overfit", "Overfit check", caption, figure)


def kinds_picture(done: Mapping[Task, Measurement]) -> Picture | None:
    """Draw validation by epoch for every kind of image of a network; None with one kind or none."""
    found: dict[str, dict[str, Measurement]] = {}
    for task, one in done.items():
        features = task.recipe.features
        if task.way == "report" and isinstance(features, ImageFeatures) and _valid_curve(one):
            found.setdefault(split_name(task.recipe.name)[0], {}).setdefault(features.content, one)
    several = {name: kinds for name, kinds in found.items() if len(kinds) > 1}
    if not several:
        return None
    figure = new_figure(3.8 * len(several) + 0.6, 3.8)
    panels = figure.subplots(1, len(several), sharey=True, squeeze=False)[0]
    for axes, (name, kinds) in zip(panels, several.items(), strict=True):
        for number, (content, one) in enumerate(kinds.items()):
            epochs, accuracies = zip(*_valid_curve(one), strict=True)
            axes.plot(epochs, accuracies, label=content, color=PALETTE[2 * number], marker=".")
        axes.set_title(literal(name))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, title="image")
    panels[0].set_ylim(0, 1)
    panels[0].set_ylabel("accuracy on validation")
    caption = (
        "Paper protocol, the first seed. Segments of one track are in training and validation."
    )
    return Picture("kinds", "Kinds of images", caption, figure)


def _valid_curve(measurement: Measurement) -> list[tuple[int, float]]:
    """Return the epochs of a training that were validated, with the accuracy."""
    return [
        (int(entry["epoch"]), float(entry["valid_accuracy"]))
        for entry in measurement.history
        if entry.get("valid_accuracy") is not None
    ]
