"""The one atomic write: after a crash a file is the old one or the new one, never half of it.

What it replaces is looked at first, by :func:`check_replaceable`: a song, a library or a text of
the user is never replaced by what recsys writes.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import QueryError, RecsysError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX = ".recsys-"
"""How names of unfinished files begin: hidden, so that no scan takes them for tracks."""


HEAD_BYTES = 2**20
"""Of a file that is there, which show of what kind it is."""

_FIRST_KEY = re.compile(rb'\s*[\[{]\s*"([^"]*)"')
_PAGE = re.compile(rb"\s*<!doctype html", re.IGNORECASE)
_OF_RECSYS = re.compile(rb'<meta name="generator" content="recsys')
_MAGIC_BYTES = 4


def check_replaceable(path: Path, kind: str, is_kind: Callable[[bytes], bool]) -> None:
    """Raise QueryError where writing a file would replace one of another kind.

    `is_kind` is given the first :data:`HEAD_BYTES` of the file that is there; `kind` says in a
    message what it should be. A new name, an empty file, a pipe and a device such as
    ``/dev/stdout`` may be written to. The target of a link counts.
    """
    try:
        status = path.stat()
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):
            return
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise QueryError(f"{path} is {what}", "Name a file to write.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise QueryError(
            f"{path} cannot be looked at before it is replaced: {reason}", "Give another name."
        ) from error
    if head and not is_kind(head):
        raise QueryError(
            f"{path} is there already and is not {kind}: it was left as it is",
            "Give another name. To replace the file, delete it first.",
        )


def begins_as(content: bytes) -> Callable[[bytes], bool]:
    """Return a test for files that begin as `content` does, and so are of its kind.

    Pages have the mark of recsys, JSON has the same first key, a text the same first line, and
    other files the same first bytes.
    """
    head = content[:HEAD_BYTES]
    if _PAGE.match(head):
        return lambda there: _OF_RECSYS.search(there) is not None
    if key := _FIRST_KEY.match(head):
        return lambda there: (found := _FIRST_KEY.match(there)) is not None and found[1] == key[1]
    if b"\0" in head:
        return lambda there: there[:_MAGIC_BYTES] == head[:_MAGIC_BYTES]
    first = head.partition(b"\n")[0].rstrip()
    return lambda there: there.partition(b"\n")[0].rstrip() == first


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


@contextlib.contextmanager
def kept_with_library(path: Path) -> Iterator[None]:
    """Tell in words that a file next to the library cannot be written."""
    try:
        yield
    except OSError as error:
        raise RecsysError(
            f"cannot write {path}: {error.strerror or error}",
            "Check the permissions of the folder of the library.",
        ) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step; see :func:`replacing`."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a file in one step as UTF-8; a byte of a file name that is not, as an escape."""
    write_bytes(path, encoded(text))


def encoded(text: str) -> bytes:
    """Return a text as :func:`write_text` writes it."""
    return text.encode("utf-8", "backslashreplace")


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
