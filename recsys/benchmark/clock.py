"""How long something takes and how much memory it needs, from inside a process and from outside."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.errors import RecsysError, require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

POLL_S = 0.005
"""How often a process is looked at from outside."""

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of several calls: by the clock, and of the processor."""

    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ProcessRun:
    """One run of a command, seen from outside.

    Attributes
    ----------
    wall_s, cpu_s : float
        Seconds by the clock, and of the processor.
    peak_pss_mb : float
        The most memory it was seen to hold: its own, and its share of what several share.
    """

    wall_s: float
    cpu_s: float
    peak_pss_mb: float


def cpu_seconds() -> float:
    """Return the processor time of this process so far."""
    return time.process_time()


def timed_calls(work: Callable[[], object], repeats: int) -> Times:
    """Call something several times and time every call."""
    wall, cpu = [], []
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        work()
        cpu.append(time.process_time() - processor)
        wall.append(time.perf_counter() - clock)
    return Times(tuple(wall), tuple(cpu))


def run_command(command: Sequence[str], compiled: Path) -> ProcessRun:
    """Run a command to its end, twice: once by the clock, and once watched for its memory.

    Parameters
    ----------
    command : sequence of str
    compiled : Path
        Where Python keeps the modules that it has compiled, so that the command starts as it does
        where it is installed, whatever the environment says of such files.

    Raises
    ------
    RecsysError
        It fails.
    MissingExtraError
        psutil is not installed.
    """
    require("psutil", "benchmark")
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
    """Watch a process to its end; return the most that it and all below it held together, MB.

    Parameters
    ----------
    process : Popen
        Running; its output must go where it cannot fill up.
    every_s : float
        How often it is looked at, seconds: adding up takes time of the processes.

    Returns
    -------
    float
        Proportional set size; 0 where the system does not tell it.

    Raises
    ------
    MissingExtraError
        psutil is not installed.
    """
    psutil = require("psutil", "benchmark")
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
    """Return the unique set size of a process, MB: what would be free if it ended.

    What it alone has mapped of files counts.
    """
    return float(require("psutil", "benchmark").Process(pid).memory_full_info().uss) / MB
