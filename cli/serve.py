"""``recsys serve``: the library in a browser."""

from __future__ import annotations

import threading
import webbrowser
from typing import TYPE_CHECKING

import click

from recsys.cli.options import db_option, json_option
from recsys.cli.output import print_json, shown
from recsys.web import PORT

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="serve", short_help="Show and play the library in a browser.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Listen on this address. Another than one of this machine alone demands a token.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Listen on this port; 0 takes a free one.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="Answer by this host name, too, as that of a proxy (music.example.org); repeat it for "
    "several. It demands a token.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the browser.")
@click.option("--token", is_flag=True, help="Make a token, print it once, and end.")
@click.option("--tokens", is_flag=True, help="List the tokens by their ids, and end.")
@click.option("--revoke", metavar="ID", help="Revoke a token, and end.")
@json_option("Print the address, or the tokens, as one JSON object.")
@db_option
def command(
    host: str,
    port: int,
    names: tuple[str, ...],
    no_browser: bool,
    token: bool,
    tokens: bool,
    revoke: str | None,
    as_json: bool,
    db: Path | None,
) -> None:
    """Show and play the library in a browser, on this machine alone.

    The page searches, plays, recommends and indexes; docs/serve.md tells of it, and of the API
    behind it. Nothing is fetched from elsewhere. Ctrl-C stops it.

    Other machines reach it with --host or --name, and then everyone needs a token: the page asks
    for it once, a script sends it as "Authorization: Bearer TOKEN". The library keeps its hash.

    \b
    Examples:
      recsys serve
      recsys serve --port 0 --no-browser --json
      recsys serve --token
      recsys serve --host 192.168.1.5
      recsys serve --name music.example.org
    """
    if token + tokens + (revoke is not None) > 1:
        raise click.UsageError("--token, --tokens and --revoke exclude each other.")
    if token or tokens or revoke is not None:
        _manage_tokens(db, make=token, revoke=revoke, as_json=as_json)
        return
    from recsys.errors import require

    for module in ("fastapi", "uvicorn", "PIL"):
        require(module, "web")
    from recsys.web.server import ServeOptions, serve

    def started(address: str) -> None:
        if as_json:
            print_json({"address": address})
        else:
            click.echo(f"The library is at {address} (Ctrl-C stops it)")
        if not no_browser:
            # A browser that does not return must not hold up the server.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    serve(db, ServeOptions(host, port, names), started)


def _manage_tokens(db: Path | None, *, make: bool, revoke: str | None, as_json: bool) -> None:
    from recsys.api import Library
    from recsys.web.tokens import Tokens

    kept = Tokens(Library(db).database)
    if make:
        made, text = kept.make()
        if as_json:
            print_json({"id": made.id, "token": text})
        else:
            click.echo(text)
            click.echo(f"It is not shown again; revoke it with --revoke {made.id}.", err=True)
    elif revoke is not None:
        kept.revoke(revoke)
        if as_json:
            print_json({"revoked": revoke})
    elif as_json:
        print_json({"tokens": [{"id": each.id, "made": each.made} for each in kept.all()]})
    else:
        for each in kept.all():
            click.echo(f"{each.id}  made {shown(each.made)}")
