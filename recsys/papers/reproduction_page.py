"""A page about a reproduction: published figures beside those measured here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recsys.papers.reproduce import CAUTIONS, about_data, not_measured
from recsys.reports.drawing import PALETTE, Picture, data_uri, new_figure, png, render, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recsys.papers.measure import Measurement
    from recsys.papers.recipe import Recipe
    from recsys.papers.reproduce import Row, Task

KINDS = (
    ("published", "published", "D", PALETTE[3]),
    ("report", "the report's protocol here", "o", PALETTE[1]),
    ("honest", "by track and artist here", "s", PALETTE[0]),
)
"""Field of a row, its words, marker and colour."""


def write_page(
    out: Path,
    rows: Sequence[Row],
    recipes: Sequence[Recipe],
    done: Mapping[Task, Measurement],
    *,
    weights: str,
    quick: bool,
) -> Path:
    """Write ``index.html`` and its picture.

    Parameters
    ----------
    out : Path
        A folder that is there.
    rows : sequence of Row
        The table.
    recipes : sequence of Recipe
        Whose readings are told.
    done : mapping
        Measurements behind the rows; genres and the data are told from them.
    weights : str
        Which pretrained weights were used.
    quick : bool
        Nothing was measured in earnest, so no figures of genres are shown.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    RecsysError
        If a file cannot be written.
    MissingExtraError
        If a library is not installed.
    """
    drawn = []
    if any(row.report is not None or row.honest is not None for row in rows):
        picture = comparison_picture(rows)
        content = png(picture.figure)
        write_file(out / picture.file_name, content)
        drawn.append({"title": picture.title, "caption": picture.caption, "uri": data_uri(content)})
    values = {
        "title": "Published systems, measured again",
        "date": datetime.now(UTC).date().isoformat(),
        "rows": rows,
        "pictures": drawn,
        "recipes": recipes,
        "cautions": CAUTIONS,
        "about_data": about_data(done),
        "genres": [] if quick else genre_rows(done, weights=weights),
        "splits": [
            (f"{task.recipe.name} ({task.source})", task.way, m.split) for task, m in done.items()
        ],
    }
    return write_file(out / "index.html", render("reproduction.html", values))


def genre_rows(done: Mapping[Task, Measurement], *, weights: str) -> list[dict[str, Any]]:
    """Set published precisions, recalls and F1 of genres beside those measured here.

    Parameters
    ----------
    done : mapping
        Measurements.
    weights : str
        Which pretrained weights were used.

    Returns
    -------
    list of dict
        ``recipe``, ``source``, ``genre``, ``published`` (precision, recall, F1 or None) and,
        where they were measured, ``report`` and ``honest`` likewise. Recipes whose figures say
        nothing about the published ones are left out.
    """
    pairs: dict[tuple[str, str], dict[str, Measurement]] = {}
    recipes: dict[str, Recipe] = {}
    for task, measurement in done.items():
        pairs.setdefault((task.recipe.name, task.source), {})[task.way] = measurement
        recipes[task.recipe.name] = task.recipe
    found = []
    for (name, source), ways in pairs.items():
        if not_measured(recipes[name], ways, weights):
            continue
        for genre, figures in recipes[name].published.per_genre.items():
            row: dict[str, Any] = {"recipe": name, "source": source, "genre": genre}
            row["published"] = (figures.precision, figures.recall, figures.f1)
            for way in ("report", "honest"):
                row[way] = _of_genre(ways.get(way), genre)
            if row["report"] or row["honest"]:
                found.append(row)
    return found


def _of_genre(measurement: Measurement | None, genre: str) -> tuple[float, float, float] | None:
    """Return precision, recall and F1 of one genre, if it was measured."""
    own = measurement.test["per_genre"].get(genre) if measurement is not None else None
    return (own["precision"], own["recall"], own["f1"]) if own else None


def comparison_picture(rows: Sequence[Row]) -> Picture:
    """Draw three accuracies of each recipe on one line, with the intervals of those from here.

    Parameters
    ----------
    rows : sequence of Row
        Those without a measurement are left out.

    Returns
    -------
    Picture
    """
    shown = [row for row in rows if row.report is not None or row.honest is not None]
    figure = new_figure(8, 1.6 + 0.3 * len(shown))
    axes = figure.add_subplot()
    for number, row in enumerate(shown):
        for shift, (field, _, marker, colour) in zip((0.0, -0.16, 0.16), KINDS, strict=True):
            value = getattr(row, field)
            if value is None:
                continue
            place = number + shift
            if field != "published":
                low, high = getattr(row, f"{field}_low"), getattr(row, f"{field}_high")
                axes.plot((low, high), (place, place), color=colour, linewidth=1.5, zorder=1)
            axes.scatter(value, place, marker=marker, color=colour, s=34, zorder=2)
    names = [f"{row.recipe}{' (table)' if row.data.startswith('public') else ''}" for row in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy")
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)
    for _, words, marker, colour in KINDS:
        axes.scatter([], [], marker=marker, color=colour, s=34, label=words)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    caption = (
        "Lines are 95% intervals, too narrow where segments of one track or tracks of one artist"
        " are counted. Where the report mixed segments of one track into both sides,"
        " its protocol gives more than any new track will get; the honest figure keeps tracks and"
        " artists apart."
    )
    return Picture("comparison", "Published, repeated, honest", caption, figure)
