"""Genre groups, which make the tiers: all genres that the model knows, its head's, or the files'.

A taxonomy gives the group of a query, its score of every group, and how related groups are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

import numpy as np

from recsys.errors import QueryError
from recsys.genres import all_genres, genre_scores, knows_styles
from recsys.kinds import head_name
from recsys.names import first_genre, resolve_name, spelling_key
from recsys.types import NOT_MUSIC, UNKNOWN, UNTAGGED, GenreSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from recsys.genres import Scores
    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.query import Query, Seed
    from recsys.types import Catalogue, Kind, ModelInfo

VOTERS = 50
"""Tracks nearest to a query whose own genres are counted."""

OWN_WEIGHT = 0.5
"""Weight of the genre tag of a query's own file, against the votes of the nearest tracks."""

SAMPLED = 200
"""Tracks of a genre group by which it is compared with others."""


_SORTED_BY = "The library is sorted by:"


def resolve_genre(info: ModelInfo, name: str) -> str:
    """Return the genre of the model that a name means, see :func:`recsys.names.resolve_name`.

    QueryError for an unknown one suggests the nearest names and lists them all; a tag of the model
    is pointed to ``--tag``.
    """
    return _genre_or_tag(info, name, info.labels, "genre", "The model knows:")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to this one, or nothing.

    Examples
    --------
    >>> did_you_mean("clasical", ["classical", "jazz"])
    "; did you mean 'classical'?"
    >>> did_you_mean("zydeco", ["classical", "jazz"])
    ''
    """
    import difflib  # only needed for an error message

    nearest = difflib.get_close_matches(name, [*map(str, known)], n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


# Taxonomies


class Taxonomy(Protocol):
    """Genre groups of a library.

    Attributes
    ----------
    groups : tuple of str
        All genre groups.
    kinds : tuple of Kind
        What is no music and has a group of its own, besides.
    """

    @property
    def groups(self) -> tuple[str, ...]:
        """All genre groups."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is no music and has a group of its own."""

    def group_of(self, query: Query) -> str:
        """Return the genre group of a query, ``unknown`` where none is clear."""

    def scores(self, query: Query) -> Scores:
        """Return every group with the query's score in [0, 1], never rising."""

    def resolve(self, name: str) -> str:
        """Return the group that a name means.

        Raises
        ------
        QueryError
            There is no such group.
        """

    def relatedness(self, groups: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return how related groups are, shape (n, n): symmetric, not negative, more is nearer."""


def taxonomy_of(store: Catalogue, index: EmbeddingIndex, info: ModelInfo) -> Taxonomy:
    """Return the taxonomy of a library. A model without styles has no genres but its head's."""
    source = store.genre_source()
    if source == GenreSource.OWN:
        return FileGenres(store, index)
    if source == GenreSource.ALL and knows_styles(info):
        return WithKinds(AllGenres(info, index), info)
    return WithKinds(ModelGenres(info), info)


class ModelGenres:
    """The genres of the model's classifier head, see :func:`recsys.genres.genre_scores`.

    Two genres are as related as the classifier confuses them, both ways averaged.
    """

    def __init__(self, info: ModelInfo) -> None:
        self._info = info
        self.groups = info.labels

    def group_of(self, query: Query) -> str:
        """Return the most probable genre if it reaches its threshold, or else ``unknown``."""
        return query.genre

    def scores(self, query: Query) -> Scores:
        """Return the smoothed probabilities."""
        return genre_scores(self._info, query.probabilities)

    def resolve(self, name: str) -> str:
        """Return the genre that a name means, see :func:`recsys.names.resolve_name`."""
        return resolve_genre(self._info, name)

    def relatedness(self, groups: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the confusion of the genres, both ways averaged."""
        rows = [self.groups.index(group) for group in groups]
        confusion = self._info.confusion[np.ix_(rows, rows)].astype(np.float64)
        related: npt.NDArray[np.float64] = (confusion + confusion.T) / 2
        return related


class AllGenres:
    """Every genre that the model knows, see :func:`recsys.genres.genre_weights`."""

    def __init__(self, info: ModelInfo, index: EmbeddingIndex) -> None:
        self._info = info
        self._index = index
        self.groups = all_genres(info.labels, info.tags)

    def group_of(self, query: Query) -> str:
        """Return the genre of the most weight, ``unknown`` where that is most of the seeds."""
        *weights, unknown = query.genre_weights.tolist()
        return UNKNOWN if unknown > sum(weights) else self.groups[int(np.argmax(weights))]

    def scores(self, query: Query) -> Scores:
        """Return the weights of the genres."""
        return _ranked(self.groups, query.genre_weights[:-1].astype(np.float64))

    def resolve(self, name: str) -> str:
        """Return the genre that a name means, see :func:`recsys.names.resolve_name`."""
        known = (*self.groups, UNKNOWN)
        return _genre_or_tag(self._info, name, known, "genre", "The model knows:")

    def relatedness(self, groups: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the similarity of the tracks of the genres."""
        return similarity_of_groups(self._index, groups)


class WithKinds:
    """Genres of the model, and a group for each kind that is no music; see :mod:`recsys.kinds`.

    Those groups are in no tier of a query of music. They are the first tier of a query of their own
    kind, which scores no genre.
    """

    def __init__(self, genres: ModelGenres | AllGenres, info: ModelInfo) -> None:
        self._genres = genres
        self.kinds = NOT_MUSIC if head_name(info) is not None else ()
        self.groups = genres.groups

    def group_of(self, query: Query) -> str:
        """Return the kind of a query that is no music, else its genre group."""
        return str(query.kind) if query.kind in self.kinds else self._genres.group_of(query)

    def scores(self, query: Query) -> Scores:
        """Return the scores of the genres, or 1 for the kind of a query that is no music."""
        if query.kind not in self.kinds:
            return self._genres.scores(query)
        return (str(query.kind), 1.0), *((group, 0.0) for group in self.groups)

    def resolve(self, name: str) -> str:
        """Return the group that a name means, which may be a kind."""
        kind = next((kind for kind in self.kinds if kind == name.strip().casefold()), None)
        return self._genres.resolve(name) if kind is None else str(kind)

    def relatedness(self, groups: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return how related genres are."""
        return self._genres.relatedness(groups)


class FileGenres:
    """The genre tags of the files, all spellings of one genre together.

    Nothing is trained for them. A query's score of a group is the share of its :data:`VOTERS`
    nearest tracks that are in the group (k nearest neighbours, as in Tzanetakis and Cook 2002, IEEE
    Transactions on Speech and Audio Processing 10), blended with the genre tag of its own file, if
    any. Groups without a vote come last, those with the most tracks first.
    """

    def __init__(self, store: Catalogue, index: EmbeddingIndex) -> None:
        self._store = store
        self._index = index
        counts = store.genre_counts()
        self.groups = tuple(sorted(counts, key=lambda group: (-counts[group], group)))
        self.kinds: tuple[Kind, ...] = ()  # the files' genres sort speech, too
        self._last: tuple[Query, Scores] | None = None

    def group_of(self, query: Query) -> str:
        """Return the group of the highest score; ``unknown`` among tracks without a genre tag."""
        group, score = self.scores(query)[0]
        return UNKNOWN if group == UNTAGGED or score == 0 else group

    def scores(self, query: Query) -> Scores:
        """Return the shares of the votes, blended with the query's own genre tags."""
        # A query asks for group and scores, and votes cost a search of the whole index.
        if self._last is None or self._last[0] is not query:
            self._last = (query, self._count(query))
        return self._last[1]

    def resolve(self, name: str) -> str:
        """Return the genre that a name means, see :func:`recsys.names.resolve_name`.

        QueryError for a kind, too, unless a tag bears its name: no genre here holds all speech.
        """
        kind = name.strip().casefold()
        if kind in NOT_MUSIC and kind not in map(str.casefold, self.groups):
            raise QueryError(
                f"{kind} is a kind, and no genre of the files, which sort this library",
                f"recsys list --kind {kind} lists such tracks, --include {kind} lets them in.",
            )
        return resolve_name(name, self.groups, "genre", _SORTED_BY)

    def relatedness(self, groups: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the similarity of the tracks of the genres."""
        return similarity_of_groups(self._index, groups)

    def _count(self, query: Query) -> Scores:
        votes = self._votes(query)
        own = self._own_genres(query)
        if own.any():
            votes = (1 - OWN_WEIGHT) * votes + OWN_WEIGHT * own / own.sum()
        return _ranked(self.groups, votes)

    def _votes(self, query: Query) -> npt.NDArray[np.float64]:
        """Return the share of the nearest tracks that are in each group, shape (n_groups,)."""
        near = self._index.search(None, query.embedding, VOTERS + len(query.exclude_ids))
        ids = [found.track_id for found in near if found.track_id not in query.exclude_ids]
        tracks = self._store.tracks(ids[:VOTERS]).values()
        votes = Counter(track.genre_group for track in tracks)
        return np.array([votes[group] for group in self.groups], float) / max(1, len(tracks))

    def _own_genres(self, query: Query) -> npt.NDArray[np.float64]:
        """Return how many seeds have a genre tag of each group, shape (n_groups,)."""
        own = [self._own_genre(seed) for seed in query.seeds]
        return np.array([own.count(group) for group in self.groups], dtype=float)

    def _own_genre(self, seed: Seed) -> str | None:
        """Return the group of the genre tag of a seed, None without one."""
        key = spelling_key(first_genre(seed.track.tags.genre_tag) or "")
        return next((group for group in self.groups if key == spelling_key(group)), None)


def similarity_of_groups(index: EmbeddingIndex, groups: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the similarity of the tracks of genre groups, shape (n, n), in [0, 1].

    It is the cosine of the mean embeddings of :data:`SAMPLED` tracks, those of each group that are
    nearest to one random direction. A group without tracks has a similarity of 0.
    """
    # A search in a fixed direction draws a repeatable sample through the index's own interface.
    means = np.zeros((len(groups), index.dimension))
    towards = np.random.default_rng(0).standard_normal(index.dimension)
    direction = (towards / np.linalg.norm(towards)).astype(np.float32)
    for row, group in enumerate(groups):
        found = index.search(group, direction, SAMPLED)
        if found:
            mean = index.vectors([near.track_id for near in found]).mean(axis=0, dtype=float)
            means[row] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    empty = ~means.any(axis=1)
    similarity: npt.NDArray[np.float64] = (1 + np.clip(means @ means.T, -1, 1)) / 2
    similarity[empty] = similarity[:, empty] = 0
    return similarity


def _ranked(groups: Sequence[str], scores: npt.NDArray[np.float64]) -> Scores:
    """Return groups with their scores, best first; ties keep the order of the groups."""
    order = np.argsort(-scores, kind="stable")
    return tuple((groups[column], float(scores[column])) for column in order)


def _genre_or_tag(info: ModelInfo, name: str, groups: Sequence[str], kind: str, others: str) -> str:
    try:
        return resolve_name(name, groups, kind, others)
    except QueryError as error:
        tags = {spelling_key(tag): tag for tag in info.tags}
        if (tag := tags.get(spelling_key(name))) is None:
            raise
        raise QueryError(
            f"unknown {kind} {name!r}; it is a tag: --tag {tag!r}", error.hint
        ) from None
