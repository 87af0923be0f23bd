"""Calls that recommend: radio from anything, similar songs, a path from one song to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recsys.api import some_of
from recsys.errors import QueryError
from recsys.index.base import normalised
from recsys.playlists.radio import RadioOptions
from recsys.recommender import SimilarOptions
from recsys.web.subsonic.browsing import album_of, shelf_of
from recsys.web.subsonic.calls import Call, Content, answers, track_id
from recsys.web.subsonic.protocol import CallError, Code

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.types import Track
    from recsys.web.subsonic.rows import Shelf

MOST_SIMILAR = 500


@answers("getSimilarSongs", "getSimilarSongs2")
async def similar_songs(call: Call) -> Content:
    """Return a radio from a song, an album or an artist: as many as asked for, if there are."""
    count = call.number("count", 50, most=MOST_SIMILAR)

    def found(library: Library) -> list[dict[str, Any]]:
        shelf = shelf_of(call, library)
        seeds = _seeds(library, shelf, call.text("id"))
        if not count:
            return []
        return shelf.songs(library.instant_mix(seeds, RadioOptions(length=count)))

    name = "similarSongs2" if call.name.lower().endswith("2") else "similarSongs"
    return {name: {"song": await call.ask(found)}}


def _seeds(library: Library, shelf: Shelf, given: str) -> Sequence[int]:
    known = shelf.known
    if given in known.artists:
        return some_of(known.album_tracks(known.artists[given]))
    if given.startswith("al-"):
        return some_of(album_of(shelf, given).tracks)
    if given.startswith("ar-"):
        raise CallError(Code.NOT_FOUND, f"there is no artist {given[:60]!r}")
    return [library.track(track_id(given)).id]


@answers("getSonicSimilarTracks")
async def sonic_similar_tracks(call: Call) -> Content:
    """Return the songs that sound most like one, with their similarities."""
    count = call.number("count", 10, most=MOST_SIMILAR)

    def found(library: Library) -> list[dict[str, Any]]:
        track = library.track(track_id(call.text("id")))
        if not count:
            return []
        options = SimilarOptions(k=count, strategy="similarity", taste=False)
        results = library.similar(track.id, options).results
        songs = shelf_of(call, library).songs([row.track for row in results])
        return [
            {"entry": song, "similarity": normalised(row.similarity)}
            for song, row in zip(songs, results, strict=True)
        ]

    return {"sonicMatch": await call.ask(found)}


@answers("findSonicPath")
async def find_sonic_path(call: Call) -> Content:
    """Return songs that lead from one to another, with their similarities to the first."""
    count = call.number("count", 25, most=MOST_SIMILAR)

    def found(library: Library) -> list[dict[str, Any]]:
        ends = [library.track(track_id(call.text(f"{end}SongId"))) for end in ("start", "end")]
        try:
            tracks = library.path_between(ends[0], ends[1], count)
        except QueryError as error:
            raise CallError(Code.OTHER, error.message, error.hint) from error
        values = _to_first(library, tracks)
        songs = shelf_of(call, library).songs(tracks)
        return [
            {"entry": song, "similarity": value} for song, value in zip(songs, values, strict=True)
        ]

    return {"sonicMatch": await call.ask(found)}


def _to_first(library: Library, tracks: Sequence[Track]) -> list[float]:
    analyses = library.store.analyses([track.id for track in tracks])
    first = analyses[tracks[0].id].embedding
    return [normalised(float(first @ analyses[track.id].embedding)) for track in tracks]
