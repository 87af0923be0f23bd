"""Tracks that must not be in a list are in none: similar, playlists, ways, moods, radio."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.playlists.radio import Radio, RadioOptions
from recsys.recommender import Filters, Recommender, SimilarOptions
from recsys.recommender.filters import TrackFilter
from recsys.recommender.query import track_filter
from recsys.taste import Event, EventKind, Subject
from recsys.types import Tags, Track
from tests.planted import LABELS, PlantedLibrary, Sound, at_cosine, make_info, unit

NORTH, EAST = np.eye(16, dtype=np.float32)[:2]


def track(path: str = "/music/a.mp3", duration_s: float = 200.0, **tags: object) -> Track:
    return Track(1, Path(path), Tags(**tags), duration_s, "hash", "jazz")


def objection(filters: Filters, candidate: Track, *seeds: Track) -> str | None:
    return TrackFilter(filters, seeds).objection(candidate)


@pytest.mark.parametrize(
    ("duration_s", "reason"),
    [(59.4, "too_short"), (59.6, None), (720.4, None), (721, "too_long"), (0.0, None)],
)
def test_lengths_are_compared_as_they_are_shown(duration_s: float, reason: str | None) -> None:
    filters = Filters(min_length_s=60, max_length_s=720)
    assert objection(filters, track(duration_s=duration_s)) == reason


@pytest.mark.parametrize(
    ("artist", "is_out"),
    [
        ("Beyoncé", True),
        ("BEYONCE", True),
        ("Jay-Z; Beyoncé", True),
        ("Jay-Z feat. Beyonce", True),
        ("Shakira (ft. Beyoncé)", True),
        ("Beyoncé & Shakira", True),
        ("Beyoncé and the Others", True),
        ("Beyoncé, Shakira & Jay-Z", True),
        ("Jay-Z, Beyoncé", True),
        ("Beyoncé, The Creator", False),  # one name, as "Tyler, The Creator"
        ("Beyoncé, Jr.", False),
        ("Sandy Beyoncé", False),
        ("Beyond", False),
        (None, False),
    ],
)
def test_an_artist_is_out_in_every_spelling_and_wherever_it_is_credited(
    artist: str | None, *, is_out: bool
) -> None:
    found = objection(Filters(not_artists=("beyonce",)), track(artist=artist))
    assert found == ("not_artist" if is_out else None)


def test_an_artist_of_the_album_is_out_too() -> None:
    filters = Filters(not_artists=("AC/DC",))
    assert objection(filters, track(artist="Guest", album_artist="ACDC")) == "not_artist"


def test_artists_of_the_seeds_are_out_on_request() -> None:
    seeds = (track("/music/seed.mp3", artist="Nina Simone"), track("/music/b.mp3", artist="B; C"))
    filters = Filters(no_same_artist=True)
    assert objection(filters, track(artist="nina simone"), *seeds) == "query_artist"
    assert objection(filters, track(artist="C"), *seeds) == "query_artist"
    assert objection(filters, track(artist="D"), *seeds) is None
    assert objection(filters, seeds[0], *seeds) is None


def test_placeholders_are_no_artist_that_two_tracks_share() -> None:
    seed = track("/music/seed.mp3", artist="Various Artists")
    filters = Filters(no_same_artist=True)
    assert objection(filters, track(artist="Various Artists"), seed) is None


@pytest.mark.parametrize(
    ("words", "tags", "is_out"),
    [
        ("audiobook", {"genre_tag": "Audiobooks"}, True),
        ("Audiobooks", {"title": "Chapter 3 (audiobook)"}, True),
        ("christmas", {"album": "A Christmas Gift for You"}, True),
        ("live paris", {"title": "Song (Live)", "album": "Olympia, Paris"}, True),
        ("live paris", {"title": "Song (Live)", "album": "Olympia"}, False),
        ("live", {"artist": "Liverpool Express"}, False),
        ("hip hop", {"genre_tag": "Hip-Hop"}, True),
        ("hip-hop", {"genre_tag": "hip hop"}, True),
        ("remix", {"title": "Song [The Remixes]"}, True),
        ("bass", {"title": "All About That Bass"}, True),
        ("!!!", {"artist": "!!!"}, True),
        ("AC/DC", {"artist": "AC/DC"}, True),
        ("ÉTUDE", {"title": "Etudes, Op. 10"}, True),
        ("skit", {"title": "Skittles"}, False),
        ("a", {"title": "b"}, False),
    ],
)
def test_words_exclude_the_tracks_that_have_them_all(
    words: str, tags: dict[str, str], *, is_out: bool
) -> None:
    found = objection(Filters(exclude=(words,)), track(**tags))
    assert found == ("excluded" if is_out else None)


def test_a_folder_excludes_what_is_below_it(tmp_path: Path) -> None:
    filters = Filters(exclude=("/music/books", Path("/music/one.mp3")))
    assert objection(filters, track("/music/books/a/b.mp3")) == "excluded"
    assert objection(filters, track("/music/one.mp3")) == "excluded"
    assert objection(filters, track("/music/books2/a.mp3")) is None
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    filters = Filters(exclude=(tmp_path / "link",))
    assert objection(filters, track(f"{tmp_path}/real/a.mp3")) == "excluded"


def test_paths_are_read_where_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    given = ("~/Music/Audiobooks/", "./skits", Path("live"), "live", "AC/DC")
    assert Filters(exclude=given).exclude == (
        Path("/home/me/Music/Audiobooks"),
        tmp_path / "skits",
        tmp_path / "live",
        "live",
        "AC/DC",
    )


def test_names_that_are_not_utf8_are_no_obstacle() -> None:
    odd = os.fsdecode(b"/music/\xff/a.mp3")
    assert objection(Filters(exclude=(Path(odd).parent,)), track(odd)) == "excluded"
    assert objection(Filters(exclude=("caf\udce9",)), track(title="other")) is None


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"min_length_s": 0}, "min_length_s"),
        ({"max_length_s": float("nan")}, "max_length_s"),
        ({"min_length_s": 100, "max_length_s": 50}, "100"),
        ({"not_artists": "X"}, "'X'"),
        ({"exclude": "X"}, "'X'"),
        ({"languages": "de"}, "'de'"),
        ({"max_length_s": "12m"}, "'12m'"),
        ({"include": "speech"}, "'speech'"),
        ({"exclude": ("",)}, "exclude"),
    ],
)
def test_impossible_filters_are_refused(values: dict[str, object], word: str) -> None:
    with pytest.raises(QueryError, match=word):
        Filters(**values)


def test_filters_survive_a_round_trip() -> None:
    filters = Filters(
        ("A", "B"),
        no_same_artist=True,
        exclude=("words", Path(os.fsdecode(b"/music/\xff"))),
        min_length_s=30,
        max_length_s=720.0,
        languages=("de",),
    )
    assert Filters.of(filters.asked()) == filters
    assert Filters().asked() == {}
    assert Filters.of({}) == Filters()


def test_filters_add_to_defaults_or_override_them() -> None:
    defaults = Filters(("A",), exclude=("skit",), min_length_s=60, max_length_s=720)
    call = Filters(("B",), no_same_artist=True, exclude=("live",), max_length_s=36000)
    assert call.over(defaults) == Filters(("A", "B"), True, ("skit", "live"), 60, 36000)
    assert Filters().over(defaults) == defaults
    without = Filters(("B",), use_defaults=False)
    assert without.over(defaults) == without
    german, french = Filters(languages=("de",)), Filters(languages=("fr",))
    assert (french.over(german), Filters().over(german)) == (french, german)
    # A length of the call stands against a default.
    short = Filters(max_length_s=20).over(defaults)
    assert (short.min_length_s, short.max_length_s) == (None, 20)


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("ger", None),
        ("deu", None),
        ("de-AT", None),
        ("German", None),
        ("DEUTSCH", None),
        ("English; German", None),
        ("engger", None),  # as in ID3v2.3
        ("eng", "language"),
        ("Dutch", "language"),
        ("Klingon", "language"),
        ("und", "no_language"),
        ("", "no_language"),
        (None, "no_language"),
    ],
)
def test_a_language_is_one_in_every_code_and_name(tag: str | None, reason: str | None) -> None:
    for asked in ("de", "german", "Deutsch", "ger"):
        assert objection(Filters(languages=(asked,)), track(language=tag)) == reason
    several = Filters(languages=("fr", "de", "klingon"))
    expected = None if tag == "Klingon" else reason
    assert objection(several, track(language=tag)) == expected


# Every list of a library. Each of its tracks but a few is refused for one reason or another.

FILTERS = Filters(
    not_artists=("Nobody",), exclude=("skit", "/books"), min_length_s=60, max_length_s=720
)
REFUSED = {
    "banned": {"artist": "Banned"},
    "excluded": {"title": "A skit"},
    "not_artist": {"artist": "Nobody"},
    "too_short": {"duration_s": 20.0},
    "too_long": {"duration_s": 36_000.0},
}


@pytest.fixture
def library(tmp_path: Path) -> PlantedLibrary:
    rng = np.random.default_rng(3)
    centres = dict(zip(LABELS, np.eye(16, dtype=np.float32)[:4], strict=True))
    kinds = [{}, *REFUSED.values(), {"path": "/books/{}.mp3"}]
    sounds = []
    for number in range(240):
        genre = LABELS[number % 4]
        fields = {"artist": f"Artist {number}", "duration_s": 100.0 + number}
        fields |= {
            name: value.format(number) if isinstance(value, str) else value
            for name, value in kinds[number % 7].items()
        }
        vector = unit(centres[genre] + 0.15 * rng.standard_normal(16))
        sounds.append(Sound(genre, vector, strengths=(2.0,), **fields))
    planted = PlantedLibrary(tmp_path, sounds, make_info(tags=("chill",)))
    noon = datetime(2026, 11, 27, 12, tzinfo=UTC)
    ban = Event(EventKind.BAN, Subject.ARTIST, "banned", "Banned", noon, "test", ())
    planted.store.add_events([ban])
    return planted


def maker(library: PlantedLibrary) -> PlaylistMaker:
    return PlaylistMaker(library.store, library.index, library.info)


def options(**fields: object) -> PlaylistOptions:
    return PlaylistOptions(length=20, filters=FILTERS, **fields)


LISTS: dict[str, Callable[[PlantedLibrary], list[Track]]] = {
    "similar": lambda lib: [
        row.track
        for row in Recommender(lib.store, lib.index, lib.info)
        .similar(lib.query(1), SimilarOptions(k=20, filters=FILTERS))
        .results
    ],
    "from seeds": lambda lib: list(maker(lib).from_seeds(lib.query(1), options()).tracks),
    "anywhere": lambda lib: list(maker(lib).anywhere(options(seed=4)).tracks),
    "mood": lambda lib: list(maker(lib).anywhere(options(tags=("chill",))).tracks),
    "mood from seeds": lambda lib: list(
        maker(lib).from_seeds(lib.query(1), options(tags=("chill",))).tracks
    ),
    "cycle": lambda lib: list(maker(lib).cycle("auto", None, options()).tracks),
    "way": lambda lib: list(maker(lib).between(lib.seed(1), lib.seed(9), options()).tracks)[1:-1],
    "continued": lambda lib: list(maker(lib).extend([lib.seed(1)], options()).tracks),
    "radio": lambda lib: [
        row.track
        for row in Radio(lib.store, lib.index, lib.info)
        .following(1, lib.query(1), [], RadioOptions(length=20, filters=FILTERS))
        .results
    ],
}


@pytest.mark.parametrize("name", LISTS)
def test_a_track_that_must_not_be_in_a_list_is_in_none(library: PlantedLibrary, name: str) -> None:
    found = LISTS[name](library)
    assert len(found) >= 18
    # Every seventh track, from the first, was planted without a reason to be refused.
    assert {(each.id - 1) % 7 for each in found} == {0}


def test_what_is_left_out_is_counted_by_reason_in_every_note(library: PlantedLibrary) -> None:
    recommender = Recommender(library.store, library.index, library.info)
    answer = recommender.similar(library.query(1), SimilarOptions(k=100, filters=FILTERS))
    allowed = len(range(0, 240, 7))
    per_reason = {name: len(range(i, 240, 7)) for i, name in enumerate(REFUSED, start=1)}
    per_reason["excluded"] += len(range(6, 240, 7))
    assert len(answer.results) == allowed - 1
    assert answer.filtered == {**per_reason, "query": 1}
    text = "longer than the maximum length (34)"
    assert text in answer.notes[0]
    wanted = PlaylistOptions(length=100, filters=FILTERS)
    assert text in maker(library).from_seeds(library.query(1), wanted).note
    radio = Radio(library.store, library.index, library.info)
    rest = radio.following(1, library.query(1), [], RadioOptions(length=100, filters=FILTERS))
    assert text in rest.notes[-1]
    assert len(rest.results) == allowed - 1


def test_the_first_track_is_drawn_from_the_whole_library_if_need_be(
    library: PlantedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.playlists.maker.DRAW_FROM", 3)
    only = Filters(min_length_s=36_001)
    library.add([Sound("jazz", at_cosine(NORTH, EAST, 0.3), duration_s=40_000.0)])
    playlist = maker(library).anywhere(PlaylistOptions(filters=only))
    assert [found.id for found in playlist.tracks] == [241]
    with pytest.raises(QueryError, match=r"shorter than the minimum length \(206\)"):
        maker(library).anywhere(PlaylistOptions(filters=Filters(min_length_s=50_000)))


def test_a_genre_without_an_allowed_track_is_left_out_of_a_cycle(tmp_path: Path) -> None:
    sounds = [Sound("jazz", unit(NORTH), duration_s=900.0), Sound("rock", unit(EAST))]
    library = PlantedLibrary(tmp_path, sounds)
    playlist = maker(library).cycle(
        ["jazz", "rock"], None, PlaylistOptions(filters=Filters(max_length_s=720))
    )
    assert [found.id for found in playlist.tracks] == [2]
    assert "jazz holds no tracks that the filters allow" in playlist.note


def test_seeds_are_exempt(library: PlantedLibrary) -> None:
    # Track 5 is too short, and asked for.
    assert maker(library).from_seeds(library.query(5), options()).tracks[0].id == 5


def test_without_filters_no_track_is_looked_at(tmp_path: Path) -> None:
    short = PlantedLibrary(tmp_path, [Sound("jazz", unit(NORTH), duration_s=5.0)])
    assert track_filter(short.store, short.query(1), Filters()) is None
    assert track_filter(short.store, short.query(1), Filters(use_defaults=False)) is None
    assert track_filter(short.store, short.query(1), Filters(no_same_artist=True)) is not None
