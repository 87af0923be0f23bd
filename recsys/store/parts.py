"""Which labels sort the tracks into parts: kept beside the tracks, so that changing it is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.names import first_genre, merge_spellings, spelling_key, strongest_styles, style_columns
from recsys.store.rows import blob_matrix, storable_text

if TYPE_CHECKING:
    import sqlite3

    from recsys.types import ModelInfo

_PAGE = 10_000


def own_genre(db: sqlite3.Connection, tag: str | None) -> str | None:
    """Return the name that a file's genre tag goes by in the library; None without one.

    The first name in the tag counts. All spellings of one genre go by one name: the commonest when
    the library was sorted by tags, or else the first that was met.
    """
    name = first_genre(storable_text(tag))
    if name is None:
        return None
    key = spelling_key(name)
    db.execute("INSERT OR IGNORE INTO own_genres (key, name) VALUES (?, ?)", (key, name))
    return str(db.execute("SELECT name FROM own_genres WHERE key = ?", (key,)).fetchone()[0])


def merge_own_genres(db: sqlite3.Connection) -> None:
    """Name the genre of every track by the commonest spelling in the library."""
    tags = db.execute(
        "SELECT genre_tag, count(*) FROM tracks WHERE genre_tag IS NOT NULL GROUP BY genre_tag"
    ).fetchall()
    first = {tag: name for tag, _ in tags if (name := first_genre(tag))}
    merged = merge_spellings(
        first[tag] for tag, count in tags if tag in first for _ in range(count)
    )
    names = {genre.key: genre.name for genre in merged}
    db.execute("DELETE FROM own_genres")
    db.executemany("INSERT INTO own_genres (key, name) VALUES (?, ?)", names.items())
    db.execute("UPDATE tracks SET own_genre = NULL")
    db.execute("CREATE TEMP TABLE meant (tag TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID")
    db.executemany(
        "INSERT INTO meant VALUES (?, ?)",
        [(tag, names[spelling_key(name)]) for tag, name in first.items()],
    )
    db.execute("UPDATE tracks SET own_genre = (SELECT name FROM meant WHERE tag = genre_tag)")
    db.execute("DROP TABLE meant")


def find_styles(db: sqlite3.Connection, model: ModelInfo | None) -> None:
    """Note the strongest style of every sound that the model has analysed."""
    if model is None or not style_columns(model):
        return
    last = -1
    sql = (
        "SELECT rowid, tags FROM analyses WHERE fingerprint = ? AND tags IS NOT NULL AND rowid > ?"
        " ORDER BY rowid LIMIT ?"
    )
    while rows := db.execute(sql, (model.fingerprint, last, _PAGE)).fetchall():
        scores = blob_matrix([blob for _, blob in rows], len(model.tags))
        styles = strongest_styles(model, scores)
        db.executemany(
            "UPDATE analyses SET style = ? WHERE rowid = ?",
            [(style, number) for style, (number, _) in zip(styles, rows, strict=True)],
        )
        last = rows[-1][0]
