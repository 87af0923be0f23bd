"""Tracks with their embeddings as a table for other programs: CSV, Parquet or NumPy."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from recsys import atomic
from recsys.errors import QueryError, RecsysError, require
from recsys.listing import COLUMNS, track_dict
from recsys.types import TRACK_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from recsys.store import Store
    from recsys.types import FloatArray, ModelInfo, Track


class ExportFormat(StrEnum):
    """Formats of exported tables; each is the extension of its files."""

    PARQUET = "parquet"
    CSV = "csv"
    NPZ = "npz"


EXPORTED_AT_ONCE = 5000
"""Tracks in memory at a time, except for NumPy's format, which is written as whole columns."""

_ARRAYS = ("embedding", "probabilities", "tag_scores")


def check_export(path: Path, *, overwrite: bool = False) -> ExportFormat:
    """Return the format of a file to export to; RecsysError if it cannot be written."""
    extension = path.suffix.lower().removeprefix(".")
    if extension not in list(ExportFormat):
        known = ", ".join(f".{each}" for each in ExportFormat)
        raise QueryError(f"unknown format of an export: {path.name!r}", f"Extensions: {known}.")
    if path.exists() and not overwrite:
        raise QueryError(f"{path} exists", "Give another name, or --force (overwrite=True).")
    atomic.check_replaceable(path, f"an export in {extension}", _BEGINNINGS[extension])
    if not path.parent.is_dir():
        raise QueryError(f"the folder {path.parent} does not exist", "Make it first.")
    if extension == ExportFormat.PARQUET:
        require("pyarrow.parquet", "ray")
    return ExportFormat(extension)


def export_tracks(
    store: Store,
    info: ModelInfo,
    tracks: Iterator[Track],
    path: Path,
    *,
    overwrite: bool = False,
) -> int:
    """Write tracks with their embeddings, probabilities and tag scores; return their number."""
    write = _WRITERS[check_export(path, overwrite=overwrite)]
    pages = _pages(store, tracks)
    try:
        with atomic.replacing(path) as unfinished, unfinished.open("wb") as file:
            return write(pages, info, file)
    except OSError as error:
        raise RecsysError(
            f"cannot write {path}: {error.strerror or error}", "Name a file in a writable folder."
        ) from error


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """Some tracks as columns."""

    rows: list[dict[str, Any]]
    arrays: dict[str, FloatArray]  # each (n, width)


def _pages(store: Store, tracks: Iterator[Track]) -> Iterator[_Page]:
    while page := list(islice(tracks, EXPORTED_AT_ONCE)):
        analyses = store.analyses([track.id for track in page])
        # Another process may have removed some since they were listed.
        present = [track for track in page if track.id in analyses]
        known = [analyses[track.id] for track in present]
        if known:
            values = zip(*((a.embedding, a.probabilities, a.tags) for a in known), strict=True)
            arrays = dict(zip(_ARRAYS, map(np.stack, values), strict=True))
            yield _Page([track_dict(track) for track in present], arrays)


def _write_csv(pages: Iterable[_Page], info: ModelInfo, file: IO[bytes]) -> int:
    """Write CSV in UTF-8: a column per value; paths keep the bytes that they have on disk."""
    text = io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="")
    writer, count = csv.writer(text), 0
    values = [f"embedding:{i}" for i in range(info.dimension)]
    values += [f"probability:{label}" for label in info.labels]
    values += [f"tag:{tag}" for tag in info.tags]
    writer.writerow([*COLUMNS, *values])
    for page in pages:
        # Nine digits give back the same float32.
        numbers = np.hstack([page.arrays[name] for name in _ARRAYS]).tolist()
        writer.writerows(
            [*row.values(), *(f"{value:.9g}" for value in own)]
            for row, own in zip(page.rows, numbers, strict=True)
        )
        count += len(page.rows)
    text.flush()
    text.detach()
    return count


def _write_npz(pages: Iterable[_Page], info: ModelInfo, file: IO[bytes]) -> int:
    """Write NumPy's format: an array per column, and the names of labels and tags."""
    rows: list[dict[str, Any]] = []
    empty = {"embedding": info.dimension, "probabilities": len(info.labels)}
    empty["tag_scores"] = len(info.tags)
    parts = {name: [np.empty((0, width), np.float32)] for name, width in empty.items()}
    for page in pages:
        rows += page.rows
        for name, array in page.arrays.items():
            parts[name].append(array)
    columns: dict[str, Any] = {name: _column(name, rows) for name in COLUMNS}
    columns |= {name: np.concatenate(arrays) for name, arrays in parts.items()}
    columns |= {"labels": np.array(info.labels), "tags": np.array(info.tags, dtype=str)}
    np.savez_compressed(file, **columns, model=np.array(info.fingerprint))
    return len(rows)


def _column(name: str, rows: list[dict[str, Any]]) -> Any:  # noqa: ANN401 (an array of any type)
    """Return a column as an array; what is not known is empty text, or NaN among numbers."""
    if name in ("track_id", "missing"):
        return np.array([row[name] for row in rows], dtype=bool if name == "missing" else np.int64)
    if name in _NUMBERS:
        return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)
    return np.array([row[name] or "" for row in rows], dtype=str)


def _write_parquet(pages: Iterable[_Page], info: ModelInfo, file: IO[bytes]) -> int:
    """Write Parquet: arrays are lists of a fixed length; their names are in the metadata."""
    pa, parquet = require("pyarrow", "ray"), require("pyarrow.parquet", "ray")
    widths = (info.dimension, len(info.labels), len(info.tags))
    # A model may have no tags.
    wide = {name: width for name, width in zip(_ARRAYS, widths, strict=True) if width}
    fields = [
        *((name, getattr(pa, _NUMBERS.get(name, "string"))()) for name in COLUMNS),
        *((name, pa.list_(pa.float32(), width)) for name, width in wide.items()),
    ]
    about = {"labels": info.labels, "tags": info.tags, "model": info.fingerprint}
    schema = pa.schema(fields, {name: json.dumps(value) for name, value in about.items()})
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for page in pages:
            columns = {name: [_utf8(row[name]) for row in page.rows] for name in COLUMNS}
            for name, width in wide.items():
                flat = pa.array(np.ascontiguousarray(page.arrays[name]).ravel())
                columns[name] = pa.FixedSizeListArray.from_arrays(flat, width)
            writer.write_table(pa.table(columns, schema=schema))
            count += len(page.rows)
    return count


def _utf8(value: Any) -> Any:  # noqa: ANN401 (any value of a row)
    """Return a value that Parquet can hold: bytes of a path that are no UTF-8 become escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value


_NUMBERS = {
    **{"track_id": "int64", "year": "int64", "duration_s": "float64"},
    **{"kind_probability": "float64", "missing": "bool_"},
    **dict.fromkeys(TRACK_NUMBERS, "float64"),
    **dict.fromkeys(
        ("tempo_confidence", "key_confidence", "true_peak_dbtp", "replay_gain_db"), "float64"
    ),
}
"""Columns of numbers and truth values, with their types in Parquet; the others are text."""

_BEGINNINGS: dict[str, Callable[[bytes], bool]] = {
    ExportFormat.CSV: lambda head: head.startswith(b"track_id,path,"),
    ExportFormat.NPZ: lambda head: (
        head.startswith(b"PK\x03\x04") and head[30:42] == b"track_id.npy"
    ),
    ExportFormat.PARQUET: lambda head: head.startswith(b"PAR1"),
}
"""How to tell the file of each format: another one is not replaced, whatever its name."""

_WRITERS = {
    ExportFormat.CSV: _write_csv,
    ExportFormat.NPZ: _write_npz,
    ExportFormat.PARQUET: _write_parquet,
}
