"""Calls for the saved playlists and the queue that players share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recsys.web.subsonic.browsing import shelf_of
from recsys.web.subsonic.calls import Call, Content, answers, track_id
from recsys.web.subsonic.desk import PlayQueueState
from recsys.web.subsonic.protocol import CallError, Code
from recsys.web.subsonic.rows import added, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.api import Library
    from recsys.types import SavedPlaylist, Track


@answers("getPlaylists")
async def playlists(call: Call) -> Content:
    """Return the saved playlists."""

    def listed(library: Library) -> list[dict[str, Any]]:
        saved = library.playlists()
        known = library.store.tracks_of_hashes({sound for each in saved for sound in each.tracks})
        return [
            _head(call, each, [known[sound] for sound in each.tracks if sound in known])
            for each in saved
        ]

    return {"playlists": {"playlist": await call.ask.many(listed)}}


@answers("getPlaylist")
async def playlist(call: Call) -> Content:
    """Return a saved playlist with its songs."""
    number = _number(call.text("id"))
    return {"playlist": await call.ask.many(lambda library: _whole(call, library, number))}


@answers("createPlaylist")
async def create(call: Call) -> Content:
    """Keep songs as a playlist: a new one, or in place of one."""
    ids = [track_id(each) for each in call.texts("songId")]

    def created(library: Library) -> dict[str, Any]:
        number = _number(call.text("playlistId")) if call.has("playlistId") else None
        if number is None:
            name = call.text("name")
        else:
            name = call.text("name", library.saved_playlist(number)[0].name)
        tracks = _tracks(library, ids)
        saved = library.save_playlist(name, tracks, playlist=number)
        return _whole(call, library, saved)

    return {"playlist": await call.ask.write(created)}


@answers("updatePlaylist")
async def update(call: Call) -> Content:
    """Rename a playlist, add songs at its end, take some out."""
    number = _number(call.text("playlistId"))
    ids = [track_id(each) for each in call.texts("songIdToAdd")]
    remove = [track_id(each) for each in call.texts("songIndexToRemove")]
    name = call.text("name") if call.has("name") else None
    await call.ask.write(
        lambda library: library.edit_playlist(
            number, name=name, add=_tracks(library, ids), remove=remove
        )
    )
    return {}


@answers("deletePlaylist")
async def delete(call: Call) -> Content:
    """Delete a playlist."""
    number = _number(call.text("id"))
    await call.ask.write(lambda library: library.forget_playlist(number))
    return {}


def _number(text: str) -> int:
    return track_id(text.removeprefix("pl-"))


def _tracks(library: Library, ids: Sequence[int]) -> list[Track]:
    """Return the songs of ids, in their order; CallError if one is not there."""
    known = {track.id: track for track in library.tracks_of(dict.fromkeys(ids))}
    strange = next((each for each in ids if each not in known), None)
    if strange is not None:
        raise CallError(Code.NOT_FOUND, f"there is no song {strange}")
    return [known[each] for each in ids]


def _head(call: Call, saved: SavedPlaylist, tracks: Sequence[Track]) -> dict[str, Any]:
    return {
        "id": str(saved.id),
        "name": saved.name,
        "owner": call.device.name,  # so that every device may change it
        "public": True,
        "songCount": len(tracks),
        "duration": round(sum(track.duration_s for track in tracks)),
        "created": stamp(datetime.fromisoformat(saved.made)),
        "changed": stamp(datetime.fromisoformat(saved.changed)),
        "coverArt": f"pl-{saved.id}",
    }


def _whole(call: Call, library: Library, number: int) -> dict[str, Any]:
    saved, tracks = library.saved_playlist(number)
    return {**_head(call, saved, tracks), "entry": shelf_of(call, library).songs(tracks)}


# The queue


@answers("savePlayQueue")
async def save_queue(call: Call) -> Content:
    """Keep the queue of a player, for all of them."""
    ids = tuple(str(track_id(each)) for each in call.texts("id"))
    current = call.text("current", "") or None
    if current is not None and current not in ids:
        raise CallError(Code.OTHER, f"{current[:40]!r} is not in the queue")
    changed = stamp(datetime.now(UTC))
    position = call.number("position", 0)
    queue = PlayQueueState(ids, current, position, changed, call.text("c", call.device.name)[:100])
    await call.ask.write(lambda _: call.desk.save_queue(queue))
    return {}


@answers("getPlayQueue")
async def play_queue(call: Call) -> Content:
    """Return the queue that was kept last."""

    def found(library: Library) -> dict[str, Any]:
        queue = call.desk.queue() or PlayQueueState((), None, 0, added(None), "")
        songs = shelf_of(call, library).songs_of(map(int, queue.ids))
        fields: dict[str, Any] = {
            "username": call.device.name,
            "position": queue.position_ms,
            "changed": queue.changed,
            "changedBy": queue.changed_by,
            "entry": songs,
        }
        if queue.current in {song["id"] for song in songs}:
            fields["current"] = queue.current
        return fields

    return {"playQueue": await call.ask.many(found)}
