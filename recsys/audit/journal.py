"""The journal of written tags: what stood in every file before, so that it can be put back.

A file of JSON lines beside the database. A line is on the disk before the file that it speaks of is
touched, so that whatever happens in between, the old value is known. Lines are only ever added; one
that was cut off by a crash was written for a file that was not touched, and is passed over.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.audit.safe_rewrite import flush_to_disk
from recsys.errors import TagError


@dataclass(frozen=True, slots=True)
class Change:
    """One genre field that was, or was about to be, written.

    Attributes
    ----------
    run : int
        Number of the ``recsys audit --write-tags`` that did it, from 1.
    number : int
        Of the change in its run, from 1.
    path : Path
        The file.
    old : tuple of str or None
        Its values before, all of them; None where the field was absent.
    new : tuple of str
        Its values after.
    had_tags : bool
        The file had tags at all.
    time : str
        ISO 8601, UTC.
    """

    run: int
    number: int
    path: Path
    old: tuple[str, ...] | None
    new: tuple[str, ...]
    had_tags: bool
    time: str


@dataclass(frozen=True, slots=True)
class Run:
    """The changes of one run that have not been taken back."""

    number: int
    time: str
    changes: tuple[Change, ...]


def journal_path(database: Path) -> Path:
    """Return where the journal of a library lies.

    Examples
    --------
    >>> journal_path(Path("music/library.db")).name
    'library.tag-journal.jsonl'
    """
    return database.with_name(database.stem + ".tag-journal.jsonl")


class Journal:
    """The journal of one library; the caller holds the library's lock while it writes.

    Parameters
    ----------
    database : Path
        Of the library; the journal lies beside it and is made by the first change.
    """

    def __init__(self, database: Path) -> None:
        self.path = journal_path(database)

    def runs(self) -> list[Run]:
        """Return the runs that have changes which were not taken back, the earliest first.

        Raises
        ------
        TagError
            If the journal cannot be read.
        """
        changes, settled = self._read()
        by_run: dict[int, list[Change]] = {}
        for change in changes:
            if (change.run, change.number) not in settled:
                by_run.setdefault(change.run, []).append(change)
        return [Run(number, own[0].time, tuple(own)) for number, own in sorted(by_run.items())]

    def next_run(self) -> int:
        """Return the number for a new run."""
        changes, _ = self._read()
        return max((change.run for change in changes), default=0) + 1

    def begin(self, change: Change) -> None:
        """Write down a change that is about to be made, and wait until it is on the disk.

        Raises
        ------
        TagError
            If it cannot be written; the file must then not be touched.
        """
        self._append({**asdict(change), "path": os.fspath(change.path)})

    def settle(self, change: Change, how: str) -> None:
        """Write down that there is nothing left to take back: ``undone`` or ``not written``."""
        self._append({"settles": [change.run, change.number], "how": how, "time": now()})

    def _read(self) -> tuple[list[Change], set[tuple[int, int]]]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return [], set()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable("read", error) from error
        entries = [entry for line in text.splitlines() if (entry := _entry(line)) is not None]
        settled = {tuple(entry["settles"]) for entry in entries if "settles" in entry}
        return [_change(entry) for entry in entries if "settles" not in entry], settled

    def _append(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        try:
            is_new = not self.path.exists()
            with self.path.open("a+b") as file:
                if _ends_within_a_line(file):
                    line = b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                flush_to_disk(self.path.parent)
        except OSError as error:
            raise self._unusable("written", error) from error

    def _unusable(self, verb: str, error: Exception) -> TagError:
        return TagError(
            f"the journal of written tags {self.path} cannot be {verb}: "
            f"{getattr(error, 'strerror', None) or error}",
            "No tag is written without it; check the disk and the permissions of its folder.",
        )


def now() -> str:
    """Return the time as the journal writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _entry(line: str) -> dict[str, Any] | None:
    """Return what a line says, None for one that was cut off."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(entry, dict) and ("settles" in entry or "had_tags" in entry)
    return entry if whole else None


def _change(entry: dict[str, Any]) -> Change:
    old = entry["old"]
    return Change(
        **{
            **entry,
            "path": Path(entry["path"]),
            "old": None if old is None else tuple(old),
            "new": tuple(entry["new"]),
        }
    )


def _ends_within_a_line(file: Any) -> bool:  # noqa: ANN401 (a binary file)
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) != b"\n")
