"""Small libraries for tests: records with embeddings along the axes, so that answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.store import Store, TrackRecord
from recsys.types import Analysis, FloatArray, ModelInfo, Tags, TrackFile

if TYPE_CHECKING:
    from collections.abc import Sequence

LABELS = ("blues", "jazz", "rock")
DIMENSION = 4


def model_info(
    fingerprint: str = "m1", labels: Sequence[str] = LABELS, dimension: int = DIMENSION
) -> ModelInfo:
    confusion = np.full((len(labels), len(labels)), 1 / len(labels), dtype=np.float32)
    thresholds = tuple(0.25 + 0.125 * i for i in range(len(labels)))
    return ModelInfo("axes", fingerprint, tuple(labels), thresholds, confusion, dimension)


def axis(number: int, dimension: int = DIMENSION) -> FloatArray:
    return np.eye(dimension, dtype=np.float32)[number % dimension]


def unit_rows(count: int, dimension: int, seed: int = 0) -> FloatArray:
    """Return random unit vectors, shape (count, dimension)."""
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def analysed(genre: str = "jazz", embedding: int | FloatArray = 0, model: str = "m1") -> Analysis:
    """Return an analysis; a number as embedding is an axis."""
    probabilities = np.full(len(LABELS), 0.125, dtype=np.float32)
    probabilities[LABELS.index(genre)] = 0.75
    vector = axis(embedding) if isinstance(embedding, int) else embedding
    return Analysis(probabilities, vector, model)


def audio_file(path: str | Path, size: int = 1000, mtime_ns: int = 10**18) -> TrackFile:
    return TrackFile(Path(path), size, mtime_ns)


def record(
    path: str | Path,
    analysis: Analysis | None = None,
    *,
    audio_hash: str | None = None,
    tags: Tags | None = None,
    warning: str | None = None,
    track_id: int | None = None,
) -> TrackRecord:
    """Return a record; without a hash of its own the path stands for it."""
    identity = audio_hash or f"hash of {Path(path)!r}"
    return TrackRecord(
        audio_file(path), tags or Tags(), identity, 200.0, warning, analysis, track_id
    )


def new_library(folder: Path) -> Store:
    """Return an empty library with a model."""
    store = Store.open(folder / "library.db", create=True)
    store.set_model(model_info(), "{}")
    return store
