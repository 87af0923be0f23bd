"""How long ``recsys index`` takes over files of which none has changed, or one while watching."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.card import load_card
from recsys.classifier.inference import Classifier, place_for_any_process
from recsys.indexing import Indexer, IndexOptions
from recsys.indexing.session import attended
from recsys.mel import DEFAULT_EFFORT
from recsys.store import LibraryLock, Store
from recsys.types import TrackFile
from tests.benchmarks.measuring import Table, figure_of, run_command
from tests.benchmarks.planted_libraries import batches, records
from tests.sounds import staircase, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recsys.store import TrackRecord
    from recsys.types import ModelInfo

FILES, QUICK_FILES = 100_000, 2_000

SECONDS = {100_000: 10.0}
"""Promised, by number of files."""


def measure_rescan(
    place: Path,
    files: int = FILES,
    repeats: int = 3,
    on_progress: Callable[[str], object] = lambda _: None,
) -> Table:
    """Measure the whole command, cold, over a folder of empty files that a library knows.

    And what a new file takes where the library is being watched, index files included.

    Files and library are made under `place`, and used again where they are there already.
    """
    folder = place / f"rescan-{files}"
    music, database = folder / "music", folder / "library.db"
    if not database.exists():
        on_progress(f"making {files:,} files and their library")
        _make(music, database, files)
    command = [sys.executable, "-m", "recsys", "index", str(music), "--db", str(database)]
    compiled = folder / "compiled"
    on_progress(f"{files:,} unchanged files")
    run_command(command, compiled)  # fills it, makes the index, and brings the files into memory
    runs = [run_command(command, compiled) for _ in range(repeats)]
    on_progress("one new file, while watching")
    changes = _changes(music, database, repeats)
    promised = SECONDS.get(files)
    return Table(
        title=f"A second run over {files:,} unchanged files",
        figures=(
            figure_of("recsys index", [run.wall_s for run in runs], "s", target=promised),
            figure_of("recsys index, processor time", [run.cpu_s for run in runs], "s"),
            figure_of("recsys index, peak memory", [run.peak_pss_mb for run in runs], "MB"),
            figure_of("a new file of 3 s, while watching", [all_s for all_s, _ in changes], "s"),
            figure_of("of that, saving the index", [save_s for _, save_s in changes], "s"),
        ),
        notes=(
            "whole commands; the file system is in the cache of the system",
            "while watching: after the two seconds in which a file must be quiet",
        ),
    )


def _changes(music: Path, database: Path, repeats: int) -> list[tuple[float, float]]:
    """Return the seconds that new files take, one by one, and those of saving the index."""
    card = load_card().at_effort(DEFAULT_EFFORT)
    place = place_for_any_process(None, "cpu", card.effort)

    def load_classifier() -> Classifier:
        return Classifier.load(None, "cpu", card.effort)

    new = [music / f"new-{number}.flac" for number in range(1 + repeats)]
    taken = []
    with LibraryLock(database, 0.0), Store.open(database) as store:
        indexer = Indexer(store, load_classifier, card.features, IndexOptions(workers=1), place)

        def follow(path: Path) -> tuple[float, float]:
            before_s = time.perf_counter()
            events = [*indexer.follow([path], quiet_s=0.0)]
            analysed_s = time.perf_counter()
            list(attended(store, iter(events), load_ahead=False, count_waiting=False))
            saved_s = time.perf_counter()
            return saved_s - before_s, saved_s - analysed_s

        for number, path in enumerate(new):
            write(path, staircase(3 + number), 22_050)
            taken.append(follow(path))
        for path in new:  # as it was
            path.unlink()
            follow(path)
    return taken[1:]  # the first one starts the processes


def _make(music: Path, database: Path, files: int) -> None:
    card = load_card().at_effort(DEFAULT_EFFORT)
    info = card.info()
    unfinished = database.with_name("unfinished.db")
    unfinished.unlink(missing_ok=True)
    with Store.open(unfinished, create=True) as store:
        store.set_model(info, card.to_json())
        for batch in batches(files):
            store.write([_on_disk(record, music, info) for record in records(batch, info)])
        store.add_root(music)
    unfinished.rename(database)


def _on_disk(record: TrackRecord, music: Path, info: ModelInfo) -> TrackRecord:
    """Return a planted track whose file is there, if empty: a second run does not open it."""
    assert record.analysis is not None
    path = music.joinpath(*record.file.path.parts[2:])  # artist, album, song
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    status = path.stat()
    tags = np.full(len(info.tags), 0.5, dtype=np.float32)
    return replace(
        record,
        file=TrackFile(path, status.st_size, status.st_mtime_ns),
        analysis=replace(record.analysis, tags=tags),
    )
