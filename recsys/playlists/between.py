"""Playlists that lead from one track to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import QueryError
from recsys.playlists.draft import POOL, Draft, Source
from recsys.playlists.order import gap_holds, slerp, spread_artists
from recsys.recommender.duplicates import NearDuplicates, artist_key

if TYPE_CHECKING:
    from recsys.playlists.options import PlaylistOptions
    from recsys.recommender.candidates import Candidate, Search
    from recsys.recommender.query import Query, Seed
    from recsys.types import Track


class Way:
    """The way from one track to another: targets along it, and the tracks found for them.

    Parameters
    ----------
    query : Query
        Its two seeds are A and B.
    options : PlaylistOptions
        How to make the list.
    search : Search
        The library.

    Raises
    ------
    QueryError
        A and B are one recording, or so few tracks are asked for that they do not fit.
    """

    def __init__(self, query: Query, options: PlaylistOptions, search: Search) -> None:
        self._a, self._b = query.seeds
        self._options = options
        self._search = search
        _check_ends(self._a, self._b, options)
        last = self._b.as_candidate() if self._b.in_library else None
        self.draft = Draft(options, last)
        self.held_back: list[Track] = []
        if self._a.in_library:
            self.draft.add(self._a.as_candidate())

    def fill(self) -> list[Candidate]:
        """Find the tracks and return them in playing order."""
        self._walk()
        if not self._last_fits():
            self._make_room_for_last()
            self._walk()
        chosen = self._in_order_of_progress()
        if self.draft.last is not None and self._last_fits():
            chosen.append(self.draft.last)
        return chosen

    def _walk(self) -> None:
        self.held_back = []
        while not self.draft.full:
            target = slerp(self._a.embedding, self._b.embedding, self._share())
            source = Source(self._search(self._options.genre, target, POOL))
            if not source.extend(self.draft) and not self.draft.closed:
                self.held_back = [candidate.track for candidate in source.waiting]
                return

    def _share(self) -> float:
        """Return how much of the way is done when the next track plays, in [0, 1]."""
        shares = [0.0]
        chosen, limit = len(self.draft.chosen), self._options.limit
        if limit is not None:
            before = 0 if self._a.in_library else 1
            after = 0 if self._b.in_library else 1
            shares.append((chosen + before) / max(1, limit + before + after - 1))
        if self._options.duration_s is not None:
            last = self.draft.last.track.duration_s if self.draft.last else 0.0
            usual = self.draft.total_s / max(1, len(self.draft))
            played = self.draft.total_s - last
            shares.append((played + usual / 2) / self._options.duration_s)
        return min(1.0, max(shares))

    def _last_fits(self) -> bool:
        """Tell whether B keeps the artist gap that was asked for."""
        if self.draft.last is None or self._options.artist_gap is None:
            return True
        line = [*self.draft.chosen, self.draft.last]
        return gap_holds([artist_key(found.track) for found in line], self._options.artist_gap)

    def _make_room_for_last(self) -> None:
        """Take back the end of the list, from the track on that stands too near to B."""
        last = self.draft.last
        artists = [artist_key(found.track) for found in self.draft.chosen]
        place = max(
            i for i, artist in enumerate(artists) if last and artist == artist_key(last.track)
        )
        self.draft.last_artist_allowed = False
        self.draft.truncate(max(place, int(self._a.in_library)))

    def _in_order_of_progress(self) -> list[Candidate]:
        """Order the steps by their similarity to B less that to A, as far as artists allow."""
        opening = int(self._a.in_library)
        first, steps = self.draft.chosen[:opening], self.draft.chosen[opening:]
        if not steps:
            return first
        vectors = np.stack([step.embedding for step in steps])
        progress = vectors @ (self._b.embedding - self._a.embedding)
        order = [int(i) for i in np.argsort(progress, kind="stable")]
        artists = [artist_key(step.track) for step in steps]
        before = [artist_key(found.track) for found in first]
        after = [artist_key(self.draft.last.track)] if self.draft.last else []
        for gap in self._options.gaps:
            spread = spread_artists(order, artists, gap, before, after)
            if spread is not None:
                return [*first, *(steps[row] for row in spread)]
        return [*first, *steps]


def _check_ends(a: Seed, b: Seed, options: PlaylistOptions) -> None:
    same = NearDuplicates()
    same.add(a.track, a.embedding)
    if a.track.path == b.track.path or same.match(b.track, b.embedding):
        raise QueryError(
            f"{a.track.display_name} and {b.track.display_name} are one recording",
            "Name two different tracks to lead from one to the other.",
        )
    ends = a.in_library + b.in_library
    if options.limit is not None and options.limit < ends:
        raise QueryError(
            f"length must be at least {ends} from one track to another, got {options.limit}",
            "The first and the last track count as well.",
        )
