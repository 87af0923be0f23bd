"""``recsys papers features``: the public feature table, from audio."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import NamedPath, db_option, json_option, workers_option

if TYPE_CHECKING:
    from rich.progress import Progress

    from recsys.papers.feature_table import FileOutcome


@click.command(short_help="Describe tracks in the columns of the public feature table.")
@click.option(
    "--data", required=True, type=NamedPath(), metavar="DIR", help="Holds one folder per genre."
)
@click.option(
    "--out",
    required=True,
    type=NamedPath(dir_okay=False),
    metavar="CSV",
    help="Where the table goes.",
)
@click.option(
    "--segment",
    type=click.FloatRange(min=0.1, max=600),
    metavar="SECONDS",
    help="A row for each full segment of this length.  [default: a row per track]",
)
@workers_option
@json_option("One JSON line per file, then a summary.")
@db_option
@click.pass_context
def command(
    ctx: click.Context,
    data: Path,
    out: Path,
    segment: float | None,
    workers: int | None,
    as_json: bool,
    db: Path | None,  # noqa: ARG001 (as on every command)
) -> None:
    """Describe the tracks in DIR/GENRE/ in the columns of the public GTZAN feature table.

    57 hand-made features: mean and variance of chroma, level, spectral centroid, bandwidth and
    rolloff, zero crossings, the harmonic and the percussive part and 20 MFCC, and the tempo. Each
    row also has the name of the file, its length in samples at 22,050 Hz, and the genre. Of a track
    longer than ten minutes the first ten are analysed.

    The table appears when all files are done. Interrupted (Ctrl-C, kill), the command goes on
    where it stopped when it is given again; until then CSV.partial keeps what is done. Files that
    cannot be read, or that hold no full segment, are reported and have no row.

    \b
    Examples:
      recsys papers features --data gtzan --out features_30_sec.csv
      recsys papers features --data gtzan --segment 3 --out features_3_sec.csv
    """
    from recsys.cli.output import print_json, progress
    from recsys.papers.feature_table import write_feature_table

    with progress("files") as bar:
        report = _Report(bar, as_json=as_json)
        outcomes = write_feature_table(
            data, out, segment_s=segment, workers=workers or os.cpu_count() or 1, on_file=report
        )
    files, rows = len(outcomes), sum(outcome.rows for outcome in outcomes)
    statuses = [outcome.status for outcome in outcomes]
    kept, failed = statuses.count("kept"), statuses.count("failed")
    if as_json:
        counts = {"files": files, "rows": rows, "kept": kept, "failed": failed}
        print_json({"summary": {**counts, "out": os.fspath(out)}})
    else:
        before = f", {kept} files done before" if kept else ""
        missing = f", {failed} failed" if failed else ""
        click.echo(f"{out}: {rows} rows of {files} files{before}{missing}")
    if failed:
        ctx.exit(SOME_FILES_FAILED)


class _Report:
    """Turns outcomes into progress, lines of JSON, or words about what went wrong."""

    def __init__(self, bar: Progress | None, *, as_json: bool) -> None:
        self._bar = bar
        self._task = bar.add_task("Analysing", total=None, failed=0) if bar else None
        self._as_json = as_json
        self._failed = 0

    def __call__(self, outcome: FileOutcome, total: int) -> None:
        self._failed += outcome.status == "failed"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total, advance=1, failed=self._failed)
        if self._as_json:
            self._print_json(outcome)
        else:
            self._say(outcome)

    def _print_json(self, outcome: FileOutcome) -> None:
        from recsys.cli.output import print_json

        fields = {
            "path": os.fspath(outcome.path),
            "status": outcome.status,
            "rows": outcome.rows,
            "reason": outcome.reason,
            "warning": outcome.warning,
        }
        print_json({name: value for name, value in fields.items() if value is not None})

    def _say(self, outcome: FileOutcome) -> None:
        from recsys.cli.output import escape, shown

        reported = {"failed": outcome.reason, "warning": outcome.warning}
        for kind, why in reported.items():
            line = f"{kind}: {shown(outcome.path)}: {why}"
            if why is None:
                continue
            if self._bar is not None:
                self._bar.console.print(escape(line), highlight=False, soft_wrap=True)
            else:
                click.echo(line, err=True)
