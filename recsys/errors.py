"""The errors that recsys raises.

Each carries a message with the offending value and a hint. Only the command line turns them into
text.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


class RecsysError(Exception):
    """An error that the user can act on.

    Parameters
    ----------
    message : str
        The problem, with the offending value.
    hint : str, optional
        A remedy.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[RecsysError], tuple[str, str]]:
        """Pickle with both fields, so that errors pass between processes."""
        return type(self), (self.message, self.hint)


class AudioError(RecsysError):
    """A file that cannot be decoded, or holds too little sound."""


class PassingError(AudioError):
    """A file that cannot be read now, for a reason that is not its own: no permission, no memory.

    It is tried again although it has not changed.
    """


class WorkerError(RecsysError):
    """A worker process cannot start or work, because of the machine or the installation.

    It stops the run, so that no failure is recorded against intact files.
    """


class StoreError(RecsysError):
    """The library database cannot be opened, read or written."""


class NoLibraryError(StoreError):
    """There is no library at a path."""


class OlderLibraryError(StoreError):
    """A library has the schema of an older recsys and was opened read-only."""


class LibraryBusyError(StoreError):
    """Another process is writing to this library."""


class GenreIndexError(RecsysError):
    """The embedding index is missing, damaged or of another shape."""


class SharedLibraryError(RecsysError):
    """A library on Milvus cannot be reached, does not answer, or does not match."""


class MissingExtraError(RecsysError):
    """A package of an extra that is not installed."""


class ModelError(RecsysError):
    """A checkpoint that cannot be used, or a device that is missing."""


class TagError(RecsysError):
    """A file whose tags cannot be read or written, or have changed."""


class QueryError(RecsysError):
    """A query that cannot be answered: unknown track, genre or option value."""


class NotFoundError(QueryError):
    """The library has nothing of an id: no such track, playlist, session or run."""


class EmptyLibraryError(QueryError):
    """A library that holds no tracks yet."""


class AmbiguousQueryError(QueryError):
    """Words that match several tracks, artists or albums.

    `matches` has one line for each, for display; `seeds`, of the same length, what to give instead
    of `words` to mean it.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        matches: tuple[str, ...] = (),
        *,
        words: str = "",
        seeds: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint)
        self.matches = matches
        self.words = words
        self.seeds = seeds


# Errors with one text, wherever they are found

NOT_REGULAR = "it is not a regular file"


DAMAGED_ANALYSES = (
    "recsys doctor --rebuild deletes damaged analyses, and recsys index makes them again."
)
"""What helps against them."""


def not_regular() -> AudioError:
    """Return the error for a pipe or a device in the place of a file of sound."""
    return AudioError(
        NOT_REGULAR, "Sound from a pipe goes through standard input: recsys classify - < PIPE"
    )


def cannot_read(error: BaseException) -> PassingError:
    """Return the error for a file that the disk, the network or the memory does not let read."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return PassingError(
        f"cannot be read now: {reason}",
        "Check path, permissions, disk or network, and free memory; the next run tries it again.",
    )


def being_written() -> PassingError:
    """Return the error for a file that changed while it was read."""
    return PassingError(
        "is being written: it changed while it was read", "The next run reads it again."
    )


def not_numbers() -> AudioError:
    """Return the error for an analysis that would spoil every question about any track."""
    return AudioError(
        "not numbers: its analysis holds NaN or infinite values",
        "Its samples are damaged, or absurdly large; convert the file, or replace it.",
    )


def library_is_empty(library: Path) -> EmptyLibraryError:
    """Return the error for a query of a library without tracks."""
    return EmptyLibraryError(
        f"the library {library} holds no tracks yet", "Index a folder first: recsys index ~/Music"
    )


def shell(*words: object) -> str:
    """Return a command for a hint as a shell reads it: names with spaces are quoted."""
    import shlex  # for messages alone

    return shlex.join(map(str, words))


# Optional packages


def require(module: str, extra: str) -> ModuleType:
    """Import a module of an extra in pyproject.toml; MissingExtraError if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this needs {error.name}, which is not installed",
            f"Install it with: {install_command(extra)}",
        ) from error


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this installation.

    It names the checkout or wheel from which recsys was installed: pip finds `recsys` in an index
    only after a release.
    """
    # Only needed for an error message, and slow to import.
    import json
    import shlex
    from importlib.metadata import distributions
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    source, editable = "recsys", False
    # In a checkout the metadata of a build may lie next to those of the installation.
    found = [
        text for dist in distributions(name="recsys") if (text := dist.read_text("direct_url.json"))
    ]
    with contextlib.suppress(ValueError):
        origin = json.loads(found[0] if found else "{}")
        url = urlsplit(origin.get("url", ""))
        if url.scheme == "file":
            source = url2pathname(url.path)
            editable = origin.get("dir_info", {}).get("editable", False)
    requirement = shlex.quote(f"{source}[{extra}]")
    return f"{shlex.quote(sys.executable)} -m pip install {'-e ' * editable}{requirement}"
