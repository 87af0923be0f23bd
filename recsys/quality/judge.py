"""One system judged: its rankings in blocks of queries, and the figures that come of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.quality import metrics
from recsys.quality.bootstrap import NOT_MEASURED, Figure
from recsys.quality.bootstrap import measure as with_interval
from recsys.quality.metrics import NOBODY
from recsys.quality.results import FIGURES, SystemQuality
from recsys.quality.systems import best_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from recsys.quality.catalogue import Catalogue
    from recsys.quality.labels import Labels
    from recsys.quality.metrics import BoolArray, Values
    from recsys.quality.systems import System
    from recsys.types import IdArray

BLOCK_ELEMENTS = 2_000_000
"""Query and candidate pairs that are ranked at once: about 150 MB of arrays."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What every system is judged on.

    Attributes
    ----------
    catalogue : Catalogue
        The tracks that are ranked.
    labels : Labels
        What decides whether a track is right.
    rows : ndarray of int64, shape (queries,)
        The tracks that query, ascending.
    k : int
        Length of a list.
    seed : int
        Of the intervals.
    """

    catalogue: Catalogue
    labels: Labels
    rows: IdArray
    k: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The figures of a system, and its lists for whatever else is asked of them.

    Attributes
    ----------
    quality : SystemQuality
    rows : ndarray of int64, shape (queries,)
        The queries of which the system knows something.
    lists : ndarray of int64, shape (queries, k)
        What it recommends to each.
    counts : ndarray of int64, shape (n,)
        In how many lists of the queries among each other a track stands.
    """

    quality: SystemQuality
    rows: IdArray
    lists: IdArray
    counts: IdArray


def judge(
    system: System, task: Task, on_block: Callable[[int], object] = lambda _: None
) -> Judgement:
    """Rank the library for every query and measure the rankings.

    Parameters
    ----------
    system : System
        What ranks.
    task : Task
        What it is judged on.
    on_block : callable
        Told how many queries were done since the last call.
    """
    known = np.ones(len(task.catalogue), bool) if system.known is None else system.known
    rows = task.rows[known[task.rows]]
    columns: defaultdict[str, list[npt.NDArray[Any]]] = defaultdict(list)
    for block in _blocks(rows, len(task.catalogue)):
        ranked = _Ranked(task, block, best_first(system.scores(block)), known)
        for name, values in ranked.values().items():
            columns[name].append(values)
        on_block(len(block))
    on_block(len(task.rows) - len(rows))
    per_query = {name: np.concatenate(values) for name, values in columns.items()}
    among = np.zeros(len(known), bool)
    among[rows] = True
    return _judgement(system, task, rows, among, per_query)


def _blocks(rows: IdArray, n: int) -> Iterator[IdArray]:
    step = max(1, BLOCK_ELEMENTS // max(1, n))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


class _Ranked:
    """Rankings of one block of queries, and who in them counts as what."""

    def __init__(self, task: Task, rows: IdArray, order: IdArray, known: BoolArray) -> None:
        self._task = task
        self._order = order
        sample = np.zeros(len(known), bool)
        sample[task.rows] = True
        self._others = known[order] & (order != rows[:, np.newaxis])
        self._sampled = self._others & sample[order]
        self._labels = task.labels.codes[order]
        self._own_labels = task.labels.codes[rows]
        self._artists = task.catalogue.artists[order]
        self._same_artist = _equal(self._artists, task.catalogue.artists[rows])
        self._same_album = _equal(task.catalogue.albums[order], task.catalogue.albums[rows])

    def values(self) -> dict[str, npt.NDArray[Any]]:
        """Return every figure of every query, and its lists."""
        k, others, foreign = self._task.k, self._others, ~self._same_artist
        lists = metrics.first_kept(self._order, others, k)
        artists = np.where(lists == NOBODY, NOBODY, self._task.catalogue.artists[lists])
        return {
            **self._genre_values("", others),
            **self._genre_values("_artist_filtered", others & foreign),
            "artist_map": metrics.average_precision(self._same_artist, others, k),
            "album_consistency": metrics.found_at_k(self._same_album, others, k),
            "same_artist_run": metrics.longest_run(artists).astype(np.float64),
            "lists": lists,
            "among": metrics.first_kept(self._order, self._sampled, k),
            "among_filtered": metrics.first_kept(self._order, self._sampled & foreign, k),
        }

    def _genre_values(self, suffix: str, kept: BoolArray) -> dict[str, Values]:
        """Return precision and average precision; NaN for queries without a label."""
        right = _equal(self._labels, self._own_labels)
        judged = kept & (self._labels != NOBODY)
        precision = metrics.precision_at_k(right, judged, self._task.k)
        precision[self._own_labels == NOBODY] = np.nan
        return {
            f"genre_precision{suffix}": precision,
            f"genre_map{suffix}": metrics.average_precision(right, judged),
        }


def _equal(ranked: IdArray, own: IdArray) -> BoolArray:
    """Tell which of the ranked have the query's own number; nobody is equal to nobody."""
    same: BoolArray = (ranked == own[:, np.newaxis]) & (own[:, np.newaxis] != NOBODY)
    return same


def _judgement(
    system: System,
    task: Task,
    rows: IdArray,
    among: BoolArray,
    values: Mapping[str, npt.NDArray[Any]],
) -> Judgement:
    n = len(task.catalogue)
    if not values:
        nothing = dict.fromkeys(FIGURES, NOT_MEASURED)
        quality = SystemQuality(system.name, system.title, system.note, nothing, {}, ())
        empty = np.empty((0, task.k), np.int64)
        return Judgement(quality, rows, empty, np.zeros(n, np.int64))
    lists = values["lists"]
    counts = metrics.k_occurrences(values["among"], n)
    filtered = metrics.k_occurrences(values["among_filtered"], n)
    figures = {
        name: with_interval(values[name], seed=task.seed) for name in FIGURES if name in values
    } | {
        "coverage": Figure(metrics.coverage(lists, n), None, None, len(rows)),
        "hubness_skewness": with_interval(counts[among], metrics.skewness, seed=task.seed),
        "hubness_skewness_artist_filtered": with_interval(
            filtered[among], metrics.skewness, seed=task.seed
        ),
        "robin_hood": with_interval(counts[among], metrics.robin_hood, seed=task.seed),
        "orphans": with_interval(counts[among], metrics.orphan_share, seed=task.seed),
    }
    quality = SystemQuality(
        system.name,
        system.title,
        system.note,
        {name: figures[name] for name in FIGURES},
        _by_label(task, rows, values["genre_precision_artist_filtered"]),
        tuple(np.sort(counts[among])[::-1].tolist()),
    )
    return Judgement(quality, rows, lists, counts)


def _by_label(task: Task, rows: IdArray, precision: Values) -> dict[str, float]:
    own = task.labels.codes[rows]
    return {
        task.labels.names[code]: float(precision[own == code].mean())
        for code in np.unique(own[own != NOBODY]).tolist()
    }
