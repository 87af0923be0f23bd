"""One collection per library: its schema, the codec of its rows, and its header.

Rows with ids from 0 are tracks. Those with negative ids are the collection's header
(:class:`Header`): a collection needs nothing else but the alias that names it.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.errors import SharedLibraryError
from recsys.index.base import checked_dimension
from recsys.milvus.client import LATEST
from recsys.store.rows import analysis_dict, tags_dict, tags_of
from recsys.store.search import search_texts, shared_words
from recsys.types import MOOD_NUMBERS, Kind, Track

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recsys.milvus.client import Connection
    from recsys.types import Analysis, Tags

# Text in fields and in filters


_MARK = "\x1a"
"""SUBSTITUTE, a character that no name holds: begins an escape."""

_MARKED = re.compile(f"{_MARK}(?:{_MARK}|([0-9a-f]{{4}}))")
_ODD = re.compile(f"[{_MARK}\ud800-\udfff]")
_ESCAPES = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"},
)
_WILD = re.compile(r"[^\w .,-]|_")


def storable(text: str) -> str:
    r"""Return text that UTF-8 can hold: lone surrogates, those of odd file names, are escaped.

    Examples
    --------
    >>> storable("a/b"), restored(storable("\udcff.mp3")) == "\udcff.mp3"
    ('a/b', True)
    """
    return _ODD.sub(lambda odd: _MARK + (_MARK if odd[0] == _MARK else f"{ord(odd[0]):04x}"), text)


def restored(text: str) -> str:
    """Return the text of :func:`storable`."""
    return _MARKED.sub(lambda mark: chr(int(mark[1], 16)) if mark[1] else _MARK, text)


def quoted(text: str) -> str:
    r"""Return text as a literal of a filter.

    Examples
    --------
    >>> quoted('AC"DC')
    '"AC\\"DC"'
    """
    return f'"{storable(text).translate(_ESCAPES)}"'


def pattern(part: str) -> str:
    """Return the pattern of a filter for texts that hold a part.

    Characters with a meaning in patterns match anything: the caller has to check the rows.

    Examples
    --------
    >>> pattern("100%")
    '"%100%%"'
    """
    return quoted(f"%{_WILD.sub('%', part)}%")


# Collection


MAX_TEXT_BYTES = 65_535
"""Milvus' limit of a text field, bytes."""

GRAPH_M, GRAPH_EF_CONSTRUCTION = 32, 200
"""M and efConstruction of an HNSW graph."""

PARTITIONS = 64
"""Partitions over which a server spreads the genre groups. Graphs that hold two groups find less of
each, and of Milvus' own 16 partitions ten groups hardly get one each."""

EMPTY_ROW: dict[str, Any] = {
    "digest": 0,
    "path": "",
    "audio_hash": "",
    "words": "",
    "track": {},
    "probabilities": [],
    "tag_scores": [],
}
"""Fields of a row other than id, genre and embedding, for an index without a library."""

FIELDS = frozenset({"id", "genre", "embedding", *EMPTY_ROW})


def collection_name(alias: str, *identity: str) -> str:
    """Return the name of the collection for a library, a model and a kind of labels.

    The name is the same for the same three, so that a push that was killed goes on.

    Examples
    --------
    >>> collection_name("recsys", "library", "0123456789abcdef", "full", "model")
    'recsys_b9b4f7bf3c29'
    """
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()
    return f"{alias}_{digest[:12]}"


def is_library(connection: Connection, name: str) -> bool:
    """Return whether a collection was made for the library of a place, by its name and fields."""
    alias = re.escape(connection.place.collection)
    if not re.fullmatch(f"{alias}_[0-9a-f]{{12}}", name):
        return False
    described = connection.ask("describe_collection", name)
    return {entry["name"] for entry in described["fields"]} == FIELDS


def make_collection(
    connection: Connection, name: str, dimension: int, *, graph: bool = False
) -> None:
    """Make an empty collection, ready to be searched, by a graph (approximate) if wanted."""
    checked_dimension(dimension)
    kinds = connection.library.DataType
    schema = connection.library.MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False
    )
    schema.add_field("id", kinds.INT64, is_primary=True)
    schema.add_field("genre", kinds.VARCHAR, max_length=MAX_TEXT_BYTES, is_partition_key=True)
    schema.add_field("embedding", kinds.FLOAT_VECTOR, dim=dimension)
    schema.add_field("digest", kinds.INT64)
    for text in ("path", "audio_hash", "words"):
        schema.add_field(text, kinds.VARCHAR, max_length=MAX_TEXT_BYTES)
    schema.add_field("track", kinds.JSON)
    for scores in ("probabilities", "tag_scores"):
        # 4096 is Milvus' own limit of an array.
        schema.add_field(scores, kinds.ARRAY, element_type=kinds.FLOAT, max_capacity=4096)
    # Session: a writer finds what it wrote, and a reader waits for nobody.
    connection.ask(
        "create_collection",
        name,
        schema=schema,
        consistency_level="Session",
        num_partitions=PARTITIONS,
    )
    ensure_indexes(connection, name, graph=graph)


def ensure_indexes(connection: Connection, name: str, *, graph: bool = False) -> None:
    """Make the indexes of a collection where a killed push did not, and load it."""
    if not connection.ask("list_indexes", name):
        indexes = connection.library.MilvusClient.prepare_index_params()
        if graph:
            links = {"M": GRAPH_M, "efConstruction": GRAPH_EF_CONSTRUCTION}
            indexes.add_index("embedding", index_type="HNSW", metric_type="IP", params=links)
        else:
            indexes.add_index("embedding", index_type="FLAT", metric_type="IP")
        # Milvus Lite scans every row in any case.
        if not connection.is_file:
            for text in ("path", "audio_hash"):
                indexes.add_index(text, index_type="INVERTED")
        # The collection is empty, so there is no build to wait for.
        connection.ask("create_index", name, indexes, sync=False)
    load(connection, name)


def load(connection: Connection, name: str) -> None:
    """Load a collection; Milvus Lite opens a file with none of them loaded."""
    if connection.ask("get_load_state", name)["state"].name != "Loaded":
        connection.ask("load_collection", name)


# Header: the facts of a collection, in rows of negative ids


_PIECE = 60_000
"""Characters of a header per row; they are ASCII, and so as many bytes."""

_MAX_PIECES = 200

HEADER_GENRE = f"{_MARK}header"
"""Genre of the rows of a header; no genre of a track is stored like this."""

_READINGS = 3
"""Attempts to read a header: a server may show the rows of one write one by one."""


@dataclass(frozen=True, slots=True)
class Header:
    """The facts of a collection that readers need without reading its tracks."""

    fingerprint: str = ""
    revision: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # tracks by genre group
    highest_id: int = 0
    about: dict[str, Any] = field(default_factory=dict)  # library id, model, genre source, roots
    version: str = ""  # random, another one for every push: readers compare it


def write_header(connection: Connection, name: str, dimension: int, header: Header) -> None:
    """Write the header of a collection, in as many rows as it takes."""
    text = json.dumps(asdict(header))
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    unit = np.eye(1, dimension, dtype=np.float32)[0]
    rows = [
        {
            **EMPTY_ROW,
            "id": -1 - number,
            "genre": HEADER_GENRE,
            "embedding": unit,
            "digest": len(pieces),
            "audio_hash": header.version,
            "path": piece,
        }
        for number, piece in enumerate(pieces)
    ]
    connection.ask("upsert", name, rows)


def read_header(connection: Connection, name: str) -> Header | None:
    """Return the header of a collection, None where none was written yet.

    SharedLibraryError where its rows are not those of one write.
    """
    for _ in range(_READINGS):
        rows = header_rows(connection, name, _MAX_PIECES)
        if not rows:
            return None
        with suppress(ValueError, KeyError):
            return _header_of(rows)
    raise SharedLibraryError(
        f"the header of the library at {connection.place} is incomplete",
        "If somebody pushes there now, ask again; otherwise push the library again.",
    )


def header_rows(connection: Connection, name: str, most: int) -> dict[int, dict[str, Any]]:
    """Return the first rows of a header by id."""
    ids = range(-1, -1 - most, -1)
    rows = connection.ask(
        "query",
        name,
        filter=f"id in [{','.join(map(str, ids))}]",  # Milvus Lite looks up ids, and scans for `<`
        output_fields=["id", "digest", "audio_hash", "path"],
        limit=most,
        **LATEST,
    )
    return {row["id"]: row for row in rows}


def _header_of(rows: Mapping[int, Mapping[str, Any]]) -> Header:
    """Return a header; KeyError or ValueError where its rows are not those of one write."""
    first = rows[-1]
    pieces = [rows[-1 - number] for number in range(first["digest"])]
    if {piece["audio_hash"] for piece in pieces} != {first["audio_hash"]}:
        raise ValueError("the rows of a header are not of one write")
    return Header(**json.loads("".join(piece["path"] for piece in pieces)))


# Tracks


MAX_TAG_CHARACTERS = 6000
"""Characters of a tag that are kept; Milvus takes no text without a limit."""

TRACK_FIELDS = ["id", "genre", "path", "audio_hash", "track"]
ANALYSIS_FIELDS = ["id", "probabilities", "embedding", "tag_scores"]

_TEXTS = ("artist", "album_artist", "album", "title", "genre_tag", "language")


def row_of(track: Track, analysis: Analysis) -> dict[str, Any]:
    """Return the fields of a track other than id, genre and embedding."""
    tags = shortened(track.tags)
    about = tags_dict(tags) | {
        "duration_s": track.duration_s,
        "genre": track.genre,
        "warning": track.warning,
        "missing": track.missing,
        **{name: getattr(track, name) for name in MOOD_NUMBERS},
        **({} if track.kind is None else _kind_of(track)),
    }
    arrays = analysis_dict(analysis)
    row = {
        "path": storable(str(track.path)),
        "audio_hash": track.audio_hash,
        # No text of a search holds a tab: white space in it is single spaces and line ends.
        "words": "\t".join(shared_words(search_texts(tags, track.path))),
        "track": about,
        "probabilities": arrays["probabilities"].tolist(),
        "tag_scores": arrays["tag_scores"].tolist(),
    }
    return {**row, "digest": _digest(track, row, arrays.values())}


def _kind_of(track: Track) -> dict[str, Any]:
    return {
        "kind": str(track.kind),
        "kind_probability": track.kind_probability,
        "vocals": track.vocals,
    }


def shortened(tags: Tags) -> Tags:
    """Return tags cut to :data:`MAX_TAG_CHARACTERS`; nearly always the very same object."""
    texts = {name: getattr(tags, name) for name in _TEXTS}
    long = {name: text for name, text in texts.items() if text and len(text) > MAX_TAG_CHARACTERS}
    return (
        replace(tags, **{name: text[:MAX_TAG_CHARACTERS] for name, text in long.items()})
        if long
        else tags
    )


def _digest(track: Track, row: Mapping[str, Any], arrays: Iterable[Any]) -> int:
    """Return a hash of everything that is kept of a track."""
    parts = [track.genre_group, row["path"], row["audio_hash"], row["words"], row["track"]]
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return int.from_bytes(digest.digest(), "little", signed=True)


def track_of(row: Mapping[str, Any]) -> Track:
    """Return the track of a row with the fields :data:`TRACK_FIELDS`."""
    about = row["track"]
    rest = {name: about[name] for name in ("duration_s", "genre", "warning", "missing")}
    rest |= {name: about.get(name) for name in MOOD_NUMBERS}
    return Track(
        id=row["id"],
        path=Path(restored(row["path"])),
        tags=tags_of(about),
        audio_hash=row["audio_hash"],
        genre_group=restored(row["genre"]),
        kind=Kind(about["kind"]) if "kind" in about else None,
        kind_probability=about.get("kind_probability"),
        vocals=about.get("vocals"),
        **rest,
    )
