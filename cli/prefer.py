"""``recsys prefer``: filters that are the defaults of every list."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.options import NUMBERS, db_option, default_options, json_option
from recsys.cli.output import note, print_json, shown
from recsys.notebook import clock

if TYPE_CHECKING:
    from recsys.recommender import Filters

ALL = "all"

OPTIONS = {
    "not-artist": "not_artists",
    "no-same-artist": "no_same_artist",
    "exclude": "exclude",
    "min-length": "min_length_s",
    "max-length": "max_length_s",
    "include": "include",
    "language": "languages",
    "mood": "moods",
}
"""The options that can be preferred, with the fields of :class:`recsys.recommender.Filters`."""


@click.command(name="prefer", short_help="Set what stays out of every list from now on.")
@default_options
@click.option(
    "--clear",
    is_flag=False,
    flag_value=ALL,
    metavar="[NAME[=VALUE]]",
    help="Clear the defaults: all of them, those of one option (max-length), or one of its values "
    "(not-artist=Enya). What is set by the same call is set afterwards.",
)
@json_option("One JSON object: the defaults, and what they leave out.")
@db_option
def command(filters: dict[str, Any], clear: str | None, as_json: bool, db: Path | None) -> None:
    """Set filters that apply to every list of the library: similar, playlist and radio.

    Without an option, show them. Artists, exclusions and kinds are added to those before, a length,
    range, languages or moods replace those before. In a call of similar, playlist or radio it is
    the same, for this call alone, and --no-defaults ignores all of them.

    \b
    Examples:
      recsys prefer --max-length 12m --min-length 60s
      recsys prefer --exclude ~/Music/Audiobooks --exclude christmas
      recsys prefer
      recsys prefer --clear max-length
      recsys prefer --clear
    """
    from recsys.api import Library
    from recsys.recommender import Filters

    given = Filters(**filters)
    with Library(db) as library:
        before = library.preferences()
        after = given.over(before if clear is None else _cleared(before, clear))
        if after != before:
            library.set_preferences(after)
        left_out = library.left_out_by(after)
        notes = library.notes_on(given)
        tracks = sum(library.store.genre_counts().values())
    if as_json:
        print_json({**_as_json(after), "left_out": left_out, "tracks": tracks})
    else:
        _print(after, left_out, tracks)
    for text in notes:
        note(text)


def _cleared(filters: Filters, what: str) -> Filters:
    """Return filters without all, those of one option, or one value of it."""
    from recsys.recommender import Filters

    if what == ALL:
        return Filters()
    name, equals, value = what.removeprefix("--").partition("=")
    if name in NUMBERS and not equals:
        ranges = {each: limits for each, limits in filters.ranges.items() if each != name}
        return replace(filters, ranges=ranges)
    field = OPTIONS.get(name)
    if field is None:
        raise click.BadParameter(
            f"{name!r} is no option of recsys prefer; known: {', '.join((*OPTIONS, *NUMBERS))}",
            param_hint="--clear",
        )
    values: dict[str, Any] = {field: getattr(Filters(), field)}
    if equals:
        held = getattr(filters, field)
        held = held if isinstance(held, tuple) else ()
        kept = [each for each in held if not _is_typed(each, value)]
        if len(kept) == len(held):
            raise click.BadParameter(
                f"{value!r} is no value of --{name}; recsys prefer shows them", param_hint="--clear"
            )
        values[field] = tuple(kept)
    return replace(filters, **values)


def _is_typed(held: str | Path, value: str) -> bool:
    if isinstance(held, Path):
        return os.path.abspath(os.path.expanduser(value)) == os.fspath(held)  # noqa: PTH100, PTH111
    return held.casefold() == value.casefold()


def _as_json(filters: Filters) -> dict[str, Any]:
    values = {field: getattr(filters, field) for field in OPTIONS.values()}
    ranges = {name: str(limits) for name, limits in filters.ranges.items()}
    return {
        **values,
        "exclude": [os.fspath(each) for each in filters.exclude],
        "include": [str(kind) for kind in filters.include],
        "ranges": ranges,
    }


def option_lines(filters: Filters) -> list[str]:
    """Return filters as the options that set them."""
    found = [f"--not-artist {shlex.quote(name)}" for name in filters.not_artists]
    found += ["--no-same-artist"] if filters.no_same_artist else []
    found += [f"--include {kind}" for kind in filters.include]
    found += [f"--exclude {shlex.quote(shown(each))}" for each in filters.exclude]
    for name in ("min-length", "max-length"):
        value = getattr(filters, OPTIONS[name])
        found += [] if value is None else [f"--{name} {clock(value)}"]
    found += [f"--language {shlex.quote(name)}" for name in filters.languages]
    found += [f"--{name} {limits}" for name, limits in filters.ranges.items()]
    return found + [f"--mood {shlex.quote(name)}" for name in filters.moods]


def _print(filters: Filters, left_out: dict[str, int], tracks: int) -> None:
    from recsys.recommender.filters import reasons

    options = option_lines(filters)
    click.echo("\n".join(options) or "No defaults. Example: --max-length 12m")
    if not options and not left_out:
        return
    counts = f": {reasons(left_out)}" if left_out else ""
    click.echo(f"\n{sum(left_out.values())} of {tracks} tracks stay out of every list{counts}")
