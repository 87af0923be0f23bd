"""What a worker process does for tempo, key and loudness: decode a whole track, and measure it.

FFmpeg decodes once, a second at a time. The loudness is measured while it streams, over the whole
track; tempo and key over the middle of it, of which the mono sound is kept: so an hour takes no
more memory than a song.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import av
import numpy as np

from recsys.audio import main_stream, open_container
from recsys.audio.files import out_of_memory
from recsys.errors import AudioError, require
from recsys.library.tags import MixTags, read_mix_tags
from recsys.mix.key import FoundKey, find_key
from recsys.mix.tempo import FoundTempo, find_tempo
from recsys.types import Mix, MixKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from recsys.store.rows import Unmeasured
    from recsys.types import FloatArray

RATE_HZ = 22_050
"""The sample rate that sonara takes."""

EXCERPT_S = 240.0
"""Tempo and key are those of so much of a track, from its middle."""

LEAST_S = 6.0
"""Shorter sounds have no tempo and no key: the comb needs four beats of the slowest tempo."""

SILENT_LUFS = -70.0
"""The absolute gate of EBU R 128: what FFmpeg returns for a sound that never passes it."""

BY_TAG = "tag"
"""What found a tempo or key that is the file's own."""


@dataclass(frozen=True, slots=True)
class Measurer:
    """Measures one file; can be sent to a process."""

    def __call__(self, wanted: Unmeasured) -> Mix:
        """Return what is wanted of a file; AudioError if it cannot be decoded."""
        return measure(wanted.path, wanted.kinds, wanted.duration_s)


def measure(path: Path, kinds: tuple[MixKind, ...], duration_s: float = 0.0) -> Mix:
    """Measure a file.

    Parameters
    ----------
    path : Path
        Any audio file.
    kinds : tuple of MixKind
        What to measure; the rest is None in the result.
    duration_s : float
        Length of the track, as far as it is known: tempo and key are those of
        :data:`EXCERPT_S` in its middle. 0 takes them from its beginning.

    Returns
    -------
    Mix
        A tempo or key that the tags of the file name is taken from them, and not measured.

    Raises
    ------
    AudioError
        If the file cannot be decoded.
    MissingExtraError
        If tempo or key are wanted, and sonara is not installed.
    """
    tags = read_mix_tags(path) if {MixKind.TEMPO, MixKind.KEY}.intersection(kinds) else MixTags()
    wants_tempo = MixKind.TEMPO in kinds and tags.tempo is None
    wants_key = MixKind.KEY in kinds and tags.key is None
    wants_loudness = MixKind.LOUDNESS in kinds
    values: dict[str, float | str | None] = {}
    if MixKind.TEMPO in kinds and not wants_tempo:
        values |= {"tempo": tags.tempo, "tempo_by": BY_TAG}
    if MixKind.KEY in kinds and not wants_key:
        values |= {"key": tags.key, "key_by": BY_TAG}
    if wants_tempo or wants_key or wants_loudness:
        with open_container(path, at_most=None) as container:
            decoded = _Decoded(
                duration_s if wants_tempo or wants_key else None, loudness=wants_loudness
            )
            for block in blocks(container):
                if not decoded.add(block):
                    break
            loudness = decoded.loudness()
            sound = decoded.excerpt()
        if wants_loudness:
            values |= {**loudness, "loudness_by": f"FFmpeg {_ffmpeg()}"}
        values |= _tempo_and_key(sound, tempo=wants_tempo, key=wants_key)
    return Mix(**values)  # type: ignore[arg-type]  # of the columns of Mix


def _tempo_and_key(sound: FloatArray, *, tempo: bool, key: bool) -> dict[str, float | str | None]:
    """Return the values of a mix that sonara finds in mono sound at :data:`RATE_HZ`."""
    if not tempo and not key:
        return {}
    sonara = load_sonara()
    found: FoundTempo | None = None
    found_key: FoundKey | None = None
    audible = len(sound) >= LEAST_S * RATE_HZ and bool(np.any(sound))
    if audible:
        features = ["bpm", *(["key", "key_candidates"] if key else [])]
        answer = sonara.analyze_signal(sound, sr=RATE_HZ, features=features)
        if tempo:
            found = find_tempo(sonara, sound, RATE_HZ, float(answer["bpm"]))
        if key:
            found_key = find_key(answer["key_candidates"], float(answer["key_confidence"]))
    by = f"sonara {version('sonara')}"
    values: dict[str, float | str | None] = {}
    if tempo:
        values["tempo_by"] = by
        if found is not None:
            values |= {"tempo": found.tempo, "tempo_confidence": found.confidence}
    if key:
        values["key_by"] = by
        if found_key is not None:
            values |= {"key": found_key.key, "key_confidence": found_key.confidence}
    return values


def load_sonara() -> ModuleType:
    """Import sonara; MissingExtraError if it is not installed."""
    return require("sonara", "mix")


@lru_cache(maxsize=1)
def _ffmpeg() -> str:
    return str(av.ffmpeg_version_info)


def blocks(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Yield the sound of a file a second at a time, past pieces that do not decode."""
    stream = main_stream(container)
    joined: av.AudioFifo | None = None
    found = False
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                out_of_memory(error)
                continue
            for frame in frames:
                found = True
                frame.pts = None  # else the queue insists on time stamps without a gap
                joined = joined or av.AudioFifo()
                _append(joined, frame)
            if joined is not None and joined.samples >= stream.rate:
                yield _taken(joined)
    except av.FFmpegError as error:  # the container is damaged from here on
        out_of_memory(error)
    if joined is not None and joined.samples:
        yield _taken(joined)
    if not found:
        raise AudioError(
            "no sound could be decoded", "The file is damaged beyond its header; replace it."
        )


def _append(joined: av.AudioFifo, frame: av.AudioFrame) -> None:
    same = not joined.samples_written or joined.layout.nb_channels == frame.layout.nb_channels
    with contextlib.suppress(ValueError):
        if same:  # PyAV compares all but the layout
            joined.write(frame)
            return
    raise AudioError(
        "its sample rate or channels change midway",
        "Tempo, key and loudness are those of one recording; split the file, or convert it.",
    )


def _taken(joined: av.AudioFifo) -> av.AudioFrame:
    frame = joined.read(0, partial=True)
    assert frame is not None
    return frame


class _Decoded:
    """What is kept of a sound that streams by.

    Without `duration_s` no excerpt is kept.
    """

    def __init__(self, duration_s: float | None, *, loudness: bool) -> None:
        self._meter: _Meter | None = None
        self._wants_loudness = loudness
        self._start_s = None if duration_s is None else max(0.0, (duration_s - EXCERPT_S) / 2)
        self._mono = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        self._kept: list[FloatArray] = []
        self._length = 0
        self._at_s = 0.0

    def add(self, block: av.AudioFrame) -> bool:
        """Take a block; return whether more is wanted."""
        if self._wants_loudness:
            self._meter = self._meter or _Meter(block)
            self._meter.add(block)
        self._at_s += block.samples / block.sample_rate
        more = False
        if self._start_s is not None and self._length < EXCERPT_S * RATE_HZ:
            more = True
            if self._at_s > self._start_s:
                self._keep(block)
        return more or self._wants_loudness

    def _keep(self, block: av.AudioFrame) -> None:
        block.pts = None
        for part in self._mono.resample(block):
            samples = part.to_ndarray()[0].astype(np.float32, copy=False)
            self._kept.append(samples)
            self._length += len(samples)

    def excerpt(self) -> FloatArray:
        """Return the mono sound at :data:`RATE_HZ`, shape (n,)."""
        if not self._kept:
            return np.zeros(0, dtype=np.float32)
        return np.concatenate(self._kept)[: round(EXCERPT_S * RATE_HZ)]

    def loudness(self) -> dict[str, float | None]:
        """Return the loudness and the true peak, None for silence."""
        return {} if self._meter is None else self._meter.result()


class _Meter:
    """FFmpeg's meter of EBU R 128, over every channel at the rate of the file."""

    def __init__(self, block: av.AudioFrame) -> None:
        self._graph = av.filter.Graph()
        self._written = 0
        self._step = block.sample_rate // 10  # of the meter
        source = self._graph.add_abuffer(
            sample_rate=block.sample_rate,
            format=block.format.name,
            layout=block.layout.name,
            time_base=Fraction(1, block.sample_rate),
        )
        meter = self._graph.add("ebur128", "peak=true:metadata=1:framelog=quiet")
        sink = self._graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        self._graph.configure()
        self._last: av.AudioFrame | None = None

    def add(self, block: av.AudioFrame) -> None:
        """Measure a block."""
        block.pts = self._written
        block.time_base = Fraction(1, block.sample_rate)
        self._written += block.samples
        self._graph.push(block)
        self._pull()

    def _pull(self) -> None:
        with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                frame = self._graph.pull()
                assert isinstance(frame, av.AudioFrame)
                if frame.samples >= self._step:  # the rest at the end has no values
                    self._last = frame

    def result(self) -> dict[str, float | None]:
        """Return ``loudness`` in LUFS and ``true_peak`` in dBTP; None for silence."""
        self._graph.push(None)
        self._pull()
        about = {} if self._last is None else self._last.metadata
        loudness = float(about.get("lavfi.r128.I", SILENT_LUFS))
        peak = float(about.get("lavfi.r128.true_peak", 0.0))
        return {
            "loudness": loudness if loudness > SILENT_LUFS and math.isfinite(loudness) else None,
            "true_peak": round(20 * math.log10(peak), 2) if peak > 0 else None,
        }
