"""Embedding indexes, one part per genre.

:mod:`recsys.index.base` defines what an index does, :mod:`recsys.index.genre_index` is the one in
use, :mod:`recsys.index.sync` keeps it in step with the library.
"""
