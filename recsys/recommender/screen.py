"""Which candidates may stand in an answer, and how many were left out for which reason."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.recommender.duplicates import NearDuplicates, artist_key, same_album

if TYPE_CHECKING:
    from recsys.recommender.candidates import Candidate
    from recsys.recommender.query import Query

FILTERS = {
    "tag": "without the tags asked for",
    "query": "the query itself",
    "near_duplicate": "near-duplicates",
    "same_album": "same album",
    "same_artist": "more tracks of one artist than asked for",
}
"""Every reason for leaving a track out, in the order in which they are tried, with its words."""


class Screen:
    """Admits candidates one by one, best first, and remembers whom it admitted.

    A track that several filters would leave out counts for the first of them in
    :data:`FILTERS`.

    Parameters
    ----------
    query : Query
        Its tracks never pass, by id and by path.
    max_per_artist : int or None
        At most so many tracks of one artist.
    no_same_album : bool
        Leave out tracks from the album of a seed.
    show_duplicates : bool
        Let near-duplicates pass.

    Attributes
    ----------
    filtered : Counter
        How many were left out, by reason.
    """

    def __init__(
        self,
        query: Query,
        *,
        max_per_artist: int | None = None,
        no_same_album: bool = False,
        show_duplicates: bool = False,
    ) -> None:
        self.filtered: Counter[str] = Counter()
        self._ids = query.exclude_ids
        self._paths = query.exclude_paths
        self._albums = [seed.track for seed in query.seeds] if no_same_album else []
        self._max_per_artist = max_per_artist
        self._per_artist: Counter[str] = Counter()
        self._hashes = {seed.track.audio_hash for seed in query.seeds}
        self._heard = None if show_duplicates else NearDuplicates()
        if self._heard is not None:
            for seed in query.seeds:
                self._heard.add(seed.track, seed.embedding)

    def admits(self, candidate: Candidate) -> bool:
        """Tell whether a candidate may stand in the answer, and count it if it may not."""
        reason = self._objection(candidate)
        if reason is not None:
            self.filtered[reason] += 1
            return False
        artist = artist_key(candidate.track)
        if artist is not None:
            self._per_artist[artist] += 1
        if self._heard is not None:
            self._heard.add(candidate.track, candidate.embedding)
        return True

    def summary(self) -> str:
        """Return ``"; left out: ..."`` with every reason that occurred, or nothing."""
        parts = [
            f"{FILTERS[name]} ({self.filtered[name]})" for name in FILTERS if self.filtered[name]
        ]
        return f"; left out: {', '.join(parts)}" if parts else ""

    def _objection(self, candidate: Candidate) -> str | None:
        track = candidate.track
        if track.id in self._ids or track.path in self._paths:
            return "query"
        if track.audio_hash in self._hashes and Path(os.path.realpath(track.path)) in self._paths:
            return "query"  # the same file, reached through a link
        if self._heard is not None and self._heard.match(track, candidate.embedding):
            return "near_duplicate"
        if any(same_album(track, seed) for seed in self._albums):
            return "same_album"
        if self._max_per_artist is not None:
            artist = artist_key(track)
            if artist is not None and self._per_artist[artist] >= self._max_per_artist:
                return "same_artist"
        return None
