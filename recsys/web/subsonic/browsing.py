"""Calls that walk through artists, albums and songs, and search them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any

from recsys.discography import ARTICLES, sort_key
from recsys.pages import MOST_WORDS, PageOptions
from recsys.web.subsonic.calls import Call, Content, answers, track_id
from recsys.web.subsonic.protocol import CallError, Code
from recsys.web.subsonic.rows import Shelf
from recsys.web.subsonic.system import FOLDER

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.discography import AlbumEntry, ArtistEntry

MOST_ROWS = 10_000
"""Rows of one kind in one answer."""

ROOT = (str(FOLDER), "")
"""Ids by which clients ask for the folder above all artists."""


def shelf_of(call: Call, library: Library) -> Shelf:
    """Return what rows are made with."""
    return Shelf.of(library, call.desk.marks(library))


def album_of(shelf: Shelf, text: str) -> AlbumEntry:
    """Return the album of an id; CallError if there is none."""
    album = shelf.known.albums.get(text)
    if album is None:
        raise CallError(Code.NOT_FOUND, f"there is no album {text[:60]!r}")
    return album


def artist_of(shelf: Shelf, text: str) -> ArtistEntry:
    """Return the artist of an id; CallError if there is none."""
    artist = shelf.known.artists.get(text)
    if artist is None:
        raise CallError(Code.NOT_FOUND, f"there is no artist {text[:60]!r}")
    return artist


@answers("getArtists")
async def artists(call: Call) -> Content:
    """Return all artists under their letters."""

    def listed(library: Library) -> list[dict[str, Any]]:
        return _index(shelf_of(call, library))

    return {
        "artists": {"ignoredArticles": " ".join(ARTICLES), "index": await call.ask.many(listed)}
    }


@answers("getIndexes")
async def indexes(call: Call) -> Content:
    """Return all artists under their letters, for clients that browse by folders."""

    def listed(library: Library) -> dict[str, Any]:
        shelf = shelf_of(call, library)
        newest = max((album.added_s or 0 for album in shelf.known.albums.values()), default=0)
        return {
            "lastModified": int(newest * 1000),
            "ignoredArticles": " ".join(ARTICLES),
            "index": _index(shelf),
        }

    return {"indexes": await call.ask.many(listed)}


def _index(shelf: Shelf) -> list[dict[str, Any]]:
    by_letter = groupby(
        sorted(shelf.known.artists.values(), key=lambda each: (_letter(each), sort_key(each.name))),
        _letter,
    )
    return [
        {"name": letter, "artist": [shelf.artist(each) for each in found]}
        for letter, found in by_letter
    ]


def _letter(artist: ArtistEntry) -> str:
    first = sort_key(artist.name)[0][:1].upper()
    return first if first.isalpha() else "#"


@answers("getArtist")
async def artist(call: Call) -> Content:
    """Return an artist with the albums."""

    def found(library: Library) -> dict[str, Any]:
        shelf = shelf_of(call, library)
        entry = artist_of(shelf, call.text("id"))
        albums = [shelf.album(shelf.known.albums[each]) for each in entry.albums]
        return {**shelf.artist(entry), "album": albums}

    return {"artist": await call.ask.many(found)}


@answers("getAlbum")
async def album(call: Call) -> Content:
    """Return an album with its songs."""

    def found(library: Library) -> dict[str, Any]:
        shelf = shelf_of(call, library)
        entry = album_of(shelf, call.text("id"))
        return {**shelf.album(entry), "song": shelf.songs_of(entry.tracks)}

    return {"album": await call.ask.many(found)}


@answers("getSong")
async def song(call: Call) -> Content:
    """Return a song."""

    def found(library: Library) -> dict[str, Any]:
        track = library.track(track_id(call.text("id")))
        return shelf_of(call, library).songs([track])[0]

    return {"song": await call.ask.many(found)}


@answers("getMusicDirectory")
async def music_directory(call: Call) -> Content:
    """Return an artist or album as a folder: it has albums, or songs."""

    def found(library: Library) -> dict[str, Any]:
        shelf, given = shelf_of(call, library), call.text("id")
        known = shelf.known
        if given in ROOT:
            rows = [{**shelf.artist(each), "isDir": True} for each in known.artists.values()]
            children = [{**row, "title": row["name"]} for row in rows]
            return {"id": given, "name": "Music", "child": children}
        if given in known.artists:
            entry = known.artists[given]
            albums = [shelf.album_folder(known.albums[each]) for each in entry.albums]
            return {"id": given, "parent": str(FOLDER), "name": entry.name, "child": albums}
        entry_of_album = album_of(shelf, given)
        return {
            "id": given,
            "parent": entry_of_album.artist_id,
            "name": entry_of_album.name,
            "child": shelf.songs_of(entry_of_album.tracks),
        }

    return {"directory": await call.ask.many(found)}


@answers("getGenres")
async def genres(call: Call) -> Content:
    """Return the genres by sound, with their numbers of songs and albums."""
    counts = await call.ask.many(lambda library: library.discography().genre_counts())
    rows = [
        {"value": genre, "songCount": songs, "albumCount": albums}
        for genre, (songs, albums) in counts.items()
    ]
    return {"genres": {"genre": rows}}


@answers("getArtistInfo", "getArtistInfo2")
async def artist_info(call: Call) -> Content:
    """Return the artists who sound like one; there is no biography."""
    count = call.number("count", 20, most=100)

    def found(library: Library) -> list[dict[str, Any]]:
        shelf, given = shelf_of(call, library), call.text("id")
        if given not in shelf.known.artists:  # clients that browse by folders ask so for songs, too
            given = _artist_behind(shelf, given)
        similar = library.similar_artists(given, count) if count else []
        return [shelf.artist(each) for each, _ in similar]

    name = "artistInfo2" if call.name.lower().endswith("2") else "artistInfo"
    return {name: {"biography": "", "similarArtist": await call.ask.many(found)}}


def _artist_behind(shelf: Shelf, given: str) -> str:
    album = shelf.known.albums.get(given)
    by = shelf.known.artist_of.get(track_id(given)) if album is None else album.artist_id
    if by is None:
        raise CallError(Code.NOT_FOUND, f"there is no artist {given[:60]!r}")
    return by


@answers("getAlbumInfo", "getAlbumInfo2")
async def album_info(call: Call) -> Content:
    """Return what is known of an album apart from its tags: nothing."""
    await call.ask.many(lambda library: album_of(shelf_of(call, library), call.text("id")))
    return {"albumInfo": {"notes": ""}}


# Search


@answers("search3", "search2")
async def search(call: Call) -> Content:
    """Return artists, albums and songs with words that begin so; all of them without words."""
    # Symfonium sends two quotation marks for no words at all, others a star for any end.
    words = call.text("query", "").replace('"', " ").replace("*", " ").strip()[:MOST_WORDS]
    is_flat = call.name.lower() == "search2"

    def found(library: Library) -> dict[str, Any]:
        shelf = shelf_of(call, library)
        by, albums = shelf.known.find_artists(words), shelf.known.find_albums(words)
        row = shelf.album_folder if is_flat else shelf.album
        return {
            "artist": [shelf.artist(each) for each in _part(call, "artist", by)],
            "album": [row(each) for each in _part(call, "album", albums)],
            "song": shelf.songs_of(_part(call, "song", _song_ids(library, shelf, words))),
        }

    return {"searchResult2" if is_flat else "searchResult3": await call.ask.many(found)}


def _song_ids(library: Library, shelf: Shelf, words: str) -> list[int]:
    if not words or not len(shelf.known.ids):
        ids: list[int] = shelf.known.ids.tolist()
        return ids
    found: list[int] = library.track_ids(PageOptions(search=words, banned=True)).tolist()
    return found


def _part(call: Call, kind: str, found: Iterable[Any]) -> list[Any]:
    """Return the part of what was found that was asked for."""
    count = call.number(f"{kind}Count", 20, most=MOST_ROWS)
    offset = call.number(f"{kind}Offset", 0)
    return list(found)[offset : offset + count]
