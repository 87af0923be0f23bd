"""``recsys index --engine ray``: a cluster hears, and writes shards for ``recsys import``."""

from __future__ import annotations

import contextlib
import shlex
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.index_report import Report, follow

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import Progress

    from recsys.cluster.run import ClusterRun

_LOCAL_ONLY = {
    "workers": "the cluster has its own",
    "keep_missing": "shards only ever gain files",
    "reanalyse": "choose a new place with --out instead",
    "genres": "how a library is sorted is its own affair, and shards are no library",
    "watch": "run it again when files have changed",
    "wait": "no library is written",
}
"""Options that a run on a cluster has no use for, and why."""


def index_on_ray(
    ctx: click.Context,
    folders: tuple[Path | str, ...],
    db: Path | None,
    address: str | None,
    out: Path | str | None,
    *,
    as_json: bool,
) -> None:
    """Hear folders and URLs on a Ray cluster; the options are those of ``recsys index``."""
    _refuse_local_options(ctx, folders)

    from recsys.cli.output import progress
    from recsys.cluster.sources import outermost_places
    from recsys.indexing.session import nothing_found

    given = [str(folder) for folder in folders]
    places = outermost_places(given)
    run = _run(ctx, places, db, address, out)
    # Closed at once, whatever ends this: rows in hand are written then.
    with progress("tracks") as bar, contextlib.closing(run.run(given)) as events:
        summary = follow(events, ClusterReport(bar, as_json=as_json))
    if summary.found == 0:
        raise nothing_found(places, summary)
    if not as_json:
        click.echo(f"Next: {_import_command(run.out, places, db)}", err=True)
    if summary.failed or summary.notes:
        ctx.exit(SOME_FILES_FAILED)


def _refuse_local_options(ctx: click.Context, folders: tuple[Path | str, ...]) -> None:
    for name, why in _LOCAL_ONLY.items():
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} does not go with --engine ray: {why}.")
    if ctx.params["device"] == "mps":
        raise click.UsageError("--device mps does not go with --engine ray.")
    if not folders:
        raise click.UsageError("Missing argument 'FOLDERS...'.")


def _run(
    ctx: click.Context,
    places: list[str],
    db: Path | None,
    address: str | None,
    out: Path | str | None,
) -> ClusterRun:
    from recsys.api import default_database
    from recsys.cluster.run import ClusterRun
    from recsys.cluster.sources import is_url, normal_place
    from recsys.library import absolute

    database = default_database() if db is None else absolute(db)
    if out is None:
        if any(map(is_url, places)):
            raise click.UsageError("Say with --out where the shards go: a folder or a URL.")
        out = database.with_suffix(".shards")
    model = ctx.params["model"]
    return ClusterRun(
        out=normal_place(str(out)),
        address=address,
        database=database,
        model=None if model is None else absolute(model),
        device=ctx.params["device"],
        effort=ctx.params["effort"],
    )


def _import_command(shards: str, places: list[str], db: Path | None) -> str:
    """Return what to type to bring the shards into a library."""
    from recsys.cluster.sources import is_url

    library = [] if db is None else ["--db", shlex.quote(str(db))]
    music = [f"--music {shlex.quote(place)}=FOLDER" for place in places if is_url(place)]
    return " ".join(["recsys import", shlex.quote(shards), *music, *library])


class ClusterReport(Report):
    """As for the local engine, but files come back before the shard with them is stored."""

    def __init__(self, bar: Progress | None, *, as_json: bool) -> None:
        super().__init__(bar, as_json=as_json)
        self._by_event = False
        self._failed = 0

    def __call__(self, event: Any) -> None:  # noqa: ANN401 (one of four event types)
        """Take an event in."""
        from recsys.cluster.run import FilesHeard

        if isinstance(event, FilesHeard):
            self._failed += event.failed
            self.advance(event.count, self._failed)
        else:
            super().__call__(event)
