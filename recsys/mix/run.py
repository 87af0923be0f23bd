"""Bringing a library up to date with tempo, key and loudness."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from recsys.errors import ModelError, PassingError, RecsysError, StoreError
from recsys.mix.measuring import Measurer, load_sonara
from recsys.types import Mix, MixKind, SlowFile
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.store import Store
    from recsys.store.rows import Unmeasured

BATCH = 16
"""Results that are stored together."""

MAX_WAIT_S = 2.0
"""An incomplete batch is stored after this long, so that Ctrl-C loses no more."""

SLOW_S = 30.0
"""Files that take longer are named while they are measured."""


@dataclass(frozen=True, slots=True)
class MixPlan:
    """What is to be measured."""

    pending: int  # sounds; copies of one are measured once


@dataclass(frozen=True, slots=True)
class MixEvent:
    """One file, after its result was stored."""

    path: Path
    mix: Mix | None  # what was measured now; None if that failed
    reason: str | None = None  # of a failure


@dataclass(frozen=True, slots=True)
class MixSummary:
    """Result of a pass."""

    measured: int = 0
    failed: int = 0


def check_kinds(kinds: Collection[MixKind]) -> None:
    """Raise MissingExtraError if something of this cannot be measured here."""
    # Not loaded: the worker processes do that.
    if {MixKind.TEMPO, MixKind.KEY}.intersection(kinds) and find_spec("sonara") is None:
        load_sonara()


def measure_library(
    store: Store,
    kinds: Collection[MixKind],
    roots: Sequence[Path],
    *,
    workers: int | None = None,
    retry_failed: bool = False,
) -> Iterator[MixEvent | MixPlan | MixSummary | SlowFile]:
    """Measure the tracks in some folders that lack some kinds; yield an event for each.

    The store is open for writing; the caller holds the library's lock. Each batch is a transaction:
    what was stored is not measured again. A failure is kept with the sound, and its analysis and
    track stay as they are; other versions of recsys and its decoders try again, as does
    `retry_failed`. Trouble of the disk, and a file that is gone, are not recorded.
    """
    pending = store.unmeasured(kinds, roots, retry=retry_failed)
    yield MixPlan(len(pending))
    measured = failed = 0
    if pending:
        with WorkerPool(workers, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
            for event in _measured(store, pool, pending):
                if isinstance(event, MixEvent):
                    measured += event.mix is not None
                    failed += event.mix is None
                yield event
    yield MixSummary(measured, failed)


def _measured(
    store: Store, pool: WorkerPool, pending: Sequence[Unmeasured]
) -> Iterator[MixEvent | SlowFile]:
    batch: list[tuple[Unmeasured, Mix | RecsysError]] = []
    stored_s = told_s = time.monotonic()
    try:
        for pair in pool.stream(Measurer(), pending, MAX_WAIT_S):
            if pair is not None:
                batch.append(_checked(*pair))
            now = time.monotonic()
            if len(batch) >= BATCH or now - stored_s > MAX_WAIT_S:
                yield from _stored(store, batch)
                batch, stored_s = [], now
            if now - told_s > MAX_WAIT_S:
                told_s = now
                for slow, seconds in pool.slow(SLOW_S):
                    yield SlowFile(slow.path, seconds, pool.time_limit_s)
        yield from _stored(store, batch)
        batch = []
    except KeyboardInterrupt:
        for _ in _stored(store, batch):
            pass
        raise


def _checked(
    wanted: Unmeasured, outcome: Mix | RecsysError
) -> tuple[Unmeasured, Mix | RecsysError]:
    if isinstance(outcome, StoreError | ModelError):
        raise outcome  # not the file's fault
    return wanted, outcome


def _stored(
    store: Store, batch: Sequence[tuple[Unmeasured, Mix | RecsysError]]
) -> Iterator[MixEvent]:
    """Store a batch, then yield its events."""
    rows: list[tuple[Unmeasured, Mix | str]] = []
    for wanted, outcome in batch:
        if isinstance(outcome, Mix):
            rows.append((wanted, outcome))
        elif not isinstance(outcome, PassingError):
            rows.append((wanted, outcome.message))
    if rows:
        store.write_mixes(rows)
    for wanted, outcome in batch:
        if isinstance(outcome, Mix):
            yield MixEvent(wanted.path, outcome)
        else:
            yield MixEvent(wanted.path, None, outcome.message)
