"""``recsys index``: bring the library up to date with some folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.index_report import Report, follow
from recsys.cli.options import (
    NamedPath,
    db_option,
    device_option,
    effort_option,
    json_option,
    model_option,
    time_limit_option,
    workers_option,
)


class Folder(NamedPath):
    """A path that is not empty and no URL."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 (as click has it)
        """Refuse a URL, and return a Path."""
        if isinstance(value, str) and "://" in value:
            self.fail(f"{value} is no folder; recsys cluster index reads URLs", param, ctx)
        return super().convert(value, param, ctx)


@click.command(name="index")
@click.argument("folders", nargs=-1, type=Folder())
@db_option
@json_option("One line of JSON per file as its result is stored, then a summary.")
@device_option
@model_option
@workers_option
@time_limit_option
@effort_option("the library's own; balanced for a new one")
@click.option(
    "--keep-missing", is_flag=True, help="Keep tracks whose files are gone, instead of removing."
)
@click.option(
    "--reanalyse",
    is_flag=True,
    help="Analyse everything again if the model or the effort is another than the library's.",
)
@click.option(
    "--genres",
    type=click.Choice(("model", "tags", "own")),
    help="Which labels sort the library from now on and make the tiers: the model's genres, the "
    "strongest style among its tags, or the genres that the files name. Without FOLDERS, that is "
    "all that is done.  [default: as it is; model for a new library]",
)
@click.option("--watch", is_flag=True, help="Go on following the folders until Ctrl-C.")
@click.option("--wait", is_flag=True, help="If another run holds the library, wait for it.")
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

    Run it again whenever files have changed: it analyses only what is new, follows files that
    moved or were retagged, and removes those that are gone. Stopping it loses nothing, and
    queries work while it runs.

    \b
    Examples:
      recsys index ~/Music
      recsys index ~/Music /mnt/nas/flac --keep-missing
      recsys index ~/Music --watch
      recsys index ~/Music --effort full --reanalyse
      recsys index --genres tags
    """
    from recsys.api import Library
    from recsys.cli.output import progress
    from recsys.indexing import IndexOptions
    from recsys.indexing.session import nothing_found
    from recsys.library import outermost

    library = Library(db, model=model, device=device, effort=effort)
    if not folders:
        if genres is None:
            raise click.UsageError("Missing argument 'FOLDERS...'.")
        _print_parts(genres, library.sort_by(genres), as_json=as_json)
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
    with progress("tracks") as bar:
        summary = follow(events, Report(bar, as_json=as_json))
    if summary.found == 0:
        raise nothing_found(outermost(folders), summary)
    if summary.failed or summary.notes:
        ctx.exit(SOME_FILES_FAILED)


def _print_parts(source: str, parts: dict[str, int], *, as_json: bool) -> None:
    """Say how a library is sorted now."""
    from recsys.cli.output import print_json, shown

    if as_json:
        print_json({"genres_from": source, "genres": parts})
        return
    for label, count in sorted(parts.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"{count:>8} {shown(label)}")
    click.echo(f"{sum(parts.values())} tracks sorted by {source}: {len(parts)} labels", err=True)
