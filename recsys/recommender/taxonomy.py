"""The labels that make the tiers: the model's genres, its strongest styles, or the files' genres.

Each says three things: what it calls a query, how far the query belongs to every label, and how
related two labels are.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from recsys.errors import QueryError
from recsys.names import LEAST_STYLES, check_has_tags, first_genre, spelling_key, style_columns
from recsys.types import UNKNOWN, UNTAGGED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.query import Query, Seed
    from recsys.types import Catalogue, FloatArray, ModelInfo

# How far a query belongs to each genre, and which genre a name means.


Scores: TypeAlias = tuple[tuple[str, float], ...]
"""Labels with a query's score of each in [0, 1], never rising."""

SMOOTHING = 0.25
"""Weight of the smoothed probabilities in a genre score.

Genres that a classifier confuses share about a tenth of their tracks, so smoothing moves a score by
about 0.025. A genre with a higher probability is placed by it; below
it, where the probabilities of a confident model are nothing but noise, the genres stand in the
order in which they resemble the probable ones.
"""


def genre_scores(info: ModelInfo, probabilities: FloatArray) -> Scores:
    """Score every genre of the model for a query, the best first.

    A score is ``(1 - w) * p + w * (p @ confusion)`` with ``w`` = :data:`SMOOTHING`: the calibrated
    probability, blended with what the classifier would say of such tracks, judging by its mistakes
    on validation data. So a track that is 99% classical still has a sensible second genre.

    The most probable genre always stands first. Where smoothing lifts another one above it, that
    one is held at the score of the first, so that the scores never rise along the list; genres that
    were held stand in the order of their scores before that. Ties keep the order of the labels.

    Parameters
    ----------
    info : ModelInfo
        Labels and confusion matrix.
    probabilities : ndarray of float32, shape (n_genres,)
        Calibrated, sum 1, in the order of the labels.

    Returns
    -------
    tuple of (str, float)
        Every genre with its score in [0, 1], never rising.

    Examples
    --------
    >>> from recsys.types import ModelInfo
    >>> confusion = np.array([[0.9, 0.0, 0.1], [0.0, 1.0, 0.0], [0.2, 0.0, 0.8]], np.float32)
    >>> info = ModelInfo("toy", "f", ("classical", "hiphop", "jazz"), (0.5,) * 3, confusion, 2)
    >>> scores = genre_scores(info, np.array([1.0, 0.0, 0.0], np.float32))
    >>> [(genre, round(score, 3)) for genre, score in scores]
    [('classical', 0.975), ('jazz', 0.025), ('hiphop', 0.0)]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    smoothed = (1 - SMOOTHING) * p + SMOOTHING * (p @ info.confusion.astype(np.float64))
    top = int(np.argmax(p))
    ranking = smoothed.copy()
    ranking[top] = np.inf
    order = np.argsort(-ranking, kind="stable")
    held = np.clip(smoothed, 0.0, min(1.0, float(smoothed[top])))
    return tuple((info.labels[i], float(held[i])) for i in order)


def resolve_genre(info: ModelInfo, name: str) -> str:
    """Return the genre of the model that a name means; case and surrounding spaces do not matter.

    Raises
    ------
    QueryError
        The model has no such genre. The message offers the nearest name, the hint lists them all.
    """
    by_key = {label.casefold(): label for label in info.labels}
    key = name.strip().casefold()
    if key in by_key:
        return by_key[key]
    raise QueryError(
        f"unknown genre {name!r}{did_you_mean(key, by_key)}",
        f"The model knows: {', '.join(info.labels)}.",
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to this one, or nothing.

    Examples
    --------
    >>> did_you_mean("clasical", ["classical", "jazz"])
    "; did you mean 'classical'?"
    >>> did_you_mean("zydeco", ["classical", "jazz"])
    ''
    """
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


# ----------------------------------------------------------------------


VOTERS = 50
"""Tracks nearest to a query whose own genres are counted."""

OWN_WORD = 0.5
"""Weight of what a query's own file says of its genre, against the votes of the tracks near it."""

SAMPLED = 200
"""Tracks of a part by which it is compared with others."""


class Taxonomy(Protocol):
    """Labels that sort a library.

    Attributes
    ----------
    labels : tuple of str
        All of them.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """All of them."""

    def label_of(self, query: Query) -> str:
        """Return the label of a query, ``unknown`` where it has none that holds."""

    def scores(self, query: Query) -> Scores:
        """Return every label with the query's score in [0, 1], never rising."""

    def resolve(self, name: str) -> str:
        """Return the label that a name means.

        Raises
        ------
        QueryError
            There is no such label.
        """

    def relatedness(self, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return how related labels are, shape (n, n): symmetric, not negative, more is nearer."""


def taxonomy_of(store: Catalogue, index: EmbeddingIndex, info: ModelInfo) -> Taxonomy:
    """Return the labels by which a library is sorted.

    Raises
    ------
    QueryError
        It is to be sorted by styles, and its model has none.
    """
    source = store.genre_source()
    if source == "tags":
        check_has_tags(info, store.roots(), LEAST_STYLES)
        return StyleTags(info, index)
    return OwnGenres(store, index) if source == "own" else ModelGenres(info)


class ModelGenres:
    """The genres of the model's first head, see :func:`genre_scores`.

    Two genres are as related as the classifier confuses them, both ways averaged.
    """

    def __init__(self, info: ModelInfo) -> None:
        self._info = info
        self.labels = info.labels

    def label_of(self, query: Query) -> str:
        """Return the most probable genre if it holds, or else ``unknown``."""
        return query.label

    def scores(self, query: Query) -> Scores:
        """Return the smoothed probabilities."""
        return genre_scores(self._info, query.probabilities)

    def resolve(self, name: str) -> str:
        """Return the genre that a name means; case and surrounding spaces do not matter."""
        return resolve_genre(self._info, name)

    def relatedness(self, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the confusion of the genres, both ways averaged."""
        rows = [self.labels.index(label) for label in labels]
        confusion = self._info.confusion[np.ix_(rows, rows)].astype(np.float64)
        related: npt.NDArray[np.float64] = (confusion + confusion.T) / 2
        return related


class StyleTags:
    """Those of the model's tags that are styles.

    A track goes by its strongest style. A query's scores are its strengths, brought to a sum of 1
    by a softmax, so that the label of a track is always its own query's first. Where no style is
    stronger than in music on the average, the label is unknown.
    """

    def __init__(self, info: ModelInfo, index: EmbeddingIndex) -> None:
        self._index = index
        self._columns = style_columns(info)
        self.labels = tuple(info.tags[column] for column in self._columns)

    def label_of(self, query: Query) -> str:
        """Return the strongest style, if it is stronger than on the average."""
        strengths = query.tag_strengths[self._columns]
        return self.labels[int(np.argmax(strengths))] if strengths.max() > 0 else UNKNOWN

    def scores(self, query: Query) -> Scores:
        """Return the shares of the strengths."""
        strengths = query.tag_strengths[self._columns].astype(np.float64)
        weights = np.exp(strengths - strengths.max())
        return _ranked(self.labels, weights / weights.sum())

    def resolve(self, name: str) -> str:
        """Return the style that a name means; case, hyphens and spaces do not matter."""
        return _spelled_like(name, self.labels, "style")

    def relatedness(self, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return how alike the tracks of the styles sound."""
        return likeness_of_parts(self._index, labels)


class OwnGenres:
    """The genres that the files name, all spellings of one genre together.

    Nothing is trained for them. A query's score of a label is the share of its :data:`VOTERS`
    nearest tracks that carry the label (k nearest neighbours, as in Tzanetakis and Cook 2002, IEEE
    Transactions on Speech and Audio Processing 10), blended with what its own file says, where it
    says anything. Labels without a vote stand at the end, those with the most tracks first.
    """

    def __init__(self, store: Catalogue, index: EmbeddingIndex) -> None:
        self._store = store
        self._index = index
        counts = store.genre_counts()
        self.labels = tuple(sorted(counts, key=lambda label: (-counts[label], label)))
        self._asked: tuple[Query, Scores] | None = None

    def label_of(self, query: Query) -> str:
        """Return the label of the highest score; ``unknown`` among tracks that name no genre."""
        label, score = self.scores(query)[0]
        return UNKNOWN if label == UNTAGGED or score == 0 else label

    def scores(self, query: Query) -> Scores:
        """Return the shares of the votes, blended with the query's own word."""
        if self._asked is None or self._asked[0] is not query:
            self._asked = (query, self._count(query))
        return self._asked[1]

    def resolve(self, name: str) -> str:
        """Return the genre that a name means; case, hyphens and spaces do not matter."""
        return _spelled_like(name, self.labels, "genre")

    def relatedness(self, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return how alike the tracks of the genres sound."""
        return likeness_of_parts(self._index, labels)

    def _count(self, query: Query) -> Scores:
        votes = self._votes(query)
        own = self._own_words(query)
        if own.any():
            votes = (1 - OWN_WORD) * votes + OWN_WORD * own / own.sum()
        return _ranked(self.labels, votes)

    def _votes(self, query: Query) -> npt.NDArray[np.float64]:
        """Return the share of the nearest tracks that carry each label, shape (n_labels,)."""
        near = self._index.search(None, query.embedding, VOTERS + len(query.exclude_ids))
        ids = [found.track_id for found in near if found.track_id not in query.exclude_ids]
        tracks = self._store.tracks(ids[:VOTERS]).values()
        counts = np.array([sum(t.part == label for t in tracks) for label in self.labels], float)
        return counts / max(1, len(tracks))

    def _own_words(self, query: Query) -> npt.NDArray[np.float64]:
        words = [self._own_word(seed) for seed in query.seeds]
        return np.array([words.count(label) for label in self.labels], dtype=float)

    def _own_word(self, seed: Seed) -> str | None:
        """Return the label that the file of a seed names, None where it names none of them."""
        key = spelling_key(first_genre(seed.track.tags.genre_tag) or "")
        return next((label for label in self.labels if key == spelling_key(label)), None)


def likeness_of_parts(index: EmbeddingIndex, labels: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return how alike the tracks of parts sound, shape (n, n).

    Of each part :data:`SAMPLED` tracks on one side of the space are taken, the same side for all;
    the likeness of two parts is the cosine of the mean embeddings, brought to [0, 1]. A part
    without tracks is like no other.
    """
    means = np.zeros((len(labels), index.dimension))
    towards = np.random.default_rng(0).standard_normal(index.dimension)
    direction = (towards / np.linalg.norm(towards)).astype(np.float32)
    for row, label in enumerate(labels):
        found = index.search(label, direction, SAMPLED)
        if found:
            mean = index.vectors([near.track_id for near in found]).mean(axis=0, dtype=float)
            means[row] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    empty = ~means.any(axis=1)
    likeness: npt.NDArray[np.float64] = (1 + np.clip(means @ means.T, -1, 1)) / 2
    likeness[empty] = likeness[:, empty] = 0
    return likeness


def _ranked(labels: Sequence[str], scores: npt.NDArray[np.float64]) -> Scores:
    """Return labels with their scores, best first; ties keep the order of the labels."""
    order = np.argsort(-scores, kind="stable")
    return tuple((labels[place], float(scores[place])) for place in order)


def _spelled_like(name: str, labels: Sequence[str], what: str) -> str:
    by_key = {spelling_key(label): label for label in labels}
    key = spelling_key(name)
    if key in by_key:
        return by_key[key]
    raise QueryError(
        f"unknown {what} {name!r}{did_you_mean(name, labels)}",
        f"The library is sorted by: {', '.join(labels)}.",
    )
