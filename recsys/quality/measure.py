"""A library measured: labels chosen, queries drawn, systems judged, notes written."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsys.errors import QueryError
from recsys.quality import metrics
from recsys.quality.bootstrap import NOT_MEASURED
from recsys.quality.bootstrap import measure as with_interval
from recsys.quality.catalogue import Catalogue, read_catalogue
from recsys.quality.judge import Judgement, Task, judge
from recsys.quality.labels import choose_labels
from recsys.quality.metrics import NOBODY
from recsys.quality.notes import notes_of
from recsys.quality.reductions import LocalScaling, MutualProximity, centred
from recsys.quality.results import (
    DEFAULT_SAMPLE,
    EXACT_UP_TO,
    Hub,
    Quality,
    QualityOptions,
    TierPurity,
)
from recsys.quality.systems import Embedding, HandMade, RandomOrder, TagGenre, Tiers
from recsys.recommender.duplicates import NearDuplicates
from recsys.recommender.taxonomy import taxonomy_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.index.base import EmbeddingIndex
    from recsys.quality.bootstrap import Figure
    from recsys.quality.labels import Labels
    from recsys.quality.systems import System
    from recsys.store import Store
    from recsys.types import IdArray, ModelInfo

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
