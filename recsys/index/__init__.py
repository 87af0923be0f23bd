"""Embedding indexes, one part per genre group.

:mod:`recsys.index.base` is the protocol, :mod:`recsys.index.genre_index` the implementation, and
:mod:`recsys.index.sync` updates it from the library.
"""
