"""What the front end of the network hears of every track, once and for all.

The front end takes nine tenths of the time and is not tuned. So it listens to every track and to a
few changed copies of it first, and what lies above it learns from the memory of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from recsys.features.compressed_mel import USUAL_POWER, compress, expand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.classifier.fine_tune.pictures import HalfArray, PicturedTrack
    from recsys.classifier.models.musicnn import MusiCNN
    from recsys.types import FloatArray

SPEED = (0.87, 1.15)
"""Of a changed copy, times the original's."""

MEL_SHIFT = 2.0
"""Greatest transposition, bands."""

TILT_DB = 3.0
"""Greatest gain at either end of the spectrum."""

EQUALISER_DB = 1.2
"""Standard deviation of a smooth random gain curve."""

LOW_PASS_SHARE = 0.25
"""How many copies lose their treble, as a poor encoding does to them."""

NOISE = (-6.0, -2.5)
"""Power of added noise, powers of ten of the mean power."""


@dataclass(frozen=True, slots=True, eq=False)
class HeardTrack:
    """What the front end heard of one track.

    Attributes
    ----------
    sound, spectrogram : tuple of ndarray of float16, each (n_windows, n_filters, frames)
        The track itself first, then its changed copies; empty where there is none.
    """

    sound: tuple[HalfArray, ...]
    spectrogram: tuple[HalfArray, ...]

    @property
    def plain(self) -> HalfArray:
        """The unchanged track: its sound, or else its spectrogram."""
        return (self.sound or self.spectrogram)[0]

    def draw(self, rng: np.random.Generator, spectrogram_share: float) -> HalfArray:
        """Choose one window at random, shape (n_filters, frames)."""
        from_sound = bool(self.sound) and (
            not self.spectrogram or rng.random() >= spectrogram_share
        )
        copies = self.sound if from_sound else self.spectrogram
        windows = copies[rng.integers(len(copies))]
        window: HalfArray = windows[rng.integers(len(windows))]
        return window


def hear(
    model: MusiCNN,
    tracks: Sequence[PicturedTrack],
    variations: int,
    seed: int,
    on_track: Callable[[int], None] | None = None,
) -> list[HeardTrack]:
    """Let the front end listen to all tracks and to changed copies of them.

    Parameters
    ----------
    model : MusiCNN
        Its front end listens.
    tracks : sequence of PicturedTrack
    variations : int
        How many changed copies of each.
    seed : int
        Of the changes; those of a track depend on its place, not on what the others are.
    on_track : callable, optional
        Called after every track with how many there are.

    Returns
    -------
    list of HeardTrack
    """
    heard: list[HeardTrack] = []
    for place, track in enumerate(tracks):
        rng = np.random.default_rng((seed, place))
        sound = _copies(model, track.sound, variations, rng)
        heard.append(HeardTrack(sound, _copies(model, track.spectrogram, variations, rng)))
        if on_track is not None:
            on_track(len(tracks))
    return heard


def _copies(
    model: MusiCNN, windows: HalfArray | None, variations: int, rng: np.random.Generator
) -> tuple[HalfArray, ...]:
    """Listen to a track as it is, and to changed copies of it."""
    if windows is None:
        return ()
    plain = windows.astype(np.float32)
    varied = [plain, *(vary(plain, rng) for _ in range(variations))]
    return tuple(listen(model, pictures) for pictures in varied)


def listen(model: MusiCNN, pictures: FloatArray) -> HalfArray:
    """Return what the front end hears of windows (n, n_mels, frames): (n, n_filters, frames)."""
    with torch.inference_mode():
        heard: HalfArray = model.front_end(torch.from_numpy(pictures)).numpy().astype(np.float16)
    return heard


def vary(windows: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Change a track at random: speed, pitch, spectrum, noise, level.

    Parameters
    ----------
    windows : ndarray of float32, shape (n, n_mels, frames)
        Compressed mel, windows that follow each other.
    rng : Generator

    Returns
    -------
    ndarray of float32, shape (m, n_mels, frames)
        More windows than before where the copy is slower, fewer where it is quicker; at least one.
    """
    _, mels, frames = windows.shape
    joined = np.concatenate(list(windows), axis=1)
    picture = _resampled(joined, rng.uniform(*SPEED), rng.uniform(-MEL_SHIFT, MEL_SHIFT), frames)
    power = np.maximum(expand(picture), 0) * 10 ** (0.1 * _gain_db(mels, rng))[:, np.newaxis]
    noise = 10 ** rng.uniform(*NOISE) * rng.random(power.shape)
    power = power + power.mean() * noise
    power *= USUAL_POWER * 10 ** rng.uniform(-0.15, 0.15) / max(float(power.mean()), 1e-12)
    changed = compress(power.astype(np.float32))
    count = changed.shape[1] // frames
    cut: FloatArray = np.stack(np.split(changed[:, : count * frames], count, axis=1))
    return cut


def _resampled(picture: FloatArray, speed: float, shift: float, least: int) -> FloatArray:
    """Read a picture (n_mels, frames) at another speed and some bands higher or lower."""
    mels, frames = picture.shape
    length = max(least, round(frames / speed))
    theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 2.0 * shift / mels]]])
    grid = functional.affine_grid(theta, [1, 1, mels, length], align_corners=False)
    read = functional.grid_sample(
        torch.from_numpy(picture)[None, None], grid, padding_mode="border", align_corners=False
    )
    resampled: FloatArray = read[0, 0].numpy()
    return resampled


def _gain_db(mels: int, rng: np.random.Generator) -> FloatArray:
    """Draw a tilt, a smooth curve and sometimes an end of the treble, decibels per band."""
    axis = np.linspace(-1.0, 1.0, mels)
    curve = np.interp(axis, np.linspace(-1, 1, 8), EQUALISER_DB * rng.standard_normal(8))
    gain = rng.uniform(-TILT_DB, TILT_DB) * axis + curve
    if rng.random() < LOW_PASS_SHARE:
        gain = np.where(axis > rng.uniform(0.35, 1.0), gain - 40.0, gain)
    decibels: FloatArray = gain.astype(np.float32)
    return decibels
