"""Files through all variants and all models, and what came of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
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

from recsys.audio import MAX_WHOLE_S, decode, open_container
from recsys.errors import AudioError, QueryError, RecsysError
from recsys.library import scan
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.mel import Features
    from recsys.types import FloatArray

# Writing sound in the formats that people keep their music in.


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


# Other forms of a recording: encoded, louder, tilted, with a lead-in, cut, mixed down, halved.


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


# The measures, as functions of embeddings. All embeddings are of unit length.


TIE = 1e-6
"""Cosines that are nearer to each other than this are equal."""

RESAMPLES = 2000
"""Draws of a bootstrap interval."""

_BLOCK = 1024

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VariantFigures:
    """How near variants stay to their originals.

    Attributes
    ----------
    n : int
        Variants.
    found : float
        Share of them whose nearest original is their own.
    median, low : float
        Of the cosines to their own originals: the median and the 5th percentile.
    """

    n: int
    found: float
    median: float
    low: float


@dataclass(frozen=True, slots=True)
class HalfFigures:
    """How well the first halves of tracks find the second ones.

    Attributes
    ----------
    n : int
        Tracks that took part: those of genres with at least two.
    mean_reciprocal_rank : float
        In (0, 1]; 1 when every second half is found first.
    interval : (float, float)
        95%, bootstrap over tracks.
    by_chance : float
        What an order drawn at random gets on average.
    """

    n: int
    mean_reciprocal_rank: float
    interval: tuple[float, float]
    by_chance: float


def median_cosine(embeddings: FloatArray) -> float:
    """Return the median cosine over all pairs of different tracks.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n, d)
        One per track, n at least 2.

    Raises
    ------
    ValueError
        If there is no pair.
    """
    if len(embeddings) < 2:
        raise ValueError(f"two tracks are needed for a pair, there is {len(embeddings)}")
    cosines = embeddings @ embeddings.T
    return float(np.median(cosines[np.triu_indices(len(embeddings), k=1)]))


def own_cosines(originals: FloatArray, variants: FloatArray) -> tuple[Float64Array, Float64Array]:
    """Compare variants with their own originals and with all others.

    Parameters
    ----------
    originals, variants : ndarray of float32, shape (n, d)
        Row ``i`` of one belongs to row ``i`` of the other.

    Returns
    -------
    cosines : ndarray of float64, shape (n,)
        Of each variant to its own original.
    found : ndarray of float64, shape (n,)
        1 where the own original is the nearest one, 0 where it is not, and 1/m where m originals
        are equally near, so that an embedding that tells nothing apart finds nothing.
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
    """Summarise what :func:`own_cosines` returned, of one kind of variant or of several."""
    low, median = np.quantile(cosines, (0.05, 0.5))
    return VariantFigures(len(cosines), float(found.mean()), float(median), float(low))


def reciprocal_ranks(
    firsts: FloatArray, seconds: FloatArray, genres: Sequence[str]
) -> tuple[Float64Array, Float64Array]:
    """Let first halves look for their second halves among those of their genre.

    Parameters
    ----------
    firsts, seconds : ndarray of float32, shape (n, d)
        Halves of the same tracks.
    genres : sequence of str
        One per track; a genre with a single track is left out.

    Returns
    -------
    reciprocal_ranks : ndarray of float64, shape (m,)
        One per track that took part: 1 over its rank. Halves that are equally near share the
        ranks between them.
    by_chance : ndarray of float64, shape (m,)
        What a random order gets on average: the harmonic number of the genre's size, over it.
    """
    names = np.asarray(genres)
    reached, chances = [], []
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
    if not reached:
        return np.zeros(0), np.zeros(0)
    return np.concatenate(reached), np.concatenate(chances)


def half_figures(
    firsts: FloatArray, seconds: FloatArray, genres: Sequence[str], seed: int = 0
) -> HalfFigures | None:
    """Summarise :func:`reciprocal_ranks`; None where no genre has two tracks."""
    ranks, chances = reciprocal_ranks(firsts, seconds, genres)
    if len(ranks) == 0:
        return None
    rng = np.random.default_rng(seed)
    means = [ranks[rng.integers(len(ranks), size=len(ranks))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return HalfFigures(
        len(ranks), float(ranks.mean()), (float(low), float(high)), float(chances.mean())
    )


# ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RobustnessOptions:
    """What to measure on.

    Attributes
    ----------
    limit : int or None
        At most so many tracks, drawn at random.
    seed : int
        For the draw and for the intervals.
    workers : int or None
        Decoding processes; None for one per processor.
    """

    limit: int | None = None
    seed: int = 0
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Robustness:
    """The figures of one model.

    Attributes
    ----------
    model, fingerprint : str
        Its name, and the hash that tells it from others.
    median_cosine : float
        Between different tracks.
    variants : dict of str to VariantFigures
        By kind of variant.
    all_variants : VariantFigures
        Of all kinds together.
    halves : HalfFigures or None
        First halves looking for second halves inside their genre; None where no genre has two
        tracks.
    """

    model: str
    fingerprint: str
    median_cosine: float
    variants: dict[str, VariantFigures]
    all_variants: VariantFigures
    halves: HalfFigures | None


@dataclass(frozen=True, slots=True)
class RobustnessRun:
    """What was measured, for every model on the same tracks.

    Attributes
    ----------
    tracks : int
        Tracks that took part.
    found : int
        Audio files in the folder.
    genres : dict of str to int
        Tracks that took part by the name of their folder.
    models : tuple of Robustness
        In the order in which the models were given.
    failed : dict of Path to str
        Tracks that could not be heard, whole or in one of their forms, and why.
    """

    tracks: int
    found: int
    genres: dict[str, int]
    models: tuple[Robustness, ...]
    failed: dict[Path, str]


def measure_robustness(
    directory: Path,
    classifiers: Sequence[Classifier],
    options: RobustnessOptions = RobustnessOptions(),
    on_start: Callable[[int], object] = lambda _: None,
    on_track: Callable[[bool], object] = lambda _: None,
) -> RobustnessRun:
    """Measure how steady the embeddings of models are.

    Parameters
    ----------
    directory : Path
        Audio files, in folders by genre; the folder in which a file lies is its genre.
    classifiers : sequence of Classifier
        The models, at least one.
    options : RobustnessOptions
        What to measure on.
    on_start : callable
        Told how many tracks there will be.
    on_track : callable
        Told, once per track, whether it failed.

    Returns
    -------
    RobustnessRun

    Raises
    ------
    QueryError
        If there are fewer than two tracks that can be heard.
    """
    found = [file.path for file in scan(directory)]
    chosen = _draw(found, options)
    if len(chosen) < 2:
        raise _too_few(directory, len(chosen), {})
    on_start(len(chosen))
    settings = tuple(dict.fromkeys(classifier.features for classifier in classifiers))
    heard: dict[Path, list[dict[str, FloatArray]]] = {}
    failed: dict[Path, str] = {}
    librosa = any(features.uses_librosa for features in settings)
    limit = WHOLE_FILE_LIMIT_S
    with WorkerPool(options.workers, librosa=librosa, time_limit_s=limit) as pool:
        for path, outcome in pool.map(VariantListener(settings), chosen):
            if isinstance(outcome, RecsysError):
                failed[path] = outcome.message
            else:
                heard[path] = [
                    _embed(classifier, outcome, settings.index(classifier.features))
                    for classifier in classifiers
                ]
            on_track(isinstance(outcome, RecsysError))
    if len(heard) < 2:
        raise _too_few(directory, len(heard), failed)
    genres = [path.parent.name for path in heard]
    models = tuple(
        _figures(classifier, [own[number] for own in heard.values()], genres, options.seed)
        for number, classifier in enumerate(classifiers)
    )
    counts = {genre: genres.count(genre) for genre in sorted(set(genres))}
    return RobustnessRun(len(heard), len(found), counts, models, failed)


def _draw(found: Sequence[Path], options: RobustnessOptions) -> list[Path]:
    """Return the tracks to measure on, in the order of their names."""
    if options.limit is None or len(found) <= options.limit:
        return list(found)
    rng = np.random.default_rng(options.seed)
    places = rng.choice(len(found), options.limit, replace=False)
    return [found[place] for place in sorted(places)]


def _too_few(directory: Path, count: int, failed: dict[Path, str]) -> QueryError:
    first = next((f" ({path.name}: {reason})" for path, reason in failed.items()), "")
    return QueryError(
        f"{count} tracks in {directory} can be heard{first}; two are needed to be told apart",
        "Give a folder of music, DIR/GENRE/track.",
    )


def _embed(classifier: Classifier, windows: Windows, kind: int) -> dict[str, FloatArray]:
    """Return the embedding of every form of one track."""
    analyses = classifier.analyse([own[kind].astype(np.float32) for own in windows.values()])
    return {name: own.embedding for name, own in zip(windows, analyses, strict=True)}


def _figures(
    classifier: Classifier, heard: Sequence[dict[str, FloatArray]], genres: list[str], seed: int
) -> Robustness:
    by_form = {
        name: np.stack([track[name] for track in heard]) for name in (ORIGINAL, *VARIANTS, *HALVES)
    }
    originals = by_form[ORIGINAL]
    compared = {name: own_cosines(originals, by_form[name]) for name in VARIANTS}
    cosines, found = (np.concatenate(parts) for parts in zip(*compared.values(), strict=True))
    return Robustness(
        model=classifier.info.name,
        fingerprint=classifier.info.fingerprint,
        median_cosine=median_cosine(originals),
        variants={name: variant_figures(*own) for name, own in compared.items()},
        all_variants=variant_figures(cosines, found),
        halves=half_figures(by_form[FIRST_HALF], by_form[SECOND_HALF], genres, seed),
    )
