"""A way from track A to track B: the widest one, whose least similar step is as similar as can be.

Tracks between A and B are gathered by a few searches (:class:`Corridor`); those of a small library
are all there. The width of a way is the similarity of its least similar step. The widest way in a
number of steps is found exactly, by the recurrence of Bellman and Ford over maxima of minima. It
bounds a beam search, which adds what a table cannot hold: no track twice, no near-duplicates, the
artist gap, the duration; and which gives up a little width for even progress.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from recsys.credits import spaced_artists
from recsys.errors import QueryError
from recsys.index.base import similarities
from recsys.playlists.draft import DRAW_WIDTH
from recsys.recommender.duplicates import NearDuplicates, near_duplicate_pairs
from recsys.recommender.query import Candidate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from recsys.index.base import EmbeddingIndex
    from recsys.playlists.draft import PlaylistOptions
    from recsys.recommender.query import Query, Search, Seed
    from recsys.types import FloatArray, IdArray, Track

JUMP = 0.1
"""Similarity below which a step is a jump."""

CORRIDOR = 512
"""Tracks that are gathered at first; a library of up to so many is searched as a whole."""

LARGEST_CORRIDOR = 2048
"""Tracks to which a corridor grows where the way is too short, or has a jump; time and memory grow
with the square."""

TRACKS_PER_STEP = 3
"""Tracks that are gathered at least, as a multiple of those wanted."""

GROUPS = 12
"""Genre groups, the largest, that give their nearest tracks to A and to B."""

MENDED = 4
"""Times that tracks are searched between the ends of the least similar step."""

USUAL_S = 200.0
"""Duration of a track, as long as none is known."""

NEAR_STEP = 32
"""Tracks that one such search adds."""

MIDDLE, BOTH_ENDS = (0.5,), (0.0, 1.0)
"""Shares of the great circle over such a step at which they are searched."""

BEAM = 48
"""Unfinished ways that are kept per step, of the many that lead to different tracks."""

EVENNESS = 1.0
"""Weight of an uneven step: of the squared distance from even progress, against the squared
distance (1 - cosine) of the step itself."""

SLACK = 0.05
"""How much narrower than the widest a way may be, for the sake of even progress; never so narrow
that a step becomes a jump. On planted libraries it halves the worst deviation from even progress,
at the same mean similarity of the steps."""

_PARALLEL = 1e-6
"""Length of the difference below which two unit vectors count as one direction, or as opposite."""

_A, _B = 0, 1
"""Rows of the ends in a corridor."""

_LEAST = -1.0
"""Width that every way has."""

_NARROWER = 0.01
"""First decrease of the width where the constraints leave no way of the full one; it doubles."""


def slerp(start: FloatArray, end: FloatArray, share: float) -> FloatArray:
    """Return the point of the great circle between two unit vectors (Shoemake 1985, SIGGRAPH).

    `share` is the position on the path, in [0, 1]. The path between opposite vectors leads over the
    axis least parallel to them.

    Examples
    --------
    >>> x, y = np.eye(2, dtype=np.float32)
    >>> slerp(x, y, 0.5).round(3).tolist()
    [0.7070000171661377, 0.7070000171661377]
    """
    a, b = start.astype(np.float64), end.astype(np.float64)
    cosine = float(np.clip(a @ b, -1.0, 1.0))
    across = b - cosine * a
    if np.linalg.norm(across) < _PARALLEL:
        if cosine > 0:
            return start
        axis = np.eye(len(a))[int(np.argmin(np.abs(a)))]
        across = axis - (axis @ a) * a
    across /= np.linalg.norm(across)
    angle = share * np.arccos(cosine)
    point: FloatArray = (np.cos(angle) * a + np.sin(angle) * across).astype(np.float32)
    return point


def widest(cosines: FloatArray, hops: int) -> FloatArray:
    """Return the width of the widest way from every row to row 1, shape (h, n).

    Row ``h - 1`` of the table is for at most ``h`` hops. It ends before `hops` rows where more hops
    make nothing wider. No way leads through row 0 or 1, its ends.
    """
    apart = cosines.copy()
    np.fill_diagonal(apart, _LEAST)
    table = [apart[:, _B]]
    while len(table) < hops:
        through = table[-1].copy()
        through[[_A, _B]] = _LEAST
        wider = np.maximum(table[-1], np.minimum(apart, through).max(axis=1))
        if np.array_equal(wider, table[-1]):
            break
        table.append(wider)
    return np.stack(table)


# The tracks between


class Corridor:
    """Tracks for the way from A to B, with their similarities. Rows 0 and 1 are A and B.

    `whole` tells that no other track could be added to those `found`.
    """

    def __init__(self, a: Seed, b: Seed, found: Sequence[Candidate], *, whole: bool) -> None:
        ends = (a, b)
        self.whole = whole
        self.candidates = [*(end.as_candidate() for end in ends), *found]
        self._ends = ends
        vectors = np.stack([candidate.embedding for candidate in self.candidates])
        # Rounded, so that the order of float32 sums, which processors choose, decides nothing.
        self.cosines: FloatArray = (vectors @ vectors.T).round(6).clip(-1, 1)
        span = max(1 - float(self.cosines[_A, _B]), _PARALLEL)
        # 0 at A, 1 at B; unlike the share of the great circle it is defined far from it, too.
        self.progress = (1 + (self.cosines[:, _B] - self.cosines[:, _A]) / span) / 2
        self.durations = np.array([each.track.duration_s for each in self.candidates])
        for row, end in enumerate(ends):
            if not end.in_library:
                self.durations[row] = 0.0

    # What only the search needs is made on demand: a corridor that is mended is not searched.

    @cached_property
    def same(self) -> npt.NDArray[np.bool_]:
        """Which tracks are near-duplicates, or the same, shape (n, n)."""
        same = near_duplicate_pairs([each.track for each in self.candidates], self.cosines)
        for row, end in enumerate(self._ends):
            if not end.in_library:  # it is not in the list, so a copy of it may be
                same[row] = same[:, row] = False
        np.fill_diagonal(same, val=True)
        return same

    @cached_property
    def artists(self) -> IdArray:
        """A number per main artist, shape (n,); a track that no gap concerns has one of its own."""
        names: list[str | None] = [
            next(iter(spaced_artists(candidate.track)), None) for candidate in self.candidates
        ]
        for row, end in enumerate(self._ends):
            if not end.in_library:
                names[row] = None
        numbers: dict[object, int] = {}
        keys = [row if name is None else name for row, name in enumerate(names)]
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys])

    @property
    def usual_s(self) -> float:
        """Median duration of the tracks."""
        return max(1.0, float(np.median(self.durations[2:]))) if len(self.candidates) > 2 else 1.0


# The way


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A way that was found."""

    rows: tuple[int, ...]  # of the corridor, A first, B last unless it was left out
    complete: bool  # whether it has the length or duration asked for
    cost: float  # mean of its steps

    @property
    def rank(self) -> tuple[bool, int, float]:
        """Sorts better routes behind."""
        return self.complete, 0 if self.complete else len(self.rows), -self.cost


class Way:
    """The way from track A to track B; see the module.

    A and B are the two seeds of the query. QueryError if they are one recording, or the length is
    too short for both.
    """

    def __init__(
        self, query: Query, options: PlaylistOptions, index: EmbeddingIndex, search: Search
    ) -> None:
        self._a, self._b = query.seeds
        self._options = options
        self._index = index
        self._search = search
        _check_ends(self._a, self._b, options)
        self._in_list = NearDuplicates()
        for end in query.seeds:
            if end.in_library:
                self._in_list.add(end.track, end.embedding)
        self._ends = {end.track.id for end in query.seeds if end.in_library}
        self._copies: set[int] = set()  # near-duplicates of A and B
        self.chosen: list[Candidate] = []  # in playing order
        self.complete = False
        self.with_last = True  # whether B fits in behind its artist's other tracks
        self.duplicates = 0  # tracks that were left out as near-duplicates
        self.searched = options.genre or "the library"
        self.held_back: list[Track] = []  # by the artist gap, where the list is too short
        self.jumps: list[tuple[Candidate, Candidate, float]] = []

    def fill(self) -> None:
        """Find the way."""
        corridor, route = self._find()
        line = list(route.rows)
        self.complete = route.complete
        if not corridor.whole:
            self.searched = f"the {len(corridor.candidates)} tracks searched in {self.searched}"
        listed = [row for row in line if row > _B or (self._a, self._b)[row].in_library]
        self.chosen = [corridor.candidates[row] for row in listed]
        others = np.arange(len(corridor.candidates)) > _B
        taken = corridor.same[listed].any(axis=0) & others
        self.duplicates = len(self._copies) + int(taken.sum()) - sum(row > _B for row in listed)
        if not self.complete:
            left = np.flatnonzero(others & ~taken).tolist()
            self.held_back = [corridor.candidates[row].track for row in left]
        for one, other in pairwise(line):
            pair = corridor.candidates[one], corridor.candidates[other]
            value = float(similarities(pair[1].embedding[np.newaxis], pair[0].embedding)[0])
            if value < JUMP:
                self.jumps.append((*pair, value))

    def _find(self) -> tuple[Corridor, Route]:
        least = TRACKS_PER_STEP * self._wanted()
        for size in (max(CORRIDOR, least), max(LARGEST_CORRIDOR, 2 * least)):
            corridor = self._gather(size)
            route = self._route(corridor)
            if corridor.whole or (route.complete and self._width(corridor, route) >= JUMP):
                break
        return corridor, route

    def _wanted(self) -> int:
        """Return the number of tracks, about, where a duration decides."""
        numbers = [] if self._options.limit is None else [self._options.limit]
        if self._options.duration_s is not None:
            numbers.append(math.ceil(self._options.duration_s / USUAL_S))
        return min(numbers)

    def _width(self, corridor: Corridor, route: Route) -> float:
        steps = corridor.cosines[route.rows[:-1], route.rows[1:]]
        return float(steps.min(initial=1.0))

    # Gathering

    def _gather(self, size: int) -> Corridor:
        a, b, genre = self._a, self._b, self._options.genre
        found: dict[int, Candidate] = {}
        if self._index.count(genre) <= size:
            self._add(found, genre, a.embedding, size)
            return self._corridor(found, whole=True)
        # The nearest tracks of every group to A and to B: a way may lead through any of them.
        groups = self._index.genres if genre is None else (genre,)
        largest = sorted(groups, key=self._index.count, reverse=True)[:GROUPS]
        for group in largest:
            for end in (a, b):
                self._add(found, group, end.embedding, max(4, size // (4 * len(largest))))
        shares = (0.25, 0.5, 0.75) if len(largest) == len(groups) else (0.0, 0.25, 0.5, 0.75, 1.0)
        each = size // (2 * len(shares))
        near = [
            self._add(found, genre, slerp(a.embedding, b.embedding, share), each)
            for share in shares
        ]
        if min(near) < each:  # fewer tracks than asked for: there are no others
            return self._corridor(found, whole=True)
        return self._mended(found)

    def _mended(self, found: dict[int, Candidate]) -> Corridor:
        """Search near the least similar step: between its ends; where that fails, at each end."""
        corridor, width = self._corridor(found, whole=False), _LEAST
        shares: tuple[float, ...] = MIDDLE
        for _ in range(MENDED):
            table = widest(corridor.cosines, self._hops(corridor))
            if table[-1][_A] > width:
                width, shares = float(table[-1][_A]), MIDDLE
            elif shares == MIDDLE:
                shares = BOTH_ENDS
            else:
                break
            for one, other in _weakest_steps(corridor.cosines, table):
                ends = corridor.candidates[one].embedding, corridor.candidates[other].embedding
                for share in shares:
                    self._add(found, self._options.genre, slerp(*ends, share), NEAR_STEP)
            corridor = self._corridor(found, whole=False)
        return corridor

    def _add(
        self, found: dict[int, Candidate], genre: str | None, target: FloatArray, number: int
    ) -> int:
        near = list(islice(self._search(genre, target, number), number))
        for candidate in near:
            track_id = candidate.track.id
            if track_id in found or track_id in self._ends:
                continue
            if self._in_list.match(candidate.track, candidate.embedding):
                self._copies.add(track_id)
            else:
                found[track_id] = candidate
        return len(near)

    def _corridor(self, found: dict[int, Candidate], *, whole: bool) -> Corridor:
        others = [found[track_id] for track_id in sorted(found)]
        return Corridor(self._a, self._b, others, whole=whole)

    # Searching

    def _inner(self, *, with_last: bool = True) -> int | None:
        """Return how many tracks are wanted between A and B; None where a duration decides."""
        limit = self._options.limit
        if limit is None:
            return None
        return limit - self._a.in_library - (self._b.in_library and with_last)

    def _hops(self, corridor: Corridor) -> int:
        """Return the number of steps of the way, about, where a duration decides."""
        inner, duration = self._inner(), self._options.duration_s
        hops = [] if inner is None else [inner + 1]
        if duration is not None:
            left = duration - corridor.durations[[_A, _B]].sum()
            hops.append(1 + max(0, round(left / corridor.usual_s)))
        return min(hops)

    def _route(self, corridor: Corridor) -> Route:
        best: Route | None = None
        for with_last in (True, False):
            table = widest(corridor.cosines, self._hops(corridor))
            for gap in self._options.gaps:
                for width in _widths(float(table[-1][_A])):
                    search = BeamSearch(corridor, self._options, table, gap, width)
                    route = search.best(self._inner(with_last=with_last), with_last=with_last)
                    if route is not None and route.complete:
                        self.with_last = with_last
                        return route
                # The last of the widths allows every step, and ways that are too short.
                if route is not None and (best is None or route.rank > best.rank):
                    best = route
            if best is not None:
                self.with_last = with_last
                return best
        return Route((_A,), complete=False, cost=0.0)


def _widths(widest_one: float) -> Iterator[float]:
    """Yield the widths to try: about the widest, then narrower ones, at last any."""
    width, step = max(widest_one - SLACK, min(widest_one, JUMP)), _NARROWER
    while width > _LEAST:
        yield width
        width, step = width - step, 2 * step
    yield _LEAST


def _weakest_steps(cosines: FloatArray, table: FloatArray) -> Iterator[tuple[int, int]]:
    """Yield the steps, of one widest way, that are no more similar than its width."""
    row, hops = _A, len(table)
    width = table[-1][_A]
    while row != _B:
        hops -= 1
        following = _B
        if hops > 0 and cosines[row, _B] < width:
            value = np.minimum(cosines[row], table[hops - 1])
            value[[_A, _B, row]] = _LEAST
            following = int(value.argmax())
        if cosines[row, following] <= width:
            yield row, following
        row = following


class BeamSearch:
    """Finds a way whose every step has a width, and that progresses evenly.

    `table` is that of :func:`widest`. A way costs the mean over its steps of the squared distances
    of the tracks, 1 - cosine, and from even progress; with a diversity, a random draw as well.
    """

    def __init__(
        self,
        corridor: Corridor,
        options: PlaylistOptions,
        table: FloatArray,
        gap: int,
        width: float,
    ) -> None:
        self._corridor = corridor
        self._options = options
        self._table = table
        self._gap = gap
        self._width = width
        rng = np.random.default_rng(options.seed)
        spread = options.diversity * DRAW_WIDTH * float(corridor.progress.std())
        self._draw = spread**2 * rng.gumbel(size=len(corridor.candidates))

    def best(self, inner: int | None, *, with_last: bool) -> Route | None:
        """Return the best way, None if there is none; `inner` tracks are between A and B."""
        corridor, short = self._corridor, self._width == _LEAST
        routes: list[Route] = []
        lines: IdArray = np.array([[_A]])
        cost, played = np.zeros(1), np.full(1, self._ends_s(with_last=with_last))
        blocked = (corridor.same[_A] | corridor.same[_B])[np.newaxis]
        while len(lines):
            open_ = self._allowed(lines, blocked, inner, played, with_last=with_last)
            fitting = open_ & self._fits(lines, played, with_last=with_last)
            done = self._full(lines, inner, played)
            done |= open_.any(axis=1) & ~fitting.any(axis=1)
            for state in range(len(lines)) if short else np.flatnonzero(done).tolist():
                complete = bool(done[state])
                route = self._closed(lines[state], cost[state], complete, with_last=with_last)
                routes += [] if route is None else [route]
            fitting[done] = False
            costs = self._costs(lines, cost, inner, played, with_last=with_last)
            costs[~fitting] = np.inf
            # Of the ways to one track only the cheapest goes on, so that the beam stays wide.
            parents = costs.argmin(axis=0)
            values = costs[parents, np.arange(len(parents))]
            rows = np.argsort(values, kind="stable")[:BEAM]
            rows = rows[np.isfinite(values[rows])]
            parents = parents[rows]
            lines = np.column_stack([lines[parents], rows])
            cost, played = values[rows], played[parents] + corridor.durations[rows]
            blocked = blocked[parents] | corridor.same[rows]
        return max(routes, key=lambda route: route.rank, default=None)

    def _ends_s(self, *, with_last: bool) -> float:
        durations = self._corridor.durations
        return float(durations[_A] + (durations[_B] if with_last else 0.0))

    def _full(
        self, lines: IdArray, inner: int | None, played: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        full = np.zeros(len(lines), bool)
        if inner is not None and lines.shape[1] > inner:
            full[:] = True
        if self._options.duration_s is not None:
            full |= played >= self._options.duration_s
        return full

    def _fits(
        self, lines: IdArray, played: npt.NDArray[np.float64], *, with_last: bool
    ) -> npt.NDArray[np.bool_]:
        """Return which tracks bring a line nearer to its duration, or are the first."""
        durations, duration = self._corridor.durations, self._options.duration_s
        first = lines.shape[1] == 1 and self._ends_s(with_last=with_last) == 0
        if duration is None or first:
            return np.ones((len(lines), len(durations)), bool)
        fits: npt.NDArray[np.bool_] = played[:, np.newaxis] + durations / 2 <= duration
        return fits

    def _allowed(
        self,
        lines: IdArray,
        blocked: npt.NDArray[np.bool_],
        inner: int | None,
        played: npt.NDArray[np.float64],
        *,
        with_last: bool,
    ) -> npt.NDArray[np.bool_]:
        corridor, artists = self._corridor, self._corridor.artists
        allowed = ~blocked & (corridor.cosines[lines[:, -1]] >= self._width)
        step = lines.shape[1]
        hops = np.full(len(lines), len(self._table))
        if inner is not None:
            hops = np.minimum(hops, max(1, inner - step + 1))
        if self._options.duration_s is not None:
            left = (self._options.duration_s - played) / corridor.usual_s
            hops = np.minimum(hops, 1 + np.maximum(0, left - 0.5).astype(int))
        if with_last:
            allowed &= self._table[hops - 1] >= self._width
        if self._gap:
            for column in range(max(0, step - self._gap), step):
                allowed &= artists != artists[lines[:, column], np.newaxis]
            # No length fixes the position of B where a duration ends the list.
            fixed = inner is not None and self._options.duration_s is None
            if with_last and (not fixed or (inner or 0) - step < self._gap):
                allowed &= artists != artists[_B]
        return allowed

    def _costs(
        self,
        lines: IdArray,
        cost: npt.NDArray[np.float64],
        inner: int | None,
        played: npt.NDArray[np.float64],
        *,
        with_last: bool,
    ) -> npt.NDArray[np.float64]:
        corridor = self._corridor
        share = np.zeros((len(lines), len(corridor.candidates)))
        if inner is not None:
            share += lines.shape[1] / (inner + 1)
        if self._options.duration_s is not None:
            # A track should match the way in its middle.
            before = played - (corridor.durations[_B] if with_last else 0.0)
            middle = before[:, np.newaxis] + corridor.durations / 2
            share = np.maximum(share, np.minimum(1.0, middle / self._options.duration_s))
        uneven = EVENNESS * (corridor.progress - share) ** 2
        distance = 1 - corridor.cosines[lines[:, -1]].astype(np.float64)
        costs: npt.NDArray[np.float64] = (
            cost[:, np.newaxis] + distance**2 + uneven - self._draw[np.newaxis]
        )
        return costs

    def _closed(
        self, line: IdArray, cost: float, complete: bool, *, with_last: bool
    ) -> Route | None:
        """Return a line with B behind it, None where B may not follow."""
        if not with_last:
            return Route(tuple(line.tolist()), complete, cost / max(1, len(line) - 1))
        last, artists = int(line[-1]), self._corridor.artists
        recent = line[max(0, len(line) - self._gap) :] if self._gap else line[:0]
        cosine = float(self._corridor.cosines[last, _B])
        if cosine < self._width or (artists[recent] == artists[_B]).any():
            return None
        total = cost + (1 - cosine) ** 2
        return Route((*line.tolist(), _B), complete, total / len(line))


def _check_ends(a: Seed, b: Seed, options: PlaylistOptions) -> None:
    same = NearDuplicates()
    same.add(a.track, a.embedding)
    if a.track.path == b.track.path or same.match(b.track, b.embedding):
        raise QueryError(
            f"{a.track.display_name} and {b.track.display_name} are one recording",
            "Name two different tracks to lead from one to the other.",
        )
    ends = a.in_library + b.in_library
    if options.limit is not None and options.limit < ends:
        raise QueryError(
            f"length must be at least {ends} from one track to another, got {options.limit}",
            "The first and the last track count as well.",
        )
