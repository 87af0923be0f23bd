"""Tracks that carry what was asked for: a mood, an era, a voice, a style."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.recommender.candidates import MAX_BATCH
from recsys.tag_names import resolve_tag

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from recsys.catalogue import Catalogue
    from recsys.types import FloatArray, IdArray, ModelInfo, Neighbour

HOLDS_FROM = 1.0
"""The strength from which a track is said to carry a tag: one standard deviation more of it than
music on the average has."""


class TagFilter:
    """Knows which tracks of a library carry all of some tags.

    Parameters
    ----------
    store : Catalogue
        The library.
    info : ModelInfo
        The model that analysed it.
    names : sequence of str
        Tags as the listener gave them, at least one.

    Attributes
    ----------
    tags : tuple of str
        The same as the model spells them.
    columns : tuple of int
        Their places among the model's tags.
    left_out : int
        How many tracks were looked at and refused so far.

    Raises
    ------
    QueryError
        The model has no tags, or not one of these.
    """

    def __init__(self, store: Catalogue, info: ModelInfo, names: Sequence[str]) -> None:
        roots = store.roots()
        columns = dict.fromkeys(resolve_tag(info, name, roots) for name in names)
        self._store, self._info = store, info
        self.columns = tuple(columns)
        self.tags = tuple(info.tags[column] for column in columns)
        self.left_out = 0

    def __str__(self) -> str:
        return " and ".join(self.tags)

    def admitted(self, neighbours: Sequence[Neighbour]) -> list[Neighbour]:
        """Return those that carry every one of the tags, and count the others."""
        scores = self._store.tag_scores([near.track_id for near in neighbours])
        found = [near for near in neighbours if near.track_id in scores]
        if found:
            rows = np.stack([scores[near.track_id] for near in found])
            carry = self._weakest(rows) >= HOLDS_FROM
            found = [near for near, carries in zip(found, carry, strict=True) if carries]
        self.left_out += len(neighbours) - len(found)
        return found

    def strongest(self) -> tuple[IdArray, FloatArray]:
        """Return all tracks that carry every one of the tags, and the strength of the weakest.

        Returns
        -------
        ids : ndarray of int64, shape (n,)
            The strongest first, equals by id.
        strengths : ndarray of float32, shape (n,)
        """
        ids, scores = self._store.all_tag_scores()
        strengths = self._weakest(scores)
        order = np.lexsort((ids, -strengths))[: int(np.sum(strengths >= HOLDS_FROM))]
        return ids[order], strengths[order]

    def parts(self, among: Collection[str]) -> set[str]:
        """Return which of these parts of the index hold tracks that carry every one of the tags."""
        ids, _ = self.strongest()
        found: set[str] = set()
        for start in range(0, len(ids), MAX_BATCH):
            tracks = self._store.tracks(ids[start : start + MAX_BATCH].tolist())
            found |= {track.part for track in tracks.values()}.intersection(among)
            if len(found) == len(among):
                break
        return found

    def _weakest(self, scores: FloatArray) -> FloatArray:
        weakest: FloatArray = self._info.tag_strengths(scores)[:, self.columns].min(axis=1)
        return weakest
