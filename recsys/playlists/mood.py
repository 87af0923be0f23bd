"""Playlists that stay in a mood: every track carries it, and each leads on to the next."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from recsys.playlists.draft import POOL, Source
from recsys.recommender.candidates import Candidate
from recsys.tag_names import mood_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys.catalogue import Catalogue
    from recsys.playlists.draft import Draft
    from recsys.types import FloatArray, ModelInfo, Track

REACH = 4
"""Tracks among which the walk may go on, as a multiple of those that are wanted. With as many as
are wanted, the last steps would have to collect whatever was left over."""

START_FROM = 25
"""The first track is drawn from so many of those that carry the mood most strongly."""


class MoodWalk:
    """A walk through tracks of a mood, from each to one that is like it.

    The tracks are those that carry the mood, the nearest to the query first, :data:`REACH` times as
    many as are wanted. Each step goes to the track most like the one before, half by sound (cosine
    of the embeddings) and half by mood (cosine of the strengths of all moods, so that what is chill
    and sad is followed by what is chill and sad); the half of them that carries the mood more
    strongly is used up first. When nothing is left the list ends, rather than leave the mood.

    Parameters
    ----------
    store : Catalogue
        The library.
    info : ModelInfo
        Its model.
    columns : sequence of int
        The tags that make the mood.
    draft : Draft
        To be filled.
    candidates : iterator of Candidate
        Tracks that carry the mood, the nearest to the query first.
    """

    def __init__(
        self,
        store: Catalogue,
        info: ModelInfo,
        columns: Sequence[int],
        draft: Draft,
        candidates: Iterator[Candidate],
    ) -> None:
        self._store, self._info, self._columns = store, info, list(columns)
        self._moods = mood_columns(info)
        self._draft = draft
        self._candidates = candidates
        self._pool: list[Candidate] = []
        self._strengths: dict[int, FloatArray] = {}
        self.held_back: list[Track] = []

    def fill(self, embedding: FloatArray, strengths: FloatArray) -> None:
        """Extend the draft until it is full or the mood has no more to offer.

        Parameters
        ----------
        embedding : ndarray of float32, shape (d,)
            Of the track before, unit length.
        strengths : ndarray of float32, shape (n_tags,)
            Of its tags.
        """
        reach = REACH * (self._draft.options.limit or POOL)
        self._grow(reach)
        while not self._draft.full:
            source = Source(iter(self._in_order(embedding, strengths)))
            if source.extend(self._draft):
                last = self._draft.chosen[-1]
                embedding, strengths = last.embedding, self._strengths[last.track.id]
                self._grow(reach - len(self._pool))
            elif self._draft.closed or not self._grow(reach):
                self.held_back = [candidate.track for candidate in source.waiting]
                return

    def _grow(self, number: int) -> bool:
        """Forget what is played or a duplicate, and fetch more; tells whether there was more."""
        gone = self._draft.duplicates
        self._pool = [
            candidate
            for candidate in self._pool
            if not self._draft.holds(candidate) and candidate.track.id not in gone
        ]
        fresh = list(islice(self._candidates, max(0, number)))
        scores = self._store.tag_scores([candidate.track.id for candidate in fresh])
        fresh = [candidate for candidate in fresh if candidate.track.id in scores]
        for track_id, row in scores.items():
            self._strengths[track_id] = self._info.tag_strengths(row)
        self._pool += fresh
        return bool(fresh)

    def _in_order(self, embedding: FloatArray, strengths: FloatArray) -> list[Candidate]:
        """Return the pool as it may follow, the best first, with closeness as similarity."""
        if not self._pool:
            return []
        tags = np.stack([self._strengths[candidate.track.id] for candidate in self._pool])
        vectors = np.stack([candidate.embedding for candidate in self._pool])
        by_mood = _cosines(tags[:, self._moods], strengths[self._moods])
        closeness = (np.einsum("id,d->i", vectors, embedding) + by_mood) / 2
        mood = tags[:, self._columns].min(axis=1)
        order = np.lexsort((-closeness, mood < np.median(mood)))
        return [
            Candidate(self._pool[i].track, float(closeness[i]), self._pool[i].embedding)
            for i in order.tolist()
        ]


def _cosines(rows: FloatArray, row: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(row)
    cosines: FloatArray = np.einsum("id,d->i", rows, row) / np.maximum(lengths, 1e-12)
    return cosines
