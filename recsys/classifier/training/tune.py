"""Tuning MusiCNN to genres: augmentation, the layers above the front end, closed-form heads.

The front end stays as it is, so its responses are computed once per track. The layers above it are
tuned with the one training loop, and then each head is the best linear one in closed form: of few
tracks, 440 of GTZAN for 200 units, the covariance of the units matters, and discriminant analysis
with a shrunk covariance was more accurate than the output layer that the network was tuned with
(0.851 of the clips instead of 0.837, by artist).
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.classifier.inference import Pooled
from recsys.classifier.training.loop import Schedule, Training, TrainingSettings
from recsys.classifier.training.outliers import synthesise
from recsys.errors import ModelError
from recsys.mel import USUAL_POWER, compress, expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recsys.classifier.calibrate import Float64Array
    from recsys.classifier.training.datasets import HalfArray, TrackWindows
    from recsys.classifier.training.loop import EpochResult, PartialRun
    from recsys.classifier.training.musicnn_torch import MusiCNN
    from recsys.mel import CompressedMel
    from recsys.types import FloatArray, IdArray

# Augmentation.

SPEED = (0.87, 1.15)
"""Of an augmented copy, times the original's."""

MEL_SHIFT = 2.0
"""Greatest transposition, bands."""

TILT_DB = 3.0
"""Greatest gain at either end of the spectrum."""

EQUALISER_DB = 1.2
"""Standard deviation of a smooth random gain curve."""

LOW_PASS_SHARE = 0.25
"""Share of the copies that lose their treble, as in a poor encoding."""

NOISE = (-6.0, -2.5)
"""Power of added noise, powers of ten of the mean power."""

# Heads.

WHITENING_EXPONENT = 0.4
"""Directions of the embedding are divided by this power of their variance: at 0.5 all would count
the same, at 0 the few strongest would decide."""

JOINT_EXPONENT = 0.15
"""The same, where the axes are those of two groups of units that were evened already."""

TAG_PENALTY = 300.0
"""Of the ridge regression, per standardised unit and window."""

_SURELY_MUSIC = -20.0  # Logit of being out of distribution where there are no examples.
_ABSENT_MARGIN = 100.0  # Below the mean score, of a genre without tracks.
_ROUNDING = 1e-5  # Units that vary less are dead; the discriminant would amplify their rounding.
_WINDOWS_TOGETHER = 256


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How MusiCNN is tuned to genres."""

    # Of the layers above the front end, on batches of windows, genres in equal shares. Their inputs
    # are mixed: Verma et al., "Manifold Mixup", arXiv:1806.05236.
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            epochs=5,
            steps_per_epoch=60,
            batch=64,
            learning_rate=1e-3,
            weight_decay=0.01,
            schedule=Schedule.CYCLE,
            label_smoothing=0.1,
            mixup=0.3,
            average_decay=0.98,
        )
    )
    tuned_rate: float = 0.15  # learning rate of the tuned layers, times that of the output layer
    pool_dropout: float = 0.2  # after the pooling
    dropout: float = 0.5  # before the output layer
    variations: int = 4  # augmented copies of each track
    spectrogram_share: float = 0.2  # chance of a track's spectrogram where it has audio as well
    folds: int = 5  # of the cross-validation by artist that calibrates the model
    # Cross-validations, each with folds of its own seed: the first calibrates, all show the spread.
    divisions: int = 3
    outliers: int = 150  # synthesised sounds that are out of distribution
    seed: int = 0  # of everything random


def settings_for(epochs: int, seed: int) -> TuneSettings:
    """Return the settings for some epochs and a seed."""
    usual = TuneSettings(seed=seed)
    return replace(usual, training=replace(usual.training, epochs=epochs))


# Responses of the front end.


@dataclass(frozen=True, slots=True, eq=False)
class TrackResponses:
    """Responses of the front end to one track, each float16 (n_windows, n_filters, frames).

    The track itself comes first, then its augmented copies; empty where there is no such input.
    """

    audio: tuple[HalfArray, ...]
    spectrogram: tuple[HalfArray, ...]

    @property
    def plain(self) -> HalfArray:
        """Responses to the track itself: its audio, or else its spectrogram."""
        return (self.audio or self.spectrogram)[0]

    def draw(self, rng: np.random.Generator, spectrogram_share: float) -> HalfArray:
        """Choose one window at random, shape (n_filters, frames)."""
        from_audio = bool(self.audio) and (
            not self.spectrogram or rng.random() >= spectrogram_share
        )
        copies = self.audio if from_audio else self.spectrogram
        windows = copies[rng.integers(len(copies))]
        window: HalfArray = windows[rng.integers(len(windows))]
        return window


def front_end_responses(
    model: MusiCNN,
    tracks: Sequence[TrackWindows],
    variations: int,
    seed: int,
    on_track: Callable[[int], None] | None = None,
) -> list[TrackResponses]:
    """Run the front end on all tracks and on augmented copies of them.

    The random numbers of a track depend on its position, not on the other tracks. `on_track` gets
    the number of tracks after each of them.
    """
    found: list[TrackResponses] = []
    for position, track in enumerate(tracks):
        rng = np.random.default_rng((seed, position))
        audio = _copies(model, track.audio, variations, rng)
        found.append(TrackResponses(audio, _copies(model, track.spectrogram, variations, rng)))
        if on_track is not None:
            on_track(len(tracks))
    return found


def _copies(
    model: MusiCNN, windows: HalfArray | None, variations: int, rng: np.random.Generator
) -> tuple[HalfArray, ...]:
    """Run the front end on a track and on augmented copies of it."""
    if windows is None:
        return ()
    plain = windows.astype(np.float32)
    varied = [plain, *(vary(plain, rng) for _ in range(variations))]
    return tuple(responses_to(model, copied) for copied in varied)


def responses_to(model: MusiCNN, windows: FloatArray) -> HalfArray:
    """Map windows (n, n_mels, frames) to responses of the front end (n, n_filters, frames)."""
    with torch.inference_mode():
        responses: HalfArray = model.front_end(torch.from_numpy(windows)).numpy().astype(np.float16)
    return responses


def vary(windows: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Augment a track (n, n_mels, frames): speed, pitch, spectrum, noise, level.

    Takes consecutive windows of compressed mel. Returns at least one window: more where the copy
    is slower, fewer where it is faster.
    """
    _, mels, frames = windows.shape
    joined = np.concatenate(list(windows), axis=1)
    speed, shift = rng.uniform(*SPEED), rng.uniform(-MEL_SHIFT, MEL_SHIFT)
    spectrogram = _resampled(joined, speed, shift, frames)
    # Filters and noise act on power, not on its compressed form.
    power = np.maximum(expand(spectrogram), 0) * 10 ** (0.1 * _gain_db(mels, rng))[:, np.newaxis]
    noise = 10 ** rng.uniform(*NOISE) * rng.random(power.shape)
    power = power + power.mean() * noise
    power *= USUAL_POWER * 10 ** rng.uniform(-0.15, 0.15) / max(float(power.mean()), 1e-12)
    changed = compress(power.astype(np.float32))
    count = changed.shape[1] // frames
    cut: FloatArray = np.stack(np.split(changed[:, : count * frames], count, axis=1))
    return cut


def _resampled(spectrogram: FloatArray, speed: float, shift: float, least: int) -> FloatArray:
    """Resample a spectrogram (n_mels, frames) in time and shift it along the bands."""
    mels, frames = spectrogram.shape
    length = max(least, round(frames / speed))
    # The grid runs from -1 to 1 over all bands, so a shift by one band is 2 / mels.
    theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 2.0 * shift / mels]]])
    grid = functional.affine_grid(theta, [1, 1, mels, length], align_corners=False)
    read = functional.grid_sample(
        torch.from_numpy(spectrogram)[None, None], grid, padding_mode="border", align_corners=False
    )
    resampled: FloatArray = read[0, 0].numpy()
    return resampled


def _gain_db(mels: int, rng: np.random.Generator) -> FloatArray:
    """Draw a tilt, a smooth curve and sometimes a low-pass, decibels per band."""
    axis = np.linspace(-1.0, 1.0, mels)
    curve = np.interp(axis, np.linspace(-1, 1, 8), EQUALISER_DB * rng.standard_normal(8))
    gain = rng.uniform(-TILT_DB, TILT_DB) * axis + curve
    if rng.random() < LOW_PASS_SHARE:
        gain = np.where(axis > rng.uniform(0.35, 1.0), gain - 40.0, gain)
    decibels: FloatArray = gain.astype(np.float32)
    return decibels


def outlier_responses(
    model: MusiCNN, count: int, seed: int, features: CompressedMel
) -> tuple[HalfArray, ...]:
    """Synthesise sounds that are out of distribution and run the front end on them."""
    length = features.window_length
    found = []
    for sound in synthesise(count, seed, features.sample_rate):
        windows = sound[: len(sound) // length * length].reshape(-1, length)
        found.append(responses_to(model, features.compute(np.ascontiguousarray(windows))))
    return tuple(found)


# Tuning.


@dataclass(frozen=True, slots=True, eq=False)
class Unlabelled:
    """Music without genres, which embedding and tags are fitted to as well."""

    tracks: Sequence[HalfArray]  # responses, each (n_windows, n_filters, frames)
    tag_logits: Sequence[FloatArray]  # of the teachers, each (n_windows, n_tags)
    added_units: int  # of the penultimate layer, the last: those that were learned from it


@dataclass(frozen=True, slots=True, eq=False)
class TuningData:
    """Responses and targets that layers and heads are fitted to."""

    tracks: Sequence[TrackResponses]
    targets: IdArray  # (n_tracks,): genre ids
    # Of the teachers, each (n_windows, n_tags); NaN where a teacher had nothing to go by.
    tag_logits: Sequence[FloatArray]
    outliers: Sequence[HalfArray]  # out of distribution, each (n_windows, n_filters, frames)
    unlabelled: Unlabelled = field(default_factory=lambda: Unlabelled([], [], 0))

    def of(self, rows: IdArray) -> TuningData:
        """Return the data of some tracks."""
        return TuningData(
            [self.tracks[row] for row in rows],
            self.targets[rows],
            [self.tag_logits[row] for row in rows],
            self.outliers,
            self.unlabelled,
        )


class _TunedLayers(nn.Module):
    """The layers above the front end, and an output layer that is dropped afterwards."""

    def __init__(self, model: MusiCNN, settings: TuneSettings) -> None:
        super().__init__()
        self.model = model
        self.pool_dropout = nn.Dropout(settings.pool_dropout)
        hidden = model.dense.out_features
        last = nn.Linear(hidden, model.genres.out_features)
        # From zero: the first gradients reach the output layer alone, not the tuned ones.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.output = nn.Sequential(nn.BatchNorm1d(hidden), nn.Dropout(settings.dropout), last)

    def forward(self, responses: Tensor) -> Tensor:
        pooled = self.pool_dropout(self.model.pooled(responses))
        return self.output(self.model.penultimate(pooled))  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> _TunedLayers:
        super().train(mode)
        self.model.eval()  # keep the batch statistics, which are of a million songs
        return self

    def groups(self, rate: float, tuned_rate: float) -> list[dict[str, Any]]:
        """Return the parameter groups of the optimiser."""
        model = self.model
        tuned = (model.layers, model.norms, model.dense, model.dense_norm)
        return [
            {"params": list(self.output.parameters()), "lr": rate},
            {"params": [p for part in tuned for p in part.parameters()], "lr": rate * tuned_rate},
        ]


class _BalancedWindows:
    """Batches of windows drawn from the genres in equal shares."""

    def __init__(self, data: TuningData, settings: TuneSettings) -> None:
        self._tracks = data.tracks
        self._settings = settings
        self._present = np.unique(data.targets)
        self._of_genre = {genre: np.flatnonzero(data.targets == genre) for genre in self._present}

    def epoch(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield responses (b, n_filters, frames) and genres (b,)."""
        training, share = self._settings.training, self._settings.spectrogram_share
        for _ in range(training.steps_per_epoch or 1):
            genres = self._present[rng.permutation(training.batch) % len(self._present)]
            chosen = [int(rng.choice(self._of_genre[genre])) for genre in genres]
            windows = np.stack([self._tracks[row].draw(rng, share) for row in chosen])
            yield torch.from_numpy(windows).float(), torch.from_numpy(genres)


def tune(
    model: MusiCNN,
    data: TuningData,
    settings: TuneSettings,
    *,
    partial: PartialRun | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
) -> MusiCNN:
    """Tune a copy of a network; its heads stay those of `model`.

    Returns the running average over the steps, in evaluation mode. Raises ModelError if the loss is
    not finite, or the saved state belongs to another run.
    """
    # Fresh weights come from the seed; the caller's random state stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        learner = _TunedLayers(copy.deepcopy(model), settings)
    rate = settings.training.learning_rate
    training = Training(
        learner,
        _BalancedWindows(data, settings),
        settings.training,
        seed=settings.seed,
        n_genres=model.genres.out_features,
        partial=partial,
        forward=lambda network, responses: network(responses),
        groups=learner.groups(rate, settings.tuned_rate),
        save_finished=True,
    )
    for result in training.epochs():
        if on_epoch is not None:
            on_epoch(result)
    trained = training.trained()
    assert isinstance(trained, _TunedLayers)
    return trained.model.eval()


def tune_and_fit(
    model: MusiCNN,
    data: TuningData,
    settings: TuneSettings,
    *,
    partial: PartialRun | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
) -> MusiCNN:
    """Tune a copy of a network and fit its heads; see :func:`tune`."""
    return fit_heads(tune(model, data, settings, partial=partial, on_epoch=on_epoch), data)


def outputs_of(model: MusiCNN, responses: Sequence[HalfArray]) -> Pooled:
    """Run everything above the front end on responses, each (n_windows, n_filters, frames).

    Returns what :func:`recsys.classifier.inference.pooled_outputs` would for the windows.
    """
    rows = []
    with torch.inference_mode():
        for units in penultimate(model, responses):
            outputs = model.heads(torch.from_numpy(units))
            rows.append([output.numpy().mean(axis=0) for output in outputs])
    logits, embeddings, tags = (np.stack(part) for part in zip(*rows, strict=True))
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Pooled(logits, embeddings / np.maximum(lengths, 1e-12), tags)


# Heads.


def penultimate(model: MusiCNN, responses: Sequence[HalfArray]) -> list[FloatArray]:
    """Return the penultimate layer of every window of every track, each (n_windows, hidden)."""
    with torch.inference_mode():
        rows = model.penultimate(pooled_over_time(model, responses)).numpy()
    bounds = np.cumsum([len(windows) for windows in responses])[:-1]
    return list(np.split(rows, bounds))


def pooled_over_time(model: MusiCNN, responses: Sequence[HalfArray]) -> Tensor:
    """Return the maxima and means over time of every window of all tracks, (n, n_pooled)."""
    joined = np.concatenate(responses)
    with torch.inference_mode():
        return torch.cat(
            [
                model.pooled(torch.from_numpy(joined[start : start + _WINDOWS_TOGETHER]).float())
                for start in range(0, len(joined), _WINDOWS_TOGETHER)
            ]
        )


def teacher_tags(teacher: MusiCNN, tracks: Sequence[TrackResponses]) -> list[FloatArray]:
    """Return the tag logits of the published network for the plain windows of every track."""
    units = penultimate(teacher, [track.plain for track in tracks])
    with torch.inference_mode():
        return [teacher.tags(torch.from_numpy(rows)).numpy() for rows in units]


def fit_heads(model: MusiCNN, data: TuningData) -> MusiCNN:
    """Return a copy of a tuned network with its heads fitted.

    Raises ModelError if there are no more tracks than genres.
    """
    fitted = copy.deepcopy(model)
    units = penultimate(model, [track.plain for track in data.tracks])
    means = np.stack([rows.mean(axis=0) for rows in units])
    added = data.unlabelled.added_units
    # Not by the added units: of clips by artists that no unit was taught with, 0.793 got their
    # genre with them and 0.809 without.
    own = means[:, : means.shape[1] - added]
    weight, bias = _discriminant(own, data.targets, model.genres.out_features)
    _set(fitted.genres, np.pad(weight, ((0, 0), (0, added))), bias)
    more = penultimate(model, data.unlabelled.tracks) if data.unlabelled.tracks else []
    music = np.stack([rows.mean(axis=0) for rows in [*units, *more]])
    _set(fitted.embed, *_joint_axes(music, added, model.embed.out_features))
    windows = np.concatenate([*units, *more])
    taught = np.concatenate([*data.tag_logits, *data.unlabelled.tag_logits])
    _set(fitted.tags, *ridge(windows, taught))
    others = np.concatenate(penultimate(model, data.outliers)) if data.outliers else None
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

    A genre without tracks gets a score far below the mean of the others, and so never wins.
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
    """Return weights and shifts of the discriminant function of each genre with tracks."""
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
        # A genre of one track has no covariance of its own, and the shared one needs none.
        warnings.filterwarnings("ignore", message="Only one sample available")
        analysis.fit(np.ascontiguousarray(means[:, varying], dtype=np.float64), targets)
    found, shifts = analysis.coef_, analysis.intercept_
    if len(present) == 2:  # scikit-learn gives one row for two classes
        found, shifts = np.concatenate([-found, found]) / 2, np.concatenate([-shifts, shifts]) / 2
    rows = np.zeros((len(present), means.shape[1]))
    rows[:, varying] = found
    return rows, shifts


def evened_axes(
    means: FloatArray, dimension: int, exponent: float = WHITENING_EXPONENT
) -> tuple[Float64Array, Float64Array]:
    """Return the principal axes of the tracks, their variances partly evened out."""
    centre = means.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.cov((means - centre).T))
    strongest = np.argsort(-variances)[:dimension]
    # A floor: directions of next to no variance are noise, and would be blown up.
    least = 0.02 * max(float(variances.mean()), 1e-12)
    kept = np.maximum(variances[strongest], least)
    weight = np.zeros((dimension, means.shape[1]))
    weight[: len(strongest)] = (axes[:, strongest] * kept**-exponent).T
    return weight, -weight @ centre


def _joint_axes(means: FloatArray, added: int, dimension: int) -> tuple[Float64Array, Float64Array]:
    """Return evened axes of two groups of units, the `added` ones last, that count alike.

    Each group has evened axes of its own, scaled to a mean square of 1; the axes of both together
    are evened a little. Without added units: :func:`evened_axes`.
    """
    if not added:
        return evened_axes(means, dimension)
    split = means.shape[1] - added
    weight = np.zeros((2 * dimension, means.shape[1]))
    shift = np.zeros(2 * dimension)
    groups = (slice(0, split), slice(split, None))
    for rows, columns in zip((slice(0, dimension), slice(dimension, None)), groups, strict=True):
        own, own_shift = evened_axes(means[:, columns], dimension)
        length = np.sqrt(np.square(means[:, columns] @ own.T + own_shift).sum(axis=1).mean())
        weight[rows, columns], shift[rows] = own / length, own_shift / length
    both = (means @ weight.T + shift).astype(np.float32)
    joint, joint_shift = evened_axes(both, dimension, JOINT_EXPONENT)
    return joint @ weight, joint @ shift + joint_shift


def ridge(windows: FloatArray, tag_logits: FloatArray) -> tuple[Float64Array, Float64Array]:
    """Regress the teachers' tags on the penultimate layer, each on the rows where it is known."""
    known = np.isfinite(tag_logits)
    n_tags = tag_logits.shape[1]
    weight, bias = np.zeros((n_tags, windows.shape[1])), np.zeros(n_tags)
    # Tags of one teacher are known of the same windows.
    patterns, of_tag = np.unique(known, axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):
        tags = np.flatnonzero(of_tag.ravel() == number)
        weight[tags], bias[tags] = _ridge_of(windows[rows], tag_logits[rows][:, tags])
    return weight, bias


def _ridge_of(windows: FloatArray, tag_logits: FloatArray) -> tuple[Float64Array, Float64Array]:
    from sklearn.linear_model import Ridge

    centre = windows.mean(axis=0, dtype=np.float64)
    scale = np.maximum(windows.std(axis=0, dtype=np.float64), 1e-6)
    ridge = Ridge(alpha=TAG_PENALTY).fit((windows - centre) / scale, tag_logits)
    weight = ridge.coef_ / scale
    return weight, ridge.intercept_ - weight @ centre


def _boundary(music: FloatArray, others: FloatArray | None) -> tuple[Float64Array, Float64Array]:
    """Fit the logit that a window is out of distribution; without examples nothing is."""
    from sklearn.linear_model import LogisticRegression

    if others is None:
        return np.zeros((1, music.shape[1])), np.full(1, _SURELY_MUSIC)
    windows = np.concatenate([music, others]).astype(np.float64)
    is_other = np.repeat([0, 1], [len(music), len(others)])
    centre, scale = windows.mean(axis=0), np.maximum(windows.std(axis=0), 1e-6)
    fit = LogisticRegression(C=0.01, max_iter=1000).fit((windows - centre) / scale, is_other)
    weight = fit.coef_ / scale
    return weight, fit.intercept_ - weight @ centre
