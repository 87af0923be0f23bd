"""A page about a reproduction: published figures beside those measured here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recsys.reports.drawing import PALETTE, Picture, new_figure, png
from recsys.reports.output import write_file
from recsys.reports.pages import data_uri, render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recsys.classifier.recipes import Recipe
    from recsys.classifier.recipes.comparison import Row
    from recsys.classifier.recipes.measure import Measurement

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
    measurements: Sequence[Measurement],
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
    measurements : sequence of Measurement
        Behind the rows; genres are told from them.

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
        "genres": genre_rows(recipes, measurements),
        "splits": [(m.recipe, m.way, m.split) for m in measurements],
    }
    return write_file(out / "index.html", render("reproduction.html", values))


def genre_rows(
    recipes: Sequence[Recipe], measurements: Sequence[Measurement]
) -> list[dict[str, Any]]:
    """Set published recalls and precisions of genres beside those measured here.

    Parameters
    ----------
    recipes, measurements
        As in :func:`write_page`.

    Returns
    -------
    list of dict
        ``recipe``, ``genre``, ``published`` (precision, recall) and, where they were measured,
        ``report`` and ``honest`` likewise.
    """
    measured = {(m.recipe, m.way): m.test["per_genre"] for m in measurements}
    found = []
    for recipe in recipes:
        for genre, figures in recipe.published.per_genre.items():
            row: dict[str, Any] = {"recipe": recipe.name, "genre": genre}
            row["published"] = (figures.precision, figures.recall)
            for way in ("report", "honest"):
                own = measured.get((recipe.name, way), {}).get(genre)
                row[way] = (own["precision"], own["recall"]) if own else None
            if row["report"] or row["honest"]:
                found.append(row)
    return found


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
        "Lines are 95% intervals. Where the report mixed segments of one track into both sides,"
        " its protocol gives more than any new track will get; the honest figure keeps tracks and"
        " artists apart."
    )
    return Picture("comparison", "Published, repeated, honest", caption, figure)
