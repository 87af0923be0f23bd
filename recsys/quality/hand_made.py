"""Hand-made features of tracks of a library, computed once and kept beside it.

They are the 36 that genre classifiers were built on before networks (see
:class:`recsys.mel.Summary`). Every result is written to ``LIBRARY.hand-made.jsonl`` as it
comes, under the identity of the sound, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from recsys.audio import decode
from recsys.errors import AudioError, RecsysError
from recsys.mel import Features, feature_kind
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recsys.store import Store
    from recsys.types import FloatArray, IdArray


@cache
def _summary() -> Features:
    # A feature kind of the papers' wing, which needs librosa: only for those who ask for it.
    return feature_kind("summary")()


VERSION = 1
"""To be raised when the values of a feature change."""


def hand_made_features(
    store: Store,
    ids: IdArray,
    *,
    workers: int | None = None,
    on_file: Callable[[int, int], object] = lambda *_: None,
) -> tuple[FloatArray, int]:
    """Return the features of tracks, decoding those that are not known yet.

    Parameters
    ----------
    store : Store
        The library.
    ids : ndarray of int64, shape (n,)
        Its tracks.
    workers : int, optional
        Decoding processes; by default one per processor.
    on_file : callable
        Told how many tracks are done, and of how many.

    Returns
    -------
    features : ndarray of float32, shape (n, 36)
        NaN for a track whose file is gone or cannot be decoded.
    skipped : int
        How many those are.
    """
    tracks = store.tracks(ids.tolist())
    kept = _Kept(cache_path(store.path))
    done = {
        t.audio_hash: kept.known[t.audio_hash]
        for t in tracks.values()
        if t.audio_hash in kept.known
    }
    missing = {t.audio_hash: t.path for t in tracks.values() if t.audio_hash not in done}
    total, finished = len(done) + len(missing), len(done)
    on_file(finished, total)
    with WorkerPool(workers, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for (identity, _), outcome in pool.map_unordered(_describe, missing.items()):
            if not isinstance(outcome, RecsysError):
                done[identity] = outcome
                kept.add(identity, outcome)
            finished += 1
            on_file(finished, total)
    features = np.full((len(ids), *_summary().shape), np.nan, dtype=np.float32)
    for row, track_id in enumerate(ids.tolist()):
        track = tracks.get(track_id)
        if track is not None and track.audio_hash in done:
            features[row] = done[track.audio_hash]
    return features, int(np.isnan(features).any(axis=1).sum())


def cache_path(database: Path) -> Path:
    """Return where the features of a library are kept."""
    return database.with_name(f"{database.stem}.hand-made.jsonl")


def _describe(job: tuple[str, Path]) -> list[float]:
    """Compute the features of one file: of its middle 30 s, as far as it has them."""
    values = _summary().compute(decode(job[1], _summary()).windows)[0]
    if not np.isfinite(values).all():
        raise AudioError(f"{job[1]}: its features are not numbers", "Leave the file out.")
    return [float(value) for value in values]


class _Kept:
    """The file of features: a line per sound. What cannot be read or written is done without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.known: Mapping[str, list[float]] = self._read()

    def _read(self) -> dict[str, list[float]]:
        known = {}
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return {}
        for text in lines:
            # Half a line: the process was stopped while it wrote.
            with suppress(ValueError, KeyError, TypeError):
                line = json.loads(text)
                if line["version"] == VERSION and len(line["values"]) == _summary().shape[0]:
                    known[str(line["sound"])] = [float(value) for value in line["values"]]
        return known

    def add(self, identity: str, values: list[float]) -> None:
        """Append one line, on a line of its own whatever the file ends with."""
        line = json.dumps({"version": VERSION, "sound": identity, "values": values})
        # A folder that cannot be written to only means that they are computed again next time.
        with suppress(OSError), self._path.open("a", encoding="ascii") as file:
            if file.tell() and not self._ends_with_newline():
                file.write("\n")
            file.write(line + "\n")

    def _ends_with_newline(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) == b"\n"
