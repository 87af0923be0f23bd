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
@click.option(
    "--subsonic",
    is_flag=True,
    help="Answer players that speak Subsonic, at /rest, and plugins: see recsys link.",
)
@click.option("--mdns", is_flag=True, help="Announce the server in the network by multicast DNS.")
@click.option("--no-browser", is_flag=True, help="Do not open the browser.")
@click.option("--token", is_flag=True, help="Make a token, print it once, and end.")
@click.option("--tokens", is_flag=True, help="List the tokens by their ids, and end.")
@click.option(
    "--device", metavar="NAME", help="Make a secret for a player, print it once, and end."
)
@click.option("--devices", is_flag=True, help="List the devices of players, and end.")
@click.option("--revoke", metavar="ID", help="Revoke a token, or a device by its name, and end.")
@json_option("Print the address, the tokens or the devices as one JSON object.")
@db_option
def command(
    host: str,
    port: int,
    names: tuple[str, ...],
    subsonic: bool,
    mdns: bool,
    no_browser: bool,
    token: bool,
    tokens: bool,
    device: str | None,
    devices: bool,
    revoke: str | None,
    as_json: bool,
    db: Path | None,
) -> None:
    """Show and play the library in a browser, on this machine alone.

    The page searches, plays, recommends and indexes; docs/serve.md tells of it, and of the API
    behind it. Nothing is fetched from elsewhere. Ctrl-C stops it.

    Other machines reach it with --host or --name, and then everyone needs a token: the page asks
    for it once, a script sends it as "Authorization: Bearer TOKEN". The library keeps its hash.

    Players on phones and desks reach it with --subsonic, each with the secret of its device:
    docs/players.md.

    \b
    Examples:
      recsys serve
      recsys serve --port 0 --no-browser --json
      recsys serve --token
      recsys serve --host 192.168.1.5
      recsys serve --name music.example.org
      recsys serve --device phone
      recsys serve --host 192.168.1.5 --subsonic
    """
    managing = (token, tokens, device is not None, devices, revoke is not None)
    if sum(managing) > 1:
        raise click.UsageError(
            "--token, --tokens, --device, --devices and --revoke exclude each other."
        )
    if any(managing):
        if device is not None or devices:
            _manage_devices(db, device, as_json=as_json)
        elif revoke is not None:
            _revoke(db, revoke, as_json=as_json)
        else:
            _manage_tokens(db, make=token, as_json=as_json)
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

    serve(db, ServeOptions(host, port, names, subsonic=subsonic, mdns=mdns), started)


def _manage_tokens(db: Path | None, *, make: bool, as_json: bool) -> None:
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
    elif as_json:
        print_json({"tokens": [{"id": each.id, "made": each.made} for each in kept.all()]})
    else:
        for each in kept.all():
            click.echo(f"{each.id}  made {shown(each.made)}")


def _manage_devices(db: Path | None, name: str | None, *, as_json: bool) -> None:
    from recsys.api import Library
    from recsys.web.devices import Devices

    kept = Devices(Library(db).database)
    if name is not None:
        made = kept.make(name)
        if as_json:
            print_json({"device": made.name, "secret": made.secret})
        else:
            click.echo(f"User name: {shown(made.name)}\nPassword:  {made.secret}")
            click.echo("The password is not shown again; it is the API key, too.", err=True)
    elif as_json:
        print_json({"devices": [{"device": each.name, "made": each.made} for each in kept.all()]})
    else:
        for each in kept.all():
            click.echo(f"{shown(each.name)}  made {shown(each.made)}")


def _revoke(db: Path | None, name: str, *, as_json: bool) -> None:
    from recsys.api import Library
    from recsys.errors import QueryError
    from recsys.web.devices import Devices
    from recsys.web.tokens import Tokens

    database = Library(db).database
    devices, tokens = Devices(database), Tokens(database)
    if devices.named(name) is not None:
        devices.revoke(name)
    elif name in (ids := [each.id for each in tokens.all()]):
        tokens.revoke(name)
    else:
        known = ", ".join([*ids, *(each.name for each in devices.all())]) or "none"
        raise QueryError(f"there is no token and no device {name!r}", f"Known: {known}.")
    if as_json:
        print_json({"revoked": name})
