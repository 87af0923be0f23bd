"""The collections that a shared library is made of, and what their rows hold.

One collection, which bears the name of the place, holds a few short texts: which library lies
there, with which model it was analysed, and how far every other collection has got. Each of those
others holds the tracks of one library as one model heard and one kind of labels sorted it; its name
ends in a hash of the three. So no collection ever holds a mixture, and a reader who was told of one
finds in it what he was told, or finds that it is gone.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from recsys.index.base import checked_dimension

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.milvus.connection import Connection

MOST_HITS = 16_384
"""More rows Milvus returns for no question (``quotaAndLimits.limits.topK``)."""

PAGE = 1000
"""Rows written or asked for by their keys at once."""

ADDED_LINKS, BUILD_REACH = 32, 200
"""M and efConstruction of the graph (HNSW) that a server searches."""

LONGEST_TEXT = 65_535
"""Bytes of a text field at most, says Milvus."""

_PIECE = 16_000
"""Characters of a note per row: at most four bytes each, and so never too long."""

EMPTY_ROW: dict[str, Any] = {
    "path": "",
    "audio_hash": "",
    "words": "",
    "track": {},
    "probabilities": [],
    "tag_scores": [],
}
"""What a row holds beside its key, part and embedding, for an index without a library."""


def collection_name(base: str, *identity: str) -> str:
    """Return the name of the collection for a library, a model and a kind of labels.

    Examples
    --------
    >>> collection_name("recsys", "library", "model", "gtzan")
    'recsys_47f0a074672f'
    """
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()
    return f"{base}_{digest[:12]}"


def make_tracks(connection: Connection, name: str, dimension: int) -> None:
    """Make a collection of tracks, empty and ready for questions.

    Raises
    ------
    GenreIndexError
        The dimension is not at least 1.
    SharedLibraryError
        It cannot be made.
    """
    checked_dimension(dimension)
    kinds = connection.library.DataType
    schema = connection.library.MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False
    )
    schema.add_field("id", kinds.INT64, is_primary=True)
    schema.add_field("genre", kinds.VARCHAR, max_length=LONGEST_TEXT, is_partition_key=True)
    schema.add_field("embedding", kinds.FLOAT_VECTOR, dim=dimension)
    for field in ("path", "audio_hash", "words"):
        schema.add_field(field, kinds.VARCHAR, max_length=LONGEST_TEXT)
    schema.add_field("track", kinds.JSON)
    for field in ("probabilities", "tag_scores"):
        schema.add_field(field, kinds.ARRAY, element_type=kinds.FLOAT, max_capacity=4096)
    _make(connection, name, schema, _vector_index(connection))


def _vector_index(connection: Connection) -> dict[str, Any]:
    # Milvus Lite compares with every track, which is exact; a server has too many for that.
    if connection.is_file:
        return {"index_type": "FLAT", "metric_type": "IP"}
    return {
        "index_type": "HNSW",
        "metric_type": "IP",
        "params": {"M": ADDED_LINKS, "efConstruction": BUILD_REACH},
    }


def _make(connection: Connection, name: str, schema: Any, vector_index: dict[str, Any]) -> None:  # noqa: ANN401
    indexes = connection.library.MilvusClient.prepare_index_params()
    indexes.add_index("embedding", **vector_index)
    # Session: a writer finds what it wrote, and a reader waits for nobody.
    connection.ask("create_collection", name, schema=schema, consistency_level="Session")
    # Nothing is there yet, so that there is no index to wait for.
    connection.ask("create_index", name, indexes, sync=False)
    connection.ask("load_collection", name)


class Notes:
    """Short texts by name, kept beside the tracks; a name is written as a whole or not at all.

    Parameters
    ----------
    connection : Connection
        To the place.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._name = connection.place.collection

    def exist(self) -> bool:
        """Return whether anything was ever written there."""
        return bool(self._connection.ask("has_collection", self._name))

    def make(self) -> None:
        """Make room for them, where there is none yet."""
        if self.exist():
            return
        kinds = self._connection.library.DataType
        schema = self._connection.library.MilvusClient.create_schema(auto_id=False)
        schema.add_field("name", kinds.VARCHAR, max_length=512, is_primary=True)
        schema.add_field("text", kinds.VARCHAR, max_length=LONGEST_TEXT)
        # Milvus keeps no collection without vectors.
        schema.add_field("embedding", kinds.FLOAT_VECTOR, dim=2)
        _make(self._connection, self._name, schema, {"index_type": "FLAT", "metric_type": "IP"})

    def read(self, *names: str) -> dict[str, Any]:
        """Return the values of some names; those that were never written are left out."""
        if not names:
            return {}
        listed = json.dumps(list(names))
        rows = self._connection.ask(
            "query",
            self._name,
            filter=f"name in {listed}",
            output_fields=["name", "text"],
            consistency_level="Strong",
        )
        return {row["name"]: json.loads(row["text"]) for row in rows}

    def write(self, values: Mapping[str, Any]) -> None:
        """Write some values, JSON each."""
        rows = [
            {"name": name, "text": json.dumps(value), "embedding": [1.0, 0.0]}
            for name, value in values.items()
        ]
        self._connection.ask("upsert", self._name, rows)

    def remove(self, names: Sequence[str]) -> None:
        """Forget some names."""
        self._connection.ask("delete", self._name, filter=f"name in {json.dumps(list(names))}")


def pieces(text: str) -> list[str]:
    """Cut a text into pieces that fit into a note each."""
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
