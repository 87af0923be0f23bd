"""Status of a library, checks and repairs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import GenreIndexError, QueryError, StoreError
from recsys.genres import HOLDS_FROM
from recsys.index.genre_index import GenreIndex
from recsys.index.sync import (
    bring_up_to_date,
    index_directory,
    index_problems,
    measured_recall,
    rebuild_index,
)
from recsys.indexing.roots import RootHealth
from recsys.names import check_has_tags
from recsys.recommender import Filters
from recsys.recommender.taxonomy import similarity_of_groups
from recsys.store import LibraryLock, Store
from recsys.types import MOOD_NUMBERS, NOT_MUSIC, UNKNOWN, UNTAGGED, PassedOver, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recsys.types import Failure

STEPS = 10
"""Steps of the distribution of a number."""

NEAREST = 3
"""Genres that are named as the nearest of each."""


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """Figures of a library."""

    database: Path
    database_bytes: int  # with its log
    index_bytes: int
    model: str | None  # name of the model that analysed it; None before the first run
    fingerprint: str | None  # of the model
    effort: str | None  # a recsys.types.Effort
    tracks: int  # with the missing and the unanalysed ones
    failures: int  # files that could not be analysed
    missing: int  # tracks kept although their files are gone
    unanalysed: int  # tracks that the present model has not analysed yet
    genre_source: str  # a recsys.types.GenreSource
    genres: dict[str, int]  # tracks in each genre group, most first
    nearest_genres: dict[str, tuple[str, ...]]  # of each, those whose tracks are nearest to its own
    kinds: dict[str, int]  # analysed tracks of each kind that there is, most first
    tags: tuple[str, ...]  # of the model
    roots: dict[Path, bool]  # indexed folders, and whether they are there now
    index_problems: tuple[str, ...]  # differences between index files and database
    recall_at_20: dict[str, float]  # of the genre groups whose search is approximate
    preferences: Filters  # the defaults of every list
    feedback: dict[str, int]  # events of each kind that there is
    passed_over: PassedOver  # by the last scan of its folders
    exclude: tuple[str, ...]  # patterns of what is not the library's
    video: bool  # whether the sound of videos is indexed
    numbers: dict[str, list[int]]  # tracks by energy and so on, in STEPS equal steps from 0 to 1
    numbers_from: str  # recsys.mood.MoodNumbers.source
    journal_problem: str | None = None  # why SQLite's journal may not work there


def library_status(store: Store) -> LibraryStatus:
    """Return the figures of a library."""
    info = store.model()
    counts = store.counts()
    health = RootHealth(store)
    rules = store.scan_rules()
    held = store.kinds_in_groups().items()
    return LibraryStatus(
        database=store.path,
        # The newest changes are in the log until SQLite moves them to the database.
        database_bytes=_size_of(store.path) + _size_of(Path(f"{store.path}-wal")),
        index_bytes=sum(_size_of(path) for path in _files(index_directory(store.path))),
        model=info.name if info else None,
        fingerprint=info.fingerprint if info else None,
        effort=info.effort if info else None,
        tracks=counts["tracks"],
        failures=counts["failures"],
        missing=counts["missing"],
        unanalysed=counts["unanalysed"],
        genre_source=store.genre_source(),
        genres=_most_first((group, count) for (group, _), count in held),
        nearest_genres=_nearest_genres(
            store, sorted({group for (group, kind), _ in held if kind not in NOT_MUSIC})
        ),
        kinds=_most_first((kind, count) for (_, kind), count in held),
        tags=info.tags if info else (),
        roots={root: not health.is_absent(root) for root in store.roots()},
        index_problems=tuple(index_problems(store)),
        recall_at_20=measured_recall(store),
        preferences=Filters.of(store.preferences()),
        feedback={str(kind): number for kind, number in store.event_counts().items()},
        journal_problem=store.journal_problem(),
        passed_over=store.passed_over(),
        exclude=tuple(rules.get("exclude", ())),
        video=bool(rules.get("video", False)),
        numbers=number_counts(store),
        numbers_from=store.moods().source,
    )


def _nearest_genres(store: Store, genres: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the nearest of the other genres of each, as far as the index on disk has them."""
    try:
        return nearest_genres(GenreIndex.load(index_directory(store.path)), genres)
    except GenreIndexError:
        return {}


def nearest_genres(index: GenreIndex, genres: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the nearest of the other genres of each, by the similarity of their tracks."""
    known = [genre for genre in genres if genre not in (UNKNOWN, UNTAGGED)]
    related = similarity_of_groups(index, known)
    np.fill_diagonal(related, 0.0)
    return {
        genre: tuple(known[i] for i in np.argsort(-row, kind="stable")[:NEAREST] if row[i] > 0)
        for genre, row in zip(known, related, strict=True)
    }


def _most_first(counts: Iterable[tuple[str | None, int]]) -> dict[str, int]:
    """Return sums by name, most first; what has no name is not counted."""
    sums: Counter[str] = Counter()
    for name, count in counts:
        if name is not None:
            sums[name] += count
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Files that could not be analysed for one kind of reason, and for which the same helps."""

    reason: str  # without the details of each file
    files: tuple[Failure, ...]  # by path
    hint: str  # what helps; may be empty

    @property
    def retried(self) -> int:
        """Files that every run tries again."""
        return sum(failure.retry for failure in self.files)


def failure_groups(failures: Iterable[Failure]) -> list[FailureGroup]:
    """Group failures by the kind of reason, before its colon, and the hint; most files first."""
    kinds: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        kind = failure.reason.partition(":")[0]
        kinds.setdefault((kind, failure.hint), []).append(failure)
    groups = [FailureGroup(kind, tuple(files), hint) for (kind, hint), files in kinds.items()]
    return sorted(groups, key=lambda group: (-len(group.files), group.reason))


def tag_counts(store: Store) -> dict[str, int]:
    """Return how many tracks carry each tag of the model, most first; QueryError without tags."""
    info = store.model()
    if info is None:
        raise QueryError(f"{store.path} has no model yet", "Index a folder first.")
    check_has_tags(info, store.roots())
    _, scores = store.all_tag_scores()
    carrying = (info.tag_strengths(scores) >= HOLDS_FROM).sum(axis=0)
    counts = zip(info.tags, carrying.tolist(), strict=True)
    return dict(sorted(counts, key=lambda item: (-item[1], item[0].casefold())))


def mood_counts(store: Store) -> dict[str, int]:
    """Return how many tracks lie in each mood of the library's table; one may lie in several."""
    numbers = dict(zip(MOOD_NUMBERS, store.numbers().T, strict=True))
    return {
        name: int(np.all([limits.mask(numbers[n]) for n, limits in own.items()], axis=0).sum())
        for name, own in store.moods().table.moods.items()
    }


def number_counts(store: Store) -> dict[str, list[int]]:
    """Return how many tracks have each number in each of ten equal steps from 0 to 1."""
    steps = np.linspace(0, 1, STEPS + 1)
    return {
        name: np.histogram(values[~np.isnan(values)], steps)[0].tolist()
        for name, values in zip(MOOD_NUMBERS, store.numbers().T, strict=True)
    }


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Result of a check: the problems left after the repairs."""

    database_problems: tuple[Problem, ...]
    index_problems: tuple[Problem, ...]
    repairs: tuple[str, ...]  # that were made

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems that are left."""
        return (*self.database_problems, *self.index_problems)


def examine_library(database: Path, *, rebuild: bool, vacuum: bool) -> Diagnosis:
    """Check database and index, and repair them; see :meth:`recsys.api.Library.doctor`."""
    if not rebuild and not vacuum:
        with Store.open(database, read_only=True) as store:
            return _diagnosis(store, [])
    repairs = []
    with LibraryLock(database, 0.0), Store.open(database) as store:
        if vacuum:
            before = _size_of(database)
            dropped = store.drop_orphans()
            store.vacuum()
            repairs.append(
                f"dropped {dropped} analyses that no track uses; "
                f"the database went from {before} to {_size_of(database)} bytes"
            )
        if rebuild:
            damaged = [track_id for track_id, _ in store.damaged_analyses()]
            if damaged:
                store.delete_analyses(damaged)
                repairs.append(
                    f"deleted {len(damaged)} damaged analyses; recsys index makes them again"
                )
            index = rebuild_index(store)
            repairs.append(f"rebuilt the index: {index.count()} tracks")
        return _diagnosis(store, repairs)


def _diagnosis(store: Store, repairs: list[str]) -> Diagnosis:
    problems = store.integrity_problems()
    if (journal := store.journal_problem()) is not None:
        problems.append(Problem(journal, ""))
    hint = "recsys doctor --rebuild repairs the index."
    try:
        of_index = tuple(Problem(text, hint) for text in index_problems(store))
    except StoreError:  # the database is damaged, which its problems say
        of_index = ()
    return Diagnosis(tuple(problems), of_index, tuple(repairs))


def forget_folder(database: Path, folder: Path) -> int:
    """Remove the tracks and failures under a folder; see :meth:`recsys.api.Library.forget`."""
    with LibraryLock(database, 0.0), Store.open(database) as store:
        ids = [track_id for track_id, _ in store.iter_tracks_under(folder)]
        failures = list(store.iter_failures_under(folder))
        if not ids and not failures:
            raise QueryError(
                f"the library has nothing under {folder}", "See recsys status for its folders."
            )
        store.write([], removed=ids)
        store.forget_failures(failures)
        store.forget_root(folder)
        bring_up_to_date(store)
    return len(ids) + len(failures)
