"""Running every recipe under its report's protocol and honestly, and keeping what was measured.

Every finished measurement is one file in the folder of results, so a run can be stopped at any
time and goes on with what is missing.
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from recsys.classifier.recipes.data import find_music, genres_of, load_music, load_table
from recsys.classifier.recipes.fit import FitOptions, check_recipe
from recsys.classifier.recipes.identity import (
    MEASUREMENT_VERSION,
    digest,
    file_digest,
    music_digest,
    recipe_identity,
)
from recsys.classifier.recipes.loading import load_recipe, split_name, variant_names
from recsys.classifier.recipes.measure import Measurement, measure
from recsys.classifier.recipes.quick import shortened, spread
from recsys.errors import ModelError, RecsysError
from recsys.features.public_table import PublicTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from recsys.classifier.datasets import LabelledFile
    from recsys.classifier.recipes.data import RecipeData
    from recsys.classifier.recipes.recipe import Recipe
    from recsys.classifier.settings import EpochResult

WAYS = ("report", "honest")


@dataclass(frozen=True, slots=True)
class ReproduceOptions:
    """What a reproduction is given.

    Attributes
    ----------
    out : Path
        Folder of results.
    directories : tuple of Path
        Folders of genre folders; may be empty if there is a table.
    table : Path or None
        Public feature table; recipes over its columns are measured on it too.
    artists : Path or None
        CSV with the columns track and artist.
    fit : FitOptions
        Seed, device, pretrained weights, epochs.
    folds : int or None
        Of the honest protocol.
    workers : int
        Processes that decode.
    quick : bool
        A few tracks and epochs of everything: shows that all of it runs, and measures nothing.
    """

    out: Path
    directories: tuple[Path, ...] = ()
    table: Path | None = None
    artists: Path | None = None
    fit: FitOptions = field(default_factory=FitOptions)
    folds: int | None = None
    workers: int = 2
    quick: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One measurement to be made.

    Attributes
    ----------
    recipe : Recipe
    way : str
        ``report`` or ``honest``.
    source : str
        ``audio`` or ``table``.
    """

    recipe: Recipe
    way: str
    source: str

    @property
    def name(self) -> str:
        """Of its file of results, without the ending."""
        return f"{self.recipe.name.replace(':', '--')}.{self.source}.{self.way}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A measurement that could not be made, and why."""

    task: Task
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told of the progress; every member is optional.

    Attributes
    ----------
    on_task : callable
        Before a measurement, with the task, its number from 1 and the number of all.
    on_file : callable
        After each decoded file, with the number of files to decode.
    on_epoch : callable
        After each epoch of a network.
    on_data : callable
        When data has been decoded or read, with the task that needed it and the data.
    """

    on_task: Callable[[Task, int, int], None] | None = None
    on_file: Callable[[int], None] | None = None
    on_epoch: Callable[[EpochResult], None] | None = None
    on_data: Callable[[Task, RecipeData], None] | None = None


def all_recipes(names: Sequence[str]) -> list[Recipe]:
    """Return recipes with their variants; those that see the same features stand together.

    Parameters
    ----------
    names : sequence of str
        A name stands for its variants too, unless it names one.

    Returns
    -------
    list of Recipe
        Each once.

    Raises
    ------
    ModelError
        If one cannot be read, or two files would give their recipes the same name.
    """
    whole = [
        [name] if split_name(name)[1] is not None else [name, *variant_names(name)]
        for name in names
    ]
    found = {name: load_recipe(name) for group in whole for name in group}
    recipes = list(found.values())
    counts = Counter(recipe.name for recipe in recipes)
    if twice := [name for name in found if counts[found[name].name] > 1]:
        raise ModelError(
            f"two recipes are called {found[twice[0]].name}: {' and '.join(twice)}",
            "Their results would be taken for each other's; rename a file.",
        )
    order: dict[tuple[object, ...], int] = {}
    for recipe in recipes:
        order.setdefault(_seen(recipe), len(order))
    return sorted(recipes, key=lambda recipe: order[_seen(recipe)])


def _seen(recipe: Recipe) -> tuple[object, ...]:
    return (recipe.features, recipe.genres)


class Reproduction:
    """A run over many recipes.

    Parameters
    ----------
    recipes : sequence of Recipe
    options : ReproduceOptions

    Raises
    ------
    ModelError
        If there is no music, or a file is missing, or the folder of results cannot be written.
    """

    def __init__(self, recipes: Sequence[Recipe], options: ReproduceOptions) -> None:
        _check_options(options)
        self._options = options
        files = find_music(options.directories)
        self._files = spread(files) if options.quick else files
        self._music = _digests(self._files, options)
        self._results = options.out / "results"
        self._states = options.out / "state"
        try:
            for folder in (self._results, self._states):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelError(
                f"results cannot be written to {options.out}: {error.strerror or error}",
                "Choose a folder that you may write to.",
            ) from error
        self._tasks = list(self._plan(recipes))
        self._loaded: dict[str, tuple[object, RecipeData]] = {}

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All measurements, made or not."""
        return tuple(self._tasks)

    def done(self) -> dict[Task, Measurement]:
        """Return the measurements that have been made with these settings and this music."""
        found = {}
        for task in self._tasks:
            measurement = self._read(task)
            if measurement is not None:
                found[task] = measurement
        return found

    def run(self, watcher: Watcher | None = None) -> Iterator[tuple[Task, Measurement | Failure]]:
        """Make the measurements that are missing.

        Parameters
        ----------
        watcher : Watcher, optional

        Yields
        ------
        (Task, Measurement or Failure)
            As they come; a measurement has been written by then.
        """
        watcher = watcher or Watcher()
        for number, task in enumerate(self._tasks, 1):
            if self._read(task) is not None:
                continue
            if watcher.on_task is not None:
                watcher.on_task(task, number, len(self._tasks))
            yield task, self._attempt(task, watcher)

    def _attempt(self, task: Task, watcher: Watcher) -> Measurement | Failure:
        """Make a measurement; whatever goes wrong with it stops no other."""
        try:
            return self._measure(task, watcher)
        except RecsysError as error:
            return Failure(task, error.message, error.hint)
        except (RuntimeError, MemoryError, OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
            hint = _hint(error)
        # Here the error is gone, and with it what its frames held.
        self._make_room()
        return Failure(task, reason, hint)

    def _make_room(self) -> None:
        """Give back all memory that can be had again: the next measurement may need it."""
        self._loaded.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _plan(self, recipes: Iterable[Recipe]) -> Iterator[Task]:
        for recipe in recipes:
            own = shortened(recipe) if self._options.quick else recipe
            sources = ["audio"] if self._options.directories else []
            if self._options.table and isinstance(recipe.features, PublicTable):
                sources.append("table")
            for source in sources:
                yield from (Task(own, way, source) for way in WAYS)

    def _measure(self, task: Task, watcher: Watcher) -> Measurement:
        recipe, options = task.recipe, self._options
        genres = genres_of(recipe, self._files)
        check_recipe(recipe, len(genres) or 10, options.fit.weights)
        data = self._load(task, watcher)
        identity = self._identity(task)
        # A state that was left under other settings is of no use, and must not stop this run.
        state = self._states / f"{task.name}.{identity}.pt"
        measurement = measure(
            recipe,
            data,
            task.way,
            replace(options.fit, partial=state),
            described=_describe(task, data),
            folds=1 if options.quick else options.folds,
            on_epoch=watcher.on_epoch,
        )
        whole = {"identity": identity, **measurement.as_dict()}
        path = self._results / f"{task.name}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(whole, indent=1), encoding="utf-8")
        temporary.replace(path)
        for left in self._states.glob(f"{task.name}.*"):
            left.unlink()
        return measurement

    def _load(self, task: Task, watcher: Watcher) -> RecipeData:
        """Return the data of a task; the last from its source is used again if it is the same."""
        recipe, options = task.recipe, self._options
        key, (known, data) = _seen(recipe), self._loaded.get(task.source, (None, None))
        if data is not None and known == key:
            return data
        # What is not needed any more goes before the next is decoded: both can be large.
        self._loaded.pop(task.source, None)
        if task.source == "table":
            assert options.table is not None
            data = load_table(recipe, options.table, options.artists)
        else:
            data = load_music(
                recipe,
                self._files,
                artists=options.artists,
                workers=options.workers,
                on_file=watcher.on_file,
            )
        self._loaded[task.source] = (key, data)
        if watcher.on_data is not None:
            watcher.on_data(task, data)
        return data

    def _read(self, task: Task) -> Measurement | None:
        path = self._results / f"{task.name}.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            identity = raw.pop("identity")
            measurement = Measurement(**raw)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return measurement if identity == self._identity(task) else None

    def _identity(self, task: Task) -> str:
        """Return a digest of all that decides the outcome of a measurement."""
        options = self._options
        fit = replace(options.fit, by_report=task.way == "report")
        folds = options.folds if task.way == "honest" else None
        music = [task.source, self._music[task.source], self._music["artists"]]
        own = recipe_identity(task.recipe, fit)
        return digest([MEASUREMENT_VERSION, own, music, folds, options.quick])


def _check_options(options: ReproduceOptions) -> None:
    """Raise where there is nothing to measure, or a file is not there."""
    if not options.directories and options.table is None:
        raise ModelError(
            "there is nothing to measure recipes on", "Give folders of music, or a feature table."
        )
    for path, what in ((options.table, "feature table"), (options.artists, "table of artists")):
        if path is not None and not path.is_file():
            raise ModelError(f"the {what} {path} is not there", "Check the path.")


def _digests(files: Sequence[LabelledFile], options: ReproduceOptions) -> dict[str, str | None]:
    """Return what stands for the music and the tables in the identity of a measurement."""
    try:
        return {
            "audio": music_digest(files),
            "table": file_digest(options.table),
            "artists": file_digest(options.artists),
        }
    except OSError as error:
        raise ModelError(
            f"{error.filename} cannot be read: {error.strerror or error}", "Check its permissions."
        ) from error


def _hint(error: Exception) -> str:
    """Say what can be done about an error that recsys did not raise itself."""
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return "Close other programs, use fewer --workers, or choose --device cpu."
    return "The other measurements go on; the same command tries this one again."


def _describe(task: Task, data: RecipeData) -> str:
    """Say what the data is, in a few words."""
    what = "public feature table" if task.source == "table" else "audio"
    return f"{what}, {len(data.segments.tracks)} tracks, {len(data.segments.labels)} genres"
