"""The genres among all that a model knows, in the analyses: found from what is stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from recsys.genres import genres_among_all, knows_styles
from recsys.store.rows import blob_array, blob_matrix, model_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from recsys.types import FloatArray, ModelInfo

_PAGE = 1000

_MODEL = "SELECT models.id, info FROM models JOIN library ON models.id = model"
_ROWS = (
    "SELECT rowid, probabilities, tag_scores FROM analyses"
    " WHERE model = ? AND tag_scores IS NOT NULL AND rowid > ? ORDER BY rowid LIMIT ?"
)


def labels_of(
    model: ModelInfo, probabilities: FloatArray, scores: Sequence[FloatArray]
) -> list[str | None]:
    """Return the genre among all of each analysis, None where the model or it has no tags."""
    labels: list[str | None] = [None] * len(scores)
    rows = [row for row, own in enumerate(scores) if len(own)] if knows_styles(model) else []
    if rows:
        strengths = model.tag_strengths(np.stack([scores[row] for row in rows]))
        found = genres_among_all(model, probabilities[rows], strengths)
        for row, label in zip(rows, found, strict=True):
            labels[row] = label
    return labels


def find_labels(connection: sqlite3.Connection) -> None:
    """Store the genre among all of every analysis by the current model, in a transaction."""
    found = connection.execute(_MODEL).fetchone()
    if found is None:
        return
    model = model_of(json.loads(found[1]))
    if not knows_styles(model):
        return
    last = -1
    while rows := connection.execute(_ROWS, (found[0], last, _PAGE)).fetchall():
        ids, probabilities, scores = zip(*rows, strict=True)
        last = ids[-1]
        labels = labels_of(
            model,
            blob_matrix(probabilities, len(model.labels)),
            [blob_array(row) for row in scores],
        )
        connection.executemany(
            "UPDATE analyses SET label = ? WHERE rowid = ?", zip(labels, ids, strict=True)
        )
