"""Rows of a shard: their Arrow schema, and the codec between rows and tables."""

from __future__ import annotations

import json
import math
import operator
import os
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.cluster.sources import SourceFile
from recsys.errors import RecsysError, require
from recsys.store.rows import analysis_dict, analysis_of, tags_dict, tags_of
from recsys.store.search import storable_text
from recsys.types import Effort, Tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.types import Analysis, FloatArray, ModelInfo

SCHEMA_VERSION = 1
"""To be raised when an older recsys can no longer read the rows."""

_METADATA_KEY = b"recsys"
FILE_COLUMNS = ["path", "raw_path", "size", "mtime_ns", "etag"]
"""Columns of :func:`file_of`."""

_ARRAYS = ("probabilities", "tag_scores", "embedding")
_NEVER_NULL = ("path", "size", "mtime_ns", "may_pass")
_OF_AN_ANALYSIS = ("audio_hash", "duration_s", "genre", "probabilities", "embedding")
_LONGEST_S = 1e8
_UNIT_TOLERANCE = 1e-3


class DamagedShardError(RecsysError):
    """A shard that was cut off or overwritten, or holds what no analysis gives."""


@dataclass(frozen=True, slots=True)
class Row:
    """A file with its analysis or its failure; docs/scale.md describes the fields."""

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
    """What all rows of a shard have in common: the model, the places listed, the version."""

    fingerprint: str
    model: str
    labels: tuple[str, ...]
    tags: tuple[str, ...]
    dimension: int
    sources: tuple[str, ...] = ()
    recsys: str = ""
    effort: Effort = Effort.FULL
    schema: int = SCHEMA_VERSION

    @property
    def identity(self) -> tuple[str, Effort]:
        """See :attr:`recsys.types.ModelInfo.identity`."""
        return self.fingerprint, self.effort

    @classmethod
    def of_model(cls, info: ModelInfo, sources: Sequence[str]) -> ShardHeader:
        """Return the header of a model's analyses."""
        from importlib.metadata import version

        return cls(
            fingerprint=info.fingerprint,
            model=info.name,
            labels=info.labels,
            tags=info.tags,
            dimension=info.dimension,
            sources=tuple(sources),
            recsys=version("recsys"),
            effort=info.effort,
        )

    def as_metadata(self) -> dict[bytes, bytes]:
        """Return it as metadata of a Parquet file."""
        return {_METADATA_KEY: json.dumps(asdict(self), ensure_ascii=True).encode()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes] | None, source: str) -> ShardHeader:
        """Read it from the metadata of a Parquet file; RecsysError where that is another's."""
        text = (metadata or {}).get(_METADATA_KEY)
        if text is None:
            raise RecsysError(
                f"{source} is not a shard that recsys wrote",
                "Give what `recsys cluster index` wrote: shards, or the folder of them.",
            )
        try:
            raw = json.loads(text)
            if raw["schema"] > SCHEMA_VERSION:
                raise RecsysError(
                    f"{source} has schema {raw['schema']}; this recsys reads up to"
                    f" {SCHEMA_VERSION}",
                    "Update recsys.",
                )
            known = {each.name for each in fields(cls)}
            values = {name: value for name, value in raw.items() if name in known}
            for name in ("labels", "tags", "sources"):
                values[name] = tuple(map(_text, values[name]))
            for name in ("fingerprint", "model"):
                _text(values[name])
            values["effort"] = Effort(values["effort"])
            values["dimension"] = operator.index(values["dimension"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DamagedShardError(
                f"{source} has a damaged header ({error!r})", DAMAGED_HINT
            ) from error


DAMAGED_HINT = (
    "If it is a shard, delete it and run `recsys cluster index` again with the same --out: it does"
    " the files of that shard again."
)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.100} is no text")
    return value


def check_batch(batch: Any, header: ShardHeader, source: str) -> None:  # noqa: ANN401 (of pyarrow)
    """Raise DamagedShardError where rows hold what no analysis gives; any of the columns will do.

    Pages have checksums, but whoever wrote the file may have written anything.
    """
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in _NEVER_NULL:
        if name in columns and columns[name].null_count:
            raise _wrong_rows(source, f"{name} is missing")
    if "failure" in columns and "embedding" in columns:
        good = batch.filter(columns["failure"].is_null())
        if missing := [name for name in _OF_AN_ANALYSIS if good.column(name).null_count]:
            raise _wrong_rows(source, f"{missing[0]} is missing")
    for name, limit in (("size", math.inf), ("duration_s", _LONGEST_S)):
        if name in columns:
            values = np.asarray(columns[name].fill_null(0))
            if not ((values >= 0) & (values < limit)).all():
                raise _wrong_rows(source, f"{name} is impossible")
    lengths = (len(header.labels), len(header.tags), header.dimension)
    for name, length in zip(_ARRAYS, lengths, strict=True):
        if name in columns:
            _check_arrays(columns[name], name, length, source)


def _check_arrays(column: Any, name: str, length: int, source: str) -> None:  # noqa: ANN401
    offsets = np.asarray(column.offsets)
    sizes = np.diff(offsets)[np.asarray(column.is_valid())]
    if (sizes != length).any():
        raise _wrong_rows(source, f"{name} have {sizes[sizes != length][0]} values, not {length}")
    values = np.asarray(column.values)[offsets[0] : offsets[-1]]
    if not np.isfinite(values).all():
        raise _wrong_rows(source, f"{name} are no finite numbers")
    if name == "embedding" and len(values):
        rows = values.reshape(-1, length).astype(np.float64)
        if (np.abs(np.linalg.norm(rows, axis=1) - 1) > _UNIT_TOLERANCE).any():
            raise _wrong_rows(source, "an embedding is no unit vector")


def _wrong_rows(source: str, problem: str) -> DamagedShardError:
    return DamagedShardError(f"{source} holds rows that cannot be: {problem}", DAMAGED_HINT)


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


def rows_of(table: Any, header: ShardHeader) -> list[Row]:  # noqa: ANN401 (a pyarrow.Table)
    """Return the rows of a table or record batch of a shard."""
    # Arrays through NumPy: lists of Python numbers would take half of the time of importing.
    arrays = {name: _vectors(table.column(name)) for name in _ARRAYS}
    rest = table.drop_columns(list(_ARRAYS)).to_pylist()
    return [
        _row(plain, {name: arrays[name][i] for name in _ARRAYS}, header)
        for i, plain in enumerate(rest)
    ]


def _plain(row: Row) -> dict[str, Any]:
    file = row.file
    shown = storable_text(file.name)
    return analysis_dict(row.analysis) | {
        "path": shown,
        "raw_path": None if shown == file.name else os.fsencode(file.name),
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


def file_of(plain: Mapping[str, Any]) -> SourceFile:
    """Return the file of a row."""
    raw = plain["raw_path"]
    name = plain["path"] if raw is None else os.fsdecode(raw)
    return SourceFile(name, plain["size"], plain["mtime_ns"], plain["etag"])


def _row(
    plain: Mapping[str, Any], arrays: Mapping[str, FloatArray | None], header: ShardHeader
) -> Row:
    return Row(
        file=file_of(plain),
        audio_hash=plain["audio_hash"],
        tags=tags_of(plain["tags"] or {}),
        duration_s=plain["duration_s"],
        warning=plain["warning"],
        genre=plain["genre"],
        analysis=None if arrays["embedding"] is None else analysis_of(arrays, header.identity),
        failure=plain["failure"],
        may_pass=plain["may_pass"],
    )


def _vectors(column: Any) -> list[FloatArray | None]:  # noqa: ANN401 (a pyarrow column)
    """Return the arrays of a column of lists; None where it is null."""
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
