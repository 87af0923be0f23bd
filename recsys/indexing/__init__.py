"""From folders to a library: scan, decode, classify, store.

One generator does it all and yields an event per file once its result is in the database. It
can be stopped at any moment, killed even: what was yielded is stored, and the next run goes on
from there, because what is done is recognised by path, size and time of modification.
"""

from recsys.indexing.indexer import Indexer, IndexOptions, IndexPlan, settle

__all__ = ["IndexOptions", "IndexPlan", "Indexer", "settle"]
