"""What worker processes do with one file: identify it, and analyse it if it is new.

A model that any process can run (:func:`recsys.classifier.inference.place_for_any_process`) runs
where the file is decoded; any other runs in one place, on the windows of many tracks at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import recsys.library as files
from recsys.classifier.inference import Classifier
from recsys.mel import Features
from recsys.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.classifier.inference import ModelPlace
    from recsys.types import Analysis, Tags, TrackFile


_NO_WINDOWS = np.empty((0, 0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Sound:
    """What the model will look at.

    Attributes
    ----------
    windows : ndarray, shape (n_windows, *shape)
        The model's features; float16 where that is enough, which halves what has to travel
        between processes, else float32. None of them where there is an analysis.
    duration_s : float
        Of the whole track, seconds.
    warning : str or None
        What was odd about the file.
    analysis : Analysis or None
        The analysis, if the process that decoded has run the model as well.
    """

    windows: npt.NDArray[np.floating]
    duration_s: float
    warning: str | None
    analysis: Analysis | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """One file, identified; ``sound`` is None when the library already knows the analysis."""

    audio_hash: str
    tags: Tags
    sound: Sound | None


@dataclass(frozen=True, slots=True)
class Examiner:
    """A function of one file that can be sent to a process.

    Attributes
    ----------
    database : Path or None
        Library whose analyses need not be made again; None where every file is analysed.
    settings : Features
        What the model looks at.
    model : ModelPlace or None
        Run by this process; None leaves inference to others.
    """

    database: Path | None
    settings: Features
    model: ModelPlace | None = None

    def __call__(self, file: TrackFile) -> Examined:
        """Identify the file; decode it unless its sound is known.

        Raises
        ------
        AudioError
            If it is not sound.
        """
        identity = files.audio_hash(file.path)
        tags = files.read_tags(file.path)
        if self.database is not None and _library(self.database).analysed_hash(identity):
            return Examined(identity, tags, None)
        return Examined(identity, tags, Listener(self.settings, self.model)(file.path))


@lru_cache(maxsize=1)
def _library(database: Path) -> Store:
    return Store.open(database, read_only=True)


@dataclass(frozen=True, slots=True)
class Listener:
    """Decodes files into windows, and runs the model; can be sent to a process.

    Attributes
    ----------
    settings : Features
        What the model looks at.
    model : ModelPlace or None
        Run by this process; None leaves inference to others.
    """

    settings: Features
    model: ModelPlace | None = None

    def __call__(self, path: Path) -> Sound:
        """Decode one file, and run the model where one is given.

        Raises
        ------
        AudioError
            If it holds no sound worth analysing.
        """
        from recsys.audio import decode  # the process that only sends this needs no decoders

        waveform = decode(path, self.settings)
        precision = np.float16 if self.settings.half_precision else np.float32
        windows: npt.NDArray[np.floating] = self.settings.compute(waveform.windows).astype(
            precision, copy=False
        )
        if self.model is None:
            return Sound(windows, waveform.duration_s, waveform.warning)
        # In the precision in which they would have travelled: what is said of a track does not
        # depend on the process.
        (analysis,) = _classifier(self.model).analyse([windows.astype(np.float32)])
        return Sound(_NO_WINDOWS, waveform.duration_s, waveform.warning, analysis)


@lru_cache(maxsize=2)
def _classifier(place: ModelPlace) -> Classifier:
    return Classifier.load(place.checkpoint, "cpu", place.effort)


def analyses_of(
    sounds: Sequence[Sound], load_classifier: Callable[[], Classifier]
) -> list[Analysis]:
    """Return the analysis of each sound.

    Parameters
    ----------
    sounds : sequence of Sound
        With analyses of their own, or without.
    load_classifier : callable
        Called once if any sound comes without.

    Returns
    -------
    list of Analysis
        In the same order.
    """
    silent = [sound.windows.astype(np.float32) for sound in sounds if sound.analysis is None]
    analyses = iter(load_classifier().analyse(silent) if silent else ())
    return [sound.analysis or next(analyses) for sound in sounds]
