"""Music, speech, and sounds that are neither, told by what an analysis holds.

A multinomial logistic regression over the embedding and the strengths of the tags, so that stored
analyses need no decoding. ``tests/benchmarks/fit_kinds.py`` fits it for one model; its figures are
in ``data/kind-head.json``. Other genres over the same network keep it; for every other model, kinds
are not known.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from recsys.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from recsys.types import Analysis, FloatArray, ModelInfo, Track

STRONGEST = 4.0
"""Strength (z-score) to which tags are limited: sounds that are no music have any."""


@dataclass(frozen=True, slots=True)
class JudgedKind:
    """The kind of a track."""

    kind: Kind
    probability: float  # of this kind
    vocals: float | None  # share of the time that is sung, in [0, 1]; None unless it is music


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    name: str  # differs after every fit
    tag_means: tuple[float, ...]  # of the model that it belongs to
    weights: npt.NDArray[np.float64]  # (n_kinds, d + n_tags), in the order of Kind
    biases: npt.NDArray[np.float64]  # (n_kinds,)
    thresholds: npt.NDArray[np.float64]  # (n_kinds,); of music 0
    vocal_weights: npt.NDArray[np.float64]  # (n_tags,)
    vocal_bias: float


@lru_cache(maxsize=1)
def _shipped() -> _Head:
    # By name: the core reads this file of the package of the models, and imports nothing of it.
    head = json.loads(files("recsys.data").joinpath("kind-head.json").read_text(encoding="utf-8"))
    return _Head(
        name=head["name"],
        tag_means=tuple(head["tag_means"]),
        weights=np.array([head["weights"][kind] for kind in Kind]),
        biases=np.array([head["biases"][kind] for kind in Kind]),
        thresholds=np.array([head["thresholds"].get(kind, 0.0) for kind in Kind]),
        vocal_weights=np.array(head["vocals"]["weights"]),
        vocal_bias=float(head["vocals"]["bias"]),
    )


def _head_of(info: ModelInfo) -> _Head | None:
    """Return the head of a model: its tags tell the network, whatever genres are over it."""
    return _shipped() if info.tags and info.tag_means == _shipped().tag_means else None


def head_name(info: ModelInfo) -> str | None:
    """Return the name of the head that tells the kinds of a model's tracks, None without one."""
    head = _head_of(info)
    return None if head is None else head.name


def main_kind(tracks: Iterable[Track]) -> Kind | None:
    """Return the kind of more than half of some tracks, music without one; None if none is known.

    Examples
    --------
    >>> main_kind([])
    """
    counts = Counter(track.kind for track in tracks)
    if not counts.keys() - {None}:
        return None
    kind, count = counts.most_common(1)[0]
    return kind if kind is not None and 2 * count > counts.total() else Kind.MUSIC


def features_of(
    info: ModelInfo, embeddings: FloatArray, tag_scores: FloatArray
) -> npt.NDArray[np.float64]:
    """Return what the head sees, shape (n, d + n_tags): embeddings and strengths of tags.

    A component of an embedding is as large as a strength.
    """
    strengths = np.clip(info.tag_strengths(tag_scores), -STRONGEST, STRONGEST)
    scaled = embeddings.astype(np.float64) * np.sqrt(embeddings.shape[1])
    return np.hstack([scaled, strengths.astype(np.float64)])


def kinds_of(
    info: ModelInfo, embeddings: FloatArray, tag_scores: FloatArray
) -> Sequence[JudgedKind | None]:
    """Return the kinds of tracks by their embeddings (n, d) and tag scores (n, n_tags).

    Speech and other sounds are called so from a threshold of their probability that hardly any
    music reaches. All are None where the model has no head.
    """
    head = _head_of(info)
    if head is None:
        return [None] * len(embeddings)
    logits = features_of(info, embeddings, tag_scores) @ head.weights.T + head.biases
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    sung = vocal_share(info, tag_scores)
    assert sung is not None
    return [
        JudgedKind(kind, float(row[column]), float(share) if kind is Kind.MUSIC else None)
        for row, share in zip(probabilities, sung, strict=True)
        for column in [_column(row, head.thresholds)]
        for kind in [tuple(Kind)[column]]
    ]


def kind_of(info: ModelInfo, analysis: Analysis) -> JudgedKind | None:
    """Return the kind of one track, None where the model has no head."""
    return kinds_of(info, analysis.embedding[np.newaxis], analysis.tags[np.newaxis])[0]


def _column(row: npt.NDArray[np.float64], thresholds: npt.NDArray[np.float64]) -> int:
    """Return the column of the most probable kind that reaches its threshold; music always does."""
    return int(np.argmax(np.where(row >= thresholds, row, -1.0)))


def vocal_share(info: ModelInfo, tag_scores: FloatArray) -> FloatArray | None:
    """Return the share of the time that is sung, in [0, 1], by tag scores (n, n_tags).

    A logistic regression over the strengths of the tags; None where the model has no head. What is
    not sung is the share that is instrumental.
    """
    head = _head_of(info)
    if head is None:
        return None
    strengths = np.clip(info.tag_strengths(tag_scores), -STRONGEST, STRONGEST)
    share: FloatArray = (
        1 / (1 + np.exp(-(strengths @ head.vocal_weights + head.vocal_bias)))
    ).astype(np.float32)
    return share
