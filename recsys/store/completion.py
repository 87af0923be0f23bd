"""Names of a library for the completion of a command line, in milliseconds.

It loads neither NumPy nor the :class:`~recsys.store.Store`: a shell starts a program for every
press of the key, and the reader waits.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from recsys.genres import all_genres
from recsys.store.connection import connect, store_error
from recsys.store.search import normalise

if TYPE_CHECKING:
    from pathlib import Path

MOST_ARTISTS = 50
"""Artists that are offered: more nobody reads."""

MOST_ROWS = 20_000
"""Tracks that are looked through for their artists."""

_MODEL = "SELECT info FROM models JOIN library ON models.id = model"
_SOURCE = "SELECT genre_source FROM library"
_MOODS = """SELECT coalesce(mood_settings, '{"table": null}') FROM library"""
_OWN = "SELECT name FROM own_genres ORDER BY name"
_ARTISTS = """SELECT DISTINCT artist FROM tracks WHERE artist IS NOT NULL AND id IN
    (SELECT rowid FROM tracks_fts WHERE tracks_fts MATCH ? LIMIT ?) LIMIT ?"""


def genre_names(database: Path) -> list[str]:
    """Return the names that may be genre groups of a library, in the order of the model."""
    source = _column(database, _SOURCE)[0]
    if source == "own":
        return _column(database, _OWN)
    model = _model(database)
    labels, tags = tuple(model["labels"]), tuple(model["tags"])
    return [*all_genres(labels, tags)] if source == "all" else [*labels]


def tag_names(database: Path) -> list[str]:
    """Return the tags of the model of a library."""
    names: list[str] = _model(database)["tags"]
    return names


def mood_names(database: Path) -> list[str]:
    """Return the moods of the table of a library."""
    import tomllib
    from importlib.resources import files

    settings = json.loads(_column(database, _MOODS)[0])
    text = settings["table"] or files("recsys.data").joinpath("moods.toml").read_text("utf-8")
    return [*tomllib.loads(text)["mood"]]


def artist_names(database: Path, beginning: str) -> list[str]:
    """Return the artists with a word that begins so, those that begin so themselves first."""
    words = [word for word in normalise(beginning).split() if any(map(str.isalnum, word))]
    if not words:
        return []
    phrases = " AND ".join('"' + word.replace('"', " ") + '"' for word in words)
    query = f"{{search_artist}} : ({phrases} *)"  # the last word may be a beginning
    names = _column(database, _ARTISTS, (query, MOST_ROWS, MOST_ARTISTS))
    start = normalise(beginning)
    return sorted(names, key=lambda name: (not normalise(name).startswith(start), name.casefold()))


def _model(database: Path) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(_column(database, _MODEL)[0])
    return model


def _column(database: Path, sql: str, parameters: tuple[object, ...] = ()) -> list[str]:
    try:
        with closing(connect(database, create=False, read_only=True)) as connection:
            return [str(value) for (value,) in connection.execute(sql, parameters)]
    except sqlite3.Error as error:
        raise store_error(database, error) from error
