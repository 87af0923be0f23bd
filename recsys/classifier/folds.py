"""Choosing tracks, or whole groups of tracks, so that every genre keeps something to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.classifier.splits import split_by_artist

if TYPE_CHECKING:
    from recsys.types import IdArray

BoolArray = npt.NDArray[np.bool_]


def take(
    labels: IdArray, among: BoolArray, count: int, rng: np.random.Generator, keep: int = 1
) -> BoolArray:
    """Choose tracks at random, genres in proportion and each at least once.

    Exactly `count` are chosen where the genres allow it, which scikit-learn's stratified
    shuffling does not promise for genres of few tracks.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Genres.
    among : ndarray of bool, shape (n,)
        What may be chosen.
    count : int
        How many; none at all if 0.
    rng : Generator
    keep : int
        Of every genre, how many are left at least.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    chosen = np.zeros(len(labels), dtype=bool)
    if count <= 0:
        return chosen
    places = np.full(len(labels), np.inf)
    for label in np.unique(labels[among]):
        members = rng.permutation(np.flatnonzero(among & (labels == label)))
        # Where a track stands in its genre, from 0 to 1: genres are cut at the same place.
        places[members] = (np.arange(len(members)) + rng.random()) / len(members)
        places[members[0]] = -1.0
        places[members[max(0, len(members) - keep) :]] = np.inf
    order = np.argsort(places, kind="stable")
    at_least = int(np.sum(places < 0))
    order = order[: min(max(count, at_least), int(np.sum(np.isfinite(places))))]
    chosen[order] = True
    return chosen


def take_groups(
    labels: IdArray, groups: IdArray, among: BoolArray, share: float, seed: int
) -> BoolArray:
    """Choose whole groups at random, genres in proportion; every genre keeps some.

    Parameters
    ----------
    labels, groups : ndarray of int64, shape (n,)
        Genre and group of each track.
    among : ndarray of bool, shape (n,)
        What may be chosen.
    share : float
        About how much of `among` to choose, up to a half; nothing if 0.
    seed : int

    Returns
    -------
    ndarray of bool, shape (n,)
        Nothing where the groups are too few.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    places = np.flatnonzero(among)
    if share <= 0 or len(places) < 2:
        return chosen
    names = [str(place) for place in places]
    _, held_out = split_by_artist(
        names,
        [str(label) for label in labels[places]],
        {name: str(group) for name, group in zip(names, groups[places], strict=True)},
        share=min(0.5, share),
        seed=seed,
    )
    chosen[[int(name) for name in held_out]] = True
    return chosen


def stratified_folds(labels: IdArray, folds: int, seed: int) -> tuple[IdArray, str]:
    """Choose the fold in which each track is tested, genres in proportion.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Genres.
    folds : int
        Fewer are made where a genre has fewer tracks.
    seed : int

    Returns
    -------
    fold_of : ndarray of int64, shape (n,)
    description : str
    """
    from sklearn.model_selection import StratifiedKFold

    made = _affordable(labels, folds)
    fold_of = np.zeros(len(labels), dtype=np.int64)
    cutter = StratifiedKFold(n_splits=made, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(cutter.split(labels, labels)):
        fold_of[test] = number
    return fold_of, _in_words(made, folds)


def group_folds(labels: IdArray, groups: IdArray, folds: int, seed: int) -> tuple[IdArray, str]:
    """Choose the fold in which each track is tested, by whole groups, genres in proportion.

    Parameters
    ----------
    labels, groups : ndarray of int64, shape (n,)
        Genre and group of each track; every genre has two groups or more.
    folds : int
        Fewer are made where a genre has fewer tracks.
    seed : int

    Returns
    -------
    fold_of : ndarray of int64, shape (n,)
        A genre is in one fold alone only where shared groups leave no other way.
    description : str
    """
    from sklearn.model_selection import StratifiedGroupKFold

    made = _affordable(labels, min(folds, len(np.unique(groups))))
    fold_of = np.zeros(len(labels), dtype=np.int64)
    cutter = StratifiedGroupKFold(n_splits=made, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(cutter.split(labels, labels, groups)):
        fold_of[test] = number
    _spread(labels, groups, fold_of, made)
    kept, fold_of = np.unique(fold_of, return_inverse=True)
    return fold_of.astype(np.int64), _in_words(len(kept), folds)


def _affordable(labels: IdArray, folds: int) -> int:
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    return max(2, min(folds, rarest))


def _in_words(made: int, asked: int) -> str:
    if made == asked:
        return f"{made} folds"
    return f"{made} folds (not {asked}: a genre has too few tracks or artists)"


def _spread(labels: IdArray, groups: IdArray, fold_of: IdArray, folds: int) -> None:
    """Move groups until no genre is tested in one fold alone, for then none is learned from."""
    for label in np.unique(labels).repeat(2):
        members = labels == label
        if len(np.unique(fold_of[members])) > 1:
            continue
        sizes = {group: int(np.sum(groups == group)) for group in np.unique(groups[members])}
        smallest = min(sizes, key=lambda group: sizes[group])
        counts = np.bincount(fold_of, minlength=folds)
        counts[fold_of[members][0]] = len(labels)
        fold_of[groups == smallest] = int(np.argmin(counts))
