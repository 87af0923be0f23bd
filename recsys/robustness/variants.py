"""Other forms of a recording: encoded, louder, tilted, with a lead-in, cut, mixed down, halved.

All of them are written to files and read as any file of a library is, so that what is measured is
what a user would meet.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import av
import numpy as np
import numpy.typing as npt
import soundfile

from recsys.audio import decode
from recsys.audio_readers import open_container
from recsys.audio_whole import MAX_WHOLE_S
from recsys.audio_writers import Codec, write_encoded, write_vorbis
from recsys.errors import AudioError

if TYPE_CHECKING:
    from recsys.features import Features
    from recsys.types import FloatArray

ORIGINAL = "original"
FIRST_HALF, SECOND_HALF = "first half", "second half"

MP3_BITS_PER_S = 128_000
OPUS_BITS_PER_S = 96_000
TILT_DB = 2.0
TILT_FROM_HZ, TILT_TO_HZ = 100.0, 10_000.0
LEAD_IN_S = 1.2
KEPT_WHEN_TRIMMED = 2 / 3

_MP3_RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_OPUS_RATE = 48_000
_TILT_TAPS = 4097


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording.

    Attributes
    ----------
    samples : ndarray of float32, shape (n, channels)
        One channel or two.
    sample_rate : int
        Hz.
    """

    samples: FloatArray
    sample_rate: int


def read_recording(path: Path) -> Recording:
    """Decode a file from its beginning, at most ten minutes of it, with its channels.

    Raises
    ------
    AudioError
        If nothing can be decoded.
    """
    blocks: list[FloatArray] = []
    length, rate = 0, 0
    try:
        with open_container(path) as container:
            for frame in container.decode(audio=0):
                rate = frame.sample_rate
                # More than two channels are mixed down: not every format below takes them.
                layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
                for part in av.AudioResampler(format="fltp", layout=layout).resample(frame):
                    blocks.append(part.to_ndarray().T.astype(np.float32))
                    length += len(blocks[-1])
                if length >= MAX_WHOLE_S * rate:
                    break
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise AudioError(f"it cannot be decoded as a whole: {error}") from error
    if not blocks:
        raise AudioError("no sound could be decoded")
    samples = np.concatenate(blocks)[: round(MAX_WHOLE_S * rate)]
    return Recording(np.ascontiguousarray(samples, dtype=np.float32), rate)


def tilt(samples: FloatArray, sample_rate: int, tilt_db: float = TILT_DB) -> FloatArray:
    """Raise the treble against the bass.

    The gain rises by `tilt_db` from 100 Hz to 10 kHz, evenly over the logarithm of the frequency,
    and is 0 dB in the middle, at 1 kHz; outside it stays level. Linear phase, no delay.

    Parameters
    ----------
    samples : ndarray of float32, shape (n, channels)
    sample_rate : int
        Hz.
    tilt_db : float
        Negative for more bass.

    Returns
    -------
    ndarray of float32, shape (n, channels)
    """
    from scipy.signal import firwin2, oaconvolve

    nyquist = sample_rate / 2
    inner = np.geomspace(TILT_FROM_HZ, TILT_TO_HZ, 65)
    points = np.concatenate([[0.0], inner[inner < nyquist], [nyquist]])
    span = np.log(TILT_TO_HZ / TILT_FROM_HZ)
    place = np.log(np.clip(points, TILT_FROM_HZ, TILT_TO_HZ) / TILT_FROM_HZ) / span
    taps = firwin2(_TILT_TAPS, points, 10 ** (tilt_db * (place - 0.5) / 20), fs=sample_rate)
    tilted = oaconvolve(samples, taps[:, np.newaxis], mode="full", axes=0)
    delay = _TILT_TAPS // 2
    result: FloatArray = tilted[delay : delay + len(samples)].astype(np.float32)
    return result


def _plain(change: Callable[[Recording], FloatArray]) -> Callable[[Recording, Path], Path]:
    """Return a maker that writes what a change returns, exactly, so that no level is too high."""

    def make(recording: Recording, stem: Path) -> Path:
        path = stem.with_suffix(".wav")
        soundfile.write(path, change(recording), recording.sample_rate, subtype="FLOAT")
        return path

    return make


def _lead_in(recording: Recording) -> FloatArray:
    silence = round(LEAD_IN_S * recording.sample_rate)
    return np.pad(recording.samples, ((silence, 0), (0, 0)))


def _mp3(recording: Recording, stem: Path) -> Path:
    rate = min(_MP3_RATES, key=lambda known: abs(known - recording.sample_rate))
    return _encode(recording, stem.with_suffix(".mp3"), "libmp3lame", MP3_BITS_PER_S, rate)


def _opus(recording: Recording, stem: Path) -> Path:
    return _encode(recording, stem.with_suffix(".opus"), "libopus", OPUS_BITS_PER_S, _OPUS_RATE)


def _ogg(recording: Recording, stem: Path) -> Path:
    path = stem.with_suffix(".ogg")
    write_vorbis(path, recording.samples, recording.sample_rate)
    return path


def _encode(recording: Recording, path: Path, codec: Codec, bit_rate: int, rate: int) -> Path:
    write_encoded(path, recording.samples, recording.sample_rate, codec, bit_rate, rate)
    return path


VARIANTS: Mapping[str, Callable[[Recording, Path], Path]] = MappingProxyType(
    {
        "MP3, 128 kbit/s": _mp3,
        "Ogg Vorbis": _ogg,
        "Opus": _opus,
        "half the level": _plain(lambda r: r.samples * np.float32(0.5)),
        "double the level": _plain(lambda r: r.samples * np.float32(2)),
        "2 dB of tilt": _plain(lambda r: tilt(r.samples, r.sample_rate)),
        "1.2 s of lead-in": _plain(_lead_in),
        "trimmed by a third": _plain(
            lambda r: r.samples[: round(KEPT_WHEN_TRIMMED * len(r.samples))]
        ),
        "mono": _plain(lambda r: r.samples.mean(axis=1, keepdims=True)),
    }
)
"""What a listener would call the same recording, each by what makes it: (recording, path without
suffix) to the path of the file."""

HALVES: Mapping[str, Callable[[Recording, Path], Path]] = MappingProxyType(
    {
        FIRST_HALF: _plain(lambda r: r.samples[: len(r.samples) // 2]),
        SECOND_HALF: _plain(lambda r: r.samples[len(r.samples) // 2 :]),
    }
)

Windows = dict[str, list[npt.NDArray[np.floating]]]
"""By the name of a form: one array (n_windows, *shape) per kind of features."""


@dataclass(frozen=True, slots=True)
class VariantListener:
    """Makes every form of a file and computes what models look at; can be sent to a process.

    Attributes
    ----------
    settings : tuple of Features
        What the models look at, each kind once.
    """

    settings: tuple[Features, ...]

    def __call__(self, path: Path) -> Windows:
        """Return the windows of the original, of every variant and of both halves.

        Raises
        ------
        AudioError
            If the file, or one of its forms, cannot be heard: too short to be halved, say.
        """
        recording = read_recording(path)
        heard = {ORIGINAL: self._listen(path)}
        with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
            for number, (name, make) in enumerate({**VARIANTS, **HALVES}.items()):
                file = make(recording, Path(folder) / str(number))
                heard[name] = self._listen(file)
                file.unlink()
        return heard

    def _listen(self, path: Path) -> list[npt.NDArray[np.floating]]:
        windows: list[npt.NDArray[np.floating]] = []
        for settings in self.settings:
            precision = np.float16 if settings.half_precision else np.float32
            computed = settings.compute(decode(path, settings).windows)
            windows.append(computed.astype(precision, copy=False))
        return windows
