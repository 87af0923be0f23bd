"""``recsys playlist``: playlists from seeds, through genres, between two tracks."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.choosing import ask_until_clear
from recsys.cli.options import (
    FILE,
    db_option,
    device_option,
    genre_option,
    index_option,
    library_place,
    seed_option,
    tag_option,
)
from recsys.cli.output import human_duration, note, shown
from recsys.errors import RecsysError

if TYPE_CHECKING:
    from recsys.types import Playlist

FORMATS = ("m3u8", "xspf", "json", "paths")

# A number without a unit is minutes.
_UNITS_S = {"": 60, "s": 1, "m": 60, "min": 60, "h": 3600}


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """A length of time such as ``2h``, ``90m``, ``1h30m`` or ``45`` (minutes)."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        parts = re.findall(r"(\d+(?:\.\d+)?)(h|min|m|s|)", str(value).lower())
        if not parts or "".join(number + unit for number, unit in parts) != str(value).lower():
            self.fail(f"{value!r} is not a duration; give 2h, 90m, 1h30m or 5400s", param, ctx)
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
        if seconds <= 0:
            self.fail(f"{value!r} is not a positive duration", param, ctx)
        return seconds


@click.command(
    name="playlist", short_help="Make a playlist: from seeds, through genres, between two tracks."
)
@click.argument("seeds", nargs=-1, metavar="[TRACK]...")
@click.option(
    "--cycle", help="Cycle through genres: jazz,blues,rock, or auto for those of the library."
)
@click.option(
    "--per-genre",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Consecutive tracks per genre, with --cycle.",
)
@click.option("--from", "start", metavar="TRACK", help="Start of a transition (with --to).")
@click.option("--to", "goal", metavar="TRACK", help="End of a transition (with --from).")
@click.option("--length", type=click.IntRange(min=1), help="Number of tracks.  [default: 30]")
@click.option("--duration", type=Duration(), help="Playing time: 2h, 90m, 1h30m, 5400s.")
@click.option(
    "--artist-gap",
    type=click.IntRange(min=0),
    help="Minimum number of tracks between two by one artist; the list ends rather than break it.  "
    "[default: 2, relaxed when no other artist is left]",
)
@click.option(
    "--diversity",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="0: always the nearest track; towards 1: more variety, drawn from --seed.",
)
@genre_option("Only tracks of this genre, apart from the seeds.")
@tag_option(
    "Only tracks with this tag (chill, party, 80s, ...), ordered for a steady mood; repeat it to "
    "require several."
)
@seed_option("Random seed: the same seed gives the same playlist.")
@click.option("--name", help="Name of the playlist.")
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="Output file; its extension selects the format.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(FORMATS),
    help="Output format.  [default: by the extension of -o; paths on standard output]",
)
@click.option(
    "--relative/--absolute",
    default=False,
    show_default=True,
    help="Paths in M3U8: relative to the playlist, or absolute.",
)
@db_option
@index_option
@device_option
def command(
    seeds: tuple[str, ...],
    cycle: str | None,
    per_genre: int,
    start: str | None,
    goal: str | None,
    length: int | None,
    duration: float | None,
    artist_gap: int | None,
    diversity: float,
    genre: str | None,
    tags: tuple[str, ...],
    seed: int,
    name: str | None,
    output: Path | None,
    file_format: str | None,
    relative: bool,
    db: Path | None,
    index: str | None,
    device: str,
) -> None:
    """Make a playlist: from seeds, through genres, or from one track to another.

    TRACK is a path, an id or a text, as in recsys similar. Without one, the first track is drawn at
    random by --seed. The playlist is written to standard output unless -o names a file.

    \b
    Examples:
      recsys playlist song.mp3 --length 50 -o evening.m3u8
      recsys playlist --cycle jazz,blues,rock --per-genre 2 --duration 2h -o tour.m3u8
      recsys playlist --cycle auto --seed 7 --format json
      recsys playlist --mood chill --duration 2h -o sunday.m3u8
      recsys playlist --from calm.flac --to loud.flac --length 12 -o rise.xspf
    """
    if (start is None) != (goal is None):
        raise click.UsageError("--from and --to require each other.")
    if start is not None and (seeds or cycle):
        raise click.UsageError("--from and --to exclude TRACK and --cycle.")
    from recsys.api import Library
    from recsys.playlists import PlaylistOptions

    if output == Path("-"):  # the usual name of standard output
        output = None
    file_format = file_format or _format_of(output)
    options = PlaylistOptions(
        length=length,
        duration_s=duration,
        artist_gap=artist_gap,
        seed=seed,
        diversity=diversity,
        per_genre=per_genre,
        genre=genre,
        moods=tags,
        name=name,
    )
    genres = [part.strip() for part in cycle.split(",")] if cycle and cycle != "auto" else cycle
    given = list(seeds) if start is None or goal is None else [start, goal]

    def make(given: list[str]) -> Playlist:
        if goal is not None:
            return library.playlist(given[0], options, to=given[1])
        return library.playlist(given, options, cycle=genres)

    database, place = library_place(db, index)
    with Library(database, index=place, device=device) as library:
        playlist = ask_until_clear(given, make, may_ask=file_format != "json")
    _write(playlist, output, file_format, relative=relative)
    if playlist.note:
        note(playlist.note)


def _format_of(output: Path | None) -> str:
    """Return the format of an output file, before the playlist is made."""
    from recsys.playlists.files import resolve_format

    try:
        return resolve_format(output) if output else "paths"
    except RecsysError as error:
        raise click.BadParameter(error.message, param_hint="-o") from error


def _write(playlist: Playlist, output: Path | None, file_format: str, *, relative: bool) -> None:
    from recsys.playlists.files import write

    # Bytes, not text: paths are written as they are on disk, whatever the encoding of the terminal.
    target = output or sys.stdout.buffer
    written = write(playlist, target, file_format, relative=relative)
    for track in written.left_out:
        note(f"skipped, because its path contains a line break: {shown(track.path)}")
    if output is not None:
        length = human_duration(sum(track.duration_s for track in written.tracks))
        click.echo(
            f"{output}: {len(written.tracks)} tracks, {length}, seed {playlist.seed}", err=True
        )
