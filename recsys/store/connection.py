"""Opening and locking the library database, and its errors with hints."""

from __future__ import annotations

import errno
import json
import os
import platform
import sqlite3
import threading
from collections import Counter
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Self

from recsys.checks import regular
from recsys.errors import LibraryBusyError, NoLibraryError, OlderLibraryError, StoreError
from recsys.mounts import network_file_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION_ID = 0x72656373
"""``recs`` in ASCII, in the header of the file: the mark of recsys databases."""

SCHEMA_VERSION = 14
"""Number of migrations in :mod:`recsys.store.schema`; the user version in the file header."""

BUSY_TIMEOUT_S = 30.0
"""Limit of waiting for the write of another process."""

_open_files: Counter[tuple[int, int]] = Counter()
"""Connections of this process per library, by device and inode.

The header of an open one is not read again: closing any descriptor of a file drops the locks that
other connections of the same process hold on it (https://sqlite.org/howtocorrupt.html, 2.2), and
another process could then take the log away from under them.
"""

_files_lock = threading.Lock()

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
_NEEDED_BYTES = 64 * 1024
"""Free space below which a disk is full: the memory that processes share takes half of it."""

_OF_NETWORKS = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL)
"""Errors by which a journal that does not work shows."""

_OTHERWISE = ("{path} could not be used ({error}).", "Run `recsys doctor` to check the library.")


def default_database() -> Path:
    """Return the default path of the library."""
    from platformdirs import user_data_path

    try:
        return user_data_path("recsys", appauthor=False) / "library.db"
    except RuntimeError as error:  # a job without HOME, of a user whom the system does not know
        raise StoreError(
            "there is no home folder to keep the library in: HOME is not set",
            "Name the library with --db, or set HOME.",
        ) from error


def store_error(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """Return the StoreError for an error of SQLite, by its primary result code."""
    if isinstance(error, UnicodeDecodeError):  # of a message that quotes a damaged schema
        return StoreError(f"{path} is damaged ({error.reason} in its schema).", _DAMAGED)
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StoreError(f"{path} was closed.", "Open it again.")
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LibraryBusyError(
            f"{path} is being written by another process ({error}).",
            "Wait until it is done and run the command again.",
        )
    if code == sqlite3.SQLITE_IOERR and _is_full(path):  # no memory to share, no journal
        code = sqlite3.SQLITE_FULL
    message, hint = _ANSWERS.get(code, _OTHERWISE)
    kind = network_file_system(path) if code in _OF_NETWORKS else None
    if kind is not None:
        hint = (
            f"It lies on a network file system ({kind}), where the journal of SQLite may not "
            "work: recsys index --journal delete, or keep the library on a disk with --db."
        )
    return StoreError(message.format(path=path, error=error), hint)


def _is_full(path: Path) -> bool:
    """Return whether the disk of a library has no room for the files that SQLite needs."""
    import shutil  # it loads compressors, and only an error asks

    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < _NEEDED_BYTES
    return False


def connect(path: Path, *, create: bool, read_only: bool) -> sqlite3.Connection:
    """Open a library database; see :meth:`recsys.store.Store.open`."""
    file = _identity(path)
    if file is None or not _open_files[file]:
        _check_file(path, create=create, read_only=read_only)
    elif not read_only:
        _check_writable(path)
    try:
        opened = _open_to_read(path) if read_only else _open_to_write(path, create=create)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise store_error(path, error) from error
    opened.count_as(path, _identity(path))  # a new file has none before
    return opened


class _Connection(sqlite3.Connection):
    """A connection that counts in :data:`_open_files` until it is closed."""

    _path: Path
    _file: tuple[int, int] | None = None
    logged = False  # its changes are in a log next to it

    def count_as(self, path: Path, file: tuple[int, int] | None) -> None:
        """Count as a connection to this file."""
        self._path = path
        with _files_lock:
            if file is not None:
                self._file = file
                _open_files[file] += 1

    def check_in_place(self) -> None:
        """Raise StoreError if the file is no longer at its path: what is written would be lost.

        SQLite goes on writing to a file that was deleted, without an error.
        """
        if self._file is None:
            return
        lost = self._path if _identity(self._path) != self._file else None
        wal = self._path.with_name(self._path.name + "-wal")
        if lost is None and self.logged and _identity(wal) is None:
            lost = wal
        if lost is not None:
            raise StoreError(
                f"{lost} was deleted or replaced while recsys wrote to it; what this run stored is "
                "lost.",
                "Leave the library and the files next to it alone while recsys runs, and run the "
                "command again.",
            )

    def close(self) -> None:
        """Close it; closing twice is fine."""
        super().close()
        with _files_lock:
            if self._file is not None:
                _open_files[self._file] -= 1
                self._file = None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, None if it cannot be found."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


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
        raise NoLibraryError(
            f"There is no library at {path}.",
            "Make one with `recsys index FOLDER`, or name another with --db.",
        )
    if not header.startswith(_MAGIC):
        raise StoreError(f"{path} is not a recsys library: it is no SQLite database.", _DAMAGED)
    if header[_APPLICATION_ID_AT] != APPLICATION_ID.to_bytes(4, "big"):
        _refuse_foreign(path)
    if not read_only:
        _check_writable(path)


def _check_writable(path: Path) -> None:
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise StoreError(
            f"{path} cannot be written: it, or its folder, is read-only.",
            "Check the permissions, or choose another file with --db.",
        )


def _read_header(path: Path) -> bytes:
    """Return the first bytes of the file; empty without a file, or for an empty one."""
    if path.is_dir():
        raise StoreError(
            f"{path} is a folder, not a library database.", f"Try --db {path / 'library.db'}."
        )
    if not path.exists():
        return b""
    with regular(path).open("rb") as file:
        return file.read(_HEADER_LENGTH)


def _refuse_foreign(path: Path) -> None:
    """Raise StoreError for a database without our mark, unless it is empty."""
    # Immutable neither locks nor makes other files: another program's database stays untouched.
    # Ours is marked before it is switched to WAL, so an unmarked one with a log is not ours.
    wal = path.with_name(path.name + "-wal")
    try:
        with closing(_connection(path, "mode=ro&immutable=1")) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise store_error(path, error) from error
    if tables or wal.exists():
        raise StoreError(f"{path} is a database of another program.", _OTHER_LIBRARY)


def _open_to_write(path: Path, *, create: bool) -> _Connection:
    database = _connection(path, "mode=rwc" if create else "mode=rw")
    try:
        database.execute("PRAGMA foreign_keys = ON")
        is_new = not (known := _schema_version(database, path))
        if known < SCHEMA_VERSION:
            # Imported here: loading sqlite-utils takes longer than answering a query.
            from recsys.store.schema import migrate

            with write_transaction(database):
                migrate(database)
                # The mark of our files, and the version for readers, which load no sqlite-utils.
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        # After the first migration: see _refuse_foreign.
        if is_new and network_file_system(path) is not None:
            database.execute("UPDATE library SET journal = 'delete'")
        _use_journal(database, database.execute("SELECT journal FROM library").fetchone()[0])
    except BaseException:
        database.close()
        raise
    return database


def _use_journal(database: _Connection, journal: str) -> None:
    """Switch to a journal: ``wal``, with which readers go on while a writer writes, or ``delete``.

    WAL needs memory that all processes share, which a network file system does not give.
    """
    used = database.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0]
    database.logged = used == "wal"
    # NORMAL is safe with WAL: a killed process loses no committed transaction, and a power cut may
    # undo the last ones but never damages the file.
    database.execute(f"PRAGMA synchronous = {'NORMAL' if journal == 'wal' else 'FULL'}")


def set_journal(database: sqlite3.Connection, journal: str) -> None:
    """Keep another journal in the database, and use it; nothing else may have it open."""
    assert isinstance(database, _Connection)  # connect() returns no other
    _use_journal(database, journal)
    database.execute("UPDATE library SET journal = ?", (journal,))


def _open_to_read(path: Path) -> _Connection:
    try:
        return _checked(_connection(path, "mode=ro"), path)
    except sqlite3.OperationalError as error:
        # On a read-only or full disk the files of WAL cannot be made. No process can write there
        # either, so the file may be read as immutable, unless there is a log with changes.
        wal = path.with_name(path.name + "-wal")
        if os.access(path.parent, os.W_OK) and not _is_full(path):
            raise
        if wal.exists() and wal.stat().st_size:
            raise StoreError(
                f"{path} cannot be read where nothing can be written: {wal.name} holds changes "
                "that are not in it yet.",
                "Copy both to a folder that can be written, or make the copy while nothing uses "
                "the library.",
            ) from error
    return _checked(_connection(path, "mode=ro&immutable=1"), path)


def _checked(database: _Connection, path: Path) -> _Connection:
    try:
        if _schema_version(database, path) < SCHEMA_VERSION:
            raise OlderLibraryError(
                f"{path} was written by an older recsys and is opened read-only.",
                "Run `recsys index` once where it can be written.",
            )
    except BaseException:
        database.close()
        raise
    return database


def _schema_version(database: sqlite3.Connection, path: Path) -> int:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer recsys (schema {version}, known here: "
            f"{SCHEMA_VERSION}).",
            "Update recsys, or choose another library with --db.",
        )
    return version


def _connection(path: Path, mode: str) -> _Connection:
    # isolation_level None: sqlite3 begins no transactions of its own. check_same_thread: one thread
    # uses a connection, but another may be the one that closes it.
    uri = f"{path.absolute().as_uri()}?{mode}"
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        factory=_Connection,
    )


@contextmanager
def write_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock from the first statement; commit the block atomically."""
    # IMMEDIATE: a transaction that reads first and takes the lock later can fail without waiting.
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # SQLite rolls back by itself after some errors, such as a full disk.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    check_in_place(db)


def check_in_place(db: sqlite3.Connection) -> None:
    """See :meth:`recsys.store.Store.check_in_place`."""
    if isinstance(db, _Connection):
        db.check_in_place()


class LibraryLock:
    """Hold the right to write to a library: ``with LibraryLock(path, wait_s=0): ...``.

    The operating system frees the lock as soon as its holder ends. The lock file, next to the
    database, which need not exist yet, names the holder. ``wait_s=None`` waits for ever.

    Entering raises LibraryBusyError where another process still holds the lock, and StoreError
    where the lock file cannot be made.
    """

    def __init__(self, db_path: Path, wait_s: float | None = 0.0) -> None:
        # Imported here, because reading a library does not need it.
        from filelock import FileLock

        self._db_path = db_path
        self._file = db_path.with_name(db_path.name + ".lock")
        self._lock = FileLock(str(self._file), timeout=-1 if wait_s is None else wait_s)

    def __enter__(self) -> Self:
        from filelock import Timeout

        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._check_other_machine()
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            holder = {"pid": os.getpid(), "host": platform.node(), "since": now}
            self._file.write_text(json.dumps(holder), encoding="utf-8")
        except Timeout as error:
            raise LibraryBusyError(
                f"{self._db_path} is being written by {holder_of(self._file)}.",
                "Wait until it is done, or stop it.",
            ) from error
        except LibraryBusyError:
            self._lock.release()
            raise
        except OSError as error:
            self._lock.release()
            full = error.errno == errno.ENOSPC
            raise StoreError(
                f"{self._file} cannot be written ({error.strerror or error}).",
                "Free some space and run the command again."
                if full
                else "Check the permissions of the folder, or choose another library with --db.",
            ) from error
        return self

    def _check_other_machine(self) -> None:
        """Raise LibraryBusyError if another machine names itself: it may not see this lock."""
        kind = network_file_system(self._file)
        if kind is None or platform.node() == (_holder(self._file) or {}).get("host"):
            return
        if self._file.stat().st_size:
            raise LibraryBusyError(
                f"{self._db_path} is being written by {holder_of(self._file)}, or that was cut "
                f"off; locks of other machines may not show here ({kind}).",
                f"Wait until it is done. If it no longer runs, delete {self._file}.",
            )

    def __exit__(self, *_error: object) -> None:
        with suppress(OSError):
            self._file.write_bytes(b"")  # nobody holds it
        self._lock.release()


def _holder(lock_file: Path) -> dict[str, str] | None:
    """Return what a lock file says of its holder."""
    try:
        holder = json.loads(lock_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Windows lets nobody read a locked file
        return None
    return holder if isinstance(holder, dict) else None


def holder_of(lock_file: Path) -> str:
    """Return the holder that a lock file names, for display."""
    holder = _holder(lock_file) or {}
    if not {"pid", "host", "since"} <= holder.keys():
        return "another process"
    return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
