"""Calls for lists of albums and songs."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.discography import sort_key
from recsys.pages import banned_ids
from recsys.web.subsonic.browsing import MOST_ROWS, artist_of, shelf_of
from recsys.web.subsonic.calls import Call, Content, answers
from recsys.web.subsonic.protocol import CallError, Code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.api import Library
    from recsys.discography import AlbumEntry
    from recsys.types import IdArray
    from recsys.web.subsonic.rows import Shelf

MOST_ALBUMS = 500

MOST_SOUNDS = 5000
"""Tracks that were played last, or most, from which albums are listed."""


@answers("getAlbumList2", "getAlbumList")
async def album_list(call: Call) -> Content:
    """Return albums in one of the orders of the protocol."""
    is_flat = call.name.lower() == "getalbumlist"
    size = call.number("size", 10, most=MOST_ALBUMS)
    offset = call.number("offset", 0)

    def found(library: Library) -> list[dict[str, Any]]:
        shelf = shelf_of(call, library)
        row = shelf.album_folder if is_flat else shelf.album
        return [row(each) for each in _ordered(call, library, shelf)[offset : offset + size]]

    return {"albumList" if is_flat else "albumList2": {"album": await call.ask.many(found)}}


def _ordered(call: Call, library: Library, shelf: Shelf) -> list[AlbumEntry]:
    kind = call.text("type")
    albums = list(shelf.known.albums.values())
    if kind == "random":
        random.shuffle(albums)
    elif kind == "newest":
        albums.sort(key=lambda each: (-(each.added_s or 0), each.id))
    elif kind == "alphabeticalByName":
        albums.sort(key=lambda each: sort_key(each.name))
    elif kind == "alphabeticalByArtist":
        albums.sort(key=lambda each: (sort_key(each.artist), each.year or 9999, each.name))
    elif kind == "byYear":
        albums = _by_year(albums, call.number("fromYear"), call.number("toYear"))
    elif kind == "byGenre":
        wanted = call.text("genre")
        albums = [each for each in albums if wanted in each.genres]
    elif kind == "starred":
        albums = _scored(albums, {key: at.timestamp() for key, at in shelf.marks.liked.items()})
    elif kind in ("recent", "frequent", "highest"):
        albums = _scored(albums, _scores(library, shelf, kind))
    else:
        raise CallError(Code.OTHER, f"there is no list of albums of the type {kind[:40]!r}")
    return albums


def _by_year(albums: Iterable[AlbumEntry], first: int, last: int) -> list[AlbumEntry]:
    low, high = sorted((first, last))
    found = [each for each in albums if each.year is not None and low <= each.year <= high]
    return sorted(found, key=lambda each: (each.year or 0, each.name), reverse=first > last)


def _scored(albums: Iterable[AlbumEntry], scores: Mapping[str, float]) -> list[AlbumEntry]:
    """Return the albums that have a score, the highest first."""
    found = [each for each in albums if each.id in scores]
    return sorted(found, key=lambda each: (-scores[each.id], each.id))


def _scores(library: Library, shelf: Shelf, kind: str) -> dict[str, float]:
    """Return by how much each album was played, how lately, or how many of its songs are liked."""
    marks = shelf.marks
    if kind == "highest":
        values = dict.fromkeys(marks.liked, 1.0)
    elif kind == "recent":
        values = {key: last.timestamp() for key, (_, last) in marks.plays.items()}
    else:
        values = {key: float(count) for key, (count, _) in marks.plays.items()}
    most = sorted(values, key=lambda key: -values[key])[:MOST_SOUNDS]
    scores: dict[str, float] = {}
    for key, track in library.store.tracks_of_hashes(most).items():
        album = shelf.known.album_of.get(track.id, "")
        before = scores.get(album, 0.0)
        scores[album] = max(before, values[key]) if kind == "recent" else before + values[key]
    if kind == "highest":
        for album in scores.keys() | (marks.liked.keys() & shelf.known.albums.keys()):
            scores[album] = scores.get(album, 0.0) + (album in marks.liked)
    return scores


@answers("getRandomSongs")
async def random_songs(call: Call) -> Content:
    """Return songs by chance: music that is not banned."""
    size = call.number("size", 10, most=MOST_ALBUMS)

    def drawn(library: Library) -> list[dict[str, Any]]:
        shelf = shelf_of(call, library)
        ids = _fitting(call, shelf)
        ids = np.setdiff1d(ids, banned_ids(library.store)).tolist()
        return shelf.songs_of(random.sample(ids, min(size, len(ids))))

    return {"randomSongs": {"song": await call.ask.many(drawn)}}


def _fitting(call: Call, shelf: Shelf) -> IdArray:
    known = shelf.known
    wanted = known.is_music.copy()
    if call.has("genre"):
        wanted &= known.genres == call.text("genre")
    if call.has("fromYear"):
        wanted &= known.years >= call.number("fromYear")
    if call.has("toYear"):
        wanted &= (known.years > 0) & (known.years <= call.number("toYear"))
    return known.ids[wanted]


@answers("getSongsByGenre")
async def songs_by_genre(call: Call) -> Content:
    """Return the songs of a genre by sound."""
    count = call.number("count", 10, most=MOST_ROWS)
    offset = call.number("offset", 0)

    def found(library: Library) -> list[dict[str, Any]]:
        shelf = shelf_of(call, library)
        ids = shelf.known.ids[shelf.known.genres == call.text("genre")].tolist()
        return shelf.songs_of(ids[offset : offset + count])

    return {"songsByGenre": {"song": await call.ask.many(found)}}


@answers("getStarred2", "getStarred")
async def starred(call: Call) -> Content:
    """Return what is liked, the latest first."""
    is_flat = call.name.lower() == "getstarred"

    def found(library: Library) -> dict[str, Any]:
        shelf = shelf_of(call, library)
        liked, known = shelf.marks.liked, shelf.known
        keys = sorted(liked, key=lambda key: liked[key], reverse=True)[:MOST_ROWS]
        tracks = library.store.tracks_of_hashes(keys)
        row = shelf.album_folder if is_flat else shelf.album
        return {
            "artist": [shelf.artist(known.artists[key]) for key in keys if key in known.artists],
            "album": [row(known.albums[key]) for key in keys if key in known.albums],
            "song": shelf.songs([tracks[key] for key in keys if key in tracks]),
        }

    return {"starred" if is_flat else "starred2": await call.ask.many(found)}


@answers("getTopSongs")
async def top_songs(call: Call) -> Content:
    """Return the songs of an artist, those that were played most first."""
    count = call.number("count", 50, most=MOST_ALBUMS)

    def found(library: Library) -> list[dict[str, Any]]:
        shelf = shelf_of(call, library)
        given = call.text("id", "")
        if given:
            entry = artist_of(shelf, given)
        else:
            wanted = sort_key(call.text("artist"))[0]
            named = (a for a in shelf.known.artists.values() if sort_key(a.name)[0] == wanted)
            first = next(named, None)
            if first is None:
                return []
            entry = first
        tracks = library.tracks_of(entry.tracks[:MOST_ROWS])
        plays = shelf.marks.plays
        tracks.sort(key=lambda each: -plays[each.audio_hash][0] if each.audio_hash in plays else 0)
        return shelf.songs(tracks[:count])

    return {"topSongs": {"song": await call.ask.many(found)}}
