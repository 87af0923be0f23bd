"""Which genre a track is said to have when recommendations are judged.

Three sources can say it: the genre tag of the file, the folder in which it lies, and the model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import QueryError
from recsys.names import first_genre, merge_spellings, spelling_key
from recsys.quality.metrics import NOBODY
from recsys.recommender.duplicates import artist_key, name_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from recsys.store import Store
    from recsys.types import FloatArray, IdArray, Track

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


# A library as columns: what is needed of every track to judge recommendations, and no more.


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """The analysed tracks of a library, by rising id. Numbers below 0 stand for "none".

    Attributes
    ----------
    ids : ndarray of int64, shape (n,)
        In the library.
    embeddings : ndarray of float32, shape (n, d)
        Unit length.
    genre_names, genres : tuple of str, ndarray of int64 (n,)
        The model's most probable genres.
    part_names, parts : tuple of str, ndarray of int64 (n,)
        The labels by which the library sorts its tracks: the tiers of the recommender.
    tag_names, tags : tuple of str, ndarray of int64 (n,)
        Genre tags. Of several genres the first counts; all spellings of one stand under the
        commonest (see :mod:`recsys.names`).
    artists, albums : ndarray of int64, shape (n,)
        Numbers of the artists and albums.
    folders : tuple of Path
        Where each file lies.
    """

    ids: IdArray
    embeddings: FloatArray
    genre_names: tuple[str, ...]
    genres: IdArray
    part_names: tuple[str, ...]
    parts: IdArray
    tag_names: tuple[str, ...]
    tags: IdArray
    artists: IdArray
    albums: IdArray
    folders: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.ids)


def read_catalogue(store: Store) -> Catalogue:
    """Read the columns of a library. Tracks that come or go meanwhile are left out."""
    ids, vectors = _embeddings(store)
    held = set(ids.tolist())
    genres, parts, tags, artists, albums, folders, seen = [], [], [], [], [], [], []
    same_folder: dict[Path, Path] = {}  # one object per folder, not one per track
    for track in store.all_tracks():
        if track.id not in held:
            continue
        seen.append(track.id)
        genres.append(track.genre)
        parts.append(track.part)
        tags.append(track.tags.genre_tag)
        artists.append(artist_key(track))
        albums.append(_album_key(track))
        folders.append(same_folder.setdefault(track.path.parent, track.path.parent))
    rows = np.searchsorted(ids, np.array(seen, dtype=np.int64))
    return Catalogue(
        ids[rows],
        vectors[rows],
        *encode(genres),
        *encode(parts),
        *_encode_tags(tags),
        encode(artists)[1],
        encode(albums)[1],
        tuple(folders),
    )


def _embeddings(store: Store) -> tuple[IdArray, FloatArray]:
    batches = [(ids, vectors) for ids, _, vectors in store.iter_embeddings()]
    if not batches:
        return np.empty(0, np.int64), np.empty((0, 0), np.float32)
    ids, vectors = zip(*batches, strict=True)
    return np.concatenate(ids), np.concatenate(vectors)


def _album_key(track: Track) -> str | None:
    """Return what tracks of one album have in common; see ``recommender.duplicates.same_album``."""
    album = name_key(track.tags.album)
    credit = name_key(track.tags.album_artist) or name_key(track.tags.artist)
    return None if album is None or credit is None else f"{album}\n{credit}"


def _encode_tags(tags: list[str | None]) -> tuple[tuple[str, ...], IdArray]:
    firsts = [first_genre(tag) for tag in tags]
    names = {own.key: own.name for own in merge_spellings(first for first in firsts if first)}
    return encode([None if first is None else names[spelling_key(first)] for first in firsts])
