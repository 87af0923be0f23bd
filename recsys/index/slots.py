"""The places of an index for its segments: on disk, in memory, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.index.manifest import is_there, release
from recsys.index.parts import Part

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from recsys.index.manifest import PartEntry


@dataclass(slots=True)
class Slot:
    """A place for a segment of a part: as it lies on disk, or in use, or both.

    ``entry`` is None as soon as the segment differs from what lies in the directory ``home``;
    ``put_away`` means that it lies there in a generation that is not finished yet.
    """

    part: Part | None = None
    entry: PartEntry | None = None
    mapped: npt.NDArray[np.uint8] | None = None
    home: Path | None = None
    put_away: bool = False

    def __len__(self) -> int:
        if self.part is not None:
            return len(self.part)
        return self.entry.count if self.entry else 0

    def lies_in(self, directory: Path) -> bool:
        """Return whether the segment is in a file there, as it is."""
        return self.entry is not None and self.home == directory and is_there(directory, self.entry)

    @property
    def highest_id(self) -> int:
        """No id that is held is higher; -1 for an empty segment."""
        if self.entry is not None:
            return self.entry.highest_id
        return -1 if self.part is None else self.part.highest_id

    def use(self, dimension: int) -> Part:
        """Return the segment in use, read from disk, or made when there is none.

        Raises
        ------
        DamagedPartError
            It is not what was saved.
        """
        if self.part is None:
            if self.entry is not None and self.mapped is not None:
                self.part = Part.read(self.entry, self.mapped, dimension)
            else:
                self.part = Part.empty(dimension)
        return self.part

    def change(self, dimension: int) -> Part:
        """Return the segment in use, which is about to change."""
        part = self.use(dimension)
        self.entry = self.mapped = None
        self.put_away = False
        return part

    def let_go(self) -> None:
        """Leave the segment on disk alone, if it lies there as it is."""
        if self.entry is not None and self.mapped is not None:
            self.part = None
            release(self.mapped)
