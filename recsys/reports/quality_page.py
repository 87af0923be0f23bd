"""The page of ``recsys quality --report``: the table, plots, and explanations."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.errors import require
from recsys.quality import FIGURES
from recsys.quality.labels import LabelSource
from recsys.reports.drawing import (
    EXTRA,
    PALETTE,
    Picture,
    counts_figure,
    data_uri,
    legend_right,
    name_ticks,
    new_figure,
    png,
    render,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from recsys.quality import Quality, SystemQuality
    from recsys.quality.metrics import Figure as Measured

MOST_LABELS = 20
"""Labels in a plot: the most common."""

MEANINGS = {
    "genre_precision": "The share of the tracks in a list that have the genre of the query. "
    "Always divided by {k}, also where there are fewer candidates.",
    "genre_map": "Mean average precision of the whole ranking: 1 where all tracks of the genre "
    "come before all others.",
    "artist_map": "The same for tracks by the artist of the query, in the first {k}.",
    "tag_ndcg": "How much the tracks of a list share the model's tags with the query; earlier "
    "ranks count more, 1 is the best possible order. Tracks of the same artist are left out.",
    "album_consistency": "Of the tracks of the query's album that could be in the list, how many "
    "are.",
    "coverage": "How many different tracks the lists hold, of as many as they could hold.",
    "same_artist_run": "The longest run of tracks by one artist in a list, on average.",
    "hubness_skewness": "How unevenly tracks turn up in the lists of others: 0 is even, and above "
    "about 1.4 a few tracks are everywhere.",
    "robin_hood": "The share of all list entries that would have to move for every track to "
    "turn up as often.",
    "orphans": "The share of the tracks that are in no list.",
}
"""Explanations for readers who know music and no statistics."""

DRAWN = ("embedding", "recommender")
"""The systems that are drawn in detail."""


def write_quality_report(quality: Quality, path: Path) -> Path:
    """Write the page, one file that embeds its plots, and return its path.

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
        "title": "Quality of the recommendations",
        "created": f"{datetime.now().astimezone():%d %B %Y, %H:%M %Z}",
        "quality": quality,
        "warnings": quality.warnings,
        "labels": _label_sentence(quality),
        "rows": [
            {"title": quality.title_of(name), "cells": cells}
            for name in FIGURES
            if any(own.figures[name].value is not None for own in quality.systems)
            and (cells := [_cell(own.figures[name]) for own in quality.systems])
        ],
        "facts": [quality.meaning, *(f"{fact}." for fact in quality.facts)],
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
    if quality.label_source == LabelSource.NONE:
        return "There are no labels."
    return (
        f"Labels: {quality.label_source}, {len(quality.label_counts)} different "
        f"({quality.label_reason})."
    )


def _cell(figure: Measured) -> dict[str, str]:
    if figure.value is None:
        return {"value": "", "interval": ""}
    return {"value": f"{figure.value:.3f}", "interval": figure.interval_text()}


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
            "Occurrences in the lists",
            f"A flat line would mean no hubs; each list has {quality.k} entries.",
            occurrence_figure(quality, [quality.systems[0], *drawn]),
        ),
        (
            "tiers",
            "Labels and tiers",
            "Rows are labels, columns the genres of the model. The numbers are tracks.",
            tiers_figure(quality),
        ),
    )
    return [
        Picture(name, title, caption, figure)
        for name, title, caption, figure in possible
        if figure is not None
    ]


# Plots


def precision_figure(quality: Quality) -> Figure | None:
    """Draw genre P@k of every system, with and without the same artist; None without labels."""
    systems = list(reversed(quality.systems))
    if quality.ceiling is None:
        return None
    figure = new_figure(8.0, 1.8 + 0.5 * len(systems))
    axes = figure.subplots()
    looks = (
        ("genre_precision", "all tracks", 0.12, "o", PALETTE[0]),
        ("genre_precision_artist_filtered", "other artists", -0.12, "s", PALETTE[6]),
    )
    for name, label, shift, marker, colour in looks:
        shown = [
            (height, own.figures[name])
            for height, own in enumerate(systems)
            if own.figures[name].value is not None
        ]
        values = np.array([own.value for _, own in shown], dtype=np.float64)
        # Without an interval (None becomes NaN) no bar is drawn.
        ends = np.array([(own.low, own.high) for _, own in shown], dtype=np.float64).T
        axes.errorbar(
            values, [height + shift for height, _ in shown],
            xerr=np.maximum(np.abs(ends - values), 0), label=label,
            linestyle="none", marker=marker, color=colour, capsize=3,
        )  # fmt: skip
    axes.axvline(quality.ceiling, color="0.4", linestyle=":", label="best possible, other artists")
    name_ticks(axes, [own.title for own in systems], x=False)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"genre precision in the first {quality.k}, 95% interval")
    axes.grid(axis="x", alpha=0.3)
    legend_right(axes, 3)
    return figure


def labels_figure(quality: Quality, systems: Sequence[SystemQuality]) -> Figure | None:
    """Draw the artist-filtered genre P@k of every label, for some systems; None without labels."""
    commonest = sorted(
        (label for label in quality.label_counts if any(label in s.per_label for s in systems)),
        key=lambda label: (-quality.label_counts[label], label),
    )[:MOST_LABELS]
    if not commonest:
        return None
    figure = new_figure(7.5, 1.6 + 0.38 * len(commonest))
    axes = figure.subplots()
    names = list(reversed(commonest))
    for system, marker, colour in zip(systems, ("o", "s"), (PALETTE[0], PALETTE[6]), strict=True):
        points = [(system.per_label.get(name), height) for height, name in enumerate(names)]
        known = [(value, height) for value, height in points if value is not None]
        values, heights = zip(*known, strict=True)
        axes.scatter(values, heights, marker=marker, color=colour, label=system.title, alpha=0.8)
    name_ticks(axes, [f"{name} (n = {quality.label_counts[name]})" for name in names], x=False)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"genre precision in the first {quality.k}, other artists")
    axes.grid(axis="x", alpha=0.3)
    legend_right(axes, len(systems))
    return figure


def occurrence_figure(quality: Quality, systems: Sequence[SystemQuality]) -> Figure:
    """Draw the number of lists of each track, from the hubs to the orphans."""
    figure = new_figure(7.5, 4.2)
    axes = figure.subplots()
    lines = ("-", "--", ":")
    for number, system in enumerate(systems):
        counts = system.occurrences
        shares = (np.arange(len(counts)) + 0.5) / max(1, len(counts))
        style = lines[number % len(lines)]
        axes.plot(shares, counts, label=system.title, color=PALETTE[2 * number], linestyle=style)
    axes.axhline(quality.k, color="0.4", linewidth=0.8)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(require("matplotlib.ticker", EXTRA).PercentFormatter(1.0))
    axes.set_xlabel("tracks, the most recommended first")
    axes.set_ylabel("lists that hold a track")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def tiers_figure(quality: Quality) -> Figure | None:
    """Draw the labels of the tracks of each tier; None without labels, or if they are the tiers."""
    if quality.purity.value is None:
        return None
    labels = sorted(quality.label_counts, key=lambda own: (-quality.label_counts[own], own))
    figure, _ = counts_figure(
        sorted(labels[:MOST_LABELS]),
        sorted(tier.genre for tier in quality.tiers),
        quality.confusion,
        row_title=f"label: {quality.label_source}",
        column_title="tier: genre by the model",
        share_title="share of the tracks with the label",
    )
    return figure
