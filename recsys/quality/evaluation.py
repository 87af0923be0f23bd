"""Measure a library: choose labels, draw queries, judge systems."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from recsys.errors import QueryError, require
from recsys.learned import is_learned, training_keys
from recsys.quality import metrics, systems
from recsys.quality.labels import Columns, LabelSource, choose_labels, read_columns
from recsys.quality.metrics import NOBODY, NOT_MEASURED, Figure, figure_of
from recsys.quality.results import (
    DEFAULT_SAMPLE,
    EXACT_UP_TO,
    FIGURES,
    Hub,
    Lift,
    Quality,
    QualityOptions,
    SystemQuality,
    TierGain,
    TierPurity,
)
from recsys.recommender.duplicates import NearDuplicates
from recsys.recommender.taxonomy import taxonomy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from recsys.index.base import EmbeddingIndex
    from recsys.quality.labels import Labels
    from recsys.quality.metrics import BoolArray, Values
    from recsys.quality.systems import System
    from recsys.store import Store
    from recsys.types import IdArray, ModelInfo

BLOCK_ELEMENTS = 2_000_000
"""Pairs of query and candidate ranked at once: about 150 MB of arrays."""

MIN_TRACKS = 5
HUBS_NAMED = 10

Progress: TypeAlias = "Callable[[str, int, int], object]"
"""Called with the stage, how much of it is done, and how much there is."""


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
        Its embeddings, which some taxonomies ask.
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
    MissingExtraError
        An option needs the extra ``[papers]`` or ``[train]``, which is not installed.
    """
    options = options or QualityOptions()
    if options.hubness:
        require("scipy.special", "train")  # before anything takes long
    columns = read_columns(store)
    _check_size(len(columns), options.k)
    labels = choose_labels(columns, options.labels)
    rows = draw_queries(len(columns), options)
    sound = read_sound(store, info, columns)
    task = QualityTask(columns, labels, rows, options.k, options.seed, sound)
    # The floor first; every other ranking must beat it.
    compared = [systems.random_order(len(columns), options.seed)]
    if columns.tag_names:
        by_tags = labels.source == LabelSource.TAG
        compared.append(systems.tag_genre(columns, options.seed, judged_by_tags=by_tags))
    if options.hand_made:
        compared.append(_hand_made(task, store, workers, on_progress))
    vectors, taxonomy = columns.embeddings, taxonomy_of(store, index, info)
    compared += [systems.embedding(vectors), systems.tiers(columns, store, info, taxonomy)]
    if options.hubness:
        reductions = (systems.centred, systems.local_scaling, systems.mutual_proximity)
        compared += [reduce(vectors) for reduce in reductions]
    judged = {own.name: judge(own, task, on_progress) for own in compared}
    return _quality(task, store, info, judged)


@dataclass(frozen=True, slots=True, eq=False)
class QualityTask:
    """Input on which every system is judged."""

    columns: Columns  # the tracks that are ranked
    labels: Labels  # a track is right if it has that of the query
    rows: IdArray  # (queries,), ascending
    k: int  # length of a list
    seed: int  # of the intervals
    sound: Values | None = None  # (n, tags): z-scores of the model's tags, of unit length


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The figures of a system, and its lists."""

    quality: SystemQuality
    rows: IdArray  # (queries,): those for which the system can rank
    lists: IdArray  # (queries, k): the recommended rows
    counts: IdArray  # (n,): occurrences of each track in the lists, of queries alone
    values: Mapping[str, Values]  # of each query, by the keys of FIGURES


def _check_size(n: int, k: int) -> None:
    if n < MIN_TRACKS:
        raise QueryError(
            f"the library holds {n} tracks, too few to measure anything",
            f"Index at least {MIN_TRACKS}; useful figures need some hundreds.",
        )
    if k >= n:
        raise QueryError(
            f"k is {k}, but each of the {n} tracks has only {n - 1} others",
            f"Give --k {n - 1} or less, or index more music.",
        )


def draw_queries(n: int, options: QualityOptions) -> IdArray:
    """Return the query rows, ascending: all of them, or a sample drawn by the seed."""
    wanted = options.sample
    if wanted is None:
        wanted = n if n <= EXACT_UP_TO else DEFAULT_SAMPLE
    if wanted >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(options.seed).choice(n, wanted, replace=False))


def read_sound(store: Store, info: ModelInfo, columns: Columns) -> Values | None:
    """Return the z-scores of the model's tags for the tracks, (n, tags), of unit length.

    They are relative to the library. A track without any is 0; None for a model without tags.
    """
    if not info.tags:
        return None
    ids, scores = store.all_tag_scores()
    position = {track_id: row for row, track_id in enumerate(columns.ids.tolist())}
    known = np.array([track_id in position for track_id in ids.tolist()], dtype=bool)
    rows = np.array([position[i] for i in ids[known].tolist()], dtype=np.int64)
    strengths = np.full((len(columns), len(info.tags)), np.nan)
    strengths[rows] = info.tag_strengths(scores[known])
    return systems.standardised(strengths, np.asarray(~np.isnan(strengths).any(axis=1)))


def _hand_made(
    task: QualityTask, store: Store, workers: int | None, on_progress: Progress
) -> System:
    # Imported here: it loads the decoders.
    from recsys.quality.hand_made import hand_made_features

    features, skipped = hand_made_features(
        store,
        task.columns.ids[task.rows],
        workers=workers,
        on_file=lambda done, total: on_progress("hand-made features", done, total),
    )
    of_all = np.full((len(task.columns), features.shape[1]), np.nan, dtype=np.float32)
    of_all[task.rows] = features
    limited = len(task.rows) < len(task.columns)
    return systems.hand_made(of_all, skipped=skipped, limited=limited)


# One system


def judge(system: System, task: QualityTask, on_progress: Progress = lambda *_: None) -> Judgement:
    """Rank the library for every query, block by block, and measure the rankings."""
    n, total = len(task.columns), len(task.rows)
    known = np.ones(n, bool) if system.known is None else system.known
    rows = task.rows[known[task.rows]]
    step = max(1, BLOCK_ELEMENTS // n)
    parts: defaultdict[str, list[npt.NDArray[Any]]] = defaultdict(list)
    on_progress(system.title, 0, total)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        # Blocks bound the memory: a ranking of all tracks for all queries is n^2.
        measured = _measured(task, block, systems.best_first(system.scores(block)), known)
        for name, values in measured.items():
            parts[name].append(values)
        on_progress(system.title, start + len(block), total)
    if len(rows) < total:
        on_progress(system.title, total, total)
    if not parts:
        nothing = dict.fromkeys(FIGURES, NOT_MEASURED)
        quality = SystemQuality(system.name, system.title, system.note, nothing, {}, (), 0)
        lists = np.empty((0, task.k), np.int64)
        return Judgement(quality, rows, lists, np.zeros(n, np.int64), {})
    return _judgement(
        system, task, rows, {name: np.concatenate(own) for name, own in parts.items()}
    )


def _measured(
    task: QualityTask, rows: IdArray, order: IdArray, known: BoolArray
) -> dict[str, npt.NDArray[Any]]:
    """Return every figure of every query of a block, and its lists."""
    k, columns, codes = task.k, task.columns, task.labels.codes
    queries = np.zeros(len(known), bool)
    queries[task.rows] = True
    others = known[order] & (order != rows[:, np.newaxis])
    sampled = others & queries[order]
    same_artist = _same(columns.artists, order, rows)
    same_album = _same(columns.albums, order, rows)
    right, unlabelled = _same(codes, order, rows), codes[rows] == NOBODY
    lists = metrics.first_kept(order, others, k)
    artists = np.where(lists == NOBODY, NOBODY, columns.artists[lists])
    measured: dict[str, npt.NDArray[Any]] = {
        "artist_map": metrics.average_precision(same_artist, others, k),
        "album_consistency": metrics.found_at_k(same_album, others, k),
        "same_artist_run": metrics.longest_run(artists).astype(np.float64),
        "lists": lists,
        "among": metrics.first_kept(order, sampled, k),
        "among_filtered": metrics.first_kept(order, sampled & ~same_artist, k),
    }
    for suffix, kept in (("", others), ("_artist_filtered", others & ~same_artist)):
        judged = kept & (codes[order] != NOBODY)
        precision = metrics.precision_at_k(right, judged, k)
        precision[unlabelled] = np.nan  # not 0: nothing could be right
        measured[f"genre_precision{suffix}"] = precision
        measured[f"genre_map{suffix}"] = metrics.average_precision(right, judged)
    measured["tag_ndcg"] = np.full(len(rows), np.nan)
    if task.sound is not None:
        alike = np.take_along_axis(task.sound[rows] @ task.sound.T, order, axis=1)
        gains = np.maximum(alike, 0.0)
        measured["tag_ndcg"] = metrics.ndcg_at_k(gains, others & ~same_artist, k)
    return measured


def _same(codes: IdArray, order: IdArray, rows: IdArray) -> BoolArray:
    """Return which candidates have the code of the query; NOBODY equals nothing."""
    own = codes[rows][:, np.newaxis]
    same: BoolArray = (codes[order] == own) & (own != NOBODY)
    return same


def _judgement(
    system: System, task: QualityTask, rows: IdArray, values: Mapping[str, npt.NDArray[Any]]
) -> Judgement:
    n, groups = len(task.columns), task.columns.artist_groups[rows]
    lists = values["lists"]
    counts = metrics.k_occurrences(values["among"], n)
    filtered = metrics.k_occurrences(values["among_filtered"], n)

    def hubness(of: IdArray, statistic: Callable[[npt.NDArray[np.number]], float]) -> Figure:
        return figure_of(of[rows].astype(np.float64), groups, task.seed, statistic)

    figures = {
        name: figure_of(values[name], groups, task.seed) for name in FIGURES if name in values
    } | {
        "coverage": Figure(metrics.coverage(lists, n), None, None, len(rows)),
        "hubness_skewness": hubness(counts, metrics.skewness),
        "hubness_skewness_artist_filtered": hubness(filtered, metrics.skewness),
        "robin_hood": hubness(counts, metrics.robin_hood),
        "orphans": hubness(counts, metrics.orphan_share),
    }
    quality = SystemQuality(
        system.name,
        system.title,
        system.note,
        {name: figures[name] for name in FIGURES},
        _by_label(task, rows, values["genre_precision_artist_filtered"]),
        tuple(np.sort(counts[rows])[::-1].tolist()),
        n if system.known is None else int(system.known.sum()),
    )
    per_query = {name: values[name] for name in FIGURES if name in values}
    return Judgement(quality, rows, lists, counts, per_query)


def _by_label(task: QualityTask, rows: IdArray, precision: Values) -> dict[str, float]:
    own = task.labels.codes[rows]
    return {
        task.labels.names[code]: float(precision[own == code].mean())
        for code in np.unique(own[own != NOBODY]).tolist()
    }


# The whole library


def _quality(
    task: QualityTask, store: Store, info: ModelInfo, judged: dict[str, Judgement]
) -> Quality:
    columns, labels, artists = task.columns, task.labels, task.columns.artists
    confusion = _confusion(columns, labels)
    return Quality(
        model=info.name,
        tracks=len(columns),
        queries=len(task.rows),
        k=task.k,
        seed=task.seed,
        label_source=labels.source,
        label_reason=labels.reason,
        label_counts=labels.counts,
        artists=len(np.unique(artists[artists != NOBODY])),
        unnamed=int((artists == NOBODY).sum()),
        tagged=bool(columns.tag_names),
        ceiling=_ceiling(task),
        near_duplicates=_near_duplicate_queries(store, columns, judged["embedding"]),
        purity=_purity(task, store),
        tiers=_tier_purities(columns, confusion),
        confusion=confusion,
        systems=tuple(own.quality for own in judged.values()),
        hubs=_hubs(store, columns, judged["embedding"]),
        gains=_gains(task, judged["recommender"], judged["embedding"]),
        lift=_lift(task, judged["recommender"], judged["random"]),
        learned=_learned(store, columns),
    )


def _learned(store: Store, columns: Columns) -> int | None:
    """Return how many tracks of the library its model learned from."""
    keys = training_keys(json.loads(store.model_card() or "{}").get("training", {}))
    if keys is None:
        return None
    ids = set(columns.ids.tolist())
    return sum(is_learned(keys, track.path) for track in store.all_tracks() if track.id in ids)


def _gains(task: QualityTask, tiers: Judgement, alone: Judgement) -> tuple[TierGain, ...]:
    """Compare tiers with the embedding alone, query by query, where the labels do not decide it."""
    figures = {name: _difference(task, tiers, alone, name) for name in _telling(task)}
    return tuple(TierGain(name, own) for name, own in figures.items() if own.value is not None)


def _telling(task: QualityTask) -> tuple[str, ...]:
    """Return the figures that tell something: with labels of the model, tiers are right anyway."""
    by_label = ("genre_precision_artist_filtered",)
    return (*(() if task.labels.source == LabelSource.MODEL else by_label), "tag_ndcg")


def _difference(task: QualityTask, one: Judgement, other: Judgement, name: str) -> Figure:
    """Return the mean difference of a figure query by query, with whole artists resampled."""
    groups = task.columns.artist_groups[one.rows]
    return figure_of(one.values[name] - other.values[name], groups, task.seed)


def _lift(task: QualityTask, own: Judgement, random: Judgement) -> Lift | None:
    """Compare the recommender with a random order, which ranks the same queries."""
    for name in _telling(task):
        difference = _difference(task, own, random, name)
        if difference.value is not None:
            value, chance = (float(np.nanmean(x.values[name])) for x in (own, random))
            return Lift(name, value, chance, difference)
    return None


def _near_duplicate_queries(store: Store, columns: Columns, judged: Judgement) -> int:
    """Return how many queries have a near-duplicate of themselves in their list."""
    found = 0
    for row, listed in zip(judged.rows.tolist(), judged.lists, strict=True):
        rows = listed[listed != NOBODY].tolist()
        tracks = store.tracks([int(columns.ids[r]) for r in (row, *rows)])
        own = tracks.get(int(columns.ids[row]))
        if own is None:
            continue
        near = NearDuplicates()
        near.add(own, columns.embeddings[row])
        pairs = ((tracks.get(int(columns.ids[r])), columns.embeddings[r]) for r in rows)
        found += any(track is not None and near.match(track, vector) for track, vector in pairs)
    return found


def _ceiling(task: QualityTask) -> float | None:
    """Return the genre P@k of a perfect ranking without tracks of the same artist."""
    codes, groups, rows = task.labels.codes, task.columns.artist_groups, task.rows
    judged = rows[codes[rows] != NOBODY]
    if not len(judged):
        return None
    of_label = np.bincount(codes[codes != NOBODY])
    # Tracks of the same label and artist; a track without an artist excludes itself alone.
    pair = codes * (groups.max() + 1) + groups
    _, pairs, of_pair = np.unique(pair, return_inverse=True, return_counts=True)
    possible = np.minimum(of_label[codes[judged]] - of_pair[pairs][judged], task.k)
    return float(possible.mean() / task.k)


def _purity(task: QualityTask, store: Store) -> Figure:
    """Return the share of labelled tracks that have the most common label of their tier."""
    labels = task.labels
    chosen = labels.codes != NOBODY
    # Where the labels are the tiers, purity is 1 by definition.
    if (labels.source, store.genre_source()) in {("model", "gtzan"), ("tag", "own")}:
        return NOT_MEASURED
    right = metrics.in_majority(task.columns.groups[chosen], labels.codes[chosen])
    groups = task.columns.artist_groups[chosen]
    return figure_of(right.astype(np.float64), groups, task.seed)


def _confusion(columns: Columns, labels: Labels) -> dict[str, dict[str, int]]:
    chosen = labels.codes != NOBODY
    table = np.zeros((len(labels.names), len(columns.group_names)), dtype=np.int64)
    np.add.at(table, (labels.codes[chosen], columns.groups[chosen]), 1)
    return {
        name: dict(zip(columns.group_names, row, strict=True))
        for name, row in zip(labels.names, table.tolist(), strict=True)
    }


def _tier_purities(
    columns: Columns, confusion: dict[str, dict[str, int]]
) -> tuple[TierPurity, ...]:
    found = []
    for genre in columns.group_names:
        column = {label: row[genre] for label, row in confusion.items()}
        if total := sum(column.values()):
            label = max(column, key=column.__getitem__)
            found.append(TierPurity(genre, total, label, column[label] / total))
    return tuple(sorted(found, key=lambda tier: (-tier.tracks, tier.genre)))


def _hubs(store: Store, columns: Columns, judged: Judgement) -> tuple[Hub, ...]:
    least = np.sort(judged.counts)[-HUBS_NAMED:][0]
    rows = np.flatnonzero(judged.counts >= least)
    tracks = store.tracks(columns.ids[rows].tolist())
    hubs = [
        Hub(track.id, track.path, track.display_name, int(judged.counts[row]))
        for row in rows.tolist()
        if (track := tracks.get(int(columns.ids[row]))) is not None
    ]
    # Not by id, which depends on which of several workers was first.
    return tuple(sorted(hubs, key=lambda hub: (-hub.lists, hub.path))[:HUBS_NAMED])
