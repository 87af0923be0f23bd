"""Hand-made features of the tracks of a library, as in genre classifiers before networks.

They are the 36 of the feature kind ``summary`` of the extra ``[papers]``. Every result is appended
to ``LIBRARY.hand-made.jsonl`` under the audio hash, so that an interrupted run can be resumed.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from recsys.audio import decode
from recsys.errors import AudioError, RecsysError, require
from recsys.mel import Features, feature_kind
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recsys.store import Store
    from recsys.types import FloatArray, IdArray

VERSION = 1
"""Of the cached values; increase it when those of a feature change."""


@cache
def summary() -> Features:
    """Return the feature kind; MissingExtraError without the extra ``[papers]``."""
    require("librosa", "papers")
    return feature_kind("summary")()


def hand_made_features(
    store: Store,
    ids: IdArray,
    *,
    workers: int | None = None,
    on_file: Callable[[int, int], object] = lambda *_: None,
) -> tuple[FloatArray, int]:
    """Return the features of tracks, float32 (n, 36), and how many tracks have none.

    Tracks whose features are not cached are decoded; a row is NaN where that fails. `on_file` is
    called with the number of tracks done, and of all.
    """
    width = summary().shape[0]
    tracks = store.tracks(ids.tolist())
    path = cache_path(store.path)
    known = read_cached(path, width)
    # By audio hash: copies of a file are decoded once.
    missing = {t.audio_hash: t.path for t in tracks.values() if t.audio_hash not in known}
    total = len({t.audio_hash for t in tracks.values()})
    finished = total - len(missing)
    on_file(finished, total)
    with WorkerPool(workers, librosa=True, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for (audio_hash, _), outcome in pool.map_unordered(_describe, missing.items()):
            if not isinstance(outcome, RecsysError):
                known[audio_hash] = outcome
                append_cached(path, audio_hash, outcome)
            finished += 1
            on_file(finished, total)
    features = np.full((len(ids), width), np.nan, dtype=np.float32)
    for row, track_id in enumerate(ids.tolist()):
        track = tracks.get(track_id)
        if track is not None and track.audio_hash in known:
            features[row] = known[track.audio_hash]
    return features, int(np.isnan(features).any(axis=1).sum())


def cache_path(database: Path) -> Path:
    """Return the path of the cached features of a library."""
    return database.with_name(f"{database.stem}.hand-made.jsonl")


def _describe(job: tuple[str, Path]) -> list[float]:
    """Compute the features of the middle 30 s of one file, or of all of a shorter one."""
    values = summary().compute(decode(job[1], summary()).windows)[0]
    if not np.isfinite(values).all():
        raise AudioError(f"{job[1]}: its features are not finite", "Leave the file out.")
    return [float(value) for value in values]


def read_cached(path: Path, width: int) -> dict[str, list[float]]:
    """Return cached features by audio hash; damaged lines, and an unreadable file, are skipped."""
    known = {}
    with suppress(OSError):
        for text in path.read_bytes().splitlines():
            # A crash leaves half a line.
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                line = json.loads(text)
                if line["version"] == VERSION and len(line["values"]) == width:
                    known[str(line["audio_hash"])] = [float(value) for value in line["values"]]
    return known


def append_cached(path: Path, audio_hash: str, values: list[float]) -> None:
    """Append one line; where that fails, the features are computed again next time."""
    line = json.dumps({"version": VERSION, "audio_hash": audio_hash, "values": values})
    # The newline comes first: the file may end with half a line.
    with suppress(OSError), path.open("a", encoding="ascii") as file:
        file.write(("\n" if file.tell() else "") + line)
