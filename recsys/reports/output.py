"""Where a report goes: a folder that can be written, and files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import RecsysError
from recsys.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterable

EXTRA = "papers"
"""The extra in pyproject.toml that brings what draws and what fills pages."""


def check_ready(out: Path, libraries: Iterable[str] = ("matplotlib.figure", "jinja2")) -> None:
    """Make the folder of a report, and raise now if it could not be filled later.

    Parameters
    ----------
    out : Path
        A folder, there or not yet.
    libraries : iterable of str
        What the report will need of the extra ``[papers]``.

    Raises
    ------
    MissingExtraError
        If one of the libraries is not installed.
    RecsysError
        If the folder cannot be made or written to.
    """
    for library in libraries:
        require(library, EXTRA)
    if out.exists() and not out.is_dir():
        raise RecsysError(f"{out} is a file", "Give a folder for the report.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise RecsysError(
            f"the report cannot be written to {out}: {error.strerror or error}",
            "Choose another folder.",
        ) from error


def write_file(path: Path, content: bytes | str) -> Path:
    """Write a file in one step; text as UTF-8, and what is not text in names as escapes.

    Parameters
    ----------
    path : Path
        Replaced if it is there.
    content : bytes or str
        All of it.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    RecsysError
        If it cannot be written.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise RecsysError(
            f"{path} cannot be written: {error.strerror or error}", "Choose another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def remove_stale(out: Path, names: Iterable[str]) -> None:
    """Remove pictures of an earlier report that would be taken for part of this one.

    Parameters
    ----------
    out : Path
        Folder of the report.
    names : iterable of str
        Of pictures that this report does not have, without their extension.
    """
    for name in names:
        (out / f"{name}.png").unlink(missing_ok=True)
