"""Playlists that stay in a mood, over planted libraries."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.genres import HOLDS_FROM
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.playlists.order import START_FROM
from recsys.recommender.query import make_query
from recsys.types import Playlist
from tests.planted import (
    LABELS,
    PlantedLibrary,
    Sound,
    at_cosine,
    file_outside,
    make_info,
    scattered,
    unit,
)
from tests.playlists.gaps import gap_holds

TAGS = ("rock", "chill", "sad", "happy")
CHILL, SAD = TAGS.index("chill"), TAGS.index("sad")
PER_KIND = 40


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    """Three kinds of track, forty of each: chill and sad, chill and happy, and not chill."""
    rng = np.random.default_rng(21)
    centre = unit(rng.standard_normal(16))
    sounds = []
    for i in range(3 * PER_KIND):
        chill = float(rng.uniform(1.1, 3.0)) if i % 3 else float(rng.uniform(-2, 0.9))
        sad = 2.0 if i % 3 == 1 else -2.0
        sounds.append(
            Sound(
                LABELS[i % 4],
                at_cosine(centre, unit(rng.standard_normal(16)), 0.7),
                artist=f"Artist {i % 9}",
                title=f"Song {i}",
                duration_s=float(rng.uniform(100, 300)),
                strengths=(0.0, chill, sad, -sad),
            )
        )
    return PlantedLibrary(tmp_path_factory.mktemp("library"), sounds, make_info(tags=TAGS))


def maker(library: PlantedLibrary) -> PlaylistMaker:
    return PlaylistMaker(library.store, library.index, library.info)


def anywhere(library: PlantedLibrary, *moods: str, **options: object) -> Playlist:
    return maker(library).anywhere(PlaylistOptions(tags=moods or ("Chill",), **options))


def ids(playlist: Playlist) -> list[int]:
    return [track.id for track in playlist.tracks]


def strengths(library: PlantedLibrary, playlist: Playlist, column: int) -> list[float]:
    return [library.sounds[i].strengths[column] for i in ids(playlist)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("diversity", [0.0, 0.8])
def test_no_track_falls_out_of_the_mood(
    library: PlantedLibrary, seed: int, diversity: float
) -> None:
    playlist = anywhere(library, length=30, seed=seed, diversity=diversity)
    assert len(set(ids(playlist))) == 30
    assert min(strengths(library, playlist, CHILL)) >= HOLDS_FROM
    assert playlist.name == "Tag: chill"
    assert ids(playlist) == ids(anywhere(library, length=30, seed=seed, diversity=diversity))


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_are_alike_in_mood(library: PlantedLibrary, seed: int) -> None:
    """Sad ones follow sad ones until those that are strongly chill are used up; then one change."""
    sad = strengths(library, anywhere(library, length=30, artist_gap=0, seed=seed), SAD)
    assert sum(one != other for one, other in pairwise(sad)) <= 1


def test_the_stronger_half_is_played(library: PlantedLibrary) -> None:
    carriers = [s.strengths[CHILL] for s in library.sounds.values() if s.strengths[CHILL] >= 1]
    playlist = anywhere(library, length=20, artist_gap=0)
    assert min(strengths(library, playlist, CHILL)) >= np.median(carriers) - 0.2


def test_the_first_track_is_among_the_strongest(library: PlantedLibrary) -> None:
    by_strength = sorted(library.sounds, key=lambda i: -library.sounds[i].strengths[CHILL])
    first = {ids(anywhere(library, length=1, seed=seed))[0] for seed in range(20)}
    assert first <= set(by_strength[:START_FROM])
    assert len(first) > 5


def test_the_list_ends_rather_than_leave_the_mood(library: PlantedLibrary) -> None:
    playlist = anywhere(library, length=200, artist_gap=0)
    assert len(playlist.tracks) == 2 * PER_KIND
    assert playlist.note == (
        f"{2 * PER_KIND} of 200 tracks: no further track in the library with the tag chill"
    )


def test_several_moods_all_hold(library: PlantedLibrary) -> None:
    playlist = anywhere(library, "chill", "SAD", length=20)
    assert set(strengths(library, playlist, SAD)) == {2.0}
    assert playlist.name == "Tag: chill and sad"


def test_a_genre_limits_the_mood(library: PlantedLibrary) -> None:
    playlist = anywhere(library, genre="jazz", length=10, artist_gap=0)
    assert {track.genre for track in playlist.tracks} == {"jazz"}
    assert min(strengths(library, playlist, CHILL)) >= HOLDS_FROM


@pytest.mark.parametrize("gap", [1, 3, 5])
def test_artists_stay_apart(library: PlantedLibrary, gap: int) -> None:
    playlist = anywhere(library, length=40, artist_gap=gap)
    assert gap_holds([track.artist for track in playlist.tracks], gap)
    assert len(playlist.tracks) == 40


def test_a_duration_is_kept(library: PlantedLibrary) -> None:
    playlist = anywhere(library, duration_s=3600)
    played = sum(track.duration_s for track in playlist.tracks)
    assert abs(played - 3600) <= 150
    assert min(strengths(library, playlist, CHILL)) >= HOLDS_FROM


def test_seeds_open_the_list_whatever_their_mood(library: PlantedLibrary) -> None:
    not_chill = next(i for i, s in library.sounds.items() if s.strengths[CHILL] < HOLDS_FROM)
    query = library.query(not_chill)
    playlist = maker(library).from_seeds(query, PlaylistOptions(tags=("chill",), length=12))
    assert ids(playlist)[0] == not_chill
    assert min(strengths(library, playlist, CHILL)[1:]) >= HOLDS_FROM
    assert playlist.name == f"Like {library.track(not_chill).display_name}"


def test_a_walk_from_a_seed_stays_near_it(tmp_path: Path) -> None:
    """Of two regions with chill tracks, the list keeps to the one where the seed is."""
    north, south = np.eye(16, dtype=np.float32)[0], -np.eye(16, dtype=np.float32)[0]
    rng = np.random.default_rng(3)
    sounds = [
        Sound("jazz", at_cosine(place, unit(rng.standard_normal(16)), 0.9), strengths=(0, 2, 0, 0))
        for _ in range(50)
        for place in (north, south)
    ]
    library = PlantedLibrary(tmp_path, sounds, make_info(tags=TAGS))
    playlist = maker(library).from_seeds(
        library.query(1), PlaylistOptions(tags=("chill",), length=12)
    )
    assert all(library.sounds[i].embedding @ north > 0.5 for i in ids(playlist))


def test_a_seed_outside_the_library_leads_the_way(library: PlantedLibrary) -> None:
    _, analysis = library.seed(2)
    query = make_query(library.info, [(file_outside(Path("/elsewhere.mp3")), analysis)])
    playlist = maker(library).from_seeds(query, PlaylistOptions(tags=("chill",), length=5))
    assert len(playlist.tracks) == 5
    assert min(strengths(library, playlist, CHILL)) >= HOLDS_FROM


def test_cycles_and_ways_keep_to_the_mood_too(library: PlantedLibrary) -> None:
    options = PlaylistOptions(tags=("chill",), length=9)
    cycle = maker(library).cycle("jazz,rock,blues", None, options)
    assert [track.genre for track in cycle.tracks] == ["jazz", "rock", "blues"] * 3
    assert min(strengths(library, cycle, CHILL)) >= HOLDS_FROM
    way = maker(library).between(library.seed(1), library.seed(7), options)
    assert min(strengths(library, way, CHILL)[1:-1]) >= HOLDS_FROM


@pytest.mark.parametrize("genres", ["auto", "jazz,blues,rock"])
def test_a_genre_without_the_mood_is_left_out_of_a_cycle(tmp_path: Path, genres: str) -> None:
    """Also where it is the largest, with which the cycle would begin."""
    rng = np.random.default_rng(4)
    sounds = [
        Sound(
            genre, unit(rng.standard_normal(16)), strengths=(0, -1 if genre == "jazz" else 2, 0, 0)
        )
        for genre in ("jazz", "jazz", "rock", "blues") * 5
    ]
    library = PlantedLibrary(tmp_path, sounds, make_info(tags=TAGS))
    cycle = maker(library).cycle(genres, None, PlaylistOptions(tags=("chill",), length=6))
    assert [track.genre for track in cycle.tracks].count("rock") == 3
    assert {track.genre for track in cycle.tracks} == {"rock", "blues"}
    assert "jazz holds no tracks with the tag chill and was left out of the cycle" in cycle.note
    with pytest.raises(QueryError, match="no track with the tag chill in the genres") as caught:
        maker(library).cycle("jazz", None, PlaylistOptions(tags=("chill",)))
    assert "Genres that hold some: blues, rock" in caught.value.hint
    with pytest.raises(QueryError, match="no track with the tag sad in the genres") as caught:
        maker(library).cycle(genres, None, PlaylistOptions(tags=("sad",)))
    assert "No other genre" in caught.value.hint


def test_a_mood_that_nothing_carries(library: PlantedLibrary) -> None:
    with pytest.raises(QueryError, match="the library holds no track with the tag rock"):
        anywhere(library, "rock")
    with pytest.raises(QueryError, match="unknown tag 'chil'; did you mean 'chill'"):
        anywhere(library, "chil")


def test_a_library_without_tags(tmp_path: Path) -> None:
    plain = PlantedLibrary(tmp_path, scattered(5, np.random.default_rng(0)))
    with pytest.raises(QueryError, match="has no tags") as caught:
        anywhere(plain)
    assert "recsys index --reanalyse" in caught.value.hint
