"""Tracks as rows of a collection, and rows as tracks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.milvus.layout import restored, storable
from recsys.store.rows import analysis_dict, tags_dict, tags_of
from recsys.store.search import search_texts
from recsys.types import Track

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.types import Analysis, Tags

LONGEST_TAG = 6000
"""Characters of a tag that are kept; Milvus takes no row without a limit."""

TRACK_FIELDS = ["id", "genre", "path", "audio_hash", "track"]
ANALYSIS_FIELDS = ["id", "probabilities", "embedding", "tag_scores"]

_TEXTS = ("artist", "album_artist", "album", "title", "genre_tag")


def row_of(track: Track, analysis: Analysis) -> dict[str, Any]:
    """Return what a row holds beside its key, part and embedding."""
    tags = shortened(track.tags)
    about = tags_dict(tags) | {
        "duration_s": track.duration_s,
        "genre": track.genre,
        "warning": track.warning,
        "missing": track.missing,
    }
    arrays = analysis_dict(analysis)
    row = {
        "path": storable(str(track.path)),
        "audio_hash": track.audio_hash,
        # No text of a search holds a tab: white space in it is single spaces and line ends.
        "words": "\t".join(search_texts(tags, track.path)),
        "track": about,
        "probabilities": arrays["probabilities"].tolist(),
        "tag_scores": arrays["tag_scores"].tolist(),
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
    about = row["track"]
    rest = {name: about[name] for name in ("duration_s", "genre", "warning", "missing")}
    return Track(
        id=row["id"],
        path=Path(restored(row["path"])),
        tags=tags_of(about),
        audio_hash=row["audio_hash"],
        part=restored(row["genre"]),
        **rest,
    )
