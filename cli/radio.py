"""``recsys radio``: the next tracks of a list that never ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from recsys.cli.choosing import ask_about_groups
from recsys.cli.options import (
    completed_by,
    db_option,
    filter_options,
    genre_option,
    json_option,
    lean_options,
    no_taste_option,
    tag_option,
    words_option,
)
from recsys.cli.output import (
    add_track,
    console,
    escape,
    note,
    path_options,
    print_json,
    print_paths,
    track_table,
)
from recsys.fields import radio_fields, radio_row_fields

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.playlists.radio import RadioAnswer


@click.command(name="radio", short_help="Give the next tracks of an endless list.")
@click.argument("seeds", nargs=-1, metavar="[TRACK]...", shell_complete=completed_by("tracks"))
@lean_options
@click.option(
    "--length",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of tracks.",
)
@click.option("--new", is_flag=True, help="Start a session, even if the tracks have one.")
@click.option(
    "--session", type=click.IntRange(min=1), metavar="ID", help="Go on with this session."
)
@genre_option("Only tracks of this genre.")
@tag_option("Only tracks with this tag (chill, party, 80s, ...); repeat it to require several.")
@words_option(
    "Only tracks that fit these words for the sound, the best first; the session keeps them. See "
    "recsys similar."
)
@filter_options
@no_taste_option
@json_option("Print the answer as JSON.")
@path_options
@db_option
def command(
    seeds: tuple[str, ...],
    like: tuple[str, ...],
    not_like: tuple[str, ...],
    length: int,
    new: bool,
    session: int | None,
    genre: str | None,
    tags: tuple[str, ...],
    words: str | None,
    filters: dict[str, Any],
    no_taste: bool,
    as_json: bool,
    paths: str | None,
    db: Path | None,
) -> None:
    """Give the next tracks of an endless list from one track or several.

    TRACK is a track, an artist or an album of the library: a path, an id or a text, as in recsys
    similar. A session never gives a
    track twice, nor a near-duplicate. The next call goes on: with the latest session of TRACK, of
    all without one, or with --session. Tracks of one artist have 8 others between them, tracks of
    one album 24; where no near candidate keeps that, the rule is relaxed to 8 and 8, 4 and 4, 2 and
    2, 1 and 1, and none, and a note says so.

    \b
    Examples:
      recsys radio "miles davis so what"
      recsys radio --length 20
      recsys radio song.mp3 --new --mood calm
      recsys radio --words "dreamy electronic without vocals"
      recsys radio --session 3 --paths | mpc add
    """
    if as_json and paths is not None:
        raise click.UsageError(f"--json and --{paths} exclude each other.")
    from recsys.api import Library
    from recsys.playlists.radio import RadioOptions
    from recsys.recommender.filters import Filters

    options = RadioOptions(
        length=length,
        genre=genre,
        tags=tags,
        filters=Filters(**filters),
        taste=not no_taste,
    )
    with Library(db) as library:
        answer = ask_about_groups(
            (seeds, like, not_like),
            lambda given: library.radio(
                given[0],
                options,
                session=session,
                new=new,
                like=given[1],
                not_like=given[2],
                words=words,
            ),
            may_ask=not as_json,
        )
    if as_json:
        print_json(radio_fields(answer, [*map(radio_row_fields, answer.results)]))
    elif paths is not None:
        print_paths((row.track.path for row in answer.results), paths)
    else:
        _print_answer(answer)
    for text in answer.notes:
        note(text)


def _print_answer(answer: RadioAnswer) -> None:
    screen = console()
    words = () if answer.words is None else (answer.words,)
    names = ", ".join(map(escape, (*(track.display_name for track in answer.seeds), *words)))
    screen.print(f"Session {answer.session}, from [bold]{names}[/bold]")
    screen.print()
    output = track_table("Similarity")
    for row in answer.results:
        add_track(output, row.position, row.track, f"{row.similarity:.3f}")
    screen.print(output)
