"""A library measured: labels chosen, queries drawn, systems judged, notes written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from recsys.errors import QueryError
from recsys.quality import metrics
from recsys.quality.labels import Catalogue, choose_labels, read_catalogue
from recsys.quality.metrics import NOBODY, NOT_MEASURED, Figure
from recsys.quality.metrics import measure as with_interval
from recsys.quality.results import (
    DEFAULT_SAMPLE,
    EXACT_UP_TO,
    FIGURES,
    Hub,
    Quality,
    QualityOptions,
    SystemQuality,
    TierPurity,
)
from recsys.quality.systems import (
    Embedding,
    HandMade,
    LocalScaling,
    MutualProximity,
    RandomOrder,
    TagGenre,
    Tiers,
    best_first,
    centred,
)
from recsys.recommender.duplicates import NearDuplicates
from recsys.recommender.taxonomy import taxonomy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from recsys.index.base import EmbeddingIndex
    from recsys.quality.labels import Labels
    from recsys.quality.metrics import BoolArray, Values
    from recsys.quality.systems import System
    from recsys.store import Store
    from recsys.types import IdArray, ModelInfo

# One system judged: its rankings in blocks of queries, and the figures that come of them.


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


# What has to be known to read the figures of a library, in sentences.


def notes_of(task: Task, near_duplicates: int) -> tuple[str, ...]:
    """Return a sentence for everything that is not as one might take it to be.

    Parameters
    ----------
    task : Task
        What was measured.
    near_duplicates : int
        Queries with a near-duplicate in their list by embedding.
    """
    catalogue, labels = task.catalogue, task.labels
    n, queries = len(catalogue), len(task.rows)
    unnamed = int((catalogue.artists == NOBODY).sum())
    notes = []
    if labels.source == "none":
        notes.append(f"No genre figures: {labels.reason}.")
    elif labels.labelled < n:
        notes.append(
            f"{n - labels.labelled} of {n} tracks have no label and take no part in genre figures."
        )
    if labels.source == "model":
        notes.append(
            "The labels are the model's own: genre figures do not show whether it hears rightly."
        )
    if queries < n:
        notes.append(
            f"{queries} of {n} tracks query, drawn with seed {task.seed}; hubness is measured "
            "among them alone."
        )
    if unnamed:
        notes.append(
            f"{unnamed} of {n} tracks name no artist; for them 'other artists' removes nothing."
        )
    if not catalogue.tag_names:
        notes.append("No track has a genre tag, so there is no row for tag genre only.")
    notes.append(
        "Near-duplicates stay in all rankings here, though recsys similar hides them; "
        f"{near_duplicates} of {queries} queries have one in their list by embedding."
    )
    return tuple(notes)


# ----------------------------------------------------------------------


MIN_TRACKS = 5
"""Fewer tracks have nothing to say."""

HUBS_NAMED = 10

Progress: TypeAlias = "Callable[[str, int, int], object]"
"""Told what is being done, how much of it is done, and how much there is."""


def measure_quality(
    store: Store,
    index: EmbeddingIndex,
    info: ModelInfo,
    options: QualityOptions | None = None,
    *,
    workers: int | None = None,
    on_progress: Progress = lambda *_: None,
) -> Quality:
    """Measure how good the recommendations from a library are.

    Parameters
    ----------
    store : Store
        The library.
    index : EmbeddingIndex
        Its embeddings, which some ways of sorting it into tiers ask.
    info : ModelInfo
        The model that analysed it.
    options : QualityOptions, optional
    workers : int, optional
        Decoding processes for the hand-made features; by default one per processor.
    on_progress : callable
        See :data:`Progress`.

    Returns
    -------
    Quality

    Raises
    ------
    QueryError
        The library has too few tracks, fewer than a list is to have, or no labels of the kind
        that was asked for.
    """
    options = options or QualityOptions()
    catalogue = read_catalogue(store)
    _check_size(len(catalogue), options.k)
    labels = choose_labels(catalogue, options.labels)
    rows = draw_queries(len(catalogue), options)
    task = Task(catalogue, labels, rows, options.k, options.seed)
    systems = _free_systems(task)
    if options.hand_made:
        systems.append(_hand_made(task, store, workers, on_progress))
    vectors = catalogue.embeddings
    systems += [Embedding(vectors), Tiers(catalogue, store, info, taxonomy_of(store, index, info))]
    if options.hubness:
        systems += [centred(vectors), LocalScaling(vectors), MutualProximity(vectors)]
    judged = {own.name: _watched(own, task, on_progress) for own in systems}
    return _quality(task, store, info, judged)


def _check_size(n: int, k: int) -> None:
    if n < MIN_TRACKS:
        raise QueryError(
            f"the library holds {n} tracks, too few to measure anything",
            f"Index at least {MIN_TRACKS}; figures that mean something take some hundreds.",
        )
    if k >= n:
        raise QueryError(
            f"k is {k}, but each of the {n} tracks has only {n - 1} others to be compared with",
            f"Give --k {n - 1} or less, or index more music.",
        )


def draw_queries(n: int, options: QualityOptions) -> IdArray:
    """Return the rows that query, ascending: all of them, or a sample drawn by the seed."""
    wanted = options.sample
    if wanted is None:
        wanted = n if n <= EXACT_UP_TO else DEFAULT_SAMPLE
    if wanted >= n:
        return np.arange(n)
    drawn = np.random.default_rng(options.seed).choice(n, wanted, replace=False)
    return np.sort(drawn)


def _free_systems(task: Task) -> list[System]:
    """Return what ranks without hearing anything."""
    catalogue = task.catalogue
    systems: list[System] = [RandomOrder(len(catalogue), task.seed)]
    if catalogue.tag_names:
        by_tags = task.labels.source == "tag"
        systems.append(TagGenre(catalogue, task.seed, judged_by_tags=by_tags))
    return systems


def _hand_made(task: Task, store: Store, workers: int | None, on_progress: Progress) -> HandMade:
    # Imported here: it decodes, and loads what that takes.
    from recsys.quality.hand_made import hand_made_features

    features, skipped = hand_made_features(
        store,
        task.catalogue.ids[task.rows],
        workers=workers,
        on_file=lambda done, total: on_progress("hand-made features", done, total),
    )
    spread = np.full((len(task.catalogue), features.shape[1]), np.nan, dtype=np.float32)
    spread[task.rows] = features
    return HandMade(spread, skipped=skipped, limited=len(task.rows) < len(task.catalogue))


def _watched(system: System, task: Task, on_progress: Progress) -> Judgement:
    done, total = 0, len(task.rows)
    on_progress(system.title, done, total)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        on_progress(system.title, done, total)

    return judge(system, task, advance)


def _quality(task: Task, store: Store, info: ModelInfo, judged: dict[str, Judgement]) -> Quality:
    catalogue, labels = task.catalogue, task.labels
    near = near_duplicate_queries(store, catalogue, judged["embedding"])
    artists, confusion = catalogue.artists, _confusion(catalogue, labels)
    return Quality(
        model=info.name,
        tracks=len(catalogue),
        queries=len(task.rows),
        k=task.k,
        seed=task.seed,
        label_source=labels.source,
        label_reason=labels.reason,
        label_counts=_counts(labels),
        artists=len(np.unique(artists[artists != NOBODY])),
        unnamed=int((artists == NOBODY).sum()),
        ceiling=ceiling(task),
        near_duplicates=near,
        purity=NOT_MEASURED if _labels_are_tiers(task, store) else purity(task),
        tiers=_tier_purities(catalogue, confusion),
        confusion=confusion,
        systems=tuple(own.quality for own in judged.values()),
        hubs=_hubs(store, catalogue, judged["embedding"]),
        notes=notes_of(task, near),
    )


def near_duplicate_queries(store: Store, catalogue: Catalogue, judged: Judgement) -> int:
    """Return how many queries have a near-duplicate of themselves in their list."""
    found = 0
    for row, listed in zip(judged.rows.tolist(), judged.lists, strict=True):
        rows = listed[listed != NOBODY].tolist()
        tracks = store.tracks([int(catalogue.ids[r]) for r in (row, *rows)])
        own = tracks.get(int(catalogue.ids[row]))
        if own is None:
            continue
        heard = NearDuplicates()
        heard.add(own, catalogue.embeddings[row])
        pairs = ((tracks.get(int(catalogue.ids[r])), catalogue.embeddings[r]) for r in rows)
        found += any(track is not None and heard.match(track, vector) for track, vector in pairs)
    return found


def ceiling(task: Task) -> float | None:
    """Return the genre P@k of a perfect ranking without tracks of the same artist."""
    codes, artists, rows = task.labels.codes, task.catalogue.artists, task.rows
    judged = rows[codes[rows] != NOBODY]
    if not len(judged):
        return None
    of_label = np.bincount(codes[codes != NOBODY])
    pair = codes * (artists.max() + 2) + artists
    _, pairs, of_pair = np.unique(pair, return_inverse=True, return_counts=True)
    own = np.where(artists == NOBODY, 1, of_pair[pairs])
    possible = np.minimum(of_label[codes[judged]] - own[judged], task.k)
    return float(possible.mean() / task.k)


def _labels_are_tiers(task: Task, store: Store) -> bool:
    return (task.labels.source, store.genre_source()) in {("model", "model"), ("tag", "own")}


def purity(task: Task) -> Figure:
    """Return the share of the tracks with a label that have the commonest one of their tier."""
    labels = task.labels
    chosen = labels.codes != NOBODY
    if not chosen.any():
        return NOT_MEASURED
    right = metrics.in_majority(task.catalogue.parts[chosen], labels.codes[chosen])
    return with_interval(right.astype(np.float64), seed=task.seed)


def _counts(labels: Labels) -> dict[str, int]:
    counts = np.bincount(labels.codes[labels.codes != NOBODY], minlength=len(labels.names))
    return {name: int(count) for name, count in zip(labels.names, counts, strict=True)}


def _confusion(catalogue: Catalogue, labels: Labels) -> dict[str, dict[str, int]]:
    chosen = labels.codes != NOBODY
    table = np.zeros((len(labels.names), len(catalogue.part_names)), dtype=np.int64)
    np.add.at(table, (labels.codes[chosen], catalogue.parts[chosen]), 1)
    return {
        name: dict(zip(catalogue.part_names, row, strict=True))
        for name, row in zip(labels.names, table.tolist(), strict=True)
    }


def _tier_purities(
    catalogue: Catalogue, confusion: dict[str, dict[str, int]]
) -> tuple[TierPurity, ...]:
    found = []
    for genre in catalogue.part_names:
        column = {label: row[genre] for label, row in confusion.items()}
        total = sum(column.values())
        if total:
            label = max(column, key=column.__getitem__)
            found.append(TierPurity(genre, total, label, column[label] / total))
    return tuple(sorted(found, key=lambda tier: (-tier.tracks, tier.genre)))


def _hubs(store: Store, catalogue: Catalogue, judged: Judgement) -> tuple[Hub, ...]:
    rows = np.argsort(-judged.counts, kind="stable")[:HUBS_NAMED]
    tracks = store.tracks(catalogue.ids[rows].tolist())
    return tuple(
        Hub(track.id, track.path, track.display_name, int(judged.counts[row]))
        for row in rows.tolist()
        if (track := tracks.get(int(catalogue.ids[row]))) is not None
    )
