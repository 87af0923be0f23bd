"""``recsys mpd``: similar tracks, playlists and radio in the queue of MPD."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.choosing import ask_until_clear
from recsys.cli.options import (
    Duration,
    completed_by,
    db_option,
    filter_options,
    genre_option,
    no_taste_option,
    seed_option,
    tag_option,
)
from recsys.cli.output import note, shown
from recsys.cli.playlist import RootParameter
from recsys.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recsys.api import Library
    from recsys.players.mpd.address import MpdAddress
    from recsys.players.mpd.connection import MpdConnection
    from recsys.players.mpd.queue import MusicFolders
    from recsys.playlists.files import RootMap
    from recsys.types import Track


class MusicRoot(RootParameter):
    """A folder that MPD has its music in, or ``FOLDER=BEGINNING`` of its names there."""

    name = "folder"

    def convert(
        self, value: str | RootMap, param: click.Parameter | None, ctx: click.Context | None
    ) -> RootMap:
        """Return the folder and the beginning, which is empty without one."""
        if isinstance(value, str) and "=" not in value:
            value += "="
        return super().convert(value, param, ctx)


_ADDRESS_OPTIONS = (
    click.option(
        "--host",
        metavar="HOST",
        help="Host of MPD, password@host, or the path of its socket.  [env var: MPD_HOST; default: "
        "the socket of this machine if there is one, or localhost]",
    ),
    click.option(
        "--port",
        type=click.IntRange(1, 65535),
        help="Port of MPD.  [env var: MPD_PORT; default: 6600]",
    ),
    click.option(
        "--root",
        "roots",
        type=MusicRoot(),
        multiple=True,
        metavar="FOLDER",
        help="Folder that MPD has its music in, as this machine names it; FOLDER=jazz where the "
        "names of MPD for it begin with jazz/. Repeat it for several.  [default: what MPD tells "
        "over its socket, or the folders of the library]",
    ),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Print what MPD would get, one name per line, and change nothing.",
    ),
)


def _mpd_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where MPD is; the command gets its `address`."""

    @wraps(command)
    def with_address(host: str | None, port: int | None, **given: Any) -> Any:  # noqa: ANN401
        from recsys.players.mpd.address import MpdAddress

        return command(address=MpdAddress.find(host, port), **given)

    decorated: Any = with_address
    for option in reversed(_ADDRESS_OPTIONS):
        decorated = option(decorated)
    result: Callable[..., Any] = decorated
    return result


@click.group(name="mpd")
def command() -> None:
    """Play similar tracks, playlists and radio in MPD; needs the extra [mpd].

    What plays is where they start from. MPD must have the files of the library, see --root.
    """


_TRACKS = click.argument(
    "seeds", nargs=-1, metavar="[TRACK]...", shell_complete=completed_by("tracks")
)
_REPLACE = click.option(
    "--replace", is_flag=True, help="Remove everything but the current song from the queue before."
)


@command.command(name="similar")
@_TRACKS
@click.option(
    "--k", "-k", type=click.IntRange(min=1), default=20, show_default=True, help="Number of tracks."
)
@genre_option("Only tracks of this genre.")
@tag_option("Only tracks with this tag (mellow, 80s, party, ...); repeat it to require several.")
@filter_options
@no_taste_option
@_REPLACE
@_mpd_options
@db_option
def similar_command(
    seeds: tuple[str, ...],
    k: int,
    genre: str | None,
    tags: tuple[str, ...],
    filters: dict[str, Any],
    no_taste: bool,
    replace: bool,
    address: MpdAddress,
    roots: tuple[RootMap, ...],
    dry_run: bool,
    db: Path | None,
) -> None:
    """Queue tracks similar to the current song, or to TRACK, after the current song.

    In random mode, priorities let MPD play them next.

    \b
    Examples:
      recsys mpd similar
      recsys mpd similar --k 10 --replace --max-length 12m
      recsys mpd similar "miles davis so what" --dry-run
    """
    from recsys.recommender import SimilarOptions
    from recsys.recommender.filters import Filters

    options = SimilarOptions(
        k=k, genre=genre, tags=tags, filters=Filters(**filters), taste=not no_taste
    )
    with _connected(db, address, roots) as (library, connection, folders):
        given = _seeds(seeds, connection, folders)
        answer = ask_until_clear(given, lambda seeds: library.similar(seeds, options))
        tracks = [row.track for row in answer.results]
        _deliver(connection, folders, tracks, replace=replace, dry_run=dry_run)
    for text in answer.notes:
        note(text)


@command.command(name="playlist")
@_TRACKS
@click.option("--length", type=click.IntRange(min=1), help="Number of tracks.  [default: 30]")
@click.option("--duration", type=Duration(), help="Playing time: 2h, 90m, 1h30m, 5400s.")
@genre_option("Only tracks of this genre, apart from the seeds.")
@tag_option("Only tracks with this tag; repeat it to require several.")
@filter_options
@no_taste_option
@seed_option("Random seed: the same seed gives the same playlist.")
@_REPLACE
@click.option("--save", metavar="NAME", help="Store it in MPD under this name, instead.")
@_mpd_options
@db_option
def playlist_command(
    seeds: tuple[str, ...],
    length: int | None,
    duration: float | None,
    genre: str | None,
    tags: tuple[str, ...],
    filters: dict[str, Any],
    no_taste: bool,
    seed: int,
    replace: bool,
    save: str | None,
    address: MpdAddress,
    roots: tuple[RootMap, ...],
    dry_run: bool,
    db: Path | None,
) -> None:
    """Queue a playlist from the current song, or from TRACK, after the current song.

    \b
    Examples:
      recsys mpd playlist --length 50
      recsys mpd playlist "artist:Nina Simone" --duration 2h --replace
      recsys mpd playlist --mood calm --save evening
    """
    if save is not None and replace:
        raise click.UsageError("--save and --replace exclude each other.")
    from recsys.playlists import PlaylistOptions
    from recsys.recommender.filters import Filters

    options = PlaylistOptions(
        length=length,
        duration_s=duration,
        seed=seed,
        genre=genre,
        tags=tags,
        filters=Filters(**filters),
        taste=not no_taste,
    )
    with _connected(db, address, roots) as (library, connection, folders):
        given = _seeds(seeds, connection, folders)
        playlist = ask_until_clear(given, lambda seeds: library.playlist(seeds, options))
        tracks = playlist.tracks
        if save is None:  # the seed opens the list; if it plays, it must not play twice
            playing = folders.current(connection.status())
            tracks = tuple(track for track in tracks if track != playing)
        _deliver(connection, folders, tracks, replace=replace, dry_run=dry_run, save=save)
    if playlist.note:
        note(playlist.note)


@command.command(name="radio")
@_TRACKS
@click.option("--new", is_flag=True, help="Start a session, even if the tracks have one.")
@click.option(
    "--session", type=click.IntRange(min=1), metavar="ID", help="Go on with this session."
)
@click.option(
    "--ahead",
    type=click.IntRange(1, 200),
    default=5,
    show_default=True,
    help="Tracks to keep in the queue after the current one.",
)
@click.option(
    "--consume",
    is_flag=True,
    help="Remove the tracks of the radio from the queue once they are over. By default they stay, "
    "unless MPD's own consume mode is on.",
)
@click.option("--play", is_flag=True, help="Start MPD if it is stopped.")
@click.option(
    "--no-feedback",
    is_flag=True,
    help="Store neither plays and skips, nor the ratings in the stickers of MPD.",
)
@genre_option("Only tracks of this genre.")
@tag_option("Only tracks with this tag; repeat it to require several.")
@filter_options
@no_taste_option
@_mpd_options
@db_option
def radio_command(
    seeds: tuple[str, ...],
    new: bool,
    session: int | None,
    ahead: int,
    consume: bool,
    play: bool,
    no_feedback: bool,
    genre: str | None,
    tags: tuple[str, ...],
    filters: dict[str, Any],
    no_taste: bool,
    address: MpdAddress,
    roots: tuple[RootMap, ...],
    dry_run: bool,
    db: Path | None,
) -> None:
    """Keep the queue of MPD fed with an endless list, until Ctrl-C; the queue stays.

    It starts from the current song, or from TRACK, and never gives a track twice in a session, see
    recsys radio. What was played for less than half counts as skipped: the session leans away from
    it, and later answers go by it. MPD may restart, or the network fail meanwhile. No mode of MPD
    is changed.

    \b
    Examples:
      recsys mpd radio
      recsys mpd radio "artist:Nina Simone" --play --consume
      recsys mpd radio --host secret@music.local --root ~/Music
      recsys mpd radio --dry-run
    """
    from recsys.players.mpd.station import MpdStation, StationOptions, only_station
    from recsys.playlists.radio import RadioOptions
    from recsys.recommender.filters import Filters

    asked = RadioOptions(
        length=ahead, genre=genre, tags=tags, filters=Filters(**filters), taste=not no_taste
    )
    options = StationOptions(
        ahead=ahead, consume=consume, play=play, feedback=not no_feedback, radio=asked
    )
    with _connected(db, address, roots) as (library, connection, folders):
        if dry_run:
            start = seeds or (() if session else folders.seeds(connection.status()))
            answer = library.radio(start, asked, session=session, new=new, dry_run=True)
            _deliver(connection, folders, answer.tracks, dry_run=True)
            for text in answer.notes:
                note(text)
            return
        with only_station(address):
            station = MpdStation(library, connection, folders, options, note)
            found = ask_until_clear(
                seeds, lambda seeds: station.start(seeds, session=session, new=new)
            )
            names = ", ".join(track.display_name for track in found[:3]) or "words"
            click.echo(
                f"Radio in MPD at {address}, session {station.session}, from {shown(names)}; "
                "Ctrl-C ends it, the queue stays",
                err=True,
            )
            station.run()


@contextmanager
def _connected(
    db: Path | None, address: MpdAddress, roots: Sequence[RootMap]
) -> Iterator[tuple[Library, MpdConnection, MusicFolders]]:
    """Open library and connection."""
    from recsys.api import Library
    from recsys.players.mpd.connection import MpdConnection
    from recsys.players.mpd.queue import MusicFolders

    with Library(db) as library, MpdConnection(address) as connection:
        yield library, connection, MusicFolders.of(library, connection, roots)


def _seeds(
    seeds: tuple[str, ...], connection: MpdConnection, folders: MusicFolders
) -> Sequence[str]:
    """Return the seeds that are given, or the current song."""
    given = seeds or folders.seeds(connection.status())
    if not given:
        raise QueryError(
            f"MPD at {connection.address} plays nothing to start from",
            "Play a track, or name one: recsys mpd similar TRACK",
        )
    return given


def _deliver(
    connection: MpdConnection,
    folders: MusicFolders,
    tracks: Sequence[Track],
    *,
    replace: bool = False,
    dry_run: bool = False,
    save: str | None = None,
) -> None:
    """Put tracks into the queue or a stored playlist, or print what MPD calls them."""
    from recsys.players.mpd.queue import queue_next, store_playlist

    if dry_run:
        for track in tracks:
            uri = folders.uri(track)
            if uri is not None:
                click.echo(uri)
        return
    if save is not None:
        queued = store_playlist(connection, folders, tracks, save)
    else:
        queued = queue_next(connection, folders, tracks, replace=replace)
    if tracks and not queued.tracks:
        raise folders.strange(tracks[0])
    where = "queued after the current song" if save is None else f"stored as {shown(save)}"
    number = len(queued.tracks)
    click.echo(f"{number} {'track' if number == 1 else 'tracks'} {where}", err=True)
    for text in queued.notes():
        note(text)
