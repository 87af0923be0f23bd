"""``recsys link``: the songs of another server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from recsys.cli.options import db_option, json_option
from recsys.cli.output import print_json, shown
from recsys.cli.playlist import RootParameter

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.playlists.files import RootMap

SHOWN = 20
"""Songs that are named of those that were not found."""


@click.command(name="link", short_help="Map the songs of Navidrome or Jellyfin to the library.")
@click.argument("kind", metavar="SERVER", type=click.Choice(("navidrome", "jellyfin")))
@click.option("--url", required=True, metavar="URL", help="Address of the server.")
@click.option("--user", default="", metavar="NAME", help="User of Navidrome.")
@click.option(
    "--secret",
    envvar="RECSYS_LINK_SECRET",
    metavar="TEXT",
    help="Password of the user, or API key of Jellyfin; better in RECSYS_LINK_SECRET, or typed "
    "when it is asked for. It is not stored.",
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=RootParameter(),
    metavar="FROM=TO",
    help="The folder FROM of this machine is TO for the server; repeat it for several.",
)
@json_option("Print numbers, and every song that was not found, as one JSON object.")
@db_option
def command(
    kind: str,
    url: str,
    user: str,
    secret: str | None,
    roots: tuple[RootMap, ...],
    as_json: bool,
    db: Path | None,
) -> None:
    """Map the songs of another server, so that its plugin for AudioMuse-AI works with recsys.

    Songs are found by path, or else by artist, album, title, number and duration. Run it again when
    the server has new songs. The server itself is not changed; docs/players.md has the rest.

    \b
    Examples:
      recsys link navidrome --url http://192.168.1.5:4533 --user admin
      recsys link jellyfin --url http://192.168.1.5:8096 --root /home/me/Music=/media/music
    """
    from recsys.api import Library
    from recsys.linking import OtherServer, link

    if kind == "navidrome" and not user:
        raise click.UsageError("Name the user of Navidrome: --user NAME.")
    if secret is None:
        asked = "Password" if kind == "navidrome" else "API key"
        secret = click.prompt(asked, hide_input=True, err=True)
    with Library(db) as library:
        found = link(library, OtherServer(kind, url, user, secret), roots=roots)
    if as_json:
        print_json(
            {
                "found": found.found,
                "by_path": found.by_path,
                "by_tags": found.by_tags,
                "unmapped": [
                    {"id": song.id, "name": song.name, "path": song.path} for song in found.unmapped
                ],
            }
        )
        return
    click.echo(
        f"{found.mapped} of {found.found} songs are in the library: {found.by_path} by path,"
        f" {found.by_tags} by tags"
    )
    for song in found.unmapped[:SHOWN]:
        click.echo(f"  not found: {shown(song.name)}", err=True)
    if len(found.unmapped) > SHOWN:
        click.echo(f"  and {len(found.unmapped) - SHOWN} more: --json lists them", err=True)
