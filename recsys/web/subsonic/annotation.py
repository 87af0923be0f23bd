"""Calls that say what the listener likes and plays: they become feedback."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from recsys.credits import album_keys, name_key
from recsys.taste import Event, EventKind, Subject
from recsys.taste.events import now
from recsys.web.subsonic.browsing import album_of, artist_of, shelf_of
from recsys.web.subsonic.calls import Call, Content, answers, track_id
from recsys.web.subsonic.protocol import CallError, Code

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recsys.api import Library
    from recsys.types import Track

STATES = ("starting", "playing", "paused", "stopped")

LIKED_FROM, DISLIKED_TO = 4, 2
"""Stars from which a rating is a like, and up to which it is a dislike."""

LATE = timedelta(minutes=30)
"""A play of longer ago was on the way, and has nothing to do with what plays now."""


@answers("star")
async def star(call: Call) -> Content:
    """Like songs, albums and artists."""
    await call.ask.write(lambda library: _judge(library, EventKind.LIKE, _events(call, library)))
    return {}


@answers("unstar")
async def unstar(call: Call) -> Content:
    """Take likes back."""
    await call.ask.write(lambda library: library.take_back(EventKind.LIKE, _events(call, library)))
    return {}


@answers("setRating")
async def set_rating(call: Call) -> Content:
    """Like what has many stars, dislike what has few, and forget both for those between."""
    rating = call.number("rating")
    if rating > 5:
        raise CallError(Code.OTHER, f"a rating has 0 to 5 stars, not {rating}")

    def rated(library: Library) -> None:
        (event,) = _events(call, library)
        for kind in (EventKind.LIKE, EventKind.DISLIKE):
            library.take_back(kind, event)
        if rating >= LIKED_FROM:
            _judge(library, EventKind.LIKE, [event])
        elif 0 < rating <= DISLIKED_TO:
            _judge(library, EventKind.DISLIKE, [event])

    call.text("id")
    if sum(len(call.texts(each)) for each in ("id", "albumId", "artistId")) > 1:
        raise CallError(Code.OTHER, "a rating is of one song, album or artist")
    await call.ask.write(rated)
    return {}


def _events(call: Call, library: Library) -> list[Event]:
    """Return what a call is about, as likes; CallError if it names nothing, or nothing there is."""
    shelf, time, by = shelf_of(call, library), now(), call.device.name
    ids = {name: list(call.texts(name)) for name in ("id", "albumId", "artistId")}
    # Clients that browse by folders give all ids by one name.
    albums = [each for each in ids["id"] if each.startswith("al-")] + ids["albumId"]
    artists = [each for each in ids["id"] if each.startswith("ar-")] + ids["artistId"]
    numbers = [track_id(each) for each in ids["id"] if each not in (*albums, *artists)]
    if not (numbers or albums or artists):
        raise CallError(Code.MISSING, f"{call.name} needs the parameter id")
    songs = (library.track(number) for number in numbers)
    found = [_of_track(EventKind.LIKE, each, time, by) for each in songs]
    for album in (album_of(shelf, each) for each in albums):
        tracks = library.tracks_of(album.tracks)
        hashes = tuple(dict.fromkeys(track.audio_hash for track in tracks))
        keys = (*(album_keys(tracks[0]) if tracks else ()), name_key(album.name) or album.id)
        found.append(Event(EventKind.LIKE, Subject.ALBUM, keys[0], album.name, time, by, hashes))
    for artist in (artist_of(shelf, each) for each in artists):
        tracks = library.tracks_of(artist.tracks)
        hashes = tuple(dict.fromkeys(track.audio_hash for track in tracks))
        key = name_key(artist.name) or artist.id
        found.append(Event(EventKind.LIKE, Subject.ARTIST, key, artist.name, time, by, hashes))
    return found


def _judge(library: Library, kind: EventKind, events: Iterable[Event]) -> None:
    _store(library, [replace(event, kind=kind) for event in events])


def _of_track(kind: EventKind, track: Track, time: datetime, by: str) -> Event:
    key = track.audio_hash
    return Event(kind, Subject.TRACK, key, track.display_name, time, by, (key,))


def _store(library: Library, events: Sequence[Event]) -> None:
    """Store events in one transaction, if there are any."""
    if events:
        library.import_feedback(json.dumps(event.fields(), ensure_ascii=True) for event in events)


# What is played


@answers("scrobble")
async def scrobble(call: Call) -> Content:
    """Note what plays now, or store that songs were played."""
    call.text("id")
    ids = [track_id(each) for each in call.texts("id")]
    times = [_time(each) for each in call.texts("time")]
    submitted = call.flag("submission", default=True)

    def noted(library: Library) -> None:
        tracks, by = [library.track(number) for number in ids], call.device.name
        if not submitted:
            for track in tracks:
                _store_meant(library, by, call.desk.report(by, track.id, track.duration_s))
            return
        played = []
        for position, track in enumerate(tracks):
            time = times[position] if position < len(times) else now()
            if now() - time > LATE or call.desk.scrobbled(by, track.id):
                played.append(_of_track(EventKind.PLAY, track, time, by))
        _store(library, played)

    await call.ask.write(noted)
    return {}


def _time(text: str) -> datetime:
    """Return the time of milliseconds since 1970; CallError for what is none."""
    try:
        time = datetime.fromtimestamp(int(text) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise CallError(Code.OTHER, f"time is none: {text[:40]!r}") from None
    return min(time, now())  # the clock of a device may be ahead


@answers("reportPlayback")
async def report_playback(call: Call) -> Content:
    """Note how far a player is; plays and skips follow from that."""
    number, state = track_id(call.text("mediaId")), call.text("state")
    kind, position_ms = call.text("mediaType"), call.number("positionMs")
    if kind != "song":
        raise CallError(Code.NOT_FOUND, f"there is no {kind[:40]!r} here")
    if state not in STATES:
        raise CallError(Code.OTHER, f"there is no state {state[:40]!r}: {', '.join(STATES)}")
    rate = call.decimal("playbackRate", 1.0, least=0.0, most=4.0)

    def noted(library: Library) -> None:
        track = library.track(number)
        meant = call.desk.report(
            call.device.name, track.id, track.duration_s, state, position_ms / 1000, rate
        )
        if not call.flag("ignoreScrobble", default=False):
            _store_meant(library, call.device.name, meant)

    await call.ask.write(noted)
    return {}


def _store_meant(library: Library, by: str, meant: Iterable[tuple[EventKind, int]]) -> None:
    """Store plays and skips; of a track that has left the library there is nothing to say."""
    found = [(kind, track) for kind, number in meant for track in library.tracks_of([number])]
    _store(library, [_of_track(kind, track, now(), by) for kind, track in found])


@answers("getNowPlaying")
async def now_playing(call: Call) -> Content:
    """Return what the devices play now."""
    playing = call.desk.playing()

    def found(library: Library) -> list[dict[str, Any]]:
        shelf = shelf_of(call, library)
        rows = []
        for number, (device, each) in enumerate(sorted(playing.items()), start=1):
            for song in shelf.songs_of([each.track]):
                about = {"username": device, "playerId": number, "playerName": device}
                state = {"state": each.state, "minutesAgo": each.minutes_ago()}
                rows.append({**song, **about, **state})
        return rows

    return {"nowPlaying": {"entry": await call.ask(found)}}
