"""Pictures of one track: waveform, chroma, MFCC and mel spectrogram."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recsys.audio import decode
from recsys.extras import require
from recsys.features import MEL
from recsys.reports.drawing import PALETTE, Picture, literal, new_figure
from recsys.reports.output import EXTRA

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

    from recsys.types import FloatArray

SHOWN = replace(MEL, window_s=30.0, max_windows=1)
"""What is drawn of a track: 30 s from its middle."""

N_MFCC = 20
N_MELS = 128
FMAX_HZ = 8000.0
"""Upper end of the mel picture, as in the report of Mijares and Manua."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a track.

    Attributes
    ----------
    name : str
        Of the track, for people.
    samples : ndarray of float32, shape (n,)
        Mono, in [-1, 1].
    sample_rate : int
        Hz.
    offset_s : float
        Where in the track it begins.
    """

    name: str
    samples: FloatArray
    sample_rate: int
    offset_s: float


def read_excerpt(path: Path, name: str) -> Excerpt:
    """Read up to 30 s from the middle of a track.

    Parameters
    ----------
    path : Path
        Audio.
    name : str
        What to call it.

    Returns
    -------
    Excerpt
        As long as the track where that is shorter.

    Raises
    ------
    AudioError
        If there is nothing to hear in it.
    """
    sound = decode(path, SHOWN)
    length = round(min(sound.duration_s, SHOWN.window_s) * sound.sample_rate)
    return Excerpt(name, sound.windows[0, :length], sound.sample_rate, sound.offsets_s[0])


def track_pictures(excerpt: Excerpt) -> list[Picture]:
    """Draw the four pictures of a track.

    Parameters
    ----------
    excerpt : Excerpt
        What to draw.

    Returns
    -------
    list of Picture
        Waveform, chroma, MFCC, mel.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    seconds = len(excerpt.samples) / excerpt.sample_rate
    of = f"{seconds:.1f} s of {excerpt.name}, from {excerpt.offset_s:.1f} s on."
    frame = f"n_fft {SHOWN.n_fft}, hop {SHOWN.hop_length} samples at {excerpt.sample_rate} Hz."
    return [
        Picture("track-waveform", "Waveform", of, waveform_figure(excerpt)),
        Picture(
            "track-chroma",
            "Chroma",
            f"{of} Energy of the twelve pitch classes, in each frame relative to its strongest; "
            f"{frame}",
            chroma_figure(excerpt),
        ),
        Picture(
            "track-mfcc",
            "MFCC",
            f"{of} {N_MFCC} mel-frequency cepstral coefficients. The first, which follows the "
            f"loudness, is far larger than the others and goes beyond the colours; {frame}",
            mfcc_figure(excerpt),
        ),
        Picture(
            "track-mel",
            "Mel spectrogram",
            f"{of} {N_MELS} mel bands up to {FMAX_HZ:.0f} Hz, 80 dB below the loudest point; "
            f"{frame}",
            mel_figure(excerpt),
        ),
    ]


def waveform_figure(excerpt: Excerpt) -> Figure:
    """Draw amplitude over time."""
    figure, axes = _canvas(excerpt, "Waveform", 3.2)
    require("librosa.display", EXTRA).waveshow(
        excerpt.samples,
        sr=excerpt.sample_rate,
        offset=excerpt.offset_s,
        ax=axes,
        color=PALETTE[0],
        axis=None,
    )
    peak = max(float(np.abs(excerpt.samples).max()), 1e-6)
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    _show_seconds(axes)
    axes.set_xlim(excerpt.offset_s, excerpt.offset_s + len(excerpt.samples) / excerpt.sample_rate)
    axes.set_ylabel("amplitude (full scale = 1)")
    axes.grid(alpha=0.3)
    return figure


def chroma_figure(excerpt: Excerpt) -> Figure:
    """Draw the strength of the pitch classes over time."""
    from recsys.features.one_librosa import librosa

    with warnings.catch_warnings():
        # Sound without a pitch gives librosa nothing to tune by; it then takes A = 440 Hz.
        warnings.filterwarnings("ignore", message="Trying to estimate tuning")
        chroma = librosa.feature.chroma_stft(
            y=excerpt.samples,
            sr=excerpt.sample_rate,
            n_fft=SHOWN.n_fft,
            hop_length=SHOWN.hop_length,
        )
    figure, axes = _canvas(excerpt, "Chroma", 3.6)
    image = _show(axes, excerpt, chroma, y_axis="chroma", cmap="magma", vmin=0.0, vmax=1.0)
    axes.set_yticks(range(12), ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"])
    axes.set_ylabel("pitch class")
    figure.colorbar(image, ax=axes, label="strength (strongest = 1)")
    return figure


def mfcc_figure(excerpt: Excerpt) -> Figure:
    """Draw the MFCC over time."""
    from recsys.features.one_librosa import librosa

    mfcc = librosa.feature.mfcc(
        y=excerpt.samples,
        sr=excerpt.sample_rate,
        n_mfcc=N_MFCC,
        n_fft=SHOWN.n_fft,
        hop_length=SHOWN.hop_length,
    )
    widest = max(float(np.percentile(np.abs(mfcc[1:]), 99)), 1e-6)
    figure, axes = _canvas(excerpt, "MFCC", 3.6)
    image = _show(axes, excerpt, mfcc, cmap="RdBu_r", vmin=-widest, vmax=widest)
    axes.set_yticks(range(0, N_MFCC, 3), [str(number + 1) for number in range(0, N_MFCC, 3)])
    axes.set_ylabel("coefficient")
    figure.colorbar(image, ax=axes, label="value", extend="both")
    return figure


def mel_figure(excerpt: Excerpt) -> Figure:
    """Draw the mel spectrogram in decibels."""
    from recsys.features.one_librosa import librosa

    power = librosa.feature.melspectrogram(
        y=excerpt.samples,
        sr=excerpt.sample_rate,
        n_fft=SHOWN.n_fft,
        hop_length=SHOWN.hop_length,
        n_mels=N_MELS,
        fmax=FMAX_HZ,
    )
    decibels = librosa.power_to_db(power, ref=np.max, amin=1e-20)
    figure, axes = _canvas(excerpt, "Mel spectrogram", 4.0)
    image = _show(
        axes, excerpt, decibels, y_axis="mel", fmax=FMAX_HZ, cmap="magma", vmin=-80.0, vmax=0.0
    )
    ticks = [0, 256, 512, 1024, 2048, 4096, int(FMAX_HZ)]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylabel("frequency (Hz, mel scale)")
    figure.colorbar(image, ax=axes, label="level (dB, loudest = 0)")
    return figure


def _canvas(excerpt: Excerpt, what: str, height: float) -> tuple[Figure, Axes]:
    figure = new_figure(9.0, height)
    axes = figure.subplots()
    axes.set_title(f"{what}: {literal(excerpt.name)}")
    return figure, axes


def _show(axes: Axes, excerpt: Excerpt, picture: FloatArray, **options: object) -> QuadMesh:
    """Draw a picture with time along x, in seconds of the track."""
    centres = np.arange(picture.shape[1]) * SHOWN.hop_length / excerpt.sample_rate
    image: QuadMesh = require("librosa.display", EXTRA).specshow(
        picture, x_coords=excerpt.offset_s + centres, sr=excerpt.sample_rate, ax=axes, **options
    )
    _show_seconds(axes)
    return image


def _show_seconds(axes: Axes) -> None:
    """Write plain seconds along x, where librosa would write minutes or nothing."""
    ticker = require("matplotlib.ticker", EXTRA)
    axes.xaxis.set_major_locator(ticker.AutoLocator())
    axes.xaxis.set_major_formatter(ticker.ScalarFormatter())
    axes.set_xlabel("time in the track (s)")
