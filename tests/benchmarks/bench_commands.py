"""Times whole commands from outside: cold start, indexing with its memory, a second run, queries.

    python tests/benchmarks/bench_commands.py [--audio FOLDER] [--files 10000] [--json OUT]

Without a folder it makes the demo library. Memory is the proportional set size (PSS) of the whole
process tree, sampled every 50 ms; Linux only, elsewhere it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from recsys.demo import make_library

RECSYS = [sys.executable, "-m", "recsys"]


def tree_pss_bytes(root: int) -> int:
    """Sum the proportional set sizes of a process and its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line[:4] == "Pss:")
    return total * 1024


def timed(command: list[str]) -> tuple[float, int]:
    """Run a command; return seconds and peak bytes of its process tree."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    done = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, tree_pss_bytes(process.pid))

    sampler = threading.Thread(target=sample)
    if Path("/proc/self/smaps_rollup").exists():
        sampler.start()
    code = process.wait()
    elapsed = time.perf_counter() - start
    done.set()
    if sampler.ident:
        sampler.join()
    if code not in (0, 3):
        raise SystemExit(f"exit code {code}: {' '.join(map(str, command))}")
    return elapsed, peak


def median_time(command: list[str], runs: int = 5) -> float:
    """Return the median seconds of several runs after a warm-up."""
    timed(command)
    return statistics.median(timed(command)[0] for _ in range(runs))


def fill_with_links(source: Path, folder: Path, count: int) -> None:
    """Make a library of many files out of few, by hard links: only a scan tells them apart."""
    tracks = [path for path in source.rglob("*") if path.is_file()]
    for number in range(count):
        track = tracks[number % len(tracks)]
        target = folder / f"{number // 100:04}" / f"{number:06}{track.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(track, target)
        except OSError:
            shutil.copy2(track, target)


def main() -> None:
    """Measure, print a table, and write JSON if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--audio", type=Path, help="folder of audio [default: the demo library]")
    parser.add_argument("--files", type=int, default=10_000, help="files of the second-run test")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = measure(Path(place), options.audio, options.files)
    for name, value in figures.items():
        print(f"{name:<55} {value:10.2f}")  # noqa: T201 (a script)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


def measure(place: Path, audio: Path | None, files: int) -> dict[str, float]:
    """Return the figures by name."""
    if audio is None:
        audio = place / "demo"
        make_library(audio)
    database = ["--db", str(place / "library.db")]
    index = [*RECSYS, "index", str(audio), *database]
    seconds, peak = timed(index)
    lines = subprocess.run([*index, "--json"], capture_output=True, text=True, check=False)
    events = [json.loads(line) for line in lines.stdout.splitlines()]
    tracks = [event["path"] for event in events if event.get("status") == "unchanged"]
    figures = {
        "recsys --help, seconds": median_time([*RECSYS, "--help"]),
        f"index {len(tracks)} tracks, seconds": seconds,
        "index, tracks per second": len(tracks) / seconds,
        "index, peak PSS of the process tree, MiB": peak / 2**20,
        "index again, nothing changed, seconds": median_time(index),
        f"similar INDEXED --k 20 at {len(tracks)} tracks, seconds": median_time(
            [*RECSYS, "similar", tracks[0], "--k", "20", *database]
        ),
        f"playlist INDEXED at {len(tracks)} tracks, seconds": median_time(
            [*RECSYS, "playlist", tracks[0], "--length", "20", *database]
        ),
    }
    if files:
        many, database = place / "many", ["--db", str(place / "many.db")]
        fill_with_links(Path(tracks[0]).parent, many, files)
        command = [*RECSYS, "index", str(many), *database]
        figures[f"index {files} copies, seconds"], peak = timed(command)
        figures["that, peak PSS of the process tree, MiB"] = peak / 2**20
        figures[f"index again, {files} files unchanged, seconds"] = median_time(command, runs=3)
    return figures


if __name__ == "__main__":
    main()
