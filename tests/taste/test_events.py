"""Events: what they are as JSON, in the library, and how often they count."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import QueryError
from recsys.store import Store
from recsys.taste import Event, EventKind, Subject
from recsys.taste.events import PLAYED_FROM
from tests.stored import analysed, new_library, record

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def event(kind: str = "like", key: str = "h1", **fields: object) -> Event:
    whole = {"subject": "track", "name": key, "time": NOON, "source": "test", "tracks": (key,)}
    whole |= fields
    return Event(EventKind(kind), Subject(str(whole.pop("subject"))), key, **whole)


texts = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
events = st.builds(
    lambda kind, subject, key, name, time, source, tracks: Event(
        kind,
        subject,
        key,
        name,
        time,
        source,
        tuple(dict.fromkeys([key, *tracks] if subject == Subject.TRACK else tracks)),
    ),
    st.sampled_from(EventKind),
    st.sampled_from([Subject.TRACK, Subject.ARTIST, Subject.ALBUM]),
    *(texts, texts, times, texts, st.lists(texts, max_size=3)),
)


@given(events)
def test_a_line_of_json_is_the_event_again(one: Event) -> None:
    assert Event.from_fields(json.loads(json.dumps(one.fields()))) == one


def test_a_track_needs_only_key_kind_and_time() -> None:
    fields = {"time": "2026-11-27T13:00:00+01:00", "kind": "play", "key": "h1"}
    assert Event.from_fields(fields) == event("play", source="import")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "love"}, "'love'"),
        ({"subject": "song"}, "'song'"),
        ({"key": ""}, "key"),
        ({"key": 7}, "key"),
        ({"time": "yesterday"}, "'yesterday'"),
        ({"time": "2026-11-27T12:00:00"}, "time zone"),
        ({"tracks": "h1"}, "tracks"),
    ],
)
def test_what_is_no_event_is_refused_with_its_value(fields: dict[str, object], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        Event.from_fields({**event().fields(), **fields})


def test_the_same_event_twice_is_one(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        assert store.last_event() == 0
        later = event(time=NOON + timedelta(seconds=1))
        assert store.add_events([event(), later, event()]) == 2
        assert store.add_events([later, event("dislike"), event(source="mpd")]) == 2
        assert [each.kind for each in store.events()] == ["like", "dislike", "like", "like"]
        assert store.events(1) == [later]
        assert store.events_of("h1") == store.events()
        assert store.event_counts() == {"like": 3, "dislike": 1}


def test_the_last_act_is_undone_and_bans_follow_at_once(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        acts = [
            event("ban", "h1", time=NOON + timedelta(days=1)),
            event("ban", "h2", time=NOON),  # said last, of an earlier time: an import
            event("like", "h3", time=NOON),
        ]
        store.add_events(acts)
        assert len(store.bans().in_force) == 2
        assert store.undo_events() == acts[1:]
        assert store.bans().in_force == (acts[0],)
        assert store.undo_events() == acts[:1]
        assert not store.bans()
        assert store.undo_events() == []


def test_events_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        given = [event(key=f"h{n}", time=NOON - timedelta(days=n % 3, hours=n)) for n in range(9)]
        store.add_events(given)
        assert store.events() == sorted(given, key=lambda each: each.time)


def test_a_folder_keeps_its_bytes(tmp_path: Path) -> None:
    folder = str(Path("/music") / b"\xff".decode(errors="surrogateescape"))
    with new_library(tmp_path) as store:
        store.add_events([event("ban", folder, subject="folder", tracks=())])
        (found,) = store.events()
        assert found.key == folder
        assert Event.from_fields(json.loads(json.dumps(found.fields()))).key == folder


def test_a_crash_in_the_middle_stores_none_of_a_batch(tmp_path: Path) -> None:
    def failing() -> list[Event]:
        yield event()
        raise KeyboardInterrupt

    with new_library(tmp_path) as store:
        with pytest.raises(KeyboardInterrupt):
            store.add_events(failing())
        assert store.events() == []


def test_a_library_from_before_events_gets_their_table(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        store.write([record("/a", analysed())])
        path = store.path
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE events")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'add_events'")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    with Store.open(path) as store:
        assert store.add_events([event()]) == 1
        assert store.counts()["tracks"] == 1


def test_the_page_counts_plays_as_players_do() -> None:
    script = files("recsys.web") / "static" / "js" / "player.js"
    assert f"const PLAYED_FROM = {PLAYED_FROM};" in script.read_text(encoding="utf-8")


def test_the_last_opinion_of_a_thing_is_in_force(tmp_path: Path) -> None:
    def said(kind: EventKind, key: str, minute: int) -> Event:
        time = NOON + timedelta(minutes=minute)
        return Event(kind, Subject.TRACK, key, key, time, "test", (key,))

    given = (
        *(said(EventKind.LIKE, "a", 1), said(EventKind.LIKE, "b", 2)),
        *(said(EventKind.DISLIKE, "a", 3), said(EventKind.PLAY, "b", 4)),
    )
    with Store.open(tmp_path / "library.db", create=True) as store:
        store.add_events(given)
        assert [(each.kind, each.key) for each in store.opinions()] == [
            *((EventKind.LIKE, "b"), (EventKind.DISLIKE, "a")),
        ]
        gone = [replace(event, kind=EventKind.DISLIKE) for event in given[:2]]
        assert store.forget_events(gone) == 1
        assert [each.key for each in store.opinions()] == ["a", "b"]
