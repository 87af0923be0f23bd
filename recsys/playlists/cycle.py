"""Playlists that go round a cycle of genres."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.errors import QueryError
from recsys.playlists.draft import POOL, Source
from recsys.playlists.notes import count
from recsys.playlists.order import related_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.index.base import EmbeddingIndex
    from recsys.playlists.draft import Draft
    from recsys.recommender.candidates import Search
    from recsys.recommender.tag_filter import TagFilter
    from recsys.recommender.taxonomy import Taxonomy
    from recsys.types import FloatArray, Track

AUTO = "auto"
"""In place of a list of genres: those of the library, in an order where neighbours are related."""


def cycle_genres(
    taxonomy: Taxonomy,
    index: EmbeddingIndex,
    genres: Sequence[str] | str,
    wanted: TagFilter | None = None,
) -> tuple[list[str], list[str]]:
    """Return the genres of a cycle that hold tracks, and a note for each that holds none.

    Parameters
    ----------
    taxonomy : Taxonomy
        Gives the names.
    index : EmbeddingIndex
        Knows which of them hold tracks.
    genres : str or sequence of str
        As the listener gave them: names, one string with commas between them, or ``auto``.
    wanted : TagFilter, optional
        Only tracks with these tags count.

    Raises
    ------
    QueryError
        There are no genres, one is not known, or none of them holds a track.
    """
    filled = [genre for genre in taxonomy.labels if index.count(genre)]
    carrying = filled if wanted is None else wanted.parts(filled)
    held = [genre for genre in filled if genre in carrying]
    names = [*filter(str.strip, genres.split(",") if isinstance(genres, str) else genres)]
    if names == [AUTO]:
        largest_first = sorted(filled, key=lambda genre: -index.count(genre))
        asked = related_order(taxonomy.relatedness(largest_first), largest_first)
    else:
        asked = [taxonomy.resolve(name) for name in names]
        if not asked:
            raise QueryError("a cycle of 0 genres", f"Name some of: {', '.join(taxonomy.labels)}.")
    kind = "" if wanted is None else f" with the tag {wanted}"
    order = [genre for genre in asked if genre in held]
    if not order:
        raise QueryError(
            f"no track{kind} in the genres of the cycle: {', '.join(asked) or AUTO}",
            f"Genres that hold some: {', '.join(held)}." if held else "No other genre holds any.",
        )
    empty = [genre for genre in dict.fromkeys(asked) if genre not in held]
    return order, [
        f"{genre} holds no tracks{kind} and was left out of the cycle" for genre in empty
    ]


class Round:
    """A walk round a cycle, extending a draft by the nearest track of each genre in turn.

    Parameters
    ----------
    draft : Draft
        To be filled.
    search : Search
        The library.
    order : sequence of str
        Genres in playing order; one may occur several times.
    """

    def __init__(self, draft: Draft, search: Search, order: Sequence[str]) -> None:
        self._draft = draft
        self._search = search
        per_genre = draft.options.per_genre
        self._slots = [genre for genre in order for _ in range(per_genre)]
        self._left = set(order)
        self._ran_out: dict[str, int] = {}
        self._passed_over: dict[str, int] = {}
        self._held_back: dict[str, list[Track]] = {}

    def fill(self, previous: FloatArray, turn: int) -> None:
        """Extend the draft until it is full or no genre has anything to offer.

        Parameters
        ----------
        previous : ndarray of float32, shape (d,)
            Embedding of the track before.
        turn : int
            The slot of the cycle with which to go on.
        """
        in_vain = 0
        while not self._draft.full and self._left and in_vain < len(self._slots):
            genre = self._slots[turn % len(self._slots)]
            turn += 1
            in_vain += 1
            if genre in self._left and self._take(genre, previous):
                previous = self._draft.chosen[-1].embedding
                in_vain = 0

    def held_back(self) -> list[Track]:
        """Return what the artist gap kept out at the latest turn of every genre."""
        return [track for tracks in self._held_back.values() for track in tracks]

    def notes(self) -> list[str]:
        """Return what became of the pattern: genres that ran out or were passed over."""
        gap = self._draft.options.artist_gap
        ran_out = [
            f"{genre} ran out after {count(number, 'track')}"
            for genre, number in self._ran_out.items()
        ]
        passed = [
            f"{genre} was passed over {count(number, 'time')} (artist gap {gap})"
            for genre, number in self._passed_over.items()
            if genre not in self._ran_out
        ]
        return ran_out + passed

    def _take(self, genre: str, previous: FloatArray) -> bool:
        source = Source(self._search(genre, previous, POOL))
        self._held_back.pop(genre, None)
        if source.extend(self._draft):
            return True
        if self._draft.closed:
            return False
        if source.waiting:
            self._passed_over[genre] = self._passed_over.get(genre, 0) + 1
            self._held_back[genre] = [candidate.track for candidate in source.waiting]
        else:
            self._left.discard(genre)
            chosen = self._draft.chosen
            self._ran_out[genre] = sum(found.track.part == genre for found in chosen)
        return False
