"""Results as JSON, Markdown, CSV and plots."""

from __future__ import annotations

import csv
import io
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys import atomic
from recsys.errors import RecsysError
from recsys.reports.drawing import PALETTE, new_figure, png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.measuring import Figure, Table

LIBRARIES = ("torch", "numpy", "faiss-cpu", "av", "soundfile", "voyager", "usearch", "bliss-audio")
"""Their versions belong to the figures."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where and when something was measured: date (ISO 8601), machine, versions of LIBRARIES."""

    date: str
    processor: str
    processors: int
    system: str
    python: str
    versions: dict[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"{self.date}: {self.processor}, {self.processors} processors, {self.system}, "
            f"Python {self.python}, {versions}"
        )


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
    """Return the processor's name, which Linux has in a file alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def as_json(where: Surroundings, tables: Sequence[Table]) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {"surroundings": asdict(where), "tables": [table.as_json() for table in tables]}


def rows_of(table: Table) -> list[tuple[str, str, str, str]]:
    """Return name, value, range and target or ratio of every figure, for people."""
    ours = [
        (figure.name, _value(figure), _range(figure), _target(figure)) for figure in table.figures
    ]
    theirs = [
        (peer.name, _value(peer.figure), _range(peer.figure), f"recsys is {peer.ratio:.3g} times")
        for peer in table.peers
    ]
    return ours + theirs


def _value(figure: Figure) -> str:
    return f"{figure.value:.4g} {figure.unit}"


def _range(figure: Figure) -> str:
    return "" if figure.low is None else f"{figure.low:.4g} to {figure.high:.4g}"


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"{figure.target:.4g}, {'met' if figure.met else 'missed'}"


def markdown(kind: str, flags: str, where: Surroundings, tables: Sequence[Table]) -> str:
    """Return tables as a page."""
    command = f"python -m tests.benchmarks --only {kind}{flags}"
    parts = [f"# {kind.capitalize()}\n\nMade by `{command}`. {where}.\n"]
    for table in tables:
        rows = [("", "median", "range", "target, or ratio"), ("---",) * 4, *rows_of(table)]
        parts.append(f"## {table.title}\n")
        parts.append("".join(f"| {' | '.join(row)} |\n" for row in rows))
        remarks = (*(f"Skipped: {reason}." for reason in table.skipped), *table.notes)
        parts += [f"{remark}\n" for remark in remarks]
    return "\n".join(parts)


def as_csv(tables: Sequence[Table]) -> str:
    """Return a line per figure, of recsys and of peers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("table", "system", "figure", "value", "unit", "repeats", "low", "high"))
    for table in tables:
        own = [("recsys", figure) for figure in table.figures]
        for system, figure in [*own, *((peer.name, peer.figure) for peer in table.peers)]:
            limits = (figure.repeats, figure.low, figure.high)
            writer.writerow((table.title, system, figure.name, figure.value, figure.unit, *limits))
    return text.getvalue()


def write_report(
    folder: Path, where: Surroundings, found: Mapping[str, Sequence[Table]], flags: str = ""
) -> list[Path]:
    """Write a page, a CSV file and a plot for every kind of tables; RecsysError if it cannot."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, tables in found.items():
            page, values = markdown(kind, flags, where, tables), as_csv(tables)
            contents = {".md": page.encode(), ".csv": values.encode()}
            plot = _bars(tables) if kind == "analysis" else _curve(tables)
            if plot is not None:
                contents[".png"] = plot
            for suffix, content in contents.items():
                atomic.write_bytes(folder / f"{kind}{suffix}", content)
                written.append(folder / f"{kind}{suffix}")
    except OSError as error:
        raise RecsysError(
            f"{folder} cannot be written to: {error.strerror or error}",
            "Choose another folder with --out.",
        ) from error
    return written


def _bars(tables: Sequence[Table]) -> bytes:
    """Draw tracks per second of every effort, and of peers."""
    (table,) = tables
    figures = [*table.figures, *(peer.figure for peer in table.peers)]
    speeds = {own.name: own.value for own in figures if own.unit == "tracks/s"}
    figure = new_figure(7.0, 4.0)
    axes = figure.subplots()
    bars = axes.barh(list(speeds), list(speeds.values()), color=PALETTE[0])
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("tracks per second")
    axes.set_title(table.title, fontsize="medium")
    axes.margins(x=0.1)
    return png(figure)


def _curve(tables: Sequence[Table]) -> bytes | None:
    """Draw the time of an answer over the size of the library, if there are several sizes."""
    answers = sorted(
        (table.tracks, figure.value)
        for table in tables
        for figure in table.figures
        if figure.name == "similar, p50" and table.tracks
    )
    if len(answers) < 2:
        return None
    figure = new_figure(7.0, 4.0)
    axes = figure.subplots()
    axes.semilogx(*zip(*answers, strict=True), marker="o", color=PALETTE[0])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tracks in the library")
    axes.set_ylabel("ms, median")
    axes.set_title("similar, 20 tracks, in a warm process", fontsize="medium")
    axes.grid(which="both", alpha=0.3)
    return png(figure)
