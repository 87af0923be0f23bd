"""Opening the library database, and turning what SQLite says into what a person can act on."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from recsys.errors import LibraryBusyError, StoreError
from recsys.store.migrations import APPLICATION_ID, MIGRATIONS, migrate, schema_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUSY_TIMEOUT_S = 30.0
"""How long a statement waits for another process that is in the middle of a write."""

_MAGIC = b"SQLite format 3\x00"
_HEADER_LENGTH = 100
_APPLICATION_ID_AT = slice(68, 72)

_OTHER_LIBRARY = "Choose another file with --db."
_DAMAGED = (
    "Restore the file from a backup, or move it away and index again; if another file was meant, "
    "choose it with --db."
)
_ANSWERS = {
    sqlite3.SQLITE_FULL: (
        "{path} could not be written: the disk is full ({error}).",
        "Free some space and run the command again; what was stored before is safe.",
    ),
    sqlite3.SQLITE_READONLY: (
        "{path} cannot be written ({error}).",
        "Check the permissions of the file and of its folder, or choose another file with --db.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "{path} cannot be opened ({error}).",
        "Check the permissions of the file and of its folder.",
    ),
    sqlite3.SQLITE_NOTADB: ("{path} is not a recsys library ({error}).", _DAMAGED),
    sqlite3.SQLITE_CORRUPT: ("{path} is damaged ({error}).", _DAMAGED),
    sqlite3.SQLITE_IOERR: (
        "{path} could not be read or written ({error}).",
        "Check the disk; run `recsys doctor` when it is back.",
    ),
}
_OTHERWISE = ("{path} could not be used ({error}).", "Run `recsys doctor` to check the library.")


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """Return the error to raise for one of SQLite's.

    Parameters
    ----------
    path : Path
        Of the database.
    error : sqlite3.Error
        As SQLite raised it; extended result codes count as their primary code.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LibraryBusyError(
            f"{path} is being written by another process ({error}).",
            "Wait until it is done and run the command again.",
        )
    message, hint = _ANSWERS.get(code, _OTHERWISE)
    return StoreError(message.format(path=path, error=error), hint)


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as :class:`~recsys.errors.StoreError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(path, error) from error


class HasPath(Protocol):
    """Something that belongs to a database file."""

    @property
    def path(self) -> Path:
        """The database file."""


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=HasPath)


def guarded(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Wrap a method that speaks to SQLite, so that its errors are ours."""

    @wraps(method)
    def wrapper(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # A plain try costs nothing when nothing happens, unlike a context manager: some of these
        # methods are called once per file of the library.
        try:
            return method(self, *args, **kwargs)
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    return wrapper


def connect(path: Path, *, create: bool, read_only: bool) -> sqlite3.Connection:
    """Open a library database.

    Parameters
    ----------
    path : Path
        The file.
    create : bool
        Make it, and the folders above it, when it is not there.
    read_only : bool
        Never write to it, not even to bring an older one up to date.

    Raises
    ------
    StoreError
        It is not there, or not a database, or not ours, or cannot be written, or is newer.
    """
    _check_file(path, create=create, read_only=read_only)
    with sqlite_errors(path):
        return _open_to_read(path) if read_only else _open_to_write(path, create=create)


def _check_file(path: Path, *, create: bool, read_only: bool) -> None:
    try:
        header = _read_header(path)
        if not header and create and not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
            return
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened ({error.strerror or error}).",
            "Check the path and its permissions, or choose another file with --db.",
        ) from error
    if not header:
        raise StoreError(
            f"There is no library at {path}.",
            "Make one with `recsys index FOLDER`, or name another with --db.",
        )
    if not header.startswith(_MAGIC):
        raise StoreError(f"{path} is not a recsys library: it is no SQLite database.", _DAMAGED)
    if header[_APPLICATION_ID_AT] != APPLICATION_ID.to_bytes(4, "big"):
        _refuse_foreign(path)
    if not read_only and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise StoreError(
            f"{path} cannot be written: it, or its folder, is read-only.",
            "Check the permissions, or choose another file with --db.",
        )


def _read_header(path: Path) -> bytes:
    """Return the first bytes of the file, none where there is no file or nothing in it."""
    if path.is_dir():
        raise StoreError(
            f"{path} is a folder, not a library database.", f"Try --db {path / 'library.db'}."
        )
    if not path.exists():
        return b""
    with path.open("rb") as file:
        return file.read(_HEADER_LENGTH)


def _refuse_foreign(path: Path) -> None:
    """Let a database without our mark pass only while it is empty.

    It is looked at with ``immutable``, which neither locks nor makes files beside it: someone
    else's database stays untouched. Ours is marked before it is switched to WAL, so that an
    unmarked one with a log beside it has contents that are not ours.
    """
    wal = path.with_name(path.name + "-wal")
    with sqlite_errors(path), closing(_connection(path, "mode=ro&immutable=1")) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables or wal.exists():
        raise StoreError(f"{path} is a database of another program.", _OTHER_LIBRARY)


def _open_to_write(path: Path, *, create: bool) -> sqlite3.Connection:
    database = _connection(path, "mode=rwc" if create else "mode=rw")
    try:
        database.execute("PRAGMA foreign_keys = ON")
        migrate(database, path)
        # After the first migration: see _refuse_foreign. Readers go on while a writer writes.
        database.execute("PRAGMA journal_mode = WAL")
        # With WAL this is safe: a process that is killed loses nothing it has committed, and a
        # power cut may undo the last transactions but never damages the file.
        database.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        database.close()
        raise
    return database


def _open_to_read(path: Path) -> sqlite3.Connection:
    try:
        return _checked(_connection(path, "mode=ro"), path)
    except sqlite3.OperationalError:
        # On a read-only file system the files that go with WAL cannot be made. Nobody can write
        # there either, so the file may be read as it stands, unless a log lies beside it.
        wal = path.with_name(path.name + "-wal")
        if os.access(path.parent, os.W_OK) or (wal.exists() and wal.stat().st_size):
            raise
    return _checked(_connection(path, "mode=ro&immutable=1"), path)


def _checked(database: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    try:
        number = schema_number(database)
        if number > len(MIGRATIONS):
            migrate(database, path)
        if number < len(MIGRATIONS):
            raise StoreError(
                f"{path} was written by an older recsys and is opened read-only.",
                "Run `recsys index` once where it can be written.",
            )
    except BaseException:
        database.close()
        raise
    return database


def _connection(path: Path, mode: str) -> sqlite3.Connection:
    # isolation_level None: transactions are begun and ended here, never behind our back.
    uri = f"{path.absolute().as_uri()}?{mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
