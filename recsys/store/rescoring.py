"""Another genre head over the same embeddings: what was heard stays, what it is called changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import StoreError
from recsys.store.connection import sqlite_errors
from recsys.store.migrations import write_transaction
from recsys.store.models import WRITE_MODEL, model_row
from recsys.store.rows import array_blob, blob_matrix, path_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from recsys.store.store import Store
    from recsys.types import FloatArray, ModelInfo

PAGE = 2000
"""Analyses that are rescored together."""

_PAGE_OF_OLD = (
    "SELECT audio_hash, embedding FROM analyses WHERE fingerprint = ? AND audio_hash > ?"
    " ORDER BY audio_hash LIMIT ?"
)
_CHANGED = ("audio_hash", "fingerprint", "genre", "probabilities")


def change_head(
    store: Store,
    info: ModelInfo,
    card_json: str,
    checkpoint: Path,
    probabilities_of: Callable[[FloatArray], FloatArray],
    *,
    before: str,
) -> int:
    """Make a model with the same embedding the library's own, without hearing anything again.

    All of it is one transaction: the model, the analyses of every sound that the model before had
    heard, and the mark on every track that the index has to follow. The earlier analyses stay, as
    after every change of model, until :meth:`~recsys.store.Store.drop_orphans`.

    Parameters
    ----------
    store : Store
        Open for writing.
    info : ModelInfo
        The new model.
    card_json : str
        Its card.
    checkpoint : Path
        Where it lies.
    probabilities_of : callable
        Embeddings, shape (n, d), to probabilities, shape (n, n_genres).
    before : str
        Fingerprint of the model under whose embeddings the head belongs.

    Returns
    -------
    int
        Analyses rescored.

    Raises
    ------
    StoreError
        If the library's model has become another one, or the database cannot be written.
    """
    db = store._db
    row = (*model_row(info), card_json, path_key(checkpoint))
    with sqlite_errors(store.path), write_transaction(db):
        present = store.model()
        if present is None or present.fingerprint != before or present.dimension != info.dimension:
            raise StoreError(
                f"The library's model is no longer {before}; it was changed meanwhile.",
                "Nothing was replaced; give the command again.",
            )
        db.execute(WRITE_MODEL, row)
        db.execute("UPDATE meta SET value = ? WHERE key = 'model'", (info.fingerprint,))
        count = _rescore(store, info, before, probabilities_of)
        db.execute("UPDATE tracks SET revision = ?", (store._raise_revision(),))
    return count


def _rescore(
    store: Store,
    info: ModelInfo,
    before: str,
    probabilities_of: Callable[[FloatArray], FloatArray],
) -> int:
    db, last, count = store._db, "", 0
    copy = _copy_statement(db)
    while rows := db.execute(_PAGE_OF_OLD, (before, last, PAGE)).fetchall():
        embeddings = blob_matrix([row[1] for row in rows], info.dimension)
        scores = np.asarray(probabilities_of(embeddings), dtype=np.float32)
        db.executemany(
            copy,
            (
                (info.fingerprint, info.top_genre(score), array_blob(score), row[0], before)
                for row, score in zip(rows, scores, strict=True)
            ),
        )
        last, count = rows[-1][0], count + len(rows)
    return count


def _copy_statement(db: sqlite3.Connection) -> str:
    """Return what copies an analysis; whatever else one holds is taken over as it stands."""
    rows = db.execute("PRAGMA table_info(analyses)")
    kept = ", ".join(name for _, name, *_ in rows if name not in _CHANGED)
    return (
        f"INSERT OR REPLACE INTO analyses (fingerprint, genre, probabilities, audio_hash, {kept})"  # noqa: S608 (our own columns)
        f" SELECT ?, ?, ?, audio_hash, {kept} FROM analyses"
        " WHERE audio_hash = ? AND fingerprint = ?"
    )
