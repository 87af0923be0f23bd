"""``recsys index``: bring the library up to date with some folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    pass


class NamedPlace(NamedPath):
    """A path that is not empty, or a URL."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 (as click has it)
        """Return a URL as it is, a str, and anything else as a Path."""
        if isinstance(value, str) and "://" in value:
            return value
        return super().convert(value, param, ctx)


@click.command(name="index")
@click.argument("folders", nargs=-1, type=NamedPlace())
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
@click.option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    show_default=True,
    help="What does the work: this process, or a Ray cluster, which hears folders and URLs into "
    "shards of Parquet for `recsys import`; see docs/cluster.md.",
)
@click.option(
    "--address",
    help="The Ray cluster: HOST:PORT of its head, auto for the one on this machine, or local to "
    "start one.  [env var: RAY_ADDRESS; default: local]",
)
@click.option(
    "--out",
    type=NamedPlace(),
    help="Where the shards go, with --engine ray: a folder or a URL.  [default: a folder beside "
    "the library; needed for URLs]",
)
@click.option("--watch", is_flag=True, help="Go on following the folders until Ctrl-C.")
@click.option("--wait", is_flag=True, help="If another run holds the library, wait for it.")
@click.pass_context
def command(
    ctx: click.Context,
    folders: tuple[Path | str, ...],
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
    engine: str,
    address: str | None,
    out: Path | str | None,
    watch: bool,
    wait: bool,
) -> None:
    """Listen to every track in FOLDERS and remember what was heard.

    Run it again whenever files have changed: it looks only into what is new, follows files that
    moved or were retagged, and drops those that are gone. Stopping it loses nothing; results can
    be asked for while it runs.

    \b
    Examples:
      recsys index ~/Music
      recsys index ~/Music /mnt/nas/flac --keep-missing
      recsys index ~/Music --watch
      recsys index ~/Music --effort full --reanalyse
      recsys index --genres tags
      recsys index --engine ray --address head:6379 --out s3://bucket/heard s3://bucket/music
    """
    if engine == "ray":
        from recsys.cli.index_on_ray import index_on_ray

        index_on_ray(ctx, folders, db, address, out, as_json=as_json)
        return
    _check_local(folders, address, out)
    from recsys.api import Library
    from recsys.cli.output import progress
    from recsys.indexing.session import nothing_found
    from recsys.library import outermost

    library = Library(db, model=model, device=device, effort=effort)
    if not folders:
        if genres is None:
            raise click.UsageError("Missing argument 'FOLDERS...'.")
        _print_parts(genres, library.sort_by(genres), as_json=as_json)
        return
    events = library.index_events(
        folders,
        workers=workers,
        keep_missing=keep_missing,
        reanalyse=reanalyse,
        genres=genres,
        wait_s=None if wait else 0.0,
        watch=watch,
        time_limit_s=time_limit,
    )
    with progress("tracks") as bar:
        summary = follow(events, Report(bar, as_json=as_json))
    if summary.found == 0:
        raise nothing_found(outermost(folders), summary)
    if summary.failed or summary.notes:
        ctx.exit(SOME_FILES_FAILED)


def _check_local(
    folders: tuple[Path | str, ...], address: str | None, out: Path | str | None
) -> None:
    """Refuse what only a cluster can do."""
    for name, value in (("--address", address), ("--out", out)):
        if value is not None:
            raise click.UsageError(f"{name} needs --engine ray.")
    url = next((folder for folder in folders if isinstance(folder, str)), None)
    if url is not None:
        raise click.UsageError(
            f"{url} is no folder of this machine; add --engine ray, which can hear it."
        )


def _print_parts(source: str, parts: dict[str, int], *, as_json: bool) -> None:
    """Say how a library is sorted now."""
    from recsys.cli.output import print_json, shown

    if as_json:
        print_json({"genres_from": source, "genres": parts})
        return
    for label, count in sorted(parts.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"{count:>8} {shown(label)}")
    click.echo(f"{sum(parts.values())} tracks sorted by {source}: {len(parts)} labels", err=True)
