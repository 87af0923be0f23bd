"""Segments from a table: the public CSV of hand-made features, one row per track or per segment."""

from __future__ import annotations

import csv
import math
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.labelled import LabelledTrack, SegmentSet, check_genres
from recsys.errors import ModelError
from recsys.library import AUDIO_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SEGMENT = re.compile(r"(?P<track>.+)\.(?:0|[1-9]\d*)")
"""``blues.00000.3`` is segment 3; GTZAN pads only the numbers of tracks with zeros."""

FIRST_ROW = 2
"""As a spreadsheet counts: the first line holds the names of the columns."""

Row = dict[str, str | None]


def read_public_table(
    path: Path,
    columns: Sequence[str],
    *,
    artists: Mapping[str, str | None] | None = None,
    genres: tuple[str, ...] | None = None,
) -> SegmentSet:
    """Read the public feature table of GTZAN, or one like it.

    Parameters
    ----------
    path : Path
        CSV with the columns ``filename``, ``label`` and `columns`. A ``filename`` is that of a
        track (``blues.00000.wav``), or of a segment of it (``blues.00000.0.wav``) if all are.
    columns : sequence of str
        Which ones to take.
    artists : mapping, optional
        Key or name of a track to its artist.
    genres : tuple of str, optional
        Leave other genres out.

    Returns
    -------
    SegmentSet
        ``inputs`` has shape (n_rows, len(columns)), float32; tracks are in the order of their
        first rows, and known as ``label/name``.

    Raises
    ------
    ModelError
        If the table cannot be read, lacks a column or rows, or a cell is no number (with its row
        as a spreadsheet counts it); or if its genres or their tracks are too few.
    """
    rows = _read_rows(path, columns)
    keys = _track_keys(rows)
    inputs = np.asarray(
        [
            [_number(path, number, row, column) for column in columns]
            for number, row in enumerate(rows, start=FIRST_ROW)
        ],
        dtype=np.float32,
    )
    labels = [str(row["label"]) for row in rows]
    kept = [n for n, label in enumerate(labels) if genres is None or label in genres]
    check_genres({keys[n]: labels[n] for n in kept})
    numbers: dict[str, int] = {}
    track_of = np.asarray([numbers.setdefault(keys[n], len(numbers)) for n in kept], dtype=np.int64)
    known = artists or {}
    tracks = []
    for key in numbers:
        genre, name = key.split("/", 1)
        tracks.append(LabelledTrack(key, genre, known.get(key) or known.get(name)))
    ordered = tuple(sorted({track.genre for track in tracks}))
    return SegmentSet(tuple(tracks), inputs[kept], track_of, ordered)


def _read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows: list[Row] = list(reader)
            there = set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(
            f"the feature table {path} cannot be read: {error}",
            "Give a CSV file such as features_30_sec.csv or features_3_sec.csv.",
        ) from error
    missing = [name for name in ("filename", "label", *columns) if name not in there]
    if missing:
        raise ModelError(
            f"the feature table {path} lacks {len(missing)} columns: {_some(missing)}",
            "Make it with `recsys features`, or take the public features_30_sec.csv.",
        )
    if not rows:
        raise ModelError(f"the feature table {path} has no rows", "Give one with tracks in it.")
    for number, row in enumerate(rows, start=FIRST_ROW):
        if not row["filename"] or not row["label"] or "/" in row["label"]:
            raise ModelError(
                f"{path}, row {number}: filename {row['filename']!r} with label {row['label']!r}",
                "Every row needs the name of a file and the genre of the track.",
            )
    return rows


def _track_keys(rows: Sequence[Row]) -> list[str]:
    """Return ``label/name`` of each row's track."""
    names = [PurePosixPath(str(row["filename"]).replace("\\", "/")).name for row in rows]
    stems = [_stem(name) for name in names]
    segments = [SEGMENT.fullmatch(stem) for stem in stems]
    if all(segments):
        stems = [match["track"] for match in segments if match]
    return [f"{row['label']}/{stem}" for row, stem in zip(rows, stems, strict=True)]


def _stem(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return stem if stem and f".{suffix.lower()}" in AUDIO_SUFFIXES else name


def _number(path: Path, number: int, row: Row, column: str) -> float:
    text = row[column]
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > float(np.finfo(np.float32).max):
        raise ModelError(
            f"{path}, row {number}: {column} is {text!r}, not a number",
            "Correct the row or take it out.",
        )
    return value


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(names[:5])
    return f"{listed} and others" if len(names) > 5 else listed
