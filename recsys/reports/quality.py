"""The page that ``recsys quality --report`` writes: the table, pictures, and what they mean."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from recsys.quality import FIGURES
from recsys.reports.drawing import Picture, png
from recsys.reports.output import write_file
from recsys.reports.pages import data_uri, render
from recsys.reports.quality_figures import (
    labels_figure,
    occurrence_figure,
    precision_figure,
    tiers_figure,
)

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.quality import Quality
    from recsys.quality.bootstrap import Figure

MEANINGS = {
    "genre_precision": "The share of the tracks in a list that have the genre of the query. "
    "Always divided by {k}, also where there are fewer candidates.",
    "genre_map": "Mean average precision of the whole ranking: 1 where all tracks of the genre "
    "come before all others.",
    "artist_map": "The same for tracks by the artist of the query, in the first {k}.",
    "album_consistency": "Of the tracks of the query's album that could be in the list, how many "
    "are.",
    "coverage": "How many different tracks the lists hold, of as many as they could hold.",
    "same_artist_run": "The longest run of tracks by one artist in a list, on average.",
    "hubness_skewness": "How unevenly tracks turn up in the lists of others: 0 is even, and above "
    "about 1.4 a few tracks are everywhere.",
    "robin_hood": "The share of all places in lists that would have to move for every track to "
    "turn up as often.",
    "orphans": "The share of the tracks that are in nobody's list.",
}
"""What each figure means, with words for people who know music and no statistics."""

DRAWN = ("embedding", "recommender")
"""The systems that are drawn in detail."""


def write_quality_report(quality: Quality, path: Path) -> Path:
    """Write the page. It holds its pictures itself and needs nothing beside it.

    Parameters
    ----------
    quality : Quality
        What was measured.
    path : Path
        The page; replaced if it is there.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    MissingExtraError
        If matplotlib or jinja2 is not installed.
    RecsysError
        If it cannot be written.
    """
    return write_file(path, render("quality.html", _values(quality)))


def _values(quality: Quality) -> dict[str, Any]:
    return {
        "title": "How good the recommendations are",
        "created": f"{datetime.now().astimezone():%d %B %Y, %H:%M %Z}",
        "quality": quality,
        "labels": _label_sentence(quality),
        "rows": [
            {"title": quality.title_of(name), "cells": cells}
            for name in FIGURES
            if any(own.figures[name].value is not None for own in quality.systems)
            and (cells := [_cell(own.figures[name]) for own in quality.systems])
        ],
        "facts": _facts(quality),
        "pictures": [
            {"title": own.title, "caption": own.caption, "source": data_uri(png(own.figure))}
            for own in _pictures(quality)
        ],
        "meanings": [
            (quality.title_of(name), text.format(k=quality.k)) for name, text in MEANINGS.items()
        ],
        "expected": f"If all were recommended as often, each would be in {quality.k}.",
        "notes": [
            *(f"{own.title}: {own.note}." for own in quality.systems if own.note),
            *quality.notes,
        ],
    }


def _label_sentence(quality: Quality) -> str:
    if quality.label_source == "none":
        return "There are no labels."
    return (
        f"Labels: {quality.label_source}, {len(quality.label_counts)} different "
        f"({quality.label_reason})."
    )


def _cell(figure: Figure) -> dict[str, str]:
    if figure.value is None:
        return {"value": "", "interval": ""}
    interval = "" if figure.low is None else f"{figure.low:.3f} to {figure.high:.3f}"
    return {"value": f"{figure.value:.3f}", "interval": interval}


def _facts(quality: Quality) -> list[str]:
    lines = []
    if quality.ceiling is not None:
        title = quality.title_of("genre_precision_artist_filtered")
        lines.append(f"The best possible {title}: {quality.ceiling:.3f}.")
    if quality.purity.value is not None:
        lines.append(
            f"Tier purity: {quality.purity.value:.3f} ({quality.purity.low:.3f} to "
            f"{quality.purity.high:.3f}) of the tracks have the commonest label of their tier."
        )
    return lines


def _pictures(quality: Quality) -> list[Picture]:
    drawn = [own for own in quality.systems if own.name in DRAWN]
    possible = (
        (
            "precision",
            "Genre precision",
            "How many of the tracks in a list have the genre of the query.",
            precision_figure(quality),
        ),
        (
            "labels",
            "Label by label",
            "The same for the queries of each label, without tracks of the same artist.",
            labels_figure(quality, drawn),
        ),
        (
            "occurrences",
            "Who turns up in the lists",
            f"A flat line would be fair to all; each list has {quality.k} places.",
            occurrence_figure(quality, [quality.systems[0], *drawn]),
        ),
        (
            "tiers",
            "Labels and tiers",
            "Rows are labels, columns the genres that the model hears. The numbers are tracks.",
            tiers_figure(quality),
        ),
    )
    return [
        Picture(name, title, caption, figure)
        for name, title, caption, figure in possible
        if figure is not None
    ]
