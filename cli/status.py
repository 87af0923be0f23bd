"""``recsys status``: tracks, genres, failures, model and index of a library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.options import db_option, index_option, json_option, library_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.library_status import LibraryStatus
    from recsys.milvus.catalogue import SharedStatus


SOURCES = {
    "model": "the model's own (recsys index --genres model)",
    "tags": "the strongest style among the model's tags (recsys index --genres tags)",
    "own": "those that the files name (recsys index --genres own)",
}
"""The labels that form the tiers of a library."""


@click.command(name="status")
@click.option(
    "--failures", is_flag=True, help="List the files that could not be analysed, and why."
)
@click.option(
    "--tags", is_flag=True, help="List the model's tags with the number of tracks of each."
)
@json_option("One JSON object.")
@db_option
@index_option
def command(failures: bool, tags: bool, as_json: bool, db: Path | None, index: str | None) -> None:
    """Show the state of the library: tracks, genres, failures, model, sizes, index.

    \b
    Examples:
      recsys status
      recsys status --failures
      recsys status --tags
      recsys status --index milvus://music.example:19530
    """
    if failures and tags:
        raise click.UsageError("--failures and --tags exclude each other.")
    from recsys.api import Library
    from recsys.cli.output import print_json, shown

    database, place = library_place(db, index)
    if place is not None and (failures or tags):
        raise click.UsageError("--failures and --tags require --db.")
    with Library(database, index=place) as library:
        if place is not None:
            _print_shared(library.shared_status(), as_json=as_json)
            return
        if tags:
            _print_tags(library.tag_counts(), as_json=as_json)
            return
        status = library.status()
        failed = library.failures() if failures or as_json else []
    reasons = [{"path": os.fspath(f.file.path), "reason": f.reason} for f in failed]
    if as_json:
        print_json(status_json(status) | {"failures_list": reasons})
    elif failures:
        for row in reasons:
            click.echo(f"{shown(row['path'])}: {row['reason']}")
        click.echo(f"{len(reasons)} files could not be analysed", err=True)
    else:
        _print(status)


def _print_shared(status: SharedStatus, *, as_json: bool) -> None:
    from recsys.cli.output import print_json

    if as_json:
        fields = {
            "place": status.place,
            "model": {"name": status.model, "fingerprint": status.fingerprint},
            "effort": status.effort,
            "tracks": status.tracks,
            "genres_from": status.genre_source,
            "genres": status.genres,
            "tags": list(status.tags),
            "roots": [os.fspath(root) for root in status.roots],
        }
        print_json(fields)
        return
    rows = {
        "Place": status.place,
        "Model": f"{status.model} ({status.fingerprint})",
        "Effort": status.effort,
        "Genres": SOURCES[status.genre_source],
        "Tracks": str(status.tracks),
    }
    for name, value in rows.items():
        click.echo(f"{name + ':':<10} {value}")
    for root in status.roots:
        click.echo(f"{'Folder:':<10} {root}")
    _print_genres(status.genres)


def _print_genres(counts: Mapping[str, int]) -> None:
    from recsys.cli.output import console, escape, table

    genres = table("Genre", "Tracks", right=(1,))
    for genre, count in counts.items():
        genres.add_row(escape(genre), str(count))
    console().print(genres)


def _print_tags(counts: dict[str, int], *, as_json: bool) -> None:
    from recsys.cli.output import console, escape, print_json, table

    if as_json:
        print_json({"tags": counts})
        return
    output = table("Tag", "Tracks", right=(1,))
    for tag, count in counts.items():
        output.add_row(escape(tag), str(count))
    console().print(output)


def status_json(status: LibraryStatus) -> dict[str, object]:
    """Return the status as scripts read it."""
    return {
        "database": os.fspath(status.database),
        "database_bytes": status.database_bytes,
        "index_bytes": status.index_bytes,
        "model": {"name": status.model, "fingerprint": status.fingerprint},
        "effort": status.effort,
        "tracks": status.tracks,
        "genres_from": status.genre_source,
        "genres": status.genres,
        "tags": list(status.tags),
        "failures": status.failures,
        "missing": status.missing,
        "unanalysed": status.unanalysed,
        "roots": [
            {"path": os.fspath(root), "available": there} for root, there in status.roots.items()
        ],
        "index": {
            "fresh": not status.index_problems,
            "problems": list(status.index_problems),
            "recall_at_20": status.recall_at_20,
        },
    }


def _print(status: LibraryStatus) -> None:
    from recsys.cli.output import human_size

    rows = {
        "Library": f"{status.database} ({human_size(status.database_bytes)})",
        "Index": f"{human_size(status.index_bytes)}, "
        + ("; ".join(status.index_problems) or "current"),
        "Model": f"{status.model} ({status.fingerprint})" if status.model else "none yet",
        "Effort": status.effort or "none yet",
        "Genres": SOURCES[status.genre_source],
        "Tags": f"{len(status.tags)} (recsys status --tags lists them)"
        if status.tags
        else "none in this model",
        "Tracks": str(status.tracks),
        "Failures": f"{status.failures}"
        + (" (recsys status --failures lists them)" if status.failures else ""),
    }
    if status.missing:
        rows["Missing"] = f"{status.missing} tracks without a file (--keep-missing)"
    if status.unanalysed:
        rows["To do"] = f"{status.unanalysed} tracks not yet analysed by the current model"
    for genre, recall in status.recall_at_20.items():
        rows[genre] = f"approximate search, measured recall@20 {recall:.3f}"
    for name, value in rows.items():
        click.echo(f"{name + ':':<10} {value}")
    for root, there in status.roots.items():
        gone = "" if there else " (not available; its tracks are kept)"
        click.echo(f"{'Folder:':<10} {root}{gone}")
    if status.genres:
        _print_genres(status.genres)
