"""Cycles of genres: the pattern holds, and each track is the nearest to the one before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.playlists.order import related_order
from recsys.recommender.query import OUTSIDE_LIBRARY
from recsys.recommender.taxonomy import ModelGenres
from recsys.types import Playlist, Tags, Track
from tests.planted import LABELS, PlantedLibrary, Sound, scattered


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    folder = tmp_path_factory.mktemp("library")
    return PlantedLibrary(folder, scattered(160, np.random.default_rng(10)))


def go_round(
    library: PlantedLibrary, genres: str, start: int | None = None, **options: object
) -> Playlist:
    maker = PlaylistMaker(library.store, library.index, library.info)
    first = None if start is None else library.seed(start)
    return maker.cycle(genres, first, PlaylistOptions(**options))


def ids(playlist: Playlist) -> list[int]:
    return [track.id for track in playlist.tracks]


def genres_of(playlist: Playlist) -> list[str]:
    return [track.genre for track in playlist.tracks]


def by_hand(library: PlantedLibrary, first: int, genres: list[str]) -> list[int]:
    """Return a chain: of each genre the nearest track to the one before, none twice."""
    chain = [first]
    for genre in genres:
        ranked = library.nearest_ids(genre, library.sounds[chain[-1]].embedding)
        chain.append(next(i for i in ranked if i not in chain))
    return chain


def test_each_track_is_the_nearest_of_its_genre_to_the_one_before(library: PlantedLibrary) -> None:
    start = library.ids("blues")[0]
    pattern = ["blues", "blues", "jazz", "jazz", "rock", "rock"] * 5
    playlist = go_round(library, "blues,jazz,rock", start, per_genre=2, length=30)
    assert ids(playlist) == by_hand(library, start, pattern[1:])
    assert genres_of(playlist) == pattern
    assert playlist.note == ""
    assert playlist.name == "Cycle: blues, jazz, rock"
    assert playlist.seeds == (library.track(start),)


def test_the_cycle_goes_on_from_the_genre_of_its_start(library: PlantedLibrary) -> None:
    start = library.ids("rock")[3]
    playlist = go_round(library, "blues,jazz,rock", start, length=7)
    assert genres_of(playlist) == ["rock", "blues", "jazz", "rock", "blues", "jazz", "rock"]
    assert ids(playlist)[0] == start


def test_a_start_of_another_genre_comes_before_the_cycle(library: PlantedLibrary) -> None:
    start = library.ids("classical")[0]
    playlist = go_round(library, "blues,jazz", start, length=5)
    assert ids(playlist) == by_hand(library, start, ["blues", "jazz", "blues", "jazz"])


def test_a_start_outside_the_library_only_leads_the_way(library: PlantedLibrary) -> None:
    known, analysis = library.seed(library.ids("jazz")[0])
    outside = Track(OUTSIDE_LIBRARY, Path("/elsewhere/x.mp3"), Tags(), 0.0, "", known.genre)
    maker = PlaylistMaker(library.store, library.index, library.info)
    playlist = maker.cycle(["blues", "jazz"], (outside, analysis), PlaylistOptions(length=4))
    assert ids(playlist) == by_hand(library, known.id, ["blues", "jazz", "blues"])
    assert playlist.seeds == (outside,)


def test_without_a_start_the_first_is_drawn_from_the_first_genre(library: PlantedLibrary) -> None:
    playlists = [go_round(library, "rock,jazz", length=6, seed=seed) for seed in range(20)]
    assert len({ids(playlist)[0] for playlist in playlists}) > 8
    for playlist in playlists:
        assert genres_of(playlist) == ["rock", "jazz"] * 3
        pattern = ["jazz", "rock", "jazz", "rock", "jazz"]
        assert ids(playlist) == by_hand(library, ids(playlist)[0], pattern)
    assert ids(go_round(library, "rock,jazz", length=6, seed=3)) == ids(playlists[3])


def test_a_genre_may_come_twice_in_a_round(library: PlantedLibrary) -> None:
    playlist = go_round(library, "jazz,rock,jazz,blues", length=8)
    assert genres_of(playlist) == ["jazz", "rock", "jazz", "blues"] * 2


def test_auto_takes_the_genres_of_the_library_in_a_related_order(library: PlantedLibrary) -> None:
    largest_first = sorted(LABELS, key=lambda genre: -len(library.ids(genre)))
    order = related_order(ModelGenres(library.info).relatedness(largest_first), largest_first)
    playlist = go_round(library, "auto", length=8)
    assert genres_of(playlist) == order * 2
    assert order[0] == largest_first[0]


def test_auto_leaves_out_genres_without_tracks(tmp_path: Path) -> None:
    sounds = scattered(20, np.random.default_rng(11), labels=["rock", "classical"])
    playlist = go_round(PlantedLibrary(tmp_path, sounds), "auto", length=6)
    assert set(genres_of(playlist)) == {"rock", "classical"}
    assert playlist.note == ""


def test_a_genre_without_tracks_is_left_out_and_named(tmp_path: Path) -> None:
    sounds = scattered(40, np.random.default_rng(12), labels=["rock", "jazz"])
    library = PlantedLibrary(tmp_path, sounds)
    playlist = go_round(library, "rock,blues,jazz", length=6)
    assert genres_of(playlist) == ["rock", "jazz"] * 3
    assert playlist.note == "blues holds no tracks and was left out of the cycle"


def test_a_genre_that_runs_out_leaves_the_cycle(tmp_path: Path) -> None:
    axes = np.eye(16, dtype=np.float32)
    sounds = [Sound("jazz", axis) for axis in axes[:2]] + [Sound("rock", axis) for axis in axes[2:]]
    library = PlantedLibrary(tmp_path, sounds)
    filled = go_round(library, "jazz,rock", length=8)
    assert genres_of(filled) == ["jazz", "rock", "jazz", "rock", "rock", "rock", "rock", "rock"]
    assert filled.note == "jazz ran out after 2 tracks"
    everything = go_round(library, "jazz,rock", length=50)
    assert sorted(ids(everything)) == list(range(1, 17))
    assert everything.note == (
        "16 of 50 tracks: no further track in the cycle; jazz ran out after 2 tracks; "
        "rock ran out after 14 tracks"
    )


def test_an_artist_gap_passes_a_genre_over(tmp_path: Path) -> None:
    axes = np.eye(16, dtype=np.float32)
    sounds = [Sound("jazz", axis, artist="Only") for axis in axes[:8]]
    sounds += [Sound("rock", axis) for axis in axes[8:]]
    library = PlantedLibrary(tmp_path, sounds)
    playlist = go_round(library, "jazz,rock", length=7, artist_gap=3)
    assert genres_of(playlist) == ["jazz", "rock", "rock", "rock", "jazz", "rock", "rock"]
    assert playlist.note == "jazz was passed over 3 times (artist gap 3)"
    stopped = go_round(library, "jazz", length=7, artist_gap=3)
    assert stopped.note == (
        "1 of 7 tracks: artist gap 3 leaves no candidate in the cycle (7 tracks of 1 artist); "
        "jazz was passed over 1 time (artist gap 3)"
    )
    assert len(go_round(library, "jazz", length=7).tracks) == 7


def test_a_duration_ends_the_cycle(tmp_path: Path) -> None:
    axes = np.eye(16, dtype=np.float32)
    sounds = [Sound(LABELS[i % 4], axis, duration_s=100) for i, axis in enumerate(axes)]
    playlist = go_round(PlantedLibrary(tmp_path, sounds), "auto", duration_s=720)
    assert len(playlist.tracks) == 7
    assert playlist.note == ""


@pytest.mark.parametrize(
    ("genres", "message"),
    [
        ("", "a cycle of 0 genres"),
        ([], "a cycle of 0 genres"),
        ("jazz,bleus", "unknown genre 'bleus'; did you mean 'blues'?"),
        (["jazz", "polka"], "unknown genre 'polka'"),
    ],
)
def test_cycles_that_cannot_be_gone_are_refused(
    library: PlantedLibrary, genres: str, message: str
) -> None:
    with pytest.raises(QueryError) as caught:
        go_round(library, genres)
    assert caught.value.message == message
    assert all(label in caught.value.hint for label in LABELS)


def test_a_cycle_and_a_genre_exclude_each_other(library: PlantedLibrary) -> None:
    with pytest.raises(QueryError, match="genre 'jazz' cannot be given as well"):
        go_round(library, "jazz,rock", genre="jazz")


@pytest.mark.parametrize("genres", ["blues,classical", "auto"])
def test_a_cycle_in_which_nothing_can_be_played_is_refused(tmp_path: Path, genres: str) -> None:
    library = PlantedLibrary(tmp_path, [] if genres == "auto" else [Sound("jazz", np.eye(16)[0])])
    with pytest.raises(QueryError, match=f"no track in the genres of the cycle: {genres[:4]}"):
        go_round(library, genres)
