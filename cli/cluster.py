"""``recsys cluster``: analyse music on a Ray cluster, and import the results into a library."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.index_report import Report, follow
from recsys.cli.options import NamedPath, db_option, effort_option, json_option, model_option

if TYPE_CHECKING:
    from rich.progress import Progress


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


class MusicFolder(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """``PREFIX=FOLDER``: the beginning of a path or URL, and the folder here that stands for it."""

    name = "PREFIX=FOLDER"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Return the two; the last ``=`` separates them, because keys of buckets may hold one."""
        prefix, sign, folder = str(value).rpartition("=")
        if not sign or not prefix or not folder:
            self.fail(f"{value!r} is not PREFIX=FOLDER", param, ctx)
        return prefix, Path(folder)


@click.group(name="cluster")
def command() -> None:
    """Analyse music on a Ray cluster.

    A cluster analyses folders and buckets and writes Parquet shards; importing brings those into a
    library. Needs the extra [ray]; see docs/scale.md.
    """


@command.command(name="index")
@click.argument("places", metavar="FOLDERS...", nargs=-1, required=True, type=NamedPlace())
@click.option(
    "--address",
    help="The cluster: HOST:PORT of its head, auto for the one on this machine, or local to start "
    "one for this run.  [env var: RAY_ADDRESS; default: local]",
)
@click.option(
    "--out",
    type=NamedPlace(),
    help="Where to write the shards: a folder or a URL.  [default: a folder beside the library; "
    "required for URLs]",
)
@db_option
@model_option
@effort_option("the library's own; balanced for a new one")
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    show_default=True,
    help="Where the model runs. A device that no machine has is an error.",
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
    go on: files whose result is in a shard are skipped. The model and the effort are those of the
    library, if there is one; the library itself is not changed.

    \b
    Examples:
      recsys cluster index ~/Music
      recsys cluster index --address head:6379 --out s3://bucket/shards s3://bucket/music
    """
    from recsys.api import default_database
    from recsys.cli.output import progress
    from recsys.cluster.run import ClusterRun
    from recsys.cluster.sources import is_url, normal_place, outermost_places
    from recsys.indexing.session import nothing_found
    from recsys.library import absolute

    given = [str(place) for place in places]
    listed = outermost_places(given)
    database = default_database() if db is None else absolute(db)
    if out is None:
        if any(map(is_url, listed)):
            raise click.UsageError("For URLs, give --out: where to write the shards.")
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
    with progress("tracks") as bar, contextlib.closing(run.run(given)) as events:
        summary = follow(events, ClusterReport(bar, as_json=as_json))
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


class ClusterReport(Report):
    """Progress by files that came back; their events follow when their shard is written."""

    def __init__(self, bar: Progress | None, *, as_json: bool) -> None:
        super().__init__(bar, as_json=as_json)
        self._by_event = False
        self._failed = 0

    def __call__(self, event: Any) -> None:  # noqa: ANN401 (one of four event types)
        """Take an event in."""
        from recsys.cluster.run import FilesAnalysed

        if isinstance(event, FilesAnalysed):
            self._failed += event.failed
            self.advance(event.count, self._failed)
        else:
            super().__call__(event)


@command.command(name="import")
@click.argument("shards", metavar="SHARDS...", nargs=-1, required=True)
@db_option
@click.option(
    "--music",
    multiple=True,
    type=MusicFolder(),
    help="The folder here that stands for a URL, or for a folder of another machine; may be "
    "repeated.",
)
@click.option(
    "--model",
    type=NamedPath(dir_okay=False),
    help="Checkpoint that analysed the shards, for a new library.  [default: the shipped one]",
)
@click.option("--wait", is_flag=True, help="If another run holds the library, wait for it.")
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

    SHARDS are files, folders of them, or patterns, here or at a URL: what `recsys cluster index`
    wrote. All are read once before anything is changed. Importing twice changes nothing; where
    several shards hold a file, its newest version counts.

    \b
    Examples:
      recsys cluster import ~/shards
      recsys cluster import s3://bucket/shards --music s3://bucket/music=/mnt/music
      recsys cluster import 'shards/shard-2026*.parquet' --db other.db
    """
    from recsys.api import default_database
    from recsys.cli.output import progress
    from recsys.cluster.importing import ImportSession
    from recsys.cluster.sources import normal_place
    from recsys.library import absolute

    session = ImportSession(
        database=default_database() if db is None else absolute(db),
        model=None if model is None else absolute(model),
        music=tuple((normal_place(prefix), absolute(folder)) for prefix, folder in music),
    )
    run = session.run(shards, wait_s=None if wait else 0.0)
    with progress("tracks") as bar, contextlib.closing(run) as events:
        summary = follow(events, Report(bar, as_json=as_json, verb="Importing"))
    if summary.failed or summary.notes:
        ctx.exit(SOME_FILES_FAILED)
