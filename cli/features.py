"""``recsys papers features``: the public feature table, computed from audio."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import FILE, NamedPath, json_option, unused_db_option, workers_option
from recsys.cli.output import print_failure, print_json, print_known, progress, shown

if TYPE_CHECKING:
    from recsys.cli.output import ProgressBar
    from recsys.papers.feature_table import FileOutcome


@click.command(short_help="Compute the public feature table from audio.")
@click.option(
    "--data",
    required=True,
    type=NamedPath(),
    metavar="DIR",
    help="Folder of music, DIR/GENRE/track.",
)
@click.option("--out", required=True, type=FILE, metavar="CSV", help="Table to write.")
@click.option(
    "--segment",
    type=click.FloatRange(min=0.1, max=600),
    metavar="SECONDS",
    help="Write a row for each full segment of this length.  [default: a row per track]",
)
@workers_option
@json_option("One line of JSON per file, then a summary.")
@unused_db_option
@click.pass_context
def command(
    ctx: click.Context,
    data: Path,
    out: Path,
    segment: float | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Compute the columns of the public GTZAN feature table for the tracks in DIR/GENRE/.

    57 hand-made features: mean and variance of chroma, level, spectral centroid, bandwidth and
    rolloff, zero crossings, the harmonic and the percussive part and 20 MFCC, and the tempo. Each
    row also has the name of the file, its length in samples at 22,050 Hz, and the genre. At most
    ten minutes of a track are analysed.

    The table is written when all files are done. Run an interrupted command (Ctrl-C, kill) again to
    resume; until then CSV.partial keeps the finished rows. Files that cannot be read, or that hold
    no full segment, are reported and have no row.

    \b
    Examples:
      recsys papers features --data gtzan --out features_30_sec.csv
      recsys papers features --data gtzan --segment 3 --out features_3_sec.csv
    """
    from recsys.papers.feature_table import write_feature_table
    from recsys.workers import default_workers

    with progress("files", "Analysing") as bar:

        def on_file(outcome: FileOutcome, total: int) -> None:
            _report(outcome, total, bar, as_json=as_json)

        outcomes = write_feature_table(
            data, out, segment_s=segment, workers=workers or default_workers(), on_file=on_file
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


def _report(outcome: FileOutcome, total: int, bar: ProgressBar, *, as_json: bool) -> None:
    """Advance the bar, and print a line of JSON, or what went wrong."""
    bar.update(total=total, advance=1, failed=outcome.status == "failed")
    if as_json:
        print_known(
            path=os.fspath(outcome.path),
            status=outcome.status,
            rows=outcome.rows,
            reason=outcome.reason,
            warning=outcome.warning,
        )
        return
    if outcome.reason is not None:
        print_failure(outcome.path, outcome.reason)
    if outcome.warning is not None:
        click.echo(f"warning: {shown(outcome.path)}: {outcome.warning}", err=True)
