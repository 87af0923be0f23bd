"""``recsys index``: bring the library up to date with some folders."""

from __future__ import annotations

from pathlib import Path

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.index_report import IndexReport, follow
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


@click.command(name="index")
@click.argument("folders", nargs=-1, type=NamedPath(urls=False))
@db_option
@json_option("One line of JSON per file as its result is stored, then a summary.")
@device_option
@model_option
@workers_option
@time_limit_option
@effort_option("the library's own; balanced for a new one")
@click.option(
    "--keep-missing",
    is_flag=True,
    help="Keep tracks whose files are gone; do not remove them.",
)
@click.option(
    "--reanalyse",
    is_flag=True,
    help="Analyse everything again if --model or --effort differs from the library's.",
)
@click.option(
    "--genres",
    type=click.Choice(("model", "tags", "own")),
    help="Group the library by these genres, which form the tiers: the model's, the strongest "
    "style among its tags, or those that the files name. Without FOLDERS, nothing else is done.  "
    "[default: unchanged; model for a new library]",
)
@click.option("--watch", is_flag=True, help="Keep watching the folders until Ctrl-C.")
@wait_option
@click.pass_context
def command(
    ctx: click.Context,
    folders: tuple[Path, ...],
    db: Path | None,
    as_json: bool,
    device: str,
    model: Path | None,
    workers: int | None,
    time_limit: float,
    effort: str | None,
    keep_missing: bool,
    reanalyse: bool,
    genres: str | None,
    watch: bool,
    wait: bool,
) -> None:
    """Analyse the tracks in FOLDERS and store the results.

    Run it again whenever files have changed: it analyses only new ones, follows those that moved
    or were retagged, and removes those that are gone. Stop it at any time: finished files are
    stored. Queries work while it runs.

    \b
    Examples:
      recsys index ~/Music
      recsys index ~/Music /mnt/nas/flac --keep-missing
      recsys index ~/Music --watch
      recsys index ~/Music --effort full --reanalyse
      recsys index --genres tags
    """
    from recsys.api import Library
    from recsys.indexing import IndexOptions
    from recsys.indexing.session import nothing_found
    from recsys.library import outermost

    library = Library(db, model=model, device=device, effort=effort)
    if not folders:
        if genres is None:
            raise click.UsageError("Missing argument 'FOLDERS...'.")
        _print_groups(genres, library.sort_by(genres), as_json=as_json)
        return
    options = IndexOptions(
        workers=workers,
        time_limit_s=time_limit,
        keep_missing=keep_missing,
        reanalyse=reanalyse,
        genres=genres,
        wait_s=None if wait else 0.0,
    )
    events = library.index_events(folders, options, watch=watch)
    with progress("tracks", "Indexing") as bar:
        summary = follow(events, IndexReport(bar, as_json=as_json))
    if summary.found == 0:
        raise nothing_found(outermost(folders), summary)
    # Notes name folders that were out of reach, whose tracks were kept.
    if summary.failed or summary.notes:
        ctx.exit(SOME_FILES_FAILED)


def _print_groups(source: str, groups: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        print_json({"genres_from": source, "genres": groups})
        return
    for genre, count in sorted(groups.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"{count:>8} {shown(genre)}")
    click.echo(
        f"{sum(groups.values())} tracks sorted by {source}: {len(groups)} genre groups", err=True
    )
