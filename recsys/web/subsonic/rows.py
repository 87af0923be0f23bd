"""Songs, albums and artists as OpenSubsonic has them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from recsys.credits import artists_of, lead_artist
from recsys.discography import UNKNOWN_ARTIST, artist_id, sort_key
from recsys.recommender.filters import moods_of
from recsys.types import Kind
from recsys.web.routing import MEDIA_TYPES

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.discography import AlbumEntry, ArtistEntry, Discography
    from recsys.types import Range, Track
    from recsys.web.subsonic.marks import Marks


_OTHER_TYPES = {
    "ac3": "audio/ac3",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "ape": "audio/x-ape",
    "dff": "audio/x-dff",
    "dsf": "audio/x-dsf",
    "mka": "audio/x-matroska",
    "mpc": "audio/x-musepack",
    "tta": "audio/x-tta",
    "wma": "audio/x-ms-wma",
    "wv": "audio/x-wavpack",
}
"""Types of files that browsers do not play, but some players do."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What rows of one answer are made with."""

    library: Library
    known: Discography
    marks: Marks
    roots: tuple[str, ...]
    moods: dict[str, dict[str, Range]]

    @classmethod
    def of(cls, library: Library, marks: Marks) -> Shelf:
        """Return that of a library."""
        roots = (os.fspath(root).rstrip(os.sep) + os.sep for root in library.folders())
        return cls(
            library,
            library.discography(),
            marks,
            tuple(sorted(roots, key=len, reverse=True)),
            library.moods(),
        )

    def songs(self, tracks: Sequence[Track]) -> list[dict[str, Any]]:
        """Return tracks."""
        sizes = self.library.store.sizes(track.id for track in tracks)
        return [self._song(track, sizes.get(track.id, 0)) for track in tracks]

    def songs_of(self, ids: Iterable[int]) -> list[dict[str, Any]]:
        """Return the tracks of some ids; those that are gone are left out."""
        return self.songs(self.library.tracks_of(ids))

    def _song(self, track: Track, size: int) -> dict[str, Any]:
        tags, path = track.tags, os.fspath(track.path)
        suffix = path.rpartition(os.sep)[2].rpartition(".")[2].lower()
        album = self.known.albums.get(self.known.album_of.get(track.id, ""))
        by = self.known.artist_of.get(track.id) or artist_id(track.artist)
        plays, played = self.marks.plays.get(track.audio_hash, (0, None))
        fields: dict[str, Any] = {
            "id": str(track.id),
            "parent": None if album is None else album.id,
            "isDir": False,
            "title": track.title,
            "album": tags.album if album is None else album.name,
            "artist": track.artist or UNKNOWN_ARTIST,
            "track": tags.track_number,
            "year": tags.year,
            "genre": track.genre_group,
            "coverArt": str(track.id),
            "size": size,
            "contentType": content_type(suffix),
            "suffix": suffix,
            "duration": round(track.duration_s),
            "bitRate": round(size / 125 / track.duration_s) if track.duration_s >= 1 else None,
            "path": self._path(path),
            "isVideo": False,
            "playCount": plays,
            "played": None if played is None else stamp(played),
            "created": added(track.added_s),
            "starred": self._starred(track.audio_hash),
            "userRating": self.marks.rating(track.audio_hash),
            "albumId": None if album is None else album.id,
            "artistId": by,
            "type": "music" if track.kind in (None, Kind.MUSIC) else "audiobook",
            "mediaType": "song",
            "bpm": None if track.tempo is None else round(track.tempo),
            "genres": [{"name": track.genre_group}],
            "artists": [
                {"id": each, "name": self.known.artists[each].name}
                for each in (by, *_other_artists(tags.artist))
                if each in self.known.artists
            ],
            "displayArtist": track.artist or UNKNOWN_ARTIST,
            "moods": self._moods(track),
            "replayGain": _replay_gain(track),
        }
        if album is not None:
            fields["albumArtists"] = [{"id": album.artist_id, "name": album.artist}]
            fields["displayAlbumArtist"] = album.artist
        return {name: value for name, value in fields.items() if value is not None}

    def _moods(self, track: Track) -> list[str]:
        """Return the moods that a track has."""
        if track.energy is None:  # nor any other number, mostly
            return []
        return moods_of(track, self.moods)

    def _path(self, path: str) -> str:
        """Return a path without the folder of the library in which it lies."""
        for root in self.roots:
            if path.startswith(root):
                return path[len(root) :]
        return path.lstrip(os.sep)

    def _starred(self, key: str) -> str | None:
        time = self.marks.liked.get(key)
        return None if time is None else stamp(time)

    def album(self, album: AlbumEntry) -> dict[str, Any]:
        """Return an album without its songs."""
        fields: dict[str, Any] = {
            "id": album.id,
            "name": album.name,
            "artist": album.artist,
            "artistId": album.artist_id,
            "coverArt": album.id,
            "songCount": len(album.tracks),
            "duration": round(album.duration_s),
            "created": added(album.added_s),
            "starred": self._starred(album.id),
            "userRating": self.marks.rating(album.id),
            "year": album.year,
            "genre": album.genres[0],
            "genres": [{"name": genre} for genre in album.genres],
            "artists": [{"id": album.artist_id, "name": album.artist}],
            "displayArtist": album.artist,
            "sortName": sort_key(album.name)[0],
        }
        return {name: value for name, value in fields.items() if value is not None}

    def album_folder(self, album: AlbumEntry) -> dict[str, Any]:
        """Return an album as a folder, for clients that browse so."""
        return {
            **self.album(album),
            "parent": album.artist_id,
            "title": album.name,
            "album": album.name,
            "isDir": True,
            "mediaType": "album",
        }

    def artist(self, artist: ArtistEntry) -> dict[str, Any]:
        """Return an artist without albums."""
        fields: dict[str, Any] = {
            "id": artist.id,
            "name": artist.name,
            "coverArt": artist.id,
            "albumCount": len(artist.albums),
            "starred": self._starred(artist.id),
            "userRating": self.marks.rating(artist.id),
            "sortName": sort_key(artist.name)[0],
        }
        return {name: value for name, value in fields.items() if value is not None}


def stamp(time: datetime) -> str:
    """Return a time in ISO 8601."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=1024)
def added(seconds: float | None) -> str:
    """Return when something was added; 1970 where that is not known."""
    return stamp(datetime.fromtimestamp(seconds or 0, UTC))


def content_type(suffix: str) -> str:
    """Return the type of a file by its extension."""
    kind = MEDIA_TYPES.get(suffix) or _OTHER_TYPES.get(suffix, "application/octet-stream")
    return kind.partition(";")[0]


@lru_cache(maxsize=4096)
def _other_artists(tag: str | None) -> tuple[str, ...]:
    """Return the ids of those whom a tag names after its first artist."""
    ids = [artist_id(name) for name in artists_of(tag)]
    return tuple(each for each in dict.fromkeys(ids) if each != artist_id(lead_artist(tag)))


def _replay_gain(track: Track) -> dict[str, float] | None:
    gain, peak = track.mix.replay_gain, track.mix.true_peak
    if gain is None:
        return None
    fields = {"trackGain": round(gain, 2)}
    if peak is not None:
        fields["trackPeak"] = round(10 ** (peak / 20), 6)
    return fields
