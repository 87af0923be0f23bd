"""Which folders of a library are there, and which disks are only away.

A file that is not found is gone only if the folder tree it belongs to can be seen. An unmounted
disk leaves an empty folder or none at all, and must not empty a library.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import RecsysError
from recsys.library import scan

if TYPE_CHECKING:
    from recsys.store import Store


class RootHealth:
    """Answers, for one run, whether the places that a library knows can be seen.

    Parameters
    ----------
    store : Store
        Knows the roots that were indexed before, and the volumes mounted inside them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._volumes = set(store.volumes())
        known = {*store.roots(), *self._volumes}
        # The deepest place that holds a path decides, so they are tried in that order.
        self._known = sorted(known, key=lambda path: len(path.parts), reverse=True)
        self._away: dict[Path, bool] = {}

    def problem(self, root: Path) -> str | None:
        """Return why a root cannot be indexed now, or None if it can.

        Raises
        ------
        RecsysError
            If the root is not a folder, or is not there and never was part of the library.
        """
        if root.is_dir():
            return None
        held = next(self._store.iter_tracks_under(root), None) is not None
        if held or root in self._known:
            return (
                f"{root} is not there; its tracks were left as they are "
                f"(if they are gone for good: recsys doctor --forget {root})"
            )
        check_folder(root)
        return None

    def is_gone(self, path: Path) -> bool:
        """Tell whether a file is gone for good, not just out of reach with its disk."""
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:  # a folder that may not be read, a network that does not answer
            return False
        else:
            return False
        return not any(self.is_away(known) for known in self._known if path.is_relative_to(known))

    def holds_no_audio(self, root: Path) -> bool:
        """Tell whether a root is there but empty of audio, as an unmounted disk leaves it."""
        return next(scan(root), None) is None

    def notes_under(self, root: Path) -> list[str]:
        """Return a sentence for each known place below a root that is away."""
        return [
            f"{known} is away; its tracks were left as they are "
            f"(if they are gone for good: recsys doctor --forget {known})"
            for known in self._known
            if known != root and known.is_relative_to(root) and self.is_away(known)
        ]

    def is_away(self, known: Path) -> bool:
        """Tell whether a known root or volume is gone, empty or unmounted now."""
        if known not in self._away:
            self._away[known] = self._look(known)
        return self._away[known]

    def _look(self, known: Path) -> bool:
        try:
            with os.scandir(known) as entries:
                empty = next(entries, None) is None
            if empty:
                return True
            if known in self._volumes:
                return known.stat().st_dev == known.parent.stat().st_dev
        except OSError:
            return True
        return False


def check_folder(root: Path) -> None:
    """Make sure that something can be indexed.

    Raises
    ------
    RecsysError
        If it is not there, or is no folder.
    """
    if root.is_dir():
        return
    if root.exists():
        raise RecsysError(
            f"not a folder: {root}", f"Give the folder that holds it: recsys index {root.parent}"
        )
    raise RecsysError(f"no such folder: {root}", "Check the path and whether it is mounted.")
