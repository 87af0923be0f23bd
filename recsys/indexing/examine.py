"""What worker processes do with one file: identify it, and listen to it if it is new."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import recsys.library as files
from recsys.audio import decode
from recsys.features import MEL, Features
from recsys.store import Store

if TYPE_CHECKING:
    from recsys.types import Tags, TrackFile


@dataclass(frozen=True, slots=True)
class Sound:
    """What the model will look at.

    Attributes
    ----------
    windows : ndarray, shape (n_windows, *shape)
        The model's features; float16 where that is enough, which halves what has to travel
        between processes, else float32.
    duration_s : float
        Of the whole track, seconds.
    warning : str or None
        What was odd about the file.
    """

    windows: npt.NDArray[np.floating]
    duration_s: float
    warning: str | None


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
    database : Path
        Library whose analyses need not be made again.
    settings : Features
        What the model looks at.
    """

    database: Path
    settings: Features = MEL

    def __call__(self, file: TrackFile) -> Examined:
        """Identify the file; decode it unless its sound is known.

        Raises
        ------
        AudioError
            If it is not sound.
        """
        identity = files.audio_hash(file.path)
        tags = files.read_tags(file.path)
        if _library(self.database).analysed_hash(identity):
            return Examined(identity, tags, None)
        return Examined(identity, tags, Listener(self.settings)(file.path))


@lru_cache(maxsize=1)
def _library(database: Path) -> Store:
    return Store.open(database, read_only=True)


@dataclass(frozen=True, slots=True)
class Listener:
    """Decodes files into what the model looks at; can be sent to a process.

    Attributes
    ----------
    settings : Features
        What the model looks at.
    """

    settings: Features = MEL

    def __call__(self, path: Path) -> Sound:
        """Decode one file.

        Raises
        ------
        AudioError
            If it holds no sound worth analysing.
        """
        waveform = decode(path, self.settings)
        precision = np.float16 if self.settings.half_precision else np.float32
        return Sound(
            windows=self.settings.compute(waveform.windows).astype(precision, copy=False),
            duration_s=waveform.duration_s,
            warning=waveform.warning,
        )
