"""A short sound in every format whose tags can be written."""

from __future__ import annotations

from pathlib import Path

from tests.sounds import encode, staircase, write

RATE = 44_100
FORMATS = {
    "a.flac": None,
    "a.ogg": None,
    "a.mp3": None,
    "a.wav": None,
    "a.aiff": None,
    "a.opus": "libopus",
    "a.m4a": "aac",
    "a.wv": "wavpack",
    "a.wma": "wmav2",
    "a.tta": "tta",
}
"""Names, and the FFmpeg encoder for those that libsndfile does not write."""


def make_sound(folder: Path, name: str) -> Path:
    codec = FORMATS[name]
    path = folder / name
    if codec is None:
        return write(path, staircase(1.5, RATE), RATE)
    return encode(path, staircase(1.5, RATE), codec, 48_000 if codec == "libopus" else RATE)
