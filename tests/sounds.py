"""Sound for the tests, made on the spot: the pitch at any moment tells where in the file it is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

from recsys.types import FloatArray

BASE_HZ = 300.0
HZ_PER_SECOND = 20.0


def staircase(duration_s: float, sample_rate: int = 22_050) -> FloatArray:
    """A tone that is 20 Hz higher in every second than in the one before."""
    t = np.arange(round(duration_s * sample_rate)) / sample_rate
    frequency = BASE_HZ + HZ_PER_SECOND * np.floor(t)
    phase = 2 * np.pi * np.cumsum(frequency) / sample_rate
    return (0.5 * np.sin(phase)).astype(np.float32)


def second_of(samples: FloatArray, sample_rate: int) -> float:
    """Which second of a staircase these samples are from, by the pitch of their middle."""
    middle = len(samples) // 2
    piece = samples[middle - sample_rate // 8 : middle + sample_rate // 8]
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), n=16 * len(piece)))
    peak_hz = np.argmax(spectrum) * sample_rate / (16 * len(piece))
    return float((peak_hz - BASE_HZ) / HZ_PER_SECOND)


def write(path: Path, samples: FloatArray, sample_rate: int = 22_050, subtype: str = "") -> Path:
    """Write with libsndfile; two-dimensional samples are (n, channels)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(path, "w", sample_rate, channels, subtype or None) as file:
        # By the second: libsndfile's Vorbis encoder overflows its stack on long buffers.
        for start in range(0, len(samples), sample_rate):
            file.write(samples[start : start + sample_rate])
    return path


def encode(
    path: Path, samples: FloatArray, codec: str, sample_rate: int = 44_100, kbps: int = 128
) -> Path:
    """Write with FFmpeg, for what libsndfile cannot write; samples may be (channels, n)."""
    with av.open(str(path), "w") as container:
        fill(container, add_stream(container, codec, sample_rate, np.ndim(samples), kbps), samples)
    return path


def add_stream(
    container: av.container.OutputContainer,
    codec: str,
    sample_rate: int,
    channels: int = 1,
    kbps: int = 128,
) -> av.AudioStream:
    """Add a stream; all must be there before the first is filled."""
    layout = {1: "mono", 2: "stereo"}[channels]
    options = {"strict": "experimental"}  # for DTS
    stream = container.add_stream(
        codec, rate=sample_rate, layout=layout, bit_rate=1000 * kbps, options=options
    )
    assert isinstance(stream, av.AudioStream)
    return stream


def fill(
    container: av.container.OutputContainer, stream: av.AudioStream, samples: FloatArray
) -> None:
    """Encode samples, shape (n,) or (channels, n), as the whole of a stream."""
    resampler = av.AudioResampler(
        format=stream.format,
        layout=stream.layout,
        rate=stream.rate,
        frame_size=stream.frame_size or 4096,
    )
    frame = av.AudioFrame.from_ndarray(np.atleast_2d(samples), format="fltp", layout=stream.layout)
    frame.sample_rate = stream.rate
    frame.time_base = Fraction(1, stream.rate)
    for part in [*resampler.resample(frame), *resampler.resample(None), None]:
        # The last packet of FLAC is empty and has no time.
        container.mux([packet for packet in stream.encode(part) if packet.size])


def noise(duration_s: float, sample_rate: int = 22_050, seed: int = 0) -> FloatArray:
    """White noise, which no encoder makes small."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(duration_s * sample_rate))
    return samples.astype(np.float32)
