"""Whether the files of tracks are there, at the moment of an answer.

A scan notices what has gone when it runs; until then the library names files that were moved or
deleted, or that lie on a disk that is not mounted. Lists leave them out.
"""

from __future__ import annotations

import os
from os.path import exists
from typing import TYPE_CHECKING

from recsys.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from recsys.types import Track

MISSING, AWAY = "missing", "away"
"""Reasons for leaving a track out: its file is gone; its whole folder cannot be seen."""

MOST_MISSING = 2000
"""After so many files of which none is there, the others are not looked at: a music folder was
renamed, or the library is another machine's."""


def is_there(path: Path | str) -> bool:
    """Return whether a file is there now, whatever the last run saw."""
    return exists(path)  # noqa: PTH110 (pathlib raises for names that no file can have)


class Presence:
    """Which files are there, for one request: each is looked at once, a folder that is away never.

    `roots` gives the folders that were indexed, and disks inside them. One of them is away if it is
    not there or is empty, as the place where a disk is mounted.
    """

    def __init__(self, roots: Callable[[], Iterable[Path]]) -> None:
        self._read_roots = roots
        self._roots: list[str] | None = None
        self._away: tuple[str, ...] = ()
        self._known: dict[str, str | None] = {}
        self._found = 0

    def objection(self, track: Track) -> str | None:
        """Return why the file of a track cannot be in a list, None where it is there."""
        path = os.fspath(track.path)
        try:
            return self._known[path]
        except KeyError:
            return self._known.setdefault(path, self._look_at(path))

    def holds(self, track: Track) -> bool:
        """Return whether the file of a track is there."""
        return self.objection(track) is None

    @property
    def nothing_is_there(self) -> bool:
        """Whether every folder of the library is away, as far as that was noticed."""
        return self._roots is not None and 0 < len(self._roots) <= len(self._away)

    def notes(self) -> Iterator[str]:
        """Yield what was left out of the answer, and what to do."""
        for root in self._away:
            yield (
                f"{root.rstrip(os.sep)} is not there, so its tracks are left out: mount the disk,"
                " or index the folder where it is now"
            )
        gone = [path for path, reason in self._known.items() if reason == MISSING]
        if gone:
            count = "1 track is" if len(gone) == 1 else f"{len(gone)} tracks are"
            yield f"{count} left out, because the file is gone, {gone[0]} for one: run recsys index"

    def _look_at(self, path: str) -> str | None:
        if self._away and path.startswith(self._away):
            return AWAY
        if is_there(path):
            self._found += 1
            return None
        if not self._found and len(self._known) >= MOST_MISSING:
            raise QueryError(
                f"none of {MOST_MISSING} files of the library that were looked at is there, "
                f"{path} for one",
                "Index the folder where they are now, and what was moved is found again: "
                "recsys index FOLDER",
            )
        if self._roots is None:
            self._roots = [os.path.join(root, "") for root in self._read_roots()]  # noqa: PTH118
            gone = (root for root in self._roots if not _is_filled(root))
            self._away = tuple(sorted(gone))
        return AWAY if path.startswith(self._away) else MISSING


def _is_filled(folder: str) -> bool:
    """Return whether a folder is there and not empty; a file that was indexed by itself is."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return os.path.isfile(folder.rstrip(os.sep))  # noqa: PTH113
