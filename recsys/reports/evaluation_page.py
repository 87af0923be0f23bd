"""The folder of ``recsys model evaluate --report``: a page, its plots, and the figures."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.classifier.training.evaluate import as_dict, reliability
from recsys.errors import require
from recsys.reports.drawing import (
    EXTRA,
    PALETTE,
    Picture,
    counts_figure,
    data_uri,
    literal,
    name_ticks,
    new_figure,
    png,
    remove_stale,
    render,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.evaluate import (
        Evaluation,
        FolderEvaluation,
        ReliabilityBin,
    )

CURVES = {
    "loss": (("loss", "training"), ("valid_loss", "validation")),
    "accuracy": (("accuracy", "training"), ("valid_accuracy", "validation")),
}
"""Panel to the keys of a history that it shows, and their names."""

NO_CURVES = (
    "The card of this model has no history of its training, so there are no curves to show. Models "
    "of this version of recsys train have one."
)


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The data of the report of an evaluation."""

    result: FolderEvaluation
    card: ModelCard
    directory: Path  # of the music
    split: Path | None  # list of the tracks; None for all of the folder
    missing: int  # tracks of the list that are not in the folder
    unknown_genres: Mapping[str, int]  # genres that the model does not have, to their tracks
    empty_genres: tuple[str, ...]  # genre folders without audio
    created: datetime
    learned: int | None  # tracks that the model learned from; None if its card does not tell
    warnings: tuple[str, ...]  # why the figures are too good


def write_report(report: EvaluationReport, out: Path) -> list[Path]:
    """Write ``index.html``, its plots as PNG, ``per-genre.csv`` and ``report.json``.

    The page embeds its plots; the PNG files are for other uses.

    Parameters
    ----------
    report : EvaluationReport
    out : Path
        A folder that passed :func:`recsys.reports.drawing.check_ready`.

    Returns
    -------
    list of Path
        The files, the page first.

    Raises
    ------
    RecsysError
        If a file cannot be written.
    """
    pictures = _pictures(report)
    # Only the curves are optional; the other files are overwritten.
    if all(picture.name != "curves" for picture in pictures):
        remove_stale(out, ["curves"])
    drawn = [(picture, png(picture.figure)) for picture in pictures]  # once, for page and file
    page = render("evaluation.html", _values(report, drawn))
    return [
        write_file(out / "index.html", page),
        write_file(out / "report.json", json.dumps(numbers(report), indent=2) + "\n"),
        write_file(out / "per-genre.csv", per_genre_csv(report.result.evaluation)),
        *(write_file(out / picture.file_name, content) for picture, content in drawn),
    ]


def numbers(report: EvaluationReport) -> dict[str, Any]:
    """Return all figures of a report, plain and ready for JSON."""
    training = report.card.training
    return {
        "model": {
            "name": report.card.name,
            "fingerprint": report.card.fingerprint,
            "seed": training.get("seed"),
            "training_split": training.get("split"),
        },
        "directory": str(report.directory),
        "split": None if report.split is None else str(report.split),
        "created": report.created.isoformat(timespec="seconds"),
        "learned": report.learned,
        "warnings": list(report.warnings),
        **as_dict(report.result.evaluation),
        "reliability": [asdict(own) for own in reliability(report.result.predictions)],
        "predictions": [
            {**asdict(own), "path": str(own.path)} for own in report.result.predictions
        ],
        "missing": report.missing,
        "unknown_genres": dict(report.unknown_genres),
        "empty_genres": list(report.empty_genres),
        "failed": [{"path": str(path), "reason": why} for path, why in report.result.failed],
        "history": training.get("history", []),
    }


def per_genre_csv(evaluation: Evaluation) -> str:
    """Return precision, recall, F1 and the number of tracks of every genre as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("genre", "n", "precision", "recall", "f1"))
    for genre, own in evaluation.per_genre.items():
        writer.writerow((genre, own.n, own.precision, own.recall, own.f1))
    return text.getvalue()


def _pictures(report: EvaluationReport) -> list[Picture]:
    evaluation = report.result.evaluation
    pictures = [
        Picture(
            "per-genre",
            "Precision, recall and F1",
            "The grey bar joins precision and recall of a genre.",
            genres_figure(evaluation),
        ),
        Picture(
            "confusion",
            "Confusion",
            "Rows are true genres. The numbers are tracks; the colour is their share of the row.",
            confusion_figure(evaluation.confusion),
        ),
        Picture(
            "reliability",
            "Reliability",
            "Where the line is below the diagonal, the model is overconfident. Grey: the number "
            "of tracks of each point.",
            reliability_figure(reliability(report.result.predictions), evaluation.ece),
        ),
    ]
    training = report.card.training
    curves = curves_figure(training.get("history") or [], training.get("best_epoch"))
    if curves is not None:
        caption = "From the model's card; not measured for this report."
        pictures.append(Picture("curves", "Training and validation curves", caption, curves))
    return pictures


def _values(report: EvaluationReport, drawn: Sequence[tuple[Picture, bytes]]) -> dict[str, Any]:
    return {
        "title": f"Evaluation of {report.card.name}",
        "created": f"{report.created:%d %B %Y, %H:%M %Z}",
        "warnings": report.warnings,
        "evaluation": report.result.evaluation,
        "facts": _facts(report),
        "pictures": [
            {"title": own.title, "caption": own.caption, "source": data_uri(content)}
            for own, content in drawn
        ],
        "no_curves": "" if any(own.name == "curves" for own, _ in drawn) else NO_CURVES,
        "left_out": left_out(report),
    }


def _facts(report: EvaluationReport) -> list[tuple[str, str]]:
    card, training = report.card, report.card.training
    seed = training.get("seed")
    trained_on = training.get("split") or "not in the card"
    return [
        ("model", card.name),
        ("fingerprint", card.fingerprint),
        ("architecture", card.architecture),
        ("trained on", str(trained_on)),
        ("tracks it learned from", _learned(report)),
        ("seed of the training", "not in the card" if seed is None else str(seed)),
        ("seed of the evaluation", "none: nothing in it is random"),
        ("music", str(report.directory)),
        ("tracks", "all of the folder" if report.split is None else f"those in {report.split}"),
        ("genres with tracks", str(len(report.result.evaluation.per_genre))),
    ]


def _learned(report: EvaluationReport) -> str:
    if report.learned is None:
        return "not in the card"
    return f"{report.learned} of these {report.result.evaluation.n + len(report.result.failed)}"


def left_out(report: EvaluationReport) -> list[str]:
    """Return a line for everything that was left out."""
    lines = []
    if report.missing:
        lines.append(f"{report.missing} tracks of the list are not in the folder")
    lines += [
        f"the model does not know the genre {genre!r}: {count} tracks"
        for genre, count in sorted(report.unknown_genres.items())
    ]
    lines += [f"the genre folder {genre!r} holds no audio" for genre in report.empty_genres]
    lines += [f"{path}: {reason}" for path, reason in report.result.failed]
    return lines


# Plots of an evaluation and of the training


def confusion_figure(confusion: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw a confusion matrix: true genre to predicted genre to number of tracks."""
    figure, axes = counts_figure(
        list(confusion),
        list(next(iter(confusion.values()))),
        confusion,
        row_title="true genre",
        column_title="predicted genre",
        share_title="share of the tracks of the true genre",
    )
    axes.set_title(f"Confusion of {sum(sum(row.values()) for row in confusion.values())} tracks")
    return figure


def curves_figure(history: Sequence[Mapping[str, Any]], best_epoch: int | None) -> Figure | None:
    """Draw loss and accuracy over the epochs of a card's history; None where it has neither."""
    panels = {
        panel: lines
        for panel, keys in CURVES.items()
        if (lines := {name: line for key, name in keys if (line := _line(history, key))})
    }
    if not panels:
        return None
    figure = new_figure(5.2 * len(panels), 4.2)
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (panel, lines) in zip(row, panels.items(), strict=True):
        _draw_curves(axes, panel, lines, best_epoch)
    return figure


def _line(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    """Return (epoch, value) where there is a value."""
    points = ((entry["epoch"], entry.get(key)) for entry in history)
    return [(int(epoch), float(value)) for epoch, value in points if value is not None]


def _draw_curves(
    axes: Axes, panel: str, lines: Mapping[str, list[tuple[int, float]]], best_epoch: int | None
) -> None:
    looks = {"training": (PALETTE[0], "-", "o"), "validation": (PALETTE[6], "--", "s")}
    for name, points in lines.items():
        colour, line, marker = looks[name]
        epochs, values = zip(*points, strict=True)
        axes.plot(
            epochs, values, color=colour, linestyle=line, marker=marker, markersize=3, label=name
        )
    if best_epoch:
        axes.axvline(best_epoch, color="0.4", linestyle=":", label=f"kept: epoch {best_epoch}")
    axes.xaxis.set_major_locator(
        require("matplotlib.ticker", EXTRA).MaxNLocator(integer=True, min_n_ticks=1)
    )
    if panel == "accuracy":
        axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("epoch")
    axes.set_ylabel(panel)
    axes.set_title(f"{panel.capitalize()} over the epochs")
    axes.grid(alpha=0.3)
    # Below the axes: a curve may run along any of their edges.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False)


def genres_figure(evaluation: Evaluation) -> Figure:
    """Draw precision, recall and F1 of every genre, best F1 on top."""
    ranked = sorted(evaluation.per_genre.items(), key=lambda item: item[1].f1)
    figure = new_figure(7.5, 1.6 + 0.38 * len(ranked))
    axes = figure.subplots()
    rows = range(len(ranked))
    scores = [own for _, own in ranked]
    ends = np.array([(own.precision, own.recall) for own in scores])
    axes.hlines(rows, ends.min(axis=1), ends.max(axis=1), color="0.75", linewidth=2, zorder=1)
    looks = (("precision", "^", PALETTE[0]), ("recall", "v", PALETTE[6]), ("f1", "o", "black"))
    for name, marker, colour in looks:
        values = [getattr(own, name) for own in scores]
        label = "F1" if name == "f1" else name
        size = 14 if name == "f1" else 48  # all three stay visible where they coincide
        axes.scatter(values, rows, marker=marker, color=colour, label=label, zorder=2, s=size)
    name_ticks(axes, [f"{genre} (n = {own.n})" for genre, own in ranked], x=False)
    axes.axvline(
        evaluation.macro_f1, color="0.4", linestyle=":", label=f"macro F1 {evaluation.macro_f1:.2f}"
    )
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("score")
    axes.set_title("Precision, recall and F1 by genre")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    return figure


def reliability_figure(bins: Sequence[ReliabilityBin], ece: float) -> Figure:
    """Draw a reliability diagram, accuracy against confidence, and the number of tracks per bin."""
    figure = new_figure(5.6, 6.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence = [own.confidence for own in bins]
    accuracy = np.array([own.accuracy for own in bins])
    low, high = np.transpose([own.interval for own in bins])
    upper.plot((0, 1), (0, 1), color="0.4", linestyle=":", label="perfectly calibrated")
    upper.errorbar(
        confidence, accuracy,
        # Rounding can put an end of an interval past the value; matplotlib refuses negatives.
        yerr=(np.maximum(accuracy - low, 0), np.maximum(high - accuracy, 0)),
        color=PALETTE[0], marker="o", capsize=3, linestyle="-", label="measured, 95% interval",
    )  # fmt: skip
    upper.set_ylim(-0.02, 1.02)
    upper.set_ylabel("accuracy")
    upper.set_title(literal(f"Reliability: calibration error {ece:.3f}"))
    upper.grid(alpha=0.3)
    upper.legend(loc="upper left")
    edges = [own.low for own in bins]
    widths = [own.high - own.low for own in bins]
    lower.bar(edges, [own.n for own in bins], widths, align="edge", color="0.75", edgecolor="0.4")
    lower.set_xlim(0.0, 1.0)
    lower.set_xlabel("probability of the predicted genre")
    lower.set_ylabel("tracks")
    return figure
