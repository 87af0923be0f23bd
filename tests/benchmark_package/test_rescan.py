"""The second run that is timed finds every file, and none of them changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys import Library
from recsys.benchmark.rescan import measure_rescan

if TYPE_CHECKING:
    from pathlib import Path


def test_every_file_is_there_and_unchanged(tmp_path: Path) -> None:
    told: list[str] = []
    table = measure_rescan(tmp_path, files=40, repeats=2, on_progress=told.append)
    assert [figure.unit for figure in table.figures] == ["s", "s", "MB"]
    assert table.figures[0].repeats == 2
    assert table.figures[0].target is None
    folder = tmp_path / "rescan-40"
    with Library(folder / "library.db") as library:
        summary = library.index(folder / "music")
    assert (summary.found, summary.unchanged, summary.removed) == (40, 40, 0)
    assert "making 40 files and their library" in told


def test_what_is_left_there_is_used_again(tmp_path: Path) -> None:
    measure_rescan(tmp_path, files=15, repeats=1)
    told: list[str] = []
    measure_rescan(tmp_path, files=15, repeats=1, on_progress=told.append)
    assert told == ["15 unchanged files"]
