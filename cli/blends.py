"""``recsys blends``: queries that were saved under a name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.options import db_option, json_option
from recsys.cli.output import print_json

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.types import Blend

_NAMED = 3


@click.command(name="blends", short_help="List the queries that were saved under a name.")
@click.option("--delete", "deleted", metavar="NAME", help="Delete this one.")
@json_option("One JSON object per blend.")
@db_option
def command(deleted: str | None, as_json: bool, db: Path | None) -> None:
    """List the queries that recsys similar --save-blend NAME saved.

    blend:NAME is a TRACK in similar, playlist and radio. A blend keeps its tracks by their sound,
    so that it outlasts moves and new tags.

    \b
    Examples:
      recsys similar a.flac b.flac --not-like c.flac --save-blend sunday
      recsys blends
      recsys playlist blend:sunday --length 50 -o sunday.m3u8
      recsys blends --delete sunday
    """
    from recsys.api import Library

    with Library(db) as library:
        if deleted is not None:
            library.forget_blend(deleted)
        blends = library.blends()
        if as_json:
            for name, blend in blends.items():
                print_json(_as_json(library, name, blend))
            return
        if not blends:
            click.echo("No blends. Save one: recsys similar A B --not-like C --save-blend NAME")
        for name, blend in blends.items():
            groups = ((blend.seeds, ""), (blend.like, "like "), (blend.not_like, "not like "))
            texts = (lead + _names(library, hashes) for hashes, lead in groups if hashes)
            click.echo(f"{name}: {'; '.join(texts)}")


def _as_json(library: Library, name: str, blend: Blend) -> dict[str, Any]:
    from recsys.playlists.files import track_fields

    groups = {"seeds": blend.seeds, "like": blend.like, "not_like": blend.not_like}
    found = {
        role: [track_fields(tracks[0]) for each in hashes if (tracks := _tracks(library, each))]
        for role, hashes in groups.items()
    }
    gone = sum(map(len, groups.values())) - sum(map(len, found.values()))
    return {"name": name, **found, "gone": gone}


def _tracks(library: Library, audio_hash: str) -> list[Any]:
    return library.store.tracks_with_hash(audio_hash)


def _names(library: Library, hashes: tuple[str, ...]) -> str:
    """Return the names of the first tracks, and how many more there are."""
    found = [_tracks(library, audio_hash) for audio_hash in hashes[:_NAMED]]
    names = [tracks[0].display_name if tracks else "(no longer there)" for tracks in found]
    more = len(hashes) - _NAMED
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
