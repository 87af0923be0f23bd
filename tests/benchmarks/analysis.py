"""How fast a library is analysed: whole commands, cold start included, and a peer.

Every run is the command ``recsys index`` on a new library, seen from outside: tracks a second, and
the most memory that it and all its processes held together.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import QueryError, RecsysError
from recsys.library import scan
from recsys.mel import DEFAULT_EFFORT, EFFORTS
from tests.benchmarks.measuring import MB, Figure, Peer, Table, compare, figure_of, peak_memory
from tests.benchmarks.songs import make_songs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SAMPLED_EVERY_S = 0.1
"""How often the memory of all processes is added up: reading it takes time of theirs."""

MEMORY_MB = 1024 * 2**20 / MB
"""Promised: 1 GiB at any size of a library."""

TIMES_BLISS = 8.0
"""Promised at the default effort."""

EXIT_SOME_FAILED = 3
"""Of ``recsys index`` when files failed, which is for the reader of the figures to know."""

_BLISS = """
import sys
from concurrent.futures import ProcessPoolExecutor

def analyse(path):
    from bliss_audio import Song
    return len(Song(path).analysis)

if __name__ == "__main__":
    with ProcessPoolExecutor(2) as processes:
        print(sum(1 for _ in processes.map(analyse, sys.argv[1:])))
"""
"""Its faster way on two processors: two processes."""


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """What is measured.

    Attributes
    ----------
    audio : Path or None
        Folder of music; None makes songs of full length in five formats.
    files : int
        How many songs are made, or taken of the folder at most.
    repeats : int
        Runs of each effort; every one on a new library.
    peers : bool
        Measure bliss in the same run, where it is installed and works.
    """

    audio: Path | None = None
    files: int = 200
    repeats: int = 3
    peers: bool = True

    def __post_init__(self) -> None:
        if self.files < 1 or self.repeats < 1:
            raise QueryError(
                f"files is {self.files} and repeats {self.repeats}", "Both are 1 at least."
            )


@dataclass(frozen=True, slots=True)
class _Run:
    seconds: float
    peak_mb: float
    failed: bool


def measure_analysis(
    place: Path,
    options: AnalysisOptions | None = None,
    on_progress: Callable[[str], object] = lambda _: None,
) -> Table:
    """Measure every effort, turn by turn, and a peer in the same run.

    Songs are made under `place`, and used again where they are there already.
    """
    options = options or AnalysisOptions()
    songs = _songs(place, options, on_progress)
    runs: dict[str, list[_Run]] = {effort: [] for effort in EFFORTS}
    peer: list[float] = []
    skipped = [] if options.peers else ["bliss-audio: not asked for"]
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-") as folder:
        library = _linked(Path(folder) / "music", songs)
        # Looking at the memory costs time, so that is done in a run that is not timed.
        watched = {}
        for effort in EFFORTS:
            on_progress(f"{len(songs)} songs, {effort}, memory")
            watched[effort] = _index(library, Path(folder) / f"{effort}.db", effort, watched=True)
        for repeat in range(options.repeats):
            for effort, found in runs.items():
                on_progress(f"{len(songs)} songs, {effort}, run {repeat + 1} of {options.repeats}")
                found.append(_index(library, Path(folder) / f"{effort}-{repeat}.db", effort))
            if not skipped:
                on_progress(f"{len(songs)} songs, bliss, run {repeat + 1} of {options.repeats}")
                try:
                    peer.append(_bliss(songs))
                except RecsysError as error:
                    skipped.append(error.message)
    return _table(songs, runs, watched, peer, skipped, made=options.audio is None)


def _songs(
    place: Path, options: AnalysisOptions, on_progress: Callable[[str], object]
) -> list[Path]:
    if options.audio is None:
        on_progress(f"making {options.files} songs")
        return make_songs(place / "songs", options.files)
    found = [file.path for file, _ in zip(scan(options.audio), range(options.files), strict=False)]
    if not found:
        raise QueryError(f"no audio files under {options.audio}", "Name a folder of music.")
    return found


def _linked(folder: Path, songs: Sequence[Path]) -> Path:
    """Return a folder with nothing but the songs in it."""
    folder.mkdir()
    for number, song in enumerate(songs):
        (folder / f"{number:06}{song.suffix}").symlink_to(song.absolute())
    return folder


def _index(library: Path, database: Path, effort: str, *, watched: bool = False) -> _Run:
    command = [sys.executable, "-m", "recsys", "index", str(library), "--db", str(database)]
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--effort", effort], stdout=subprocess.DEVNULL, stderr=errors
        )
        peak = peak_memory(process, SAMPLED_EVERY_S) if watched else 0.0
        code = process.wait()
        seconds = time.perf_counter() - start
        errors.seek(0)
        said = errors.read().decode()[-500:]
    if code not in (0, EXIT_SOME_FAILED):
        raise RecsysError(
            f"{' '.join(command)} ended with {code}: {said}",
            "Run it by hand to see what is wrong.",
        )
    return _Run(seconds, peak, code == EXIT_SOME_FAILED)


def _bliss(songs: Sequence[Path]) -> float:
    """Return the seconds that bliss takes in two processes; RecsysError if it does not run."""
    try:
        found = version("bliss-audio")
    except PackageNotFoundError:
        raise RecsysError("bliss-audio: not installed (pip install bliss-audio)") from None
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bliss.py"
        script.write_text(_BLISS)
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(script), *map(str, songs)], capture_output=True, check=False
        )
        seconds = time.perf_counter() - start
    if done.returncode != 0:
        last = done.stderr.decode().strip().splitlines()[-1:]
        raise RecsysError(f"bliss-audio {found}: does not run here: {' '.join(last)}")
    return seconds


def _table(
    songs: Sequence[Path],
    runs: dict[str, list[_Run]],
    watched: dict[str, _Run],
    peer: Sequence[float],
    skipped: Sequence[str],
    *,
    made: bool,
) -> Table:
    count = len(songs)
    speed: dict[str, Figure] = {}
    figures = []
    for effort, found in runs.items():
        name = f"--effort {effort}" + (", the default" if effort == DEFAULT_EFFORT else "")
        note = "some files failed" if any(run.failed for run in found) else ""
        rates = [count / run.seconds for run in found]
        speed[effort] = figure_of(name, rates, "tracks/s", higher_is_better=True, note=note)
        figures.append(speed[effort])
        if watched[effort].peak_mb:  # only Linux has PSS
            peak = watched[effort].peak_mb
            figures.append(Figure(f"{name}: memory", peak, "MB", target=MEMORY_MB))
    peers: list[Peer] = []
    if peer:
        bliss = figure_of("bliss", [count / s for s in peer], "tracks/s", higher_is_better=True)
        name = f"bliss-audio {version('bliss-audio')}, two processes"
        peers = [compare(speed[DEFAULT_EFFORT], name, bliss)]
    kinds = ", ".join(sorted({song.suffix.lower()[1:] for song in songs}))
    return Table(
        title=f"Analysis of {count} {'made songs of 4 minutes' if made else 'files'}: {kinds}",
        figures=tuple(figures),
        peers=tuple(peers),
        skipped=tuple(skipped),
        notes=(
            "whole commands with cold start, every run on a new library; memory is that of all "
            f"processes together (PSS); promised: {TIMES_BLISS:g} times bliss",
        ),
    )
