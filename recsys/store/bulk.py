"""Many new tracks at once, for a library that is made rather than indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsys.errors import StoreError
from recsys.store.connection import sqlite_errors
from recsys.store.migrations import write_transaction
from recsys.store.rows import array_blob, path_key, storable_text, tag_columns
from recsys.store.store import INSERT_TRACK, WRITE_ANALYSIS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.store.rows import TrackRecord
    from recsys.store.store import Store
    from recsys.types import ModelInfo


def insert_new(store: Store, records: Sequence[TrackRecord]) -> None:
    """Store tracks that the library does not know yet, all in one transaction.

    Ten times as quick as :meth:`recsys.store.Store.write`, because nothing is looked up: neither
    an earlier track of the same path, nor a failure, nor whether the sound was heard before.

    Parameters
    ----------
    store : Store
        Open for writing; sorted by the model's genres.
    records : sequence of TrackRecord
        With an analysis each, by the library's model. Paths that no track has.

    Raises
    ------
    StoreError
        The library has no model or is sorted by other labels, an analysis is missing or by
        another model, or a path is known already; nothing is stored then.
    """
    model = store.model()
    if model is None or store.genre_source() != "gtzan":
        raise StoreError(
            f"{store.path} cannot be filled in bulk.",
            "Only a library with a model that is sorted by its genres can.",
        )
    analyses = [_analysis_row(record, model) for record in records]
    with sqlite_errors(store.path), write_transaction(store._db):
        revision = store._raise_revision()
        store._db.executemany(INSERT_TRACK, (_track_row(r, revision) for r in records))
        store._db.executemany(WRITE_ANALYSIS, analyses)


def _track_row(record: TrackRecord, revision: int) -> tuple[Any, ...]:
    file = record.file
    return (
        path_key(file.path),
        file.size,
        file.mtime_ns,
        record.audio_hash,
        *tag_columns(record.tags, file.path),
        None,
        revision,
    )


def _analysis_row(record: TrackRecord, model: ModelInfo) -> tuple[Any, ...]:
    analysis = record.analysis
    if analysis is None or analysis.fingerprint != model.fingerprint:
        raise StoreError(
            f"{record.file.path} has no analysis by {model.fingerprint}, the library's model.",
            "Nothing was stored.",
        )
    return (
        record.audio_hash,
        model.fingerprint,
        model.top_genre(analysis.probabilities),
        record.duration_s,
        storable_text(record.warning),
        array_blob(analysis.probabilities),
        array_blob(analysis.embedding),
        array_blob(analysis.tags) if len(analysis.tags) else None,
        None,
    )
