"""What ``recsys train --recipe default`` does: make the model that ships."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.output import print_json, progress, shown

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.examples import PicturedMusic
    from recsys.classifier.training.make import Made, Steps
    from recsys.classifier.training.prepare import DataSources
    from recsys.mel import CompressedMel

DEFAULT = "default"
"""Name of the recipe."""


@dataclass(frozen=True, slots=True)
class DefaultRequest:
    """What the user asked for.

    Attributes
    ----------
    sources : DataSources
        Music, lists, artists and the seed.
    out : Path
        Model file.
    weights : Path or None
        Of the published network; None for those of the installed package.
    epochs : int or None
        None for as many as the recipe says.
    workers : int
    as_json : bool
    """

    sources: DataSources
    out: Path
    weights: Path | None
    epochs: int | None
    workers: int
    as_json: bool


def train_default(request: DefaultRequest) -> None:
    """Make a default model, write it, and say how good it is.

    Parameters
    ----------
    request : DefaultRequest

    Raises
    ------
    RecsysError
        If the weights are not there, or anything is wrong with the music.
    """
    from recsys.classifier.card import save_model
    from recsys.classifier.training.make import make_default, make_default_card
    from recsys.classifier.training.teacher import (
        build_pruned,
        describe,
        find_checkpoint,
        read_checkpoint,
    )
    from recsys.classifier.training.tune import FineTuneSettings
    from recsys.mel import CompressedMel

    checkpoint = find_checkpoint(request.weights)
    variables = read_checkpoint(checkpoint)
    features = CompressedMel()
    settings = FineTuneSettings(
        seed=request.sources.seed, **({"epochs": request.epochs} if request.epochs else {})
    )
    music = _load(request, features)
    teacher = build_pruned(variables, len(music.labels))
    with _Bars() as steps:
        made = make_default(teacher, music, features, settings, steps)
    paths = (*request.sources.directories, request.sources.mel)
    card = make_default_card(
        made,
        music,
        features,
        settings,
        name=request.out.stem,
        notes={"data": [path.name for path in paths if path], "teacher": describe(checkpoint)},
    )
    _report(save_model(request.out, made.model, card), made, music, request)


def _load(request: DefaultRequest, features: CompressedMel) -> PicturedMusic:
    """Decode the music, with a progress bar, and say what is odd about it."""
    from recsys.classifier.training.examples import load_music

    with progress("tracks") as bar:
        task = bar.add_task("Reading tracks", total=None, failed=0) if bar else None

        def on_file(total: int) -> None:
            if bar is not None and task is not None:
                bar.update(task, total=total, advance=1)

        music = load_music(request.sources, features, request.workers, on_file)
    for path, reason in music.failed:
        click.secho(f"skipped {shown(path)}: {reason}", fg="yellow", err=True)
    if music.missing:
        click.echo(f"{music.missing} tracks of the lists were not found", err=True)
    click.echo(f"{len(music.tracks)} tracks of {len(music.labels)} genres", err=True)
    return music


class _Bars:
    """Two progress bars: listening, then tuning."""

    def __init__(self) -> None:
        self._shown = progress("steps")
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Steps:
        from recsys.classifier.training.make import Steps

        self._bar = self._shown.__enter__()
        return Steps(
            on_track=lambda total: self._advance("Listening", total),
            on_step=lambda total: self._advance("Tuning, by cross-validation", total),
        )

    def __exit__(self, *reason: object) -> None:
        self._shown.__exit__(*reason)  # type: ignore[arg-type]

    def _advance(self, what: str, total: int) -> None:
        if self._bar is None:
            return
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total, failed=0)
        self._bar.update(self._tasks[what], advance=1)


def _report(card: ModelCard, made: Made, music: PicturedMusic, request: DefaultRequest) -> None:
    if request.as_json:
        summary = {
            "model": str(request.out),
            "fingerprint": card.fingerprint,
            "labels": card.labels,
            "tags": card.tags,
            "tracks": len(music.tracks),
            "failed": len(music.failed),
            "missing": music.missing,
            "metrics": card.metrics,
        }
        print_json({"summary": summary})
        return
    click.echo(f"{shown(request.out)}: {len(made.tags)} tags, {len(card.labels)} genres")
    for name, words in _FIGURES.items():
        if name in card.metrics:
            click.echo(f"  {words}: {_figures(card.metrics[name])}")
    for genre, judged in card.metrics["cross_validation"]["per_genre"].items():
        click.echo(
            f"  {genre:12s} n {judged['n']:4d}  precision {judged['precision']:.2f}"
            f"  recall {judged['recall']:.2f}  F1 {judged['f1']:.2f}"
        )


_FIGURES = {
    "valid": "validation list, learned from the training list",
    "valid_clips": "  of these, the long ones",
    "cross_validation": "cross-validation by artist",
    "cross_validation_clips": "  of these, the long ones",
}


def _figures(judged: dict[str, Any]) -> str:
    low, high = judged["interval"]
    return (
        f"{judged['n']} tracks, accuracy {judged['accuracy']:.3f} (95% {low:.3f} to {high:.3f}),"
        f" macro F1 {judged['macro_f1']:.3f}, ECE {judged['ece']:.3f}"
    )
