"""Tracks near a vector, fetched from the index as far as they are asked for and no further."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.catalogue import Catalogue
    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.tag_filter import TagFilter
    from recsys.types import FloatArray, Neighbour, Track

MAX_BATCH = 1000
"""Rows read from the store at once, however far a search had to reach."""

OVERFETCH = 2
"""Neighbours searched for per candidate expected: numbers are cheap, rows of the store are not."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A track that may be recommended.

    Attributes
    ----------
    track : Track
        As the store has it now.
    similarity : float
        Cosine to what was searched for, in [-1, 1].
    embedding : ndarray of float32, shape (d,)
        Unit length.
    """

    track: Track
    similarity: float
    embedding: FloatArray


Search: TypeAlias = Callable[["str | None", "FloatArray", int], Iterator[Candidate]]
""":func:`nearest` with the library bound: genre, query and expected number are left."""


def nearest(
    store: Catalogue,
    index: EmbeddingIndex,
    genre: str | None,
    query: FloatArray,
    expected: int,
    wanted: TagFilter | None = None,
) -> Iterator[Candidate]:
    """Yield the tracks nearest to a vector, best first, until the part is exhausted.

    The first search finds :data:`OVERFETCH` times as many neighbours as are expected, and each
    further one twice as many as the last; rows are read from the store in batches as large as the
    number expected, and only when they are asked for. What the index still holds but the store no
    longer has, or has moved to another part since the index was opened, is not a track of the
    library any more and is passed over.

    Parameters
    ----------
    genre : str or None
        The part to be searched; None searches them all.
    query : ndarray of float32, shape (d,)
        Unit length.
    expected : int
        How many candidates the caller thinks it will take; at least 1.
    wanted : TagFilter, optional
        Only tracks with these tags; it counts those that it refuses.
    """
    fetch, batch = OVERFETCH * expected, min(expected, MAX_BATCH)
    seen: set[int] = set()
    while True:
        found, vectors = index.search_with_vectors(genre, query, fetch)
        embeddings = {near.track_id: vector for near, vector in zip(found, vectors, strict=True)}
        fresh = [neighbour for neighbour in found if neighbour.track_id not in seen]
        seen.update(neighbour.track_id for neighbour in fresh)
        for start in range(0, len(fresh), batch):
            rows = _carrying(wanted, fresh[start : start + batch])
            yield from _look_up(store, genre, rows, embeddings)
        if len(found) < fetch:
            return
        fetch *= 2


def _carrying(wanted: TagFilter | None, neighbours: Sequence[Neighbour]) -> Sequence[Neighbour]:
    return neighbours if wanted is None else wanted.admitted(neighbours)


def _look_up(
    store: Catalogue,
    genre: str | None,
    neighbours: Sequence[Neighbour],
    embeddings: Mapping[int, FloatArray],
) -> Iterator[Candidate]:
    tracks = store.tracks(neighbour.track_id for neighbour in neighbours)
    for neighbour in neighbours:
        track = tracks.get(neighbour.track_id)
        if track is not None and genre in (None, track.part):
            yield Candidate(track, neighbour.similarity, embeddings[track.id])
