"""Output of an indexing run: progress, JSON lines, a summary."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.output import escape, note, print_json, print_known, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.cli.output import ProgressBar
    from recsys.mix.run import MixEvent, MixSummary
    from recsys.types import IndexEvent, IndexSummary, SlowFile

MAX_SHOWN = 10
"""Files named in the summary, for failures and for warnings."""

BAR = "Indexing"
"""What the progress bar says."""

MEASURING = "Measuring"
"""The same while tempo, key and loudness are measured."""

SLOW_SHOWN_S = 5.0
"""A slow file is shown for this long after it was last told of."""


def follow(
    events: Iterable[object], report: IndexReport, *, empty_is_error: bool = False
) -> IndexSummary:
    """Report every event, and the notes of every summary; return the last summary.

    With `empty_is_error` the caller raises an error with the notes of a run that found nothing, so
    they are not printed here as well.
    """
    from recsys.types import IndexSummary

    summary = IndexSummary()
    for event in events:
        report(event)
        if isinstance(event, IndexSummary):
            summary = event
            if not (empty_is_error and nothing_in(summary)):
                for text in summary.notes:
                    note(text)
    return summary


def nothing_in(summary: IndexSummary) -> bool:
    """Return whether a run found no audio file, and none that was gone."""
    return not summary.found and not summary.removed


class IndexReport:
    """Turns events into progress, lines of JSON, or a closing summary.

    With `watch` every pass after the first has a line for each file.
    """

    def __init__(self, bar: ProgressBar, *, as_json: bool, watch: bool = False) -> None:
        self._bar = bar
        self._as_json = as_json
        self._watch = watch
        self._doing = BAR
        self._unmeasured: list[MixEvent] = []  # what failed
        self._naming = False  # a later pass of a watched library
        self._working = False
        self._slow_until: float | None = None  # a slow file is shown in the bar
        self._told: set[Path] = set()  # slow files, where there is no bar
        self._failures: list[IndexEvent] = []
        self._warnings: list[IndexEvent] = []
        self.example: Path | None = None  # a track of the library, to try a query with

    def __call__(self, event: Any) -> None:  # noqa: ANN401 (one of the event types)
        """Report one event."""
        from recsys.indexing import IndexPlan
        from recsys.mix.run import MixEvent, MixPlan, MixSummary
        from recsys.types import IndexEvent, IndexSummary, SlowFile

        if self._slow_until is not None and time.monotonic() > self._slow_until:
            self._slow_until = None
            self._bar.update(description=self._doing)
        if isinstance(event, IndexPlan):
            self._working = True
            self._doing = BAR
            self._bar.restart(BAR, total=event.pending)
            self._bar.update(failed=len(self._failures))
        elif isinstance(event, IndexEvent):
            self._file(event)
        elif isinstance(event, SlowFile):
            self._slow(event)
        elif isinstance(event, IndexSummary):
            self._end(event)
        elif isinstance(event, MixPlan):
            self._doing = MEASURING
            if event.pending:
                self._bar.restart(MEASURING, total=event.pending)
        elif isinstance(event, MixEvent):
            self._measured(event)
        elif isinstance(event, MixSummary):
            self._end_of_measuring(event)

    def _measured(self, event: MixEvent) -> None:
        self._bar.advance(event.mix is None)
        if event.mix is None:
            self._unmeasured.append(event)
        if self._as_json:
            print_known(
                path=os.fspath(event.path),
                status="unmeasured" if event.mix is None else "measured",
                reason=event.reason,
                **({} if event.mix is None else event.mix.fields()),
            )

    def _end_of_measuring(self, summary: MixSummary) -> None:
        self._bar.stop()
        if self._as_json:
            print_json({"measured": asdict(summary)})
            return
        for event in self._unmeasured[:MAX_SHOWN]:
            click.echo(f"not measured: {shown(event.path)}: {event.reason}")
        if len(self._unmeasured) > MAX_SHOWN:
            click.echo(f"not measured: {len(self._unmeasured) - MAX_SHOWN} more")
        failed = f", {summary.failed} failed" if summary.failed else ""
        click.echo(f"{summary.measured} measured{failed}")
        self._unmeasured.clear()

    def _slow(self, event: SlowFile) -> None:
        """Name a file that takes long: in the bar, or else once in a note."""
        if self._bar.visible:
            name = escape(shown(event.path.name))
            self._bar.update(description=f"{self._doing} ({name}: {event.seconds:.0f} s)")
            self._slow_until = time.monotonic() + SLOW_SHOWN_S
        elif event.path not in self._told:
            self._told.add(event.path)
            note(
                f"{shown(event.path)} takes long ({event.seconds:.0f} s so far); it is given up "
                f"after {event.limit_s:g} s (--time-limit)"
            )

    def _file(self, event: IndexEvent) -> None:
        if self.example is None and _is_typable(event):
            self.example = Path(event.path)
        if self._naming:
            self._name(event)
        elif event.status == "failed" and not event.failed_before:
            self._failures.append(event)
        elif event.status == "indexed" and event.warning:
            self._warnings.append(event)
        self.advance(event)
        if self._as_json:
            print_known(
                path=os.fspath(event.path),
                status=event.status,
                reason=event.reason,
                failed_before=event.failed_before or None,
                warning=event.warning,
                genre=event.genre,
                track_id=event.track_id,
            )

    def _name(self, event: IndexEvent) -> None:
        why = event.reason or event.warning
        with self._bar.away():
            click.echo(f"{event.status}: {shown(event.path)}{f': {why}' if why else ''}")

    def advance(self, event: IndexEvent) -> None:
        """Advance the bar by one file."""
        # Files whose result is known already come before the plan, and are not in its total.
        if self._working:
            self._bar.advance(event.status == "failed")

    def _end(self, summary: IndexSummary) -> None:
        self._working = False
        self._told.clear()
        self._bar.stop()
        if self._as_json:
            counts = {**summary.counts(), "passed_over": asdict(summary.passed_over)}
            print_json({"summary": counts})
        elif summary.found or summary.removed:
            _print_summary(summary, self._failures, self._warnings)
        # With --watch the next round has its own.
        self._failures.clear()
        self._warnings.clear()
        self._naming = self._watch and not self._as_json


def _is_typable(event: IndexEvent) -> bool:
    """Return whether an event is of a sound track whose path can be typed."""
    sound = event.genre is not None and event.warning is None
    return sound and isinstance(event.path, Path) and shown(event.path) == os.fspath(event.path)


def _print_summary(
    summary: IndexSummary, failures: list[IndexEvent], warnings: list[IndexEvent]
) -> None:
    for kind, events in (("warning", warnings), ("failed", failures)):
        for event in sorted(events, key=lambda event: os.fspath(event.path))[:MAX_SHOWN]:
            why = event.reason if kind == "failed" else event.warning
            click.echo(f"{kind}: {shown(event.path)}: {why}")
        if len(events) > MAX_SHOWN:
            click.echo(f"{kind}: {len(events) - MAX_SHOWN} more")
    if len(failures) > MAX_SHOWN:
        click.echo("recsys status --failures counts them by reason.")
    counts = dict(summary.counts())
    found, before = counts.pop("found"), counts.pop("failed_before")
    counts["failed"] -= before
    counted = [f"{count} {status}" for status, count in counts.items() if count]
    if before:
        counted.append(f"{before} failed before (recsys status --failures)")
    parts = ", ".join(counted)
    click.echo(f"{found} audio {'file' if found == 1 else 'files'}: {parts}")
    passed = summary.passed_over
    if passed.files:
        click.echo(f"Passed over: {shown(passed.files)}")
    if passed.kinds:
        click.echo(f"Passed over: {shown(passed.kinds)}")
    for hint in passed.hints:
        click.echo(shown(hint))
