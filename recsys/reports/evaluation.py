"""The folder that ``recsys evaluate --report`` writes: a page, its pictures, and the numbers."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from recsys.classifier.evaluate import as_dict, reliability
from recsys.reports.drawing import Picture, png
from recsys.reports.evaluation_figures import (
    confusion_figure,
    curves_figure,
    genres_figure,
    reliability_figure,
)
from recsys.reports.output import remove_stale, write_file
from recsys.reports.pages import data_uri, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from recsys.classifier.checkpoint import ModelCard
    from recsys.classifier.evaluate import Evaluation, FolderEvaluation

NO_CURVES = (
    "The card of this model holds no history of its training, so there are no curves to show. "
    "Models trained with this version of recsys train have them."
)


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything that the report of an evaluation says.

    Attributes
    ----------
    result : FolderEvaluation
        What was measured.
    card : ModelCard
        Of the model.
    directory : Path
        Folder of the music.
    split : Path or None
        List of the tracks, if not all of the folder were meant.
    missing : int
        Tracks of the list that are not in the folder.
    unknown_genres : mapping
        Genres that the model does not know, and how many tracks of them were left out.
    empty_genres : tuple of str
        Genre folders without audio.
    created : datetime
        When.
    """

    result: FolderEvaluation
    card: ModelCard
    directory: Path
    split: Path | None
    missing: int
    unknown_genres: Mapping[str, int]
    empty_genres: tuple[str, ...]
    created: datetime


def write_report(report: EvaluationReport, out: Path) -> list[Path]:
    """Write ``index.html``, its pictures as PNG, ``per-genre.csv`` and ``report.json``.

    The page holds its pictures itself; the PNG files are for other uses.

    Parameters
    ----------
    report : EvaluationReport
        What to say.
    out : Path
        A folder that :func:`recsys.reports.output.check_ready` found ready.

    Returns
    -------
    list of Path
        What was written, the page first.

    Raises
    ------
    RecsysError
        If a file cannot be written.
    """
    pictures = _pictures(report)
    if all(picture.name != "curves" for picture in pictures):
        remove_stale(out, ["curves"])
    drawn = [(picture, png(picture.figure)) for picture in pictures]
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
            "Where the line lies under the diagonal, the model is surer than it is right. Grey: "
            "how many tracks stand behind each point.",
            reliability_figure(reliability(report.result.predictions), evaluation.ece),
        ),
    ]
    training = report.card.training
    curves = curves_figure(training.get("history") or [], training.get("best_epoch"))
    if curves is not None:
        caption = "As the training recorded it in the model's card; no measurement of this report."
        pictures.append(Picture("curves", "Training and validation curves", caption, curves))
    return pictures


def _values(report: EvaluationReport, drawn: Sequence[tuple[Picture, bytes]]) -> dict[str, Any]:
    return {
        "title": f"How good {report.card.name} is",
        "created": f"{report.created:%d %B %Y, %H:%M %Z}",
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
    trained_on = training.get("split") or "not said in the card"
    return [
        ("model", card.name),
        ("fingerprint", card.fingerprint),
        ("architecture", card.architecture),
        ("trained on", str(trained_on)),
        ("seed of the training", "not said in the card" if seed is None else str(seed)),
        ("seed of the evaluation", "none: nothing in it is random"),
        ("music", str(report.directory)),
        ("tracks", "all of the folder" if report.split is None else f"those in {report.split}"),
        ("genres with tracks", str(len(report.result.evaluation.per_genre))),
    ]


def left_out(report: EvaluationReport) -> list[str]:
    """Return a sentence for everything that could not take part."""
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
