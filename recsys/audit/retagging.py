"""Writing the genre tags that were accepted, and taking them back.

Every file is handled by itself: what cannot be written is reported and the rest goes on. After a
file, the library knows its new tag, size and time, and after all of them the index is up to date,
so that the next ``recsys index`` finds nothing to do there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.audit.genre_field import read_genre_field, write_genre_field
from recsys.audit.journal import Change, Journal, Run, now
from recsys.audit.safe_rewrite import rewrite, unreachable
from recsys.errors import QueryError, TagError
from recsys.index_sync import bring_up_to_date, index_is_current
from recsys.library import outermost, read_tags
from recsys.store import LibraryLock, Store, TrackRecord
from recsys.types import TrackFile

if TYPE_CHECKING:
    from recsys.audit.disagreements import Finding


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
