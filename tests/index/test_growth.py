"""The simulated growth of an index is that of a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.index.genre_index import GenreIndex
from tests.benchmarks.planted import SHARES
from tests.benchmarks.simulate_growth import GrowingIndex, counting, simulate
from tests.stored import unit_rows

if TYPE_CHECKING:
    from pathlib import Path

ADDED, SAVES = 3_000, 16


def test_segments_are_those_of_a_real_index(tmp_path: Path) -> None:
    real = GenreIndex(4)
    names = [name for name, _ in SHARES]
    with counting():
        simulated = GrowingIndex()
        grown = []
        for _ in range(SAVES):
            simulated.add(ADDED)
            grown.append(simulated.segments)
    held = dict.fromkeys(names, 0)
    for save in range(SAVES):
        for name, share in SHARES:
            count = round((save + 1) * ADDED * share) - held[name]
            first = sum(held.values())
            real.add(name, np.arange(first, first + count), unit_rows(count, 4))
            held[name] += count
        real.save(tmp_path, fingerprint="f", revision=save)
        sizes = [entry.count for entry in real.part_info() if entry.genre == names[0]]
        assert sorted(sizes, reverse=True) == grown[save]
    assert max(map(len, grown)) > 1


def test_a_track_is_written_a_few_times_for_every_doubling() -> None:
    rows = simulate(200_000, 1_000)
    assert [row[0] for row in rows] == ["10,000", "100,000", "200,000"]
    # Eight times for every doubling at most, beginning with the first save.
    assert 1 < float(rows[0][3]) < float(rows[-1][3]) < 25
