"""The heads of the tuned network, each the best linear one in closed form.

Few tracks teach them, 440 of GTZAN for 200 units, so that what is known of the spread of the units
counts: discriminant analysis with a shrunk covariance told genres better than the output layer
that the network was tuned with (0.851 of the clips instead of 0.837, by artist).
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from recsys.errors import ModelError
from recsys.mel import USUAL_POWER, compress, expand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from recsys.classifier.training.examples import HalfArray, PicturedTrack
    from recsys.classifier.training.musicnn_torch import MusiCNN
    from recsys.types import FloatArray, IdArray

# What the front end of the network hears of every track, once and for all.


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


# ----------------------------------------------------------------------


Float64Array = npt.NDArray[np.float64]

WHITENING_EXPONENT = 0.4
"""Directions of the embedding are divided by this power of their variance: at 0.5 all would count
the same, at 0 the few strongest would decide."""

TAG_PENALTY = 300.0
"""Of the ridge regression, per standardised unit and window."""

_SURELY_MUSIC = -20.0
_ABSENT_MARGIN = 100.0
_ROUNDING = 1e-5  # Units that vary less are dead; the discriminant would blow their rounding up.
_PIECE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What the heads learn from.

    Attributes
    ----------
    tracks : sequence of HeardTrack
        Music.
    targets : ndarray of int64, shape (n_tracks,)
        Its genres.
    tag_logits : sequence of ndarray of float32, each (n_windows, n_tags)
        What the teacher says of the plain windows of each track.
    outliers : sequence of ndarray of float16, each (n_windows, n_filters, frames)
        What the front end heard of sounds that are no music.
    """

    tracks: Sequence[HeardTrack]
    targets: IdArray
    tag_logits: Sequence[FloatArray]
    outliers: Sequence[HalfArray]

    def of(self, places: IdArray) -> Lessons:
        """Return the lessons of some tracks."""
        return Lessons(
            [self.tracks[place] for place in places],
            self.targets[places],
            [self.tag_logits[place] for place in places],
            self.outliers,
        )


def penultimate(model: MusiCNN, heard: Sequence[HalfArray]) -> list[FloatArray]:
    """Return the penultimate layer of every window.

    Parameters
    ----------
    model : MusiCNN
        Layers above the front end are used.
    heard : sequence of ndarray of float16, each (n_windows, n_filters, frames)

    Returns
    -------
    list of ndarray of float32, each (n_windows, hidden)
    """
    joined = np.concatenate(heard)
    rows = []
    with torch.inference_mode():
        for start in range(0, len(joined), _PIECE):
            piece = torch.from_numpy(joined[start : start + _PIECE]).float()
            rows.append(model.penultimate(model.pooled(piece)).numpy())
    bounds = np.cumsum([len(windows) for windows in heard])[:-1]
    return list(np.split(np.concatenate(rows), bounds))


def teacher_tags(teacher: MusiCNN, tracks: Sequence[HeardTrack]) -> list[FloatArray]:
    """Return the tag logits of the published network for every plain window of every track."""
    units = penultimate(teacher, [track.plain for track in tracks])
    with torch.inference_mode():
        return [teacher.tags(torch.from_numpy(rows)).numpy() for rows in units]


def fit_heads(model: MusiCNN, lessons: Lessons) -> MusiCNN:
    """Give a tuned network its heads.

    Parameters
    ----------
    model : MusiCNN
        Tuned; stays as it is.
    lessons : Lessons

    Returns
    -------
    MusiCNN
        A copy with heads.

    Raises
    ------
    ModelError
        If there are no more tracks than genres.
    """
    fitted = copy.deepcopy(model)
    units = penultimate(model, [track.plain for track in lessons.tracks])
    means = np.stack([rows.mean(axis=0) for rows in units])
    windows = np.concatenate(units)
    _set(fitted.genres, *_discriminant(means, lessons.targets, model.genres.out_features))
    _set(fitted.embed, *_evened_axes(means, model.embed.out_features))
    _set(fitted.tags, *_ridge(windows, np.concatenate(lessons.tag_logits)))
    others = np.concatenate(penultimate(model, lessons.outliers)) if lessons.outliers else None
    _set(fitted.nothing, *_boundary(windows, others))
    return fitted


def _set(layer: nn.Linear, weight: Float64Array, bias: Float64Array) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.asarray(weight, dtype=np.float32)))
        layer.bias.copy_(torch.from_numpy(np.asarray(bias, dtype=np.float32)))


def _discriminant(
    means: FloatArray, targets: IdArray, n_genres: int
) -> tuple[Float64Array, Float64Array]:
    """Fit linear discriminant analysis, genres equally likely, covariance shrunk (Ledoit-Wolf).

    A genre without a track always stands far below the mean score of the others, and so never
    wins.
    """
    present = np.unique(targets)
    rows, shifts = _linear_scores(means, targets, present)
    weight = np.tile(rows.mean(axis=0), (n_genres, 1))
    bias = np.full(n_genres, shifts.mean() - _ABSENT_MARGIN)
    weight[present], bias[present] = rows, shifts
    return weight, bias


def _linear_scores(
    means: FloatArray, targets: IdArray, present: IdArray
) -> tuple[Float64Array, Float64Array]:
    """Return the discriminant function of each genre that is there: weights and shifts."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    varying = means.std(axis=0, dtype=np.float64) > _ROUNDING
    if len(present) == 1 or not varying.any():
        return np.zeros((len(present), means.shape[1])), np.zeros(len(present))
    if len(targets) <= len(present):
        raise ModelError(
            f"{len(targets)} tracks are too few to tell {len(present)} genres apart",
            "Add tracks to the genres that have fewest.",
        )
    priors = np.full(len(present), 1 / len(present))
    analysis = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=priors)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Only one sample available")
        analysis.fit(np.ascontiguousarray(means[:, varying], dtype=np.float64), targets)
    found, shifts = analysis.coef_, analysis.intercept_
    if len(present) == 2:
        found, shifts = np.concatenate([-found, found]) / 2, np.concatenate([-shifts, shifts]) / 2
    rows = np.zeros((len(present), means.shape[1]))
    rows[:, varying] = found
    return rows, shifts


def _evened_axes(means: FloatArray, dimension: int) -> tuple[Float64Array, Float64Array]:
    """Return the principal axes of the tracks, their variances evened out in part."""
    centre = means.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.cov((means - centre).T))
    strongest = np.argsort(-variances)[:dimension]
    least = 0.02 * max(float(variances.mean()), 1e-12)
    kept = np.maximum(variances[strongest], least)
    weight = np.zeros((dimension, means.shape[1]))
    weight[: len(strongest)] = (axes[:, strongest] * kept**-WHITENING_EXPONENT).T
    return weight, -weight @ centre


def _ridge(windows: FloatArray, tag_logits: FloatArray) -> tuple[Float64Array, Float64Array]:
    """Regress the teacher's tags on the penultimate layer."""
    from sklearn.linear_model import Ridge

    centre = windows.mean(axis=0, dtype=np.float64)
    scale = np.maximum(windows.std(axis=0, dtype=np.float64), 1e-6)
    ridge = Ridge(alpha=TAG_PENALTY).fit((windows - centre) / scale, tag_logits)
    weight = ridge.coef_ / scale
    return weight, ridge.intercept_ - weight @ centre


def _boundary(music: FloatArray, others: FloatArray | None) -> tuple[Float64Array, Float64Array]:
    """Fit the logarithmic odds that a window is no music; without examples everything is music."""
    from sklearn.linear_model import LogisticRegression

    if others is None:
        return np.zeros((1, music.shape[1])), np.full(1, _SURELY_MUSIC)
    windows = np.concatenate([music, others]).astype(np.float64)
    is_other = np.repeat([0, 1], [len(music), len(others)])
    centre, scale = windows.mean(axis=0), np.maximum(windows.std(axis=0), 1e-6)
    fit = LogisticRegression(C=0.01, max_iter=1000).fit((windows - centre) / scale, is_other)
    weight = fit.coef_ / scale
    return weight, fit.intercept_ - weight @ centre
