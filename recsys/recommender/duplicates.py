"""Near-duplicates: the same recording, the same artist, the same album."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from recsys.credits import NOT_AN_ARTIST, album_credits, artist_key, name_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from recsys.types import FloatArray, IdArray, Track

__all__ = [
    "DURATION_TOLERANCE_S",
    "NAMED_APART_COSINE",
    "NEAR_DUPLICATE_COSINE",
    "NOT_AN_ARTIST",
    "NearDuplicates",
    "album_credits",
    "artist_key",
    "name_key",
    "near_duplicate_pairs",
    "same_album",
    "song_key",
]

NEAR_DUPLICATE_COSINE = 0.995
"""Cosine above which two embeddings belong to one recording, if the durations agree as well.

Measured with the first model: encodings of one song at 0.994 and above, the lossless and the better
lossy ones at 0.999; of 93,528 pairs of 433 different recordings 27 above 0.995, none above 0.999.
"""

NAMED_APART_COSINE = 0.999
"""The same for tracks whose artists and titles are known and differ.

An album of solo piano is full of pairs above 0.995 that only their names distinguish.
"""

DURATION_TOLERANCE_S = 2.0
"""Encodings of one recording differ in length by padding and trimmed silence, not by more."""


def same_album(one: Track, other: Track) -> bool:
    """Return whether two tracks are from one album: equal album titles, and an artist in common."""
    album = name_key(one.tags.album)
    if album is None or album != name_key(other.tags.album):
        return False
    return bool(album_credits(one) & album_credits(other))


class NearDuplicates:
    """A set of tracks that recognises near-duplicates of them.

    Two tracks are near-duplicates when they have the same encoded sound (``audio_hash``), or when
    their durations lie within :data:`DURATION_TOLERANCE_S` and either artist and title are both
    present and equal, or the cosine of their embeddings is above :data:`NEAR_DUPLICATE_COSINE`
    (:data:`NAMED_APART_COSINE` where artist and title are present in both and differ). A duration
    of 0 is unknown and agrees with no other.
    """

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._hashes: set[str] = set()
        self._by_bucket: defaultdict[int, list[int]] = defaultdict(list)
        self._embeddings: list[FloatArray] = []

    def __len__(self) -> int:
        return len(self._tracks)

    def add(self, track: Track, embedding: FloatArray) -> None:
        """Add a track. `embedding` has unit length."""
        row = len(self._tracks)
        self._tracks.append(track)
        self._embeddings.append(embedding)
        if track.audio_hash:
            self._hashes.add(track.audio_hash)
        bucket = _bucket(track.duration_s)
        if bucket is not None:
            self._by_bucket[bucket].append(row)

    def match(self, track: Track, embedding: FloatArray) -> bool:
        """Return whether a track is a near-duplicate of one of the set."""
        if track.audio_hash in self._hashes:
            return True
        rows = self._of_similar_duration(track.duration_s)
        if not rows:
            return False
        song = song_key(track)
        cosines = (np.stack([self._embeddings[row] for row in rows]) @ embedding).tolist()
        return any(
            _one_recording(song, song_key(self._tracks[row]), cosine)
            for row, cosine in zip(rows, cosines, strict=True)
        )

    def _of_similar_duration(self, duration_s: float) -> list[int]:
        bucket = _bucket(duration_s)
        if bucket is None:
            return []
        return [
            row
            # As wide as the tolerance, so only the adjacent buckets can hold a track within it.
            for neighbour in (bucket - 1, bucket, bucket + 1)
            for row in self._by_bucket.get(neighbour, ())
            if abs(self._tracks[row].duration_s - duration_s) <= DURATION_TOLERANCE_S
        ]


def near_duplicate_pairs(tracks: Sequence[Track], cosines: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which of some tracks are near-duplicates of each other, shape (n, n).

    The rule is that of :class:`NearDuplicates`; `cosines`, shape (n, n), are of the embeddings.
    """
    durations = np.array([track.duration_s for track in tracks])
    known = np.isfinite(durations) & (durations > 0)
    durations = np.where(known, durations, np.nan)  # agrees with no other
    songs, named = _numbered([song_key(track) for track in tracks])
    hashes, hashed = _numbered([track.audio_hash or None for track in tracks])
    pairs: npt.NDArray[np.bool_] = (hashes[:, np.newaxis] == hashes) & hashed
    agree = np.abs(durations[:, np.newaxis] - durations) <= DURATION_TOLERANCE_S
    rows, columns = np.nonzero(agree)  # few, in a library of songs
    same_song = (songs[rows] == songs[columns]) & named[rows]
    both_named = named[rows] & named[columns]
    least = np.where(both_named, NAMED_APART_COSINE, NEAR_DUPLICATE_COSINE)
    pairs[rows, columns] |= same_song | (cosines[rows, columns] > least)
    return pairs


def _numbered(keys: Sequence[object]) -> tuple[IdArray, npt.NDArray[np.bool_]]:
    """Return a number per different key, and which keys are known (not None)."""
    numbers: dict[object, int] = {}
    known = np.array([key is not None for key in keys], dtype=bool)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys]), known


def _bucket(duration_s: float) -> int | None:
    if not 0 < duration_s < math.inf:
        return None
    return int(duration_s // DURATION_TOLERANCE_S)


def song_key(track: Track) -> tuple[str, str] | None:
    """Return artist and title of a track as :func:`name_key`; None unless both are known."""
    artist, title = artist_key(track), name_key(track.tags.title)
    return None if artist is None or title is None else (artist, title)


def _one_recording(
    song: tuple[str, str] | None, other: tuple[str, str] | None, cosine: float
) -> bool:
    if song is None or other is None:
        return cosine > NEAR_DUPLICATE_COSINE
    return song == other or cosine > NAMED_APART_COSINE
