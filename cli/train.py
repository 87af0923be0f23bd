"""``recsys train``: make a genre model from a folder of genre folders."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.options import NamedPath, db_option, device_option, json_option, workers_option

if TYPE_CHECKING:
    from rich.console import Console

    from recsys.classifier.checkpoint import ModelCard
    from recsys.classifier.prepare import DataSources, TrainingData
    from recsys.classifier.settings import EpochResult, TrainSettings
    from recsys.classifier.train import Training

_FILE = NamedPath(dir_okay=False)


@click.command(short_help="Make a genre model from folders of music.")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=NamedPath())
@click.option(
    "--out", required=True, type=_FILE, metavar="MODEL.safetensors", help="Where the model goes."
)
@click.option(
    "--architecture",
    type=click.Choice(["cnn", "cnn-lstm"]),
    default="cnn-lstm",
    show_default=True,
    help="Shape of the network.",
)
@click.option("--train-split", type=_FILE, metavar="LIST", help="Tracks to learn from.")
@click.option("--valid-split", type=_FILE, metavar="LIST", help="Tracks to hold out.")
@click.option("--mel", type=_FILE, metavar="NPZ", help="Ready-made spectrograms to use as well.")
@click.option("--artists", type=_FILE, metavar="CSV", help="Artists (track,artist), not the tags.")
@click.option("--epochs", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@device_option
@workers_option
@json_option("One JSON line per epoch, then a summary.")
@db_option
def command(
    directories: tuple[Path, ...],
    out: Path,
    architecture: str,
    train_split: Path | None,
    valid_split: Path | None,
    mel: Path | None,
    artists: Path | None,
    epochs: int,
    seed: int,
    device: str,
    workers: int | None,
    as_json: bool,
    db: Path | None,  # noqa: ARG001 (as on every command)
) -> None:
    """Make a genre model from folders of music, DIR/GENRE/track.

    Without lists, a fifth of the tracks is held out, whole artists at a time, to choose the
    epoch and to calibrate the probabilities. Lists name one GENRE/TRACK.ext per line; the
    extension does not count. Interrupted training (Ctrl-C, kill) goes on where it stopped when
    the same command is given again. No library is changed: recsys index --model takes the result.

    \b
    Examples:
      recsys train ~/Music/by-genre --out mine.safetensors
      recsys train gtzan --train-split train.txt --valid-split valid.txt --out mine.safetensors
    """
    from rich.console import Console

    from recsys.classifier.inference import resolve_device
    from recsys.classifier.prepare import DataSources
    from recsys.classifier.settings import TrainSettings, scaled_to
    from recsys.classifier.train import bfloat16_is_quick

    _check_out(out)
    found = resolve_device(device)
    sources = DataSources(directories, mel, train_split, valid_split, artists, seed)
    settings = TrainSettings(
        architecture=architecture, epochs=epochs, seed=seed, bfloat16=bfloat16_is_quick(found)
    )
    console = Console(stderr=True)
    data = _prepare(sources, workers or os.cpu_count() or 1, console)
    settings = scaled_to(settings, len(data.examples))
    training = _start(data, settings, out, device)
    _run(training, out, console, as_json)
    card = _finish(training, data, settings, sources, out)
    _report(card, out, data, console, as_json)


def _check_out(out: Path) -> None:
    """Raise before hours of work if the result could not be written."""
    from recsys.errors import ModelError

    if out.suffix != ".safetensors":
        raise ModelError(f"--out {out} must end in .safetensors", f"Try {out.stem}.safetensors.")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        state = "is not writable" if out.parent.is_dir() else "does not exist"
        raise ModelError(f"the folder {out.parent} {state}", "Choose another place with --out.")


def _partial(out: Path) -> Path:
    return out.with_name(out.name + ".partial.pt")


def _prepare(sources: DataSources, workers: int, console: Console) -> TrainingData:
    from rich.progress import Progress

    from recsys.classifier.prepare import prepare

    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("Reading tracks", total=None)
        data = prepare(
            sources,
            workers=workers,
            on_file=lambda total: progress.update(bar, total=total, advance=1),
        )
    console.print(
        f"{len(data.examples)} tracks of {len(data.labels)} genres to learn from,"
        f" {len(data.valid)} held out ({data.split})",
        highlight=False,
        soft_wrap=True,
    )
    for path, reason in data.failed:
        console.print(
            f"skipped {path}: {reason}",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if data.failed:
        console.print(f"{len(data.failed)} files could not be read and were skipped")
    if data.missing:
        console.print(f"{data.missing} tracks of the lists were not found")
    return data


def _start(data: TrainingData, settings: TrainSettings, out: Path, device: str) -> Training:
    from recsys.classifier.inference import resolve_device
    from recsys.classifier.train import Training

    return Training(
        data.examples, data.valid, data.labels, settings, _partial(out), resolve_device(device)
    )


def _run(training: Training, out: Path, console: Console, as_json: bool) -> None:
    """Train to the end, and tell of every epoch."""
    if training.history:
        console.print(f"going on after epoch {len(training.history)} ({_partial(out)})")
    try:
        for result in training.epochs():
            if as_json:
                _print_epoch_json(result)
            else:
                console.print(_describe(result), highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on from {_partial(out)}")
        raise


def _describe(result: EpochResult) -> str:
    words = f"epoch {result.epoch:3d}/{result.epochs}  loss {result.loss:.3f}"
    if result.accuracy is not None:
        words += f", accuracy {result.accuracy:.3f}"
    if result.valid_loss is not None:
        words += f"  held out: loss {result.valid_loss:.3f}, accuracy {result.valid_accuracy:.3f}"
    return f"{words}  {result.seconds:.0f} s{'  best' if result.is_best else ''}"


def _print_epoch_json(result: EpochResult) -> None:
    from dataclasses import asdict

    click.echo(json.dumps(asdict(result)))


def _finish(
    training: Training,
    data: TrainingData,
    settings: TrainSettings,
    sources: DataSources,
    out: Path,
) -> ModelCard:
    from recsys.classifier.checkpoint import save_model
    from recsys.classifier.finish import make_card
    from recsys.features import MEL

    model = training.best_model()
    names = [path.name for path in (*sources.directories, sources.mel) if path]
    card = make_card(
        model,
        data,
        settings,
        MEL,
        name=out.stem,
        history=training.history,
        notes={"data": names},
    )
    card = save_model(out, model, card)
    _partial(out).unlink(missing_ok=True)
    return card


def _report(
    card: ModelCard, out: Path, data: TrainingData, console: Console, as_json: bool
) -> None:
    valid = card.metrics["valid"]
    if as_json:
        summary = {
            "model": str(out),
            "fingerprint": card.fingerprint,
            "labels": card.labels,
            "tracks": len(data.examples),
            "failed": len(data.failed),
            "missing": data.missing,
            "valid": valid,
        }
        click.echo(json.dumps({"summary": summary}))
        return
    low, high = valid["interval"]
    console.print(
        f"{out}: held out {valid['n']} tracks, accuracy {valid['accuracy']:.3f}"
        f" (95% {low:.3f} to {high:.3f}), macro F1 {valid['macro_f1']:.3f},"
        f" calibration error {valid['ece']:.3f}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
