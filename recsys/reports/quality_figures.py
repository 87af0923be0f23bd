"""Pictures of how good the recommendations from a library are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.extras import require
from recsys.reports.drawing import PALETTE, legend_beside, literal, name_ticks, new_figure
from recsys.reports.output import EXTRA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from recsys.quality import Quality, SystemQuality

MOST_LABELS = 20
"""Labels that a picture has room for: the commonest."""

FEWEST_COLOURED = 0.55
"""Share of a row from which the colour is so dark that its number is written in white."""


def precision_figure(quality: Quality) -> Figure | None:
    """Draw genre P@k of every system, with and without tracks of the same artist.

    Returns
    -------
    Figure or None
        None where there are no labels.
    """
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
            (place, own.figures[name])
            for place, own in enumerate(systems)
            if own.figures[name].value is not None
        ]
        values = np.array([own.value for _, own in shown], dtype=np.float64)
        ends = np.array([(own.low, own.high) for _, own in shown], dtype=np.float64).T
        axes.errorbar(
            values, [place + shift for place, _ in shown],
            xerr=np.maximum(np.abs(ends - values), 0), label=label,
            linestyle="none", marker=marker, color=colour, capsize=3,
        )  # fmt: skip
    axes.axvline(quality.ceiling, color="0.4", linestyle=":", label="best possible, other artists")
    name_ticks(axes, [own.title for own in systems], x=False)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"genre precision in the first {quality.k}, 95% interval")
    axes.grid(axis="x", alpha=0.3)
    legend_beside(axes, 3)
    return figure


def labels_figure(quality: Quality, systems: Sequence[SystemQuality]) -> Figure | None:
    """Draw the artist-filtered genre P@k of every label, for some systems.

    Returns
    -------
    Figure or None
        None where there are no labels.
    """
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
        points = [(system.per_label.get(name), place) for place, name in enumerate(names)]
        known = [(value, place) for value, place in points if value is not None]
        values, places = zip(*known, strict=True)
        axes.scatter(values, places, marker=marker, color=colour, label=system.title, alpha=0.8)
    name_ticks(axes, [f"{name} (n = {quality.label_counts[name]})" for name in names], x=False)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"genre precision in the first {quality.k}, other artists")
    axes.grid(axis="x", alpha=0.3)
    legend_beside(axes, len(systems))
    return figure


def occurrence_figure(quality: Quality, systems: Sequence[SystemQuality]) -> Figure:
    """Draw in how many lists the tracks stand, from the commonest to the orphans."""
    figure = new_figure(7.5, 4.2)
    axes = figure.subplots()
    lines = ("-", "--", ":")
    for number, system in enumerate(systems):
        counts = system.occurrences
        places = (np.arange(len(counts)) + 0.5) / max(1, len(counts))
        style = lines[number % len(lines)]
        axes.plot(places, counts, label=system.title, color=PALETTE[2 * number], linestyle=style)
    axes.axhline(quality.k, color="0.4", linewidth=0.8)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(require("matplotlib.ticker", EXTRA).PercentFormatter(1.0))
    axes.set_xlabel("tracks, the most recommended first")
    axes.set_ylabel("lists in which a track stands")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def tiers_figure(quality: Quality) -> Figure | None:
    """Draw which labels the tracks of each tier have: numbers, and the share of the label.

    Returns
    -------
    Figure or None
        None where there are no labels, or they are the tiers.
    """
    if quality.purity.value is None:
        return None
    labels = sorted(quality.label_counts, key=lambda own: (-quality.label_counts[own], own))
    shown = sorted(labels[:MOST_LABELS])
    tiers = sorted(tier.genre for tier in quality.tiers)
    counts = np.array([[quality.confusion[label][tier] for tier in tiers] for label in shown])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(3.2 + 0.55 * len(tiers), 2.2 + 0.4 * len(shown))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > FEWEST_COLOURED else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    name_ticks(axes, tiers, x=True)
    name_ticks(axes, shown, x=False)
    axes.set_xlabel("tier: genre by the model")
    axes.set_ylabel(literal(f"label: {quality.label_source}"))
    figure.colorbar(image, ax=axes, label="share of the tracks with the label")
    return figure
