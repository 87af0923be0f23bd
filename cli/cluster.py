"""``recsys cluster``: analyse music on a Ray cluster, and import the results into a library."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.index_report import IndexReport, follow
from recsys.cli.lazy import OrderedGroup
from recsys.cli.options import (
    FILE,
    NamedPath,
    db_option,
    effort_option,
    json_option,
    model_option,
    wait_option,
)
from recsys.cli.output import progress

if TYPE_CHECKING:
    from recsys.types import IndexEvent


class MusicFolder(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """``PREFIX=FOLDER``: the beginning of a path or URL, and the local folder of the same files."""

    name = "PREFIX=FOLDER"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Return the two; the last ``=`` separates them, because keys of buckets may hold one."""
        prefix, sign, folder = str(value).rpartition("=")
        if not sign or not prefix or not folder:
            self.fail(f"{value!r} is not PREFIX=FOLDER", param, ctx)
        return prefix, Path(folder)


@click.group(name="cluster", cls=OrderedGroup)
def command() -> None:
    """Analyse music on a Ray cluster.

    recsys cluster index analyses folders and buckets and writes Parquet shards; recsys cluster
    import stores those in a library. Both need the extra [ray]; see docs/scale.md.
    """


@command.command(name="index")
@click.argument("places", metavar="FOLDERS...", nargs=-1, required=True, type=NamedPath(urls=True))
@click.option(
    "--address",
    help="Cluster to use: HOST:PORT of its head, auto for the one on this machine, or local to "
    "start one for this run.  [env var: RAY_ADDRESS; default: local]",
)
@click.option(
    "--out",
    type=NamedPath(urls=True),
    help="Folder or URL to write the shards to.  [default: a folder next to the library; required "
    "for URLs]",
)
@db_option
@model_option
@effort_option("the library's own; balanced for a new one")
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    show_default=True,
    help="Device of the model. auto takes GPUs where the cluster has some. A device that no "
    "machine has is an error.",
)
@json_option("One line of JSON per file as its shard is written, then a summary.")
@click.pass_context
def index_command(
    ctx: click.Context,
    places: tuple[Path | str, ...],
    address: str | None,
    out: Path | str | None,
    db: Path | None,
    model: Path | None,
    effort: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Analyse FOLDERS on a cluster and write Parquet shards.

    FOLDERS are folders that every machine sees, or URLs such as s3://bucket/music. Run it again to
    resume: files whose result is in a shard are skipped. If there is a library, its model and its
    effort are used; the library itself is not changed.

    \b
    Examples:
      recsys cluster index ~/Music
      recsys cluster index --address head:6379 --out s3://bucket/shards s3://bucket/music
    """
    from recsys.api import Library
    from recsys.cluster.run import ClusterRun
    from recsys.cluster.sources import is_url, normal_place, outermost_places
    from recsys.indexing.session import nothing_found
    from recsys.library import absolute

    given = [str(place) for place in places]
    listed = outermost_places(given)
    database = Library(db).database
    if out is None:
        if any(map(is_url, listed)):
            raise click.UsageError("URLs require --out, where the shards are written.")
        out = database.with_suffix(".shards")
    run = ClusterRun(
        out=normal_place(str(out)),
        address=address,
        database=database,
        model=None if model is None else absolute(model),
        device=device,
        effort=effort,
    )
    # Closed at once whatever ends this: rows that came back are written then.
    with progress("tracks", "Indexing") as bar, contextlib.closing(run.run(given)) as events:
        summary = follow(events, ClusterReport(bar, as_json=as_json), empty_is_error=True)
    if summary.found == 0:
        raise nothing_found(listed, summary)
    if not as_json:
        click.echo(f"Next: {_import_command(run.out, listed, db)}", err=True)
    if summary.failed or summary.notes:
        ctx.exit(SOME_FILES_FAILED)


def _import_command(shards: str, places: list[str], db: Path | None) -> str:
    """Return the command that imports shards into a library."""
    from recsys.cluster.sources import is_url

    library = [] if db is None else ["--db", shlex.quote(str(db))]
    music = [f"--music {shlex.quote(place)}=FOLDER" for place in places if is_url(place)]
    return " ".join(["recsys cluster import", shlex.quote(shards), *music, *library])


class ClusterReport(IndexReport):
    """Progress by files that came back; their events follow when their shard is written."""

    def __call__(self, event: Any) -> None:  # noqa: ANN401 (one of four event types)
        """Report one event."""
        from recsys.cluster.run import FilesAnalysed

        if isinstance(event, FilesAnalysed):
            self._bar.update(advance=event.count, failed=event.failed)
        else:
            super().__call__(event)

    def advance(self, event: IndexEvent) -> None:
        """Leave the bar alone: the file was counted when it came back."""


@command.command(name="import")
@click.argument("shards", metavar="SHARDS...", nargs=-1, required=True)
@db_option
@click.option(
    "--music",
    multiple=True,
    type=MusicFolder(),
    help="Local folder of the files below a URL, or below a folder of another machine; repeat it "
    "for several.",
)
@click.option(
    "--model",
    type=FILE,
    help="Checkpoint that analysed the shards, for a new library.  [default: the shipped one]",
)
@wait_option
@json_option("One line of JSON per file as it is stored, then a summary.")
@click.pass_context
def import_command(
    ctx: click.Context,
    shards: tuple[str, ...],
    db: Path | None,
    music: tuple[tuple[str, Path], ...],
    model: Path | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Import Parquet shards into a library.

    SHARDS are files that recsys cluster index wrote, folders of them, or patterns, local or at a
    URL. All are read once before anything is changed. Importing twice changes nothing; where
    several shards hold a file, its newest version counts.

    \b
    Examples:
      recsys cluster import ~/shards
      recsys cluster import s3://bucket/shards --music s3://bucket/music=/mnt/music
      recsys cluster import 'shards/shard-2026*.parquet' --db other.db
    """
    from recsys.api import Library
    from recsys.cluster.importing import ImportSession
    from recsys.cluster.sources import normal_place
    from recsys.library import absolute

    session = ImportSession(
        database=Library(db).database,
        model=None if model is None else absolute(model),
        music=tuple((normal_place(prefix), absolute(folder)) for prefix, folder in music),
    )
    run = session.run(shards, wait_s=None if wait else 0.0)
    with progress("tracks", "Importing") as bar, contextlib.closing(run) as events:
        summary = follow(events, IndexReport(bar, as_json=as_json))
    if summary.failed or summary.notes:
        ctx.exit(SOME_FILES_FAILED)
