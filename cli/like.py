"""``recsys like``, ``dislike``, ``ban`` and ``unban``: what the listener says of tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from recsys.cli.choosing import ask_until_clear
from recsys.cli.options import completed_by, db_option, json_option
from recsys.cli.output import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.taste import Event

SOURCE = "cli"
"""Source of the events of these commands."""

TOLD = {
    "like": "Liked",
    "dislike": "Disliked",
    "play": "Played",
    "skip": "Skipped",
    "ban": "Banned",
    "unban": "Unbanned",
}
"""What each kind of event is called when it is stored."""


def _verdict(kind: str, short_help: str, text: str) -> click.Command:
    """Return the command that stores one kind of event."""

    @click.command(name=kind, short_help=short_help, help=text)
    @click.argument(
        "tracks",
        nargs=-1,
        required=True,
        metavar="TRACK...",
        shell_complete=completed_by("tracks"),
    )
    @json_option("Print one JSON line per TRACK.")
    @db_option
    def command(tracks: tuple[str, ...], as_json: bool, db: Path | None) -> None:
        from recsys.api import Library

        with Library(db) as library:
            events = ask_until_clear(
                tracks,
                lambda given: library.record(kind, given, source=SOURCE),
                may_ask=not as_json,
            )
        print_events(events, as_json=as_json)

    return command


def print_events(events: list[Event], *, as_json: bool) -> None:
    """Print what was stored."""
    for event in events:
        if as_json:
            print_json(event.fields())
        else:
            click.echo(f"{TOLD[event.kind]} {event}{_tracks_text(event)}")


def _tracks_text(event: Event) -> str:
    from recsys.taste import Subject

    count = len(event.tracks)
    if event.subject == Subject.TRACK:
        others = count - 1
        return f", with {others} copies or other encodings" if others else ""
    return f": {count} track" + ("" if count == 1 else "s")


like = _verdict(
    "like",
    "Like tracks: what is like them moves up in answers.",
    """Like TRACK: what is like it moves up in similar, playlist and radio.

    TRACK is a track, an artist or an album of the library, as in recsys similar. The order of an
    answer changes, not its tiers. --no-taste leaves likes and dislikes out of one answer; the last
    like or dislike of a thing counts, and the older it is, the less.

    \b
    Examples:
      recsys like "miles davis so what"
      recsys like "artist:Miles Davis" song.mp3
      recsys dislike "so what (live)"
      recsys feedback list
    """,
)

dislike = _verdict(
    "dislike",
    "Dislike tracks: what is like them moves down in answers.",
    """Dislike TRACK: what is like it moves down in similar, playlist and radio.

    TRACK is a track, an artist or an album of the library, as in recsys similar. A track that
    should never come again is banned: recsys ban.

    \b
    Examples:
      recsys dislike song.mp3
      recsys dislike "album:Greatest Hits"
    """,
)

ban = _verdict(
    "ban",
    "Ban tracks, artists or folders: no answer holds them.",
    """Ban TRACK: no answer holds it any more, until recsys unban.

    TRACK is a track, an artist or an album of the library, as in recsys similar, or a folder. The
    ban outlasts moves, new tags and new analyses of the files, and means other encodings of the
    track as well. What an artist, album or folder gets later is banned, too. A banned track can
    still be given to similar, playlist and radio, and is in none of their answers.

    \b
    Examples:
      recsys ban "last christmas"
      recsys ban "artist:Chris de Burgh"
      recsys ban ~/Music/Audiobooks
      recsys feedback bans
    """,
)

unban = _verdict(
    "unban",
    "Lift bans.",
    """Lift the ban on TRACK.

    TRACK is what was banned. A single track of a banned artist, album or folder may come again,
    too: recsys unban TRACK makes an exception for it.

    \b
    Examples:
      recsys unban "last christmas"
      recsys unban "artist:Chris de Burgh"
      recsys unban ~/Music/Audiobooks
    """,
)
