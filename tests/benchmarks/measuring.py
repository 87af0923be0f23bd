"""Figures, tables of figures, and how time and memory are measured."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import psutil

from recsys.errors import RecsysError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

MB = 1_000_000
POLL_S = 0.005
"""How often the memory of a process is read."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value: a median, minimum and maximum of its repeats, and what was promised."""

    name: str
    value: float
    unit: str
    repeats: int = 1
    low: float | None = None
    high: float | None = None
    target: float | None = None
    higher_is_better: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"{self.name}: measured {self.repeats} times")

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept; None where nothing was promised."""
        if self.target is None:
            return None
        if self.higher_is_better:
            return self.value >= self.target
        return self.value <= self.target

    def times_better_than(self, other: Figure) -> float:
        """Return how many times better this figure is than another one of the same unit."""
        if (self.unit, self.higher_is_better) != (other.unit, other.higher_is_better):
            raise ValueError(f"{self.name} ({self.unit}) and {other.name} ({other.unit}) differ")
        if min(self.value, other.value) <= 0:
            raise ValueError(f"no ratio of {self.value} and {other.value}")
        ratio = self.value / other.value
        return ratio if self.higher_is_better else 1 / ratio


@dataclass(frozen=True, slots=True)
class Peer:
    """Another system, measured in the same run; recsys is `ratio` times as good."""

    name: str
    figure: Figure
    ratio: float


@dataclass(frozen=True, slots=True)
class Table:
    """The figures of one subject, those of peers, and why other peers were skipped."""

    title: str
    figures: tuple[Figure, ...]
    peers: tuple[Peer, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tracks: int | None = None
    """Size of the library, where it matters."""

    def figure(self, name: str) -> Figure:
        """Return a figure of recsys by its name."""
        return {figure.name: figure for figure in self.figures}[name]

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return the table of JSON values; the inverse of :meth:`as_json`."""
        return cls(
            title=fields["title"],
            figures=tuple(Figure(**figure) for figure in fields["figures"]),
            peers=tuple(
                Peer(peer["name"], Figure(**peer["figure"]), peer["ratio"])
                for peer in fields["peers"]
            ),
            skipped=tuple(fields["skipped"]),
            notes=tuple(fields["notes"]),
            tracks=fields["tracks"],
        )


def figure_of(name: str, values: Sequence[float], unit: str, **fields: Any) -> Figure:
    """Return the figure of several repeats: median, minimum and maximum."""
    if not values:
        raise ValueError(f"{name}: not measured")
    return Figure(
        name, statistics.median(values), unit, len(values), min(values), max(values), **fields
    )


def compare(ours: Figure, name: str, figure: Figure) -> Peer:
    """Return a peer with its ratio to one of our figures."""
    return Peer(name, figure, ours.times_better_than(figure))


# Time and memory


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of several calls: by the clock, and of the processor."""

    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ProcessRun:
    """One run of a command: seconds by the clock and of the processor, peak of its memory."""

    wall_s: float
    cpu_s: float
    peak_pss_mb: float


def timed_calls(work: Callable[[], object], repeats: int) -> Times:
    """Call a function several times and time every call."""
    wall, cpu = [], []
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        work()
        cpu.append(time.process_time() - processor)
        wall.append(time.perf_counter() - clock)
    return Times(tuple(wall), tuple(cpu))


def run_command(command: Sequence[str], compiled: Path) -> ProcessRun:
    """Run a command twice: timed, and watched for its memory; RecsysError if it fails.

    Python keeps compiled modules under `compiled`, as where the command is installed.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(compiled)
    before, start = _children_cpu_seconds(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    wall, cpu = time.perf_counter() - start, _children_cpu_seconds() - before
    if done.returncode != 0:
        raise RecsysError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-500:]}",
            "Run it by hand to see what is wrong.",
        )
    return ProcessRun(wall, cpu, _peak_pss_mb(command, environment))


def _peak_pss_mb(command: Sequence[str], environment: dict[str, str]) -> float:
    with subprocess.Popen(
        list(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        return peak_memory(process, POLL_S)


def peak_memory(process: subprocess.Popen[bytes], every_s: float) -> float:
    """Watch a process to its end; return the peak PSS of it and all its children, MB.

    Reading takes time of the processes. 0 where the system has no PSS.
    """
    peak = 0.0
    while process.poll() is None:
        total = 0.0
        # A process that has just ended has nothing to show.
        with suppress(psutil.Error):
            first = psutil.Process(process.pid)
            for one in (first, *first.children(recursive=True)):
                with suppress(psutil.Error):
                    total += getattr(one.memory_full_info(), "pss", 0) / MB
        peak = max(peak, total)
        time.sleep(every_s)
    return peak


def _children_cpu_seconds() -> float:
    used = os.times()
    return used.children_user + used.children_system


def memory_of(pid: int) -> float:
    """Return the unique set size of a process, MB."""
    return float(psutil.Process(pid).memory_full_info().uss) / MB
