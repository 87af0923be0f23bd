"""No artist is on both sides of a split."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.classifier.training.datasets import split_by_artist

ARTISTS = st.sampled_from([None, "", "Ann", "ann ", "Bob", "Cy", "Di", "Eve", "Flo"])
LIBRARY = st.lists(st.tuples(st.sampled_from(["blues", "jazz", "rock"]), ARTISTS), min_size=6)


@settings(max_examples=60, deadline=None)
@given(LIBRARY, st.integers(0, 9))
def test_no_artist_leaks(library: list[tuple[str, str | None]], seed: int) -> None:
    keys = [f"{genre}/{number}" for number, (genre, _) in enumerate(library)]
    genres = [genre for genre, _ in library]
    artists = {key: artist for key, (_, artist) in zip(keys, library, strict=True)}
    train, valid = split_by_artist(keys, genres, artists, seed=seed)
    assert sorted(train + valid) == sorted(keys)
    sides = [
        {name.strip().casefold() for key in side if (name := artists[key])} - {""}
        for side in (train, valid)
    ]
    assert sides[0] & sides[1] == set()
    assert {key.split("/")[0] for key in train} == set(genres)


def test_about_a_fifth_of_every_genre_is_set_aside() -> None:
    keys = [f"{genre}/{number}" for genre in ("a", "b") for number in range(50)]
    artists = {key: f"{key[0]}{int(key[2:]) // 2}" for key in keys}
    train, valid = split_by_artist(keys, [key[0] for key in keys], artists)
    assert len(train) == 80
    assert [sum(key[0] == genre for key in valid) for genre in "ab"] == [10, 10]


def test_a_seed_decides_the_split() -> None:
    keys = [f"{genre}/{number}" for genre in ("a", "b") for number in range(20)]
    genres = [key[0] for key in keys]
    splits = [split_by_artist(keys, genres, {}, seed=seed)[1] for seed in (1, 1, 2)]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]


def test_one_artist_alone_cannot_be_divided() -> None:
    keys = ["a/1", "a/2", "b/1", "b/2"]
    train, valid = split_by_artist(keys, ["a", "a", "b", "b"], dict.fromkeys(keys, "Ann"))
    assert (train, valid) == (keys, [])


def test_a_small_genre_does_not_make_the_held_out_part_larger() -> None:
    keys = [*(f"a/{n}" for n in range(50)), "b/0", "c/0", "c/1"]
    train, valid = split_by_artist(keys, [key[0] for key in keys], {})
    assert 9 <= len(valid) <= 11
    assert "b/0" in train


def test_genres_of_one_track_each_cannot_be_divided() -> None:
    keys = ["a/1", "b/1", "c/1"]
    assert split_by_artist(keys, ["a", "b", "c"], {}) == (keys, [])
