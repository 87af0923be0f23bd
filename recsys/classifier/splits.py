"""Cutting labelled tracks in two, so that no artist is on both sides.

A model that has heard one song of an artist recognises the next by voice and studio; figures
from a split by track alone are too good (Flexer, "A closer look on artist filters in musical
genre classification", ISMIR 2007).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.classifier.gtzan import repetitions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.types import IdArray


def track_groups(keys: Sequence[str], artists: Sequence[str | None]) -> IdArray:
    """Give one number to tracks that belong on one side of a split.

    Tracks belong together that share an artist, compared without regard to case, or that are
    known to repeat each other, and what these in turn belong to.

    Parameters
    ----------
    keys : sequence of str
        ``genre/name`` of each track.
    artists : sequence of str or None
        Of each track; a track without one belongs to no other by it.

    Returns
    -------
    ndarray of int64, shape (n_tracks,)
        Numbers from 0 on, in the order of their first tracks.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    places = {key: number for number, key in enumerate(keys)}
    firsts: dict[str, int] = {}
    links = [
        (number, firsts.setdefault(_group(key, artist), number))
        for number, (key, artist) in enumerate(zip(keys, artists, strict=True))
    ]
    links += [(places[group[0]], places[key]) for group in repetitions(places) for key in group]
    ends = np.asarray(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links)), (ends[0], ends[1])), shape=(len(keys), len(keys)))
    numbers: IdArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers


def split_by_artist(
    keys: Sequence[str],
    genres: Sequence[str],
    artists: Mapping[str, str | None],
    *,
    share: float = 0.2,
    seed: int = 0,
) -> tuple[list[str], list[str]]:
    """Set aside tracks for validation, whole artists at a time, genres in proportion.

    Parameters
    ----------
    keys, genres : sequence of str
        One per track.
    artists : mapping
        Key to artist, compared without regard to case; a track without one stands alone.
    share : float
        About how much to set aside, in (0, 0.5].
    seed : int
        Of the choice.

    Returns
    -------
    train, valid : list of str
        Keys, sorted; together all of them. Every genre is in `train`.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    numbers: dict[str, int] = {}
    groups = np.asarray(
        [numbers.setdefault(_group(key, artists.get(key)), len(numbers)) for key in keys]
    )
    labels = np.asarray(genres)
    # Genres of fewer tracks than that may miss a fold; they must not make the folds larger.
    most = int(np.unique(labels, return_counts=True)[1].max(initial=0))
    folds = max(2, min(round(1 / share), most, len(numbers)))
    held_out = np.zeros(len(keys), dtype=bool)
    if len(numbers) >= 2 and most >= folds:
        cutter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class")
            parts = [part for _, part in cutter.split(labels, labels, groups)]
        held_out[min(parts, key=lambda part: _unevenness(labels, part))] = True
    for genre in np.unique(labels[held_out]):
        if np.all(held_out[labels == genre]):
            held_out[np.isin(groups, groups[labels == genre])] = False
    train = sorted(key for key, out in zip(keys, held_out, strict=True) if not out)
    valid = sorted(key for key, out in zip(keys, held_out, strict=True) if out)
    return train, valid


def _unevenness(labels: npt.NDArray[np.str_], part: npt.NDArray[np.intp]) -> float:
    """Sum up how far the genres of a part are from their shares: artists may be large."""
    names, inverse = np.unique(labels, return_inverse=True)
    everywhere = np.bincount(inverse) / len(labels)
    found = np.bincount(inverse[part], minlength=len(names)) / max(1, len(part))
    return float(np.abs(found - everywhere).sum())


def _group(key: str, artist: str | None) -> str:
    folded = artist.strip().casefold() if artist else ""
    return f"artist:{folded}" if folded else f"track:{key}"
