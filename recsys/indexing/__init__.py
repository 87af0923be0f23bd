"""From folders to a library: scan, decode, analyse, store.

    scan --> files --> worker processes (identify, decode, analyse) --> batches --> store

One generator does it all and yields an event per file once its result is stored. It can be
stopped or killed at any moment: the next run skips every file whose path, size and time of
modification are stored.
"""

from recsys.indexing.indexer import Indexer, IndexOptions, IndexPlan, settle

__all__ = ["IndexOptions", "IndexPlan", "Indexer", "settle"]
