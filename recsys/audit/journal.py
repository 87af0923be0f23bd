"""The journal of written tags: what stood in every file before, so that it can be put back.

A file of JSON lines beside the database. A line is on the disk before the file that it speaks of is
touched, so that whatever happens in between, the old value is known. Lines are only ever added; one
that was cut off by a crash was written for a file that was not touched. It is passed over, as is
one that was damaged otherwise, with a note; all others still count.
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
        changes, settled = self._read()
        # A run may be known by its settled changes alone, where the lines of these were damaged.
        numbers = [*(change.run for change in changes), *(run for run, _ in settled)]
        return max(numbers, default=0) + 1

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know of lines that say nothing that can be understood.

        Raises
        ------
        TagError
            If the journal cannot be read.
        """
        places = [str(place) for place, line in self._lines() if _entry(line) is None]
        if not places:
            return ()
        lines = f"line{'s' * (len(places) > 1)} {', '.join(places)}"
        return (
            f"{lines} of {self.path} cannot be understood and were passed over: cut off by a"
            " crash, before a file was touched, or damaged; everything else can be put back",
        )

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
        changes, settled = [], set()
        for _, line in self._lines():
            entry = _entry(line)
            if isinstance(entry, Change):
                changes.append(entry)
            elif entry is not None:
                settled.add(entry)
        return changes, settled

    def _lines(self) -> list[tuple[int, str]]:
        """Return the lines with their numbers, without empty ones."""
        try:
            # A damaged byte spoils its own line, not the others.
            text = self.path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable("read", error) from error
        return [(place, line) for place, line in enumerate(text.split("\n"), 1) if line.strip()]

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

    def _unusable(self, verb: str, error: OSError) -> TagError:
        return TagError(
            f"the journal of written tags {self.path} cannot be {verb}: {error.strerror or error}",
            "No tag is written without it; check the disk and the permissions of its folder.",
        )


def now() -> str:
    """Return the time as the journal writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _entry(line: str) -> Change | tuple[int, int] | None:
    """Return the change that a line tells of, or the run and number of one that it settles.

    None for a line that was cut off or damaged. Keys that a later recsys may add are passed over.
    """
    try:
        entry = json.loads(line)
        if "settles" in entry:
            run, number = entry["settles"]
            return _whole(run), _whole(number)
        return Change(
            run=_whole(entry["run"]),
            number=_whole(entry["number"]),
            path=Path(entry["path"]),
            old=None if entry["old"] is None else _values(entry["old"]),
            new=_values(entry["new"]),
            had_tags=bool(entry["had_tags"]),
            time=str(entry["time"]),
        )
    except (ValueError, TypeError, KeyError):
        return None


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _values(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError
    return tuple(values)


def _ends_within_a_line(file: Any) -> bool:  # noqa: ANN401 (a binary file)
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) != b"\n")
