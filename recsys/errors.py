"""The errors that recsys raises on purpose.

Every one of them carries a message with the offending value and a hint that says what to do.
The command line turns them into text; nothing else in the package prints.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


class RecsysError(Exception):
    """Something the user can understand and act on.

    Parameters
    ----------
    message : str
        What is wrong, with the offending value.
    hint : str, optional
        What the user can do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[RecsysError], tuple[str, str]]:
        """Pickle with both fields, so that errors cross process boundaries whole."""
        return type(self), (self.message, self.hint)


class AudioError(RecsysError):
    """A file that cannot be turned into sound worth analysing."""


class PassingError(AudioError):
    """A file that cannot be read now, for a reason that lies outside it: no permission, no memory.

    It is not remembered as bad, because nothing about the file has to change for it to be read.
    """


class WorkerError(RecsysError):
    """A worker process cannot start or work: the machine's or the installation's fault, no file's.

    It stops the run, so that nothing is recorded against files that may be well.
    """


class StoreError(RecsysError):
    """The library database cannot be opened, read or written."""


class LibraryBusyError(StoreError):
    """Another process is writing to this library."""


class GenreIndexError(RecsysError):
    """The embedding index is missing, damaged or of another shape."""


class SharedLibraryError(RecsysError):
    """A library on Milvus cannot be reached, does not answer, or is not what was expected."""


class MissingExtraError(RecsysError):
    """A library that only some commands need, and that is not installed."""


class ModelError(RecsysError):
    """A checkpoint that cannot be used, or a device that is not there."""


class TagError(RecsysError):
    """A file whose tags cannot be read or written, or are not those that were expected."""


class QueryError(RecsysError):
    """A question that cannot be answered as it was put: unknown track, genre or option value."""


class AmbiguousQueryError(QueryError):
    """Words that match several tracks; the caller has to pick one.

    Parameters
    ----------
    message, hint : str
        As in :class:`RecsysError`.
    matches : tuple of str
        One line per matching track, for display.
    """

    def __init__(self, message: str, hint: str = "", matches: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.matches = matches


# Optional libraries


def require(module: str, extra: str) -> ModuleType:
    """Import a library that belongs to an extra.

    Parameters
    ----------
    module : str
        Full name of the module, ``"matplotlib.pyplot"`` say.
    extra : str
        Name of the extra in pyproject.toml that brings it.

    Returns
    -------
    module

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this needs {error.name}, which is not installed",
            f"Install it with: {install_command(extra)}",
        ) from error


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this installation.

    It names the checkout or the wheel that recsys was installed from: pip finds `recsys` in an
    index only after a release.
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
