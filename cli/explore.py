"""``recsys papers explore``: pictures of a collection of genres."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import NamedPath, db_option, json_option, workers_option

if TYPE_CHECKING:
    from recsys.papers.explore import Gallery, Sources

_FILE = NamedPath(dir_okay=False)


@click.command(short_help="Draw pictures of a collection of genres.")
@click.option("--data", type=NamedPath(), metavar="DIR", help="Folder of music, DIR/GENRE/track.")
@click.option("--out", required=True, type=NamedPath(), metavar="DIR", help="Where they go.")
@click.option(
    "--track",
    type=_FILE,
    metavar="FILE",
    help="Draw this track.  [default: the first of --data that can be read]",
)
@click.option(
    "--table",
    type=_FILE,
    metavar="CSV",
    help="Read the features from this table, made by recsys papers features, instead of "
    "analysing all of --data.",
)
@workers_option
@json_option("One JSON object.")
@db_option
@click.pass_context
def command(
    ctx: click.Context,
    data: Path | None,
    out: Path,
    track: Path | None,
    table: Path | None,
    workers: int | None,
    as_json: bool,
    db: Path | None,  # noqa: ARG001 (as on every command)
) -> None:
    """Draw pictures of a collection of genres, DIR/GENRE/track.

    Waveform, chroma, MFCC and mel spectrogram of one track; correlation of the features; tempo
    and spectral centroid by genre; the genres on two principal components; the decision boundary
    of an SVM on two features. OUT/index.html shows them all. What cannot be drawn is left out
    and reported. No library is needed and none is changed. It needs the extra [papers].

    \b
    Examples:
      recsys papers explore --data ~/Music/by-genre --out pictures
      recsys papers explore --data gtzan --track gtzan/blues/blues.00000.wav --out pictures
      recsys papers explore --table features_30_sec.csv --out pictures --json
    """
    from recsys.papers.explore import Sources

    if data is None and table is None:
        raise click.UsageError("Give --data DIR, or --table CSV, or both.")
    gallery = _explore(Sources(data, table, track), out, workers)
    if as_json:
        _print_json(gallery)
    else:
        _print(gallery)
    if gallery.failed:
        ctx.exit(SOME_FILES_FAILED)


def _explore(sources: Sources, out: Path, workers: int | None) -> Gallery:
    from recsys.cli.output import progress
    from recsys.papers.explore import explore

    with progress("tracks") as bar:
        if bar is None:
            return explore(sources, out, workers=workers)
        task = bar.add_task("Analysing", total=None, failed=0)
        failed = 0

        def advance(is_failure: bool) -> None:
            nonlocal failed
            failed += is_failure
            bar.update(task, advance=1, failed=failed)

        return explore(
            sources,
            out,
            workers=workers,
            on_start=lambda total: bar.update(task, total=total),
            on_file=advance,
        )


def _print(gallery: Gallery) -> None:
    from recsys.cli.output import note, shown

    for path, reason in gallery.failed.items():
        click.echo(f"failed: {shown(path)}: {reason}", err=True)
    for name, reason in gallery.skipped:
        note(f"no picture {name}: {reason}")
    for line in gallery.notes:
        note(line)
    rows = sum(gallery.genres.values())
    click.echo(
        f"{shown(gallery.page)}: {len(gallery.pictures)} pictures, {rows} rows of "
        f"{len(gallery.genres)} genres from {shown(gallery.source)}"
    )


def _print_json(gallery: Gallery) -> None:
    import os

    from recsys.cli.output import print_json

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
            "failed": [
                {"path": os.fspath(path), "reason": why} for path, why in gallery.failed.items()
            ],
            "notes": gallery.notes,
        }
    )
