"""Writing the genre tags that were accepted, and taking them back.

Every file is handled by itself: what cannot be written is reported and the rest goes on. After a
file, the library knows its new tag, size and time, and after all of them the index is up to date,
so that the next ``recsys index`` finds nothing to do there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.audit.genre_field import read_genre_field, write_genre_field
from recsys.errors import AudioError, QueryError, TagError
from recsys.index.sync import bring_up_to_date, index_is_current
from recsys.library import audio_hash, outermost, read_tags
from recsys.store import LibraryLock, Store, TrackRecord
from recsys.types import TrackFile

if TYPE_CHECKING:
    from recsys.audit.disagreements import Finding

# Changing a file as a whole or not at all.


COPY_PREFIX = ".recsys-"
"""How names of unfinished copies begin: hidden, so that no scan takes them for tracks."""


def rewrite(path: Path, change: Callable[[Path], None]) -> str:
    """Change a file through a copy that takes its place when it is right.

    A link stays a link and its target is changed. Permissions, owner and extended attributes are
    kept as far as the system lets them; the time of modification is that of the change, so that
    players and backups notice it.

    Parameters
    ----------
    path : Path
        The file.
    change : callable
        Called with the copy; must leave its sound as it is.

    Returns
    -------
    str
        What :func:`recsys.library.audio_hash` says of the file, before and after.

    Raises
    ------
    TagError
        If the file is gone or protected, the disk is full, the change fails, or the sound is not
        the same after it. The file is then as it was.
    """
    try:
        target = path.resolve(strict=True)
        _check_writable(target)
        descriptor, name = tempfile.mkstemp(target.suffix, COPY_PREFIX, target.parent)
        os.close(descriptor)
    except OSError as error:
        raise unreachable(error) from error
    copy = Path(name)
    try:
        shutil.copyfile(target, copy)
        sound = _sound_of(copy)
        change(copy)
        _check_sound(copy, sound)
        _copy_attributes(target, copy)
        flush_to_disk(copy)
        copy.replace(target)
        flush_to_disk(target.parent)
    except OSError as error:
        raise unreachable(error) from error
    finally:
        copy.unlink(missing_ok=True)
    return sound


def unreachable(error: OSError) -> TagError:
    """Return the error for a file that the system refuses."""
    if isinstance(error, FileNotFoundError):
        return TagError("the file is gone", "Run recsys index on its folder.")
    return TagError(
        f"it cannot be changed: {error.strerror or error}",
        "Check the disk and the permissions of the file and of its folder.",
    )


def _check_writable(target: Path) -> None:
    """Refuse a file that is marked read-only, although putting another in its place would work."""
    protected = not target.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    if protected or not os.access(target, os.W_OK):
        raise TagError("the file is read-only", "Make it writable if it is meant to be changed.")


def _sound_of(copy: Path) -> str:
    try:
        return audio_hash(copy)
    except AudioError as error:
        raise TagError(error.message, error.hint) from error


def _check_sound(copy: Path, sound: str) -> None:
    if _sound_of(copy) != sound:
        raise TagError(
            "writing its tags would have changed its sound; it was left as it is",
            "Use another tag editor for this file.",
        )


def _copy_attributes(source: Path, copy: Path) -> None:
    status = source.stat()
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):  # only the owner's group, or root, may
            os.chown(copy, status.st_uid, status.st_gid)
    now = copy.stat().st_mtime_ns
    shutil.copystat(source, copy)
    os.utime(copy, ns=(now, now))


def flush_to_disk(path: Path) -> None:
    """Make sure that a file, or a folder's list of names, has reached the disk."""
    folder = path.is_dir()
    if folder and os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# The journal of written tags: what stood in every file before, so that it can be put back.


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


# ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    Attributes
    ----------
    path : Path
        The file.
    status : str
        ``written``, ``restored``, ``unchanged`` (it was as it should be already) or ``failed``.
    genre : tuple of str or None
        The values that stand, or were to stand, in the file; None for no genre.
    reason : str or None
        Why it failed.
    hint : str
        What to do about it.
    """

    path: Path
    status: str
    genre: tuple[str, ...] | None
    reason: str | None = None
    hint: str = ""


class Retagger:
    """Writes accepted suggestions; everything it writes is one run, to be taken back as one.

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
        """Number of the run, once something was written."""

    def check_ready(self) -> None:
        """Raise if the library cannot be written to now, before anybody is asked anything.

        Raises
        ------
        StoreError
            If another process is writing to it, or it is read-only.
        TagError
            If the journal cannot be read.
        """
        with LibraryLock(self._database), Store.open(self._database):
            self._journal.runs()

    def write(self, findings: Iterable[Finding]) -> Iterator[Outcome]:
        """Write the suggestion of each finding into its file.

        Yields
        ------
        Outcome
            One per finding, after the file and the library have it.

        Raises
        ------
        StoreError
            If another process is writing to the library.
        TagError
            If the journal cannot be written; no further file is touched then.
        """
        with _open(self._database) as store:
            for finding in findings:
                yield self._write_one(store, finding.track.path, (finding.suggestion,))

    def _write_one(self, store: Store, path: Path, new: tuple[str, ...]) -> Outcome:
        try:
            _check_as_indexed(store, path)
            field = read_genre_field(path)
        except OSError as error:
            return _failed(path, new, unreachable(error))
        except TagError as error:
            return _failed(path, new, error)
        if self.run is None:
            self.run = self._journal.next_run()
        self._written += 1
        change = Change(self.run, self._written, path, field.values, new, field.has_tags, now())
        self._journal.begin(change)
        try:
            sound = rewrite(path, lambda copy: _put(copy, new, keep_tags=True))
        except TagError as error:
            self._journal.settle(change, "not written")
            return _failed(path, new, error)
        _tell_library(store, path, sound)
        return Outcome(path, "written", new)


def undo_run(
    database: Path, number: int | None = None, paths: Sequence[Path] = ()
) -> tuple[Run, Iterator[Outcome]]:
    """Put back what stood in the files before a run.

    Parameters
    ----------
    database : Path
        The library.
    number : int or None
        Of the run; None for the last one of which something can be taken back.
    paths : sequence of Path
        Only files under these folders, or these files; empty for all.

    Returns
    -------
    run : Run
        What will be taken back.
    outcomes : iterator of Outcome
        One per file, when it is done; nothing is done before it is iterated over.

    Raises
    ------
    QueryError
        If there is no such run, or nothing of it lies under the paths.
    """
    run = _find_run(Journal(database).runs(), number)
    roots = outermost(paths)
    changes = tuple(
        change
        for change in reversed(run.changes)
        if not roots or any(change.path.is_relative_to(root) for root in roots)
    )
    if not changes:
        raise QueryError(
            f"run {run.number} wrote nothing under {', '.join(map(str, roots))}",
            "See recsys audit --history.",
        )
    return Run(run.number, run.time, changes), _undo_all(database, changes)


def _find_run(runs: Sequence[Run], number: int | None) -> Run:
    if not runs:
        asked = "" if number is None else f"there is no run {number} to be taken back: "
        raise QueryError(
            f"{asked}no written tag is left to be taken back",
            "recsys audit --history lists the runs that can be.",
        )
    if number is None:
        return runs[-1]
    for run in runs:
        if run.number == number:
            return run
    raise QueryError(
        f"there is no run {number} to be taken back",
        f"There are {', '.join(str(run.number) for run in runs)}; see recsys audit --history.",
    )


def _undo_all(database: Path, changes: Iterable[Change]) -> Iterator[Outcome]:
    with _open(database) as store:
        journal = Journal(database)
        for change in changes:
            yield _undo_one(store, journal, change)


@contextlib.contextmanager
def _open(database: Path) -> Iterator[Store]:
    """Open a library for writing.

    Afterwards the index is saved where genre tags say in which part of it a track lies.
    """
    with LibraryLock(database), Store.open(database) as store:
        try:
            yield store
        finally:
            if store.genre_source() == "own" and not index_is_current(store):
                bring_up_to_date(store)


def _undo_one(store: Store, journal: Journal, change: Change) -> Outcome:
    path, old = change.path, change.old
    try:
        now_there = read_genre_field(path).values
        if now_there == old:
            journal.settle(change, "undone")
            return Outcome(path, "unchanged", old)
        if now_there != change.new:
            raise TagError(
                f"its genre is {_shown(now_there)} now, not {_shown(change.new)} as it was written",
                "It was changed by somebody else and is left as it is.",
            )
        sound = rewrite(path, lambda copy: _put(copy, old, keep_tags=change.had_tags))
    except OSError as error:
        return _failed(path, old, unreachable(error))
    except TagError as error:
        return _failed(path, old, error)
    journal.settle(change, "undone")
    _tell_library(store, path, sound)
    return Outcome(path, "restored", old)


def _put(copy: Path, values: tuple[str, ...] | None, *, keep_tags: bool) -> None:
    write_genre_field(copy, values, keep_tags=keep_tags)
    if (there := read_genre_field(copy).values) != values:
        raise TagError(
            f"{_shown(values)} was written and {_shown(there)} is read back",
            "This format cannot hold the tag; the file was left as it is.",
        )


def _check_as_indexed(store: Store, path: Path) -> None:
    """Refuse a file that changed since the library looked at it: its tag may be another now."""
    status = path.stat()
    stored = store.lookup(path)
    if stored is None or (stored.size, stored.mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise TagError(
            "the file has changed since it was indexed", f"Run recsys index {path.parent} first."
        )


def _tell_library(store: Store, path: Path, sound: str) -> None:
    """Let the library know a rewritten file, so that it is not looked into again.

    One whose sound is not the one that was indexed is left to the next indexing.
    """
    stored = store.lookup(path)
    if stored is None or stored.audio_hash != sound:
        return
    status = path.stat()
    file = TrackFile(path, status.st_size, status.st_mtime_ns)
    store.write([TrackRecord(file, read_tags(path), sound, 0.0, None, analysis=None)])


def _shown(values: tuple[str, ...] | None) -> str:
    return "absent" if values is None else repr("; ".join(values))


def _failed(path: Path, genre: tuple[str, ...] | None, error: TagError) -> Outcome:
    return Outcome(path, "failed", genre, error.message, error.hint)
