"""Figures of a generator: whether its music is of the genre, near real music, and no copy.

Everything is measured on windows of 3 s that were turned into sound, analysed by the shipped model
as any file is. Its embedding is what distances are taken in. The same spectrograms of real music,
turned into sound in the same way, show what the way itself costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.calibrate import wilson_interval
from recsys.errors import ModelError
from recsys.papers.generation.music import analysed
from recsys.papers.generation.sound import Vocoder, to_sound

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from recsys.classifier.inference import Classifier
    from recsys.classifier.training.datasets import SegmentSet
    from recsys.papers.generation.music import MusicGenerator
    from recsys.types import FloatArray, IdArray

    Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """How much is generated."""

    per_genre: int = 30  # windows of each genre, generated, and at most so many real ones
    seed: int = 0
    vocoder: Vocoder = Vocoder.GRIFFIN_LIM


@dataclass(frozen=True, slots=True)
class Recognition:
    """How often the shipped model gives windows the genre that they are meant to have."""

    n: int
    right: float
    interval: tuple[float, float]  # 95% (Wilson)
    per_genre: dict[str, float]


@dataclass(frozen=True, slots=True)
class Distances:
    """Fréchet distances of one genre, in the embedding of the shipped model."""

    n: int  # windows on each side
    same: float  # generated to real, of this genre
    others: float  # generated to real, median over all other genres
    nearest: str  # the genre whose real music is nearest to the generated
    real: float  # real music that was trained on to real music that was not, of this genre


@dataclass(frozen=True, slots=True)
class Copies:
    """Similarity to the nearest window that was trained on: medians and 95th percentiles."""

    generated_embedding: tuple[float, float]  # cosine
    real_embedding: tuple[float, float]  # of real windows by artists that were not trained on
    generated_image: tuple[float, float]  # correlation of the spectrograms
    real_image: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Variety:
    """Median correlation of two spectrograms of one genre; 1 if a genre is always the same."""

    generated: float
    real: float


@dataclass(frozen=True, slots=True, eq=False)
class GeneratorFigures:
    """All figures of a generator."""

    generated: Recognition
    resynthesised: Recognition  # real windows, as spectrograms turned into sound
    distances: dict[
        str, Distances
    ]  # of the genres with two real windows on either side, if there are two
    copies: Copies
    variety: Variety
    held_out_tracks: int  # the real music is theirs


def judge(
    generator: MusicGenerator,
    segments: SegmentSet,
    classifier: Classifier,
    options: JudgeOptions = JudgeOptions(),
    on_window: Callable[[int], None] | None = None,
) -> GeneratorFigures:
    """Measure a generator.

    Parameters
    ----------
    generator : MusicGenerator
    segments : SegmentSet
        Images of real music: the tracks that it was trained on, and others by other artists.
    classifier : Classifier
        The shipped model.
    options : JudgeOptions
    on_window : callable, optional
        Called after each window of sound with the number of all windows.

    Returns
    -------
    GeneratorFigures

    Raises
    ------
    ModelError
        If there are no tracks that were trained on, or no others by other artists.
    """
    learned, held_out = _sides(generator, segments)
    rng = np.random.default_rng(options.seed)
    genres = [genre for genre in generator.labels if genre in segments.labels]
    targets = segments.targets
    chosen = {
        side: {
            genre: _some(rows[targets[rows] == segments.labels.index(genre)], options, rng)
            for genre in genres
        }
        for side, rows in (("learned", learned), ("held_out", held_out))
    }
    drawn = {
        genre: generator.windows(
            rng.standard_normal((options.per_genre, generator.network.latent)).astype(np.float32),
            [generator.genre_row(genre)] * options.per_genre,
        )
        for genre in genres
    }
    real = {
        side: {genre: segments.inputs[rows].astype(np.float32) for genre, rows in each.items()}
        for side, each in chosen.items()
    }
    work = _Work(generator, classifier, options, on_window)
    work.total = sum(len(images) for each in (drawn, *real.values()) for images in each.values())
    of_drawn = {genre: work.analysed(images) for genre, images in drawn.items()}
    of_real = {
        side: {genre: work.analysed(images) for genre, images in each.items()}
        for side, each in real.items()
    }
    held = of_real["held_out"]
    comparable: list[str] = [
        genre for genre in genres if min(len(each[genre].genres) for each in of_real.values()) > 1
    ]
    return GeneratorFigures(
        generated=_recognition(of_drawn, classifier),
        resynthesised=_recognition(held, classifier),
        distances={
            genre: _distances(
                genre,
                of_drawn[genre].embeddings,
                {name: held[name].embeddings for name in comparable},
                of_real["learned"][genre].embeddings,
            )
            for genre in comparable
            if len(comparable) > 1
        },
        copies=_copies(drawn, of_drawn, real, of_real, segments.inputs[learned]),
        variety=Variety(_alike(drawn), _alike(real["held_out"])),
        held_out_tracks=len(np.unique(segments.track_of[held_out])),
    )


def frechet_distance(one: FloatArray, other: FloatArray) -> float:
    """Return the Fréchet distance of the Gaussians fitted to two sets of embeddings (n, d).

    It is a squared distance, as usual: of the means, and of the covariances. Few vectors make it
    too large, so only distances between sets of the same size are comparable.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> round(frechet_distance(points, points + 3.0), 6)
    18.0
    """
    a, b = one.astype(np.float64), other.astype(np.float64)
    of_a, of_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # By eigenvalues: the covariances of few vectors have a low rank.
    values, vectors = np.linalg.eigh(of_a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ of_b @ root)
    between = 2.0 * np.sqrt(np.maximum(cross, 0.0)).sum()
    means = float(np.square(a.mean(axis=0) - b.mean(axis=0)).sum())
    return max(0.0, means + float(np.trace(of_a) + np.trace(of_b) - between))


@dataclass(frozen=True, slots=True, eq=False)
class _Analysed:
    embeddings: FloatArray  # (n, d)
    genres: tuple[str, ...]  # the most probable ones


@dataclass(slots=True)
class _Work:
    """Turns images into sound and analyses it."""

    generator: MusicGenerator
    classifier: Classifier
    options: JudgeOptions
    on_window: Callable[[int], None] | None
    total: int = 0

    def analysed(self, images: FloatArray) -> _Analysed:
        features, info = self.generator.features, self.classifier.info
        embeddings, genres = [], []
        for number, image in enumerate(images):
            samples = to_sound(image, features, self.options.vocoder, number)
            analysis = analysed(samples, features.sample_rate, self.classifier)
            embeddings.append(analysis.embedding)
            genres.append(info.labels[int(np.argmax(analysis.probabilities))])
            if self.on_window is not None:
                self.on_window(self.total)
        return _Analysed(np.array(embeddings), tuple(genres))


def _sides(generator: MusicGenerator, segments: SegmentSet) -> tuple[IdArray, IdArray]:
    """Return the rows of segments that were trained on, and of those by other artists."""
    known = set(generator.training["tracks"])
    learned = np.array([track.key in known for track in segments.tracks])
    groups = segments.track_groups
    foreign = ~np.isin(groups, groups[learned])
    if not learned.any() or not foreign.any():
        missing = "tracks that it was trained on" if not learned.any() else "tracks by others"
        raise ModelError(
            f"among {len(learned)} tracks there are no {missing}",
            "Give the folders of the training, and music by other artists: train with"
            " --train-split to hold tracks out.",
        )
    rows = np.arange(len(segments.track_of))
    return rows[learned[segments.track_of]], rows[foreign[segments.track_of]]


def _some(rows: IdArray, options: JudgeOptions, rng: np.random.Generator) -> IdArray:
    return np.sort(rng.permutation(rows)[: options.per_genre])


def _recognition(found: dict[str, _Analysed], classifier: Classifier) -> Recognition:
    known = {g: a for g, a in found.items() if g in classifier.info.labels and a.genres}
    right = {genre: sum(g == genre for g in a.genres) for genre, a in known.items()}
    n = sum(len(a.genres) for a in known.values())
    total = sum(right.values())
    per_genre = {genre: right[genre] / len(a.genres) for genre, a in known.items()}
    return Recognition(n, total / max(1, n), wilson_interval(total, n), per_genre)


def _distances(
    genre: str, own: FloatArray, held: dict[str, FloatArray], learned: FloatArray
) -> Distances:
    # One number of windows for all: smaller sets seem further away.
    n = min(len(own), len(learned), *map(len, held.values()))
    found = {name: frechet_distance(own[:n], rows[:n]) for name, rows in held.items()}
    return Distances(
        n=n,
        same=found[genre],
        others=float(np.median([d for name, d in found.items() if name != genre])),
        nearest=min(found, key=lambda name: found[name]),
        real=frechet_distance(learned[:n], held[genre][:n]),
    )


def _copies(
    drawn: dict[str, FloatArray],
    of_drawn: dict[str, _Analysed],
    real: dict[str, dict[str, FloatArray]],
    of_real: dict[str, dict[str, _Analysed]],
    learned_images: npt.NDArray[np.floating],
) -> Copies:
    def joined(each: dict[str, _Analysed]) -> FloatArray:
        return np.concatenate([a.embeddings for a in each.values() if len(a.genres)])

    known = joined(of_real["learned"])
    images = _unit(learned_images)
    made = _unit(np.concatenate(list(drawn.values())))
    foreign = _unit(np.concatenate([each for each in real["held_out"].values() if len(each)]))
    return Copies(
        generated_embedding=_spread((joined(of_drawn) @ known.T).max(axis=1)),
        real_embedding=_spread((joined(of_real["held_out"]) @ known.T).max(axis=1)),
        generated_image=_spread((made @ images.T).max(axis=1)),
        real_image=_spread((foreign @ images.T).max(axis=1)),
    )


def _alike(images: dict[str, FloatArray]) -> float:
    pairs = []
    for each in images.values():
        rows = _unit(each)
        pairs.append((rows @ rows.T)[np.triu_indices(len(rows), 1)])
    together = np.concatenate(pairs)
    return float(np.median(together)) if len(together) else 0.0


def _unit(images: npt.NDArray[np.floating]) -> FloatArray:
    """Return images (n, ...) as rows whose products are correlations."""
    rows = images.reshape(len(images), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    unit: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


def _spread(values: FloatArray) -> tuple[float, float]:
    return float(np.median(values)), float(np.quantile(values, 0.95))
