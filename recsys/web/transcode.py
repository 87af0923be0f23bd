"""A program: writes a file as Opus in Ogg, or as MP3, to standard output, from a second on.

A process of its own: a file that crashes its decoder ends no server, and one that nobody reads any
more is killed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import av

from recsys.audio import main_stream, open_container

RATE_HZ = 48_000
BITS_PER_S = 128_000

FORMATS = {
    # container, its options, encoder, format of its samples
    "opus": ("ogg", {"page_duration": "200000"}, "libopus", "s16"),
    "mp3": ("mp3", {"write_xing": "0"}, "libmp3lame", "s16p"),
}


def transcode(
    path: Path,
    start_s: float,
    target: object,
    form: str = "opus",
    bits_per_s: int = BITS_PER_S,
) -> None:
    """Write a file in one of :data:`FORMATS`, from a second on."""
    container, options, codec, samples = FORMATS[form]
    with (
        open_container(path, at_most=None) as source,
        av.open(target, "w", format=container, options=options) as sink,
    ):
        stream = main_stream(source)
        if start_s > 0:
            source.seek(int(start_s * av.time_base))
        encoder = sink.add_stream(codec, rate=RATE_HZ)
        assert isinstance(encoder, av.AudioStream)
        encoder.bit_rate = bits_per_s
        encoder.layout = "stereo"
        resampler = av.AudioResampler(format=samples, layout="stereo", rate=RATE_HZ)
        written = 0
        for packet in source.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:  # a damaged piece is passed over
                continue
            for frame in frames:
                end_s = (frame.time or 0.0) + frame.samples / frame.sample_rate
                if start_s > 0 and frame.time is not None and end_s <= start_s:
                    continue
                frame.pts = None
                for part in resampler.resample(frame):
                    part.pts = written
                    written += part.samples
                    sink.mux(encoder.encode(part))
        sink.mux(encoder.encode(None))


def main() -> None:
    """Transcode the file that the arguments name."""
    start, form, bits_per_s, name = sys.argv[1:]
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints must not get into the sound
    transcode(Path(name), float(start), output, form, int(bits_per_s))


if __name__ == "__main__":
    main()
