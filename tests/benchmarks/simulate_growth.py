"""How a library's own index grows to a hundred million tracks: what is written, and how often.

    python -m tests.benchmarks.simulate_growth [--tracks 100000000] [--added 1000]

The index is the real one, with its rules for segments and merging; only its parts count their
tracks instead of holding them. So what is printed is certain as far as numbers of tracks go; the
seconds and bytes in docs/scale.md are those numbers times what was measured at a million tracks.
"""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from rich.console import Console
from rich.table import Table

from recsys.index import slots
from recsys.index.genre_index import FLAT_LIMIT, GenreIndex
from tests.benchmarks.planted import SHARES

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = Path("nowhere")
MANY = 100_000
"""A save that writes more rows than this takes seconds."""


class CountingPart:
    """A part that knows how many tracks it holds, and nothing else."""

    def __init__(self) -> None:
        self._count = 0

    @classmethod
    def empty(cls, dimension: int) -> CountingPart:  # noqa: ARG003 (as the real one is made)
        return cls()

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> range:
        return range(self._count)

    rows = ids

    def add(self, ids: range, vectors: object) -> None:
        self._count += len(ids)


class GrowingIndex:
    """An index to which tracks are added, and which is saved each time."""

    def __init__(self) -> None:
        self.index: Any = GenreIndex(1)
        self.index._write = self._write
        self.tracks = self.saves = self.written = self.largest = self.long_saves = 0

    def add(self, tracks: int) -> None:
        """Add tracks, as many of each genre as planted libraries have, and save."""
        before = self.written
        for genre, share in SHARES:
            end = round((self.tracks + tracks) * share)
            self.index._growing(genre).add(range(end - round(self.tracks * share)), None)
            self.index._merge(genre, SimpleNamespace(directory=PLACE))
        changed = self.written - before
        self.tracks += tracks
        self.saves += 1
        self.largest = max(self.largest, changed)
        self.long_saves += changed > MANY

    def _write(self, generation: object, genre: str, slot: Any) -> None:
        count = len(slot.part)
        self.written += count
        slot.entry, slot.home = SimpleNamespace(count=count, highest_id=0), PLACE

    @property
    def segments(self) -> list[int]:
        """Sizes of the segments of the largest part, the largest first."""
        largest = max(SHARES, key=lambda pair: pair[1])[0]
        return sorted(map(len, self.index._slots[largest]), reverse=True)


@contextmanager
def counting() -> Iterator[None]:
    """Let parts count, and believe that what was written is there."""

    def there(*_: object) -> bool:  # a mock would remember every call
        return True

    with (
        mock.patch.object(slots, "Part", CountingPart),
        mock.patch.object(slots, "is_there", there),
    ):
        yield


def simulate(tracks: int, added: int) -> list[tuple[str, ...]]:
    """Return a row of the table for every power of ten up to a number of tracks."""
    rows = []
    with counting():
        growing = GrowingIndex()
        size = 10 * added
        while growing.tracks < tracks:
            growing.add(added)
            if growing.tracks >= size or growing.tracks >= tracks:
                segments = growing.segments
                coded = sum(count for count in segments if count > FLAT_LIMIT)
                rows.append(
                    (
                        f"{growing.tracks:,}",
                        f"{len(segments)} of {segments[0]:,} at most",
                        f"{coded / sum(segments):.0%}",
                        f"{growing.written / growing.tracks:.1f}",
                        f"{growing.largest:,}",
                        f"{growing.long_saves:,} of {growing.saves:,}",
                    )
                )
                size *= 10
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--tracks", type=int, default=100_000_000)
    parser.add_argument("--added", type=int, default=1_000, help="between two saves")
    arguments = parser.parse_args()
    table = Table()
    for name in (
        *("Tracks", "Segments of the largest genre", "Of it coded", "Times a track was written"),
        *("Most tracks in one save", f"Saves of more than {MANY:,}"),
    ):
        table.add_column(name, justify="right")
    for row in simulate(arguments.tracks, arguments.added):
        table.add_row(*row)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
