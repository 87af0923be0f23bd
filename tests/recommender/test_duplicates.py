"""When two tracks are one recording."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from recsys.credits import album_keys, spaced_artists
from recsys.recommender.duplicates import (
    DURATION_TOLERANCE_S,
    NAMED_APART_COSINE,
    NEAR_DUPLICATE_COSINE,
    SAME_LENGTH_COSINE,
    NearDuplicates,
    artist_key,
    name_key,
    near_duplicate_pairs,
    same_album,
    song_title,
)
from recsys.types import FloatArray, Tags, Track
from tests.planted import at_cosine

NORTH, EAST = np.eye(4, dtype=np.float32)[:2]


def track(
    duration_s: float = 200.0,
    audio_hash: str = "a",
    artist: str | None = None,
    title: str | None = None,
    album: str | None = None,
    album_artist: str | None = None,
) -> Track:
    tags = Tags(artist=artist, title=title, album=album, album_artist=album_artist)
    return Track(1, Path("/m/a.flac"), tags, duration_s, audio_hash, "jazz")


def is_duplicate(one: Track, other: Track, embedding: FloatArray = EAST) -> bool:
    known = NearDuplicates()
    known.add(one, NORTH)
    return known.match(other, embedding)


def test_the_same_sound_is_a_duplicate_whatever_else_differs() -> None:
    assert is_duplicate(track(200, "same"), track(100, "same"))


def test_an_empty_hash_says_nothing() -> None:
    assert not is_duplicate(track(200, ""), track(100, ""))


@pytest.mark.parametrize(
    ("artist", "title", "expected"),
    [
        ("Nina Simone", "Sinnerman", True),
        ("  nina   SIMONE", "SINNERMAN ", True),
        ("Nina Simone", "Feeling Good", False),
        ("Someone", "Sinnerman", False),
        ("Nina Simone", None, False),
        (None, "Sinnerman", True),
        ("Various Artists", "Sinnerman", True),
        ("Nina Simone feat. Someone", "Sinnerman", True),
        ("Nina Simone", "Sinnerman (2011 Remaster)", True),
        ("Nina Simone", "Sinnerman - Remastered", True),
        ("Nina Simone", "Sinnerman [Mono] (feat. Someone)", True),
        ("Nina Simone", "Sinnerman (Live)", False),
        ("Nina Simone", "Sinnerman (Felix Remix)", False),
    ],
)
def test_equal_names_are_a_duplicate_where_the_sound_agrees(
    artist: str | None, title: str | None, expected: bool
) -> None:
    one, alike = track(200, "a", "Nina Simone", "Sinnerman"), at_cosine(NORTH, EAST, 0.95)
    assert is_duplicate(one, track(201, "b", artist, title), alike) is expected
    # Seven movements called "I. Allegro" are seven.
    apart = at_cosine(NORTH, EAST, SAME_LENGTH_COSINE - 0.01)
    assert not is_duplicate(one, track(201, "b", artist, title), apart)


def test_tags_that_name_nobody_are_not_equal() -> None:
    one = track(200, "a", "Unknown Artist", "Track 01")
    assert not is_duplicate(one, track(200, "b", "Unknown Artist", "Track 01"))
    assert not is_duplicate(track(200, "a"), track(200, "b"))


@pytest.mark.parametrize("gap_s", [-1.99, 0.0, 1.99])
def test_durations_within_the_tolerance_agree(gap_s: float) -> None:
    assert is_duplicate(track(200), track(200 + gap_s, "b"), NORTH)


@pytest.mark.parametrize("gap_s", [-DURATION_TOLERANCE_S - 0.01, DURATION_TOLERANCE_S + 0.01])
def test_other_durations_are_another_recording(gap_s: float) -> None:
    assert not is_duplicate(track(200), track(200 + gap_s, "b"), NORTH)


@pytest.mark.parametrize(
    ("duration_s", "gap_s", "title", "expected"),
    [
        (100, 5.9, "T", True),  # a lead-in
        (100, 6.1, "T", False),
        (300, -11.9, "T (Remastered)", True),  # a turntable
        (300, -12.1, "T (Remastered)", False),
        (300, -90.0, "T (Radio Edit)", True),
        (300, -90.0, "T (Live)", False),
    ],
)
def test_editions_differ_in_length(
    duration_s: float, gap_s: float, title: str, *, expected: bool
) -> None:
    one = track(duration_s, "a", "A", "T")
    other = track(duration_s + gap_s, "b", "A", title)
    assert is_duplicate(one, other, at_cosine(NORTH, EAST, 0.95)) is expected
    assert is_duplicate(other, one, at_cosine(NORTH, EAST, 0.95)) is expected


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("Don\u2019t Cry", "don't cry"),
        ("Live and Let Die", "live and let die"),
        ("Let It Live (Live at Leeds) - 1970", "let it live (live at leeds) - 1970"),
        ("Song (Live at Leeds) [2010 Remaster]", "song (live)"),
        ("Song - Live", "song (live)"),
        ("(Remastered)", "(remastered)"),
        ("Single", "single"),
        ("Song (25th Anniversary Edition)", "song"),
        ("Song (Original Mono Mix)", "song"),
        ("Song (Demo)", "song (demo)"),
        ("I. Allegro", "i. allegro"),
        ("  ", None),
    ],
)
def test_titles_without_their_editions(title: str, key: str | None) -> None:
    found = song_title(title)
    assert (None if found is None else found.key) == key


@pytest.mark.parametrize("duration_s", [0.0, math.inf, math.nan])
def test_an_unknown_duration_agrees_with_none(duration_s: float) -> None:
    assert not is_duplicate(track(duration_s), track(duration_s, "b"), NORTH)


@pytest.mark.parametrize(("margin", "expected"), [(0.0005, True), (-0.0005, False)])
@pytest.mark.parametrize(
    ("one", "other", "threshold"),
    [
        ((None, None), (None, None), NEAR_DUPLICATE_COSINE),
        (("A", "T"), (None, None), NEAR_DUPLICATE_COSINE),
        (("A", "T"), ("B", None), NEAR_DUPLICATE_COSINE),
        (("A", "T"), ("Unknown Artist", "U"), NEAR_DUPLICATE_COSINE),
        (("A", "T"), ("A", "U"), NAMED_APART_COSINE),
        (("A", "T"), ("B", "T"), NAMED_APART_COSINE),
    ],
)
def test_embeddings_above_the_threshold_are_a_duplicate(
    one: tuple[str | None, str | None],
    other: tuple[str | None, str | None],
    threshold: float,
    margin: float,
    expected: bool,
) -> None:
    close = at_cosine(NORTH, EAST, threshold + margin)
    first = track(200, "a", artist=one[0], title=one[1])
    second = track(200, "b", artist=other[0], title=other[1])
    assert is_duplicate(first, second, close) is expected


def test_many_tracks_are_remembered() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known = NearDuplicates()
    for i, vector in enumerate(vectors):
        known.add(track(100 + 10 * i, f"hash {i}"), vector)
    assert len(known) == 200
    for i, vector in enumerate(vectors):
        assert known.match(track(101 + 10 * i, "other"), vector)
        assert not known.match(track(101 + 10 * i, "other"), -vector)


def test_names_are_compared_without_case_and_spacing_but_with_accents() -> None:
    assert name_key("ＢＪÖＲＫ") == name_key(" björk ")
    assert name_key("Bjork") != name_key("Björk")
    assert name_key("  ") is None
    assert name_key(None) is None


def test_the_album_artist_stands_in_for_a_missing_artist() -> None:
    assert artist_key(track(album_artist="Nina Simone")) == "nina simone"
    assert artist_key(track(album_artist="Various Artists")) is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("A", "Live", None), ("A", "LIVE", None), True),
        (("A", "Live", None), ("B", "Live", None), False),
        (("A", "Live", None), ("A", "Studio", None), False),
        (("A", "Live", "Band"), ("B", "Live", "Band"), True),
        (("A", "Live", "Band"), ("Band", "Live", None), True),
        (("A", None, None), ("A", None, None), False),
        ((None, "Live", None), (None, "Live", None), False),
    ],
)
def test_an_album_is_its_title_and_an_artist_in_common(
    one: tuple[str | None, ...], other: tuple[str | None, ...], expected: bool
) -> None:
    first = track(artist=one[0], album=one[1], album_artist=one[2])
    second = track(artist=other[0], album=other[1], album_artist=other[2])
    assert same_album(first, second) is expected


def test_pairs_are_those_that_the_set_recognises() -> None:
    rng = np.random.default_rng(8)
    names, centre = (None, "A", "B", "Various Artists"), rng.standard_normal(4).astype(np.float32)
    centre /= np.linalg.norm(centre)
    tracks, embeddings = [], []
    for i in range(80):
        artist, title = (names[int(j)] for j in rng.integers(4, size=2))
        if title is not None and i % 5 == 0:
            title += " (Single Edit)"
        duration_s = float(rng.choice([0.0, math.inf, 200.0, 201.5, 203.0, 240.0]))
        audio_hash = str(rng.choice(["", "x", f"own {i}"], p=[0.2, 0.05, 0.75]))
        tracks.append(track(duration_s, audio_hash, artist=artist, title=title))
        away = rng.standard_normal(4).astype(np.float32)
        embeddings.append(
            at_cosine(centre, away, float(rng.choice([1.0, 0.9999, 0.97, 0.93, 0.6])))
        )
    vectors = np.stack(embeddings)
    pairs = near_duplicate_pairs(tracks, vectors @ vectors.T)
    for one in range(80):
        known = NearDuplicates()
        known.add(tracks[one], vectors[one])
        expected = [known.match(tracks[other], vectors[other]) for other in range(80)]
        assert pairs[one].tolist() == expected
    assert 0 < pairs.sum() < 80 * 80


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("The Wall (Disc 1)", "The Wall (Disc 2)", True),
        ("The Wall", "The Wall [CD2]", True),
        ("The Wall, Disc 1 of 2", "the wall - CD 2", True),
        ("Hits (Disc 1: The Early Years)", "Hits (Disc 2: Later)", True),
        ("The Wall", "The Wall Live", False),
        ("Disc 1", "Disc 2", False),
        ("Compact Disc", "Compact", False),
        ("CD", "CD 2", False),
        ("Volume 1", "Volume 2", False),
    ],
)
def test_the_discs_of_a_set_are_one_album(one: str, other: str, *, expected: bool) -> None:
    first, second = track(artist="A", album=one), track(artist="A", album=other)
    assert same_album(first, second) is expected


def test_greatest_hits_of_two_artists_are_two_albums() -> None:
    queen = track(artist="Queen", album="Greatest Hits")
    assert not same_album(queen, track(artist="ABBA", album="Greatest Hits"))


def test_a_disc_has_the_key_of_its_set_and_its_own() -> None:
    keys = album_keys(track(artist="A", album="The Wall (Disc 1)"))
    assert keys == ("a - the wall", "a - the wall (disc 1)")


@pytest.mark.parametrize(
    ("artist", "title", "expected"),
    [
        ("Nas feat. Lauryn Hill", "T", ("nas", "lauryn hill")),
        ("Busta Rhymes; Q-Tip", "T", ("busta rhymes", "q-tip")),
        (
            "Jay-Z & Kanye West",
            "Otis (feat. Otis Redding)",
            ("jay-z", "kanye west", "otis redding"),
        ),
        ("A", "Song ft. B", ("a", "b")),
        ("A", "Song [with B & C]", ("a", "b", "c")),
        ("A", "Stay With Me", ("a",)),
        ("Tyler, The Creator", "T", ("tyler, the creator",)),
        ("Various Artists", "T (feat. B)", ("b",)),
        (None, "T", ()),
    ],
)
def test_guests_are_artists(artist: str | None, title: str, expected: tuple[str, ...]) -> None:
    assert spaced_artists(track(artist=artist, title=title)) == expected
