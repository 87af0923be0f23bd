"""The library database: tracks, analyses, failures, and their model.

SQLite is the truth and everything else a cache. Every write is one transaction: a process killed at
any moment loses at most the batch in flight. Analyses are keyed by audio hash and model, so that
moved, renamed, retagged and copied files share them.

This package holds the only SQL of recsys: :mod:`recsys.store.schema` the tables and migrations,
:mod:`recsys.store.connection` opening, locking and errors, :mod:`recsys.store.rows` the codec,
:mod:`recsys.store.store` reading and writing.
"""

from recsys.store.connection import LibraryLock
from recsys.store.rows import Changes, StoredFile, TrackRecord
from recsys.store.store import Store

__all__ = ["Changes", "LibraryLock", "Store", "StoredFile", "TrackRecord"]
