"""What ``recsys train --recipe`` does: train one published system."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.output import note, print_json, shown
from recsys.cli.training import describe_epoch, forget_partial, partial_path

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from torch import nn

    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.datasets import LabelledFile
    from recsys.classifier.training.evaluate import Evaluation
    from recsys.classifier.training.train import EpochResult
    from recsys.papers.data import RecipeData
    from recsys.papers.fit import FitOptions, Fitted
    from recsys.papers.protocols import FilteredLists, Fold
    from recsys.papers.recipe import Recipe

PUBLISHED = "published"
"""What ``--weights`` is, if it is not given."""

RANDOM = "random"
"""``--weights`` that are none."""


@dataclass(frozen=True, slots=True)
class RecipeRequest:
    """What the user asked for.

    Attributes
    ----------
    recipe : str
        Name, or path of a TOML file.
    directories : tuple of Path
        Folders of genre folders.
    out : Path
        Model file.
    protocol : str
        How the data is divided.
    train_split, valid_split, artists : Path or None
        Lists, and a table of artists.
    epochs : int or None
    seed : int
    weights, device : str
    workers : int
    as_json : bool
    """

    recipe: str
    directories: tuple[Path, ...]
    out: Path
    protocol: str
    train_split: Path | None
    valid_split: Path | None
    artists: Path | None
    epochs: int | None
    seed: int
    weights: str
    device: str
    workers: int
    as_json: bool


def train_recipe(request: RecipeRequest, console: Console) -> None:
    """Train a recipe, write its model, and say how good it is.

    Parameters
    ----------
    request : RecipeRequest
    console : Console
        For everything that is not a result.

    Raises
    ------
    RecsysError
        If anything is wrong with the recipe, the data or the training.
    """
    from recsys.classifier.card import save_model
    from recsys.classifier.inference import resolve_device
    from recsys.papers.fit import FitOptions
    from recsys.papers.measure import make_recipe_card
    from recsys.papers.protocols import divide_for
    from recsys.papers.recipe import load_recipe

    recipe = load_recipe(request.recipe)
    options = FitOptions(
        seed=request.seed,
        device=resolve_device(request.device),
        weights=request.weights,
        epochs=request.epochs,
        partial=partial_path(request.out),
    )
    lists = _lists(request)
    files = _find(recipe, request, lists)
    data = _load(recipe, files, request, console)
    division = divide_for(recipe, data.segments, request.protocol, seed=request.seed, lists=lists)
    _say(console, f"{recipe.name}: {division.description}")
    if division.leaky:
        _say(console, "segments of one track are on both sides: the figure is too good", "yellow")
    fold = division.folds[0]
    fitted = _fit(recipe, data, fold, options, request)
    card, test = make_recipe_card(
        recipe, fitted, data.segments, division, fold, options, name=request.out.stem
    )
    card = save_model(request.out, fitted.model, card)
    forget_partial(request.out)
    _report(card, test, data, fitted.model, request)


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
        kept = partial_path(request.out)
        searched = kept.with_name(f"{kept.name}.search")
        found = next((path for path in (kept, searched) if path.exists()), None)
        if found is None:
            click.echo("stopped before anything was kept; the same command begins again", err=True)
        else:
            click.echo(f"stopped; the same command goes on from {shown(found)}", err=True)
        raise


class _Teller:
    """Tells of every epoch, and says when a training that was interrupted goes on."""

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


def _load(
    recipe: Recipe, files: list[LabelledFile], request: RecipeRequest, console: Console
) -> RecipeData:
    """Decode the music, with a progress bar, and say what is odd about it."""
    from recsys.cli.output import progress
    from recsys.papers.data import load_music

    with progress("tracks") as bar:
        task = bar.add_task("Reading tracks", total=None, failed=0) if bar else None

        def on_file(total: int) -> None:
            if bar is not None and task is not None:
                bar.update(task, total=total, advance=1)

        data = load_music(
            recipe, files, artists=request.artists, workers=request.workers, on_file=on_file
        )
    for path, reason in data.skipped:
        _say(console, f"skipped {shown(path)}: {reason}", "yellow")
    for sentence in data.notes:
        _say(console, sentence)
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
) -> None:
    """Say how good the model is, and how good its report said it is."""
    from recsys.papers.measure import judge_mixed
    from recsys.papers.recipe import load_recipe

    recipe = load_recipe(request.recipe)
    songs = judge_mixed(recipe, model, data.mixed, card.labels) if data.mixed else None
    if request.as_json:
        print_json({"summary": {**_summary(recipe, card, data, request), "mixed": songs}})
        return
    low, high = test.interval
    words = f"{request.out}: test {test.n} {card.metrics['unit']}s, accuracy {test.accuracy:.3f}"
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
    recipe: Recipe, card: ModelCard, data: RecipeData, request: RecipeRequest
) -> dict[str, Any]:
    return {
        "model": str(request.out),
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
    return recipe.unmeasured if untrained or (about_several and data.mixed is None) else ""


def _say(console: Console, sentence: str, style: str | None = None) -> None:
    console.print(sentence, style=style, highlight=False, soft_wrap=True, markup=False)
