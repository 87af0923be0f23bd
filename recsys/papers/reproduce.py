"""Running every recipe under its report's protocol and honestly, and keeping what was measured.

Every finished measurement is one file in the folder of results, so a run can be stopped at any
time and goes on with what is missing.
"""

from __future__ import annotations

import csv
import gc
import io
import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from recsys.errors import ModelError, RecsysError
from recsys.papers.data import find_music, genres_of, load_music, load_table
from recsys.papers.estimators import shortened, spread
from recsys.papers.features import PublicTable
from recsys.papers.fit import (
    MEASUREMENT_VERSION,
    RANDOM,
    FitOptions,
    check_recipe,
    digest,
    file_digest,
    music_digest,
    recipe_identity,
)
from recsys.papers.measure import Measurement, measure
from recsys.papers.recipe import ORDER, load_recipe, split_name, variant_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from recsys.classifier.training.datasets import LabelledFile
    from recsys.classifier.training.loop import EpochResult
    from recsys.papers.data import RecipeData
    from recsys.papers.recipe import Recipe

# What must be said beside a figure: why it is missing, and what it must not be taken for.


CAUTIONS = (
    "The intervals hold for units that know nothing of each other. Segments of one track and"
    " several tracks of one artist are alike, so these intervals are too narrow.",
    "Every figure is of one seed. Where data was divided once and not into folds, how much another"
    " seed or another division would change is not in the interval either.",
    "'learned from' counts what 'n' counts: segments where the report mixed them, else tracks; of"
    " several folds the fewest. The report's protocol and the honest one often learn from"
    " different numbers of tracks, so that their difference is not of leaks and artists alone.",
)
"""What holds for every table."""

SKIPPED_SHOWN = 5
"""Files that are named where some were left out."""


def not_measured(recipe: Recipe, ways: Mapping[str, Measurement], weights: str) -> bool:
    """Return whether the figures of a recipe say nothing about the published one.

    Parameters
    ----------
    recipe : Recipe
    ways : mapping
        Its measurements.
    weights : str
        Which pretrained weights were used.

    Returns
    -------
    bool
        True where it began from random weights in the place of trained ones, or where it is
        about songs of several genres and there were none.
    """
    untrained = recipe.weights is not None and weights == RANDOM
    about_mixed = recipe.training is not None and recipe.training.loss == "sigmoid"
    return untrained or (about_mixed and not any("mixed" in one.notes for one in ways.values()))


def mostly_unknown(unknown: int | None, tracks: int | None) -> bool:
    """Return whether most tracks have no known artist; False where nobody counted."""
    return unknown is not None and tracks is not None and 2 * unknown > tracks


def remarks(
    recipe: Recipe,
    ways: Mapping[str, Measurement],
    failed: str,
    *,
    weights: str,
    quick: bool,
    epochs: int | None,
) -> list[str]:
    """Return what must be said beside the figures of a recipe.

    Parameters
    ----------
    recipe : Recipe
    ways : mapping
        Its measurements, by way.
    failed : str
        Why others could not be made; empty if none failed.
    weights : str
        Which pretrained weights were used.
    quick : bool
        Nothing was measured in earnest.
    epochs : int or None
        The most that were allowed, if not the recipe's.

    Returns
    -------
    list of str
    """
    notes = ["quick run, measures nothing"] if quick else []
    if recipe.training is not None and epochs is not None and epochs < recipe.training.epochs:
        notes.append(f"at most {epochs} epochs instead of {recipe.training.epochs}")
    if failed:
        notes.append(f"could not be run, {failed}")
    if ways and not_measured(recipe, ways, weights):
        figures = [f"{way} {one.test['accuracy']:.3f}" for way, one in ways.items()]
        notes.append(f"not measured: {recipe.unmeasured}")
        notes.append(f"ran to the end without ({', '.join(figures)})")
    if "honest" in ways:
        notes += _about_artists(ways["honest"])
    for one in ways.values():
        notes += _about_songs(one)
    return notes + list(_beside_published(recipe, ways.get("report")))


def _about_artists(honest: Measurement) -> list[str]:
    """Say where the honest figure knows less of artists than its name promises."""
    unknown, tracks = honest.unknown_artists, honest.n_tracks
    if not unknown:
        return []
    words = f"{unknown} of {tracks} artists unknown"
    by_track = mostly_unknown(unknown, tracks)
    return [f"honest by track only: {words}" if by_track else words]


def _about_songs(one: Measurement) -> list[str]:
    notes = []
    if "mixed" in one.notes:
        notes.append(
            f"{one.way}: of songs of several genres; of {one.test['n']} tracks of one,"
            f" {one.test['accuracy']:.3f}"
        )
    if memorised := one.notes.get("memorised"):
        notes.append(
            f"learns {memorised['segments']} segments by heart to"
            f" {memorised['accuracy']:.3f} in {memorised['epochs']} epochs"
        )
    return notes


def _beside_published(recipe: Recipe, report: Measurement | None) -> Iterator[str]:
    """Yield what the report tells beside its accuracy, each after its neighbour from here."""
    published = recipe.published
    if report is not None and report.train_accuracy is not None:
        exact = recipe.training is None or "train_accuracy_of" in report.notes
        yield f"train {report.train_accuracy:.3f}{'' if exact else ' during the last epoch'}"
    if published.train is not None:
        yield f"published train {published.train:.3f}"
    if report is not None and (valid := valid_accuracy(recipe, report)) is not None:
        yield f"valid {valid:.3f}"
    if published.valid is not None:
        yield f"published valid {published.valid:.3f}"
    if published.loss is not None:
        if report is not None:
            yield f"loss {report.loss:.3f}"
        yield f"published loss {published.loss:.3f}"
    if report is not None and "chosen" in report.notes:
        yield _choice(report.notes)
    if published.also:
        yield f"published also: {', '.join(published.also)}"


def valid_accuracy(recipe: Recipe, report: Measurement) -> float | None:
    """Return the accuracy on validation of the epoch that was kept under the report's protocol.

    Parameters
    ----------
    recipe : Recipe
    report : Measurement
        Under the report's protocol.

    Returns
    -------
    float or None
        None where nothing was validated.
    """
    history = [entry for entry in report.history if entry.get("valid_loss") is not None]
    if recipe.training is None or not history:
        return None
    best = min(history, key=lambda entry: float(entry["valid_loss"]))
    kept = best if recipe.training.keep == "best" else history[-1]
    found: float | None = kept["valid_accuracy"]
    return found


def _choice(notes: Mapping[str, Any]) -> str:
    """Say which settings were chosen, and among how many."""
    chosen = ", ".join(f"{name} = {value}" for name, value in notes["chosen"].items())
    counts = [f"{notes[key]} {key}" for key in ("fits", "trials") if key in notes]
    return f"chosen: {chosen}" + (f" ({', '.join(counts)})" if counts else "")


def about_data(done: Mapping[Task, Measurement]) -> list[str]:
    """Return what is uneven, missing or known to be wrong in the data, each once.

    Parameters
    ----------
    done : mapping
        Measurements.

    Returns
    -------
    list of str
        After the words for the data: ``audio, 429 tracks, 10 genres: ...``.
    """
    lines: dict[str, None] = {}
    for one in done.values():
        said = [*one.notes.get("data", ())]
        skipped = words_for_skipped(one.notes.get("skipped_files", ()))
        if not skipped and one.notes.get("skipped"):
            skipped = f"{one.notes['skipped']} files skipped"
        for line in (*said, *([skipped] if skipped else [])):
            lines[f"{one.data}: {line}"] = None
    return list(lines)


def words_for_skipped(files: Sequence[Sequence[str]]) -> str:
    """Name files that were left out, with the reasons.

    Parameters
    ----------
    files : sequence of (str, str)
        Name and reason.

    Returns
    -------
    str
        Empty if there are none; of many, some are named.
    """
    if not files:
        return ""
    shown = ", ".join(f"{name} ({reason})" for name, reason in files[:SKIPPED_SHOWN])
    more = f" and {len(files) - SKIPPED_SHOWN} more" if len(files) > SKIPPED_SHOWN else ""
    return f"{len(files)} file{'s' if len(files) > 1 else ''} skipped: {shown}{more}"


# One table: what was published, what the report's protocol gives here, and what honesty gives.


@dataclass(frozen=True, slots=True)
class Row:
    """One recipe on one kind of data.

    Attributes
    ----------
    recipe, title, data : str
    published : float or None
        Accuracy that the report gives.
    report, honest : float or None
        Accuracy here under the report's protocol, and by track and artist.
    report_n, honest_n : int or None
        Tracks or segments judged.
    report_unit : str
        What `report_n` counts: ``track`` or ``segment``. The honest figure is always of tracks.
    report_low, report_high, honest_low, honest_high : float or None
        95% intervals (Wilson). Segments of a track are not independent, nor are tracks of an
        artist, so they are too narrow.
    report_train, honest_train : int or None
        Tracks, or segments where `report_unit` is that, that were learned from; of the fold with
        the fewest. Where they differ, so does what the figures stand for.
    unknown_artists, tracks : int or None
        Of how many tracks the artist is not known. Where it is most of them, the honest figure
        keeps tracks apart and no artists.
    leaky : bool
        The report's protocol had segments of one track on both sides.
    seed : int or None
    minutes : float or None
        Both measurements together, without decoding.
    note : str
        Why a figure is missing, or what it must not be taken for.
    """

    recipe: str
    title: str
    data: str
    published: float | None = None
    report: float | None = None
    report_n: int | None = None
    report_unit: str = ""
    report_low: float | None = None
    report_high: float | None = None
    honest: float | None = None
    honest_n: int | None = None
    honest_low: float | None = None
    honest_high: float | None = None
    report_train: int | None = None
    honest_train: int | None = None
    unknown_artists: int | None = None
    tracks: int | None = None
    leaky: bool = False
    seed: int | None = None
    minutes: float | None = None
    note: str = ""

    @property
    def artists_unknown(self) -> bool:
        """Most tracks have no known artist: "honest" keeps tracks apart, and hardly an artist."""
        return mostly_unknown(self.unknown_artists, self.tracks)


def compare(
    done: Mapping[Task, Measurement],
    failures: Sequence[Failure],
    *,
    weights: str,
    quick: bool,
    epochs: int | None = None,
) -> list[Row]:
    """Bring both measurements of each recipe into one row.

    Parameters
    ----------
    done : mapping
        Measurements that were made.
    failures : sequence of Failure
        Measurements that could not be made.
    weights : str
        Which pretrained weights were used.
    quick : bool
        Nothing was measured in earnest.
    epochs : int, optional
        The most that were allowed, if not the recipes'.

    Returns
    -------
    list of Row
        Report by report, then recipes that do not come with recsys.
    """
    pairs: dict[tuple[str, str], dict[str, Measurement]] = {}
    recipes: dict[str, Recipe] = {}
    reasons: dict[tuple[str, str], dict[str, list[str]]] = {}
    for task, measurement in done.items():
        pairs.setdefault((task.recipe.name, task.source), {})[task.way] = measurement
        recipes[task.recipe.name] = task.recipe
    for failure in failures:
        key = (failure.task.recipe.name, failure.task.source)
        pairs.setdefault(key, {})
        recipes[failure.task.recipe.name] = failure.task.recipe
        reasons.setdefault(key, {}).setdefault(failure.reason, []).append(failure.task.way)
    rows = []
    for key in sorted(pairs, key=_place):
        recipe, ways = recipes[key[0]], pairs[key]
        failed = _in_words(reasons.get(key, {}))
        notes = remarks(recipe, ways, failed, weights=weights, quick=quick, epochs=epochs)
        rows.append(_row(recipe, ways, "; ".join(notes), weights))
    return rows


def _place(key: tuple[str, str]) -> int:
    base = key[0].partition(":")[0]
    return ORDER.index(base) if base in ORDER else len(ORDER)


def _in_words(reasons: Mapping[str, Sequence[str]]) -> str:
    """Say why measurements failed: each reason once, after the ways that it stopped."""
    return "; ".join(f"{' and '.join(ways)}: {reason}" for reason, ways in reasons.items())


def _row(recipe: Recipe, ways: Mapping[str, Measurement], note: str, weights: str) -> Row:
    report, honest = ways.get("report"), ways.get("honest")
    some = report or honest
    row = Row(
        recipe=recipe.name,
        title=recipe.title,
        data=some.data if some else "",
        published=recipe.published.test,
        leaky=report.leaky if report else recipe.protocol.split == "by-segment",
        report_unit=report.unit if report else "",
        report_train=report.n_train if report else None,
        honest_train=honest.n_train if honest else None,
        unknown_artists=some.unknown_artists if some else None,
        tracks=some.n_tracks if some else None,
        seed=some.seed if some else None,
        minutes=sum(one.minutes for one in ways.values()) if ways else None,
        note=note,
    )
    if not_measured(recipe, ways, weights):
        return row
    values = asdict(row)
    for way, one in (("report", report), ("honest", honest)):
        if one is not None:
            # What a report says of songs of several genres is compared with such songs.
            figures = one.notes.get("mixed") or one.test
            low, high = figures["interval"]
            values[way], values[f"{way}_n"] = figures["accuracy"], figures["n"]
            values[f"{way}_low"], values[f"{way}_high"] = low, high
    return Row(**values)


def as_csv(rows: Sequence[Row]) -> str:
    """Return the table as CSV, with every field of :class:`Row`."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [field.name for field in fields(Row)])
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return file.getvalue()


def as_markdown(
    rows: Sequence[Row],
    recipes: Sequence[Recipe],
    done: Mapping[Task, Measurement] | None = None,
) -> str:
    """Return the table for people, and below it what they must know to read it.

    Parameters
    ----------
    rows : sequence of Row
    recipes : sequence of Recipe
        Whose readings are told.
    done : mapping, optional
        Measurements behind the rows; what is uneven or missing in their data is told.

    Returns
    -------
    str
        Markdown.
    """
    lines = [
        "| recipe | data | published | report's protocol here | honest here | seed | min | note |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{row.recipe}` | {_cell(row.data)} | {_figure(row.published)} | {_report(row)}"
        f" | {_honest(row)} | {'' if row.seed is None else row.seed}"
        f" | {'' if row.minutes is None else f'{row.minutes:.1f}'} | {_cell(row.note)} |"
        for row in rows
    ]
    lines += ["", *(f"- {caution}" for caution in CAUTIONS)]
    if about := about_data(done or {}):
        lines += ["", "The data:", "", *(f"- {line}" for line in about)]
    lines += ["", "Where the reports cannot be followed to the letter:", ""]
    for recipe in recipes:
        lines += [f"- `{recipe.name}`: {reading}" for reading in recipe.readings]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return text that stays in its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(
    low: float | None, high: float | None, n: int | None, unit: str, learned: int | None
) -> str:
    from_how_many = "" if learned is None else f"; learned from {learned}"
    return f"({low:.3f} to {high:.3f}, {n} {unit}s{from_how_many})"


def _report(row: Row) -> str:
    if row.report is None:
        return "not measured"
    mark = " leaky" if row.leaky else ""
    interval = row.report_low, row.report_high
    words = _interval(*interval, row.report_n, row.report_unit, row.report_train)
    return f"{row.report:.3f}{mark} {words}"


def _honest(row: Row) -> str:
    if row.honest is None:
        return "not measured"
    interval = row.honest_low, row.honest_high
    words = _interval(*interval, row.honest_n, "track", row.honest_train)
    mark = " by track" if row.artists_unknown else ""
    return f"{row.honest:.3f}{mark} {words}"


# ----------------------------------------------------------------------


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
