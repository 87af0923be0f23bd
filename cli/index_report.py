"""Output of an indexing run: progress, JSON lines, a summary."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.progress import Progress

    from recsys.types import IndexEvent, IndexSummary

MAX_SHOWN = 10


def follow(events: Iterable[object], report: Report) -> IndexSummary:
    """Report every event, and the notes of every summary; return the last summary."""
    from recsys.cli.output import note
    from recsys.types import IndexSummary

    summary = IndexSummary()
    for event in events:
        report(event)
        if isinstance(event, IndexSummary):
            summary = event
            for text in summary.notes:
                note(text)
    return summary


class Report:
    """Turns events into progress, lines of JSON, or a closing summary."""

    def __init__(self, bar: Progress | None, *, as_json: bool, verb: str = "Indexing") -> None:
        self._bar = bar
        self._by_event = True
        self._task = bar.add_task(verb, total=None, failed=0) if bar else None
        self._as_json = as_json
        self._working = False
        self._failures: list[IndexEvent] = []
        self._warnings: list[IndexEvent] = []

    def __call__(self, event: Any) -> None:  # noqa: ANN401 (one of three event types)
        """Report one event."""
        from recsys.indexing import IndexPlan
        from recsys.types import IndexEvent, IndexSummary

        if isinstance(event, IndexPlan):
            self._working = True
            if self._bar is not None and self._task is not None:
                self._bar.reset(self._task, total=event.pending, failed=len(self._failures))
                self._bar.start()
        elif isinstance(event, IndexEvent):
            self._file(event)
        elif isinstance(event, IndexSummary):
            self._end(event)

    def _file(self, event: IndexEvent) -> None:
        if event.status == "failed":
            self._failures.append(event)
        elif event.status == "indexed" and event.warning:
            self._warnings.append(event)
        if self._by_event:
            self.advance(1, len(self._failures))
        if self._as_json:
            from recsys.cli.output import print_json

            print_json(event_json(event))

    def advance(self, count: int, failed: int) -> None:
        """Advance the bar, once the work has begun."""
        if self._bar is not None and self._task is not None and self._working:
            self._bar.update(self._task, advance=count, failed=failed)

    def _end(self, summary: IndexSummary) -> None:
        self._working = False
        if self._bar is not None:
            self._bar.stop()  # what follows must not be written into it
        if self._as_json:
            from recsys.cli.output import print_json

            print_json({"summary": dict(summary.counts())})
        elif summary.found:
            _print_summary(summary, self._failures, self._warnings)
        self._failures.clear()
        self._warnings.clear()


def event_json(event: IndexEvent) -> dict[str, Any]:
    """Return an event for scripts, without unknown fields."""
    fields = {
        "path": os.fspath(event.path),
        "status": event.status,
        "reason": event.reason,
        "warning": event.warning,
        "genre": event.genre,
        "track_id": event.track_id,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _print_summary(
    summary: IndexSummary, failures: list[IndexEvent], warnings: list[IndexEvent]
) -> None:
    from recsys.cli.output import shown

    reported = {"warning": [(event, event.warning) for event in warnings]}
    reported["failed"] = [(event, event.reason) for event in failures]
    for kind, lines in reported.items():
        for event, why in sorted(lines, key=lambda line: os.fspath(line[0].path))[:MAX_SHOWN]:
            click.echo(f"{kind}: {shown(event.path)}: {why}")
        if len(lines) > MAX_SHOWN:
            click.echo(f"{kind}: {len(lines) - MAX_SHOWN} more")
    if len(failures) > MAX_SHOWN:
        click.echo("recsys status --failures lists every failed file.")
    counts = dict(summary.counts())
    found = counts.pop("found")
    parts = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    click.echo(f"{found} audio files: {parts}")
