"""``recsys playlist``: playlists from seeds, through genres, between two tracks."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from recsys.cli.choosing import ask_about_groups
from recsys.cli.options import (
    FILE,
    Duration,
    completed_by,
    db_option,
    device_option,
    filter_options,
    genre_option,
    index_option,
    lean_options,
    library_place,
    no_taste_option,
    seed_option,
    tag_option,
    words_option,
)
from recsys.cli.output import add_track, console, escape, note, shown, track_table
from recsys.errors import RecsysError
from recsys.notebook import clock

if TYPE_CHECKING:
    from recsys.playlists.files import ListFile, RootMap, Written
    from recsys.types import DeviceName, Playlist

FORMATS = ("m3u8", "m3u", "pls", "xspf", "json", "paths")

CAN_GROW = (".m3u8", ".m3u", ".txt")
"""Extensions of the playlists that --extend continues."""

PLAYERS = {"mpv": "--playlist={}.m3u8", "vlc": "{}.xspf", "xdg-open": "{}.m3u8"}
"""Programs for --play, the first one that is installed, and their argument.

In M3U, VLC takes what follows a # or % in a name for a part of a URL, and opens the folder instead.
"""

SEED_RANGE = 2**32
"""Of the seeds that --random draws."""


class RootParameter(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """Two names of one folder, ``FROM=TO``."""

    name = "from=to"

    def convert(
        self, value: str | RootMap, param: click.Parameter | None, ctx: click.Context | None
    ) -> RootMap:
        """Return the two names; FROM is made absolute."""
        from recsys.library import absolute
        from recsys.playlists.files import RootMap

        if isinstance(value, RootMap):
            return value
        source, equals, target = value.partition("=")
        if not source or not equals:
            self.fail(f"{value!r} is not of the form FROM=TO", param, ctx)
        return RootMap(absolute(source), target)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a playlist goes."""

    output: Path | None  # a file
    file_format: str | None  # on standard output if there is no file; None for nothing there
    extended: ListFile | None  # a file that it continues
    relative: bool
    roots: tuple[RootMap, ...]

    @property
    def is_stdout(self) -> bool:
        """Whether the playlist goes to standard output."""
        return self.file_format is not None and self.output is None


@click.command(
    name="playlist", short_help="Make a playlist: from seeds, through genres, between two tracks."
)
@click.argument("seeds", nargs=-1, metavar="[TRACK]...", shell_complete=completed_by("tracks"))
@lean_options
@click.option(
    "--cycle",
    help="Cycle through genres: jazz,blues,rock, or auto for those of the library.",
    shell_complete=completed_by("genre_list"),
)
@click.option(
    "--per-genre",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Consecutive tracks per genre, with --cycle.",
)
@click.option(
    "--from",
    "start",
    metavar="TRACK",
    help="Start of a transition (with --to).",
    shell_complete=completed_by("tracks"),
)
@click.option(
    "--to",
    "goal",
    metavar="TRACK",
    help="End of a transition (with --from).",
    shell_complete=completed_by("tracks"),
)
@click.option(
    "--extend",
    type=FILE,
    metavar="FILE",
    help="Continue this playlist (M3U8, M3U or paths) and add the tracks at its end. --length and "
    "--duration count what is added.",
)
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
@click.option(
    "--curve",
    "curves",
    multiple=True,
    metavar="NUMBER=SHAPE",
    help="Order the tracks along a curve: energy=rise, valence=fall, danceability=arc, "
    "tempo=steady, .... The numbers are those that have an option here; the tracks stay similar. "
    "Repeat it for several.",
)
@genre_option("Only tracks of this genre, apart from the seeds.")
@tag_option(
    "Only tracks with this tag (chill, party, 80s, ...), ordered for a steady mood; repeat it to "
    "require several."
)
@words_option(
    "Only tracks that fit these words for the sound, the best first, after the TRACKs: 'happy 60s "
    "soul with a female voice'. See recsys similar."
)
@filter_options
@no_taste_option
@seed_option("Random seed: the same seed gives the same playlist.")
@click.option(
    "--random", "draw_seed", is_flag=True, help="Draw a new --seed, and print it to repeat it."
)
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
    help="Output format.  [default: by the extension of -o; on standard output paths, or a table "
    "on a terminal]",
)
@click.option(
    "--relative/--absolute",
    default=False,
    help="Paths: relative to the playlist, or absolute.  [default: absolute; with --extend as "
    "those in the file]",
)
@click.option(
    "--root",
    "roots",
    type=RootParameter(),
    multiple=True,
    metavar="FROM=TO",
    help="Write TO for the folder FROM, where the player has the music elsewhere: a folder, "
    "'Z:\\Music', smb://nas/music, or nothing for paths inside FROM. Repeat it for several "
    "folders.",
)
@click.option(
    "--play", is_flag=True, help="Play it: in mpv, vlc or xdg-open, the first that is installed."
)
@db_option
@index_option
@device_option
def command(
    seeds: tuple[str, ...],
    like: tuple[str, ...],
    not_like: tuple[str, ...],
    cycle: str | None,
    per_genre: int,
    start: str | None,
    goal: str | None,
    extend: Path | None,
    length: int | None,
    duration: float | None,
    artist_gap: int | None,
    diversity: float,
    curves: tuple[str, ...],
    genre: str | None,
    tags: tuple[str, ...],
    words: str | None,
    filters: dict[str, Any],
    no_taste: bool,
    seed: int,
    draw_seed: bool,
    name: str | None,
    output: Path | None,
    file_format: str | None,
    relative: bool,
    roots: tuple[RootMap, ...],
    play: bool,
    db: Path | None,
    index: str | None,
    device: DeviceName,
) -> None:
    """Make a playlist: from seeds, through genres, or from one track to another.

    TRACK is a path, an id or a text, as in recsys similar. Without one, the first track is drawn at
    random by --seed. The playlist is written to standard output unless -o names a file. A terminal
    shows a table, with the similarity of each track to the one before.

    \b
    Examples:
      recsys playlist song.mp3 --length 50 -o evening.m3u8
      recsys playlist --cycle jazz,blues,rock --per-genre 2 --duration 2h -o tour.m3u8
      recsys playlist --cycle auto --seed 7 --format json
      recsys playlist --tag chill --duration 2h -o sunday.m3u8
      recsys playlist song.mp3 --mood happy --curve energy=rise -o party.m3u8
      recsys playlist --words "happy 60s soul, no ballads" --length 20 -o happy.m3u8
      recsys playlist --from calm.flac --to loud.flac --length 12 -o rise.xspf
      recsys playlist --random --play
      recsys playlist --extend evening.m3u8 --length +20
      recsys playlist song.mp3 -o mpd.m3u --root ~/Music=
    """
    if extend is None and _is_extend(seeds):
        extend = Path(seeds[1]).expanduser()
        seeds = ()
    _check_start(seeds, (*like, *not_like), cycle, start, goal, extend)
    if words is not None and (cycle or start is not None or extend is not None):
        raise click.UsageError("--words excludes --cycle, --from, --to and --extend.")
    seed = _drawn_seed() if draw_seed else seed
    player = _player() if play else None
    from recsys.api import Library
    from recsys.playlists import PlaylistOptions
    from recsys.recommender.filters import Filters

    destination = _destination(output, file_format, extend, relative, roots, play=play)
    options = PlaylistOptions(
        length=length,
        duration_s=duration,
        artist_gap=artist_gap,
        seed=seed,
        diversity=diversity,
        per_genre=per_genre,
        genre=genre,
        tags=tags,
        curves=curves,
        name=name,
        filters=Filters(**filters),
        taste=not no_taste,
    )
    genres = [part.strip() for part in cycle.split(",")] if cycle and cycle != "auto" else cycle
    given = list(seeds) if start is None or goal is None else [start, goal]

    def make(groups: list[list[str]]) -> Playlist:
        given, liked, unwanted = groups
        if goal is not None:
            return library.playlist(given[0], options, to=given[1])
        return library.playlist(
            given, options, cycle=genres, like=liked, not_like=unwanted, words=words
        )

    database, place = library_place(db, index)
    with Library(database, index=place, device=device) as library:
        if destination.extended is not None:
            entries = destination.extended.files(roots)
            playlist = library.extend([path for path in entries if path is not None], options)
        else:
            playlist = ask_about_groups(
                (given, like, not_like), make, may_ask=destination.file_format != "json"
            )
        # Written first: a list that cannot be written must not look as if it were there.
        _deliver(playlist, destination)
        if sys.stdout.isatty() and not destination.is_stdout:
            _print_table(playlist)
    if draw_seed and output is None:
        note(f"drawn with --seed {playlist.seed}, which makes it again")
    if playlist.note:
        note(playlist.note)
    if player is not None:
        _play(playlist, player)


def _is_extend(seeds: tuple[str, ...]) -> bool:
    """Return whether TRACKs are ``extend FILE``: no track is a playlist, so it can mean no other.

    A command of its own would turn every TRACK after ``recsys playlist`` into its name.
    """
    return len(seeds) == 2 and seeds[0] == "extend" and seeds[1].lower().endswith(CAN_GROW)


def _check_start(
    seeds: tuple[str, ...],
    leaning: tuple[str, ...],
    cycle: str | None,
    start: str | None,
    goal: str | None,
    extend: Path | None,
) -> None:
    """Refuse two beginnings of one playlist."""
    if (start is None) != (goal is None):
        raise click.UsageError("--from and --to require each other.")
    if start is not None and (seeds or cycle):
        raise click.UsageError("--from and --to exclude TRACK and --cycle.")
    if leaning and (cycle or start is not None or extend is not None):
        raise click.UsageError("--like and --not-like exclude --cycle, --from and --extend.")
    if extend is not None and (seeds or cycle or start is not None):
        raise click.UsageError("--extend excludes TRACK, --cycle, --from and --to.")


def _drawn_seed() -> int:
    if _is_given("seed"):
        raise click.UsageError("--random and --seed exclude each other.")
    return secrets.randbelow(SEED_RANGE)


def _is_given(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is not ParameterSource.DEFAULT


def _destination(
    output: Path | None,
    file_format: str | None,
    extend: Path | None,
    relative: bool,
    roots: tuple[RootMap, ...],
    *,
    play: bool,
) -> Destination:
    """Return where the playlist goes, and in which format, before it is made."""
    if roots and relative:
        raise click.UsageError("--root and --relative exclude each other.")
    if extend is not None:
        if output is not None or file_format is not None:
            raise click.UsageError(
                "--extend writes to its own file, so it excludes -o and --format."
            )
        extended = _list_of(extend)
        if not _is_given("relative"):
            relative = extended.is_relative() and not roots
        return Destination(None, None, extended, relative, roots)
    if output is not None and output != Path("-"):  # the usual name of standard output
        return Destination(output, file_format or _format_of(output), None, relative, roots)
    if file_format is None and output is None and (play or sys.stdout.isatty()):
        return Destination(None, None, None, relative, roots)
    return Destination(None, file_format or "paths", None, relative, roots)


def _format_of(output: Path) -> str:
    """Return the format of an output file."""
    from recsys.playlists.files import resolve_format

    try:
        return resolve_format(output)
    except RecsysError as error:
        raise click.BadParameter(f"{error.message}\n  {error.hint}", param_hint="-o") from error


def _list_of(extend: Path) -> ListFile:
    """Return the playlist file that is to be continued."""
    from recsys.playlists.files import ListFile, resolve_format

    try:
        resolve_format(extend)
    except RecsysError as error:
        raise click.BadParameter(
            f"{error.message}\n  {error.hint}", param_hint="--extend"
        ) from error
    return ListFile.read(extend)


def _deliver(playlist: Playlist, to: Destination) -> None:
    """Write a playlist to its file or to standard output, and say so."""
    from recsys.playlists.files import write

    if to.extended is not None:
        written = to.extended.append(playlist, relative=to.relative, roots=to.roots)
        _print_written(to.extended.path, written, playlist.seed, added=True)
    elif to.output is not None:
        written = write(playlist, to.output, to.file_format, relative=to.relative, roots=to.roots)
        _print_written(to.output, written, playlist.seed)
    elif to.file_format is not None:
        # Bytes, not text: paths are written as they are on disk, whatever the encoding of the
        # terminal.
        sink = sys.stdout.buffer
        written = write(playlist, sink, to.file_format, relative=to.relative, roots=to.roots)
    else:
        return
    for track in written.left_out:
        note(f"skipped, because its path contains a line break: {shown(track.path)}")
    if written.unmapped:
        note(
            f"{len(written.unmapped)} tracks are in no FROM of --root and keep their paths, "
            f"{shown(written.unmapped[0].path)} for one"
        )


def _print_written(path: Path, written: Written, seed: int, *, added: bool = False) -> None:
    length = clock(sum(track.duration_s for track in written.tracks))
    number = len(written.tracks)
    what = ("track" if number == 1 else "tracks") + (" added" if added else "")
    click.echo(f"{shown(path)}: {number} {what}, {length}, seed {seed}", err=True)


def _print_table(playlist: Playlist) -> None:
    screen = console()
    screen.print(f"[bold]{escape(playlist.name)}[/bold]")
    screen.print()
    output = track_table("Similarity")
    rows = zip(playlist.tracks, playlist.similarities, strict=True)
    for number, (track, step) in enumerate(rows, start=1):
        add_track(output, number, track, "" if step is None else f"{step:.3f}")
    screen.print(output)


def _player() -> tuple[str, str]:
    """Return the path of the first player that is installed, and its argument."""
    for name, argument in PLAYERS.items():
        program = shutil.which(name)
        if program is not None:
            return program, argument
    raise RecsysError(
        f"no player was found: {', '.join(PLAYERS)}",
        "Install one of them, or write a file with -o and open it.",
    )


def _play(playlist: Playlist, player: tuple[str, str]) -> None:
    """Give a playlist to a player and wait for it."""
    from platformdirs import user_cache_path

    from recsys.playlists.files import write

    # One file, written again each time: a player that goes on in the background reads it later.
    folder = user_cache_path("recsys", appauthor=False, ensure_exists=True)
    program, argument = player
    path = folder / f"playing{Path(argument).suffix}"
    write(playlist, path)
    try:
        ended = subprocess.run([program, argument.format(folder / "playing")], check=False)
    except KeyboardInterrupt:  # how players in a terminal are ended
        return
    if ended.returncode:
        raise RecsysError(
            f"{program} ended with exit code {ended.returncode}", f"It was to play {path}."
        )
