"""``recsys index``: bring the library up to date with some folders."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.index_report import BAR, IndexReport, follow, nothing_in
from recsys.cli.options import (
    NamedPath,
    db_option,
    device_option,
    effort_option,
    json_option,
    model_option,
    time_limit_option,
    wait_option,
    workers_option,
)
from recsys.cli.output import print_json, progress, shown
from recsys.notebook import clock

if TYPE_CHECKING:
    from recsys.types import DeviceName, EffortName, JournalName

KINDS = ("tempo", "key", "loudness")
"""``recsys.types.MixKind``, which imports NumPy; a test compares the two."""

SIZE_LIMIT_GB = 32.0
"""``recsys.types.SIZE_LIMIT_BYTES``, which imports NumPy; a test compares the two."""


def _kinds(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return the names of what is to be measured."""
    names = tuple(name.strip().lower() for name in (value or "").split(",") if name.strip())
    strange = [name for name in names if name not in KINDS]
    if strange or (value is not None and not names):
        raise click.BadParameter(f"{value!r} is none of {', '.join(KINDS)}", ctx, param)
    return names


@click.command(name="index")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=NamedPath(urls=False))
@db_option
@json_option("One line of JSON per file as its result is stored, then a summary.")
@device_option
@model_option
@workers_option
@time_limit_option
@click.option(
    "--size-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=SIZE_LIMIT_GB,
    show_default=True,
    metavar="GB",
    help="Leave out larger files, as failed: unfinished downloads can be huge.",
)
@effort_option("the library's own; balanced for a new one")
@click.option(
    "--keep-missing",
    is_flag=True,
    help="Keep tracks whose files are gone; do not remove them.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what matches, as in .gitignore: 'Podcasts/', '*.wav', '/Old/**/Live'. Give it "
    "several times for several patterns; the library keeps them, and they replace those of "
    "before. '' clears them.",
)
@click.option(
    "--video/--no-video",
    default=None,
    help="Index the sound of videos, too. The library keeps it.  [default: unchanged; no videos]",
)
@click.option(
    "--reread-tags",
    is_flag=True,
    help="Read the tags of all files again, also of those that have not changed.",
)
@click.option(
    "--reanalyse",
    is_flag=True,
    help="Analyse everything again if --model or --effort differs from the library's.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Try again the files that failed before, and those analysed with a warning.",
)
@click.option(
    "--journal",
    type=click.Choice(("wal", "delete")),
    help="How SQLite keeps the library consistent: with wal, queries go on while index writes; on "
    "a network file system (NFS, SMB) only delete works.  [default: unchanged; for a new library "
    "what works where it lies]",
)
@click.option(
    "--genres",
    type=click.Choice(("all", "gtzan", "own")),
    help="Group the library by these genres, which form the tiers: all that the model knows, those "
    "of its classifier head alone (gtzan: the ten of GTZAN in the shipped one), or those that the "
    "files name. Without PATH, nothing else is done.  "
    "[default: unchanged; all for a new library]",
)
@click.option(
    "--also",
    metavar="WHAT",
    callback=_kinds,
    help="Measure tempo, key and loudness, or some of them (tempo,key), of the tracks that lack "
    "it, by decoding all of each: two seconds a song and processor. Tempo and key need the extra "
    "[mix].",
)
@click.option("--watch", is_flag=True, help="Keep watching the folders until Ctrl-C.")
@wait_option
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[Path, ...],
    db: Path | None,
    as_json: bool,
    device: DeviceName,
    model: Path | None,
    workers: int | None,
    time_limit: float,
    size_limit: float,
    effort: EffortName | None,
    keep_missing: bool,
    exclude: tuple[str, ...],
    video: bool | None,
    reread_tags: bool,
    reanalyse: bool,
    retry_failed: bool,
    journal: JournalName | None,
    genres: str | None,
    also: tuple[str, ...],
    watch: bool,
    wait: bool,
) -> None:
    """Analyse the tracks in PATH, a folder or a file, and store the results.

    Run it again whenever files have changed, without PATH for all folders that the library knows:
    it analyses only new files, follows those that moved or were retagged, and removes those that
    are gone. Stop it at any time: finished files are stored. Queries work while it runs.

    A file is indexed alone; its folder does not become one of the library's.

    Files are taken by their names, and by their first bytes where a name leaves it open. The
    summary counts all others. Hidden names are passed over (a dot and a letter), and so are recycle
    bins, snapshots and thumbnails (#recycle, $RECYCLE.BIN, @eaDir, lost+found, ...).

    \b
    Examples:
      recsys index ~/Music
      recsys index
      recsys index ~/Downloads/song.mp3
      recsys index ~/Music /mnt/nas/flac --keep-missing
      recsys index ~/Music --watch
      recsys index --retry-failed
      recsys index ~/Music --exclude Podcasts/ --exclude '*.wav'
      recsys index ~/Music --effort full --reanalyse
      recsys index --genres gtzan
      recsys index --also tempo,key,loudness
    """
    from recsys.api import Library
    from recsys.indexing import IndexOptions
    from recsys.indexing.session import nothing_found
    from recsys.library import absolute
    from recsys.types import GenreSource

    library = Library(db, model=model, device=device, effort=effort)
    source = None if genres is None else GenreSource(genres)
    if not paths and source is not None:
        _print_groups(source, library.sort_by(source.value), as_json=as_json)
        return
    folders = [absolute(path) for path in paths] or library.folders()
    if not folders:
        raise click.UsageError(
            f"Missing argument 'PATH': the library {shown(library.database)} knows no folder yet.\n"
            "  Name one: recsys index ~/Music"
        )
    if watch and all(folder.is_file() for folder in folders):
        raise click.UsageError("--watch requires a folder.")
    options = IndexOptions(
        workers=workers,
        time_limit_s=time_limit,
        keep_missing=keep_missing,
        exclude=tuple(pattern for pattern in exclude if pattern) if exclude else None,
        video=video,
        reread_tags=reread_tags,
        reanalyse=reanalyse,
        genres=None if source is None else source.value,
        wait_s=None if wait else 0.0,
        size_limit=round(size_limit * 1e9),
        retry_failed=retry_failed,
        journal=journal,
        also=also,
    )
    started = time.monotonic()
    events = library.index_events(folders, options, watch=watch)
    with progress("tracks", BAR) as bar:
        report = IndexReport(bar, as_json=as_json, watch=watch)
        summary = follow(events, report, empty_is_error=not watch)
    if nothing_in(summary):
        raise nothing_found(folders, summary)
    if not as_json:
        db_given = ctx.get_parameter_source("db") is ParameterSource.COMMANDLINE
        taken = time.monotonic() - started
        _print_next(library.database, report.example, taken, named=db_given)
    # Notes name folders that were out of reach, whose tracks were kept.
    if summary.failed_now or summary.notes:
        ctx.exit(SOME_FILES_FAILED)


def _print_next(database: Path, example: Path | None, seconds: float, *, named: bool) -> None:
    """Print to standard error where the results are, how long it took, and what to try next.

    A `named` database is named again.
    """
    taken = f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
    click.echo(f"Took {taken}; the library is {shown(database)}", err=True)
    if example is not None:
        command = ["recsys", "similar", os.fspath(example)]
        command += ["--db", os.fspath(database)] if named else []
        click.echo(f"Next: {shown(shlex.join(command))}", err=True)


def _print_groups(source: str, groups: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        print_json({"genres_from": source, "genres": groups})
        return
    for genre, count in sorted(groups.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"{count:>8} {shown(genre)}")
    click.echo(
        f"{sum(groups.values())} tracks sorted by {source}: {len(groups)} genre groups", err=True
    )
