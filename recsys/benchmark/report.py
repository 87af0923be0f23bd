"""What a whole run of the benchmark found: as JSON, and as pictures."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.errors import RecsysError, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.benchmark.results import Table

LIBRARIES = ("torch", "numpy", "faiss-cpu", "av", "soundfile", "voyager", "usearch", "bliss-audio")
"""Whose versions belong to the figures."""

JSON_NAME, SPEED_NAME, SEARCH_NAME = "benchmark.json", "listening.png", "search.png"

_SIZE_INCHES, _DPI = (7.0, 4.0), 120


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where and when something was measured.

    Attributes
    ----------
    date : str
        ISO 8601, UTC.
    processor, system, python : str
    processors : int
        That this process may use.
    versions : dict of str to str
        Of :data:`LIBRARIES`, as far as they are installed.
    """

    date: str
    processor: str
    processors: int
    system: str
    python: str
    versions: dict[str, str]


def surroundings() -> Surroundings:
    """Describe this machine."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    affinity = getattr(os, "sched_getaffinity", None)
    return Surroundings(
        date=datetime.now(UTC).date().isoformat(),
        processor=_processor(),
        processors=len(affinity(0)) if affinity else os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=versions,
    )


def _processor() -> str:
    """Return the processor's name, which Linux tells in a file alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def as_json(where: Surroundings, tables: Sequence[Table]) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {"surroundings": asdict(where), "tables": [table.as_json() for table in tables]}


def write_report(folder: Path, where: Surroundings, tables: Sequence[Table]) -> list[Path]:
    """Write JSON and pictures.

    Parameters
    ----------
    folder : Path
        Made if it is not there; files of the same names are replaced.
    where : Surroundings
    tables : sequence of Table

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    RecsysError
        The folder cannot be written to.
    MissingExtraError
        matplotlib is not installed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / JSON_NAME
        path.write_text(json.dumps(as_json(where, tables), indent=2) + "\n", encoding="utf-8")
        return [path, *_draw(folder, tables)]
    except OSError as error:
        raise RecsysError(
            f"{folder} cannot be written to: {error.strerror or error}",
            "Choose another folder with --out.",
        ) from error


def _draw(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Draw listening as bars, and the time of an answer over the size of the library."""
    drawn = []
    speed = [table for table in tables if _speeds(table)]
    if speed:
        drawn.append(_draw_speed(folder / SPEED_NAME, speed[0]))
    answers = [(size, value) for table in tables for size, value in _answers(table)]
    if len(answers) > 1:
        drawn.append(_draw_answers(folder / SEARCH_NAME, sorted(answers)))
    return drawn


def _speeds(table: Table) -> list[tuple[str, float]]:
    ours = [(figure.name, figure.value) for figure in table.figures if figure.unit == "tracks/s"]
    theirs = [
        (peer.name, peer.figure.value) for peer in table.peers if peer.figure.unit == "tracks/s"
    ]
    return ours + theirs


def _answers(table: Table) -> list[tuple[int, float]]:
    """Return (tracks, ms) of the table, if it is one of search: its title names the size."""
    digits = "".join(letter for letter in table.title if letter.isdigit())
    found = [
        figure.value
        for figure in table.figures
        if figure.unit == "ms" and "similar" in figure.name and "p50" in figure.name
    ]
    return [(int(digits), found[0])] if digits and found else []


def _canvas() -> tuple[Any, Any]:
    pyplot = require("matplotlib.figure", "benchmark")
    figure = pyplot.Figure(figsize=_SIZE_INCHES, layout="constrained")
    return figure, figure.subplots()


def _draw_speed(path: Path, table: Table) -> Path:
    figure, axes = _canvas()
    names, values = zip(*_speeds(table), strict=True)
    bars = axes.barh(names, values, color=["tab:blue"] * len(values))
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("tracks a second")
    axes.set_title(table.title, fontsize="medium")
    axes.margins(x=0.1)
    figure.savefig(path, dpi=_DPI)
    return path


def _draw_answers(path: Path, answers: Sequence[tuple[int, float]]) -> Path:
    figure, axes = _canvas()
    axes.semilogx(*zip(*answers, strict=True), marker="o")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tracks in the library")
    axes.set_ylabel("ms, median")
    axes.set_title("similar, 20 tracks, in a warm process", fontsize="medium")
    axes.grid(which="both", alpha=0.3)
    figure.savefig(path, dpi=_DPI)
    return path
