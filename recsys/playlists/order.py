"""Orders: a round of related genres, a way between two tracks, artists held apart."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from recsys.types import FloatArray

_PARALLEL = 1e-6
_NO_GAIN = 1e-9
_STARTS = 16


def related_order(related: npt.NDArray[np.float64], genres: Sequence[str]) -> list[str]:
    """Order genres in a round so that neighbours, the last and the first included, are related.

    The round is a short tour over ``-log`` of how related two genres are: nearest-neighbour tours
    from several genres, each improved by 2-opt (Croes 1958, Operations Research 6) until no
    exchange helps, and the shortest of them.

    Parameters
    ----------
    related : ndarray of float64, shape (n, n)
        Symmetric, not negative; see :meth:`recsys.recommender.taxonomy.Taxonomy.relatedness`.
    genres : sequence of str
        One per row, without repeats. The first one stays first.

    Returns
    -------
    list of str
        The same for the same genres; of the two directions, the one that goes to the more related
        neighbour first.
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
            turned = costs[before, last] + costs[first, after]
            if before != last and turned < costs[before, first] + costs[last, after] - _NO_GAIN:
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


def slerp(start: FloatArray, end: FloatArray, share: float) -> FloatArray:
    """Return the point of the great circle between two unit vectors (Shoemake 1985, SIGGRAPH).

    Parameters
    ----------
    start, end : ndarray of float32, shape (d,)
        Unit length. Between opposite vectors, the way leads over the axis that is least like them.
    share : float
        How much of the way is done, in [0, 1].

    Returns
    -------
    ndarray of float32, shape (d,)
        Unit length.

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


def spread_artists(
    order: Sequence[int],
    artists: Sequence[str | None],
    gap: int,
    before: Sequence[str | None] = (),
    after: Sequence[str | None] = (),
) -> list[int] | None:
    """Keep an order as far as possible while holding the tracks of one artist apart.

    At every place the first of the remaining tracks that the gap allows is taken.

    Parameters
    ----------
    order : sequence of int
        Rows of `artists` in the wanted order.
    artists : sequence of (str or None)
        None is held apart from nothing.
    gap : int
        At least so many other tracks between two of one artist.
    before, after : sequence of (str or None)
        Artists of the tracks around them.

    Returns
    -------
    list of int or None
        None when this leads into a dead end.
    """
    left = list(order)
    placed: list[int] = []
    line = list(before)
    while left:
        blocked = set(line[-gap:]) - {None} if gap else set()
        row = next((row for row in left if artists[row] not in blocked), None)
        if row is None:
            return None
        left.remove(row)
        placed.append(row)
        line.append(artists[row])
    return placed if gap_holds([*line, *after], gap) else None


def gap_holds(artists: Sequence[str | None], gap: int) -> bool:
    """Tell whether at least `gap` other tracks stand between any two of one artist."""
    last: dict[str, int] = {}
    for place, artist in enumerate(artists):
        if artist is None:
            continue
        if artist in last and place - last[artist] <= gap:
            return False
        last[artist] = place
    return True
