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
import os
import platform
import re
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from recsys.errors import GenreIndexError, SharedLibraryError
from recsys.index.base import checked_dimension
from recsys.milvus.connection import LATEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.index.base import EmbeddingIndex
    from recsys.milvus.connection import Connection, Place

# Text as Milvus takes it: in fields, and in the filters that ask for them.


_MARK = "\x1a"
"""SUBSTITUTE, which no name holds: marks what stands for something that UTF-8 has not."""

_MARKED = re.compile(f"{_MARK}(?:{_MARK}|([0-9a-f]{{4}}))")
_ODD = re.compile(f"[{_MARK}\ud800-\udfff]")
_ESCAPES = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"},
)
_WILD = re.compile(r"[^\w .,-]|_")


def storable(text: str) -> str:
    r"""Return text that UTF-8 can hold; lone surrogates, those of odd file names, are marked.

    Examples
    --------
    >>> storable("a/b"), restored(storable("\udcff.mp3")) == "\udcff.mp3"
    ('a/b', True)
    """
    return _ODD.sub(lambda odd: _MARK + (_MARK if odd[0] == _MARK else f"{ord(odd[0]):04x}"), text)


def restored(text: str) -> str:
    """Return what :func:`storable` was given."""
    return _MARKED.sub(lambda mark: chr(int(mark[1], 16)) if mark[1] else _MARK, text)


def quoted(text: str) -> str:
    r"""Return text as a filter has it.

    Examples
    --------
    >>> quoted('AC"DC')
    '"AC\\"DC"'
    """
    return f'"{storable(text).translate(_ESCAPES)}"'


def pattern(part: str) -> str:
    """Return the pattern of a filter for texts that hold a part.

    What has a meaning in patterns, or may be read in several ways, stands for anything: whoever
    asks has to look at what comes back once more.

    Examples
    --------
    >>> pattern("100%")
    '"%100%%"'
    """
    return quoted(f"%{_WILD.sub('%', part)}%")


# What is known of an index on Milvus without asking for its rows.


@dataclass
class State:
    """What is known of an index without asking for its rows.

    Attributes
    ----------
    fingerprint, revision
        As in :class:`recsys.index.base.EmbeddingIndex`.
    counts : dict of str to int
        Tracks by part.
    highest_id : int
        No id that is held is higher.
    settled : bool
        Nothing was written since; if something was, the counts may be wrong.
    graph : bool
        A graph is searched, instead of all tracks of a part.
    """

    fingerprint: str = ""
    revision: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    highest_id: int = 0
    settled: bool = False
    graph: bool = False


def check_dimension(index: EmbeddingIndex, dimension: int) -> None:
    """Raise an error unless an index holds embeddings of this length.

    Raises
    ------
    GenreIndexError
        It holds others.
    """
    if index.dimension != dimension:
        raise GenreIndexError(
            f"the index on Milvus holds embeddings of dimension {index.dimension}, and the"
            f" model makes them of dimension {dimension}",
            "It was not made by this library: push it once more with --replace.",
        )


# One push at a time per place.


LEASE_NOTE = "pushing"
"""Who pushes at this moment; null when nobody does."""

LEASE_S = 600.0
"""How long a note counts that is not renewed; twice what one question may take."""

RENEW_S = 30.0
"""How often it is renewed at most."""

_held_here: set[str] = set()
"""The keys of those that this process holds."""


class Lease:
    """Hold the right to push to a place: ``with Lease(notes, place) as lease: ...``.

    Of two who take it at the very same moment, both may believe to have it; the first one finds
    out when it renews it.

    Parameters
    ----------
    notes : Notes
        Of the place.
    place : Place

    Raises
    ------
    SharedLibraryError
        On entering: somebody else pushes. The message says who.
    """

    def __init__(self, notes: Notes, place: Place) -> None:
        self._notes, self._place = notes, place
        self._key = uuid.uuid4().hex
        self._renewed_s = 0.0

    def __enter__(self) -> Self:
        holder = self._holder()
        if holder is not None and not _has_ended(holder):
            raise self._busy(holder)
        _held_here.add(self._key)
        try:
            self._write()
            self.renew(now=True)
        except BaseException:
            _held_here.discard(self._key)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _held_here.discard(self._key)
        # What ended the push says more than that the note could not be taken away.
        with suppress(SharedLibraryError):
            holder = self._holder()
            if holder is not None and holder["key"] == self._key:
                self._notes.write(LEASE_NOTE, None)

    def renew(self, *, now: bool = False) -> None:
        """Say that the push goes on; mostly it was said a short while ago, and nothing is done.

        Raises
        ------
        SharedLibraryError
            Somebody else has taken it meanwhile.
        """
        if not now and time.monotonic() - self._renewed_s < RENEW_S:
            return
        holder = self._holder()
        if holder is None or holder["key"] != self._key:
            raise self._busy(holder)
        self._write()

    def _holder(self) -> dict[str, Any] | None:
        holder: dict[str, Any] | None = self._notes.read(LEASE_NOTE).get(LEASE_NOTE)
        return holder

    def _write(self) -> None:
        who = {"host": platform.node(), "pid": os.getpid(), "key": self._key}
        self._notes.write(LEASE_NOTE, {**who, "until": time.time() + LEASE_S})
        self._renewed_s = time.monotonic()

    def _busy(self, holder: dict[str, Any] | None) -> SharedLibraryError:
        who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
        return SharedLibraryError(
            f"{who} is pushing to {self._place}",
            "Wait until it is done, and push again. If it was killed, it is forgotten after"
            f" {LEASE_S / 60:g} minutes.",
        )


def _has_ended(holder: dict[str, Any]) -> bool:
    """Return whether a push is over although its note is still there."""
    if holder["until"] < time.time():
        return True
    if holder["host"] != platform.node():
        return False
    if holder["pid"] == os.getpid():
        return holder["key"] not in _held_here
    return not _is_running(holder["pid"])


def _is_running(pid: int) -> bool:
    """Return whether a process of this machine runs, True where that cannot be told."""
    if os.name != "posix":  # elsewhere os.kill ends it, whatever the signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


# ----------------------------------------------------------------------


PAGE = 1000
"""Rows written or asked for by their keys at once."""

GRAPH_FROM = 500_000
"""From so many tracks in one part on, a server searches a graph instead of all of them."""

ADDED_LINKS, BUILD_REACH = 32, 200
"""M and efConstruction of that graph (HNSW)."""

PARTITIONS = 64
"""Over which a server spreads the parts. A graph that holds two of them finds less of each, and
among 16 partitions, Milvus' own number, ten genres hardly find one each."""

LONGEST_TEXT = 65_535
"""Bytes of a text field at most, says Milvus."""

_PIECE = 60_000
"""Characters of a note per row; they are ASCII, and so as many bytes."""

_READINGS = 3
"""How often a value is read whose pieces do not fit; a server may write them one by one."""

EMPTY_ROW: dict[str, Any] = {
    "digest": 0,
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
    >>> collection_name("recsys", "library", "0123456789abcdef", "full", "model")
    'recsys_47f0a074672f'
    """
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()
    return f"{base}_{digest[:12]}"


def make_tracks(connection: Connection, name: str, dimension: int, *, graph: bool = False) -> None:
    """Make a collection of tracks, empty and ready for questions.

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
    schema.add_field("digest", kinds.INT64)
    for name_of_text in ("path", "audio_hash", "words"):
        schema.add_field(name_of_text, kinds.VARCHAR, max_length=LONGEST_TEXT)
    schema.add_field("track", kinds.JSON)
    for name_of_scores in ("probabilities", "tag_scores"):
        schema.add_field(name_of_scores, kinds.ARRAY, element_type=kinds.FLOAT, max_capacity=4096)
    _make(connection, name, schema, graph=graph, num_partitions=PARTITIONS)


def make_ready(connection: Connection, name: str, *, graph: bool = False) -> None:
    """See to it that a collection can be searched; one that was just begun may have no index."""
    if not connection.ask("list_indexes", name):
        _make_index(connection, name, graph=graph)
    load(connection, name)


def load(connection: Connection, name: str) -> None:
    """See to it that a collection can be asked; Milvus Lite opens a file with all of them shut."""
    if connection.ask("get_load_state", name)["state"].name != "Loaded":
        connection.ask("load_collection", name)


def _make(
    connection: Connection,
    name: str,
    schema: Any,  # noqa: ANN401
    *,
    graph: bool = False,
    **options: object,
) -> None:
    # Session: a writer finds what it wrote, and a reader waits for nobody.
    connection.ask("create_collection", name, schema=schema, consistency_level="Session", **options)
    make_ready(connection, name, graph=graph)


def _make_index(connection: Connection, name: str, *, graph: bool) -> None:
    indexes = connection.library.MilvusClient.prepare_index_params()
    if graph:
        links = {"M": ADDED_LINKS, "efConstruction": BUILD_REACH}
        indexes.add_index("embedding", index_type="HNSW", metric_type="IP", params=links)
    else:
        indexes.add_index("embedding", index_type="FLAT", metric_type="IP")
    # Milvus Lite gains nothing by these: what takes it time is that it looks at every row at all.
    if not connection.is_file and name != connection.place.collection:
        for field in ("path", "audio_hash"):
            indexes.add_index(field, index_type="INVERTED")
    # Nothing is there yet, so that there is no index to wait for.
    connection.ask("create_index", name, indexes, sync=False)


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

    def open(self) -> bool:
        """Return whether anything was ever written there, and see to it that it can be read."""
        found = bool(self._connection.ask("has_collection", self._name))
        if found:
            load(self._connection, self._name)
        return found

    def make(self) -> None:
        """Make room for them, where there is none yet."""
        if self._connection.ask("has_collection", self._name):
            make_ready(self._connection, self._name)
            return
        kinds = self._connection.library.DataType
        schema = self._connection.library.MilvusClient.create_schema(auto_id=False)
        schema.add_field("name", kinds.VARCHAR, max_length=512, is_primary=True)
        schema.add_field("text", kinds.VARCHAR, max_length=LONGEST_TEXT)
        schema.add_field("more", kinds.INT64)
        # Milvus keeps no collection without vectors.
        schema.add_field("embedding", kinds.FLOAT_VECTOR, dim=2)
        _make(self._connection, self._name, schema)

    def read(self, *names: str) -> dict[str, Any]:
        """Return the values of some names; those that were never written are left out.

        Raises
        ------
        SharedLibraryError
            A value is not whole.
        """
        for _ in range(_READINGS):
            with suppress(KeyError, ValueError):
                return self._values(names)
        raise SharedLibraryError(
            f"what {self._connection.place} says of its library is not whole",
            "If somebody pushes there at this moment, ask again; otherwise push it once more.",
        )

    def _values(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the values of names; KeyError or ValueError where the pieces do not fit."""
        rows = self._rows(names)
        return {name: json.loads(_joined(name, rows)) for name in names if name in rows}

    def _rows(self, names: Sequence[str]) -> dict[str, tuple[str, int]]:
        # All pieces in one question: between two of them somebody may write the value anew.
        pieces = [f"name like {quoted(_piece(name, '%'))}" for name in names]
        rows = self._connection.ask(
            "query",
            self._name,
            filter=" or ".join([f"name in {json.dumps(list(names))}", *pieces]),
            output_fields=["name", "text", "more"],
            # Readers want the latest of these, too: they say what else there is.
            **LATEST,
        )
        return {row["name"]: (row["text"], row["more"]) for row in rows}

    def write(self, name: str, value: Any) -> None:  # noqa: ANN401 (any JSON value)
        """Write a value, in the place of an earlier one."""
        text = json.dumps(value)
        pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
        rows = [
            {
                "name": _piece(name, number),
                "text": piece,
                "more": len(pieces) - 1 - number,
                "embedding": [1.0, 0.0],
            }
            for number, piece in enumerate(pieces)
        ]
        self._connection.ask("upsert", self._name, rows)


def _piece(name: str, number: int | str) -> str:
    return f"{name}#{number}" if number else name


def _joined(name: str, rows: Mapping[str, tuple[str, int]]) -> str:
    """Return the text of a name from its pieces, each of which says how many come after it."""
    after = rows[name][1]
    pieces = [rows[_piece(name, number)] for number in range(after + 1)]
    if [more for _, more in pieces] != list(range(after, -1, -1)):
        raise ValueError(f"the pieces of {name} are not of one value")
    return "".join(text for text, _ in pieces)
