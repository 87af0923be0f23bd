"""Embeddings on Milvus: candidates are found there, and compared exactly here."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.index.base import (
    best,
    checked_query,
    checked_vectors,
    similarities,
    unit_from_half,
    unknown_ids,
)
from recsys.milvus.client import LATEST, MAX_ROWS
from recsys.milvus.collection import (
    EMPTY_ROW,
    Header,
    ensure_indexes,
    load,
    make_collection,
    quoted,
    read_header,
    restored,
    storable,
    write_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from recsys.milvus.client import Connection
    from recsys.types import FloatArray, IdArray, Neighbour

TRACKS = "id >= 0"
"""Condition for tracks; the rows of the header have negative ids."""

PAGE = 1000
"""Rows of one request by id."""

SPARE = 16
"""Hits beyond those wanted, because the last one has to be clearly worse."""

SIMILARITY_MARGIN = 1e-3
"""Milvus ranks float32 embeddings, and answers rank float16 ones as those of the local index do:
similarities further apart than this are in the right order by both."""

MAX_ANSWER_BYTES = 32_000_000
"""Of embeddings in one answer; the limit of servers is 64 MB."""

GROWTH = 4
"""How many times more hits the next request asks for while the last one is not clearly worse."""

MIN_EF = 256
"""Least ef of a graph search; it is at least twice the hits asked for."""


class MilvusIndex:
    """A :class:`~recsys.index.base.KeptIndex` on Milvus: a collection of this name.

    Milvus compares the query with every track of a genre group, or follows a graph. Similarities
    are computed again here, from as many hits as it takes to put ties into order. The counts of a
    given header are trusted until the first change.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        dimension: int,
        *,
        graph: bool = False,
        header: Header | None = None,
    ) -> None:
        self.dimension = dimension
        self.name = name
        self.header = header or Header()
        self._connection = connection
        self._graph = graph
        self._counts = Counter(header.counts) if header else None
        self._highest_id = self.header.highest_id

    @classmethod
    def create(
        cls, connection: Connection, name: str, dimension: int, *, graph: bool = False
    ) -> Self:
        """Make an empty index, see :func:`recsys.milvus.collection.make_collection`."""
        make_collection(connection, name, dimension, graph=graph)
        return cls(connection, name, dimension, graph=graph, header=Header())

    @classmethod
    def open(
        cls, connection: Connection, name: str, *, reading: bool = False, graph: bool = False
    ) -> Self:
        """Open an index; SharedLibraryError where there is no such collection.

        `reading` takes the counts of the header, even while another process writes; else they are
        counted where they are needed. `graph` makes a graph where a process was killed before it
        made an index of any kind.
        """
        if reading:
            load(connection, name)
        else:
            ensure_indexes(connection, name, graph=graph)
        described = connection.ask("describe_collection", name)
        fields = {entry["name"]: entry for entry in described["fields"]}
        dimension = int(fields["embedding"]["params"]["dim"])
        kind = connection.ask("describe_index", name, "embedding")["index_type"]
        index = cls(connection, name, dimension, graph=kind == "HNSW")
        header = read_header(connection, name)
        if header is not None:
            index.header = header
            if reading:
                index._counts, index._highest_id = Counter(header.counts), header.highest_id
        return index

    @property
    def fingerprint(self) -> str:
        """See :attr:`recsys.index.base.EmbeddingIndex.fingerprint`."""
        return self.header.fingerprint

    @property
    def revision(self) -> int:
        """See :attr:`recsys.index.base.EmbeddingIndex.revision`."""
        return self.header.revision

    @property
    def genres(self) -> tuple[str, ...]:
        """The genre groups that hold something, sorted."""
        return tuple(sorted(self._known_counts()))

    @property
    def highest_id(self) -> int:
        """See :attr:`recsys.index.base.EmbeddingIndex.highest_id`."""
        self._known_counts()
        return self._highest_id

    def counts(self) -> dict[str, int]:
        """Return how many tracks each genre group holds that holds any, by name."""
        return dict(sorted(self._known_counts().items()))

    def count(self, genre: str | None = None) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.count`."""
        counts = self._known_counts()
        return counts.total() if genre is None else counts[genre]

    def commit(
        self,
        *,
        fingerprint: str,
        revision: int,
        counts: Mapping[str, int] | None = None,
        highest_id: int = 0,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """See :meth:`recsys.index.base.KeptIndex.commit`; `about` is for readers.

        Without `counts`, tracks by genre group, and their `highest_id`, the tracks are counted.
        """
        self._connection.ask("flush", self.name)
        if counts is not None:
            self._counts, self._highest_id = +Counter(counts), highest_id
        self.header = Header(
            fingerprint=fingerprint,
            revision=revision,
            counts=self.counts(),
            highest_id=self.highest_id,
            about=dict(about or {}),
            version=secrets.token_hex(8),
        )
        write_header(self._connection, self.name, self.dimension, self.header)

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
        """Put tracks, no id twice, into their genre groups, with the fields of their rows."""
        whole = [
            {"id": track_id, "genre": storable(genre), "embedding": vector, **row}
            for track_id, genre, vector, row in zip(
                ids.tolist(), genres, embeddings, rows, strict=True
            )
        ]
        for start in range(0, len(whole), PAGE):
            # An upsert replaces the row of an id in whatever genre group it is: no reader finds a
            # track twice or not at all.
            self._connection.ask("upsert", self.name, whole[start : start + PAGE])
            self._counts = None
        self._highest_id = max(self._highest_id, int(ids.max(initial=0)))

    def remove(self, ids: Iterable[int]) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.remove`."""
        unique = np.unique(np.fromiter(ids, dtype=np.int64)).tolist()
        removed = 0
        for start in range(0, len(unique), PAGE):
            page = unique[start : start + PAGE]
            held = sorted(row["id"] for row in self.rows(page, [], **LATEST))
            if held:
                self._connection.ask("delete", self.name, ids=held)
                self._counts = None
                removed += len(held)
        return removed

    def rows(
        self, ids: Iterable[int], fields: Sequence[str], **options: object
    ) -> list[dict[str, Any]]:
        """Return fields of the rows of ids, unknown ids left out; options are the client's."""
        wanted = [int(track_id) for track_id in ids if track_id >= 0]
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

    # Queries

    def search(self, genre: str | None, query: FloatArray, k: int) -> list[Neighbour]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search`."""
        return self.search_with_vectors(genre, query, k)[0]

    def search_with_vectors(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search_with_vectors`.

        Where more than :data:`recsys.milvus.client.MAX_ROWS` tracks or
        :data:`MAX_ANSWER_BYTES` are asked for, the whole genre group is read.
        """
        query = checked_query(query, self.dimension, k)
        held = self.count(genre)
        wanted = k + SPARE
        while wanted <= self._max_vectors:
            ids, vectors, lowest = self._hits(genre, query, wanted)
            found, embeddings = best(ids, vectors, query, k)
            if len(ids) < wanted:
                # That is all of them, unless a graph search returned too few.
                if len(ids) >= held:
                    return found, embeddings
                break
            if lowest < found[-1].similarity - SIMILARITY_MARGIN:
                return found, embeddings
            wanted *= GROWTH
        return self._exact_scan(genre, query, k)

    @property
    def _max_vectors(self) -> int:
        return min(MAX_ROWS, MAX_ANSWER_BYTES // (4 * self.dimension))

    def _hits(
        self, genre: str | None, query: FloatArray, limit: int
    ) -> tuple[IdArray, FloatArray, float]:
        """Return what Milvus finds: ids, embeddings and the lowest similarity."""
        reach = {"ef": max(MIN_EF, 2 * limit)} if self._graph else {}
        (hits,) = self._connection.ask(
            "search",
            self.name,
            data=[query],
            anns_field="embedding",
            filter=_in_group(genre),
            limit=limit,
            output_fields=["embedding"],
            search_params={"params": reach},
        )
        ids = np.array([hit["id"] for hit in hits], dtype=np.int64)
        vectors = self._matrix([hit["entity"]["embedding"] for hit in hits])
        return ids, vectors, float(similarities(vectors, query).min(initial=1.0))

    def _exact_scan(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        """Compare the query with every track of a genre group, a page at a time."""
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
        unique, inverse = np.unique(wanted, return_inverse=True)
        known = {row["id"]: row["embedding"] for row in self.rows(unique.tolist(), ["embedding"])}
        if missing := set(unique.tolist()) - known.keys():
            raise unknown_ids(missing)
        return self._matrix([known[track_id] for track_id in unique.tolist()])[inverse]

    def _matrix(self, rows: Sequence[Any]) -> FloatArray:
        """Return embeddings as the local index has them."""
        return unit_from_half(np.array(rows, dtype=np.float16).reshape(len(rows), self.dimension))

    # Counts

    def _known_counts(self) -> Counter[str]:
        """Return the tracks of each genre group; after a change, by reading every row."""
        if self._counts is None:
            counts: Counter[str] = Counter()
            highest = 0
            for page in self._pages(None, ["genre"], **LATEST):
                counts.update(restored(row["genre"]) for row in page)
                highest = max(highest, page[-1]["id"])
            self._counts, self._highest_id = counts, highest
        return self._counts

    def _pages(
        self, genre: str | None, fields: list[str], **options: object
    ) -> Iterator[list[dict[str, Any]]]:
        size = min(5 * PAGE, self._max_vectors)
        fields = ["id", *fields]
        return self._connection.pages(self.name, _in_group(genre), fields, size, **options)


def _in_group(genre: str | None) -> str:
    """Return the condition for the tracks of a genre group, or for all tracks."""
    return TRACKS if genre is None else f"genre == {quoted(genre)}"
