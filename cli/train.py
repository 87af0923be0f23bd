"""``recsys train``: train the kind of model that ships, on folders of music."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.options import NamedPath, json_option, workers_option
from recsys.cli.output import print_json, progress, shown
from recsys.errors import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.datasets import LabelledMusic
    from recsys.classifier.training.make import TrainProgress

_FILE = NamedPath(dir_okay=False)


@click.command(short_help="Train a genre model on folders of music.")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=NamedPath())
@click.option(
    "--out", required=True, type=_FILE, metavar="MODEL.safetensors", help="Model to write."
)
@click.option("--train-split", type=_FILE, metavar="LIST", help="Tracks to train on.")
@click.option("--valid-split", type=_FILE, metavar="LIST", help="Tracks to validate on.")
@click.option("--mel", type=_FILE, metavar="NPZ", help="Ready-made spectrograms to use as well.")
@click.option("--artists", type=_FILE, metavar="CSV", help="Artists (track,artist), not the tags.")
@click.option(
    "--weights",
    type=NamedPath(),
    metavar="DIR",
    help="Folder MSD_musicnn of the package musicnn.  [default: where it is installed]",
)
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@workers_option
@json_option("One JSON line with a summary.")
def command(
    directories: tuple[Path, ...],
    out: Path,
    train_split: Path | None,
    valid_split: Path | None,
    mel: Path | None,
    artists: Path | None,
    weights: Path | None,
    epochs: int,
    seed: int,
    workers: int | None,
    as_json: bool,
) -> None:
    """Train the kind of model that ships on folders of music, DIR/GENRE/track.

    The layers of MusiCNN, a network trained on a million songs, are tuned to your genres; its
    weights come with a package: pip install --no-deps musicnn==0.1.0. The model is trained on all
    tracks and evaluated by cross-validation by artist; with two lists of GENRE/TRACK.ext, also by
    a model of one list on the other. An interrupted run resumes when the command is given again.

    \b
    Examples:
      recsys train ~/Music/by-genre --out mine.safetensors
      recsys index ~/Music --model mine.safetensors
    """
    for module in ("torch", "sklearn"):
        require(module, "train")
    from recsys.classifier.training.datasets import DataSources
    from recsys.classifier.training.make import TrainOptions, train_default
    from recsys.classifier.training.tune import settings_for
    from recsys.cli.training import model_path
    from recsys.workers import default_workers

    options = TrainOptions(
        sources=DataSources(directories, mel, train_split, valid_split, artists),
        out=model_path(out),
        settings=settings_for(epochs, seed),
        weights=weights,
        workers=workers or default_workers(),
    )
    with _watching() as watcher:
        card, music = train_default(options, watcher)
    if as_json:
        print_json({"summary": _summary(card, music, options.out)})
    else:
        _report(card, options.out)


@contextmanager
def _watching() -> Iterator[TrainProgress]:
    """Show progress bars, and what is odd about the music."""
    from recsys.classifier.training.make import TrainProgress

    with progress("steps") as bar:
        tasks: dict[str, Any] = {}

        def advance(what: str, total: int) -> None:
            if bar is None:
                return
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total, failed=0)
            bar.update(tasks[what], advance=1)

        class Bars(TrainProgress):
            def file_decoded(self, total: int) -> None:
                advance("Decoding", total)

            def music_loaded(self, music: LabelledMusic) -> None:
                for path, reason in music.failed:
                    click.secho(f"skipped {shown(path)}: {reason}", fg="yellow", err=True)
                if music.missing:
                    click.echo(f"{music.missing} tracks of the lists were not found", err=True)
                click.echo(f"{len(music.tracks)} tracks of {len(music.labels)} genres", err=True)

            def track_augmented(self, total: int) -> None:
                advance("Augmenting", total)

            def epoch_trained(self, total: int) -> None:
                advance("Training, with cross-validation", total)

        yield Bars()


def _summary(card: ModelCard, music: LabelledMusic, out: Path) -> dict[str, Any]:
    return {
        "model": str(out),
        "fingerprint": card.fingerprint,
        "labels": card.labels,
        "tags": card.tags,
        "tracks": len(music.tracks),
        "failed": len(music.failed),
        "missing": music.missing,
        "metrics": card.metrics,
    }


_FIGURES = {
    "valid": "validation list, trained on the training list",
    "valid_clips": "  of these, the long ones",
    "cross_validation": "cross-validation by artist",
    "cross_validation_clips": "  of these, the long ones",
}


def _report(card: ModelCard, out: Path) -> None:
    click.echo(f"{shown(out)}: {len(card.tags)} tags, {len(card.labels)} genres")
    for name, words in _FIGURES.items():
        if name in card.metrics:
            found = card.metrics[name]
            low, high = found["interval"]
            click.echo(
                f"  {words}: {found['n']} tracks, accuracy {found['accuracy']:.3f}"
                f" (95% {low:.3f} to {high:.3f}), macro F1 {found['macro_f1']:.3f},"
                f" ECE {found['ece']:.3f}"
            )
    for genre, found in card.metrics["cross_validation"]["per_genre"].items():
        click.echo(
            f"  {genre:12s} n {found['n']:4d}  precision {found['precision']:.2f}"
            f"  recall {found['recall']:.2f}  F1 {found['f1']:.2f}"
        )
