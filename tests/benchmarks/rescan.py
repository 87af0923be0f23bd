"""How long a second ``recsys index`` takes over files of which none has changed."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.card import load_card
from recsys.mel import DEFAULT_EFFORT
from recsys.store import Store
from recsys.types import TrackFile
from tests.benchmarks.measuring import Table, figure_of, run_command
from tests.benchmarks.planted_libraries import batches, records

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
    promised = SECONDS.get(files)
    return Table(
        title=f"A second run over {files:,} unchanged files",
        figures=(
            figure_of("recsys index", [run.wall_s for run in runs], "s", target=promised),
            figure_of("recsys index, processor time", [run.cpu_s for run in runs], "s"),
            figure_of("recsys index, peak memory", [run.peak_pss_mb for run in runs], "MB"),
        ),
        notes=("whole commands; the file system is in the cache of the system",),
    )


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
