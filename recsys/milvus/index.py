"""Embeddings on Milvus, searched there and compared exactly here."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.index.base import (
    best,
    checked_dimension,
    checked_query,
    checked_vectors,
    similarities,
    unknown_ids,
)
from recsys.milvus.connection import LATEST, MOST_ROWS, nothing_there
from recsys.milvus.layout import (
    EMPTY_ROW,
    PAGE,
    Notes,
    State,
    load,
    make_ready,
    make_tracks,
    quoted,
    restored,
    storable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from recsys.milvus.connection import Connection
    from recsys.types import FloatArray, IdArray, Neighbour

SPARE = 8
"""Hits asked for beyond those wanted, in the hope that the last one is clearly worse."""

CLEARLY = 2e-5
"""Milvus sums in float32: two similarities this far apart are surely in the right order."""

MOST_BYTES = 32_000_000
"""Of embeddings in one answer; servers take and give 64 MB at most."""

GROWTH = 4
"""How many times more hits are asked for while the last one is not clearly worse."""

LEAST_REACH = 256
"""ef, how many tracks a search of the graph keeps in view; at least twice the hits asked for."""


class MilvusIndex:
    """A :class:`~recsys.index.base.KeptIndex` that lies on Milvus.

    Milvus compares the query with every track of the part, or goes by a graph, and so finds nearly
    always the nearest. Their similarities are computed anew here, and as many hits are asked for
    as it takes to put ties into order.

    Parameters
    ----------
    connection : Connection
        To the place.
    name : str
        Of the collection.
    dimension : int
        Length of the embeddings.
    state : State, optional
        What was kept of it.
    """

    def __init__(
        self, connection: Connection, name: str, dimension: int, state: State | None = None
    ) -> None:
        self.dimension = dimension
        self.name = name
        self._connection = connection
        self._notes = Notes(connection)
        self._state = state or State()
        # What is kept of an index is right while nothing was written since.
        self._counts = Counter(self._state.counts) if self._state.settled else None

    @classmethod
    def create(
        cls, connection: Connection, name: str, dimension: int, *, graph: bool = False
    ) -> Self:
        """Make an empty index.

        Parameters
        ----------
        connection : Connection
            To the place.
        name : str
            Of the collection.
        dimension : int
            Length of the embeddings.
        graph : bool
            Search a graph, which is approximate, instead of comparing with every track of a part.

        Raises
        ------
        GenreIndexError
            The dimension is not at least 1.
        SharedLibraryError
            It cannot be made, or is there already.
        """
        Notes(connection).make()
        index = cls(connection, name, checked_dimension(dimension), State(graph=graph))
        # First of all: something may be known of an index of this name that was there before.
        index._keep_state()
        make_tracks(connection, name, dimension, graph=graph)
        index._counts = Counter()
        return index

    @classmethod
    def open(cls, connection: Connection, name: str, *, reading: bool = False) -> Self:
        """Open an index.

        Parameters
        ----------
        connection : Connection
            To the place.
        name : str
            Of the collection.
        reading : bool
            Take the counts that were kept even while somebody writes, instead of counting.

        Raises
        ------
        SharedLibraryError
            There is none of this name.
        """
        if not connection.ask("has_collection", name):
            raise nothing_there(connection.place)
        kept = Notes(connection).read(f"state:{name}").get(f"state:{name}")
        state = State(**kept) if kept else State()
        if reading:
            load(connection, name)
        else:
            make_ready(connection, name, graph=state.graph)
        described = connection.ask("describe_collection", name)
        fields = {entry["name"]: entry for entry in described["fields"]}
        dimension = int(fields["embedding"]["params"]["dim"])
        index = cls(connection, name, dimension, state)
        if reading and kept:
            index._counts = Counter(index._state.counts)
        return index

    @property
    def fingerprint(self) -> str:
        """See :attr:`recsys.index.base.EmbeddingIndex.fingerprint`."""
        return self._state.fingerprint

    @property
    def revision(self) -> int:
        """See :attr:`recsys.index.base.EmbeddingIndex.revision`."""
        return self._state.revision

    @property
    def genres(self) -> tuple[str, ...]:
        """The parts that hold something, sorted."""
        return tuple(sorted(self._known_counts()))

    @property
    def highest_id(self) -> int:
        """See :attr:`recsys.index.base.EmbeddingIndex.highest_id`."""
        self._known_counts()
        return self._state.highest_id

    def counts(self) -> dict[str, int]:
        """Return how many tracks each part holds that holds any, by name."""
        return dict(sorted(self._known_counts().items()))

    def count(self, genre: str | None = None) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.count`."""
        counts = self._known_counts()
        return counts.total() if genre is None else counts[genre]

    def commit(self, *, fingerprint: str, revision: int) -> None:
        """See :meth:`recsys.index.base.KeptIndex.commit`."""
        self._connection.ask("flush", self.name)
        counts, highest = dict(self._known_counts()), self.highest_id
        self._state = replace(
            self._state,
            fingerprint=fingerprint,
            revision=revision,
            counts=counts,
            highest_id=highest,
            settled=True,
        )
        self._keep_state()

    def _keep_state(self) -> None:
        self._notes.write(f"state:{self.name}", asdict(self._state))

    # Changes

    def add(self, genre: str, ids: IdArray, embeddings: FloatArray) -> None:
        """See :meth:`recsys.index.base.EmbeddingIndex.add`."""
        held, vectors = checked_vectors(ids, embeddings, self.dimension)
        self.put([genre] * len(held), held, vectors, [EMPTY_ROW] * len(held))

    def put(
        self,
        genres: Sequence[str],
        ids: IdArray,
        embeddings: FloatArray,
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Put tracks into the parts of their genres, with all that is known of them.

        Parameters
        ----------
        genres : sequence of str
            One per id.
        ids, embeddings
            As in :meth:`recsys.index.base.EmbeddingIndex.add`, no id twice.
        rows : sequence of mapping
            Per id the fields of :data:`recsys.milvus.layout.EMPTY_ROW`.
        """
        for start in range(0, len(ids), PAGE):
            page = slice(start, start + PAGE)
            self._put(genres[page], ids[page], embeddings[page], rows[page])

    def _put(
        self,
        genres: Sequence[str],
        ids: IdArray,
        embeddings: FloatArray,
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        counts = self._unsettled_counts()
        before = self._parts_of(ids)
        # Where an id is held already, Milvus puts the new row in the place of the old one, in
        # whatever part that is: nobody who asks meanwhile finds it twice or not at all.
        self._connection.ask(
            "upsert",
            self.name,
            [
                {"id": number, "genre": storable(genre), "embedding": vector, **row}
                for number, genre, vector, row in zip(
                    ids.tolist(), genres, embeddings, rows, strict=True
                )
            ],
        )
        counts.subtract(before.values())
        counts.update(genres)
        self._counts = +counts
        self._state.highest_id = max(self._state.highest_id, int(ids.max()))

    def remove(self, ids: Iterable[int]) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.remove`."""
        unique = np.unique(np.fromiter(ids, dtype=np.int64))
        removed = 0
        for start in range(0, len(unique), PAGE):
            held = self._parts_of(unique[start : start + PAGE])
            if held:
                counts = self._unsettled_counts()
                self._connection.ask("delete", self.name, ids=sorted(held))
                counts.subtract(held.values())
                self._counts = +counts
                removed += len(held)
        return removed

    def _parts_of(self, ids: IdArray) -> dict[int, str]:
        """Return the parts of those ids that are held, of at most a page of them."""
        possible = ids[ids <= self.highest_id]
        rows = self.rows(possible.tolist(), ["genre"], **LATEST)
        return {row["id"]: restored(row["genre"]) for row in rows}

    def rows(
        self, ids: Iterable[int], fields: Sequence[str], **options: object
    ) -> list[dict[str, Any]]:
        """Return some fields of the rows of ids; those that are not held are left out.

        The options are those of the client.
        """
        wanted = [int(number) for number in ids]
        found: list[dict[str, Any]] = []
        for start in range(0, len(wanted), PAGE):
            page = wanted[start : start + PAGE]
            found += self._connection.ask(
                "query",
                self.name,
                filter=f"id in [{','.join(map(str, page))}]",
                output_fields=[*{"id": None, **dict.fromkeys(fields)}],
                limit=len(page),
                **options,
            )
        return found

    # Questions

    def search(self, genre: str | None, query: FloatArray, k: int) -> list[Neighbour]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search`."""
        return self.search_with_vectors(genre, query, k)[0]

    def search_with_vectors(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search_with_vectors`.

        More than :data:`recsys.milvus.connection.MOST_ROWS` tracks, or :data:`MOST_BYTES` of them,
        are found by reading the part.
        """
        query = checked_query(query, self.dimension, k)
        held = self.count(genre)
        wanted = k + SPARE
        while wanted <= self._most_vectors:
            ids, vectors, lowest = self._hits(genre, query, wanted)
            found, embeddings = best(ids, vectors, query, k)
            if len(ids) < wanted:
                # All that there is; unless a graph has lost its way and returned too few.
                if len(ids) >= held:
                    return found, embeddings
                break
            if lowest < found[-1].similarity - CLEARLY:
                return found, embeddings
            wanted *= GROWTH
        return self._nearest_of_all(genre, query, k)

    @property
    def _most_vectors(self) -> int:
        return min(MOST_ROWS, MOST_BYTES // (4 * self.dimension))

    def _hits(
        self, genre: str | None, query: FloatArray, limit: int
    ) -> tuple[IdArray, FloatArray, float]:
        """Return what Milvus finds: ids, embeddings and the lowest similarity."""
        reach = {"ef": max(LEAST_REACH, 2 * limit)} if self._state.graph else {}
        (hits,) = self._connection.ask(
            "search",
            self.name,
            data=[query],
            anns_field="embedding",
            filter=_of_part(genre),
            limit=limit,
            output_fields=["embedding"],
            search_params={"params": reach},
        )
        ids = np.array([hit["id"] for hit in hits], dtype=np.int64)
        vectors = self._matrix([hit["entity"]["embedding"] for hit in hits])
        return ids, vectors, float(similarities(vectors, query).min(initial=1.0))

    def _nearest_of_all(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        """Compare the query with every track of a part, a page at a time."""
        found: list[Neighbour] = []
        embeddings = self._matrix([])
        for page in self._pages(genre, ["embedding"]):
            ids = [near.track_id for near in found] + [row["id"] for row in page]
            rows = np.concatenate([embeddings, self._matrix([row["embedding"] for row in page])])
            found, embeddings = best(np.array(ids, dtype=np.int64), rows, query, k)
        return found, embeddings

    def vectors(self, ids: Sequence[int]) -> FloatArray:
        """See :meth:`recsys.index.base.EmbeddingIndex.vectors`."""
        wanted = np.asarray(ids, dtype=np.int64)
        unique, places = np.unique(wanted, return_inverse=True)
        known = {row["id"]: row["embedding"] for row in self.rows(unique.tolist(), ["embedding"])}
        if missing := set(unique.tolist()) - known.keys():
            raise unknown_ids(missing)
        return self._matrix([known[number] for number in unique.tolist()])[places]

    def _matrix(self, rows: Sequence[Any]) -> FloatArray:
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.dimension)

    # Counts

    def _known_counts(self) -> Counter[str]:
        if self._counts is None:
            self._count_rows()
        return self._counts or Counter()

    def _count_rows(self) -> None:
        """Count the tracks by reading the part of each: what was kept of them is out of date."""
        self._counts, highest = Counter(), 0
        for page in self._pages(None, ["genre"], **LATEST):
            self._counts.update(restored(row["genre"]) for row in page)
            highest = max(highest, page[-1]["id"])
        self._state.highest_id = highest

    def _unsettled_counts(self) -> Counter[str]:
        """Return the counts, having noted that they are about to change."""
        counts = Counter(self._known_counts())
        if self._state.settled:
            self._state.settled = False
            self._keep_state()
        return counts

    def _pages(
        self, genre: str | None, fields: list[str], **options: object
    ) -> Iterator[list[dict[str, Any]]]:
        size = min(5 * PAGE, self._most_vectors)
        fields = ["id", *fields]
        return self._connection.pages(self.name, _of_part(genre), fields, size, **options)


def _of_part(genre: str | None) -> str:
    return "" if genre is None else f"genre == {quoted(genre)}"
