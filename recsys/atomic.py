"""The one atomic write: after a crash a file is the old one or the new one, never half of it."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = ".recsys-"
"""How names of unfinished files begin: hidden, so that no scan takes them for tracks."""


@contextlib.contextmanager
def replacing(path: Path, *, suffix: str = ".tmp") -> Iterator[Path]:
    """Replace a file by the one that the block writes, at once and only if the block succeeds.

    Yields the path of the unfinished file, which the block makes; `suffix` is for writers that look
    at it. A link stays a link: its target is replaced. Permissions of the old file are kept. After
    an OSError the old file is as it was.
    """
    target = path.resolve()
    # In the same folder: a rename is atomic within one file system only.
    unfinished = target.parent / f"{PREFIX}{os.urandom(8).hex()}{suffix}"
    try:
        yield unfinished
        flush(unfinished)  # else a power cut could keep the new name and lose the contents
        if target.is_file():
            unfinished.chmod(stat.S_IMODE(target.stat().st_mode))
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    flush_folder(target.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step; see :func:`replacing`."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a file in one step as UTF-8; a byte of a file name that is not, as an escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def flush(path: Path) -> None:
    """Wait until a file has reached the disk."""
    # Windows flushes only what is open for writing.
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder have reached the disk, where the system can do that."""
    # Windows cannot open folders, and some network file systems cannot flush them. The file itself
    # has reached the disk by then, so neither is a reason to fail.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
