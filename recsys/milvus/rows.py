"""Tracks as rows of a collection, and rows as tracks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.milvus.layout import restored, storable
from recsys.store.rows import search_text
from recsys.types import Analysis, ModelInfo, Tags, Track

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_TAG = 6000
"""Characters of a tag that are kept; Milvus takes no row without a limit."""

TRACK_FIELDS = ["id", "genre", "path", "audio_hash", "track"]
ANALYSIS_FIELDS = ["id", "probabilities", "embedding", "tag_scores"]

_TEXTS = ("artist", "album_artist", "album", "title", "genre_tag")
_TAGS = tuple(field.name for field in fields(Tags))


def row_of(track: Track, analysis: Analysis) -> dict[str, Any]:
    """Return what a row holds beside its key, part and embedding."""
    tags = shortened(track.tags)
    about = {name: getattr(tags, name) for name in _TAGS}
    about |= {
        "duration_s": track.duration_s,
        "genre": track.genre,
        "warning": track.warning,
        "missing": track.missing,
    }
    row = {
        "path": storable(str(track.path)),
        "audio_hash": track.audio_hash,
        "words": search_text(tags, track.path),
        "track": about,
        "probabilities": analysis.probabilities.tolist(),
        "tag_scores": analysis.tags.tolist(),
    }
    return {**row, "digest": _digest(track, row, analysis)}


def shortened(tags: Tags) -> Tags:
    """Return tags that are not longer than can be kept; nearly always the very same ones."""
    texts = {name: getattr(tags, name) for name in _TEXTS}
    long = {name: text for name, text in texts.items() if text and len(text) > LONGEST_TAG}
    return (
        replace(tags, **{name: text[:LONGEST_TAG] for name, text in long.items()}) if long else tags
    )


def _digest(track: Track, row: Mapping[str, Any], analysis: Analysis) -> int:
    """Return a number that tells whether anything of a track has changed."""
    parts = [track.part, row["path"], row["audio_hash"], row["words"], row["track"]]
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=8)
    for array in (analysis.probabilities, analysis.tags, analysis.embedding):
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return int.from_bytes(digest.digest(), "little", signed=True)


def track_of(row: Mapping[str, Any]) -> Track:
    """Return the track of a row with the fields :data:`TRACK_FIELDS`."""
    about = dict(row["track"])
    rest = {name: about.pop(name) for name in ("duration_s", "genre", "warning", "missing")}
    return Track(
        id=row["id"],
        path=Path(restored(row["path"])),
        tags=Tags(**about),
        audio_hash=row["audio_hash"],
        part=restored(row["genre"]),
        **rest,
    )


def analysis_of(row: Mapping[str, Any], fingerprint: str) -> Analysis:
    """Return the analysis of a row with the fields :data:`ANALYSIS_FIELDS`."""
    arrays = (np.array(row[name], dtype=np.float32) for name in ANALYSIS_FIELDS[1:])
    probabilities, embedding, tag_scores = arrays
    return Analysis(probabilities, embedding, fingerprint, tag_scores)


def model_json(info: ModelInfo) -> dict[str, Any]:
    """Return a model as it is kept beside its tracks."""
    return {**asdict(info), "confusion": info.confusion.tolist()}


def model_of(kept: Mapping[str, Any]) -> ModelInfo:
    """Return the model of :func:`model_json`."""
    lists = {name: tuple(value) for name, value in kept.items() if isinstance(value, list)}
    confusion = np.array(kept["confusion"], dtype=np.float32)
    return ModelInfo(**{**kept, **lists, "confusion": confusion})
