"""Cutting labelled tracks in two, so that no artist is on both sides.

A model that has heard one song of an artist recognises the next by voice and studio; figures
from a split by track alone are too good (Flexer, "A closer look on artist filters in musical
genre classification", ISMIR 2007).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    folds = max(2, min(round(1 / share), rarest, len(numbers)))
    held_out = np.zeros(len(keys), dtype=bool)
    if len(numbers) >= 2:
        cutter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        held_out[next(iter(cutter.split(labels, labels, groups)))[1]] = True
    for genre in np.unique(labels[held_out]):
        if np.all(held_out[labels == genre]):
            held_out[np.isin(groups, groups[labels == genre])] = False
    train = sorted(key for key, out in zip(keys, held_out, strict=True) if not out)
    valid = sorted(key for key, out in zip(keys, held_out, strict=True) if out)
    return train, valid


def _group(key: str, artist: str | None) -> str:
    folded = artist.strip().casefold() if artist else ""
    return f"artist:{folded}" if folded else f"track:{key}"
