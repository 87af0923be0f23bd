"""What a shard says of a file: the one schema of the Parquet that a cluster writes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.cluster.sources import SourceFile
from recsys.errors import RecsysError, require
from recsys.store.rows import analysis_dict, analysis_of, storable_text, tags_dict, tags_of
from recsys.types import Tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.types import Analysis, FloatArray, ModelInfo

SCHEMA_VERSION = 1
"""Rises when an older recsys could no longer read the rows rightly."""

_METADATA_KEY = b"recsys"
FILE_COLUMNS = ["path", "raw_path", "size", "mtime_ns", "etag"]
"""What :func:`file_of` needs."""

_ARRAYS = ("probabilities", "tag_scores", "embedding")


@dataclass(frozen=True, slots=True)
class Row:
    """One file, heard or failed.

    Attributes
    ----------
    file : SourceFile
        The file as it was listed.
    audio_hash : str or None
        Identity of the encoded sound; None for a failure.
    tags : Tags
        What the file says about itself.
    duration_s : float or None
        Seconds; None for a failure.
    warning : str or None
        What was odd about the file.
    genre : str or None
        The most probable one; None for a failure.
    analysis : Analysis or None
        None for a failure.
    failure : str or None
        Why it could not be heard.
    may_pass : bool
        The failure lies outside the file, so that the next run tries it again.
    """

    file: SourceFile
    audio_hash: str | None = None
    tags: Tags = field(default_factory=Tags)
    duration_s: float | None = None
    warning: str | None = None
    genre: str | None = None
    analysis: Analysis | None = None
    failure: str | None = None
    may_pass: bool = False


@dataclass(frozen=True, slots=True)
class ShardHeader:
    """What all rows of a shard have in common.

    Attributes
    ----------
    fingerprint : str
        Of the model that heard them, with its effort.
    model : str
        Its name.
    labels : tuple of str
        Genres, in the order of the probabilities.
    tags : tuple of str
        In the order of the tag scores.
    dimension : int
        Length of the embedding.
    sources : tuple of str
        The places that were listed.
    recsys : str
        Version that wrote it.
    schema : int
        Of these rows.
    """

    fingerprint: str
    model: str
    labels: tuple[str, ...]
    tags: tuple[str, ...]
    dimension: int
    sources: tuple[str, ...] = ()
    recsys: str = ""
    schema: int = SCHEMA_VERSION

    @classmethod
    def of_model(cls, info: ModelInfo, sources: Sequence[str]) -> ShardHeader:
        """Return the header of what a model hears."""
        from importlib.metadata import version

        return cls(
            fingerprint=info.fingerprint,
            model=info.name,
            labels=info.labels,
            tags=info.tags,
            dimension=info.dimension,
            sources=tuple(sources),
            recsys=version("recsys"),
        )

    def as_metadata(self) -> dict[bytes, bytes]:
        """Return it as Parquet keeps it."""
        return {_METADATA_KEY: json.dumps(asdict(self), ensure_ascii=True).encode()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes] | None, source: str) -> ShardHeader:
        """Read it from the metadata of a Parquet file.

        Raises
        ------
        RecsysError
            If the file is not one of recsys, or is newer than this recsys.
        """
        text = (metadata or {}).get(_METADATA_KEY)
        if text is None:
            raise RecsysError(
                f"{source} is not a shard that recsys wrote",
                "Give what `recsys cluster index` wrote: shards, or the folder of them.",
            )
        raw = json.loads(text)
        if raw.get("schema", 0) > SCHEMA_VERSION:
            raise RecsysError(
                f"{source} has schema {raw['schema']}; this recsys reads up to {SCHEMA_VERSION}",
                "Update recsys.",
            )
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in raw.items() if name in known}
        for name in ("labels", "tags", "sources"):
            values[name] = tuple(values[name])
        return cls(**values)


@cache
def schema() -> Any:  # noqa: ANN401 (a pyarrow.Schema, which is loaded only when it is needed)
    """Return the columns of a shard."""
    pa = require("pyarrow", "ray")
    vector = pa.list_(pa.float32())
    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("raw_path", pa.binary()),  # where the path is not UTF-8, else null
            pa.field("size", pa.int64(), nullable=False),
            pa.field("mtime_ns", pa.int64(), nullable=False),
            pa.field("etag", pa.string()),
            pa.field("audio_hash", pa.string()),
            pa.field("duration_s", pa.float64()),
            pa.field("warning", pa.string()),
            pa.field("tags", _tags_type()),
            pa.field("genre", pa.string()),
            *(pa.field(name, vector) for name in _ARRAYS),
            pa.field("failure", pa.string()),
            pa.field("may_pass", pa.bool_(), nullable=False),
        ]
    )


@cache
def _tags_type() -> Any:  # noqa: ANN401
    pa = require("pyarrow", "ray")
    numbers = {"track_number", "year"}
    return pa.struct(
        [
            pa.field(each.name, pa.int64() if each.name in numbers else pa.string())
            for each in fields(Tags)
        ]
    )


def table_of(rows: Sequence[Row]) -> Any:  # noqa: ANN401 (a pyarrow.Table)
    """Return rows as a table of :func:`schema`."""
    pa = require("pyarrow", "ray")
    return pa.Table.from_pylist([_plain(row) for row in rows], schema=schema())


def rows_of(table: Any, fingerprint: str) -> list[Row]:  # noqa: ANN401 (a pyarrow.Table)
    """Return the rows of a table.

    Parameters
    ----------
    table : pyarrow.Table or RecordBatch
        All columns of :func:`schema`.
    fingerprint : str
        Of the model that heard them.
    """
    # Arrays through NumPy: lists of Python numbers would take half of the time of importing.
    arrays = {name: _vectors(table.column(name)) for name in _ARRAYS}
    rest = table.drop_columns(list(_ARRAYS)).to_pylist()
    return [
        _row(plain, {name: arrays[name][i] for name in _ARRAYS}, fingerprint)
        for i, plain in enumerate(rest)
    ]


def _plain(row: Row) -> dict[str, Any]:
    file = row.file
    shown, raw = _path_columns(file.name)
    return analysis_dict(row.analysis) | {
        "path": shown,
        "raw_path": raw,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "etag": file.etag,
        "audio_hash": row.audio_hash,
        "duration_s": row.duration_s,
        "warning": storable_text(row.warning),
        "tags": tags_dict(row.tags),
        "genre": row.genre,
        "failure": storable_text(row.failure),
        "may_pass": row.may_pass,
    }


def _path_columns(name: str) -> tuple[str, bytes | None]:
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace").decode(), os.fsencode(name)
    return name, None


def file_of(plain: Mapping[str, Any]) -> SourceFile:
    """Return the file that the columns of a row name."""
    raw = plain["raw_path"]
    name = plain["path"] if raw is None else os.fsdecode(raw)
    return SourceFile(name, plain["size"], plain["mtime_ns"], plain["etag"])


def _row(plain: Mapping[str, Any], arrays: Mapping[str, FloatArray | None], model: str) -> Row:
    return Row(
        file=file_of(plain),
        audio_hash=plain["audio_hash"],
        tags=tags_of(plain["tags"] or {}),
        duration_s=plain["duration_s"],
        warning=plain["warning"],
        genre=plain["genre"],
        analysis=analysis_of(arrays, model),
        failure=plain["failure"],
        may_pass=plain["may_pass"],
    )


def _vectors(column: Any) -> list[FloatArray | None]:  # noqa: ANN401 (a pyarrow column)
    """Return the arrays of a column of lists, None where it has none."""
    found: list[FloatArray | None] = []
    chunks = column.chunks if hasattr(column, "chunks") else [column]
    for chunk in chunks:
        values = np.asarray(chunk.values)
        offsets = np.asarray(chunk.offsets)
        present = np.asarray(chunk.is_valid())
        found += [
            values[start:end].astype(np.float32) if there else None
            for start, end, there in zip(offsets[:-1], offsets[1:], present, strict=True)
        ]
    return found
