"""Orders of playlists: genre cycles, moods, curves, artist gaps."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import QueryError
from recsys.names import mood_columns
from recsys.playlists.draft import POOL, CandidateQueue, PlaylistDraft, count
from recsys.types import MEASURED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from recsys.index.base import EmbeddingIndex
    from recsys.playlists.curve import Curve
    from recsys.recommender.query import Candidate, Search, TagFilter
    from recsys.recommender.taxonomy import Taxonomy
    from recsys.types import Catalogue, FloatArray, ModelInfo, Track

AUTO = "auto"
"""In place of a list of genres: those of the library, ordered so that neighbours are related."""

REACH = 4
"""Tracks among which a mood walk chooses, as a multiple of those wanted. With as many as wanted,
the last steps would have to take the rest."""

START_FROM = 25
"""The first track of a mood is drawn from this many that carry it most strongly."""

CURVE_REACH = 6
"""The same for a curve, which follows the quantiles of a pool."""

CORRIDOR = 0.1
"""Half the width of a curve, in quantiles of the pool: the most similar track inside comes next."""

_SHORT_S = 180.0
"""Length of a track by which a duration becomes a number of tracks."""

_NO_GAIN = 1e-9
"""A tour must become cheaper by more than rounding, or 2-opt would never end."""

_STARTS = 16
"""Nearest-neighbour tours that are improved, so that one bad start does not decide."""


# Genre cycles


def related_order(related: npt.NDArray[np.float64], genres: Sequence[str]) -> list[str]:
    """Order genres in a cycle in which neighbours are related.

    The cycle is a short round trip over costs of ``-log`` of the relatedness: the shortest of
    nearest-neighbour tours from several genres, each improved by 2-opt (Croes 1958, Operations
    Research 6) until no exchange helps. The first genre stays first; of the two directions, the one
    with the more related second genre is taken. `related` is that of
    :meth:`recsys.recommender.taxonomy.Taxonomy.relatedness`, shape (n, n).
    """
    costs = -np.log(np.maximum(related, np.finfo(np.float64).tiny))
    tours = [
        _two_opt(_greedy_tour(costs, start), costs) for start in range(min(_STARTS, len(genres)))
    ]
    best = min(tours, key=lambda tour: round(tour_cost(tour, costs), 9), default=[])
    return [genres[i] for i in _from_first(best, costs)]


def tour_cost(tour: Sequence[int], costs: npt.NDArray[np.float64]) -> float:
    """Return the cost of a round trip."""
    return float(sum(costs[tour[i - 1], tour[i]] for i in range(len(tour))))


def _greedy_tour(costs: npt.NDArray[np.float64], start: int) -> list[int]:
    tour = [start]
    left = [i for i in range(len(costs)) if i != start]
    while left:
        following = min(left, key=lambda i: (costs[tour[-1], i], i))
        left.remove(following)
        tour.append(following)
    return tour


def _two_opt(tour: list[int], costs: npt.NDArray[np.float64]) -> list[int]:
    improved = True
    while improved:
        improved = False
        for i, j in itertools.combinations(range(len(tour)), 2):
            before, first, last = tour[i - 1], tour[i], tour[j]
            after = tour[(j + 1) % len(tour)]
            reversed_cost = costs[before, last] + costs[first, after]
            if (
                before != last  # a whole tour: reversing it changes nothing
                and reversed_cost < costs[before, first] + costs[last, after] - _NO_GAIN
            ):
                tour[i : j + 1] = reversed(tour[i : j + 1])
                improved = True
    return tour


def _from_first(tour: list[int], costs: npt.NDArray[np.float64]) -> list[int]:
    if len(tour) < 3:
        return sorted(tour)
    start = tour.index(0)
    forwards = tour[start:] + tour[:start]
    backwards = [forwards[0], *reversed(forwards[1:])]
    return min(forwards, backwards, key=lambda order: (costs[0, order[1]], order))


def cycle_genres(
    taxonomy: Taxonomy,
    index: EmbeddingIndex,
    genres: Sequence[str] | str,
    wanted: TagFilter | None = None,
    search: Search | None = None,
) -> tuple[list[str], list[str]]:
    """Return the genres of a cycle that have tracks, and a note for each that has none.

    `genres` are names, one string with commas between them, or ``auto``; only tracks that `wanted`
    admits count, and only those that `search` finds, if it is given. QueryError if there are no
    genres, one is not known, or none has a track.
    """
    filled = [each for each in (*taxonomy.groups, *map(str, taxonomy.kinds)) if index.count(each)]
    carrying = filled if wanted is None else wanted.genre_groups(filled)
    held = unfiltered = [genre for genre in filled if genre in carrying]
    if search is not None:
        anywhere = np.eye(1, index.dimension, dtype=np.float32)[0]
        held = [genre for genre in held if next(search(genre, anywhere, 1), None) is not None]
    names = [*filter(str.strip, genres.split(",") if isinstance(genres, str) else genres)]
    if names == [AUTO]:
        of_music = [genre for genre in filled if genre in taxonomy.groups]
        largest_first = sorted(of_music, key=lambda genre: -index.count(genre))
        asked = related_order(taxonomy.relatedness(largest_first), largest_first)
    else:
        asked = [taxonomy.resolve(name) for name in names]
        if not asked:
            raise QueryError("a cycle of 0 genres", f"Name some of: {', '.join(taxonomy.groups)}.")
    kind = "" if wanted is None else f" with the tag {wanted}"
    refused = " that the filters allow"
    order = [genre for genre in asked if genre in held]
    if not order:
        kind += refused if any(genre in unfiltered for genre in asked) else ""
        raise QueryError(
            f"no track{kind} in the genres of the cycle: {', '.join(asked) or AUTO}",
            f"Genres that hold some: {', '.join(held)}." if held else "No other genre holds any.",
        )
    empty = [genre for genre in dict.fromkeys(asked) if genre not in held]
    return order, [
        f"{genre} holds no tracks{kind}{refused if genre in unfiltered else ''} and was left out"
        " of the cycle"
        for genre in empty
    ]


class GenreCycle:
    """Extends a draft by the nearest track of each genre in turn; one may occur several times."""

    def __init__(self, draft: PlaylistDraft, search: Search, order: Sequence[str]) -> None:
        self._draft = draft
        self._search = search
        per_genre = draft.options.per_genre
        self._turns = [genre for genre in order for _ in range(per_genre)]
        self._left = set(order)
        self._ran_out: dict[str, int] = {}
        self._passed_over: dict[str, int] = {}
        self._curve = CurveWalk(draft) if draft.options.curves else None
        self._pools: dict[str, CurvePool] = {}
        self._held_back: dict[str, list[Track]] = {}

    def fill(self, previous: FloatArray, turn: int) -> None:
        """Extend the draft until it is full or no genre has anything to offer.

        `previous` is the embedding of the track before; `turn` counts from the start of the cycle.
        """
        failed = 0  # turns in a row; after a whole round no genre has an allowed track
        while not self._draft.full and self._left and failed < len(self._turns):
            genre = self._turns[turn % len(self._turns)]
            turn += 1
            failed += 1
            if genre in self._left and self._extend(genre, previous):
                previous = self._draft.chosen[-1].embedding
                failed = 0

    def held_back(self) -> list[Track]:
        """Return the tracks that the artist gap kept out at the last turn of every genre."""
        return [track for tracks in self._held_back.values() for track in tracks]

    def notes(self) -> list[str]:
        """Return notes on genres that ran out or were passed over."""
        gap = self._draft.options.artist_gap
        ran_out = [
            f"{genre} ran out after {count(tracks, 'track')}"
            for genre, tracks in self._ran_out.items()
        ]
        passed = [
            f"{genre} was passed over {count(times, 'time')} (artist gap {gap})"
            for genre, times in self._passed_over.items()
            if genre not in self._ran_out
        ]
        return ran_out + passed

    def _extend(self, genre: str, previous: FloatArray) -> bool:
        """Add the nearest track of a genre; return whether there was one."""
        queue = self._queue(genre, previous)
        self._held_back.pop(genre, None)
        if queue.extend(self._draft):
            return True
        if self._draft.closed:
            return False
        if queue.waiting:
            self._passed_over[genre] = self._passed_over.get(genre, 0) + 1
            self._held_back[genre] = [candidate.track for candidate in queue.waiting]
        else:
            self._left.discard(genre)
            chosen = self._draft.chosen
            self._ran_out[genre] = sum(found.track.genre_group == genre for found in chosen)
        return False

    def _queue(self, genre: str, previous: FloatArray) -> CandidateQueue:
        if self._curve is None:
            return CandidateQueue(self._search(genre, previous, POOL))
        if genre not in self._pools:
            # Every genre bends by itself: the calmest metal is no calm music.
            share = self._turns.count(genre) / len(self._turns)
            near = self._search(genre, previous, POOL)
            self._pools[genre] = self._curve.pool(near, share, genre)
        return self._curve.queue(self._pools[genre], previous)


# Moods


class MoodWalk:
    """A walk through tracks of a mood, from each to a similar one.

    The pool is the tracks that carry the mood, the nearest to the query first, :data:`REACH` times
    as many as wanted. Each step takes the track most similar to the one before, half by embedding
    (cosine) and half by mood (cosine of the strengths of all moods, so that a chill and sad track
    follows a chill and sad one); the half of the pool that carries the mood more strongly comes
    first. The list ends when the pool is used up, rather than leave the mood.

    `columns` are those of the tags that make the mood, and `candidates` the tracks that carry it,
    the nearest to the query first.
    """

    def __init__(
        self,
        store: Catalogue,
        info: ModelInfo,
        columns: Sequence[int],
        draft: PlaylistDraft,
        candidates: Iterator[Candidate],
    ) -> None:
        self._store, self._info, self._columns = store, info, list(columns)
        self._moods = mood_columns(info)
        self._draft = draft
        self._candidates = candidates
        self._pool: list[Candidate] = []
        self._strengths: dict[int, FloatArray] = {}
        self.held_back: list[Track] = []

    def fill(self, embedding: FloatArray, strengths: FloatArray) -> None:
        """Extend the draft until it is full or no track of the mood is left.

        `embedding`, shape (d,), and tag `strengths`, shape (n_tags,), are of the track before.
        """
        reach = REACH * (self._draft.options.limit or POOL)
        self._grow(reach)
        while not self._draft.full:
            queue = CandidateQueue(iter(self._in_order(embedding, strengths)))
            if queue.extend(self._draft):
                last = self._draft.chosen[-1]
                embedding, strengths = last.embedding, self._strengths[last.track.id]
                self._grow(reach - len(self._pool))
            elif self._draft.closed or not self._grow(reach):
                self.held_back = [candidate.track for candidate in queue.waiting]
                return

    def _grow(self, size: int) -> bool:
        """Drop chosen tracks and duplicates from the pool, fetch more; False if there are none."""
        gone = self._draft.duplicates
        self._pool = [
            candidate
            for candidate in self._pool
            if not self._draft.holds(candidate) and candidate.track.id not in gone
        ]
        fresh = list(islice(self._candidates, max(0, size)))
        scores = self._store.tag_scores([candidate.track.id for candidate in fresh])
        # A track without tag scores has no mood to compare.
        fresh = [candidate for candidate in fresh if candidate.track.id in scores]
        for track_id, row in scores.items():
            self._strengths[track_id] = self._info.tag_strengths(row)
        self._pool += fresh
        return bool(fresh)

    def _in_order(self, embedding: FloatArray, strengths: FloatArray) -> list[Candidate]:
        """Return the pool, best next track first, with closeness as similarity."""
        if not self._pool:
            return []
        tags = np.stack([self._strengths[candidate.track.id] for candidate in self._pool])
        vectors = np.stack([candidate.embedding for candidate in self._pool])
        by_mood = _cosines(tags[:, self._moods], strengths[self._moods])
        closeness = (np.einsum("id,d->i", vectors, embedding) + by_mood) / 2
        score = closeness + np.array([candidate.taste for candidate in self._pool])
        mood = tags[:, self._columns].min(axis=1)
        # The half that carries the mood more strongly first, then by closeness.
        order = np.lexsort((-score, mood < np.median(mood)))
        return [replace(self._pool[i], similarity=float(closeness[i])) for i in order.tolist()]


def _cosines(rows: FloatArray, row: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(row)
    cosines: FloatArray = np.einsum("id,d->i", rows, row) / np.maximum(lengths, 1e-12)
    return cosines


# Curves


class CurvePool:
    """The tracks nearest to a query, with the quantile of each of their numbers in this pool.

    Quantiles have no unit, so that energy and tempo bend alike, and a curve is as steep as similar
    tracks allow. Tracks without one of the numbers are left out.
    """

    def __init__(
        self, curves: Sequence[Curve], candidates: Iterator[Candidate], wanted: int
    ) -> None:
        self._curves = curves
        known = (found for found in candidates if self.numbers(found.track) is not None)
        self.candidates = list(islice(known, CURVE_REACH * wanted))
        numbers = [self.numbers(found.track) or () for found in self.candidates]
        self._sorted = np.sort(np.array(numbers).reshape(len(numbers), len(curves)), axis=0)
        self._quantiles = self.quantiles(numbers)
        self._vectors = np.array([found.embedding for found in self.candidates])

    def numbers(self, track: Track) -> tuple[float, ...] | None:
        """Return the numbers of a track, None where one is not known."""
        values = tuple(getattr(track, curve.number) for curve in self._curves)
        return None if None in values else values

    def quantiles(self, numbers: Sequence[Sequence[float]]) -> FloatArray:
        """Return which share of the pool lies below each number, equals half, (n, n_curves)."""
        table = np.array(numbers).reshape(len(numbers), len(self._curves))
        columns = [
            (np.searchsorted(own, values, "left") + np.searchsorted(own, values, "right")) / 2
            for own, values in zip(self._sorted.T, table.T, strict=True)
        ]
        shares = np.array(columns).T / max(len(self.candidates), 1)
        return shares.astype(np.float32)

    def in_order(
        self, draft: PlaylistDraft, starts: Sequence[float], progress: float, before: FloatArray
    ) -> list[Candidate]:
        """Return the pool, best next track first.

        Inside the corridor the most similar to the track before, whose embedding is `before`;
        outside the nearest to the curve.
        """
        left = [i for i, found in enumerate(self.candidates) if not draft.holds(found)]
        if not left:
            return []
        targets = [
            curve.target(progress, start) for curve, start in zip(self._curves, starts, strict=True)
        ]
        away = np.abs(self._quantiles[left] - targets).max(axis=1)
        closeness = np.einsum("id,d->i", self._vectors[left], before)
        worth = closeness + [self.candidates[i].taste for i in left]
        inside = away <= CORRIDOR
        order = np.lexsort((-worth, np.where(inside, 0.0, away)))
        return [
            replace(self.candidates[left[i]], similarity=float(closeness[i]))
            for i in order.tolist()
        ]


class CurveWalk:
    """A walk along the curves of a list, from each track to a similar one.

    The pool is chosen once: how far the numbers of similar tracks reach must not depend on where
    the list has come to. `before` tracks are there already, and do not count as progress.
    """

    def __init__(self, draft: PlaylistDraft, before: int = 0) -> None:
        self._draft, self._curves = draft, draft.options.courses
        self._before, self._before_s = before, draft.total_s if before else 0.0
        self.held_back: list[Track] = []

    def pool(
        self, candidates: Iterator[Candidate], share: float = 1.0, where: str = "the library"
    ) -> CurvePool:
        """Return the pool for a share of the list; QueryError where no track has the numbers."""
        options = self._draft.options
        wanted = options.limit or math.ceil((options.duration_s or 0.0) / _SHORT_S)
        wanted = max(1, math.ceil(share * (wanted - self._before)))
        pool = CurvePool(self._curves, candidates, wanted)
        if not pool.candidates:
            numbers = [curve.number for curve in self._curves]
            measured = ",".join(number for number in numbers if number in MEASURED)
            raise QueryError(
                f"no track of {where} that may be in the list has a known"
                f" {' and '.join(numbers)} for a curve",
                f"Measure it: recsys index --also {measured}; what is too uncertain does not count."
                if measured
                else "recsys show TRACK shows the numbers of a track.",
            )
        return pool

    def queue(self, pool: CurvePool, previous: FloatArray) -> CandidateQueue:
        """Return the tracks of a pool, best next one first; `previous` is the embedding before."""
        chosen = self._draft.chosen[max(self._before - 1, 0) :]
        start = pool.numbers(chosen[0].track) if chosen else None
        starts = [0.5] * len(self._curves) if start is None else pool.quantiles([start])[0].tolist()
        return CandidateQueue(iter(pool.in_order(self._draft, starts, self._progress(), previous)))

    def fill(self, pool: CurvePool, previous: FloatArray) -> None:
        """Extend the draft by tracks of one pool until it is full or the pool has no more."""
        while not self._draft.full:
            queue = self.queue(pool, previous)
            if not queue.extend(self._draft):
                self.held_back = [candidate.track for candidate in queue.waiting]
                return
            previous = self._draft.chosen[-1].embedding

    def _progress(self) -> float:
        """Return how much of the list is there when the next track comes, in [0, 1]."""
        draft, options = self._draft, self._draft.options
        shares = [0.0]
        if options.limit is not None:
            shares.append((len(draft) - self._before) / max(options.limit - self._before - 1, 1))
        if options.duration_s is not None:
            shares.append((draft.total_s - self._before_s) / (options.duration_s - self._before_s))
        return min(max(shares), 1.0)
