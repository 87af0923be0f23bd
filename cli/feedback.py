"""``recsys feedback``: likes, dislikes, bans, plays and skips, to list, record, undo and copy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.choosing import ask_until_clear
from recsys.cli.like import SOURCE, TOLD, print_events
from recsys.cli.options import FILE, NamedPath, completed_by, db_option, json_option
from recsys.cli.output import console, escape, note, print_json, table
from recsys.errors import RecsysError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from recsys.taste import Event

LISTED = 50
"""Events that are listed unless told otherwise."""


@click.group(name="feedback")
def command() -> None:
    """List, record, undo, export and import likes, dislikes, bans, plays and skips."""


@command.command(name="list")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=LISTED,
    show_default=True,
    help="Number of events, the latest.",
)
@json_option("One JSON line per event.")
@db_option
def list_command(limit: int, as_json: bool, db: Path | None) -> None:
    """List the latest events, the last one at the end.

    \b
    Examples:
      recsys feedback list
      recsys feedback list --limit 5 --json
    """
    from recsys.api import Library

    with Library(db) as library:
        _print_list(library.feedback()[-limit:], as_json=as_json)


@command.command(name="bans")
@json_option("One JSON line per ban.")
@db_option
def bans_command(as_json: bool, db: Path | None) -> None:
    """List the bans in force.

    \b
    Examples:
      recsys feedback bans
    """
    from recsys.api import Library

    with Library(db) as library:
        _print_list(library.bans(), as_json=as_json)


@command.command(name="record")
@click.argument("kind", type=click.Choice(tuple(TOLD)))
@click.argument(
    "tracks", nargs=-1, required=True, metavar="TRACK...", shell_complete=completed_by("tracks")
)
@click.option("--source", default=SOURCE, show_default=True, help="Who says so, such as a player.")
@click.option(
    "--at", "when", metavar="TIME", help="When it was: 2026-11-27T12:30:00Z.  [default: now]"
)
@json_option("One JSON line per event.")
@db_option
def record_command(
    kind: str,
    tracks: tuple[str, ...],
    source: str,
    when: str | None,
    as_json: bool,
    db: Path | None,
) -> None:
    """Store that TRACK was played or skipped, for scripts of players.

    The same event twice is stored once.

    \b
    Examples:
      recsys feedback record play song.mp3 --source mpd
      recsys feedback record skip song.mp3 --source mpd --at 2026-11-27T12:30:00Z
    """
    from recsys.api import Library

    time = None if when is None else _time(when)
    with Library(db) as library:
        events = ask_until_clear(
            tracks,
            lambda given: library.record(kind, given, source=source, time=time),
            may_ask=not as_json,
        )
    print_events(events, as_json=as_json)


def _time(text: str) -> datetime:
    from recsys.taste.events import parse_time

    try:
        return parse_time(text)
    except RecsysError as error:
        raise click.BadParameter(f"{error.message}\n  {error.hint}", param_hint="--at") from error


@command.command(name="undo")
@json_option("One JSON line per event.")
@db_option
def undo_command(as_json: bool, db: Path | None) -> None:
    """Forget what was said last, by one command; given again, what was said before that.

    
    Examples:
      recsys feedback undo
    """
    from recsys.api import Library

    with Library(db) as library:
        events = library.undo_feedback()
    for event in events:
        if as_json:
            print_json(event.fields())
        else:
            click.echo(f"Forgot the {event.kind} of {event}")


@command.command(name="export")
@click.option("-o", "--output", type=FILE, help="Output file.  [default: standard output]")
@db_option
def export_command(output: Path | None, db: Path | None) -> None:
    """Write all events as JSON lines.

    Tracks are named by the hash of their sound, so that the file fits any library that has them.

    \b
    Examples:
      recsys feedback export -o feedback.jsonl
      recsys feedback export --db laptop.db | recsys feedback import - --db desktop.db
    """
    from recsys.api import Library

    with Library(db) as library:
        events = library.feedback()
    if output is None or output == Path("-"):
        for event in events:
            print_json(event.fields())
        return
    from recsys.atomic import check_replaceable, write_text

    check_replaceable(output, "an export of events", _is_export)
    write_text(output, "".join(f"{json.dumps(event.fields())}\n" for event in events))
    click.echo(f"{output}: {_count(len(events), 'event')}", err=True)


def _is_export(head: bytes) -> bool:
    """Return whether the first line of a file is an event; an empty export is an empty file."""
    try:
        first = json.loads(head.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and {"time", "kind", "subject", "key"} <= first.keys()


@command.command(name="import")
@click.argument("file", type=NamedPath(dir_okay=False), metavar="FILE")
@json_option("One JSON object: numbers of events.")
@db_option
def import_command(file: Path, as_json: bool, db: Path | None) -> None:
    """Read events from JSON lines; - is standard input.

    The lines are those of recsys feedback export. In place of "key" a line may have "track": a
    path, an id or a text, as in recsys like. All lines are stored, or none. An event that the
    library has is passed over.

    \b
    Examples:
      recsys feedback import feedback.jsonl
    """
    from recsys.api import Library

    with Library(db) as library:
        if file == Path("-"):
            found, new = library.import_feedback(sys.stdin.buffer)
        else:
            with file.open("rb") as lines:
                found, new = library.import_feedback(lines)
    if as_json:
        print_json({"events": found, "new": new})
    else:
        click.echo(f"{_count(found, 'event')}, {new} of them new")


def _print_list(events: Iterable[Event], *, as_json: bool) -> None:
    rows = list(events)
    if as_json:
        for event in rows:
            print_json(event.fields())
        return
    if not rows:
        note("there are none")
        return
    output = table("Time", "Event", "Of", "Source", "Tracks", right=(4,))
    for event in rows:
        output.add_row(
            event.time.astimezone().strftime("%Y-%m-%d %H:%M"),
            str(event.kind),
            escape(str(event)),
            escape(event.source),
            str(len(event.tracks)),
        )
    console().print(output)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
