"""Robustness of the embeddings of models: variants of a recording, and its two halves.

track --read_recording--> Recording --VARIANTS, HALVES--> files --features--> windows
windows --classifier--> embeddings --own_cosines, reciprocal_ranks--> Robustness
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

import av
import numpy as np
import numpy.typing as npt
import soundfile

from recsys.audio import decode, open_container
from recsys.audio.decoding import MAX_WHOLE_S
from recsys.bootstrap import bootstrap_interval
from recsys.errors import AudioError, QueryError, RecsysError, require
from recsys.library import scan
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recsys.classifier.inference import Classifier
    from recsys.mel import Features
    from recsys.types import FloatArray

ORIGINAL, FIRST_HALF, SECOND_HALF = "original", "first half", "second half"

TIE = 1e-6
"""Cosines that differ by less than this are equal."""

RESAMPLES = 2000

_BLOCK = 1024  # variants compared with all originals at once

Float64Array = npt.NDArray[np.float64]
Windows = dict[str, list[npt.NDArray[np.floating]]]
"""By variant: one array (n_windows, *shape) per kind of features."""


@dataclass(frozen=True, slots=True)
class RobustnessOptions:
    """Options of a measurement of robustness."""

    limit: int | None = None  # at most so many tracks, drawn at random
    seed: int = 0  # of the draw and the intervals
    workers: int | None = None  # decoding processes; None for one per processor


@dataclass(frozen=True, slots=True)
class VariantFigures:
    """Similarity of variants to their originals."""

    n: int
    found: float  # share whose nearest original is their own
    median: float  # of the cosines to their own originals
    low: float  # their 5th percentile


@dataclass(frozen=True, slots=True)
class HalfFigures:
    """Retrieval of the second halves of tracks by the first ones, inside the genres."""

    n: int  # tracks of genres with at least two
    mean_reciprocal_rank: float  # in (0, 1]; 1 when every second half is found first
    interval: tuple[float, float]  # 95%, bootstrap over tracks
    by_chance: float  # mean of a random order


@dataclass(frozen=True, slots=True)
class Robustness:
    """The figures of one model."""

    model: str
    fingerprint: str
    median_cosine: float  # between different tracks
    variants: dict[str, VariantFigures]  # by kind
    all_variants: VariantFigures
    halves: HalfFigures | None  # None where no genre has two tracks


@dataclass(frozen=True, slots=True)
class RobustnessRun:
    """The figures of every model on the same tracks."""

    tracks: int  # measured
    found: int  # audio files in the folder
    genres: dict[str, int]  # measured tracks by the name of their folder
    models: tuple[Robustness, ...]  # in the order given
    failed: dict[Path, str]  # tracks that could not be decoded, or one of their variants, and why


def measure_robustness(
    directory: Path,
    classifiers: Sequence[Classifier],
    options: RobustnessOptions = RobustnessOptions(),
    on_start: Callable[[int], object] = lambda _: None,
    on_track: Callable[[bool], object] = lambda _: None,
) -> RobustnessRun:
    """Measure how stable the embeddings of models are.

    Parameters
    ----------
    directory : Path
        Audio files, in folders by genre.
    classifiers : sequence of Classifier
        The models, at least one.
    options : RobustnessOptions
    on_start : callable
        Called with the number of tracks.
    on_track : callable
        Called once per track with whether it failed.

    Returns
    -------
    RobustnessRun

    Raises
    ------
    QueryError
        If there are fewer than two tracks that can be decoded.
    MissingExtraError
        If SciPy is not installed.
    """
    require("scipy.signal", "train")
    found = [file.path for file in scan(directory)]
    chosen = _draw(found, options)
    if len(chosen) < 2:
        raise _too_few(directory, len(chosen), {})
    on_start(len(chosen))
    settings = tuple(dict.fromkeys(classifier.features for classifier in classifiers))
    embedded: dict[Path, list[dict[str, FloatArray]]] = {}
    failed: dict[Path, str] = {}
    librosa = any(features.uses_librosa for features in settings)
    with WorkerPool(options.workers, librosa=librosa, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for path, outcome in pool.map(VariantReader(settings), chosen):
            if isinstance(outcome, RecsysError):
                failed[path] = outcome.message
            else:
                embedded[path] = [
                    _embed(classifier, outcome, settings.index(classifier.features))
                    for classifier in classifiers
                ]
            on_track(isinstance(outcome, RecsysError))
    if len(embedded) < 2:
        raise _too_few(directory, len(embedded), failed)
    genres = [path.parent.name for path in embedded]
    models = tuple(
        _figures(classifier, [own[number] for own in embedded.values()], genres, options.seed)
        for number, classifier in enumerate(classifiers)
    )
    counts = {genre: genres.count(genre) for genre in sorted(set(genres))}
    return RobustnessRun(len(embedded), len(found), counts, models, failed)


def _draw(found: Sequence[Path], options: RobustnessOptions) -> list[Path]:
    """Return the tracks to measure on, sorted by path."""
    if options.limit is None or len(found) <= options.limit:
        return list(found)
    rng = np.random.default_rng(options.seed)
    drawn = rng.choice(len(found), options.limit, replace=False)
    return [found[row] for row in sorted(drawn)]


def _too_few(directory: Path, count: int, failed: dict[Path, str]) -> QueryError:
    first = next((f" ({path.name}: {reason})" for path, reason in failed.items()), "")
    return QueryError(
        f"{count} tracks in {directory} can be decoded{first}; at least two are needed",
        "Give a folder of music, DIR/GENRE/track.",
    )


def _embed(classifier: Classifier, windows: Windows, kind: int) -> dict[str, FloatArray]:
    """Return the embedding of every variant of one track."""
    analyses = classifier.analyse([own[kind].astype(np.float32) for own in windows.values()])
    return {name: own.embedding for name, own in zip(windows, analyses, strict=True)}


def _figures(
    classifier: Classifier, tracks: Sequence[dict[str, FloatArray]], genres: list[str], seed: int
) -> Robustness:
    embeddings = {name: np.stack([track[name] for track in tracks]) for name in tracks[0]}
    originals = embeddings[ORIGINAL]
    compared = {name: own_cosines(originals, embeddings[name]) for name in VARIANTS}
    cosines, found = (np.concatenate(parts) for parts in zip(*compared.values(), strict=True))
    return Robustness(
        model=classifier.info.name,
        fingerprint=classifier.info.fingerprint,
        median_cosine=median_cosine(originals),
        variants={name: variant_figures(*own) for name, own in compared.items()},
        all_variants=variant_figures(cosines, found),
        halves=half_figures(embeddings[FIRST_HALF], embeddings[SECOND_HALF], genres, seed),
    )


# Measures, as functions of embeddings of unit length


def median_cosine(embeddings: FloatArray) -> float:
    """Return the median cosine over all pairs of different rows (n, d), n at least 2."""
    if len(embeddings) < 2:
        raise ValueError(f"two tracks are needed for a pair, there is {len(embeddings)}")
    cosines = embeddings @ embeddings.T
    return float(np.median(cosines[np.triu_indices(len(embeddings), k=1)]))


def own_cosines(originals: FloatArray, variants: FloatArray) -> tuple[Float64Array, Float64Array]:
    """Compare variants (n, d) with their own originals (n, d), row by row, and with all others.

    Return the cosines (n,) to the own originals, and whether these are the nearest ones (n,): 1, 0,
    or 1/m where m originals are equally near, so that a constant embedding finds nothing.
    """
    own = np.einsum("ij,ij->i", originals.astype(float), variants.astype(float))
    found = np.zeros(len(own))
    for start in range(0, len(own), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosines = variants[block].astype(float) @ originals.T.astype(float)
        highest = cosines.max(axis=1)
        equal = (cosines >= highest[:, np.newaxis] - TIE).sum(axis=1)
        found[block] = (own[block] >= highest - TIE) / equal
    return own, found


def variant_figures(cosines: Float64Array, found: Float64Array) -> VariantFigures:
    """Summarise the results of :func:`own_cosines`, of one kind of variant or of several."""
    low, median = np.quantile(cosines, (0.05, 0.5))
    return VariantFigures(len(cosines), float(found.mean()), float(median), float(low))


def reciprocal_ranks(
    firsts: FloatArray, seconds: FloatArray, genres: Sequence[str]
) -> tuple[Float64Array, Float64Array]:
    """Rank the second halves (n, d) of a genre for each of its first halves (n, d).

    Return 1 over the rank of the own half, and its mean in a random order (the harmonic number of
    the genre's size, over that size), both (m,): genres with one track are left out. Equally near
    halves share their ranks.
    """
    names = np.asarray(genres)
    reached, chances = [np.zeros(0)], [np.zeros(0)]
    for genre in sorted(set(genres)):
        own = np.flatnonzero(names == genre)
        if len(own) < 2:
            continue
        cosines = firsts[own].astype(float) @ seconds[own].T.astype(float)
        right = np.diag(cosines)[:, np.newaxis]
        nearer = (cosines > right + TIE).sum(axis=1)
        as_near = (np.abs(cosines - right) <= TIE).sum(axis=1) - 1
        reached.append(1.0 / (1 + nearer + as_near / 2))
        harmonic = float(np.sum(1.0 / np.arange(1, len(own) + 1)))
        chances.append(np.full(len(own), harmonic / len(own)))
    return np.concatenate(reached), np.concatenate(chances)


def half_figures(
    firsts: FloatArray, seconds: FloatArray, genres: Sequence[str], seed: int = 0
) -> HalfFigures | None:
    """Summarise :func:`reciprocal_ranks`; None where no genre has two tracks."""
    ranks, chances = reciprocal_ranks(firsts, seconds, genres)
    if len(ranks) == 0:
        return None
    interval = bootstrap_interval(ranks, np.arange(len(ranks)), RESAMPLES, seed)
    return HalfFigures(len(ranks), float(ranks.mean()), interval, float(chances.mean()))


# Variants of a recording


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording: float32 samples (n, channels), one channel or two, at a rate in Hz."""

    samples: FloatArray
    sample_rate: int


def read_recording(path: Path) -> Recording:
    """Decode a file from its beginning, at most ten minutes, with its channels; or AudioError."""
    blocks: list[FloatArray] = []
    length, rate = 0, 0
    try:
        with open_container(path, at_most=None) as container:
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


@dataclass(frozen=True, slots=True)
class VariantReader:
    """Makes every variant of a file and computes its features; can be sent to a process."""

    settings: tuple[Features, ...]  # the inputs of the models, each kind once

    def __call__(self, path: Path) -> Windows:
        """Return the windows of the original, of every variant and of both halves.

        AudioError if one of them cannot be decoded: too short to be halved, say.
        """
        recording = read_recording(path)
        windows = {ORIGINAL: self._read(path)}
        with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
            for number, (name, make) in enumerate({**VARIANTS, **HALVES}.items()):
                file = make(recording, Path(folder) / str(number))
                windows[name] = self._read(file)
                file.unlink()
        return windows

    def _read(self, path: Path) -> list[npt.NDArray[np.floating]]:
        windows: list[npt.NDArray[np.floating]] = []
        for settings in self.settings:
            # As in indexing, where windows travel between processes in this precision.
            precision = np.float16 if settings.half_precision else np.float32
            computed = settings.compute(decode(path, settings).windows)
            windows.append(computed.astype(precision, copy=False))
        return windows


def tilt(samples: FloatArray, sample_rate: int, tilt_db: float = 2.0) -> FloatArray:
    """Raise the treble against the bass of samples (n, channels).

    The gain rises by `tilt_db` from 100 Hz to 10 kHz, evenly over the logarithm of the frequency,
    and is 0 dB in the middle, at 1 kHz; outside it stays level. Linear phase, no delay.
    """
    signal = require("scipy.signal", "train")
    low_hz, high_hz, n_taps = 100.0, 10_000.0, 4097
    nyquist = sample_rate / 2
    inner = np.geomspace(low_hz, high_hz, 65)
    points = np.concatenate([[0.0], inner[inner < nyquist], [nyquist]])
    position = np.log(np.clip(points, low_hz, high_hz) / low_hz) / np.log(high_hz / low_hz)
    taps = signal.firwin2(n_taps, points, 10 ** (tilt_db * (position - 0.5) / 20), fs=sample_rate)
    tilted = signal.oaconvolve(samples, taps[:, np.newaxis], mode="full", axes=0)
    delay = n_taps // 2
    result: FloatArray = tilted[delay : delay + len(samples)].astype(np.float32)
    return result


Codec: TypeAlias = Literal["aac", "libmp3lame", "libopus"]
"""FFmpeg's names of encoders."""


def write_vorbis(path: Path, samples: FloatArray, sample_rate: int) -> None:
    """Write samples (n, channels) as Ogg Vorbis."""
    with soundfile.SoundFile(path, "w", sample_rate, samples.shape[1]) as file:
        # By the second: libsndfile's Vorbis encoder overflows its stack on long buffers.
        bounds = [*range(0, len(samples), sample_rate), len(samples)]
        for start, end in pairwise(bounds):
            file.write(samples[start:end])


def write_encoded(
    path: Path, samples: FloatArray, sample_rate: int, codec: Codec, bit_rate: int, rate: int
) -> None:
    """Write samples (n, channels) with one of FFmpeg's encoders, at a rate that it knows.

    The suffix of the path decides the container.
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


_Maker: TypeAlias = "Callable[[Recording, Path], Path]"
"""Makes a file of a recording; the path has no suffix yet."""

_MP3_RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def _encoded(suffix: str, codec: Codec, bit_rate: int, rates: Sequence[int]) -> _Maker:
    def make(recording: Recording, stem: Path) -> Path:
        path, own = stem.with_suffix(suffix), recording.sample_rate
        rate = min(rates, key=lambda known: abs(known - own))
        write_encoded(path, recording.samples, own, codec, bit_rate, rate)
        return path

    return make


def _ogg(recording: Recording, stem: Path) -> Path:
    path = stem.with_suffix(".ogg")
    write_vorbis(path, recording.samples, recording.sample_rate)
    return path


def _exact(change: Callable[[FloatArray, int], FloatArray]) -> _Maker:
    """Return a maker that writes changed samples as floats, which do not clip."""

    def make(recording: Recording, stem: Path) -> Path:
        path, rate = stem.with_suffix(".wav"), recording.sample_rate
        soundfile.write(path, change(recording.samples, rate), rate, subtype="FLOAT")
        return path

    return make


VARIANTS: Mapping[str, _Maker] = MappingProxyType(
    {
        "MP3, 128 kbit/s": _encoded(".mp3", "libmp3lame", 128_000, _MP3_RATES),
        "Ogg Vorbis": _ogg,
        "Opus": _encoded(".opus", "libopus", 96_000, (48_000,)),
        "half the level": _exact(lambda samples, _: samples * np.float32(0.5)),
        "double the level": _exact(lambda samples, _: samples * np.float32(2)),
        "2 dB of tilt": _exact(tilt),
        "1.2 s of lead-in": _exact(
            lambda samples, rate: np.pad(samples, ((round(1.2 * rate), 0), (0, 0)))
        ),
        "trimmed by a third": _exact(lambda samples, _: samples[: round(2 / 3 * len(samples))]),
        "mono": _exact(lambda samples, _: samples.mean(axis=1, keepdims=True)),
    }
)
"""Variants that a listener would call the same recording."""

HALVES: Mapping[str, _Maker] = MappingProxyType(
    {
        FIRST_HALF: _exact(lambda samples, _: samples[: len(samples) // 2]),
        SECOND_HALF: _exact(lambda samples, _: samples[len(samples) // 2 :]),
    }
)
