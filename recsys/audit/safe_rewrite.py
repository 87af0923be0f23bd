"""Changing a file as a whole or not at all.

Writing tags moves the sound within the file; a process that is killed meanwhile leaves neither the
old file nor the new one. So a copy beside it is changed, checked, and put in its place in one step.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from recsys.errors import AudioError, TagError
from recsys.library import audio_hash

COPY_PREFIX = ".recsys-"
"""How names of unfinished copies begin: hidden, so that no scan takes them for tracks."""


def rewrite(path: Path, change: Callable[[Path], None]) -> str:
    """Change a file through a copy that takes its place when it is right.

    A link stays a link and its target is changed. Permissions, owner and extended attributes are
    kept as far as the system lets them; the time of modification is that of the change, so that
    players and backups notice it.

    Parameters
    ----------
    path : Path
        The file.
    change : callable
        Called with the copy; must leave its sound as it is.

    Returns
    -------
    str
        What :func:`recsys.library.audio_hash` says of the file, before and after.

    Raises
    ------
    TagError
        If the file is gone or protected, the disk is full, the change fails, or the sound is not
        the same after it. The file is then as it was.
    """
    try:
        target = path.resolve(strict=True)
        _check_writable(target)
        descriptor, name = tempfile.mkstemp(target.suffix, COPY_PREFIX, target.parent)
        os.close(descriptor)
    except OSError as error:
        raise unreachable(error) from error
    copy = Path(name)
    try:
        shutil.copyfile(target, copy)
        sound = _sound_of(copy)
        change(copy)
        _check_sound(copy, sound)
        _copy_attributes(target, copy)
        flush_to_disk(copy)
        copy.replace(target)
        flush_to_disk(target.parent)
    except OSError as error:
        raise unreachable(error) from error
    finally:
        copy.unlink(missing_ok=True)
    return sound


def unreachable(error: OSError) -> TagError:
    """Return the error for a file that the system refuses."""
    if isinstance(error, FileNotFoundError):
        return TagError("the file is gone", "Run recsys index on its folder.")
    return TagError(
        f"it cannot be changed: {error.strerror or error}",
        "Check the disk and the permissions of the file and of its folder.",
    )


def _check_writable(target: Path) -> None:
    """Refuse a file that is marked read-only, although putting another in its place would work."""
    protected = not target.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    if protected or not os.access(target, os.W_OK):
        raise TagError("the file is read-only", "Make it writable if it is meant to be changed.")


def _sound_of(copy: Path) -> str:
    try:
        return audio_hash(copy)
    except AudioError as error:
        raise TagError(error.message, error.hint) from error


def _check_sound(copy: Path, sound: str) -> None:
    if _sound_of(copy) != sound:
        raise TagError(
            "writing its tags would have changed its sound; it was left as it is",
            "Use another tag editor for this file.",
        )


def _copy_attributes(source: Path, copy: Path) -> None:
    status = source.stat()
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):  # only the owner's group, or root, may
            os.chown(copy, status.st_uid, status.st_gid)
    now = copy.stat().st_mtime_ns
    shutil.copystat(source, copy)
    os.utime(copy, ns=(now, now))


def flush_to_disk(path: Path) -> None:
    """Make sure that a file, or a folder's list of names, has reached the disk."""
    folder = path.is_dir()
    if folder and os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
