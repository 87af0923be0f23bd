"""``recsys papers train``: train one published system."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.options import NamedPath, device_option, json_option, workers_option
from recsys.cli.output import note, print_json, progress, shown
from recsys.cli.training import describe_epoch, model_path

if TYPE_CHECKING:
    from torch import nn

    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.datasets import LabelledFile
    from recsys.classifier.training.evaluate import Evaluation
    from recsys.classifier.training.loop import EpochResult
    from recsys.papers.data import RecipeData
    from recsys.papers.fit import FitOptions, Fitted
    from recsys.papers.protocols import FilteredLists, Fold
    from recsys.papers.recipe import Recipe

PUBLISHED = "published"
"""What ``--weights`` is, if it is not given."""

RANDOM = "random"
"""``--weights`` that are none."""


PROTOCOLS = ("random", "by-artist", "filtered", "by-segment")

_FILE = NamedPath(dir_okay=False)


@dataclass(frozen=True, slots=True)
class RecipeRequest:
    """Arguments of the command, as they are given."""

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
@click.argument("recipe", metavar="RECIPE")
@click.argument("directories", metavar="DATA...", nargs=-1, required=True, type=NamedPath())
@click.option(
    "--out", required=True, type=_FILE, metavar="MODEL.safetensors", help="Model to write."
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="by-artist",
    show_default=True,
    help="How the music is split. by-segment is leaky: parts of one track are on both sides; only "
    "for recipes whose paper did so. filtered takes two lists.",
)
@click.option("--train-split", type=_FILE, metavar="LIST", help="Tracks to train on.")
@click.option("--valid-split", type=_FILE, metavar="LIST", help="Tracks to validate on.")
@click.option("--artists", type=_FILE, metavar="CSV", help="Artists (track,artist), not the tags.")
@click.option(
    "--weights",
    default="published",
    metavar="FILE",
    help="Pretrained weights for recipes that begin from some: a file, 'random', or 'published', "
    "which downloads them.  [default: published]",
)
@click.option("--epochs", type=click.IntRange(min=1), help="At most.  [default: the recipe's]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@device_option
@workers_option
@json_option("One JSON line per epoch, then a summary.")
def command(**arguments: Any) -> None:  # noqa: ANN401 (see RecipeRequest)
    """Train RECIPE, the name of a published system or a TOML file, on folders DATA/GENRE/track.

    The model is evaluated on tracks that it was not trained on. An interrupted run resumes when
    the command is given again. recsys papers list names the recipes.

    \b
    Example:
      recsys papers train lstm-mfcc gtzan --out lstm.safetensors
    """
    train_recipe(RecipeRequest(**arguments))


def train_recipe(request: RecipeRequest) -> None:
    """Train a recipe, write its model, and report its figures."""
    from recsys.classifier.training.architectures import resolve_device, save_model
    from recsys.classifier.training.loop import forget_partial, partial_path
    from recsys.papers.fit import FitOptions
    from recsys.papers.measure import make_recipe_card
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
    _say(f"{recipe.name}: {division.description}")
    if division.leaky:
        _say("segments of one track are on both sides: the figure is too good", "yellow")
    fitted = _fit(recipe, data, division.folds[0], options, request)
    card, test = make_recipe_card(recipe, fitted, data.segments, division, options, name=out.stem)
    card = save_model(out, fitted.model, card)
    forget_partial(out)
    _report(card, test, data, fitted.model, request, out)


def _find(
    recipe: Recipe, request: RecipeRequest, lists: FilteredLists | None
) -> list[LabelledFile]:
    """List the music, and tell now of all that can be wrong before it is decoded."""
    from recsys.papers.data import find_music, genres_of
    from recsys.papers.explore import empty_genre_folders
    from recsys.papers.fit import check_recipe
    from recsys.papers.protocols import check_protocol

    files = find_music(request.directories)
    check_protocol(recipe, files, request.protocol, lists, request.artists)
    check_recipe(recipe, len(genres_of(recipe, files)), request.weights)
    if request.weights != PUBLISHED and recipe.weights is None:
        note(f"--weights has no effect: {recipe.name} begins from no pretrained weights")
    for directory in request.directories:
        if empty := empty_genre_folders(directory):
            note(f"no audio in {', '.join(empty)} of {shown(directory)}: passed over")
    return files


def _fit(
    recipe: Recipe, data: RecipeData, fold: Fold, options: FitOptions, request: RecipeRequest
) -> Fitted:
    """Train, tell of every epoch, and after Ctrl-C of the way to go on."""
    from recsys.papers.fit import fit

    if recipe.estimator is not None:
        click.echo(f"fitting {recipe.estimator.name} to {len(fold.train)} segments", err=True)
    if recipe.search is not None:
        click.echo("every setting of the search is tried, and the best trained in full", err=True)
    try:
        return fit(recipe, data.segments, fold, options, _Teller(as_json=request.as_json))
    except KeyboardInterrupt:
        kept = options.partial
        assert kept is not None
        searched = kept.with_name(f"{kept.name}.search")
        found = next((path for path in (kept, searched) if path.exists()), None)
        if found is None:
            click.echo("stopped before anything was kept; the same command begins again", err=True)
        else:
            click.echo(f"stopped; the same command goes on from {shown(found)}", err=True)
        raise


class _Teller:
    """Reports every epoch, and when an interrupted training resumes."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last = 0

    def __call__(self, result: EpochResult) -> None:
        if result.epoch > 1 and self._last == 0:
            click.echo(f"going on after epoch {result.epoch - 1}", err=True)
        self._last = result.epoch
        if self._as_json:
            print_json(asdict(result))
        else:
            click.echo(describe_epoch(result), err=True)


def _load(recipe: Recipe, files: list[LabelledFile], request: RecipeRequest) -> RecipeData:
    """Decode the music, with a progress bar, and report what is odd about it."""
    from recsys.papers.data import load_music
    from recsys.workers import default_workers

    workers = request.workers or default_workers()
    with progress("tracks") as bar:
        task = bar.add_task("Reading tracks", total=None, failed=0) if bar else None

        def on_file(total: int) -> None:
            if bar is not None and task is not None:
                bar.update(task, total=total, advance=1)

        data = load_music(recipe, files, artists=request.artists, workers=workers, on_file=on_file)
    for path, reason in data.skipped:
        _say(f"skipped {shown(path)}: {reason}", "yellow")
    for sentence in data.notes:
        _say(sentence)
    return data


def _lists(request: RecipeRequest) -> FilteredLists | None:
    """Return the lists of the filtered protocol, and refuse them with any other."""
    from recsys.errors import ModelError
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
    card: ModelCard,
    test: Evaluation,
    data: RecipeData,
    model: nn.Module,
    request: RecipeRequest,
    out: Path,
) -> None:
    """Report the figures of the model and the published ones."""
    from recsys.papers.measure import evaluate_mixed
    from recsys.papers.recipe import load_recipe

    recipe = load_recipe(request.recipe)
    songs = evaluate_mixed(recipe, model, data.mixed, card.labels) if data.mixed else None
    if request.as_json:
        print_json({"summary": {**_summary(recipe, card, data, request, out), "mixed": songs}})
        return
    low, high = test.interval
    words = f"{out}: test {test.n} {card.metrics['unit']}s, accuracy {test.accuracy:.3f}"
    words += f" (95% {low:.3f} to {high:.3f}), macro F1 {test.macro_f1:.3f}"
    if recipe.published.test is not None:
        words += f"; published {recipe.published.test:.3f}"
    click.echo(words)
    if reason := _incomparable(recipe, data, request.weights):
        click.echo(f"The published figure cannot be compared with: it {reason}.")
    if songs:
        click.echo(
            f"{songs['n']} songs of several genres: all genres right for {songs['accuracy']:.3f}"
        )


def _summary(
    recipe: Recipe, card: ModelCard, data: RecipeData, request: RecipeRequest, out: Path
) -> dict[str, Any]:
    return {
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
        "incomparable": _incomparable(recipe, data, request.weights),
    }


def _incomparable(recipe: Recipe, data: RecipeData, weights: str) -> str:
    """Return why the published figure is about something else, empty if it is not."""
    untrained = recipe.weights is not None and weights == RANDOM
    about_several = recipe.training is not None and recipe.training.loss == "sigmoid"
    return recipe.unmeasured if untrained or (about_several and not data.mixed) else ""


def _say(sentence: str, colour: str | None = None) -> None:
    click.secho(sentence, fg=colour, err=True)
