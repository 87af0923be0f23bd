"""The library as columns, and the genre labels by which recommendations are judged.

Three sources have labels: the genre tag of the file, its folder, and the model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import QueryError
from recsys.names import first_genre, merge_spellings, spelling_key
from recsys.quality.metrics import NOBODY
from recsys.recommender.duplicates import artist_key, name_key
from recsys.types import NOT_MUSIC

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recsys.store import Store
    from recsys.types import FloatArray, IdArray, Track

MIN_SHARE = 0.5
"""Least share of labelled tracks for a source to be chosen automatically."""

ARTISTS_OF_A_GENRE = 2
"""A folder with fewer artists is an artist's or an album's, and its name is no genre."""


class LabelSource(StrEnum):
    """Where labels come from."""

    AUTO = "auto"
    """The first useful one of the three."""
    TAG = "tag"
    FOLDER = "folder"
    MODEL = "model"
    NONE = "none"
    """No source has labels."""


SOURCES = (LabelSource.TAG, LabelSource.FOLDER, LabelSource.MODEL)

_NOUNS = {"tag": "genre tag", "folder": "folder", "model": "genre by the model"}
_CHOSEN = {
    "tag": "most tracks have a genre tag",
    "folder": "most tracks are in folders of several artists, whose names are taken for genres",
    "model": "so the model's own genres are used: they show how well the lists keep to the genres "
    "of the model, not whether these are right",
}


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The analysed tracks of a library, by rising id.

    Genres, tags, artists and albums are codes (n,), :data:`~recsys.quality.metrics.NOBODY` for
    none; a code is the row of its name. Of a tag with several genres the first counts, in the most
    common of its spellings.
    """

    ids: IdArray  # (n,)
    embeddings: FloatArray  # (n, d), unit length
    genre_names: tuple[str, ...]
    genres: IdArray  # most probable by the model
    group_names: tuple[str, ...]
    groups: IdArray  # genre groups of the library: the tiers of the recommender
    tag_names: tuple[str, ...]
    tags: IdArray
    artists: IdArray
    albums: IdArray
    folders: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def artist_groups(self) -> IdArray:
        """The artists as groups to resample: a track without one is a group of its own."""
        own = self.artists.max(initial=NOBODY) + 1 + np.arange(len(self))
        groups: IdArray = np.where(self.artists == NOBODY, own, self.artists)
        return groups


def read_columns(store: Store) -> Columns:
    """Read the columns of a library.

    Tracks that are no music take no part, as in its lists, nor do those that come or go meanwhile.
    """
    batches = [(ids, vectors) for ids, _, vectors in store.iter_embeddings()]
    ids = np.concatenate([ids for ids, _ in batches] or [np.empty(0, np.int64)])
    vectors = np.concatenate([rows for _, rows in batches] or [np.empty((0, 0), np.float32)])
    held = set(ids.tolist())
    same_folder: dict[Path, Path] = {}  # one object per folder, not one per track: less memory
    rows = [
        (
            track.id,
            track.genre,
            track.genre_group,
            track.tags.genre_tag,
            artist_key(track),
            _album_key(track),
            same_folder.setdefault(track.path.parent, track.path.parent),
        )
        for track in store.all_tracks()
        if track.id in held and track.kind not in NOT_MUSIC
    ]
    known, genres, groups, tags, artists, albums, folders = (
        zip(*rows, strict=True) if rows else [()] * 7
    )
    order = np.searchsorted(ids, np.array(known, dtype=np.int64))
    return Columns(
        ids[order],
        vectors[order],
        *encode(genres),
        *encode(groups),
        *_encode_tags(tags),
        encode(artists)[1],
        encode(albums)[1],
        folders,
    )


def encode(values: Sequence[str | None]) -> tuple[tuple[str, ...], IdArray]:
    """Return the different values, sorted, and the code of each; None becomes ``NOBODY``.

    Examples
    --------
    >>> names, codes = encode(["b", None, "a", "b"])
    >>> names, codes.tolist()
    (('a', 'b'), [1, -1, 0, 1])
    """
    names = tuple(sorted({value for value in values if value is not None}))
    codes: dict[str | None, int] = {name: code for code, name in enumerate(names)}
    return names, np.array([codes.get(value, NOBODY) for value in values], dtype=np.int64)


def _album_key(track: Track) -> str | None:
    """Return the same key for tracks of one album; see ``recommender.duplicates.same_album``."""
    album = name_key(track.tags.album)
    credit = name_key(track.tags.album_artist) or name_key(track.tags.artist)
    return None if album is None or credit is None else f"{album}\n{credit}"


def _encode_tags(tags: Sequence[str | None]) -> tuple[tuple[str, ...], IdArray]:
    firsts = [first_genre(tag) for tag in tags]
    names = {own.key: own.name for own in merge_spellings(first for first in firsts if first)}
    return encode([None if first is None else names[spelling_key(first)] for first in firsts])


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of the tracks."""

    source: LabelSource
    reason: str  # why this source was chosen
    names: tuple[str, ...]  # by code
    codes: IdArray  # (n,), NOBODY where a track has none

    @property
    def labelled(self) -> int:
        """Number of tracks with a label."""
        return int((self.codes != NOBODY).sum())

    @property
    def counts(self) -> dict[str, int]:
        """Tracks by label."""
        counts = np.bincount(self.codes[self.codes != NOBODY], minlength=len(self.names))
        return dict(zip(self.names, counts.tolist(), strict=True))


def choose_labels(columns: Columns, source: str = LabelSource.AUTO) -> Labels:
    """Return the labels of a source, or of the first useful one of :data:`SOURCES`.

    QueryError if the requested source has no labels, or only one.
    """
    if source != LabelSource.AUTO:
        names, codes = _labels_of(columns, source)
        if objection := _objection(source, names, codes):
            raise QueryError(objection, "Choose another source with --labels: tag, folder, model.")
        return Labels(LabelSource(source), f"asked for with --labels {source}", names, codes)
    objections: list[str] = []
    for own in SOURCES:
        names, codes = _labels_of(columns, own)
        objection = _objection(own, names, codes) or _doubt(columns, own, codes)
        if not objection:
            return Labels(own, "; ".join([*objections, _CHOSEN[own]]), names, codes)
        objections.append(objection)
    nothing = np.full(len(columns), NOBODY)
    return Labels(LabelSource.NONE, "; ".join(objections), (), nothing)


def _labels_of(columns: Columns, source: str) -> tuple[tuple[str, ...], IdArray]:
    if source == LabelSource.TAG:
        return columns.tag_names, columns.tags
    if source == LabelSource.FOLDER:
        return encode([path.name or str(path) for path in columns.folders])
    return columns.genre_names, columns.genres


def _objection(source: str, names: tuple[str, ...], codes: IdArray) -> str:
    """Return why these labels cannot judge anything, or an empty string."""
    labelled = codes[codes != NOBODY]
    if len(labelled) == 0:
        return f"none of the {len(codes)} tracks has a {_NOUNS[source]}"
    if (labelled == labelled[0]).all():
        name = names[int(labelled[0])]
        return (
            f"all {len(labelled)} tracks that have a {_NOUNS[source]} have the same one, {name!r}"
        )
    return ""


def _doubt(columns: Columns, source: str, codes: IdArray) -> str:
    """Return why these labels are not chosen automatically, or an empty string."""
    labelled, total = int((codes != NOBODY).sum()), len(codes)
    if labelled < MIN_SHARE * total:
        return f"only {labelled} of {total} tracks have a {_NOUNS[source]}"
    if source == LabelSource.FOLDER:
        known = columns.artists != NOBODY
        pairs = {*zip(codes[known].tolist(), columns.artists[known].tolist(), strict=True)}
        artists = Counter(label for label, _ in pairs)
        mixed = [code for code, count in artists.items() if count >= ARTISTS_OF_A_GENRE]
        if np.isin(codes, mixed).sum() < MIN_SHARE * total:
            return (
                "most folders hold one artist or none that is named, so their names are no genres"
            )
    return ""
