"""What players say becomes feedback, and shows in all of them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from recsys.api import Library
from recsys.store import Store, connection
from recsys.taste import EventKind, Subject
from recsys.web.subsonic import desk
from recsys.web.subsonic.desk import Desk
from tests.web.subsonic.conftest import Player


def said(player: Player) -> list[tuple[str, str, str]]:
    with Library(player.database) as library:
        return [(str(e.kind), str(e.subject), e.source) for e in library.feedback()]


def test_a_star_is_a_like_and_can_be_taken_back(player: Player) -> None:
    album = player.ask("search3", query="nocturne", songCount=0)["searchResult3"]["album"][0]
    player.ask("star", id=[1, 2], albumId=album["id"], artistId=album["artistId"])
    starred = player.ask("getStarred2")["starred2"]
    assert {song["id"] for song in starred["song"]} == {"1", "2"}
    assert [each["id"] for each in starred["album"]] == [album["id"]]
    assert [each["id"] for each in starred["artist"]] == [album["artistId"]]
    assert player.ask("getAlbumList2", type="starred")["albumList2"]["album"][0]["starred"]
    kinds = said(player)
    assert sorted(kinds) == sorted(
        [("like", subject, "phone") for subject in ("track", "track", "album", "artist")]
    )
    player.ask("unstar", id=1, albumId=album["id"], artistId=album["artistId"])
    starred = player.ask("getStarred2")["starred2"]
    assert [song["id"] for song in starred["song"]] == ["2"]
    assert starred["album"] == starred["artist"] == []
    # Clients that browse by folders have one name for all ids.
    player.ask("star", id=[3, album["id"], album["artistId"]])
    starred = player.ask("getStarred")["starred"]
    assert len(starred["album"]) == len(starred["artist"]) == 1


def test_a_like_of_an_album_counts_for_the_album_that_recsys_names(player: Player) -> None:
    with Library(player.database) as library:
        library.like("album:Best of chamber")
    (album,) = player.ask("getStarred2")["starred2"]["album"]
    assert album["name"] == "Best of chamber"
    player.ask("unstar", albumId=album["id"])
    assert said(player) == []


def test_an_album_of_which_nothing_is_known_breaks_no_list(player: Player) -> None:
    with Library(player.database) as library:
        library.import_feedback(
            ['{"time": "2026-05-01T12:00:00Z", "kind": "like", "subject": "album", "key": "x"}']
        )
    assert player.ask("getStarred2")["starred2"]["album"] == []
    assert len(player.ask("search3", query="")["searchResult3"]["song"]) == 10


def test_a_call_of_many_songs_is_one_write(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    player.ask("getStarred2")
    writes, write = [], connection.write_transaction
    monkeypatch.setattr(
        "recsys.store.store.write_transaction", lambda db: writes.append(1) or write(db)
    )
    for call in ("star", "unstar", "scrobble"):
        player.ask(call, id=list(range(1, 11)))
    assert len(writes) == 3
    assert [each[:2] for each in said(player)] == [("play", "track")] * 10


@pytest.mark.parametrize(
    ("rating", "kind", "shown"),
    [(5, "like", 5), (4, "like", 5), (3, None, None), (2, "dislike", 1), (1, "dislike", 1)],
)
def test_stars_become_likes_and_dislikes(
    player: Player, rating: int, kind: str | None, shown: int | None
) -> None:
    player.ask("setRating", id=4, rating=5 if kind == "dislike" else 1)
    player.ask("setRating", id=4, rating=rating)
    assert [each[0] for each in said(player)] == ([] if kind is None else [kind])
    assert player.ask("getSong", id=4)["song"].get("userRating") == shown
    player.ask("setRating", id=4, rating=0)
    assert said(player) == []
    assert player.code("setRating", id=4, rating=6) == 0
    assert player.code("setRating", id=[4, 5], rating=5) == 0


def test_a_scrobble_is_a_play_at_its_time(player: Player) -> None:
    when = datetime(2026, 5, 1, 12, tzinfo=UTC)
    stamp = int(when.timestamp() * 1000)
    for _ in range(2):  # a client that is not sure says it twice
        player.ask("scrobble", id=[5, 6], time=[stamp, stamp + 1])
    with Library(player.database) as library:
        events = library.feedback()
    assert [(each.kind, each.source) for each in events] == [(EventKind.PLAY, "phone")] * 2
    assert events[0].time == when
    song = player.ask("getSong", id=5)["song"]
    assert (song["playCount"], song["played"]) == (1, "2026-05-01T12:00:00Z")
    assert len(player.ask("getAlbumList2", type="recent")["albumList2"]["album"]) in (1, 2)


def test_the_time_of_a_scrobble_spoils_nothing(player: Player) -> None:
    """A clock that is ahead, or begins with the calendar, leaves events that can be read."""
    player.ask("scrobble", id=[5, 6], time=[-62_135_596_800_000, 99_999_999_999_999])
    with Library(player.database) as library:
        first, last = library.feedback()
    assert first.time.year == 1
    assert last.time <= datetime.now(UTC)
    assert player.ask("getSimilarSongs", id=5, count=1)["similarSongs"]["song"]


def test_what_plays_is_shown_and_sound_alone_is_no_play(player: Player) -> None:
    player.raw("stream", id=1)
    assert said(player) == []
    player.ask("scrobble", id=1, submission="false")
    (entry,) = player.ask("getNowPlaying")["nowPlaying"]["entry"]
    assert (entry["id"], entry["username"], entry["state"]) == ("1", "phone", "playing")


def test_sound_that_plays_at_half_speed_is_not_paused(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[tuple[Any, ...]] = []
    monkeypatch.setattr(Desk, "report", lambda _, *given: reports.append(given) or [])
    player.ask(
        "reportPlayback", mediaId=1, mediaType="song", state="playing", positionMs=1500,
        playbackRate=0.5,
    )  # fmt: skip
    assert reports[0][3:] == ("playing", 1.5, 0.5)


class Clock:
    """Time that passes when it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(desk, "time", found)
    return found


@pytest.fixture
def table(tmp_path: Any) -> Desk:
    return Desk(tmp_path / "library.db")


def test_going_on_before_half_is_a_skip(table: Desk, clock: Clock) -> None:
    assert table.report("phone", 1, 100.0) == []
    clock.now += 20
    assert table.report("phone", 2, 100.0) == [(EventKind.SKIP, 1)]
    clock.now += 60
    assert table.report("phone", 3, 100.0) == []  # 2 was over its half
    clock.now += 0.5
    assert table.report("phone", 4, 100.0) == []  # on the way to another
    assert table.report("desk", 5, 100.0) == []  # another device


def test_a_pause_is_no_listening_and_an_end_no_skip(table: Desk, clock: Clock) -> None:
    table.report("phone", 1, 100.0, "starting", 0.0)
    table.report("phone", 1, 100.0, "playing", 0.0)
    clock.now += 10
    table.report("phone", 1, 100.0, "paused", 10.0)
    clock.now += 600
    assert table.report("phone", 2, 100.0, "starting", 0.0) == [(EventKind.SKIP, 1)]
    clock.now += 5
    table.report("phone", 2, 100.0, "stopped", 5.0)
    clock.now += 60  # it was put away
    assert table.report("phone", 3, 100.0, "starting", 0.0) == []


def test_half_of_a_track_is_one_play(table: Desk, clock: Clock) -> None:
    table.report("phone", 1, 100.0, "playing", 0.0)
    assert table.report("phone", 1, 100.0, "playing", 60.0) == [(EventKind.PLAY, 1)]
    assert not table.scrobbled("phone", 1)  # which was counted
    assert table.report("phone", 1, 100.0, "stopped", 100.0) == []
    assert table.report("phone", 1, 100.0, "starting", 0.0) == []
    assert table.scrobbled("phone", 1)  # again from the start
    clock.now += 1
    assert table.report("phone", 2, 100.0) == []
    # A player that says how it ended, but not where.
    clock.now += 90
    assert table.report("phone", 2, 100.0, "stopped", 0.0) == [(EventKind.PLAY, 2)]


def test_playlists_go_both_ways_and_lose_nothing(player: Player) -> None:
    with Library(player.database) as library:
        number = library.save_playlist("from the page", [library.track(i) for i in (1, 2, 3, 4)])
    (listed,) = player.ask("getPlaylists")["playlists"]["playlist"]
    assert (listed["id"], listed["songCount"]) == (str(number), 4)
    player.ask("updatePlaylist", playlistId=number, songIndexToRemove=[0, 2], songIdToAdd=[9, 9])
    entries = player.ask("getPlaylist", id=number)["playlist"]["entry"]
    assert [song["id"] for song in entries] == ["2", "4", "9", "9"]
    player.ask("createPlaylist", playlistId=number, songId=[5])
    again = player.ask("getPlaylist", id=number)["playlist"]
    assert (again["name"], [song["id"] for song in again["entry"]]) == ("from the page", ["5"])
    assert player.code("createPlaylist", name="x", songId=[1, 99]) == 70
    for name in (" ", "x" * 501):
        assert player.code("createPlaylist", name=name) == 70
        assert player.code("updatePlaylist", playlistId=number, name=name) == 70
    player.ask("deletePlaylist", id=number)
    assert player.code("getPlaylist", id=number) == 70


def test_tracks_that_are_away_stay_in_a_playlist(player: Player) -> None:
    with Library(player.database) as library:
        number = library.save_playlist("some", [library.track(i) for i in (1, 2, 3)])
        saved, _ = library.saved_playlist(number)
        with Store.open(player.database) as writer:
            writer.write((), removed=[2])
        library.edit_playlist(number, name="same", remove=[1])
        after, tracks = library.saved_playlist(number)
    assert [track.id for track in tracks] == [1]
    assert after.tracks == saved.tracks[:2]  # the one that is gone, but not the third


def test_the_queue_goes_on_on_another_device(player: Player) -> None:
    assert player.ask("getPlayQueue")["playQueue"]["entry"] == []
    player.ask("savePlayQueue", id=[3, 1, 2], current=1, position=61_000, c="Feishin")
    queue = player.ask("getPlayQueue")["playQueue"]
    assert [song["id"] for song in queue["entry"]] == ["3", "1", "2"]
    assert (queue["current"], queue["position"], queue["changedBy"]) == ("1", 61_000, "Feishin")
    assert player.code("savePlayQueue", id=[1], current=2) == 0


def test_subjects_are_those_of_the_library(player: Player) -> None:
    player.ask("star", id=1)
    with Library(player.database) as library:
        (event,) = library.feedback()
        assert event.subject == Subject.TRACK
        assert event.key == library.track(1).audio_hash


def test_writes_of_two_devices_at_once_are_all_kept(player: Player) -> None:
    number = player.ask("createPlaylist", name="both")["playlist"]["id"]

    def add(song: int) -> None:
        player.ask("updatePlaylist", playlistId=number, songIdToAdd=song)

    threads = [threading.Thread(target=add, args=(song,)) for song in range(1, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    entries = player.ask("getPlaylist", id=number)["playlist"]["entry"]
    assert sorted(int(song["id"]) for song in entries) == list(range(1, 11))
