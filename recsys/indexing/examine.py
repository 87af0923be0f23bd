"""The work of a worker process on one file: identify it, decode it, analyse it.

A model that runs in any process (:func:`recsys.classifier.inference.place_for_any_process`) runs
where the file is decoded. Any other model runs in one place, on the windows of many tracks at a
time, which are sent to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

import recsys.library as files
from recsys.classifier.inference import Classifier
from recsys.errors import AudioError, not_numbers, not_regular
from recsys.mel import Features
from recsys.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.classifier.inference import ModelPlace
    from recsys.types import Analysis, Tags, TrackFile


@dataclass(frozen=True, slots=True)
class DecodedTrack:
    """A track that waits for inference."""

    # Features, shape (n_windows, *shape): float16 where that is precise enough, which halves what
    # is sent between processes, else float32.
    windows: npt.NDArray[np.floating]
    duration_s: float  # of the whole track
    warning: str | None  # defect of the file


@dataclass(frozen=True, slots=True)
class AnalysedTrack:
    """A track that was analysed where it was decoded."""

    analysis: Analysis
    duration_s: float
    warning: str | None


TrackResult: TypeAlias = DecodedTrack | AnalysedTrack


@dataclass(frozen=True, slots=True)
class Examined:
    """One file, identified; ``result`` is None where the library has the analysis already."""

    audio_hash: str
    tags: Tags
    result: TrackResult | None


@dataclass(frozen=True, slots=True)
class Examiner:
    """Examines files; can be sent to a process."""

    database: Path | None  # library whose analyses are not repeated; None to analyse every file
    settings: Features  # of the model
    model: ModelPlace | None = None  # as for FileAnalyser

    def __call__(self, file: TrackFile) -> Examined:
        """Identify a file; decode it unless its analysis is stored. AudioError if that fails."""
        identity, tags = identify(file.path)
        if self.database is not None:
            library = _library(self.database)
            if library.holds_earlier_identities():
                identity = _earlier_identity(library, file.path, identity) or identity
            if library.analysed_hash(identity) or _is_only_touched(library, file, identity):
                return Examined(identity, tags, None)
        result = FileAnalyser(self.settings, self.model)(file.path)
        return Examined(identity, tags, result)


_MOST_COPIES = 16
"""Files that are asked whether they are the sound of an earlier identity."""


def _earlier_identity(library: Store, path: Path, identity: str) -> str | None:
    """Return the earlier identity under which the library knows the sound of a file, if it does.

    A file keeps it, and so does one that was moved. An earlier identity stands for different sounds
    at times, so that of another file that is there counts only if its sound is the same.
    """
    earlier = files.earlier_audio_hash(path)
    for _, known in islice(library.paths_of_hash(earlier), _MOST_COPIES):
        if known == path:
            return earlier
        try:
            same = files.audio_hash(known) == identity
        except AudioError:  # it is gone: this one has been moved
            same = True
        if same:
            return earlier
    return None


def _is_only_touched(library: Store, file: TrackFile, identity: str) -> bool:
    """Return whether nothing but tags or attributes changed since a file was analysed."""
    stored = library.lookup(file.path)
    return (
        stored is not None
        and stored.genre is not None
        and not stored.retry
        and stored.audio_hash == identity
        and (stored.size, stored.mtime_ns) == (file.size, file.mtime_ns)
        and stored.ctime_ns not in (None, file.ctime_ns)
    )


def identify(path: Path) -> tuple[str, Tags]:
    """Return identity and tags of a file."""
    if path.exists() and files.track_file(path) is None:  # a FIFO waits for its writer
        raise not_regular()
    return files.audio_hash(path), files.read_tags(path)


# One connection and one model per process, which works on many files.
@lru_cache(maxsize=1)
def _library(database: Path) -> Store:
    return Store.open(database, read_only=True)


@dataclass(frozen=True, slots=True)
class FileAnalyser:
    """Decodes files, and analyses them where it has a model; can be sent to a process."""

    settings: Features  # of the model
    model: ModelPlace | None = None  # to run in this process; None to return the windows

    def __call__(self, path: Path) -> TrackResult:
        """Decode one file, and analyse it where there is a model.

        AudioError if it cannot be decoded, or holds too little sound.
        """
        from recsys.audio import decode  # the process that only sends this needs no decoders

        waveform = decode(path, self.settings)
        precision = np.float16 if self.settings.half_precision else np.float32
        windows: npt.NDArray[np.floating] = self.settings.compute(waveform.windows).astype(
            precision, copy=False
        )
        _check_finite(windows)
        if self.model is None:
            return DecodedTrack(windows, waveform.duration_s, waveform.warning)
        # Rounded as if they had been sent: float16 moves an embedding by up to 1e-3, and it must
        # not depend on the process that computes it.
        (analysis,) = _classifier(self.model).analyse([windows.astype(np.float32)])
        _check_finite(analysis.embedding, analysis.probabilities, analysis.tags)
        return AnalysedTrack(analysis, waveform.duration_s, waveform.warning)


def _check_finite(*results: npt.NDArray[np.floating]) -> None:
    if not all(np.isfinite(result).all() for result in results):
        raise not_numbers()


@lru_cache(maxsize=2)
def _classifier(place: ModelPlace) -> Classifier:
    return Classifier.load(place.checkpoint, "cpu", place.effort)


def analyses_of(
    tracks: Sequence[TrackResult], load_classifier: Callable[[], Classifier]
) -> list[Analysis]:
    """Return the analysis of each track, in their order.

    `load_classifier` is called once if any track still waits for inference.
    """
    waiting = [
        track.windows.astype(np.float32) for track in tracks if isinstance(track, DecodedTrack)
    ]
    computed = iter(load_classifier().analyse(waiting) if waiting else ())
    return [
        track.analysis if isinstance(track, AnalysedTrack) else next(computed) for track in tracks
    ]
