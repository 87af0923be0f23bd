"""Skits and jingles follow no song unless they are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys import Library, PlaylistOptions
from recsys.playlists.radio import RadioOptions
from recsys.recommender import Filters, SimilarOptions
from recsys.recommender.filters import SKIT_S, TrackFilter, shortest_wanted
from tests.planted import PlantedLibrary, Sound, at_cosine
from tests.recommender.test_track_filter import track

NORTH, EAST = np.eye(16, dtype=np.float32)[:2]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Songs of 200 s with odd ids, each with a skit of 4 s that sounds like it."""
    sounds = []
    for i in range(20):
        embedding = at_cosine(NORTH, EAST, 1 - i / 30)
        sounds.append(
            Sound("jazz", embedding, title=f"T{i}", duration_s=4 if i % 2 else 200 + 9 * i)
        )
    planted = PlantedLibrary(tmp_path, sounds)
    planted.store.close()
    return Library(tmp_path / "library.db")


def lasts(tracks: object) -> set[bool]:
    return {track.duration_s > SKIT_S for track in tracks}


def test_no_list_from_songs_has_skits(library: Library) -> None:
    answer = library.similar("id:1")
    assert lasts(answer.tracks) == {True}
    assert answer.filtered["skit"] == 10
    assert "skits and jingles (10)" in answer.notes[-1]
    ten = PlaylistOptions(length=10)
    assert lasts(library.playlist("id:1", ten).tracks) == {True}
    assert lasts(library.radio("id:1", RadioOptions(length=9)).tracks) == {True}
    assert lasts(library.playlist("id:1", ten, to="id:19").tracks) == {True}
    # Without a seed, the library tells.
    assert lasts(library.playlist((), PlaylistOptions(seed=3, length=10)).tracks) == {True}
    assert lasts(library.playlist((), ten, cycle="jazz").tracks) == {True}


@pytest.mark.parametrize("filters", [Filters(min_length_s=1), Filters(min_length_s=3)])
def test_they_are_there_when_they_are_asked_for(library: Library, filters: Filters) -> None:
    answer = library.similar("id:1", SimilarOptions(filters=filters))
    assert lasts(answer.tracks) == {True, False}
    assert lasts(library.similar("id:2").tracks) == {True, False}  # a skit itself
    library.set_preferences(filters)
    assert lasts(library.playlist("id:1").tracks) == {True, False}


def test_a_seed_that_is_a_skit_is_in_its_list(library: Library) -> None:
    tracks = library.playlist(["id:1", "id:3", "id:2"], PlaylistOptions(length=6)).tracks
    assert [t.id for t in tracks[:3]] == [1, 3, 2]
    assert lasts(tracks[3:]) == {True}


def test_a_library_of_short_tracks_works(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", at_cosine(NORTH, EAST, 1 - i / 30), artist=f"A{i}", title="T", duration_s=9)
        for i in range(10)
    ]
    planted = PlantedLibrary(tmp_path, sounds)
    planted.store.close()
    with Library(tmp_path / "library.db") as library:
        assert len(library.similar("id:1").tracks) == 9
        for made in (
            library.playlist("id:1"),
            library.playlist(()),
            library.playlist((), cycle="jazz"),
        ):
            assert len(made.tracks) == 10


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([200], SKIT_S),
        ([30.0], SKIT_S),
        ([4], 0),
        ([4, 200, 210], SKIT_S),
        ([4, 5, 200], 0),
        ([], 0),
        ([0, float("nan"), float("inf")], 0),
        ([14.6], SKIT_S),  # as it is shown
    ],
)
def test_what_is_short_depends_on_the_query(durations: list[float], expected: float) -> None:
    assert shortest_wanted([track(duration_s=s) for s in durations]) == expected


@pytest.mark.parametrize(
    ("duration_s", "reason"), [(4, "skit"), (14.4, "skit"), (14.6, None), (0, None)]
)
def test_skits_are_counted_by_name(duration_s: float, reason: str | None) -> None:
    allowed = TrackFilter(Filters(), shortest_s=SKIT_S)
    assert allowed.objection(track(duration_s=duration_s)) == reason
