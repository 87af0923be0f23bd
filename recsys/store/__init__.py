"""The library database: tracks, analyses, failures, and which model made them.

SQLite is the truth and everything else a cache. Every write is one transaction, so that killing
the process at any moment loses at most the batch in flight. Analyses are kept by the hash of the
sound and the fingerprint of the model: files that moved, were renamed, retagged or copied share
them.

This package holds the only SQL of recsys: :mod:`recsys.store.migrations` the schema,
:mod:`recsys.store.connection` opening and errors, :mod:`recsys.store.reader` the questions,
:mod:`recsys.store.store` the writing, :mod:`recsys.store.rows` the shape of rows.
"""

from recsys.store.rows import Changes, StoredFile, TrackRecord
from recsys.store.store import Store

__all__ = ["Changes", "Store", "StoredFile", "TrackRecord"]
