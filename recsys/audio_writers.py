"""Writing sound in the formats that people keep their music in."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import av
import numpy as np
import soundfile

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.types import FloatArray

Codec: TypeAlias = Literal["aac", "libmp3lame", "libopus"]
"""FFmpeg's names of encoders."""


def write_vorbis(path: Path, samples: FloatArray, sample_rate: int) -> None:
    """Write an Ogg Vorbis file.

    Parameters
    ----------
    path : Path
        Ends in ``.ogg``.
    samples : ndarray of float32, shape (n, channels)
        In [-1, 1].
    sample_rate : int
        Hz.
    """
    with soundfile.SoundFile(path, "w", sample_rate, samples.shape[1]) as file:
        # By the second: libsndfile's Vorbis encoder overflows its stack on long buffers.
        bounds = [*range(0, len(samples), sample_rate), len(samples)]
        for start, end in pairwise(bounds):
            file.write(samples[start:end])


def write_encoded(
    path: Path, samples: FloatArray, sample_rate: int, codec: Codec, bit_rate: int, rate: int
) -> None:
    """Write a file with one of FFmpeg's encoders.

    Parameters
    ----------
    path : Path
        Its suffix decides the container.
    samples : ndarray of float32, shape (n, channels)
        In [-1, 1]; one channel or two.
    sample_rate : int
        Hz, of the samples.
    codec : str
        One of :data:`Codec`.
    bit_rate : int
        Bits a second.
    rate : int
        Hz, of the file: one that the encoder knows.
    """
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, bit_rate=bit_rate)
        resampler = av.AudioResampler(stream.format, layout, rate, stream.frame_size)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T), format="fltp", layout=layout
        )
        frame.sample_rate = sample_rate
        frame.time_base = Fraction(1, sample_rate)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
