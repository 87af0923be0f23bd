"""From audio files to labelled segments.

A track is cut into segments by its features' windows; worker processes decode.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.audio import decode
from recsys.classifier.datasets import LabelledFile, artist_of
from recsys.classifier.labelled import (
    MIN_TRACKS,
    LabelledTrack,
    SegmentSet,
    check_genres,
    describe_balance,
)
from recsys.classifier.segment_tables import read_public_table
from recsys.errors import AudioError, MissingExtraError, ModelError, RecsysError
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from recsys.features import Features
    from recsys.types import IdArray

__all__ = [
    "MIN_TRACKS",
    "LabelledTrack",
    "LoadedSegments",
    "SegmentSet",
    "check_genres",
    "describe_balance",
    "load_segments",
    "read_public_table",
]

MIN_SHARE = 0.9
"""Of a segment that a clip must fill; decoding repeats what is shorter."""

Skipped = tuple["Path", str]
"""A file that was left out, and why."""


@dataclass(frozen=True, slots=True)
class LoadedSegments:
    """What could be read, and what could not.

    Attributes
    ----------
    segments : SegmentSet
    skipped : tuple of (Path, str)
        Files that were left out, with the reason.
    """

    segments: SegmentSet
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class _Heard:
    """One file as a worker process returns it."""

    inputs: npt.NDArray[np.floating]
    duration_s: float
    artist: str | None


def load_segments(
    files: Sequence[LabelledFile],
    features: Features,
    *,
    artists: Mapping[str, str | None] | None = None,
    workers: int = 2,
    on_file: Callable[[int], None] | None = None,
    genres: tuple[str, ...] | None = None,
    min_tracks: int = MIN_TRACKS,
) -> LoadedSegments:
    """Decode labelled files into segments, in worker processes.

    Files that cannot be read, clips shorter than nine tenths of a segment, and of several files
    of one track all but the longest are left out and reported.

    Parameters
    ----------
    files : sequence of LabelledFile
        What to read.
    features : Features
        How a track is cut, and what a model sees of each segment.
    artists : mapping, optional
        Key or name of a track to its artist. Without it the files' tags are read.
    workers : int
        Processes that decode.
    on_file : callable, optional
        Called after each file with the number of files that there are to decode.
    genres : tuple of str, optional
        Leave other genres out.
    min_tracks : int
        How many tracks of a genre are needed.

    Returns
    -------
    LoadedSegments
        Tracks in the order of `files`.

    Raises
    ------
    ModelError
        If there are fewer than two genres or fewer than `min_tracks` tracks of one: before
        anything is decoded if that can be seen by then, else afterwards.
    MissingExtraError
        If a library that makes the features is not installed.
    """
    wanted = [file for file in files if genres is None or file.genre in genres]
    check_genres({file.key: file.genre for file in wanted}, min_tracks)
    gathered = _Gathered(features)
    with WorkerPool(workers, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        work = partial(_hear, features=features, with_artist=artists is None)
        for file, outcome in pool.map(work, wanted):
            if isinstance(outcome, MissingExtraError):
                raise outcome
            if isinstance(outcome, RecsysError):
                gathered.skipped.append((file.path, outcome.message))
            else:
                gathered.add(file, outcome)
            if on_file is not None:
                on_file(len(wanted))
    tracks = gathered.tracks(artists)
    found = {track.key: track.genre for track in tracks}
    labels = sorted({file.genre for file in wanted})
    _check_what_is_left(found, labels, min_tracks, gathered.skipped)
    inputs, track_of = gathered.finish()
    segments = SegmentSet(tracks, inputs, track_of, tuple(labels))
    return LoadedSegments(segments, tuple(gathered.skipped))


def _hear(file: LabelledFile, features: Features, with_artist: bool) -> _Heard:
    """Decode one file; runs in a worker process."""
    waveform = decode(file.path, features)
    if waveform.duration_s < MIN_SHARE * features.window_s:
        raise AudioError(
            f"only {waveform.duration_s:.1f} s long, shorter than a segment of "
            f"{features.window_s:g} s",
            "Give longer clips, or choose a recipe with shorter segments.",
        )
    precision = np.float16 if features.half_precision else np.float32
    inputs: npt.NDArray[np.floating] = np.asarray(features.compute(waveform.windows), precision)
    if not np.all(np.isfinite(inputs)):
        raise AudioError(
            "its features are not all numbers", "The sound is damaged; replace the file."
        )
    return _Heard(inputs, waveform.duration_s, artist_of(file) if with_artist else None)


@dataclass(slots=True)
class _Span:
    """Where the segments of a file lie."""

    file: LabelledFile
    start: int
    count: int
    duration_s: float
    artist: str | None


class _Gathered:
    """All segments in one growing array, so that no track is held twice."""

    def __init__(self, features: Features) -> None:
        precision = np.float16 if features.half_precision else np.float32
        self.skipped: list[Skipped] = []
        self._inputs: npt.NDArray[np.floating] = np.empty((0, *features.shape), dtype=precision)
        self._used = 0
        self._spans: dict[str, _Span] = {}

    def add(self, file: LabelledFile, heard: _Heard) -> None:
        """Take a file's segments, unless a longer file of the same track is there."""
        earlier = self._spans.get(file.key)
        if earlier is not None and earlier.duration_s >= heard.duration_s:
            self.skipped.append((file.path, _repeats(file, earlier.file)))
            return
        if earlier is not None:
            self.skipped.append((earlier.file.path, _repeats(earlier.file, file)))
        start, count = self._used, len(heard.inputs)
        self._reserve(start + count)
        self._inputs[start : start + count] = heard.inputs
        self._used += count
        self._spans[file.key] = _Span(file, start, count, heard.duration_s, heard.artist)

    def tracks(self, artists: Mapping[str, str | None] | None) -> tuple[LabelledTrack, ...]:
        """Return the tracks that have segments, in the order of the files."""
        return tuple(
            LabelledTrack(key, span.file.genre, _artist(span.file, span.artist, artists))
            for key, span in self._spans.items()
        )

    def finish(self) -> tuple[npt.NDArray[np.floating], IdArray]:
        """Return the segments and the number of each one's track."""
        counts = [span.count for span in self._spans.values()]
        track_of = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        if len(track_of) < self._used:
            # Only where one track had several files: what the longest replaced is in between.
            places = [np.arange(s.start, s.start + s.count) for s in self._spans.values()]
            return self._inputs[np.concatenate(places)], track_of
        self._resize(self._used)
        return self._inputs, track_of

    def _reserve(self, count: int) -> None:
        if count > len(self._inputs):
            self._resize(max(count, len(self._inputs) * 9 // 8, 64))

    def _resize(self, count: int) -> None:
        # In place: the system can lengthen a large array without holding it twice. No view of it
        # has been given out.
        self._inputs.resize((count, *self._inputs.shape[1:]), refcheck=False)


def _repeats(file: LabelledFile, longer: LabelledFile) -> str:
    return f"the same track as {longer.path}, which is as long or longer ({file.key})"


def _artist(
    file: LabelledFile, tagged: str | None, artists: Mapping[str, str | None] | None
) -> str | None:
    if artists is None:
        return tagged
    return artists.get(file.key) or artists.get(file.name)


def _check_what_is_left(
    found: Mapping[str, str], labels: Iterable[str], min_tracks: int, skipped: Sequence[Skipped]
) -> None:
    """Check again after decoding, and say why tracks are missing."""
    reason = f"; left out: {len(skipped)} files" if skipped else ""
    if skipped:
        reason += f", the first of them {skipped[0][0]}: {skipped[0][1]}"
    lost = sorted(set(labels) - set(found.values()))
    if lost:
        raise ModelError(
            f"no track of {', '.join(lost)} could be used{reason}",
            "Replace these files, or leave the folders of these genres out.",
        )
    try:
        check_genres(found, min_tracks)
    except ModelError as error:
        raise ModelError(error.message + reason, error.hint) from error
