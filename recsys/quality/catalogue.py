"""A library as columns: what is needed of every track to judge recommendations, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.genre_names import first_genre, merge_spellings, spelling_key
from recsys.quality.labels import encode
from recsys.recommender.duplicates import artist_key, name_key

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.store import Store
    from recsys.types import FloatArray, IdArray, Track


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
        commonest (see :mod:`recsys.genre_names`).
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
