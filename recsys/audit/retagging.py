"""Write the accepted genre tags, and undo it.

Every file is handled by itself: a failure is reported and the rest goes on. The old values are in
a write-ahead journal before a file is touched. After a file, the library has its new tag, size and
time, and at the end the index is current, so that the next ``recsys index`` finds no changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import unicodedata
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys import atomic
from recsys.audit.genre_field import read_genre_field, write_genre_field
from recsys.errors import AudioError, NotFoundError, QueryError, TagError, shell
from recsys.index.sync import bring_up_to_date, index_is_current
from recsys.library import (
    audio_hash,
    earlier_audio_hash,
    is_earlier_identity,
    outermost,
    read_tags,
)
from recsys.names import spelling_key
from recsys.store import LibraryLock, Store, TrackRecord
from recsys.types import UNKNOWN, TrackFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from recsys.audit.disagreements import Finding


LONGEST_GENRE = 200
"""Characters of a genre that a user may name."""

_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # controls, bytes that are no text, ends of lines


class RetagStatus(StrEnum):
    """Result for one file."""

    WRITTEN = "written"
    RESTORED = "restored"
    UNCHANGED = "unchanged"
    """The file had the right value already."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RetagOutcome:
    """Result of writing or undoing one tag."""

    path: Path
    status: RetagStatus
    genre: tuple[str, ...] | None  # values that the file has, or was to have; None for no genre
    reason: str | None = None  # of a failure
    hint: str = ""
    run: int | None = None  # id of the run that undoes what was written


class Retagger:
    """Writes accepted suggestions; everything that one object writes is one run, undone as one.

    Parameters
    ----------
    database : Path
        The library. Its lock is held only while something is written, not while the user thinks.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._journal = Journal(database)
        self._written = 0
        self.run: int | None = None
        """Id of the run, once something was written."""

    def check_ready(self) -> None:
        """Raise now, before the user is asked anything, if tags cannot be written.

        StoreError if the library is locked or read-only, TagError if the journal cannot be read.
        """
        with LibraryLock(self._database), Store.open(self._database):
            self._journal.runs()

    def write(self, findings: Iterable[Finding]) -> Iterator[RetagOutcome]:
        """Write the suggestion of each finding; yield after the file and the library have it.

        StoreError if the library is locked; TagError if the journal cannot be written, and then no
        further file is touched.
        """
        with _open(self._database) as store:
            for finding in findings:
                yield self._write_one(store, finding.track.path, (finding.suggestion,))

    def correct(self, path: Path, genre: str) -> RetagOutcome:
        """Write one genre that the user names; it is ``unchanged`` where the file has it already.

        QueryError for a text that is no genre, TagError if the file cannot be changed or the
        journal not be written, StoreError if the library is locked.
        """
        new = (_checked_genre(genre),)
        with _open(self._database) as store:
            with contextlib.suppress(OSError, TagError):
                if read_genre_field(path).values == new:
                    return RetagOutcome(path, RetagStatus.UNCHANGED, new)
            outcome = self._write_one(store, path, new)
        if outcome.reason is not None:
            raise TagError(f"{path}: {outcome.reason}", outcome.hint)
        return outcome

    def _write_one(self, store: Store, path: Path, new: tuple[str, ...]) -> RetagOutcome:
        try:
            _check_as_indexed(store, path)
            field = read_genre_field(path)
        except (OSError, TagError) as error:
            return _failed(path, new, error)
        if self.run is None:
            self.run = self._journal.next_run()
        self._written += 1
        change = Change(self.run, self._written, path, field.values, new, field.has_tags, _now())
        self._journal.begin(change)
        try:
            identity = rewrite(path, lambda copy: _put(copy, new, keep_tags=True))
        except TagError as error:
            self._journal.settle(change, "not written")
            return _failed(path, new, error)
        _update_library(store, path, identity)
        return RetagOutcome(path, RetagStatus.WRITTEN, new, run=self.run)


def _checked_genre(text: str) -> str:
    """Return a genre as it is to stand in a file; QueryError for what cannot be one."""
    genre = text.strip()
    if (
        not genre
        or len(genre) > LONGEST_GENRE
        or any(unicodedata.category(each) in _NO_TEXT for each in genre)
        or spelling_key(genre) == UNKNOWN
    ):
        raise QueryError(f"{text[:60]!r} is no genre", "Give a name of one line, as Jazz.")
    return genre


def undo_run(
    database: Path, run_id: int | None = None, paths: Sequence[Path] = ()
) -> tuple[Run, Iterator[RetagOutcome]]:
    """Restore the genre fields that a run has overwritten.

    Parameters
    ----------
    database : Path
        The library.
    run_id : int or None
        None for the last run that can be undone.
    paths : sequence of Path
        Only files under these folders, or these files; empty for all.

    Returns
    -------
    run : Run
        The changes that will be undone.
    outcomes : iterator of RetagOutcome
        One per file, when it is done; iterating does the work.

    Raises
    ------
    QueryError
        If there is no such run, or it changed no file under the paths.
    """
    run = _find_run(Journal(database).runs(), run_id)
    roots = outermost(paths)
    # Newest first: a file that was written twice gets its first value back.
    changes = tuple(
        change
        for change in reversed(run.changes)
        if not roots or any(change.path.is_relative_to(root) for root in roots)
    )
    if not changes:
        raise QueryError(
            f"run {run.number} changed no file under {', '.join(map(str, roots))}",
            "See recsys audit --history.",
        )
    return Run(run.number, run.time, changes), _undo_all(database, changes)


def _find_run(runs: Sequence[Run], run_id: int | None) -> Run:
    if runs and run_id is None:
        return runs[-1]
    for run in runs:
        if run.number == run_id:
            return run
    if runs:
        raise NotFoundError(
            f"there is no run {run_id} to undo",
            f"There are {', '.join(str(run.number) for run in runs)}; see recsys audit --history.",
        )
    asked = "" if run_id is None else f"there is no run {run_id} to undo: "
    raise NotFoundError(
        f"{asked}no written tag is left to undo",
        "recsys audit --history lists the runs that can be undone.",
    )


def _undo_all(database: Path, changes: Iterable[Change]) -> Iterator[RetagOutcome]:
    with _open(database) as store:
        journal = Journal(database)
        for change in changes:
            yield _undo_one(store, journal, change)


def _undo_one(store: Store, journal: Journal, change: Change) -> RetagOutcome:
    path, old = change.path, change.old
    try:
        present = read_genre_field(path).values
        if present == old:
            journal.settle(change, "undone")
            return RetagOutcome(path, RetagStatus.UNCHANGED, old)
        if present != change.new:
            raise TagError(
                f"its genre is {_shown(present)} now, not {_shown(change.new)} as it was written",
                "Another program changed it; it is left as it is.",
            )
        identity = rewrite(path, lambda copy: _put(copy, old, keep_tags=change.had_tags))
    except (OSError, TagError) as error:
        return _failed(path, old, error)
    journal.settle(change, "undone")
    _update_library(store, path, identity)
    return RetagOutcome(path, RetagStatus.RESTORED, old)


@contextlib.contextmanager
def _open(database: Path) -> Iterator[Store]:
    """Open a library for writing, and bring the index up to date at the end.

    Written tags move tracks in the index where the library is sorted by genre tags.
    """
    with LibraryLock(database), Store.open(database) as store:
        try:
            yield store
        finally:
            if store.genre_source() == "own" and not index_is_current(store):
                bring_up_to_date(store)


def _put(copy: Path, values: tuple[str, ...] | None, *, keep_tags: bool) -> None:
    write_genre_field(copy, values, keep_tags=keep_tags)
    if (present := read_genre_field(copy).values) != values:
        raise TagError(
            f"{_shown(values)} was written and {_shown(present)} is read back",
            "This format cannot hold the tag; the file was left as it is.",
        )


def _check_as_indexed(store: Store, path: Path) -> None:
    """Refuse a file that changed since it was indexed: its tag may be another now."""
    status = path.stat()
    stored = store.lookup(path)
    if stored is None or (stored.size, stored.mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise TagError(
            "the file has changed since it was indexed",
            f"First run {shell('recsys', 'index', path.parent)}",
        )


def _update_library(store: Store, path: Path, identity: str) -> None:
    """Store the new tag, size and time of a rewritten file.

    A file whose audio is not what was indexed is left to the next ``recsys index``.
    """
    stored = store.lookup(path)
    if stored is None or stored.audio_hash is None:
        return
    if is_earlier_identity(stored.audio_hash):
        identity = earlier_audio_hash(path)
    if stored.audio_hash != identity:
        return
    status = path.stat()
    file = TrackFile(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    store.write([TrackRecord(file, read_tags(path), identity, 0.0, None, analysis=None)])


def _shown(values: tuple[str, ...] | None) -> str:
    return "absent" if values is None else repr("; ".join(values))


def _failed(path: Path, genre: tuple[str, ...] | None, error: OSError | TagError) -> RetagOutcome:
    own = error if isinstance(error, TagError) else _refused(error)
    return RetagOutcome(path, RetagStatus.FAILED, genre, own.message, own.hint)


# Rewriting one file atomically


def rewrite(path: Path, change: Callable[[Path], None]) -> str:
    """Change a copy of a file, replace the file by it atomically, and return its audio hash.

    `change` is called with the copy and must leave the audio as it is. A link stays a link and its
    target is changed. Permissions, owner and extended attributes are kept as far as the system
    allows; the time of modification is that of the change, so that players and backups notice it.
    TagError, and the file is as it was, if it is gone or protected, the disk is full, the change
    fails, or the audio hash differs after it.
    """
    try:
        target = path.resolve(strict=True)
        _check_writable(target)
        with atomic.replacing(target, suffix=target.suffix) as copy:
            shutil.copyfile(target, copy)
            identity = _identity(copy)
            change(copy)
            if _identity(copy) != identity:
                raise TagError(
                    "writing its tags would have changed its audio; it was left as it is",
                    "Use another tag editor for this file.",
                )
            _copy_attributes(target, copy)
    except OSError as error:
        raise _refused(error) from error
    return identity


def _refused(error: OSError) -> TagError:
    if isinstance(error, FileNotFoundError):
        return TagError("the file is gone", "Run recsys index on its folder.")
    return TagError(
        f"it cannot be changed: {error.strerror or error}",
        "Check the disk and the permissions of the file and of its folder.",
    )


def _check_writable(target: Path) -> None:
    """Refuse a file that is marked read-only, although replacing it would work."""
    protected = not target.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    if protected or not os.access(target, os.W_OK):
        raise TagError("the file is read-only", "Make it writable if it is meant to be changed.")


def _identity(copy: Path) -> str:
    try:
        return audio_hash(copy)
    except AudioError as error:
        raise TagError(error.message, error.hint) from error


def _copy_attributes(source: Path, copy: Path) -> None:
    status = source.stat()
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):  # only the owner's group, or root, may
            os.chown(copy, status.st_uid, status.st_gid)
    modified = copy.stat().st_mtime_ns
    shutil.copystat(source, copy)
    os.utime(copy, ns=(modified, modified))


# The write-ahead journal: the old value of every field, so that it can be restored


@dataclass(frozen=True, slots=True)
class Change:
    """One genre field that was, or was about to be, written: a line of the journal."""

    run: int  # id of the ``recsys audit --write-tags``, from 1
    number: int  # of the change in its run, from 1
    path: Path
    old: tuple[str, ...] | None  # None where the field was absent
    new: tuple[str, ...]
    had_tags: bool  # the file had tags at all
    time: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Run:
    """The changes of one run that have not been undone."""

    number: int
    time: str
    changes: tuple[Change, ...]


def journal_path(database: Path) -> Path:
    """Return the path of the journal of a library."""
    return database.with_name(database.stem + ".tag-journal.jsonl")


class Journal:
    """The journal of one library, made by the first change in the folder of the database.

    The caller holds the library's lock while it writes.
    """

    def __init__(self, database: Path) -> None:
        self.path = journal_path(database)

    def runs(self) -> list[Run]:
        """Return the runs that have changes to undo, the earliest first; TagError if unreadable."""
        changes, settled = self._read()
        by_run: dict[int, list[Change]] = {}
        for change in changes:
            if (change.run, change.number) not in settled:
                by_run.setdefault(change.run, []).append(change)
        return [Run(number, own[0].time, tuple(own)) for number, own in sorted(by_run.items())]

    def next_run(self) -> int:
        """Return the id of a new run."""
        changes, settled = self._read()
        # Where the lines of its changes are damaged, a run is known by its settled changes alone.
        used = [*(change.run for change in changes), *(run for run, _ in settled)]
        return max(used, default=0) + 1

    def notes(self) -> tuple[str, ...]:
        """Return a note on the damaged lines, if there are any; TagError if unreadable."""
        damaged = [str(number) for number, line in self._lines() if _entry(line) is None]
        if not damaged:
            return ()
        lines = f"line{'s' * (len(damaged) > 1)} {', '.join(damaged)}"
        return (
            f"{lines} of {self.path} cannot be parsed and were skipped: cut off by a crash, before"
            " a file was touched, or damaged; everything else can be undone",
        )

    def begin(self, change: Change) -> None:
        """Record a change that is about to be made, and wait until it is on the disk.

        TagError if it cannot be written; the file must then not be touched.
        """
        self._append({**asdict(change), "path": os.fspath(change.path)})

    def settle(self, change: Change, how: str) -> None:
        """Record that nothing is left to undo: ``undone`` or ``not written``."""
        self._append({"settles": [change.run, change.number], "how": how, "time": _now()})

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
        return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]

    def _append(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        try:
            is_new = not self.path.exists()
            with self.path.open("a+b") as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # a crash cut the last line off; end it
                        line = b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                atomic.flush_folder(self.path.parent)
        except OSError as error:
            raise self._unusable("written", error) from error

    def _unusable(self, verb: str, error: OSError) -> TagError:
        return TagError(
            f"the journal of written tags {self.path} cannot be {verb}: {error.strerror or error}",
            "No tag is written without it; check the disk and the permissions of its folder.",
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _entry(line: str) -> Change | tuple[int, int] | None:
    """Parse a line: a change, or the run and number of one that it settles; None if damaged.

    Unknown keys, which a later version may add, are ignored.
    """
    try:
        entry = json.loads(line)
        if "settles" in entry:
            run, number = entry["settles"]
            return _integer(run), _integer(number)
        return Change(
            run=_integer(entry["run"]),
            number=_integer(entry["number"]),
            path=Path(entry["path"]),
            old=None if entry["old"] is None else _values(entry["old"]),
            new=_values(entry["new"]),
            had_tags=bool(entry["had_tags"]),
            time=str(entry["time"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _values(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError
    return tuple(values)
