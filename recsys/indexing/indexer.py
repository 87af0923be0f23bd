"""The indexing pipeline; see :mod:`recsys.indexing`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.checks import check_at_least, check_types
from recsys.errors import (
    ModelError,
    PassingError,
    QueryError,
    RecsysError,
    StoreError,
    being_written,
    not_numbers,
    shell,
)
from recsys.indexing.examine import Examined, Examiner, analyses_of
from recsys.indexing.roots import RootHealth
from recsys.library import (
    ScanReport,
    ScanRules,
    is_earlier_identity,
    is_passed_over,
    may_concern_scan,
    scan,
    track_file,
    track_file_or_reason,
)
from recsys.store import Store, StoredFile, TrackRecord
from recsys.types import (
    SIZE_LIMIT_BYTES,
    TIME_LIMIT_S,
    Analysis,
    Failure,
    IndexEvent,
    IndexStatus,
    IndexSummary,
    MixKind,
    PassedOver,
    SlowFile,
    Track,
    TrackFile,
)
from recsys.workers import WorkerPool, exceeded_limit_s

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier, ModelPlace
    from recsys.mel import Features
    from recsys.types import GenreSourceName, JournalName

BATCH_TRACKS = 16
"""Tracks of one batch: about 160 windows go through the model together."""

LOOKUP_BATCH = 500
"""Files of a scan that are looked up in the store together."""

MAX_WAIT_S = 2.0
"""An incomplete batch is stored after this long, so that no result waits for a slow file."""

SLOW_S = 10.0
"""Files whose analysis takes longer than this are named while it goes on."""

TOO_LARGE = "too large"
"""What the reasons of files over the size limit begin with."""

REMOVAL_BATCH = 1000
"""Tracks removed in one transaction."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How to index.

    Attributes
    ----------
    workers : int or None
        Decoding processes; None for one per processor.
    time_limit_s : float
        Per file, seconds. A file that takes longer fails. The next run tries it once more, and
        after that a run with a higher limit.
    keep_missing : bool
        Keep tracks whose files are gone.
    exclude : tuple of str or None
        Patterns as of ``.gitignore``, over paths below the folders, of what is not the library's,
        which keeps them; None keeps those of before, an empty tuple clears them.
    video : bool or None
        Index the sound of videos, too. The library keeps it; None keeps what was said before.
    reread_tags : bool
        Read the tags of all files again, also of those that have not changed.
    reanalyse : bool
        Allow another model or effort than the library's: everything is analysed again.
    genres : str or None
        Labels that make the library's genre groups from now on, a
        :class:`recsys.types.GenreSource`; None keeps them.
    wait_s : float or None
        How long to wait while another process writes the library, seconds; None waits for ever.
    size_limit : int
        Larger files, in bytes, fail without being opened.
    retry_failed : bool
        Try again the files that failed before, and those analysed with a warning.
    journal : str or None
        How SQLite keeps the library consistent from now on: ``wal``, or ``delete`` for network file
        systems; None keeps it.
    also : tuple of str
        What else to measure of the tracks that lack it, by decoding all of each: ``tempo``, ``key``
        (both need the extra ``[mix]``) and ``loudness``, see :mod:`recsys.mix`.

    Examples
    --------
    >>> IndexOptions(workers=2, keep_missing=True).genres is None
    True
    """

    workers: int | None = None
    time_limit_s: float = TIME_LIMIT_S
    keep_missing: bool = False
    exclude: tuple[str, ...] | None = None
    video: bool | None = None
    reread_tags: bool = False
    reanalyse: bool = False
    genres: GenreSourceName | None = None
    wait_s: float | None = 0.0
    size_limit: int = SIZE_LIMIT_BYTES
    retry_failed: bool = False
    journal: JournalName | None = None
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        strange = [name for name in self.also if name not in list(MixKind)]
        if strange:
            raise QueryError(f"{strange[0]!r} cannot be measured", f"Known: {', '.join(MixKind)}.")
        check_at_least(1, workers=self.workers, size_limit=self.size_limit)
        ScanRules(self.exclude or ())  # RecsysError for a pattern that is none


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """Result of the scan."""

    found: int  # audio files under the folders
    pending: int  # new and changed files, which will be analysed now


@dataclass(slots=True)
class _Run:
    """State of one run."""

    counts: dict[str, int] = field(
        default_factory=lambda: {str(status): 0 for status in IndexStatus}
    )
    failed_before: int = 0
    settled: set[int] = field(default_factory=set)  # tracks whose files need no further look
    report: ScanReport = field(default_factory=ScanReport)
    rules: ScanRules = field(default_factory=ScanRules)
    passed_over: PassedOver = field(default_factory=PassedOver)
    touched: set[str] = field(default_factory=set)  # files of which only the ctime changed
    notes: list[str] = field(default_factory=list)
    quiet_s: float | None = None  # while watching: younger files are not looked at yet
    young: list[Path] = field(default_factory=list)
    named: set[str] = field(default_factory=set)  # files that failed, to be tried again on request

    def count(self, event: IndexEvent) -> IndexEvent:
        self.counts[event.status] += 1
        self.failed_before += event.failed_before
        if event.track_id is not None and event.status != IndexStatus.REMOVED:
            self.settled.add(event.track_id)
        return event

    def summary(self) -> IndexSummary:
        return IndexSummary(
            found=self.report.found,
            failed_before=self.failed_before,
            notes=tuple(self.notes),
            passed_over=self.passed_over,
            **self.counts,
        )


@dataclass(slots=True)
class _Batch:
    """Results that wait to be stored."""

    tracks: list[tuple[TrackFile, Examined]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    since_s: float = field(default_factory=time.monotonic)

    def is_due(self) -> bool:
        """Return whether it is full, or old."""
        full = len(self.tracks) + len(self.failures) >= BATCH_TRACKS
        return full or time.monotonic() - self.since_s > MAX_WAIT_S


class Indexer:
    """Brings a library up to date with its folders.

    The store is open for writing, with its model set; the caller holds the library's lock. `model`
    is None if the worker processes cannot run it; then `load_classifier` is called for the first
    track that waits for inference: a run that finds nothing new never loads the model.
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
        self.young: list[Path] = []
        """Files that the last run of a watched library left for later: still being written."""

    def run(
        self, paths: Sequence[Path], *, quiet_s: float | None = None
    ) -> Iterator[IndexEvent | IndexPlan | IndexSummary | SlowFile]:
        """Index folders and files: unchanged files first, then a plan, new ones, a summary.

        The paths are absolute, none inside another. The folders are stored, and one that is gone or
        holds no audio keeps its tracks, with a note. A file is indexed alone: its folder does not
        become a root. The event of a new or changed file follows its storage. With `quiet_s` the
        library is being watched: unchanged files have no event, and files that changed in the last
        `quiet_s` seconds are left to :attr:`young`.
        """
        run = _Run(rules=self._rules(paths), quiet_s=quiet_s)
        health = RootHealth(self._store, paths)
        files = [path for path in paths if self._is_single_file(path)]
        single = set(files)
        folders = [path for path in paths if path not in single]
        healthy = self._admit_roots(folders, run, health)
        pending: list[str] = []  # text takes a fifth of the memory of paths
        for folder in healthy:
            report = ScanReport(0, run.report.volumes, run.report.unreadable)
            scanned = scan(folder, report, run.rules, run.rules.top_of(folder))
            yield from self._sift(scanned, pending, run, reread=True)
            run.report.found += report.found
            run.passed_over += report.passed_over()
            if report.found:
                self._store_root(folder)
            self._store.set_passed_over(folder, report.passed_over())
        # Who names a file that failed wants it tried again.
        named = _named_files(files, run)
        yield from self._sift(named, pending, run, retry=True, reread=True)
        yield from self._analyse_pending(pending, run, health)
        for folder in healthy:
            yield from self._settle_gone(folder, run, health)
        for file_path in files:
            yield from self._remove_gone(file_path, run, health)
        self._settle_places(health)
        run.notes.extend(
            f"{folder} could not be read ({why}); nothing in it was changed"
            for folder, why in run.report.unreadable.items()
        )
        self.young = run.young
        yield run.summary()

    def follow(
        self, changed: Sequence[Path], *, quiet_s: float
    ) -> Iterator[IndexEvent | IndexPlan | IndexSummary | SlowFile]:
        """Bring the library up to date with files and folders that changed, and with nothing else.

        They lie in folders of the library that are being watched, none inside another. Files that
        changed in the last `quiet_s` seconds are left to :attr:`young`; without any event there is
        no summary.
        """
        run = _Run(rules=self._rules(()), quiet_s=quiet_s)
        health = RootHealth(self._store)
        pending: list[str] = []
        single: list[Path] = []
        for path in changed:
            if path.is_dir():
                scanned = scan(path, run.report, run.rules, run.rules.top_of(path))
                yield from self._sift(scanned, pending, run)
            else:
                single.append(path)
        yield from self._sift(self._present(single, run), pending, run)
        if pending:
            yield from self._analyse_pending(pending, run, health)
        for path in changed:
            yield from self._remove_gone(path, run, health)
        self.young = run.young
        if any(count for status, count in run.counts.items() if status != IndexStatus.UNCHANGED):
            yield run.summary()

    def _present(self, paths: Iterable[Path], run: _Run) -> Iterator[TrackFile]:
        """Yield the files among some paths that a scan would find."""
        for path in paths:
            top = run.rules.top_of(path)
            if not may_concern_scan(path, top, run.rules) or is_passed_over(path, top, run.rules):
                continue
            file = track_file_or_reason(path, run.rules)
            if isinstance(file, TrackFile):
                run.report.found += 1
                yield file

    def _admit_roots(self, folders: Sequence[Path], run: _Run, health: RootHealth) -> list[Path]:
        """Return the roots that are there; note the others."""
        healthy = []
        for folder in folders:
            note = health.problem(folder)
            if note:
                run.notes.append(note)
                continue
            healthy.append(folder)
        return healthy

    def _rules(self, named: Iterable[Path]) -> ScanRules:
        """Return what is the library's from now on, and store it."""
        before, options = self._store.scan_rules(), self._options
        rules = dict(before)
        known = (*self._store.roots(), *named)
        if options.exclude is not None:
            rules["exclude"] = [_below(pattern, known) for pattern in options.exclude]
        if options.video is not None:
            rules["video"] = options.video
        if rules != before:
            self._store.set_scan_rules(rules)
        return ScanRules(
            tuple(rules.get("exclude", ())),
            bool(rules.get("video", False)),
            frozenset(known),
        )

    def _sift(
        self,
        files: Iterator[TrackFile],
        pending: list[str],
        run: _Run,
        *,
        retry: bool = False,
        reread: bool = False,
    ) -> Iterator[IndexEvent]:
        """Yield the events of the files with nothing to do; add the others to those pending."""
        retry = retry or self._options.retry_failed
        reread = reread and self._options.reread_tags
        times: list[tuple[int, int]] = []
        for file, stored in self._with_stored(files):
            if run.quiet_s is not None and 0 <= time.time() - file.mtime_ns / 1e9 < run.quiet_s:
                run.young.append(file.path)  # not those of the future: a clock may have gone back
                continue
            again = retry and stored is not None and bool(stored.failure or stored.warning)
            if again:
                run.named.add(os.fspath(file.path))
            if stored is None or again or not self._is_settled(stored, file):
                if file.size > self._options.size_limit:
                    yield from self._fail([self._too_large(file)], run)
                else:
                    pending.append(os.fspath(file.path))
                continue
            if stored.track_id is not None:
                if reread or stored.ctime_ns not in (None, file.ctime_ns):
                    run.touched.add(os.fspath(file.path))
                    pending.append(os.fspath(file.path))
                    continue
                if stored.ctime_ns is None and file.ctime_ns is not None:
                    times.append((file.ctime_ns, stored.track_id))
            event = run.count(_settled_event(stored, file))
            if run.quiet_s is None:
                yield event
        self._store_change_times(times)

    def _store_change_times(self, times: Sequence[tuple[int, int]]) -> None:
        """Keep the present times of files that were indexed before the library had them."""
        if times:
            self._store.set_change_times(times)

    def _is_settled(self, stored: StoredFile, file: TrackFile) -> bool:
        """Return whether there is nothing to do for a file in a run without a wish of its own."""
        reason = stored.failure or ""
        exceeded_s = exceeded_limit_s(reason)
        may_do_now = (reason.startswith(TOO_LARGE) and file.size <= self._options.size_limit) or (
            exceeded_s is not None and exceeded_s < self._options.time_limit_s
        )
        return _is_settled(stored, file) and not may_do_now

    def _too_large(self, file: TrackFile) -> Failure:
        limit = self._options.size_limit
        return Failure(
            file,
            f"{TOO_LARGE}: {file.size / 1e9:.1f} GB, and the limit is {limit / 1e9:g} GB",
            hint="If it is one recording, raise --size-limit.",
        )

    def _is_single_file(self, path: Path) -> bool:
        """Return whether a path is a file, or was one of the library's."""
        return path.is_file() or (not path.exists() and self._store.lookup(path) is not None)

    def _store_root(self, folder: Path) -> None:
        self._store.add_root(folder)
        # So that its tracks are kept while its disk is unmounted.
        volume = folder if folder.is_mount() else _mount_point(folder)
        if volume is not None:
            self._store.add_root(volume, volume=True)

    def _with_stored(
        self, files: Iterator[TrackFile]
    ) -> Iterator[tuple[TrackFile, StoredFile | None]]:
        """Pair each file with what the store has of it."""
        while batch := list(islice(files, LOOKUP_BATCH)):
            yield from zip(batch, self._store.lookups([file.path for file in batch]), strict=True)

    def _analyse_pending(
        self, pending: Sequence[str], run: _Run, health: RootHealth
    ) -> Iterator[IndexEvent | IndexPlan | SlowFile]:
        """Yield a plan, and examine new and changed files; those being written once more."""
        # Before the long work: if it is stopped, the next run must know the volumes.
        for volume in run.report.volumes:
            self._store.add_root(volume, volume=True)
        yield IndexPlan(run.report.found, len(pending))
        changing: list[str] = []
        yield from self._examine(pending, run, health, changing)
        yield from self._examine(changing, run, health, None)

    def _examine(
        self, paths: Sequence[str], run: _Run, health: RootHealth, changing: list[str] | None
    ) -> Iterator[IndexEvent | SlowFile]:
        """Examine files in worker processes; store them batch by batch.

        Files that changed meanwhile are added to those `changing`; without it, they fail.
        """
        if not paths:
            return
        batch = _Batch()
        told_s = time.monotonic()
        librosa = self._examiner.settings.uses_librosa
        workers, limit_s = self._options.workers, self._options.time_limit_s
        with WorkerPool(workers, librosa=librosa, time_limit_s=limit_s) as pool:
            for pair in pool.stream(self._examiner, _as_of_now(paths), MAX_WAIT_S):
                if pair is not None:
                    yield from self._sort(*pair, batch, run, changing)
                if batch.is_due():
                    yield from self._flush(batch.tracks, batch.failures, run, health)
                    batch = _Batch()
                if time.monotonic() - told_s > MAX_WAIT_S:
                    told_s = time.monotonic()
                    for slow, seconds in pool.slow(SLOW_S):
                        yield SlowFile(slow.path, seconds, limit_s)
            yield from self._flush(batch.tracks, batch.failures, run, health)

    def _sort(
        self,
        file: TrackFile,
        outcome: Examined | RecsysError,
        batch: _Batch,
        run: _Run,
        changing: list[str] | None,
    ) -> Iterator[IndexEvent]:
        """Add an outcome to a batch, or to the files to be tried again."""
        if isinstance(outcome, StoreError | ModelError):
            self._store.check_in_place()  # a process that finds no library cannot tell why
            raise outcome  # the library's fault or the model's, not the file's
        if _has_changed(file):
            if run.quiet_s is not None:
                run.young.append(file.path)
            elif changing is not None:
                changing.append(os.fspath(file.path))
            else:
                yield self._settle_passing(file, being_written(), run)
        elif isinstance(outcome, PassingError) and not self._is_too_long_again(file, outcome):
            yield self._settle_passing(file, outcome, run)
        elif isinstance(outcome, RecsysError):
            batch.failures.append(Failure(file, outcome.message, hint=outcome.hint))
        else:
            batch.tracks.append((file, outcome))

    def _is_too_long_again(self, file: TrackFile, error: PassingError) -> bool:
        """Return whether a file exceeded the time limit for the second time: no slow disk, then."""
        if exceeded_limit_s(error.message) is None:
            return False
        stored = self._store.lookup(file.path)
        return (
            stored is not None
            and exceeded_limit_s(stored.failure or "") is not None
            and (stored.size, stored.mtime_ns) == (file.size, file.mtime_ns)
        )

    def _settle_passing(self, file: TrackFile, error: PassingError, run: _Run) -> IndexEvent:
        """Keep the track of a file that is out of reach now, and try the file in the next run."""
        stored = self._store.lookup(file.path)
        if stored is None or stored.track_id is None:
            failure = Failure(file, error.message, retry=True, hint=error.hint)
            self._store.write([], [failure])
        else:
            run.settled.add(stored.track_id)
        return run.count(IndexEvent(file.path, IndexStatus.FAILED, reason=error.message))

    def _fail(self, failures: Sequence[Failure], run: _Run) -> Iterator[IndexEvent]:
        """Record failures, then yield their events.

        An analysis outranks a failure of the same version of the file: it is kept. A file that
        failed before, and was tried again because of other versions, fails as before.
        """
        stored = self._store.lookups([failure.file.path for failure in failures])
        events: list[IndexEvent] = []
        final: list[Failure] = []
        kept: list[int] = []
        for failure, known in zip(failures, stored, strict=True):
            file = failure.file
            same = known is not None and (known.size, known.mtime_ns) == (file.size, file.mtime_ns)
            if same and known is not None and known.track_id is not None and known.genre:
                kept.append(known.track_id)
                events.append(_settled_event(known, file))
                continue
            as_before = same and known is not None and known.failure is not None
            as_before = as_before and os.fspath(file.path) not in run.named
            events.append(_failed_event(failure, as_before=as_before))
            final.append(failure)
        if kept:
            self._store.keep_warnings(kept)
        self._store.write([], final)
        yield from map(run.count, events)

    def _flush(
        self,
        batch: Sequence[tuple[TrackFile, Examined]],
        failures: Sequence[Failure],
        run: _Run,
        health: RootHealth,
    ) -> Iterator[IndexEvent]:
        """Analyse a batch, store it in one transaction, then yield its events."""
        if not batch and not failures:
            return
        analyses = self._analyse([examined for _, examined in batch])
        records: list[TrackRecord] = []
        statuses: list[IndexStatus] = []
        refused = [*failures]
        for (file, examined), analysis in zip(batch, analyses, strict=True):
            if analysis is not None and not _are_numbers(analysis, examined):
                refused.append(_not_finite(file))
                continue
            before = self._moved_from(file, examined, run, health)
            result = examined.result
            records.append(
                TrackRecord(
                    file=file,
                    tags=examined.tags,
                    audio_hash=examined.audio_hash,
                    duration_s=result.duration_s if result else 0.0,
                    warning=result.warning if result else None,
                    analysis=analysis,
                    track_id=before,
                )
            )
            if self._is_as_before(file, examined, run):
                statuses.append(IndexStatus.UNCHANGED)
            else:
                statuses.append(IndexStatus.INDEXED if before is None else IndexStatus.MOVED)
        yield from _write(self._store, records, (), run, statuses)
        if refused:
            yield from self._fail(refused, run)

    def _is_as_before(self, file: TrackFile, examined: Examined, run: _Run) -> bool:
        """Return whether a file that was only touched has its sound and its tags as before."""
        if examined.result is not None or os.fspath(file.path) not in run.touched:
            return False
        track = self._store.track_by_path(file.path)
        known = (examined.audio_hash, examined.tags)
        return track is not None and (track.audio_hash, track.tags) == known

    def _analyse(self, batch: Sequence[Examined]) -> list[Analysis | None]:
        results = [examined.result for examined in batch if examined.result]
        analyses = iter(analyses_of(results, self._loaded_classifier))
        return [next(analyses) if examined.result else None for examined in batch]

    def _loaded_classifier(self) -> Classifier:
        if self._classifier is None:
            self._classifier = self._load_classifier()
        return self._classifier

    def _moved_from(
        self, file: TrackFile, examined: Examined, run: _Run, health: RootHealth
    ) -> int | None:
        """Return the track of the same sound whose own file is gone, if any: it has moved here."""
        if self._store.lookup(file.path) is not None:
            return None  # changed in place
        for track_id, path in self._store.paths_of_hash(examined.audio_hash, run.settled):
            if health.has_left(path):
                run.settled.add(track_id)
                return track_id
        return None

    def _settle_places(self, health: RootHealth) -> None:
        """Forget disks that are plain folders now, and roots that have moved."""
        for volume in health.folders_now():
            self._store.forget_volume(volume)
        for root in self._store.roots():
            if health.has_left(root):
                held = chain(
                    self._store.iter_tracks_under(root), self._store.iter_failures_under(root)
                )
                if next(held, None) is None:
                    self._store.forget_root(root)

    def _settle_gone(self, folder: Path, run: _Run, health: RootHealth) -> Iterator[IndexEvent]:
        """Remove tracks whose files are gone from a folder, unless their disk may be unmounted."""
        # An unmounted disk leaves its folder empty.
        if folder in run.report.unreadable:
            return  # a note says why
        if next(scan(folder, rules=ScanRules(video=True)), None) is None:
            kept = sum(1 for _ in self._store.iter_tracks_under(folder))
            if kept:
                run.notes.append(
                    f"{folder} holds no audio any more; its {kept} tracks were left as they are "
                    f"(if they are gone for good: {shell('recsys', 'doctor', '--forget', folder)})"
                )
                return
        yield from self._remove_gone(folder, run, health)
        run.notes.extend(health.notes_under(folder, run.report.unreadable))

    def _remove_gone(self, folder: Path, run: _Run, health: RootHealth) -> Iterator[IndexEvent]:
        """Remove what is gone for good, or not the library's, from a folder, or a single file."""
        top = run.rules.top_of(folder)
        gone, excluded = [], []
        for track_id, path in self._store.iter_tracks_under(folder, run.settled):
            if health.is_gone(path):
                gone.append((track_id, path))
            elif path != top and is_passed_over(path, top, run.rules):
                excluded.append((track_id, path))
        self._store.forget_failures(
            [
                path
                for path in self._store.iter_failures_under(folder)
                if health.is_gone(path) or (path != top and is_passed_over(path, top, run.rules))
            ]
        )
        if self._options.keep_missing:
            self._store.mark_missing([track_id for track_id, _ in gone])
            gone = []
        gone += excluded
        for start in range(0, len(gone), REMOVAL_BATCH):
            part = gone[start : start + REMOVAL_BATCH]
            self._store.write([], removed=[track_id for track_id, _ in part])
            for track_id, path in part:
                yield run.count(IndexEvent(path, IndexStatus.REMOVED, track_id=track_id))


def _below(pattern: str, folders: Iterable[Path]) -> str:
    """Return a pattern as one below its folder: shells turn ~/Music/Live into a whole path."""
    for folder in folders:
        above = f"{os.fspath(folder).rstrip(os.sep)}/"
        if pattern.startswith(above):
            return pattern[len(above) - 1 :]
    return pattern


def _named_files(paths: Iterable[Path], run: _Run) -> Iterator[TrackFile]:
    """Yield the files that were named one by one and are audio by their names; note the others."""
    for path in paths:
        file = track_file_or_reason(path, run.rules)
        if isinstance(file, str):
            run.notes.append(f"{path} was skipped: {file}")
        elif file is not None:
            run.report.found += 1
            volume = _mount_point(path)
            if volume is not None:  # so that the track is kept while its disk is unmounted
                run.report.volumes.add(volume)
            yield file


def _has_changed(file: TrackFile) -> bool:
    """Return whether a file is there and not as it was when its analysis began."""
    now = track_file(file.path)
    return now is not None and (now.size, now.mtime_ns) != (file.size, file.mtime_ns)


def _are_numbers(analysis: Analysis, examined: Examined) -> bool:
    duration_s = examined.result.duration_s if examined.result else 0.0
    return analysis.is_finite and isfinite(duration_s)


def _mount_point(path: Path) -> Path | None:
    """Return the folder where the disk of a file is mounted; None for the system's own."""
    return next((folder for folder in path.parents[:-1] if folder.is_mount()), None)


def _as_of_now(paths: Iterable[str]) -> Iterator[TrackFile]:
    """Yield the files that are still there: the scan may have been hours ago."""
    for path in paths:
        file = track_file(Path(path))
        if file is not None:
            yield file


def settle(
    store: Store, batches: Iterable[Sequence[TrackRecord | Failure]]
) -> Iterator[IndexEvent | IndexSummary]:
    """Store analyses that were made elsewhere; yield an event per file, and a summary.

    A track whose file is on disk as it is stored is kept: then the analysis is of another version
    of the file. No track is moved or removed. The store is open for writing, its model that of the
    analyses; the caller holds the library's lock. Each batch is one transaction, and no file occurs
    twice.
    """
    run = _Run()
    for batch in batches:
        run.report.found += len(batch)
        known = store.lookups([result.file.path for result in batch])
        records: list[TrackRecord] = []
        failures: list[Failure] = []
        for result, stored in zip(map(_checked, batch), known, strict=True):
            keep = stored is not None and _outranks(stored, result)
            if isinstance(result, TrackRecord):
                if stored is not None and keep:
                    yield run.count(_settled_event(stored, result.file))
                else:
                    records.append(result)
            elif keep:
                failed = IndexEvent(result.file.path, IndexStatus.FAILED, reason=result.reason)
                yield run.count(failed)
            else:
                failures.append(result)
        statuses = [IndexStatus.INDEXED] * len(records)
        yield from _write(store, records, failures, run, statuses)
    yield run.summary()


def _checked(result: TrackRecord | Failure) -> TrackRecord | Failure:
    """Return a result, or the failure that it stands for if its analysis is not numbers."""
    if isinstance(result, Failure) or result.analysis is None or result.analysis.is_finite:
        return result
    return _not_finite(result.file)


def _not_finite(file: TrackFile) -> Failure:
    error = not_numbers()
    return Failure(file, error.message, hint=error.hint)


def _outranks(stored: StoredFile, result: TrackRecord | Failure) -> bool:
    """Return whether the stored state of a file outranks another result for it."""
    same = (stored.size, stored.mtime_ns) == (result.file.size, result.file.mtime_ns)
    if isinstance(result, Failure):
        if stored.track_id is None:
            return same and (stored.failure, stored.retry) == (result.reason, result.retry)
        # An analysis outranks a failure of the same version of the file, and a passing failure.
        return same or result.retry or _is_on_disk(stored, result.file.path)
    if stored.failure is not None or stored.genre is None or stored.missing:
        return False
    if same:
        known = stored.audio_hash or ""
        return known == result.audio_hash or is_earlier_identity(known)
    return _is_on_disk(stored, result.file.path)


def _is_on_disk(stored: StoredFile, path: Path) -> bool:
    """Return whether the file on disk is the stored version.

    Time stamps do not show which of two versions is newer, because a file may be replaced by an
    older copy. So the file decides, where it is within reach.
    """
    try:
        status = path.stat()
    except OSError:
        return False
    return (stored.size, stored.mtime_ns) == (status.st_size, status.st_mtime_ns)


def _write(
    store: Store,
    records: Sequence[TrackRecord],
    failures: Sequence[Failure],
    run: _Run,
    statuses: Sequence[IndexStatus],
) -> Iterator[IndexEvent]:
    """Write a batch in one transaction, then yield its events."""
    if not records and not failures:
        return
    ids = store.write(records, failures)
    tracks = store.tracks(ids)
    for track_id, status in zip(ids, statuses, strict=True):
        yield run.count(_track_event(tracks[track_id], status))
    for failure in failures:
        yield run.count(_failed_event(failure))


def _is_settled(stored: StoredFile, file: TrackFile) -> bool:
    """Return whether a file is unchanged since it was analysed, or since it failed for good."""
    unchanged = stored.size == file.size and stored.mtime_ns == file.mtime_ns
    known = stored.genre is not None or stored.failure is not None
    return unchanged and known and not stored.retry and not stored.missing


def _failed_event(failure: Failure, *, as_before: bool = False) -> IndexEvent:
    return IndexEvent(
        failure.file.path, IndexStatus.FAILED, reason=failure.reason, failed_before=as_before
    )


def _settled_event(stored: StoredFile, file: TrackFile) -> IndexEvent:
    if stored.failure is not None:
        return IndexEvent(file.path, IndexStatus.FAILED, reason=stored.failure, failed_before=True)
    return IndexEvent(
        file.path,
        IndexStatus.UNCHANGED,
        warning=stored.warning,
        genre=stored.genre,
        track_id=stored.track_id,
    )


def _track_event(track: Track, status: IndexStatus) -> IndexEvent:
    return IndexEvent(
        track.path, status, warning=track.warning, genre=track.genre, track_id=track.id
    )
