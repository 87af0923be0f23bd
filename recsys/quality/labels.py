"""Which genre a track is said to have when recommendations are judged.

Three sources can say it: the genre tag of the file, the folder in which it lies, and the model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import QueryError
from recsys.quality.metrics import NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.quality.catalogue import Catalogue
    from recsys.types import IdArray

SOURCES = ("tag", "folder", "model")
AUTO = "auto"

MOST = 0.5
"""A source of labels is chosen by itself only when it speaks of at least so many of the tracks."""

ARTISTS_OF_A_GENRE = 2
"""A folder with fewer artists is an artist's or an album's, and its name is no genre."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What the tracks are judged by.

    Attributes
    ----------
    source : str
        One of :data:`SOURCES`; ``none`` where no source says anything.
    reason : str
        Why it was chosen, in words.
    names : tuple of str
        Every label, in the order of its number.
    codes : ndarray of int64, shape (n,)
        The label of each track, :data:`~recsys.quality.metrics.NOBODY` where it has none.
    """

    source: str
    reason: str
    names: tuple[str, ...]
    codes: IdArray

    @property
    def labelled(self) -> int:
        """How many tracks have a label."""
        return int((self.codes != NOBODY).sum())


def choose_labels(catalogue: Catalogue, source: str) -> Labels:
    """Return the labels of a source, or of the first of :data:`SOURCES` that is of use.

    Parameters
    ----------
    catalogue : Catalogue
        The library.
    source : str
        One of :data:`SOURCES`, or :data:`AUTO`.

    Raises
    ------
    QueryError
        The source that was named has no labels, or only one.
    """
    if source != AUTO:
        labels = _MAKERS[source](catalogue, f"asked for with --labels {source}")
        objection = _objection(labels)
        if objection:
            raise QueryError(objection, "Choose another source with --labels: tag, folder, model.")
        return labels
    passed_over: list[str] = []
    for name in SOURCES:
        labels = _MAKERS[name](catalogue, "")
        objection = _objection(labels) or _doubt(catalogue, labels)
        if not objection:
            reason = "; ".join([*passed_over, _CHOSEN[name]])
            return Labels(name, reason, labels.names, labels.codes)
        passed_over.append(objection)
    return Labels("none", "; ".join(passed_over), (), np.full(len(catalogue), NOBODY))


def _of_tags(catalogue: Catalogue, reason: str) -> Labels:
    return Labels("tag", reason, catalogue.tag_names, catalogue.tags)


def _of_folders(catalogue: Catalogue, reason: str) -> Labels:
    return Labels("folder", reason, *encode([path.name or str(path) for path in catalogue.folders]))


def _of_model(catalogue: Catalogue, reason: str) -> Labels:
    return Labels("model", reason, catalogue.genre_names, catalogue.genres)


_MAKERS: dict[str, Callable[[Catalogue, str], Labels]] = {
    "tag": _of_tags,
    "folder": _of_folders,
    "model": _of_model,
}

_CHOSEN = {
    "tag": "most tracks have a genre tag",
    "folder": "most tracks lie in folders of several artists, whose names are taken for genres",
    "model": "so the model's own genres are used: they show how well the lists keep to what the "
    "model hears, not whether it hears rightly",
}


def _objection(labels: Labels) -> str:
    """Return why these labels cannot judge anything, or nothing."""
    total, what = len(labels.codes), _WHAT[labels.source]
    if labels.labelled == 0:
        return f"none of the {total} tracks has a {what}"
    present = np.unique(labels.codes[labels.codes != NOBODY])
    if len(present) == 1:
        name = labels.names[int(present[0])]
        return f"all {labels.labelled} tracks that have a {what} have the same one, {name!r}"
    return ""


_WHAT = {"tag": "genre tag", "folder": "folder", "model": "genre by the model"}


def _doubt(catalogue: Catalogue, labels: Labels) -> str:
    """Return why these labels are not chosen unasked, or nothing."""
    total = len(labels.codes)
    if labels.labelled < MOST * total:
        return f"only {labels.labelled} of {total} tracks have a {_WHAT[labels.source]}"
    if labels.source == "folder":
        known = catalogue.artists != NOBODY
        pairs = {*zip(labels.codes[known].tolist(), catalogue.artists[known].tolist(), strict=True)}
        artists = Counter(label for label, _ in pairs)
        mixed = [code for code, count in artists.items() if count >= ARTISTS_OF_A_GENRE]
        if np.isin(labels.codes, mixed).sum() < MOST * total:
            return (
                "most folders hold one artist or none that is named, so their names are no genres"
            )
    return ""


def encode(values: Sequence[str | None]) -> tuple[tuple[str, ...], IdArray]:
    """Give the different values numbers in their order; None becomes ``NOBODY``.

    Examples
    --------
    >>> names, codes = encode(["b", None, "a", "b"])
    >>> names, codes.tolist()
    (('a', 'b'), [1, -1, 0, 1])
    """
    names = tuple(sorted({value for value in values if value is not None}))
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(names)}
    codes = [numbers.get(value, NOBODY) for value in values]
    return names, np.array(codes, dtype=np.int64)
