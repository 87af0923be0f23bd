"""Sound in the formats of films, with a moving picture or without."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.sounds import staircase

VIDEO = {".mp4": "mpeg4", ".mov": "mpeg4", ".mkv": "mpeg4", ".avi": "mpeg4", ".3gp": "mpeg4"}
VIDEO |= {".asf": "msmpeg4", ".wmv": "wmv2", ".flv": "flv", ".rm": "rv10"}
VIDEO |= {".mpg": "mpeg1video", ".ts": "mpeg2video", ".webm": "libvpx"}
SOUND = {".webm": "libopus", ".asf": "wmav2", ".wma": "wmav2", ".wmv": "wmav2", ".rm": "ac3"}
SOUND |= {".flv": "aac", ".avi": "mp2", ".mpg": "mp2", ".ts": "mp2"}


def film(path: Path, *, moving: bool, duration_s: float = 2.0, suffix: str = "") -> Path:
    """Write sound, and a moving picture if wanted, in the format of an extension."""
    suffix = suffix or path.suffix
    path.parent.mkdir(parents=True, exist_ok=True)
    muxer = {".3gp": "3gp", ".asf": "asf", ".wmv": "asf", ".mkv": "matroska"}

    muxer |= {".mka": "matroska", ".wma": "asf", ".ts": "mpegts", ".mpg": "mpeg"}
    name = muxer.get(suffix, suffix[1:])
    rate = 48_000 if suffix == ".webm" else 44_100
    samples = staircase(duration_s, rate)
    with av.open(str(path), "w", format=name) as container:
        picture = None
        if moving:
            picture = container.add_stream(VIDEO[suffix], rate=25)
            picture.width, picture.height, picture.pix_fmt = 176, 144, "yuv420p"
        sound = container.add_stream(
            SOUND.get(suffix, "aac"), rate=rate, layout="mono", bit_rate=128_000
        )
        if picture is not None:
            for number in range(10):
                image = np.full((144, 176, 3), 20 * number, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
                frame.pts = number
                frame.time_base = Fraction(1, 25)
                container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        resampler = av.AudioResampler(
            format=sound.format, layout="mono", rate=rate, frame_size=sound.frame_size
        )
        block = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        block.sample_rate, block.time_base = rate, Fraction(1, rate)
        for part in [*resampler.resample(block), *resampler.resample(None)]:
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path
