"""What a GPU changes: agreement with the CPU, speed of ``index``, speed of training.

    python -m tests.benchmarks.gpu_check --device cuda --out docs/results

Writes gpu.json and gpu.md in less than eight minutes; ``--device cpu`` is a dry run, in which the
CPU is compared with itself. Songs are made on the spot, networks have random weights, and nothing
is needed but the extras [papers] and a PyTorch for the device.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch

from recsys import atomic
from recsys.classifier.calibrate import softmax
from recsys.classifier.inference import Classifier
from recsys.classifier.training.architectures import TorchNetwork, resolve_device
from recsys.classifier.training.datasets import LabelledTrack, SegmentSet
from recsys.classifier.training.loop import LabelledInputs, PartialRun
from recsys.cli.output import note
from recsys.papers.fit import make_network, settings_of, start_training
from recsys.papers.generation.recipe import load_generator_recipe
from recsys.papers.generation.training import Adversaries, GanOptions
from recsys.papers.recipe import RECIPE_NAMES, load_recipe
from tests.benchmarks.measuring import Figure, Table, figure_of
from tests.benchmarks.report import as_json, rows_of, surroundings
from tests.benchmarks.songs import make_songs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.papers.recipe import Recipe

PROBABILITY, COSINE = 1e-3, 0.9999
"""What is promised: the largest difference of a probability, the smallest cosine of embeddings."""

N_GENRES = 10
WINDOWS = 16
TRAINED = ("lstm-mfcc", "cnn-mel-base", "cnn-stft", "dcgan")
"""Recipes whose steps of training are timed; the last one is a generator."""

WARM_UP, STEPS = 2, 6
"""Steps before the timed ones, and those."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What is measured: the device, songs for ``index``, seconds after which no part begins."""

    device: str
    songs: int = 24
    limit_s: float = 420.0


def measured(options: CheckOptions) -> list[Table]:
    """Measure everything that the time allows; what is left out is named."""
    started = time.monotonic()
    tables = []
    for part in (agreement, throughput, training_steps):
        if time.monotonic() - started > options.limit_s:
            tables.append(Table(part.__name__, (), skipped=("no time was left",)))
            continue
        note(f"{part.__name__} ({time.monotonic() - started:.0f} s so far)")
        tables.append(part(options))
    return tables


# Agreement.


def agreement(options: CheckOptions) -> Table:
    """Compare the outputs of every architecture, in its full size, and of the shipped model."""
    device = resolve_device(options.device)
    rows = list(_shipped(options.device))
    for recipe in one_of_each():
        assert recipe.network is not None
        model = make_network(recipe, recipe.network, N_GENRES, seed=0, weights="random").eval()
        rng = np.random.default_rng(0)
        inputs = rng.random((WINDOWS, *recipe.features.shape), dtype=np.float32)
        here = TorchNetwork(model, torch.device("cpu")).of_windows(inputs)
        there = TorchNetwork(model, device).of_windows(inputs)
        rows += _compared(recipe.network.architecture, here, there)
    return Table(f"Agreement of {options.device} and the CPU", tuple(rows))


def one_of_each() -> list[Recipe]:
    """Return a recipe of every architecture that recipes use."""
    found: dict[str, Recipe] = {}
    for name in RECIPE_NAMES:
        recipe = load_recipe(name)
        if recipe.network is not None:
            found.setdefault(recipe.network.architecture, recipe)
    return list(found.values())


def _shipped(device: str) -> Iterator[Figure]:
    """Compare the shipped model in NumPy with the same model in PyTorch on the device."""
    here, there = Classifier.load(), Classifier.load(device=device)
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.standard_normal((WINDOWS, here.features.window_length))
    windows = here.features.compute(sound.astype(np.float32))
    (one,), (other,) = here.analyse([windows]), there.analyse([windows])
    yield _difference("shipped", one.probabilities, other.probabilities)
    yield _cosine("shipped", one.embedding[np.newaxis], other.embedding[np.newaxis])


def _compared(name: str, here: tuple[Any, ...], there: tuple[Any, ...]) -> Iterator[Figure]:
    yield _difference(name, softmax(here[0], 1.0), softmax(there[0], 1.0))
    yield _cosine(name, here[1], there[1])


def _difference(name: str, one: Any, other: Any) -> Figure:
    most = float(np.abs(one - other).max())
    return Figure(f"{name}: largest difference of a probability", most, "", target=PROBABILITY)


def _cosine(name: str, one: Any, other: Any) -> Figure:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    least = float(((one * other).sum(axis=1) / np.maximum(lengths, 1e-12)).min())
    title = f"{name}: smallest cosine of embeddings"
    return Figure(title, least, "", target=COSINE, higher_is_better=True)


# Speed.


def throughput(options: CheckOptions) -> Table:
    """Time ``recsys index`` of new libraries, on the CPU (``auto``) and on the device."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_songs(place / "songs", options.songs)
        figures = []
        for device in ("auto", options.device):
            command = [sys.executable, "-m", "recsys", "index", str(place / "songs")]
            command += ["--db", str(place / f"{device}.db"), "--device", device]
            started = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            rate = options.songs / (time.monotonic() - started)
            figures.append(Figure(f"index --device {device}", rate, "tracks/s"))
    return Table("Analysis, 4-minute songs in five formats, cold start", tuple(figures))


def training_steps(options: CheckOptions) -> Table:
    """Time steps of training of four recipes, on the CPU and on the device."""
    figures = []
    for name in TRAINED:
        for device in dict.fromkeys(("cpu", options.device)):
            times = _gan_steps(name, device) if name == TRAINED[-1] else _steps(name, device)
            figures.append(figure_of(f"{name}, {device}", times, "ms"))
    return Table("A step of training", tuple(figures))


def _steps(name: str, device: str) -> list[float]:
    """Return the milliseconds of steps, from an epoch of one step each."""
    recipe = load_recipe(name)
    assert recipe.network is not None
    assert recipe.training is not None
    settings = replace(
        settings_of(recipe.training, keep_best=False),
        epochs=WARM_UP + STEPS,
        steps_per_epoch=1,
        patience=None,
    )
    rng = np.random.default_rng(0)
    inputs = rng.random((settings.batch, *recipe.features.shape), dtype=np.float32)
    targets = np.arange(settings.batch, dtype=np.int64) % N_GENRES
    rows = np.arange(settings.batch)
    data = LabelledInputs(inputs, targets, rows)
    run = start_training(
        make_network(recipe, recipe.network, N_GENRES, seed=0, weights="random"),
        data,
        LabelledInputs(inputs, targets, rows[:0]),
        settings,
        seed=0,
        n_genres=N_GENRES,
        partial=PartialRun(None, None),
        device=torch.device(device),
    )
    return [1000 * result.seconds for result in run.epochs()][WARM_UP:]


def _gan_steps(name: str, device: str) -> list[float]:
    recipe = load_generator_recipe(name)
    batch = recipe.generator.batch
    labels = tuple(f"genre {number}" for number in range(N_GENRES))
    tracks = tuple(LabelledTrack(f"{genre}/1", genre) for genre in labels)
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1.0, 1.0, (batch, *recipe.features.shape)).astype(np.float32)
    segments = SegmentSet(tracks, inputs, np.arange(batch, dtype=np.int64) % N_GENRES, labels)
    run = Adversaries(recipe, segments, GanOptions(device=device, epochs=WARM_UP + STEPS))
    return [1000 * result.seconds for result in run.epochs()][WARM_UP:]


# The command.


def markdown(tables: list[Table], options: CheckOptions) -> str:
    """Return everything as a page."""
    name = "CPU" if options.device == "cpu" else torch.cuda.get_device_name()
    lines = [f"# {name}\n", f"`python -m tests.benchmarks.gpu_check --device {options.device}`, "]
    lines.append(f"{surroundings()}\n")
    for table in tables:
        lines += [
            f"## {table.title}\n",
            "| | value | range | target |",
            "| --- | --- | --- | --- |",
        ]
        lines += [f"| {' | '.join(row)} |" for row in rows_of(table)]
        lines += [*table.skipped, ""]
    return "\n".join(lines)


@click.command()
@click.option("--device", type=click.Choice(("cuda", "mps", "cpu")), default="cuda")
@click.option("--songs", type=click.IntRange(min=1), default=24, help="Songs of 4 minutes.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of gpu.json and gpu.md.")
def main(device: str, songs: int, out: Path | None) -> None:
    """Compare a GPU with the CPU: agreement, speed of index, steps of training."""
    resolve_device(device)
    options = CheckOptions(device, songs)
    tables = measured(options)
    page = markdown(tables, options)
    if out is None:
        click.echo(page)
        return
    out.mkdir(parents=True, exist_ok=True)
    atomic.write_text(out / "gpu.md", page)
    found = {"device": device, **as_json(surroundings(), tables)}
    atomic.write_text(out / "gpu.json", json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
