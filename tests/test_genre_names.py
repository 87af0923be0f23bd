"""One genre however it is spelled, and what names mean to a model."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import QueryError
from recsys.names import (
    APART,
    KINDS,
    first_genre,
    labels_meant,
    merge_spellings,
    resolve_tag,
    spelling_key,
    split_genres,
    unknown_names,
)
from tests.planted import make_info

GTZAN = (
    *("blues", "classical", "country", "disco", "hiphop"),
    *("jazz", "metal", "pop", "reggae", "rock"),
)


def spellings_of_hip_hop() -> list[str]:
    words = [("hip", "hop"), ("Hip", "Hop"), ("HIP", "HOP"), ("Hip", "hop"), ("Ｈｉｐ", "Ｈｏｐ")]
    between = ["", " ", "-", "_", ".", "  ", " - ", "\u2010", "\u2011", "\u2013", "'"]
    around = ["{}", " {} ", "{}!", "{} Music", "«{}»"]
    return [form.format(a + gap + b) for (a, b), gap, form in product(words, between, around)]


def test_two_hundred_spellings_of_hip_hop_are_one_genre() -> None:
    spellings = spellings_of_hip_hop()
    assert len(set(spellings)) > 200
    (merged,) = merge_spellings([*spellings, "Hip-Hop"])
    assert (merged.key, merged.name, merged.count) == ("hiphop", "Hip-Hop", len(spellings) + 1)
    assert merged.sentence(most=1) == (
        f"Hip-Hop: {merged.count} tracks from 'Hip-Hop' (2) and {len(merged.spellings) - 1} more"
    )


@pytest.mark.parametrize(
    "names",
    [
        ("R&B", "RnB", "R'n'B", "r and b", "R + B", "R ’n’ B"),
        ("Drum & Bass", "Drum'n'Bass", "drum and bass", "DRUM N BASS", "drum+bass"),
        ("Chanson française", "CHANSON FRANCAISE", "chanson-francaise"),
        ("Straße", "STRASSE"),
        ("Klassische Musik", "klassische"),
        ("World", "World Music", "world-music"),
        ("Русский рок", "русский-РОК"),
        ("2-step", "2step"),
    ],
)
def test_names_that_are_one_genre(names: tuple[str, ...]) -> None:
    assert len({spelling_key(name) for name in names}) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("Rap", "Hip-Hop", "Trip-Hop"),
        ("Rock", "Hard Rock", "Rock & Roll"),
        ("Music", "Musical", ""),
        ("Pop", "K-Pop"),
        ("Blues", "Blue"),
        ("рок", "рэп"),
    ],
)
def test_names_that_are_not(names: tuple[str, ...]) -> None:
    assert len({spelling_key(name) for name in names}) == len(names)


@given(st.text(max_size=20))
def test_a_key_is_its_own_key_unless_it_ends_in_and_or_music(name: str) -> None:
    key = spelling_key(name)
    assert spelling_key(key) in (key, "n")
    assert spelling_key(f"  {name}! ") == key


@given(st.lists(st.text(max_size=6), max_size=12))
def test_merging_counts_every_name_once_in_any_order(names: list[str]) -> None:
    merged = merge_spellings(names)
    assert sum(genre.count for genre in merged) == sum(1 for name in names if spelling_key(name))
    assert merged == merge_spellings(reversed(names))
    assert len({genre.key for genre in merged}) == len(merged)


@pytest.mark.parametrize(
    ("tag", "names"),
    [
        ("Rock; Pop", ("Rock", "Pop")),
        ("Hip-Hop/Rap", ("Hip-Hop", "Rap")),
        ("Rock, rock, ROCK", ("Rock",)),
        ("(17)Rock", ("Rock",)),
        ("Jazz\\\\Blues|Soul", ("Jazz", "Blues", "Soul")),
        ("ジャズ、ロック", ("ジャズ、ロック",)),
        ("Rock；Pop", ("Rock", "Pop")),
        ("Folk, World, & Country", ("Folk", "World", "Country")),
        (" ; - ;", ()),
    ],
)
def test_the_names_in_a_tag(tag: str, names: tuple[str, ...]) -> None:
    assert split_genres(tag) == names
    assert first_genre(tag) == (names[0] if names else None)


@pytest.mark.parametrize(
    ("tag", "labels"),
    [
        ("Hip Hop", ("hiphop",)),
        ("HIP-HOP", ("hiphop",)),
        ("Underground Hip Hop", ("hiphop",)),
        ("Gangsta Rap", ("hiphop",)),
        ("Hard Rock", ("rock",)),
        ("Delta Blues", ("blues",)),
        ("Blues Rock", ("blues", "rock")),
        ("Rock & Roll", ("rock",)),
        ("Rock'n'Roll", ("rock",)),
        ("Synthpop", ("pop",)),
        ("Post-Rock", ("rock",)),
        ("Nu Metal", ("metal",)),
        ("Metalcore", ("metal",)),
        ("Dub", ("reggae",)),
        ("Rock Steady", ("reggae",)),
        ("Country & Western", ("country",)),
        ("Chamber Music", ("classical",)),
        ("Symphonic Metal", ("classical", "metal")),
        ("Rock; Pop", ("pop", "rock")),
        ("Jazz/Soul", ("jazz",)),
    ],
)
def test_what_a_tag_means_to_the_ten_genres(tag: str, labels: tuple[str, ...]) -> None:
    assert labels_meant(tag, GTZAN) == labels


@pytest.mark.parametrize(
    "tag",
    [
        *(
            "Schlager",
            "Electronic",
            "Folk",
            "R&B",
            "Rhythm and Blues",
            "Contemporary Rhythm & Blues",
        ),
        *("Trip-Hop", "Trip Hop", "Dubstep", "Reggaeton", "Popular", "Classic", "Musical", ""),
        *("Indie", "Alternative", "Soundtrack", "Jazzy", "Rocksteadyish", "Blue", "русский"),
    ],
)
def test_what_means_none_of_them(tag: str) -> None:
    assert labels_meant(tag, GTZAN) == ()


def test_a_wider_and_a_narrower_name_mean_each_other() -> None:
    labels = ("rock", "hard rock", "Hip-Hop", "pop")
    assert labels_meant("Rock", labels) == ("rock", "hard rock")
    assert labels_meant("hard-rock", labels) == ("rock", "hard rock")
    assert labels_meant("Punk Rock", labels) == ("rock",)
    assert labels_meant("hiphop", labels) == ("Hip-Hop",)


def test_names_without_a_label_are_listed() -> None:
    assert unknown_names("Folk; Rock / Schlager", GTZAN) == ("Folk", "Schlager")


def test_the_lists_are_spelled_as_keys_and_lead_to_labels() -> None:
    assert set(KINDS.values()) <= set(GTZAN)
    assert all(spelling_key(name) == name for name in KINDS.keys() | APART)
    assert not KINDS.keys() & APART


def test_a_genre_given_as_a_tag_is_pointed_out() -> None:
    info = make_info(tags=("sad", "folk"))
    with pytest.raises(QueryError, match="unknown tag 'Rock'; it is a genre: --genre rock"):
        resolve_tag(info, "Rock")
