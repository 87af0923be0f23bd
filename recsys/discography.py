"""The artists and albums of a library, as players that browse by tags ask for them.

An album is what one artist released under one name: that of its album artist, or else of the artist
whom its tracks name first. Tracks of more artists than :data:`SPLIT_BETWEEN` that share a folder
and an album, and name no album artist, are a compilation. Ids are made of the names, so that they
outlast another analysis, and a database that is made again.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys.credits import DISC, lead_artist, name_key
from recsys.store.search import normalise, search_terms
from recsys.types import NOT_MUSIC

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.store import Store
    from recsys.types import IdArray

UNKNOWN_ARTIST = "[Unknown Artist]"
UNKNOWN_ALBUM = "[Unknown Album]"
VARIOUS = "Various Artists"

SPLIT_BETWEEN = 2
"""Artists that share a folder and the name of an album, and have an album each."""

ARTICLES = ("The", "El", "La", "Los", "Las", "Le", "Les")
"""Words at the beginning of a name that do not count in its order."""

_ARTICLES = tuple(f"{article.lower()} " for article in ARTICLES)


class _Credit(NamedTuple):
    """What the tags of one track say; the columns of :meth:`recsys.store.Store.credits`."""

    id: int
    path: str
    artist: str | None
    album_artist: str | None
    album: str | None
    number: int | None
    year: int | None
    genre: str
    kind: str | None
    duration_s: float
    added_s: float | None

    @property
    def folder(self) -> str:
        return self.path.rpartition(os.sep)[0]


@dataclass(frozen=True, slots=True)
class AlbumEntry:
    """An album with its tracks."""

    id: str
    name: str
    artist: str  # for display
    artist_id: str
    tracks: tuple[int, ...]  # ids, in playing order
    duration_s: float
    year: int | None  # the earliest
    genres: tuple[str, ...]  # genre groups of its tracks, that of most first
    added_s: float | None  # when the last of its tracks was added


@dataclass(frozen=True, slots=True)
class ArtistEntry:
    """An artist with the albums on which there is a track by them."""

    id: str
    name: str
    albums: tuple[str, ...]  # ids, the earliest first
    tracks: tuple[int, ...]  # ids of those that are by them, album by album


def artist_id(name: str | None) -> str:
    """Return the id of an artist; however the name is spelt."""
    return _hashed("ar", name_key(name) or "")


class Discography:
    """Artists, albums and the tracks of both, of a library as it was at one moment."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        all_credits = [_Credit(*row) for row in rows]
        self.album_of: dict[int, str] = {}
        self.artist_of: dict[int, str] = {}
        self._names: dict[str, str] = {}  # of artists, by id
        self._leads: dict[str | None, str] = {}  # ids of artists, by tag
        self.albums: dict[str, AlbumEntry] = {}
        for entry in self._made(all_credits):
            self.albums[entry.id] = entry
            self.album_of.update(dict.fromkeys(entry.tracks, entry.id))
        self.artists: Mapping[str, ArtistEntry] = self._made_artists()
        self.ids: IdArray = np.array([each.id for each in all_credits], np.int64)
        self.years = np.array([each.year or 0 for each in all_credits], np.int64)
        self.genres = np.array([each.genre for each in all_credits], object)
        self.is_music: npt.NDArray[np.bool_] = np.array(
            [each.kind not in NOT_MUSIC for each in all_credits], bool
        )

    @classmethod
    def of(cls, store: Store) -> Discography:
        """Return that of a library."""
        return cls(store.credits())

    def _made(self, all_credits: Iterable[_Credit]) -> Iterator[AlbumEntry]:
        """Yield the albums."""
        shelves: defaultdict[tuple[str, str], list[_Credit]] = defaultdict(list)
        albums: defaultdict[tuple[str, str], list[_Credit]] = defaultdict(list)
        titles: dict[str | None, str] = {}  # the same for many tracks
        for credit in all_credits:
            if credit.album not in titles:
                whole = DISC.sub("", credit.album or "") or credit.album
                titles[credit.album] = name_key(whole) or ""
            title = titles[credit.album]
            lead = self._named(credit.artist or credit.album_artist)
            self.artist_of[credit.id] = lead
            if credit.album_artist or not title:
                by = self._named(credit.album_artist) if credit.album_artist else lead
                albums[by, title].append(credit)
            else:
                shelves[credit.folder, title].append(credit)
        for (_, title), found in shelves.items():
            leads = {self.artist_of[credit.id] for credit in found}
            various = self._named(VARIOUS) if len(leads) > SPLIT_BETWEEN else None
            for credit in found:
                by = various or self.artist_of[credit.id]
                albums[by, title].append(credit)
        for (by, title), found in albums.items():
            yield self._album(by, title, found)

    def _named(self, tag: str | None) -> str:
        """Return the id of the artist that a tag names first."""
        known = self._leads.get(tag)
        if known is None:
            name = lead_artist(tag)
            known = self._leads[tag] = artist_id(name)
            self._names.setdefault(known, name or UNKNOWN_ARTIST)
        return known

    def _album(self, by: str, title: str, found: Sequence[_Credit]) -> AlbumEntry:
        first = found[0]
        years = [credit.year for credit in found if credit.year]
        added = [credit.added_s for credit in found if credit.added_s is not None]
        return AlbumEntry(
            id=_hashed("al", f"{by}\0{title}"),
            name=(DISC.sub("", first.album or "") or first.album or "").strip() or UNKNOWN_ALBUM,
            artist=self._names[by],
            artist_id=by,
            tracks=tuple(credit.id for credit in _in_order(found)),
            duration_s=sum(credit.duration_s for credit in found),
            year=min(years, default=None),
            genres=tuple(dict(Counter(credit.genre for credit in found).most_common())),
            added_s=max(added, default=None),
        )

    def _made_artists(self) -> dict[str, ArtistEntry]:
        albums: defaultdict[str, list[AlbumEntry]] = defaultdict(list)
        tracks: defaultdict[str, list[int]] = defaultdict(list)
        for album in sorted(
            self.albums.values(), key=lambda each: (each.year or 9999, each.name, each.id)
        ):
            for track in album.tracks:
                tracks[self.artist_of[track]].append(track)
            for by in {album.artist_id, *(self.artist_of[track] for track in album.tracks)}:
                albums[by].append(album)
        entries = [
            ArtistEntry(
                by, self._names[by], tuple(each.id for each in found), tuple(tracks.get(by, ()))
            )
            for by, found in albums.items()
        ]
        return {each.id: each for each in sorted(entries, key=lambda each: sort_key(each.name))}

    # Which ones

    def album_tracks(self, artist: ArtistEntry) -> tuple[int, ...]:
        """Return the tracks that stand for an artist: theirs, or else those of their albums."""
        return artist.tracks or tuple(
            track for album in artist.albums for track in self.albums[album].tracks
        )

    def genre_counts(self) -> dict[str, tuple[int, int]]:
        """Return the numbers of tracks and albums of each genre group, by name."""
        songs = Counter(self.genres.tolist())
        albums = Counter(genre for album in self.albums.values() for genre in album.genres)
        return {genre: (songs[genre], albums[genre]) for genre in sorted(songs)}

    def find_albums(self, words: str) -> list[AlbumEntry]:
        """Return the albums with words that begin so in artist or name; all without words."""
        found = _matching(self._album_texts, words)
        return [self.albums[each] for each in found]

    def find_artists(self, words: str) -> list[ArtistEntry]:
        """Return the artists with words that begin so; all without words."""
        return [self.artists[each] for each in _matching(self._artist_texts, words)]

    @cached_property
    def _album_texts(self) -> dict[str, str]:
        return {
            each.id: f" {normalise(f'{each.artist} {each.name}')}" for each in self.albums.values()
        }

    @cached_property
    def _artist_texts(self) -> dict[str, str]:
        return {each.id: f" {normalise(each.name)}" for each in self.artists.values()}


class KeptDiscography:
    """The discography of a library, which is made again when the library has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: tuple[str, int, bytes] | None = None
        self._known = Discography(())

    def of(self, store: Store) -> Discography:
        """Return the discography of the library as it is now; one thread makes it for all."""
        with self._lock:
            state = store.state
            if state != self._state:
                self._known, self._state = Discography.of(store), state
            return self._known


def sort_key(name: str) -> tuple[str, str]:
    """Return by what names are ordered: without case, accents and an article before them.

    Examples
    --------
    >>> sort_key("The Beatles")[0], sort_key("La's")[0]
    ('beatles', "la's")
    """
    text = normalise(name)
    article = next((each for each in _ARTICLES if text.startswith(each)), "")
    return text[len(article) :] or text, name


def _in_order(found: Iterable[_Credit]) -> list[_Credit]:
    """Return the tracks of an album as they play: folder by folder, by number, or else by file.

    Two of one number in a folder are of two discs, which only the names of the files tell apart.
    """
    folders: defaultdict[str, list[_Credit]] = defaultdict(list)
    for credit in found:
        folders[credit.folder].append(credit)
    ordered: list[_Credit] = []
    for folder in sorted(folders):
        inside = folders[folder]
        numbers = [credit.number for credit in inside if credit.number is not None]
        key: Callable[[_Credit], Any] = (
            (lambda each: (each.number is None, each.number or 0, each.path))
            if len(set(numbers)) == len(numbers)
            else (lambda each: each.path)
        )
        ordered += sorted(inside, key=key)
    return ordered


def _matching(texts: Mapping[str, str], words: str) -> Iterator[str]:
    terms = search_terms(words)
    return (key for key, text in texts.items() if all(f" {term}" in text for term in terms))


def _hashed(kind: str, text: str) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
    return f"{kind}-{digest.hexdigest()}"
