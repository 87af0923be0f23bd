"""``recsys list``: the tracks of a library."""

from __future__ import annotations

import csv
import io
import re
import sys
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.options import (
    completed_by,
    db_option,
    genre_option,
    json_option,
    number_options,
    tag_option,
)
from recsys.cli.output import console, note, path_options, print_json, print_paths, shown
from recsys.notebook import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from recsys.cli.options import Command
    from recsys.listing import ListOptions
    from recsys.types import Kind, KindName, Range, Track

HEADINGS = ("Id", "Artist - Title", "Length", "Energy", "Valence", "Genre", "Album")

MEASURED_ROWS = 500
"""Rows at the head of a list that decide the widths of its columns."""

WIDEST = 60
"""Characters of a column at most; longer names are shown whole and move what follows."""

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Since(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """A time in the past: ``30d``, ``2w``, ``12h``, or a date, ``2026-11-01``."""

    name = "age"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time, with its zone; a date is its first moment here."""
        if isinstance(value, datetime):
            return value
        try:
            if age := re.fullmatch(r"(\d+)([hdw])", value):
                return datetime.now(UTC) - int(age[1]) * _UNITS[age[2]]
            return datetime.strptime(value, "%Y-%m-%d").astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither an age (30d, 2w, 12h) nor a date", param, ctx)


def list_options(command: Command) -> Command:
    """Options that choose tracks: fields of :class:`recsys.listing.ListOptions`."""
    decorators: tuple[Callable[[Command], Command], ...] = (
        click.option(
            "--added",
            type=Since(),
            metavar="AGE",
            help="Only tracks added since: 30d, 2w, 12h, or a date as 2026-11-01.",
        ),
        click.option("--album", help="Only tracks with these words in the album."),
        click.option(
            "--artist",
            help="Only tracks with these words in the artist.",
            shell_complete=completed_by("artists"),
        ),
        tag_option("Only tracks with this tag (mellow, 80s, ...); repeat it to require several."),
        genre_option("Only tracks of this genre."),
        click.option(
            "--kind",
            type=click.Choice(("music", "speech", "other")),
            help="Only tracks of this kind.",
        ),
        click.option("--banned", is_flag=True, help="Banned tracks, too."),
        number_options,
    )
    for decorate in decorators:
        command = decorate(command)
    return command


@click.command(name="list")
@list_options
@click.option("--csv", "as_csv", is_flag=True, help="A table for spreadsheets, with a header.")
@json_option("One line of JSON per track.")
@path_options
@db_option
def command(
    genre: str | None,
    tags: tuple[str, ...],
    artist: str | None,
    album: str | None,
    added: datetime | None,
    banned: bool,
    ranges: dict[str, Range],
    moods: tuple[str, ...],
    kind: KindName | None,
    as_csv: bool,
    as_json: bool,
    paths: str | None,
    db: Path | None,
) -> None:
    """List the tracks of the library, in the order in which they were added.

    Each option leaves out tracks; case, accents and marks of names do not matter.

    \b
    Examples:
      recsys list --genre jazz --tag mellow
      recsys list --artist "miles davis" --paths | mpc add
      recsys list --added 30d
      recsys list --kind speech
      recsys list --csv > library.csv
    """
    if as_csv + as_json + (paths is not None) > 1:
        raise click.UsageError("--csv, --json and --paths exclude each other.")
    from recsys.api import Library
    from recsys.listing import ListOptions
    from recsys.recommender import Filters

    options = ListOptions(genre, tags, artist, album, added, banned, ranges, moods, kind)
    with Library(db) as library:
        for text in library.notes_on(Filters(ranges=ranges, moods=moods, include=_asked(kind))):
            note(text)
        listed = _Listed(library.tracks(options), present_only=paths is not None)
        if as_json:
            for row in listed.rows():
                print_json(row)
        elif as_csv:
            _print_csv(listed.rows())
        elif paths is not None:
            print_paths((track.path for track in listed), paths)
        else:
            _print_lines(iter(listed))
    if not listed.count:
        note(f"no track: {_conditions(options) or 'the library has none'}")
    elif not (as_json or as_csv or paths):
        click.echo(f"{listed.count} track{'s' * (listed.count != 1)}", err=True)
    listed.print_missing()


def _asked(kind: KindName | None) -> tuple[Kind, ...]:
    """Return the kind that is asked for, unless it is music."""
    from recsys.types import NOT_MUSIC

    return tuple(each for each in NOT_MUSIC if each == kind)


class _Listed:
    """Tracks as they come, counted, with those whose files are not there."""

    def __init__(self, tracks: Iterable[Track], *, present_only: bool) -> None:
        self._tracks = tracks
        self._present_only = present_only
        self.count = 0
        self._missing: list[Path] = []

    def __iter__(self) -> Iterator[Track]:
        from recsys.recommender.presence import is_there

        for track in self._tracks:
            there = is_there(track.path)
            self._count(track, there=there)
            if there or not self._present_only:
                yield track

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the tracks as plain values, which tell whether a file is there."""
        from recsys.listing import track_dict

        for track in self._tracks:
            row = track_dict(track)
            self._count(track, there=not row["missing"])
            yield row

    def _count(self, track: Track, *, there: bool) -> None:
        self.count += 1
        if not there:
            self._missing.append(track.path)

    def print_missing(self) -> None:
        """Say how many files are not there."""
        if self._missing:
            done = ", and are left out" if self._present_only else ""
            note(
                f"{len(self._missing)} of {self.count} files are not there{done},"
                f" {shown(self._missing[0])} for one: mount the disk, or run recsys index"
            )


def _conditions(options: ListOptions) -> str:
    given = {"genre": options.genre, "artist": options.artist, "album": options.album}
    given["kind"] = options.kind
    parts = [f"{name} {value!r}" for name, value in given.items() if value is not None]
    parts += [f"tag {tag!r}" for tag in options.tags]
    parts += [f"{name} {limits}" for name, limits in options.ranges.items()]
    parts += [f"mood {mood!r}" for mood in options.moods]
    if options.added_since is not None:
        parts.append(f"added since {options.added_since:%Y-%m-%d %H:%M}")
    return ", ".join(parts)


def _print_csv(rows: Iterable[dict[str, Any]]) -> None:
    """Print CSV in UTF-8 with a header; paths keep the bytes that they have on disk."""
    from recsys.listing import COLUMNS

    sys.stdout.flush()
    text = io.TextIOWrapper(sys.stdout.buffer, "utf-8", errors="surrogateescape", newline="")
    try:
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        text.flush()
    finally:
        text.detach()  # standard output stays open


def _print_lines(tracks: Iterator[Track]) -> None:
    """Print a line per track, as they come, in columns as wide as those of the first rows."""
    from rich.cells import cell_len

    first = [_cells(track) for track in islice(tracks, MEASURED_ROWS)]
    if not first:
        return
    widths = [
        min(WIDEST, max(map(cell_len, column))) for column in zip(HEADINGS, *first, strict=True)
    ]
    screen = console()
    room = screen.width if screen.is_terminal else None
    for row in chain([HEADINGS], first, map(_cells, tracks)):
        line = "  ".join(
            cell.rjust(width) if number in (0, 2, 3, 4) else cell + " " * (width - cell_len(cell))
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        click.echo(_cut(line, room))


def _cut(line: str, room: int | None) -> str:
    from rich.cells import cell_len, set_cell_size

    if room is None or cell_len(line) <= room:
        return line
    return f"{set_cell_size(line, room - 1)}…"


def _cells(track: Track) -> tuple[str, ...]:
    return (
        str(track.id),
        shown(track.display_name),
        clock(track.duration_s),
        *("" if value is None else f"{value:.2f}" for value in (track.energy, track.valence)),
        shown(track.genre_group),
        shown(track.tags.album or ""),
    )
