"""What a library on Milvus costs: ``python -m tests.benchmarks.milvus [TRACKS...]``.

Planted libraries are pushed into a file of Milvus Lite and into its server behind a port, and
asked there and at home, in turn, each by a process of its own. Prints one line of JSON each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil

from recsys.api import Library
from recsys.index.sync import rebuild_index
from recsys.store import Store
from tests.benchmarks import planted_libraries
from tests.benchmarks.measuring import MB, timed_calls
from tests.milvus.server import Server

SIZES = (10_000, 100_000)
QUESTIONS = 60
K = 20


def paths(tracks: int) -> list[Path]:
    """Return the tracks that are asked about, the same ones everywhere."""
    numbers = np.random.default_rng(7).choice(tracks, QUESTIONS, replace=False)
    return [planted_libraries.path_of(int(number)) for number in numbers]


def ask(tracks: int, **where: Any) -> None:
    """Ask all questions in this process, and print times, answers and memory."""
    questions, answers = paths(tracks), []
    began = time.perf_counter()
    with Library(**where) as library:
        library.similar(questions[0], k=K)
        first_s = time.perf_counter() - began
        turns = iter(questions)

        def answer() -> None:
            found = library.similar(next(turns), k=K)
            answers.append([row.track.id for row in found.results])

        times = timed_calls(answer, QUESTIONS)
        memory = psutil.Process().memory_full_info()
    measured = {"times": times.wall_s, "answers": answers, "first_s": first_s}
    cpu_s = sum(times.cpu_s) / QUESTIONS
    click.echo(json.dumps({**measured, "cpu_s": cpu_s, "pss": memory.pss, "uss": memory.uss}))


def asked(tracks: int, **where: str) -> dict[str, Any]:
    """Return what :func:`ask` prints in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.milvus", "--ask"]
    command.append(json.dumps({"tracks": tracks, **where}))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def pushed(database: Path, place: str) -> dict[str, float]:
    """Push a library twice; return how long each took."""
    summaries = []
    with Library(database) as library:
        first_s, again_s = timed_calls(lambda: summaries.append(library.push(place)), 2).wall_s
    return {"tracks_per_s": summaries[0].tracks / first_s, "again_s": again_s}


def size(folder: Path) -> int:
    """Return the bytes of the files under a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def report(name: str, found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return times, memory, and how the answers compare with those of the library at home."""
    shares = [
        len(set(one) & set(other)) / len(other)
        for one, other in zip(found["answers"], wanted["answers"], strict=True)
    ]
    return {
        "where": name,
        "p50_ms": round(1000 * float(np.median(found["times"])), 1),
        "p95_ms": round(1000 * float(np.quantile(found["times"], 0.95)), 1),
        "cpu_ms": round(1000 * found["cpu_s"], 1),
        "first_s": round(found["first_s"], 2),
        "pss_mb": round(found["pss"] / MB),
        "recall": round(float(np.mean(shares)), 4),
        "same": sum(a == b for a, b in zip(found["answers"], wanted["answers"], strict=True)),
    }


def measure(tracks: int, folder: Path) -> None:
    """Measure one size."""
    database, file = folder / "library.db", folder / "shared.db"
    planted_libraries.make_library(database, tracks)
    with Store.open(database) as store:
        rebuild_index(store)
    home = asked(tracks, database=str(database))
    click.echo(json.dumps({"tracks": tracks, **report("home", home, home)}))
    cost = pushed(database, str(file))
    lite = asked(tracks, index=str(file))
    row = report("file", lite, home) | cost | {"disk_mb": round(size(file) / MB)}
    click.echo(json.dumps({"tracks": tracks, **row}))
    server = Server(folder / "server")
    server.start()
    assert server.process is not None
    try:
        cost = pushed(database, f"{server.place}?timeout=120")
        process = psutil.Process(server.process.pid)
        before = process.cpu_times().user
        behind = asked(tracks, index=f"{server.place}?timeout=120")
        # One more question than is timed: the first.
        worked = (process.cpu_times().user - before) / (QUESTIONS + 1)
        holds = {"server_mb": round(process.memory_full_info().uss / MB)}
        holds["server_cpu_ms"] = round(1000 * worked)
    finally:
        server.kill()
    row = report("server", behind, home) | cost | {"disk_mb": round(size(folder / "server") / MB)}
    click.echo(json.dumps({"tracks": tracks, **row, **holds}))


def main() -> None:
    """Measure all sizes, or ask, in a process of its own."""
    if sys.argv[1:2] == ["--ask"]:
        ask(**json.loads(sys.argv[2]))
        return
    for tracks in map(int, sys.argv[1:] or SIZES):
        with tempfile.TemporaryDirectory() as folder:
            measure(tracks, Path(folder))


if __name__ == "__main__":
    main()
