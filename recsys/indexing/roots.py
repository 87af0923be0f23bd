"""Roots and volumes: which folders of a library are there, and which disks only unmounted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import RecsysError, shell
from recsys.library import outermost

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from recsys.store import Store


class RootHealth:
    """Distinguishes, for one run, what is gone from what is away.

    A file is away where the place that holds it cannot be seen: a root or volume that is not there,
    empty or unreadable, or a volume that is not mounted. (A volume is a disk that was mounted in a
    root, or holds one.) Else a file that is not there is gone. The store has the roots and volumes
    of earlier runs; of roots inside one another only the outermost counts.
    """

    def __init__(self, store: Store, folders: Iterable[Path] = ()) -> None:
        """`folders` are to be indexed, and count as roots."""
        self._store = store
        self._volumes = set(store.volumes())
        known = {*outermost([*store.roots(), *filter(Path.is_dir, folders)]), *self._volumes}
        self._known = sorted(known, key=lambda path: len(path.parts), reverse=True)
        self._absent: dict[Path, bool] = {}
        self._folders_now: list[Path] = []

    def problem(self, root: Path) -> str | None:
        """Return why a root cannot be indexed now, or None if it can.

        RecsysError if it is not a folder, or is not there and never was part of the library.
        """
        if root.is_dir():
            return None
        held = next(self._store.iter_tracks_under(root), None) is not None
        if held or root in self._known:
            return (
                f"{root} is not there; its tracks were left as they are "
                f"(if they are gone for good: {shell('recsys', 'doctor', '--forget', root)})"
            )
        check_folder(root)
        return None

    def is_gone(self, path: Path) -> bool:
        """Return whether a file is gone for good, not just away."""
        return not _is_there(path) and not any(
            self.is_absent(known) for known in self._known if path.is_relative_to(known)
        )

    def has_left(self, path: Path) -> bool:
        """Return whether a file, or a root, may have moved: it is gone, or its root is.

        That is enough where its sound was found elsewhere: a root that was renamed or emptied is
        not on an unmounted disk as long as the folder that held it is there.
        """
        above = [known for known in self._known if path.is_relative_to(known)]
        return not _is_there(path) and not any(
            self.is_absent(known) if known in self._volumes else not known.parent.is_dir()
            for known in above
        )

    def notes_under(self, root: Path, without: Container[Path] = ()) -> list[str]:
        """Return a note for each absent volume at a root or below, but for some."""
        return [
            f"{known} is empty or not mounted; its tracks were left as they are "
            f"(if they are gone for good: {shell('recsys', 'doctor', '--forget', known)})"
            for known in self._known
            if (known != root or known in self._volumes)
            and known not in without
            and known.is_relative_to(root)
            and self.is_absent(known)
        ]

    def folders_now(self) -> list[Path]:
        """Return the volumes that are plain folders now, with most of their tracks in them."""
        for volume in self._volumes:
            self.is_absent(volume)
        return self._folders_now

    def is_absent(self, known: Path) -> bool:
        """Return whether a known root or volume is gone, empty or unmounted now."""
        if known not in self._absent:
            self._absent[known] = self._check_absent(known)
        return self._absent[known]

    def _check_absent(self, known: Path) -> bool:
        try:
            with os.scandir(known) as entries:
                empty = next(entries, None) is None
            # A mount point on the file system of its parent: nothing is mounted there.
            mounted = known.stat().st_dev != known.parent.stat().st_dev
        except OSError:
            return True
        if empty:
            return True
        if mounted or known not in self._volumes:
            return False
        if not self._holds_its_tracks(known):
            return True
        self._folders_now.append(known)
        return False

    def _holds_its_tracks(self, volume: Path) -> bool:
        """Return whether more of the tracks of a volume are there than not.

        One file alone may have been written into the folder of a disk that is not mounted.
        """
        there = [os.path.lexists(path) for _, path in self._store.iter_tracks_under(volume)]
        return 2 * sum(there) > len(there)


def _is_there(path: Path) -> bool:
    """Return whether a path is there, or that cannot be seen."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a folder that may not be read, a network that does not answer
        return True
    return True


def check_folder(root: Path) -> None:
    """Raise RecsysError for what is not there, or is no folder."""
    if root.is_dir():
        return
    if root.is_file():
        raise RecsysError(f"not a folder: {root}", f"Give the folder that holds it: {root.parent}")
    if root.exists():
        kind = "a pipe" if root.is_fifo() else "a socket" if root.is_socket() else "a device"
        raise RecsysError(
            f"{root} is {kind}, neither a folder nor a regular file",
            "Give folders or files; sound from a pipe goes to a file first.",
        )
    raise RecsysError(
        f"no such file or folder: {root}", "Check the path and whether it is mounted."
    )
