"""Bans: what they mean, what lifts them, and that no answer holds what is banned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.playlists.radio import Radio, RadioOptions
from recsys.recommender import Recommender, SimilarOptions
from recsys.taste import Bans, Event, EventKind, Subject
from recsys.types import Tags, Track
from tests.planted import LABELS, PlantedLibrary, make_info, scattered

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
TAGS = ("rock", "chill", "sad", "happy")


def track(sound: str, folder: str = "/music", **tags: str) -> Track:
    return Track(1, Path(folder) / f"{sound}.mp3", Tags(**tags), 60.0, sound, "jazz")


def act(kind: str, subject: str, key: str, *sounds: str) -> Event:
    own = (key,) if subject == "track" else ()
    time = NOON + timedelta(seconds=next(_seconds))
    return Event(EventKind(kind), Subject(subject), key, key, time, "test", (*own, *sounds))


_seconds = count()


def held(events: Iterable[Event], *tracks: Track) -> list[str]:
    bans = Bans(events)
    return [each.audio_hash for each in tracks if bans.holds(each)]


def test_nothing_is_banned_in_a_new_library() -> None:
    assert not Bans()
    assert not Bans().holds(track("a"))


def test_a_track_is_banned_by_its_sound_wherever_it_goes() -> None:
    events = [act("ban", "track", "a", "a as flac")]
    moved = track("a", "/elsewhere", artist="New")
    assert held(events, track("a"), moved, track("a as flac"), track("b")) == [
        "a",
        "a",
        "a as flac",
    ]


def test_an_artist_is_banned_in_all_spellings_and_as_album_artist() -> None:
    tracks = [
        track("1", artist="Sting"),
        track("2", artist=" STING "),
        track("3", artist="Guest", album_artist="Sting"),
        track("4", artist="Stingray"),
        track("5"),
        track("6", artist="Sting & Shaggy"),
        track("7", artist="Craig David (feat. Sting)"),
        track("8", artist="Bryan Adams, Rod Stewart, Sting"),
        track("9", artist="Sting, Shaggy & Others"),
    ]
    assert held([act("ban", "artist", "sting")], *tracks) == ["1", "2", "3", "6", "7", "8", "9"]


def test_a_track_of_a_banned_artist_stays_banned_under_other_tags() -> None:
    events = [act("ban", "artist", "sting", "1", "2")]
    retagged = track("1", artist="The Police")
    assert held(events, retagged, track("9", artist="Sting")) == ["1", "9"]
    again = [*events, act("ban", "artist", "sting", "2")]
    assert held(again, retagged) == ["1"]
    assert held([*again, act("unban", "artist", "sting", "2")], retagged) == []


def test_an_album_is_banned_by_name_and_artist() -> None:
    tracks = [
        track("1", album="Live", artist="A"),
        track("2", album="LIVE", artist="Guest", album_artist="A"),
        track("3", album="Live", artist="B"),
        track("4", album="Studio", artist="A"),
    ]
    assert held([act("ban", "album", "a - live")], *tracks) == ["1", "2"]


def test_a_folder_is_banned_with_what_is_below_it_and_what_was() -> None:
    tracks = [
        track("1", "/music/a"),
        track("2", "/music/a/b"),
        track("3", "/music/ab"),
        track("4", "/moved"),
    ]
    assert held([act("ban", "folder", "/music/a", "4")], *tracks) == ["1", "2", "4"]


def test_an_unban_lifts_what_it_names_and_no_other_ban() -> None:
    one, other = track("1", artist="Sting"), track("2", artist="Sting")
    events = [act("ban", "track", "1"), act("ban", "artist", "sting", "1", "2")]
    assert held(events, one, other) == ["1", "2"]
    assert held([*events, act("unban", "artist", "sting", "1", "2")], one, other) == ["1"]


def test_a_track_can_be_an_exception_until_the_next_ban() -> None:
    one, other = track("1", artist="Sting"), track("2", artist="Sting")
    events = [act("ban", "artist", "sting", "1", "2"), act("unban", "track", "1")]
    assert held(events, one, other) == ["2"]
    assert held([*events, act("ban", "folder", "/music")], one, other) == ["1", "2"]
    assert held([*events, act("ban", "artist", "sting", "1", "2")], one, other) == ["1", "2"]


def test_the_bans_in_force_are_listed_by_time() -> None:
    first, second = act("ban", "track", "1"), act("ban", "artist", "sting")
    lifted = [act("ban", "track", "2"), act("unban", "track", "2")]
    assert Bans([first, *lifted, second]).in_force == (first, second)


# Every answer


@pytest.fixture
def library(tmp_path: Path) -> PlantedLibrary:
    rng = np.random.default_rng(5)
    sounds = [
        replace(each, strengths=tuple(rng.uniform(0.5, 3, len(TAGS))))
        for each in scattered(120, rng, artists=12)
    ]
    return PlantedLibrary(tmp_path, sounds, make_info(tags=TAGS))


def ban(library: PlantedLibrary, ids: Iterable[int]) -> None:
    events = [act("ban", "track", library.track(i).audio_hash) for i in ids]
    library.store.add_events(events)


def every_answer(library: PlantedLibrary, seed: int) -> list[int]:
    """Return the ids in answers of every kind, those of the seed apart."""
    parts = library.store, library.index, library.info
    maker, query = PlaylistMaker(*parts), library.query(seed)
    one, other = library.seed(seed), library.seed(seed % 120 + 1)
    options = PlaylistOptions(length=25, seed=seed)
    chill = replace(options, tags=("chill",))
    lists = [
        maker.from_seeds(query, options),
        maker.from_seeds(query, replace(options, diversity=0.8)),
        maker.from_seeds(query, chill),
        maker.anywhere(options),
        maker.anywhere(replace(options, genre=one[0].genre)),
        maker.anywhere(chill),
        maker.cycle("auto", None, options),
        maker.cycle("auto", None, chill),
        maker.between(one, other, replace(options, length=8)),
        maker.extend([one], options),
    ]
    found = [each.id for playlist in lists for each in playlist.tracks]
    recommender = Recommender(*parts)
    for asked in (
        SimilarOptions(k=120),
        SimilarOptions(k=120, strategy="similarity"),
        SimilarOptions(k=120, tags=("sad",)),
    ):
        found += [row.track.id for row in recommender.similar(query, asked).results]
    radio = Radio(*parts).following(1, query, [], RadioOptions(length=120))
    found += [row.track.id for row in radio.results]
    return [i for i in found if i not in (one[0].id, other[0].id)]


@pytest.mark.parametrize("seed", [3, 50])
def test_no_answer_of_any_kind_holds_a_banned_track(library: PlantedLibrary, seed: int) -> None:
    before = every_answer(library, seed)
    banned = {i for i in library.ids() if i % 4}
    assert banned & set(before)
    ban(library, banned)
    after = every_answer(library, seed)
    assert after
    assert not banned & set(after)


def test_a_ban_counts_at_once_and_until_it_is_lifted(library: PlantedLibrary) -> None:
    recommender = Recommender(library.store, library.index, library.info)

    def answer() -> list[int]:
        return [row.track.id for row in recommender.similar(library.query(1)).results]

    before = answer()
    nearest = library.track(before[0]).audio_hash
    library.store.add_events([act("ban", "track", nearest)])
    assert before[0] not in answer()
    library.store.add_events([act("unban", "track", nearest)])
    assert answer() == before


def test_a_genre_that_is_banned_as_a_whole_leaves_the_cycle(library: PlantedLibrary) -> None:
    ban(library, library.ids("jazz"))
    maker = PlaylistMaker(library.store, library.index, library.info)
    playlist = maker.cycle(["jazz", "rock"], None, PlaylistOptions(length=4))
    assert {each.genre for each in playlist.tracks} == {"rock"}
    assert (
        "jazz holds no tracks that the filters allow and was left out of the cycle" in playlist.note
    )


def test_where_all_is_banned_nothing_is_drawn(library: PlantedLibrary) -> None:
    ban(library, library.ids())
    maker = PlaylistMaker(library.store, library.index, library.info)
    for options in (PlaylistOptions(), PlaylistOptions(genre=LABELS[0])):
        with pytest.raises(QueryError, match="no track to begin with") as caught:
            maker.anywhere(options)
        assert "recsys feedback bans" in caught.value.hint
    assert (
        Recommender(library.store, library.index, library.info).similar(library.query(1)).results
        == ()
    )
