"""``recsys papers explore``: plots of a collection of genres."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import FILE, NamedPath, json_option, unused_db_option, workers_option
from recsys.cli.output import failures_json, note, print_failure, print_json, progress, shown

if TYPE_CHECKING:
    from recsys.papers.explore import Gallery


@click.command(short_help="Plot a collection of genres.")
@click.option("--data", type=NamedPath(), metavar="DIR", help="Folder of music, DIR/GENRE/track.")
@click.option(
    "--out", required=True, type=NamedPath(), metavar="DIR", help="Folder to write the plots to."
)
@click.option(
    "--track",
    type=FILE,
    metavar="FILE",
    help="Draw this track.  [default: the first of --data that can be read]",
)
@click.option(
    "--table",
    type=FILE,
    metavar="CSV",
    help="Read the features from this table of recsys papers features, instead of analysing all "
    "of --data.",
)
@workers_option
@json_option("One JSON object.")
@unused_db_option
@click.pass_context
def command(
    ctx: click.Context,
    data: Path | None,
    out: Path,
    track: Path | None,
    table: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Plot a collection of genres, DIR/GENRE/track.

    Waveform, chroma, MFCC, mel spectrogram and spectral centroid of one track; correlation of the
    features; tempo and spectral centroid by genre; the genres on two principal components; the
    decision boundary of an SVM on two features; spectrograms of pairs of genres. OUT/index.html
    shows them all. Plots that cannot be drawn are left out and reported. No library is needed.

    \b
    Examples:
      recsys papers explore --data ~/Music/by-genre --out plots
      recsys papers explore --data gtzan --track gtzan/blues/blues.00000.wav --out plots
      recsys papers explore --table features_30_sec.csv --out plots --json
    """
    from recsys.papers.explore import Sources, explore

    # A table alone is enough: then there are no plots of a track.
    if data is None and table is None:
        raise click.UsageError("Give --data DIR, or --table CSV, or both.")
    with progress("tracks", "Analysing") as bar:
        gallery = explore(
            Sources(data, table, track),
            out,
            workers=workers,
            on_start=bar.start,
            on_file=bar.advance,
        )
    if as_json:
        _print_json(gallery)
    else:
        _print(gallery)
    if gallery.failed:
        ctx.exit(SOME_FILES_FAILED)


def _print(gallery: Gallery) -> None:
    for path, reason in gallery.failed.items():
        print_failure(path, reason)
    for name, reason in gallery.skipped:
        note(f"no plot {name}: {reason}")
    for line in gallery.notes:
        note(line)
    rows = sum(gallery.genres.values())
    click.echo(
        f"{shown(gallery.page)}: {len(gallery.pictures)} plots, {rows} rows of "
        f"{len(gallery.genres)} genres from {shown(gallery.source)}"
    )


def _print_json(gallery: Gallery) -> None:
    print_json(
        {
            "page": os.fspath(gallery.page),
            "source": gallery.source,
            "genres": gallery.genres,
            "pictures": [
                {"file": picture.file_name, "title": picture.title, "caption": picture.caption}
                for picture in gallery.pictures
            ],
            "skipped": [{"picture": name, "reason": why} for name, why in gallery.skipped],
            "failed": failures_json(gallery.failed),
            "notes": gallery.notes,
        }
    )
