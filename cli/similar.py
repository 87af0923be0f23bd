"""``recsys similar``: tracks similar to a track."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from recsys.cli.choosing import ask_about_groups
from recsys.cli.options import (
    completed_by,
    db_option,
    device_option,
    filter_options,
    genre_option,
    index_option,
    json_option,
    lean_options,
    library_place,
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
from recsys.fields import answer_fields, result_fields, words_of
from recsys.notebook import clock

if TYPE_CHECKING:
    from rich.console import Console

    from recsys.recommender import Answer
    from recsys.types import DeviceName

GENRES_SHOWN = 4
"""Genres named in the heading of the table."""


@click.command(name="similar")
@click.argument(
    "seeds",
    nargs=-1,
    metavar="[TRACK]...",
    shell_complete=completed_by("tracks"),
)
@lean_options
@click.option(
    "--k", "-k", type=click.IntRange(min=1), default=20, show_default=True, help="Number of tracks."
)
@click.option(
    "--strategy",
    type=click.Choice(("tiers", "similarity")),
    default="tiers",
    show_default=True,
    help="tiers: the query's genre first, then related genres; similarity: by embedding alone.",
)
@genre_option("Only tracks of this genre.")
@tag_option("Only tracks with this tag (mellow, 80s, party, ...); repeat it to require several.")
@click.option(
    "--max-per-artist", type=click.IntRange(min=1), help="Maximum number of tracks by one artist."
)
@click.option("--no-same-album", is_flag=True, help="Exclude the album of the query.")
@click.option(
    "--show-duplicates",
    is_flag=True,
    help="Include copies and other versions of the same recording.",
)
@words_option(
    "Words for the sound, as in 'slow sad piano without vocals from the 80s'. Alone, they rank the "
    "library; with TRACK, the tracks nearest to it."
)
@filter_options
@click.option(
    "--save-blend",
    "blend",
    metavar="NAME",
    help="Save the query under this name: blend:NAME is then a TRACK.",
)
@no_taste_option
@click.option("--explain", is_flag=True, help="Give the reasons for each rank.")
@json_option("One JSON object: query, genre scores, results.")
@path_options
@db_option
@index_option
@device_option
def command(
    seeds: tuple[str, ...],
    like: tuple[str, ...],
    not_like: tuple[str, ...],
    k: int,
    strategy: Literal["tiers", "similarity"],
    genre: str | None,
    tags: tuple[str, ...],
    words: str | None,
    max_per_artist: int | None,
    no_same_album: bool,
    show_duplicates: bool,
    filters: dict[str, Any],
    blend: str | None,
    no_taste: bool,
    explain: bool,
    as_json: bool,
    paths: str | None,
    db: Path | None,
    index: str | None,
    device: DeviceName,
) -> None:
    """Find tracks similar to TRACK.

    TRACK is the path of an audio file, in the library or not, an id, or a quoted text: a name as
    recsys prints it, an artist or album, which stands for its tracks, or words of artist, title,
    album and genre tag. id:, title:, artist: and album: before it say which is meant; ./42 is a
    file where 42 is an id. Several tracks form one query; blend:NAME is one that was saved.

    \b
    Examples:
      recsys similar song.mp3 --k 20
      recsys similar "miles davis so what" --max-per-artist 2
      recsys similar "artist:Miles Davis"
      recsys similar a.flac b.flac --explain
      recsys similar a.flac b.flac --not-like c.flac --save-blend sunday
      recsys similar blend:sunday
      recsys similar song.mp3 --tag mellow --tag acoustic
      recsys similar song.mp3 --no-same-artist --exclude ~/Music/Audiobooks --max-length 12m
      recsys similar song.mp3 --paths | mpc add
      recsys similar --words "slow sad piano without vocals from the 80s"
      recsys similar song.mp3 --words "but slower, with a female voice"
    """
    if as_json and paths is not None:
        raise click.UsageError(f"--json and --{paths} exclude each other.")
    if not seeds and not like and words is None:
        raise click.UsageError("Missing argument 'TRACK...', or --words.")
    # Every thread of OpenBLAS spins for some 25 ms after NumPy is loaded, and no query uses them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from recsys.api import Library
    from recsys.recommender import SimilarOptions
    from recsys.recommender.filters import Filters

    options = SimilarOptions(
        k=k,
        strategy=strategy,
        genre=genre,
        tags=tags,
        max_per_artist=max_per_artist,
        no_same_album=no_same_album,
        show_duplicates=show_duplicates,
        filters=Filters(**filters),
        taste=not no_taste,
    )
    database, place = library_place(db, index)
    with Library(database, index=place, device=device) as library:
        answer = ask_about_groups(
            (seeds, like, not_like),
            lambda given: library.similar(
                given[0],
                options,
                explain=explain,
                like=given[1],
                not_like=given[2],
                words=words,
            ),
            may_ask=not as_json,
        )
        if blend is not None:
            library.save_blend(blend, answer.query)
    if as_json:
        rows = [result_fields(row, explain=explain) for row in answer.results]
        print_json(answer_fields(answer, rows))
    elif paths is not None:
        print_paths((row.track.path for row in answer.results), paths)
        if (reading := words_of(answer)) is not None:
            note(f"read as: {reading}")
    else:
        _print_answer(answer, explain=explain)
    for text in answer.notes:
        note(text)
    if blend is not None:
        without = "" if words_of(answer) is None else " without the words"
        again = f"recsys similar {shlex.quote(f'blend:{blend}')}"
        note(f"saved{without}; ask it again with: {again}")
    # An untrained model gives all tracks almost the same embedding.
    if len(answer.results) < k and answer.filtered.get("near_duplicate", 0) > len(answer.results):
        note(
            "almost all results are near-duplicates; the model may be under-trained "
            "(--show-duplicates lists them)"
        )


def _print_answer(answer: Answer, *, explain: bool) -> None:
    from recsys.types import SeedKind, SeedRole

    screen = console()
    readings = answer.query.readings
    groups = {SeedKind.ARTIST, SeedKind.ALBUM, SeedKind.BLEND}
    wanted, unwanted = (
        ", ".join(
            escape(f"the {read.kind} {read.name}" if read.kind in groups else read.name)
            for read in readings
            if (read.role is SeedRole.NOT_LIKE) == is_unwanted
        )
        for is_unwanted in (False, True)
    )
    names = f"[bold]{wanted}[/bold]" + (f", not like [bold]{unwanted}[/bold]" if unwanted else "")
    words = words_of(answer)
    if words is not None:
        screen.print(f"Read as: [bold]{escape(str(words))}[/bold]")
    if readings:
        screen.print(f"Like {names}: {escape(answer.genre_group)} ({_genres(answer)})")
    screen.print()
    if explain:
        _print_reasons(answer, screen)
    else:
        _print_table(answer, screen)


def _genres(answer: Answer) -> str:
    """Return probabilities as ``classify`` shows them, or scores of groups of another source."""
    from recsys.recommender.explanations import percent

    if any(genre not in answer.probabilities for genre, _ in answer.genre_scores):
        scores = answer.genre_scores[:GENRES_SHOWN]
        return "scores: " + ", ".join(f"{escape(genre)} {score:.2f}" for genre, score in scores)
    ranked = sorted(answer.probabilities.items(), key=lambda item: -item[1])[:GENRES_SHOWN]
    return ", ".join(f"{genre} {percent(p)}" for genre, p in ranked)


def _print_table(answer: Answer, screen: Console) -> None:
    figure = "Similarity" if words_of(answer) is None else "Score"
    output = track_table("Tier", figure)
    for row in answer.results:
        number = f"{row.similarity:.3f}" if row.score is None else f"{row.score:.2f}"
        add_track(output, row.rank, row.track, str(row.tier or "-"), number)
    screen.print(output)


def _print_reasons(answer: Answer, screen: Console) -> None:
    from rich.padding import Padding

    from recsys.recommender.filters import reasons

    for row in answer.results:
        length = clock(row.track.duration_s)
        screen.print(f"{row.rank:>3}  [bold]{escape(row.track.display_name)}[/bold] ({length})")
        words, *numbers = map(escape, row.reasons)
        screen.print(
            Padding(f"{words}\n[dim]{'; '.join(numbers)}[/dim]", (0, 0, 0, 5), expand=False)
        )
    if answer.filtered:
        screen.print(f"\nFiltered out: {escape(reasons(answer.filtered))}")
