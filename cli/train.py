"""``recsys train``: make a genre model from a folder of genre folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from recsys.cli.options import NamedPath, db_option, device_option, json_option, workers_option
from recsys.cli.train_default import DEFAULT, DefaultRequest, train_default
from recsys.cli.train_own import OwnRequest, own_options, train_own
from recsys.cli.training import describe_epoch, forget_partial, model_path, partial_path

if TYPE_CHECKING:
    from rich.console import Console

    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.prepare import DataSources, TrainingData
    from recsys.classifier.training.train import EpochResult, Training, TrainSettings

_FILE = NamedPath(dir_okay=False)

PROTOCOLS = ("random", "by-artist", "filtered", "by-segment")


@click.command(short_help="Make a genre model from folders of music.")
@click.argument("directories", metavar="[DIR]...", nargs=-1, type=NamedPath())
@click.option(
    "--data", "more", multiple=True, type=NamedPath(), metavar="DIR", help="The same as DIR."
)
@click.option(
    "--out",
    type=_FILE,
    metavar="MODEL.safetensors",
    help="Where the model goes; needed, but for own genres.",
)
@own_options
@click.option(
    "--recipe",
    metavar="NAME",
    help="Make the model that ships (default), train a published system, see recsys recipes, or "
    "one of your own, the path of a TOML file.",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="by-artist",
    show_default=True,
    help="How a recipe's music is divided. by-segment is leaky: parts of one track are on both "
    "sides; only for recipes whose report did so.",
)
@click.option(
    "--weights",
    default="published",
    metavar="FILE",
    help="Pretrained weights for recipes that begin from some: a file, 'random', or 'published', "
    "which downloads them. The default recipe takes the folder MSD_musicnn of the package "
    "musicnn, which it finds where it is installed.  [default: published]",
)
@click.option(
    "--architecture",
    type=click.Choice(["cnn", "cnn-lstm"]),
    help="Shape of the network, without a recipe.  [default: cnn-lstm]",
)
@click.option("--train-split", type=_FILE, metavar="LIST", help="Tracks to learn from.")
@click.option("--valid-split", type=_FILE, metavar="LIST", help="Tracks to hold out.")
@click.option("--mel", type=_FILE, metavar="NPZ", help="Ready-made spectrograms to use as well.")
@click.option("--artists", type=_FILE, metavar="CSV", help="Artists (track,artist), not the tags.")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="At most.  [default: 32, or as many as the recipe says]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@device_option
@workers_option
@json_option("One JSON line per epoch, then a summary.")
@db_option
@click.pass_context
def command(
    ctx: click.Context,
    directories: tuple[Path, ...],
    more: tuple[Path, ...],
    out: Path | None,
    from_tags: bool,
    from_folders: bool,
    min_tracks: int,
    min_artists: int,
    yes: bool,
    recipe: str | None,
    protocol: str,
    weights: str,
    architecture: str | None,
    train_split: Path | None,
    valid_split: Path | None,
    mel: Path | None,
    artists: Path | None,
    epochs: int | None,
    seed: int,
    device: str,
    workers: int | None,
    as_json: bool,
    db: Path | None,
) -> None:
    """Make a genre model from folders of music, DIR/GENRE/track.

    Without lists, a fifth of the tracks is held out, whole artists at a time, to choose the
    epoch and to calibrate the probabilities. Lists name one GENRE/TRACK.ext per line; the
    extension does not count. Interrupted training (Ctrl-C, kill) goes on where it stopped when
    the same command is given again. No library is changed: recsys index --model takes the result.

    With --recipe default, the kind of model that ships is made: the layers of MusiCNN, a network
    that knows a million songs, are tuned to your genres. Its weights come with a package; see
    docs/model.md. It learns from all tracks, and is measured by cross-validation by artist.

    With --recipe and another name, a system of a published report is trained instead, and
    measured on tracks that it did not learn from.

    With --from-tags or --from-folders, your library's own genres are learned, in seconds, from
    what is stored of its tracks. How good they are is shown by cross-validation, no artist on
    both sides, beside the present model; then you are asked whether the library is to use them.
    --out keeps the model, whatever the answer. Scripts say --json, and --yes to use it.

    \b
    Examples:
      recsys train --from-tags
      recsys train --from-folders ~/Music/by-genre --out mine.safetensors
      recsys train ~/Music/by-genre --out mine.safetensors
      recsys train gtzan --train-split train.txt --valid-split valid.txt --out mine.safetensors
      recsys train --recipe default ~/Music/by-genre --out mine.safetensors
      recsys train --recipe lstm-mfcc --data gtzan --out lstm.safetensors
    """
    from rich.console import Console

    from recsys.classifier.training.prepare import DataSources
    from recsys.workers import default_workers

    folders = (*directories, *more)
    _check_options(ctx, recipe, own=from_tags or from_folders)
    if from_tags or from_folders:
        source = "tags" if from_tags else "folders"
        own = (out, min_tracks, min_artists, seed, yes, as_json)
        train_own(OwnRequest(db, source, folders, *own))
        return
    if out is None:
        raise click.UsageError("Missing option '--out'.")
    if not folders:
        raise click.UsageError("No music: give a folder of genre folders, as DIR or with --data.")
    out = model_path(out)
    console = Console(stderr=True)
    jobs = workers or default_workers()
    if recipe == DEFAULT:
        sources = DataSources(folders, mel, train_split, valid_split, artists, seed)
        begin = None if weights == "published" else Path(weights)
        train_default(DefaultRequest(sources, out, begin, epochs, jobs, as_json))
        return
    if recipe is not None:
        from recsys.cli.train_recipe import RecipeRequest, train_recipe

        lists = (train_split, valid_split, artists)
        request = RecipeRequest(
            *(recipe, folders, out, protocol, *lists),
            *(epochs, seed, weights, device, jobs, as_json),
        )
        train_recipe(request, console)
        return
    sources = DataSources(folders, mel, train_split, valid_split, artists, seed)
    _train_default(
        sources, out, architecture or "cnn-lstm", epochs or 32, device, jobs, console, as_json
    )


_FOR_OWN_GENRES = ("min_tracks", "min_artists", "yes")
_NOT_FOR_OWN_GENRES = (
    *("recipe", "protocol", "weights", "architecture", "train_split", "valid_split"),
    *("mel", "artists", "epochs", "device", "workers"),
)


def _check_options(ctx: click.Context, recipe: str | None, *, own: bool) -> None:
    """Refuse options that would have no effect."""
    if ctx.params["from_tags"] and ctx.params["from_folders"]:
        raise click.UsageError("Genres come --from-tags or --from-folders, not from both.")
    if own:
        _refuse(ctx, _NOT_FOR_OWN_GENRES, "has no effect on own genres")
        return
    _refuse(ctx, _FOR_OWN_GENRES, "needs --from-tags or --from-folders")
    if recipe == DEFAULT:
        _refuse(ctx, ("architecture", "protocol", "device"), "has no effect with this recipe")
    elif recipe:
        _refuse(ctx, ("architecture", "mel"), "has no effect with --recipe")
    else:
        _refuse(ctx, ("protocol", "weights"), "needs --recipe")


def _refuse(ctx: click.Context, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} {why}.")


def _train_default(
    sources: DataSources,
    out: Path,
    architecture: str,
    epochs: int,
    device: str,
    workers: int,
    console: Console,
    as_json: bool,
) -> None:
    """Train the kind of model that recsys ships."""
    from recsys.classifier.inference import resolve_device
    from recsys.classifier.training.musicnn_torch import bfloat16_is_quick
    from recsys.classifier.training.train import TrainSettings, scaled_to

    found = resolve_device(device)
    settings = TrainSettings(
        architecture=architecture,
        epochs=epochs,
        seed=sources.seed,
        bfloat16=bfloat16_is_quick(found),
    )
    data = _prepare(sources, workers, console)
    settings = scaled_to(settings, len(data.examples))
    training = _start(data, settings, out, device)
    _run(training, out, console, as_json)
    card = _finish(training, data, settings, sources, out)
    _report(card, out, data, console, as_json)


def _prepare(sources: DataSources, workers: int, console: Console) -> TrainingData:
    from rich.progress import Progress

    from recsys.classifier.training.prepare import prepare

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
    from recsys.classifier.training.train import Training

    return Training(
        data.examples, data.valid, data.labels, settings, partial_path(out), resolve_device(device)
    )


def _run(training: Training, out: Path, console: Console, as_json: bool) -> None:
    """Train to the end, and tell of every epoch."""
    if training.history:
        console.print(f"going on after epoch {len(training.history)} ({partial_path(out)})")
    try:
        for result in training.epochs():
            if as_json:
                _print_epoch_json(result)
            else:
                console.print(describe_epoch(result), highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on from {partial_path(out)}")
        raise


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
    from recsys.classifier.card import save_model
    from recsys.classifier.log_mel import MEL
    from recsys.classifier.training.train import make_card

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
    forget_partial(out)
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
