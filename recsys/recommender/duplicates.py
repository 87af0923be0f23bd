"""Near-duplicates: the same recording, the same artist, the same album."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from recsys.credits import (
    NOT_AN_ARTIST,
    album_credits,
    album_title,
    artist_key,
    known_artists,
    name_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from recsys.types import FloatArray, IdArray, Track

__all__ = [
    "DURATION_TOLERANCE_S",
    "EDITION_TOLERANCE",
    "EDITION_TOLERANCE_S",
    "NAMED_APART_COSINE",
    "NEAR_DUPLICATE_COSINE",
    "NOT_AN_ARTIST",
    "SAME_LENGTH_COSINE",
    "SAME_NAMES_COSINE",
    "NearDuplicates",
    "album_credits",
    "artist_key",
    "name_key",
    "near_duplicate_pairs",
    "same_album",
    "same_names",
    "same_recording",
    "same_song",
    "song_title",
]

SAME_NAMES_COSINE, SAME_LENGTH_COSINE = 0.90, 0.945
"""Cosine from which two tracks of one title and artist are one recording: where their durations are
those of editions (:data:`EDITION_TOLERANCE_S`), and where they are equal.

Measured with the shipped model: four full songs with more treble and a limiter, with a lead-in of
3 s, 2% faster, and at 96 kbit/s have cosines of 0.918 and above to the original, and of 0.955 and
above where their length is the same. Of 1,253 pairs of different 30 s clips by one artist, 2.8% are
above 0.90 and 0.2% above 0.945, such as movements of one work. Clips have one length, movements
seldom do.
"""

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

EDITION_TOLERANCE_S, EDITION_TOLERANCE = 6.0, 0.04
"""Editions of one recording differ in length by a lead-in, and by the speed of a turntable: by so
many seconds, or this share of the longer one, whichever is more."""

_EDITION = frozenset(
    (
        *("remaster", "remastered", "remastering", "mono", "stereo", "single", "album"),
        *("lp", "ep", "edit", "edition", "deluxe", "expanded", "anniversary", "bonus"),
        *("reissue", "explicit", "clean", "extended", "vinyl"),
    )
)
"""Words for another edition of a recording, in brackets or behind a dash at the end of a title."""

_CUTS = frozenset(("edit", "single", "extended", "short", "long"))
"""Words for a recording that was cut to another length."""

_BESIDE = frozenset(
    (
        *("version", "versions", "track", "mix", "original", "digital", "digitally"),
        *("full", "length", "radio", "the", "in", "hd", "hi", "res", "inch", "rip"),
        *("special", "limited", "super", "uk", "us", "new", "short", "long", "from"),
        *("best", "of", "th", "st", "nd", "rd"),
    )
)
"""Words that may stand beside them."""

_SUFFIX = re.compile(r"\s*(?:[(\[]([^()\[\]]*)[)\]]|\s[-\u2010-\u2014]\s+([^()\[\]]+?))\s*$")
_GUESTS = re.compile(r"(?:feat|ft|featuring|with)\b", re.IGNORECASE)
_LIVE = re.compile(r"\blive\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")


def same_album(one: Track, other: Track) -> bool:
    """Return whether two tracks are from one album: equal album titles, and an artist in common.

    The discs of a set are one album.
    """
    album = album_title(one)
    if album is None or album != album_title(other):
        return False
    return bool(album_credits(one) & album_credits(other))


# Editions: one song in several


@dataclass(frozen=True, slots=True)
class SongTitle:
    """A title without what tells editions apart."""

    key: str
    is_cut: bool  # it names a version of another length


@lru_cache(maxsize=8192)
def song_title(title: str | None) -> SongTitle | None:
    """Return the song that a title names; None for no title.

    Examples
    --------
    >>> song_title("Fantasma (2011 Remaster)"), song_title("Fantasma - Single Edit [feat. A]")
    (SongTitle(key='fantasma', is_cut=False), SongTitle(key='fantasma', is_cut=True))
    >>> song_title("Fantasma (Live in Rome)").key, song_title("Fantasma (Dub)").key
    ('fantasma (live)', 'fantasma (dub)')
    """
    if title is None:
        return None
    rest, kept, is_cut = title, "", False
    while (suffix := _SUFFIX.search(rest)) is not None and suffix.start() > 0:
        text = suffix[1] if suffix[1] is not None else suffix[2]
        words = frozenset(_WORD.findall(text.casefold()))
        if words & _EDITION and words <= _EDITION | _BESIDE:
            is_cut = is_cut or bool(words & _CUTS)
        elif _LIVE.search(text):
            kept = " (live)"
        elif _GUESTS.match(text) is None:
            break
        rest = rest[: suffix.start()]
    key = name_key(rest.translate(_PLAIN_MARKS))
    return None if key is None else SongTitle(key + kept, is_cut)


_PLAIN_MARKS = str.maketrans("\u2018\u2019\u201b\u02bc\u2010\u2011", "'" * 4 + "-" * 2)


def same_names(one: Track, other: Track) -> bool:
    """Return whether two tracks are named as one song: equal titles, but for editions.

    They have an artist in common, or the artist of one is not known: samplers are credited to
    "Various Artists".
    """
    title, other_title = song_title(one.tags.title), song_title(other.tags.title)
    if title is None or other_title is None or title.key != other_title.key:
        return False
    artists, others = known_artists(one), known_artists(other)
    return not artists or not others or not artists.isdisjoint(others)


def _least_of_names(one: Track, other: Track) -> float:
    """Return the cosine above which two tracks named alike are one recording; infinite for none."""
    if not (0 < one.duration_s < math.inf and 0 < other.duration_s < math.inf):
        return math.inf
    gap = abs(one.duration_s - other.duration_s)
    if gap <= DURATION_TOLERANCE_S:
        return SAME_LENGTH_COSINE
    longer = max(one.duration_s, other.duration_s)
    titles = song_title(one.tags.title), song_title(other.tags.title)
    is_edition = gap <= max(EDITION_TOLERANCE_S, EDITION_TOLERANCE * longer)
    if is_edition or any(title is not None and title.is_cut for title in titles):
        return SAME_NAMES_COSINE
    return math.inf


def same_song(one: Track, other: Track, cosine: Callable[[], float]) -> bool:
    """Return whether two tracks are named as one song and sound alike; `cosine` is asked last."""
    least = _least_of_names(one, other)
    return least < 1 and same_names(one, other) and cosine() > least


def same_recording(one: Track, other: Track, cosine: Callable[[], float]) -> bool:
    """Return whether two tracks are one recording; `cosine`, of the embeddings, is asked last."""
    if one.audio_hash and one.audio_hash == other.audio_hash:
        return True
    if same_song(one, other, cosine):
        return True
    durations = one.duration_s, other.duration_s
    if not all(0 < duration_s < math.inf for duration_s in durations):
        return False
    gap = max(durations) - min(durations)
    return gap <= DURATION_TOLERANCE_S and cosine() > _least_cosine(one, other)


class NearDuplicates:
    """A set of tracks that recognises near-duplicates of them.

    Two tracks are near-duplicates when one of these holds:

    - They have the same encoded sound (``audio_hash``).
    - They are named as one song (:func:`same_names`), the cosine of their embeddings is above
      :data:`SAME_NAMES_COSINE` (:data:`SAME_LENGTH_COSINE` where their durations are equal), and
      the durations differ by no more than editions do (:data:`EDITION_TOLERANCE_S`), unless a title
      says that it was cut.
    - Their durations lie within :data:`DURATION_TOLERANCE_S`, and the cosine is above
      :data:`NEAR_DUPLICATE_COSINE`, or :data:`NAMED_APART_COSINE` where artist and title are
      present in both and differ.

    A duration of 0 is unknown and agrees with no other.
    """

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._hashes: set[str] = set()
        self._by_title: defaultdict[str, list[int]] = defaultdict(list)
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
        if (title := song_title(track.tags.title)) is not None:
            self._by_title[title.key].append(row)
        bucket = _bucket(track.duration_s)
        if bucket is not None:
            self._by_bucket[bucket].append(row)

    def match(self, track: Track, embedding: FloatArray) -> bool:
        """Return whether a track is a near-duplicate of one of the set."""
        if track.audio_hash in self._hashes:
            return True
        return self._matches_by_name(track, embedding) or self._matches_by_sound(track, embedding)

    def _matches_by_name(self, track: Track, embedding: FloatArray) -> bool:
        title = song_title(track.tags.title)
        rows = () if title is None else self._by_title.get(title.key, ())
        return any(
            same_song(track, self._tracks[row], partial(_dot, self._embeddings[row], embedding))
            for row in rows
        )

    def _matches_by_sound(self, track: Track, embedding: FloatArray) -> bool:
        rows = self._of_similar_duration(track.duration_s)
        if not rows:
            return False
        cosines = (np.stack([self._embeddings[row] for row in rows]) @ embedding).tolist()
        return any(
            cosine > NEAR_DUPLICATE_COSINE and cosine > _least_cosine(track, self._tracks[row])
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
    titles = [song_title(track.tags.title) for track in tracks]
    songs, titled = _numbered([None if title is None else title.key for title in titles])
    hashes, hashed = _numbered([track.audio_hash or None for track in tracks])
    pairs: npt.NDArray[np.bool_] = (hashes[:, np.newaxis] == hashes) & hashed
    agree = np.abs(durations[:, np.newaxis] - durations) <= DURATION_TOLERANCE_S
    one_title = (songs[:, np.newaxis] == songs) & titled
    likely = (agree & (cosines > NEAR_DUPLICATE_COSINE)) | (
        one_title & (cosines > SAME_NAMES_COSINE)
    )
    for row, column in zip(*map(np.ndarray.tolist, np.nonzero(likely & ~pairs)), strict=True):
        cosine = partial(float, cosines[row, column])
        pairs[row, column] = same_recording(tracks[row], tracks[column], cosine)
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


def _dot(one: FloatArray, other: FloatArray) -> float:
    return float(one @ other)


def _least_cosine(one: Track, other: Track) -> float:
    """Return the cosine above which two tracks of one length are one recording."""
    both_named = all(artist_key(track) and name_key(track.tags.title) for track in (one, other))
    if both_named and not same_names(one, other):
        return NAMED_APART_COSINE
    return NEAR_DUPLICATE_COSINE
