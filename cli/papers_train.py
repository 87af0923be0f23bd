"""``recsys papers train``: train one published system."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.options import (
    NamedPath,
    artists_option,
    completed_by,
    device_option,
    json_option,
    model_path,
    out_model_option,
    recipe_options,
    seed_option,
    split_options,
    workers_option,
)
from recsys.cli.output import accuracy_text, note, print_json, progress, shown, warn
from recsys.errors import ModelError

if TYPE_CHECKING:
    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.datasets import LabelledFile
    from recsys.classifier.training.evaluate import Evaluation
    from recsys.classifier.training.loop import EpochResult
    from recsys.papers.data import RecipeData
    from recsys.papers.fit import FitOptions, Fitted
    from recsys.papers.generation.training import GanEpoch
    from recsys.papers.protocols import FilteredLists, Fold
    from recsys.papers.recipe import Recipe

PROTOCOLS = ("random", "by-artist", "filtered", "by-segment")


@dataclass(frozen=True, slots=True)
class RecipeRequest:
    """Arguments of the command."""

    recipe: str
    directories: tuple[Path, ...]
    out: Path
    protocol: str
    train_split: Path | None
    valid_split: Path | None
    artists: Path | None
    weights: str
    epochs: int | None
    seed: int
    device: str
    workers: int | None
    as_json: bool


@click.command("train", short_help="Train one published system.")
@click.argument("recipe", metavar="RECIPE", shell_complete=completed_by("recipes"))
@click.argument("directories", metavar="DATA...", nargs=-1, required=True, type=NamedPath())
@out_model_option
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="by-artist",
    show_default=True,
    help="Split of the tracks: by-artist keeps an artist on one side, random a track; filtered "
    "takes --train-split and --valid-split. by-segment is leaky (parts of one track are on both "
    "sides) and only for recipes whose report did so.",
)
@split_options
@artists_option
@recipe_options
@seed_option("Random seed of the split and the training.")
@device_option
@workers_option
@json_option("One line of JSON per epoch, then a summary.")
def command(**arguments: Any) -> None:  # noqa: ANN401 (see RecipeRequest)
    """Train RECIPE, the name of a published system or a TOML file, on folders DATA/GENRE/track.

    The model is evaluated on tracks that it was not trained on. Run an interrupted command again to
    resume. recsys papers list names the recipes. dcgan generates music: --train-split limits it to
    a list of tracks, --protocol has no effect.

    \b
    Examples:
      recsys papers train lstm-mfcc gtzan --out lstm.safetensors
      recsys papers train dcgan gtzan --out dcgan.safetensors
      recsys index ~/Music --model lstm.safetensors
    """
    from recsys.papers.generation.recipe import is_generator

    request = RecipeRequest(**arguments)
    if is_generator(request.recipe):
        train_generator(request)
    else:
        train_recipe(request)


def train_generator(request: RecipeRequest) -> None:
    """Train a generator of music, and write it."""
    from recsys.classifier.training.architectures import resolve_device
    from recsys.classifier.training.datasets import read_split
    from recsys.classifier.training.loop import forget_partial, partial_path
    from recsys.papers.data import find_music, load_segments
    from recsys.papers.generation.music import check_generator_path, save_generator
    from recsys.papers.generation.recipe import load_generator_recipe
    from recsys.papers.generation.training import Adversaries, GanOptions
    from recsys.workers import default_workers

    recipe = load_generator_recipe(request.recipe)
    out = check_generator_path(request.out)
    device = str(resolve_device(request.device))
    options = GanOptions(request.seed, device, request.epochs, partial_path(out))
    files = find_music(request.directories)
    if request.train_split is not None:
        listed = read_split(request.train_split)
        files = [file for file in files if file.key in listed]
    with progress("tracks", "Decoding") as bar:
        segments, skipped = load_segments(
            files,
            recipe.features,
            workers=request.workers or default_workers(),
            on_file=lambda total: bar.update(total=total, advance=1),
        )
    for path, reason in skipped:
        warn(f"skipped {shown(path)}: {reason}")
    run = Adversaries(recipe, segments, options)
    if run.history:
        click.echo(f"going on after epoch {len(run.history)}", err=True)
    try:
        for result in run.epochs():
            if request.as_json:
                print_json(asdict(result))
            else:
                click.echo(_gan_line(result), err=True)
    except KeyboardInterrupt:
        click.echo(f"stopped; the same command goes on after epoch {len(run.history)}", err=True)
        raise
    generator = run.trained()
    save_generator(out, generator)
    forget_partial(out)
    if request.as_json:
        summary = {
            "model": str(out),
            "recipe": recipe.name,
            "labels": generator.labels,
            "tracks": len(segments.tracks),
            "segments": segments.n_segments,
            "skipped": len(skipped),
        }
        print_json({"summary": summary})
    else:
        n, tracks = segments.n_segments, len(segments.tracks)
        click.echo(f"{shown(out)}: {recipe.name}, {n} windows of {tracks} tracks")
        click.echo(f"recsys papers generate --model {shown(out)} --genre {generator.labels[0]}")


def _gan_line(result: GanEpoch) -> str:
    return (
        f"epoch {result.epoch:3d}/{result.epochs}  loss: generator {result.generator_loss:.3f},"
        f" discriminator {result.discriminator_loss:.3f}; taken for real: {result.real:.2f} of the"
        f" real, {result.generated:.2f} of the generated  {result.seconds:.0f} s"
    )


def train_recipe(request: RecipeRequest) -> None:
    """Train a recipe, write its model, and report its figures."""
    from recsys.classifier.training.architectures import resolve_device, save_model
    from recsys.classifier.training.loop import forget_partial, partial_path
    from recsys.papers.fit import FitOptions
    from recsys.papers.measure import evaluate_mixed, make_recipe_card
    from recsys.papers.protocols import divide_for
    from recsys.papers.recipe import load_recipe

    out = model_path(request.out)
    recipe = load_recipe(request.recipe)
    options = FitOptions(
        seed=request.seed,
        device=resolve_device(request.device),
        weights=request.weights,
        epochs=request.epochs,
        partial=partial_path(out),
    )
    lists = _lists(request)
    files = _find(recipe, request, lists)
    data = _load(recipe, files, request)
    division = divide_for(recipe, data.segments, request.protocol, seed=request.seed, lists=lists)
    click.echo(f"{recipe.name}: {division.description}", err=True)
    if division.leaky:
        warn("segments of one track are on both sides: the figure is too good")
    fitted = _fit(recipe, data, division.folds[0], options, request)
    card, test = make_recipe_card(recipe, fitted, data.segments, division, options, name=out.stem)
    card = save_model(out, fitted.model, card)
    forget_partial(out)
    mixed = evaluate_mixed(recipe, fitted.model, data.mixed, card.labels) if data.mixed else None
    _report(recipe, card, test, data, mixed, request, out)


def _find(
    recipe: Recipe, request: RecipeRequest, lists: FilteredLists | None
) -> list[LabelledFile]:
    """List the music, and raise now, before it is decoded, for everything that can be wrong."""
    from recsys.papers.data import find_music, genres_of
    from recsys.papers.explore import empty_genre_folders
    from recsys.papers.fit import check_recipe
    from recsys.papers.protocols import check_protocol

    files = find_music(request.directories)
    check_protocol(recipe, files, request.protocol, lists, request.artists)
    check_recipe(recipe, len(genres_of(recipe, files)), request.weights)
    if request.weights != "published" and recipe.weights is None:
        note(f"--weights has no effect: {recipe.name} begins from no pretrained weights")
    for directory in request.directories:
        if empty := empty_genre_folders(directory):
            note(f"no audio in {', '.join(empty)} of {shown(directory)}: skipped")
    return files


def _fit(
    recipe: Recipe, data: RecipeData, fold: Fold, options: FitOptions, request: RecipeRequest
) -> Fitted:
    """Train and report every epoch; after Ctrl-C, report how to resume."""
    from recsys.papers.fit import fit

    first_epoch = True

    def on_epoch(result: EpochResult) -> None:
        nonlocal first_epoch
        if first_epoch and result.epoch > 1:
            click.echo(f"going on after epoch {result.epoch - 1}", err=True)
        first_epoch = False
        if request.as_json:
            print_json(asdict(result))
        else:
            click.echo(_epoch_line(result), err=True)

    if recipe.estimator is not None:
        click.echo(f"fitting {recipe.estimator.name} to {len(fold.train)} segments", err=True)
    if recipe.search is not None:
        click.echo("every setting of the search is tried, and the best trained in full", err=True)
    try:
        return fit(recipe, data.segments, fold, options, on_epoch)
    except KeyboardInterrupt:
        kept = options.partial
        assert kept is not None
        # A search keeps the settings it has tried in a file of its own.
        searched = kept.with_name(f"{kept.name}.search")
        found = next((path for path in (kept, searched) if path.exists()), None)
        if found is None:
            click.echo("stopped before anything was kept; the same command begins again", err=True)
        else:
            click.echo(f"stopped; the same command goes on from {shown(found)}", err=True)
        raise


def _epoch_line(result: EpochResult) -> str:
    line = f"epoch {result.epoch:3d}/{result.epochs}  loss {result.loss:.3f}"
    if result.accuracy is not None:
        line += f", accuracy {result.accuracy:.3f}"
    if result.valid_loss is not None:
        line += f"  held out: loss {result.valid_loss:.3f}, accuracy {result.valid_accuracy:.3f}"
    return f"{line}  {result.seconds:.0f} s{'  best' if result.is_best else ''}"


def _load(recipe: Recipe, files: list[LabelledFile], request: RecipeRequest) -> RecipeData:
    """Decode the music, and report its problems."""
    from recsys.papers.data import load_music
    from recsys.workers import default_workers

    with progress("tracks", "Decoding") as bar:
        data = load_music(
            recipe,
            files,
            artists=request.artists,
            workers=request.workers or default_workers(),
            on_file=lambda total: bar.update(total=total, advance=1),
        )
    for path, reason in data.skipped:
        warn(f"skipped {shown(path)}: {reason}")
    for text in data.notes:
        click.echo(text, err=True)
    return data


def _lists(request: RecipeRequest) -> FilteredLists | None:
    """Return the lists of the filtered protocol, and refuse them with any other."""
    from recsys.papers.protocols import FilteredLists

    if request.protocol != "filtered":
        if request.train_split or request.valid_split:
            raise ModelError(
                f"lists were given, and the protocol is {request.protocol}",
                "Lists belong to --protocol filtered.",
            )
        return None
    if request.train_split is None or request.valid_split is None:
        raise ModelError("--protocol filtered needs lists", "Give --train-split and --valid-split.")
    return FilteredLists.read(request.train_split, request.valid_split)


def _report(
    recipe: Recipe,
    card: ModelCard,
    test: Evaluation,
    data: RecipeData,
    mixed: dict[str, Any] | None,
    request: RecipeRequest,
    out: Path,
) -> None:
    """Report the figures of the model, of songs of several genres (`mixed`), and published ones."""
    incomparable = _incomparable(recipe, data, request.weights)
    if request.as_json:
        summary = {
            "model": str(out),
            "recipe": recipe.name,
            "fingerprint": card.fingerprint,
            "labels": card.labels,
            "protocol": request.protocol,
            "leaky": card.training["leaky"],
            "tracks": card.training["tracks"],
            "skipped": len(data.skipped),
            "unit": card.metrics["unit"],
            "test": card.metrics["test"],
            "published": recipe.published.test,
            "incomparable": incomparable,
            "mixed": mixed,
        }
        print_json({"summary": summary})
        return
    figures = accuracy_text(test.accuracy, test.interval, test.macro_f1)
    published = recipe.published.test
    compared = "" if published is None else f"; published {published:.3f}"
    click.echo(f"{out}: test {test.n} {card.metrics['unit']}s, {figures}{compared}")
    if incomparable:
        click.echo(f"The published figure is not comparable: it {incomparable}.")
    if mixed:
        click.echo(
            f"{mixed['n']} songs of several genres: all genres right for {mixed['accuracy']:.3f}"
        )


def _incomparable(recipe: Recipe, data: RecipeData, weights: str) -> str:
    """Return why the published figure measures something else; empty if it does not."""
    # The recipe names a reason; it holds only without pretrained weights, or if genres were
    # recognised in songs of several and there are none.
    untrained = recipe.weights is not None and weights == "random"
    about_several = recipe.training is not None and recipe.training.loss == "sigmoid"
    return recipe.unmeasured if untrained or (about_several and not data.mixed) else ""
