"""No artist is on both sides of a split."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.classifier.training.datasets import hold_out_groups, track_groups

ARTISTS = st.sampled_from([None, "", "Ann", "ann ", "Bob", "Cy", "Di", "Eve", "Flo"])
LIBRARY = st.lists(st.tuples(st.sampled_from(["blues", "jazz", "rock"]), ARTISTS), min_size=6)


@settings(max_examples=60, deadline=None)
@given(LIBRARY, st.integers(0, 9))
def test_no_artist_leaks(library: list[tuple[str, str | None]], seed: int) -> None:
    keys = [f"{genre}/{number}" for number, (genre, _) in enumerate(library)]
    artists = [artist for _, artist in library]
    targets = np.unique([genre for genre, _ in library], return_inverse=True)[1]
    valid = hold_out_groups(targets, track_groups(keys, artists), 0.2, seed)
    train = np.setdiff1d(np.arange(len(keys)), valid)
    sides = [
        {name.strip().casefold() for row in side if (name := artists[row])} - {""}
        for side in (train, valid)
    ]
    assert sides[0] & sides[1] == set()
    assert set(targets[train]) == set(targets)


def test_about_a_fifth_of_every_genre_is_set_aside() -> None:
    targets = np.repeat([0, 1], 50)
    valid = hold_out_groups(targets, np.arange(100) // 2, 0.2, 0)
    assert np.bincount(targets[valid]).tolist() == [10, 10]


def test_a_seed_decides_the_split() -> None:
    targets = np.repeat([0, 1], 20)
    splits = [hold_out_groups(targets, np.arange(40), 0.2, seed).tolist() for seed in (1, 1, 2)]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]


def test_the_names_of_the_groups_do_not_matter() -> None:
    targets, groups = np.repeat([0, 1], 20), np.arange(40) // 2
    renamed = np.random.default_rng(0).permutation(20)[groups]
    found = hold_out_groups(targets, groups, 0.2, 3)
    assert hold_out_groups(targets, renamed, 0.2, 3).tolist() == found.tolist()


def test_one_artist_alone_cannot_be_divided() -> None:
    assert len(hold_out_groups(np.asarray([0, 0, 1, 1]), np.zeros(4, np.int64), 0.2, 0)) == 0


def test_a_small_genre_does_not_make_the_held_out_part_larger() -> None:
    targets = np.asarray([0] * 50 + [1] + [2] * 2)
    valid = hold_out_groups(targets, np.arange(53), 0.2, 0)
    assert 9 <= len(valid) <= 11
    assert 50 not in valid


def test_genres_of_one_track_each_cannot_be_divided() -> None:
    assert len(hold_out_groups(np.arange(3), np.arange(3), 0.2, 0)) == 0
