"""One writer at a time per library.

The lock is one of the operating system's, so that it is free again the moment its holder is gone,
however it went.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import datetime
from typing import TYPE_CHECKING, Self

from recsys.errors import LibraryBusyError, StoreError

if TYPE_CHECKING:
    from pathlib import Path


class LibraryLock:
    """Hold the right to write to a library: ``with LibraryLock(path, wait_s=0): ...``.

    The lock file, beside the database, names the process that holds it.

    Parameters
    ----------
    db_path : Path
        The library database; it need not exist yet.
    wait_s : float or None
        How long to wait for another holder, seconds; 0 does not wait, None waits for ever.

    Raises
    ------
    LibraryBusyError
        On entering: another process holds the lock still. The message says which.
    StoreError
        On entering: the lock file cannot be made.
    """

    def __init__(self, db_path: Path, wait_s: float | None = 0.0) -> None:
        # Imported here: reading a library must not pay for it.
        from filelock import FileLock

        self._db_path = db_path
        self._file = db_path.with_name(db_path.name + ".lock")
        self._lock = FileLock(str(self._file), timeout=-1 if wait_s is None else wait_s)

    def __enter__(self) -> Self:
        from filelock import Timeout

        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._file.write_text(self._holder(), encoding="utf-8")
        except Timeout as error:
            raise LibraryBusyError(
                f"{self._db_path} is being written by {holder_of(self._file)}.",
                "Wait until it is done, or stop it.",
            ) from error
        except OSError as error:
            self._lock.release()
            raise StoreError(
                f"{self._file} cannot be written ({error.strerror or error}).",
                "Check the permissions of the folder, or choose another library with --db.",
            ) from error
        return self

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    @staticmethod
    def _holder() -> str:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        return json.dumps({"pid": os.getpid(), "host": platform.node(), "since": now})


def holder_of(lock_file: Path) -> str:
    """Return who a lock file says holds it, for display.

    Some systems do not let others read a locked file; then the answer is "another process".
    """
    try:
        holder = json.loads(lock_file.read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
