"""Measure recipes by their paper protocol and by an artist-grouped split, and keep every result.

Every finished measurement is one file in the folder of results, so a run can be stopped at any
time and resumes with the missing ones. :mod:`recsys.papers.comparison` makes the table of them.
"""

from __future__ import annotations

import gc
import hashlib
import itertools
import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import torch

from recsys import atomic
from recsys.errors import ModelError, RecsysError
from recsys.papers.data import find_music, genres_of, load_music, load_table
from recsys.papers.estimators import ESTIMATORS
from recsys.papers.features import PublicTable
from recsys.papers.fit import FitOptions, check_recipe, recipe_identity
from recsys.papers.measure import Measurement, measure
from recsys.papers.recipe import load_recipe, split_name, variant_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from recsys.classifier.training.datasets import LabelledFile
    from recsys.classifier.training.loop import EpochResult
    from recsys.papers.data import RecipeData
    from recsys.papers.recipe import Recipe

WAYS = {"report": "paper protocol", "honest": "artist-grouped"}
"""How a recipe is measured, by the names in the results; artist-grouped chooses on validation."""

MEASUREMENT_VERSION = 2
"""To be raised by hand whenever a change of the code changes the figures."""


@dataclass(frozen=True, slots=True)
class ReproduceOptions:
    """Options of a reproduction."""

    out: Path  # folder of results
    directories: tuple[Path, ...] = ()  # of genre folders; may be empty if there is a table
    table: Path | None = None  # public feature table, for the recipes over its columns
    artists: Path | None = None  # CSV with the columns track and artist
    fit: FitOptions = field(default_factory=FitOptions)
    folds: int | None = None  # of the artist-grouped split
    seeds: int = 1  # of networks, from `fit.seed` on; classical models get the first
    workers: int = 2  # processes that decode
    quick: bool = False  # a few tracks and epochs: shows that everything runs


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One measurement to be made."""

    recipe: Recipe
    way: str  # one of WAYS
    source: str  # "audio" or "table"
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of its file of results, without the extension."""
        seed = f".seed{self.seed}" if self.seed else ""
        return f"{self.recipe.name.replace(':', '--')}.{self.source}.{self.way}{seed}"


@dataclass(frozen=True, slots=True)
class FailedMeasurement:
    """A measurement that could not be made, and why."""

    task: Task
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class ReproduceProgress:
    """Callbacks for the progress."""

    # Before a measurement: the task, its number from 1, and the number of all.
    on_task: Callable[[Task, int, int], None] = lambda *_: None
    # After each decoded file: the number of files to decode.
    on_file: Callable[[int], None] = lambda _: None
    # After each epoch of a network.
    on_epoch: Callable[[EpochResult], None] = lambda _: None
    # When data has been decoded or read: the task that needs it, and the data.
    on_data: Callable[[Task, RecipeData], None] = lambda *_: None


def all_recipes(names: Sequence[str]) -> list[Recipe]:
    """Return recipes once each, those with the same features together.

    A name stands for its variants too, unless it names one. Raises ModelError if a recipe cannot
    be read, or two files would give their recipes the same name.
    """
    whole = [
        [name] if split_name(name)[1] is not None else [name, *variant_names(name)]
        for name in names
    ]
    found = {name: load_recipe(name) for group in whole for name in group}
    counts = Counter(recipe.name for recipe in found.values())
    if twice := [name for name in found if counts[found[name].name] > 1]:
        raise ModelError(
            f"two recipes are called {found[twice[0]].name}: {' and '.join(twice)}",
            "Their results would be taken for each other's; rename a file.",
        )
    order: dict[object, int] = {}
    for recipe in found.values():
        order.setdefault(_data_key(recipe), len(order))
    return sorted(found.values(), key=lambda recipe: order[_data_key(recipe)])


def _data_key(recipe: Recipe) -> object:
    """Return the part of a recipe that decides its data."""
    return recipe.features, recipe.genres


class Reproduction:
    """A run over many recipes.

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
        try:
            # Names, sizes and times stand for the audio: reading it would take longer than many a
            # measurement.
            stats = [(file.key, file.path.stat()) for file in self._files]
            self._digests = {
                "audio": _digest([[key, stat.st_size, stat.st_mtime_ns] for key, stat in stats]),
                "table": _file_digest(options.table),
                "artists": _file_digest(options.artists),
            }
        except OSError as error:
            raise ModelError(
                f"{error.filename} cannot be read: {error.strerror or error}",
                "Check its permissions.",
            ) from error
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
        self.tasks = tuple(self._plan(recipes))
        self._loaded: dict[str, tuple[object, RecipeData]] = {}

    def done(self) -> dict[Task, Measurement]:
        """Return the measurements that have been made with these settings and this music."""
        results = ((task, self._read(task)) for task in self.tasks)
        return {task: result for task, result in results if result is not None}

    def run(
        self, watcher: ReproduceProgress | None = None
    ) -> Iterator[tuple[Task, Measurement | FailedMeasurement]]:
        """Make the measurements that are missing; each is written before it is yielded."""
        watcher = watcher or ReproduceProgress()
        for number, task in enumerate(self.tasks, 1):
            if self._read(task) is None:
                watcher.on_task(task, number, len(self.tasks))
                yield task, self._attempt(task, watcher)

    def _plan(self, recipes: Iterable[Recipe]) -> Iterator[Task]:
        for recipe in recipes:
            own = shortened(recipe) if self._options.quick else recipe
            sources = ["audio"] if self._options.directories else []
            if self._options.table and isinstance(recipe.features, PublicTable):
                sources.append("table")
            count = self._options.seeds if own.training else 1
            first = self._options.fit.seed
            for source, way in itertools.product(sources, WAYS):
                yield from (Task(own, way, source, first + number) for number in range(count))

    def _attempt(self, task: Task, watcher: ReproduceProgress) -> Measurement | FailedMeasurement:
        """Make a measurement; an error does not stop the others."""
        try:
            return self._measure(task, watcher)
        except RecsysError as error:
            return FailedMeasurement(task, error.message, error.hint)
        except (RuntimeError, MemoryError, OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
            hint = "The other measurements go on; the same command tries this one again."
            if isinstance(error, MemoryError) or "memory" in str(error).lower():
                hint = "Close other programs, use fewer --workers, or choose --device cpu."
        # Outside the except clause the error is gone, and with it the arrays that its frames held.
        # The next measurement may need all of the memory.
        self._loaded.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return FailedMeasurement(task, reason, hint)

    def _measure(self, task: Task, watcher: ReproduceProgress) -> Measurement:
        recipe, options = task.recipe, self._options
        check_recipe(recipe, len(genres_of(recipe, self._files)) or 10, options.fit.weights)
        data = self._load(task, watcher)
        source = "public feature table" if task.source == "table" else "audio"
        tracks, genres = len(data.segments.tracks), len(data.segments.labels)
        identity = self._identity(task)
        measurement = measure(
            recipe,
            data,
            task.way,
            # The identity in the name: a state of other settings must not stop this run.
            replace(
                options.fit, seed=task.seed, partial=self._states / f"{task.name}.{identity}.pt"
            ),
            described=f"{source}, {tracks} tracks, {genres} genres",
            folds=1 if options.quick else options.folds,
            on_epoch=watcher.on_epoch,
        )
        result = json.dumps({"identity": identity, **asdict(measurement)}, indent=1)
        # Its own file, also where it is damaged.
        atomic.write_text(self._results / f"{task.name}.json", result)
        for left in self._states.glob(f"{task.name}.*"):
            # Of these settings and others, but not of another seed.
            if not left.name.removeprefix(task.name).startswith(".seed"):
                left.unlink()
        return measurement

    def _load(self, task: Task, watcher: ReproduceProgress) -> RecipeData:
        """Return the data of a task; that of the task before is reused if it is the same."""
        recipe, options = task.recipe, self._options
        if task.source in self._loaded and self._loaded[task.source][0] == _data_key(recipe):
            return self._loaded[task.source][1]
        # Free the old data before the next is decoded: both can be large.
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
        self._loaded[task.source] = _data_key(recipe), data
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
        """Return a digest of everything that decides the outcome of a measurement."""
        options = self._options
        fit = replace(options.fit, seed=task.seed, by_report=task.way == "report")
        folds = options.folds if task.way == "honest" else None
        music = [task.source, self._digests[task.source], self._digests["artists"]]
        own = recipe_identity(task.recipe, fit)
        return _digest([MEASUREMENT_VERSION, own, music, folds, options.quick])


def _digest(parts: object) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of something ready for JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _file_digest(path: Path | None) -> str | None:
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def _check_options(options: ReproduceOptions) -> None:
    """Raise where there is nothing to measure, or a file is missing."""
    if not options.directories and options.table is None:
        raise ModelError(
            "there is nothing to measure recipes on", "Give folders of music, or a feature table."
        )
    for path, role in ((options.table, "feature table"), (options.artists, "table of artists")):
        if path is not None and not path.is_file():
            raise ModelError(f"the {role} {path} is not there", "Check the path.")


# Quick runs: recipes cut down to seconds, to see that everything runs.


QUICK_TRACKS = 8
"""Of every genre."""

QUICK_EPOCHS = 2

QUICK_TREES = 20


def spread(files: Iterable[LabelledFile], count: int = QUICK_TRACKS) -> list[LabelledFile]:
    """Take `count` tracks of every genre, evenly spaced: neighbours are often of one artist."""
    chosen: list[LabelledFile] = []
    by_genre = attrgetter("genre")
    # Sorting keeps the order within a genre.
    for _, group in groupby(sorted(files, key=by_genre), by_genre):
        own = list(group)
        taken = min(count, len(own))
        chosen += [own[number * len(own) // taken] for number in range(taken)]
    return chosen


def shortened(recipe: Recipe) -> Recipe:
    """Return a recipe with two epochs, two trials and few trees; its figures mean nothing."""
    update: dict[str, object] = {"memorise": 0}
    training, search, estimator = recipe.training, recipe.search, recipe.estimator
    if training is not None:
        epochs = min(QUICK_EPOCHS, training.epochs)
        update["training"] = training.model_copy(update={"epochs": epochs})
    if search is not None:
        # Two candidates of the first setting and one of every other.
        first = next(iter(search.network), None)
        trials = {
            "network": {name: v[: 2 if name == first else 1] for name, v in search.network.items()},
            "training": {name: values[:1] for name, values in search.training.items()},
        }
        update["search"] = search.model_copy(update={**trials, "epochs": 1})
    if estimator is not None and estimator.name in ESTIMATORS:
        settings = {**ESTIMATORS[estimator.name][2], **estimator.settings}
        if "n_estimators" in settings:
            few = {**estimator.settings, "n_estimators": QUICK_TREES}
            update["estimator"] = estimator.model_copy(update={"settings": few})
    return recipe.model_copy(update=update)
