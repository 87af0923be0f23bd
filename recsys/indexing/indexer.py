"""The pipeline over files; see :mod:`recsys.indexing`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import ModelError, PassingError, RecsysError, StoreError
from recsys.indexing.examine import Examined, Examiner, analyses_of
from recsys.library import ScanReport, scan
from recsys.store import Store, StoredFile, TrackRecord
from recsys.types import TIME_LIMIT_S, Analysis, Failure, IndexEvent, IndexSummary, Track, TrackFile
from recsys.workers import WorkerPool

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier, ModelPlace
    from recsys.mel import Features

# Which folders of a library are there, and which disks are only away.


class RootHealth:
    """Answers, for one run, whether the places that a library knows can be seen.

    Parameters
    ----------
    store : Store
        Knows the roots that were indexed before, and the volumes mounted inside them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._volumes = set(store.volumes())
        known = {*store.roots(), *self._volumes}
        # The deepest place that holds a path decides, so they are tried in that order.
        self._known = sorted(known, key=lambda path: len(path.parts), reverse=True)
        self._away: dict[Path, bool] = {}

    def problem(self, root: Path) -> str | None:
        """Return why a root cannot be indexed now, or None if it can.

        Raises
        ------
        RecsysError
            If the root is not a folder, or is not there and never was part of the library.
        """
        if root.is_dir():
            return None
        held = next(self._store.iter_tracks_under(root), None) is not None
        if held or root in self._known:
            return (
                f"{root} is not there; its tracks were left as they are "
                f"(if they are gone for good: recsys doctor --forget {root})"
            )
        check_folder(root)
        return None

    def is_gone(self, path: Path) -> bool:
        """Tell whether a file is gone for good, not just out of reach with its disk."""
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:  # a folder that may not be read, a network that does not answer
            return False
        else:
            return False
        return not any(self.is_away(known) for known in self._known if path.is_relative_to(known))

    def holds_no_audio(self, root: Path) -> bool:
        """Tell whether a root is there but empty of audio, as an unmounted disk leaves it."""
        return next(scan(root), None) is None

    def notes_under(self, root: Path) -> list[str]:
        """Return a sentence for each known place below a root that is away."""
        return [
            f"{known} is away; its tracks were left as they are "
            f"(if they are gone for good: recsys doctor --forget {known})"
            for known in self._known
            if known != root and known.is_relative_to(root) and self.is_away(known)
        ]

    def is_away(self, known: Path) -> bool:
        """Tell whether a known root or volume is gone, empty or unmounted now."""
        if known not in self._away:
            self._away[known] = self._look(known)
        return self._away[known]

    def _look(self, known: Path) -> bool:
        try:
            with os.scandir(known) as entries:
                empty = next(entries, None) is None
            if empty:
                return True
            if known in self._volumes:
                return known.stat().st_dev == known.parent.stat().st_dev
        except OSError:
            return True
        return False


def check_folder(root: Path) -> None:
    """Make sure that something can be indexed.

    Raises
    ------
    RecsysError
        If it is not there, or is no folder.
    """
    if root.is_dir():
        return
    if root.exists():
        raise RecsysError(
            f"not a folder: {root}", f"Give the folder that holds it: recsys index {root.parent}"
        )
    raise RecsysError(f"no such folder: {root}", "Check the path and whether it is mounted.")


# ----------------------------------------------------------------------


BATCH_TRACKS = 16
"""Tracks that go through the model together: about 160 windows."""

LOOKED_UP_TOGETHER = 500
"""Files of a scan for which the library is asked at a time."""

MAX_WAIT_S = 2.0
"""A batch that is not full is stored after this long, so that results appear on slow disks too."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How to index.

    Attributes
    ----------
    workers : int or None
        Decoding processes; None for one per processor.
    keep_missing : bool
        Keep tracks whose files are gone, instead of removing them from the results.
    time_limit_s : float
        For the analysis of one file, seconds.
    """

    workers: int | None = None
    keep_missing: bool = False
    time_limit_s: float = TIME_LIMIT_S


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """What the first look at the folders found.

    Attributes
    ----------
    found : int
        Audio files under the folders.
    pending : int
        How many of them are new or changed and will be looked into now.
    """

    found: int
    pending: int


@dataclass(slots=True)
class _Run:
    """What one run has seen and counted so far."""

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("indexed", "unchanged", "moved", "removed", "failed"), 0
        )
    )
    settled: set[int] = field(default_factory=set)
    report: ScanReport = field(default_factory=ScanReport)
    notes: list[str] = field(default_factory=list)

    def count(self, event: IndexEvent) -> IndexEvent:
        self.counts[event.status] += 1
        if event.track_id is not None and event.status != "removed":
            self.settled.add(event.track_id)
        return event


class Indexer:
    """Brings a library up to date with its folders.

    Parameters
    ----------
    store : Store
        Open for writing, with its model set; the caller holds the library's lock.
    load_classifier : callable
        Called with no argument when the first new sound arrives without an analysis:
        a run that finds nothing new never loads the model.
    settings : Features
        How the model wants its windows.
    options : IndexOptions
        How to index.
    model : ModelPlace, optional
        Where the decoding processes find the model, if it is one for any process.
    """

    def __init__(
        self,
        store: Store,
        load_classifier: Callable[[], Classifier],
        settings: Features,
        options: IndexOptions = IndexOptions(),
        model: ModelPlace | None = None,
    ) -> None:
        self._store = store
        self._load_classifier = load_classifier
        self._classifier: Classifier | None = None
        self._examiner = Examiner(store.path, settings, model)
        self._options = options

    def run(
        self, folders: Sequence[Path], *, whole_roots: bool = True
    ) -> Iterator[IndexEvent | IndexPlan | IndexSummary]:
        """Index the folders: settled files first, then a plan, the work, and a summary.

        Parameters
        ----------
        folders : sequence of Path
            Absolute, none inside another.
        whole_roots : bool
            The folders are the user's roots: they are remembered, and one that is gone or holds
            no audio is left untouched with a note. False for parts of roots that are being
            watched.

        Yields
        ------
        IndexEvent
            One per file; for new and changed files after the result is stored.
        IndexPlan
            Once, after the files for which nothing is to do.
        IndexSummary
            At the end.
        """
        run = _Run()
        health = RootHealth(self._store)
        healthy = self._admit_roots(folders, run, health) if whole_roots else list(folders)
        pending = 0
        for folder in healthy:
            found_before = run.report.found
            for file, stored in self._looked_up(scan(folder, run.report)):
                if stored is None or not _is_settled(stored, file):
                    pending += 1
                else:
                    yield run.count(_settled_event(stored, file))
            if whole_roots and run.report.found > found_before:
                self._remember_root(folder)
        # Before the long work: if that is broken off, the next run must know the volumes.
        for volume in run.report.volumes:
            self._store.add_root(volume, volume=True)
        yield IndexPlan(run.report.found, pending)
        if pending:
            yield from self._analyse_pending(healthy, run, health)
        for folder in healthy:
            yield from self._settle_gone(folder, run, health, whole_roots=whole_roots)
        run.notes.extend(
            f"{folder} could not be read ({why}); nothing in it was changed"
            for folder, why in run.report.unreadable.items()
        )
        yield IndexSummary(found=run.report.found, notes=tuple(run.notes), **run.counts)

    def _admit_roots(self, folders: Sequence[Path], run: _Run, health: RootHealth) -> list[Path]:
        """Return the roots that are there, and note those that are not."""
        healthy = []
        for folder in folders:
            note = health.problem(folder)
            if note:
                run.notes.append(note)
                continue
            healthy.append(folder)
        return healthy

    def _remember_root(self, folder: Path) -> None:
        self._store.add_root(folder)
        if folder.is_mount():
            self._store.add_root(folder, volume=True)

    def _analyse_pending(
        self, folders: Sequence[Path], run: _Run, health: RootHealth
    ) -> Iterator[IndexEvent]:
        """Let everything that is new or changed through the processes and the model."""
        batch: list[tuple[TrackFile, Examined]] = []
        failures: list[Failure] = []
        last_flush = time.monotonic()
        librosa = self._examiner.settings.uses_librosa
        workers, limit = self._options.workers, self._options.time_limit_s
        with WorkerPool(workers, librosa=librosa, time_limit_s=limit) as pool:
            for file, outcome in pool.map_unordered(self._examiner, self._pending(folders)):
                if isinstance(outcome, StoreError | ModelError):
                    raise outcome
                if isinstance(outcome, PassingError):
                    yield from self._tell_passing(file, outcome, run)
                elif isinstance(outcome, RecsysError):
                    failures.append(Failure(file, outcome.message))
                else:
                    batch.append((file, outcome))
                full = len(batch) + len(failures) >= BATCH_TRACKS
                if full or time.monotonic() - last_flush > MAX_WAIT_S:
                    yield from self._flush(batch, failures, run, health)
                    batch, failures, last_flush = [], [], time.monotonic()
            yield from self._flush(batch, failures, run, health)

    def _tell_passing(
        self, file: TrackFile, error: PassingError, run: _Run
    ) -> Iterator[IndexEvent]:
        """Tell of a file that is out of reach now: it is tried again, and loses nothing."""
        stored = self._store.lookup(file.path)
        if stored is None or stored.track_id is None:
            self._store.write([], [Failure(file, error.message, retry=True)])
        else:
            run.settled.add(stored.track_id)
        yield run.count(IndexEvent(file.path, "failed", reason=error.message))

    def _pending(self, folders: Sequence[Path]) -> Iterator[TrackFile]:
        """Scan again rather than remember: the list of new files may be long."""
        for folder in folders:
            for file, stored in self._looked_up(scan(folder)):
                if stored is None or not _is_settled(stored, file):
                    yield file

    def _looked_up(
        self, files: Iterator[TrackFile]
    ) -> Iterator[tuple[TrackFile, StoredFile | None]]:
        """Say of each file what the library knows of it."""
        while some := list(islice(files, LOOKED_UP_TOGETHER)):
            yield from zip(some, self._store.lookups([file.path for file in some]), strict=True)

    def _flush(
        self,
        batch: Sequence[tuple[TrackFile, Examined]],
        failures: Sequence[Failure],
        run: _Run,
        health: RootHealth,
    ) -> Iterator[IndexEvent]:
        """Classify and store a batch in one transaction, then tell of it."""
        if not batch and not failures:
            return
        analyses = self._analyse([examined for _, examined in batch])
        records: list[TrackRecord] = []
        statuses: list[str] = []
        for (file, examined), analysis in zip(batch, analyses, strict=True):
            before = self._moved_from(file, examined, run, health)
            sound = examined.sound
            records.append(
                TrackRecord(
                    file=file,
                    tags=examined.tags,
                    audio_hash=examined.audio_hash,
                    duration_s=sound.duration_s if sound else 0.0,
                    warning=sound.warning if sound else None,
                    analysis=analysis,
                    track_id=before,
                )
            )
            statuses.append("indexed" if before is None else "moved")
        yield from _written(self._store, records, failures, run, statuses)

    def _analyse(self, batch: Sequence[Examined]) -> list[Analysis | None]:
        sounds = [examined.sound for examined in batch if examined.sound]
        analyses = iter(analyses_of(sounds, self._loaded_classifier))
        return [next(analyses) if examined.sound else None for examined in batch]

    def _loaded_classifier(self) -> Classifier:
        if self._classifier is None:
            self._classifier = self._load_classifier()
        return self._classifier

    def _moved_from(
        self, file: TrackFile, examined: Examined, run: _Run, health: RootHealth
    ) -> int | None:
        """Return the track whose file is gone from where it was and is here now, if any."""
        if self._store.lookup(file.path) is not None:
            return None
        for track_id, path in self._store.places_of_hash(examined.audio_hash, run.settled):
            if health.is_gone(path):
                run.settled.add(track_id)
                return track_id
        return None

    def _settle_gone(
        self, folder: Path, run: _Run, health: RootHealth, *, whole_roots: bool
    ) -> Iterator[IndexEvent]:
        """Remove what is no longer under a folder, unless its disk may only be away."""
        if whole_roots and health.holds_no_audio(folder):
            kept = sum(1 for _ in self._store.iter_tracks_under(folder))
            if kept:
                run.notes.append(
                    f"{folder} holds no audio any more; its {kept} tracks were left as they are "
                    f"(if they are gone for good: recsys doctor --forget {folder})"
                )
                return
        gone = [
            (track_id, path)
            for track_id, path in self._store.iter_tracks_under(folder, run.settled)
            if health.is_gone(path)
        ]
        run.notes.extend(health.notes_under(folder))
        self._store.forget_failures(
            [path for path in self._store.iter_failures_under(folder) if health.is_gone(path)]
        )
        if self._options.keep_missing:
            self._store.mark_missing([track_id for track_id, _ in gone])
            return
        for start in range(0, len(gone), 1000):
            part = gone[start : start + 1000]
            self._store.write([], removed=[track_id for track_id, _ in part])
            for track_id, path in part:
                yield run.count(IndexEvent(path, "removed", track_id=track_id))


def settle(
    store: Store, batches: Iterable[Sequence[TrackRecord | Failure]]
) -> Iterator[IndexEvent | IndexSummary]:
    """Store analyses that were made elsewhere.

    A track whose file is at this moment on disk as the library knows it is kept: then the analysis
    is that of another version. No file is moved or removed.

    Parameters
    ----------
    store : Store
        Open for writing, its model that of the analyses; the caller holds the library's lock.
    batches : iterable of sequences
        Each is stored in one transaction; no file twice.

    Yields
    ------
    IndexEvent
        One per file, after its result is stored.
    IndexSummary
        At the end.
    """
    run = _Run()
    for batch in batches:
        run.report.found += len(batch)
        known = store.lookups([result.file.path for result in batch])
        records: list[TrackRecord] = []
        failures: list[Failure] = []
        for result, stored in zip(batch, known, strict=True):
            stands = stored is not None and _stands(stored, result)
            if isinstance(result, TrackRecord):
                if stored is not None and stands:
                    yield run.count(_settled_event(stored, result.file))
                else:
                    records.append(result)
            elif stands:
                yield run.count(IndexEvent(result.file.path, "failed", reason=result.reason))
            else:
                failures.append(result)
        yield from _written(store, records, failures, run, ["indexed"] * len(records))
    yield IndexSummary(found=run.report.found, notes=tuple(run.notes), **run.counts)


def _stands(stored: StoredFile, result: TrackRecord | Failure) -> bool:
    """Return whether a library keeps what it knows of a file for which there is a result."""
    same = (stored.size, stored.mtime_ns) == (result.file.size, result.file.mtime_ns)
    if isinstance(result, Failure):
        if stored.track_id is None:
            return same and (stored.failure, stored.retry) == (result.reason, result.retry)
        # An analysis goes before a failure of the same version, and before one that may pass.
        return same or result.retry or _is_on_disk(stored, result.file.path)
    if stored.failure is not None or stored.genre is None or stored.missing:
        return False
    if same:
        return stored.audio_hash == result.audio_hash
    return _is_on_disk(stored, result.file.path)


def _is_on_disk(stored: StoredFile, path: Path) -> bool:
    """Return whether a file is at this moment as the library knows it.

    Neither the library nor the time of a file says which of two versions is newer: a file may be
    replaced by an older copy. So the file itself decides, where it is within reach.
    """
    try:
        status = path.stat()
    except OSError:
        return False
    return (stored.size, stored.mtime_ns) == (status.st_size, status.st_mtime_ns)


def _written(
    store: Store,
    records: Sequence[TrackRecord],
    failures: Sequence[Failure],
    run: _Run,
    statuses: Sequence[str],
) -> Iterator[IndexEvent]:
    """Write a batch in one transaction, then yield its events."""
    if not records and not failures:
        return
    ids = store.write(records, failures)
    tracks = store.tracks(ids)
    for track_id, status in zip(ids, statuses, strict=True):
        yield run.count(_track_event(tracks[track_id], status))
    for failure in failures:
        yield run.count(IndexEvent(failure.file.path, "failed", reason=failure.reason))


def _is_settled(stored: StoredFile, file: TrackFile) -> bool:
    """Tell whether nothing has to be done for a file: analysed or failed before, unchanged."""
    unchanged = stored.size == file.size and stored.mtime_ns == file.mtime_ns
    known = stored.genre is not None if stored.failure is None else not stored.retry
    return unchanged and known and not stored.missing


def _settled_event(stored: StoredFile, file: TrackFile) -> IndexEvent:
    if stored.failure is not None:
        return IndexEvent(file.path, "failed", reason=stored.failure)
    return IndexEvent(
        file.path,
        "unchanged",
        warning=stored.warning,
        genre=stored.genre,
        track_id=stored.track_id,
    )


def _track_event(track: Track, status: str) -> IndexEvent:
    return IndexEvent(
        track.path, status, warning=track.warning, genre=track.genre, track_id=track.id
    )
