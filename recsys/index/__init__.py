"""Embedding indexes, cut into one part per genre.

:mod:`recsys.index.base` says what an index is, :mod:`recsys.index.genre_index` is the one in use,
:mod:`recsys.index.exact` the plain NumPy one that it is checked against.
"""
