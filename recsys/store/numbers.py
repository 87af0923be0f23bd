"""The numbers of moods in the analyses: computed from what is stored, without decoding."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from recsys.mood.numbers import mood_numbers
from recsys.store.rows import blob_matrix, has_length, model_of
from recsys.types import MOOD_NUMBERS

if TYPE_CHECKING:
    import sqlite3

_PAGE = 1000

_ROWS = (
    "SELECT rowid, embedding, tag_scores FROM analyses"
    " WHERE model = ? AND rowid > ? ORDER BY rowid LIMIT ?"
)
_UPDATE = (
    f"UPDATE analyses SET {', '.join(f'{name} = ?' for name in MOOD_NUMBERS)}"  # noqa: S608 (ours)
    " WHERE rowid = ?"
)


def compute_numbers(connection: sqlite3.Connection) -> int:
    """Compute the numbers of all analyses by the current model; return how many rows changed.

    None where they were computed with these settings before. The caller holds the transaction.
    """
    found = connection.execute(
        "SELECT models.id, info, mood_key, mood_settings FROM models JOIN library"
        " ON models.id = model"
    ).fetchone()
    if found is None:
        return 0
    model, info, key, settings = found
    moods = mood_numbers(settings)
    if moods.key == key:
        return 0
    described = model_of(json.loads(info))
    last, count = -1, 0
    while rows := connection.execute(_ROWS, (model, last, _PAGE)).fetchall():
        last = rows[-1][0]
        sound = [
            row
            for row in rows
            if has_length(row[1], described.dimension)
            and has_length(row[2] or b"", len(described.tags))
        ]
        embeddings = blob_matrix([row[1] for row in sound], described.dimension)
        scores = blob_matrix([row[2] or b"" for row in sound], len(described.tags))
        with np.errstate(invalid="ignore"):  # of a damaged row
            numbers = moods.rows(described, embeddings, scores)
        connection.executemany(
            _UPDATE, [(*values, row[0]) for values, row in zip(numbers, sound, strict=True)]
        )
        count += len(sound)
    connection.execute("UPDATE models SET mood_key = ? WHERE id = ?", (moods.key, model))
    return count
