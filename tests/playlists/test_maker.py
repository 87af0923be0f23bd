"""Playlists from seeds and from the library, against oracles over planted libraries."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.genres import genre_scores
from recsys.playlists import DEFAULT_LENGTH, PlaylistMaker, PlaylistOptions
from recsys.playlists.draft import PREFERENCE_REACH
from recsys.recommender.query import make_query
from recsys.types import Playlist
from tests.planted import PlantedLibrary, Sound, at_cosine, file_outside, scattered, unit

NORTH, EAST, UP = np.eye(16, dtype=np.float32)[:3]


def jazz(cosine: float, **fields: object) -> Sound:
    return Sound("jazz", at_cosine(NORTH, EAST, cosine), **fields)


def maker(library: PlantedLibrary) -> PlaylistMaker:
    return PlaylistMaker(library.store, library.index, library.info)


def from_seeds(library: PlantedLibrary, *seeds: int, **options: object) -> Playlist:
    return maker(library).from_seeds(library.query(*seeds), PlaylistOptions(**options))


def ids(playlist: Playlist) -> list[int]:
    return [track.id for track in playlist.tracks]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    folder = tmp_path_factory.mktemp("library")
    return PlantedLibrary(folder, scattered(150, np.random.default_rng(7)))


@pytest.mark.parametrize("seed", [1, 42, 150])
def test_a_playlist_goes_through_the_tiers(library: PlantedLibrary, seed: int) -> None:
    query = library.query(seed)
    scores = genre_scores(library.info, query.probabilities)
    ranked = library.ranked_by_hand(query, scores, nearest_leads=False)
    playlist = from_seeds(library, seed, length=150)
    assert ids(playlist) == [seed, *(i for i, _ in ranked)]
    assert playlist.note == ""
    assert playlist.seeds == (library.track(seed),)
    assert playlist.name == f"Like {library.track(seed).display_name}"


def test_the_default_length_and_the_name_can_be_changed(library: PlantedLibrary) -> None:
    assert len(from_seeds(library, 1).tracks) == DEFAULT_LENGTH
    named = from_seeds(library, 1, length=3, name="Evening", seed=5)
    assert (named.name, named.seed, len(named.tracks)) == ("Evening", 5, 3)


def test_seeds_open_the_list_in_their_order(library: PlantedLibrary) -> None:
    playlist = from_seeds(library, 9, 3, 6, 1, length=10)
    assert ids(playlist)[:4] == [9, 3, 6, 1]
    assert len(set(ids(playlist))) == 10
    assert playlist.name == "Like Song 8, Song 2, Song 5 and 1 more"
    assert ids(from_seeds(library, 9, 3, 6, length=2)) == [9, 3]


def test_a_seed_outside_the_library_is_named_but_not_played(library: PlantedLibrary) -> None:
    _, analysis = library.seed(8)
    path = Path("/elsewhere/x.mp3")
    query = make_query(library.info, [(file_outside(path), analysis), (library.track(9), analysis)])
    playlist = maker(library).from_seeds(query, PlaylistOptions(length=5))
    assert ids(playlist)[:2] == [9, 8]
    assert [seed.path for seed in playlist.seeds] == [path, library.track(9).path]
    assert playlist.name == "Like x, Song 8"


def test_an_unknown_query_goes_by_similarity_alone(library: PlantedLibrary) -> None:
    embedding = unit(np.random.default_rng(8).standard_normal(16))
    analysis = library.analysis(embedding, [0.3, 0.3, 0.2, 0.2])
    query = make_query(library.info, [(file_outside(Path("/elsewhere/x.mp3")), analysis)])
    playlist = maker(library).from_seeds(query, PlaylistOptions(length=20))
    assert ids(playlist) == library.nearest_ids(None, embedding)[:20]


def test_a_genre_limits_everything_but_the_seeds(library: PlantedLibrary) -> None:
    (seed, *_) = library.ids("jazz")
    playlist = from_seeds(library, seed, genre="Rock", length=6)
    query = library.query(seed)
    assert ids(playlist) == [seed, *library.nearest_ids("rock", query.embedding)[:5]]


def test_near_duplicates_are_left_out(tmp_path: Path) -> None:
    original = at_cosine(NORTH, EAST, 0.9)
    sounds = [
        Sound("jazz", NORTH, duration_s=200),
        Sound("jazz", at_cosine(NORTH, UP, 0.999), duration_s=200),
        Sound("jazz", original, duration_s=300),
        Sound("jazz", at_cosine(original, UP, 0.999), duration_s=301),
    ]
    playlist = from_seeds(PlantedLibrary(tmp_path, sounds), 1, length=9)
    assert len(playlist.tracks) == 2
    assert playlist.note == (
        "2 of 9 tracks: no further track in the library; 2 near-duplicates left out"
    )


def test_an_artist_gap_defers_tracks_and_brings_them_back(tmp_path: Path) -> None:
    names = ["A", "A", "A", "B", "C", "C", None, None]
    sounds = [jazz(1 - 0.05 * i, artist=name) for i, name in enumerate(names)]
    library = PlantedLibrary(tmp_path, sounds)
    # By hand: the best-ranked track that is not by one of the last two artists.
    assert ids(from_seeds(library, 1, artist_gap=2, length=8)) == [1, 4, 5, 2, 7, 6, 3, 8]
    assert ids(from_seeds(library, 1, artist_gap=0, length=8)) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_without_a_gap_asked_for_artists_stay_apart_while_there_is_a_choice(
    tmp_path: Path,
) -> None:
    names = ["A", "A", "A", "B", "C", "C"]
    sounds = [jazz(1 - 0.05 * i, artist=name) for i, name in enumerate(names)]
    playlist = from_seeds(PlantedLibrary(tmp_path, sounds), 1, length=6)
    assert ids(playlist) == [1, 4, 5, 2, 6, 3]
    assert playlist.note == ""


def test_without_a_gap_asked_for_one_artist_fills_the_list(tmp_path: Path) -> None:
    sounds = [jazz(1 - 0.02 * i, artist="Only") for i in range(20)]
    playlist = from_seeds(PlantedLibrary(tmp_path, sounds), 1, length=20)
    assert ids(playlist) == list(range(1, 21))


def test_a_preference_for_other_artists_does_not_leave_the_genre(tmp_path: Path) -> None:
    sounds = [jazz(1 - 0.05 * i, artist="Only") for i in range(4)]
    sounds += [Sound("blues", at_cosine(NORTH, EAST, 0.95), artist="Other")]
    library = PlantedLibrary(tmp_path, sounds)
    assert ids(from_seeds(library, 1, length=5)) == [1, 2, 3, 4, 5]
    assert ids(from_seeds(library, 1, length=3, artist_gap=1)) == [1, 5, 2]


def test_a_preference_for_other_artists_does_not_reach_for_what_is_far(tmp_path: Path) -> None:
    sounds = [jazz(1 - 0.005 * i, artist="Only") for i in range(PREFERENCE_REACH + 10)]
    sounds += [jazz(0.01, artist="Other")]
    assert ids(from_seeds(PlantedLibrary(tmp_path, sounds), 1, length=4)) == [1, 2, 3, 4]


def test_seeds_of_one_artist_keep_their_order_unless_a_gap_forbids_it(tmp_path: Path) -> None:
    names = ["A", "A", "B", "C"]
    sounds = [jazz(1 - 0.1 * i, artist=name) for i, name in enumerate(names)]
    library = PlantedLibrary(tmp_path, sounds)
    assert ids(from_seeds(library, 2, 1, 3, length=4)) == [2, 1, 3, 4]
    assert ids(from_seeds(library, 2, 1, 3, length=4, artist_gap=1)) == [2, 3, 1, 4]


def test_a_gap_that_cannot_be_kept_ends_the_list_and_reports_it(tmp_path: Path) -> None:
    sounds = [jazz(1 - 0.02 * i, artist="Only") for i in range(39)]
    sounds += [Sound("rock", at_cosine(NORTH, EAST, 0.1 * i)) for i in range(1, 5)]
    playlist = from_seeds(PlantedLibrary(tmp_path, sounds), 1, length=50, artist_gap=2)
    assert len(playlist.tracks) == 7
    assert playlist.note == (
        "7 of 50 tracks: artist gap 2 leaves no candidate in the library (36 tracks of 1 artist)"
    )


@pytest.mark.parametrize(
    ("target_s", "expected"),
    [
        (1, [1]),
        (100, [1]),
        (149, [1]),
        (150, [1, 2]),
        (300, [1, 2, 3]),
        (349, [1, 2, 3]),
        (350, [1, 2, 3, 4]),
    ],
)
def test_a_duration_is_met_to_half_a_track(
    tmp_path: Path, target_s: float, expected: list[int]
) -> None:
    axes = np.eye(16, dtype=np.float32)[:9]
    sounds = [Sound("jazz", axis, duration_s=100) for axis in axes]
    library = PlantedLibrary(tmp_path, sounds)
    assert ids(from_seeds(library, 1, duration_s=target_s)) == expected


def test_a_shorter_track_is_taken_where_the_nearest_is_too_long(tmp_path: Path) -> None:
    sounds = [jazz(1.0, duration_s=100), jazz(0.9, duration_s=1000), jazz(0.8, duration_s=90)]
    playlist = from_seeds(PlantedLibrary(tmp_path, sounds), 1, duration_s=200)
    assert ids(playlist) == [1, 3]
    assert playlist.note == ""


def test_a_duration_that_cannot_be_filled_says_how_far_it_got(tmp_path: Path) -> None:
    sounds = [jazz(1.0, duration_s=100), jazz(0.9, duration_s=200)]
    library = PlantedLibrary(tmp_path, sounds)
    assert from_seeds(library, 1, duration_s=7200).note == (
        "0:05:00 of 2:00:00: no further track in the library"
    )
    assert from_seeds(library, 1, duration_s=7200, length=9).note.startswith(
        "2 of 9 tracks, 0:05:00 of 2:00:00: "
    )
    assert len(from_seeds(library, 1, duration_s=7200, length=1).tracks) == 1


def test_an_empty_library_gives_an_empty_list_that_reports_it(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [])
    analysis = library.analysis(NORTH, [0, 0, 1, 0])
    query = make_query(library.info, [(file_outside(Path("/elsewhere/x.mp3")), analysis)])
    playlist = maker(library).from_seeds(query)
    assert playlist.tracks == ()
    assert playlist.note == "0 of 30 tracks: no further track in the library"
    with pytest.raises(QueryError, match="the library holds no track to begin with"):
        maker(library).anywhere()


def test_without_a_seed_track_the_first_is_drawn(library: PlantedLibrary) -> None:
    playlists = [
        maker(library).anywhere(PlaylistOptions(length=8, seed=seed)) for seed in range(30)
    ]
    firsts = [ids(playlist)[0] for playlist in playlists]
    assert len(set(firsts)) > 15
    for playlist, first in zip(playlists, firsts, strict=True):
        assert ids(playlist) == ids(from_seeds(library, first, length=8))
        assert playlist.seeds == ()
        assert playlist.name == f"Drawn with seed {playlist.seed}"


def test_the_draw_favours_nobody(tmp_path: Path) -> None:
    # Nearly all random points are nearest to one end of so short an arc.
    sounds = [jazz(np.cos(angle)) for angle in np.linspace(0.1, 0.2, 40)]
    library = PlantedLibrary(tmp_path, sounds)
    drawn = {
        ids(maker(library).anywhere(PlaylistOptions(length=1, seed=seed)))[0] for seed in range(60)
    }
    assert len(drawn) > 20


def test_the_first_is_drawn_from_the_genre_that_is_asked_for(library: PlantedLibrary) -> None:
    for seed in range(5):
        playlist = maker(library).anywhere(PlaylistOptions(length=5, seed=seed, genre="jazz"))
        assert {track.genre for track in playlist.tracks} == {"jazz"}
    with pytest.raises(QueryError, match="unknown genre 'jaz'; did you mean 'jazz'"):
        maker(library).anywhere(PlaylistOptions(genre="jaz"))


def test_the_seed_decides_what_diversity_draws(library: PlantedLibrary) -> None:
    def make(seed: int) -> list[int]:
        return ids(from_seeds(library, 1, length=20, diversity=0.5, seed=seed))

    assert make(1) == make(1)
    assert len({tuple(make(seed)) for seed in range(5)}) == 5
    assert ids(from_seeds(library, 1, seed=1)) == ids(from_seeds(library, 1, seed=2))


def test_diversity_brings_tracks_that_are_less_alike(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered(400, np.random.default_rng(9), labels=["jazz"]))

    def likeness(diversity: float) -> float:
        values = []
        for seed in range(3):
            playlist = from_seeds(library, 1, length=15, diversity=diversity, seed=seed)
            vectors = [library.sounds[i].embedding for i in ids(playlist)]
            values += [float(a @ b) for a, b in combinations(vectors, 2)]
        return float(np.mean(values))

    assert likeness(0.0) > likeness(0.5) > likeness(1.0)


@pytest.mark.parametrize(("diversity", "expected"), [(0.0, 2), (0.6, 3)])
def test_diversity_prefers_what_is_unlike_the_tracks_before(
    tmp_path: Path, diversity: float, expected: int
) -> None:
    # Track 2 resembles both seeds most, and repeats the second of them; track 3 lies elsewhere.
    first = at_cosine(NORTH, EAST, 0.90)
    sounds = [
        Sound("jazz", NORTH),
        Sound("jazz", at_cosine(first, EAST, 0.99)),
        Sound("jazz", at_cosine(NORTH, UP, 0.85)),
        Sound("jazz", first),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    thirds = [
        ids(from_seeds(library, 1, 4, length=3, diversity=diversity, seed=seed))[2]
        for seed in range(40)
    ]
    assert thirds.count(expected) > 30


def test_diversity_keeps_the_order_of_the_tiers(library: PlantedLibrary) -> None:
    query = library.query(1)
    scores = genre_scores(library.info, query.probabilities)
    tier_of = dict(library.ranked_by_hand(query, scores, nearest_leads=False))
    playlist = from_seeds(library, 1, length=150, diversity=1.0)
    tiers = [tier_of[track.id] for track in playlist.tracks[1:]]
    assert tiers == sorted(tiers)
    assert sorted(ids(playlist)) == list(range(1, 151))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"length": -3}, "length must be at least 1, got -3"),
        ({"duration_s": 0.0}, "duration must be a number of seconds above 0, got 0.0"),
        ({"duration_s": float("nan")}, "duration must be a number of seconds above 0, got nan"),
        ({"duration_s": float("inf")}, "duration must be a number of seconds above 0, got inf"),
        ({"artist_gap": -1}, "artist_gap must be at least 0, got -1"),
        ({"per_genre": 0}, "per_genre must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"diversity": 1.5}, "diversity must lie between 0 and 1, got 1.5"),
        ({"diversity": float("nan")}, "diversity must lie between 0 and 1, got nan"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(QueryError) as caught:
        PlaylistOptions(**options)
    assert caught.value.message == message
    assert caught.value.hint


# Continuing a list


def continued(library: PlantedLibrary, present: list[int], **options: object) -> Playlist:
    analyses = library.store.analyses(present)
    tracks = [(library.track(i), analyses[i]) for i in present]
    return maker(library).extend(tracks, PlaylistOptions(**options))


def test_a_list_goes_on_from_its_last_tracks(library: PlantedLibrary) -> None:
    whole = from_seeds(library, 1, length=12)
    added = continued(library, ids(whole), length=8)
    assert len(added.tracks) == 8
    assert not set(ids(added)) & set(ids(whole))
    from_end = from_seeds(library, *ids(whole)[-5:], length=150)
    expected = [i for i in ids(from_end) if i not in ids(whole)][:8]
    assert ids(added) == expected
    assert added.seeds[-1] == whole.tracks[-1]


def test_length_and_duration_count_what_is_added(library: PlantedLibrary) -> None:
    present = list(range(1, 31))
    assert len(continued(library, present).tracks) == DEFAULT_LENGTH
    wanted = 5 * library.track(1).duration_s
    added = continued(library, present, duration_s=wanted)
    assert abs(sum(track.duration_s for track in added.tracks) - wanted) <= max(
        track.duration_s for track in added.tracks
    )


def test_a_list_with_a_track_twice_goes_on(library: PlantedLibrary) -> None:
    assert len(continued(library, [1, 2, 1], length=3).tracks) == 3


def test_the_artist_gap_holds_across_the_end_of_a_list(tmp_path: Path) -> None:
    sounds = [
        jazz(1.0, artist="A"),
        jazz(0.9, artist="A"),
        jazz(0.8, artist="B"),
        jazz(0.7, artist="C"),
        jazz(0.6, artist="D"),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    assert ids(continued(library, [1], length=3, artist_gap=2)) == [3, 4, 2]


def test_the_artist_gap_holds_for_guests(tmp_path: Path) -> None:
    artists = ("A", "B feat. A", "C", "D", "E; A", "F")
    sounds = [
        Sound("jazz", at_cosine(NORTH, EAST, 1 - i / 20), artist=artist, title=f"T{i}")
        for i, artist in enumerate(artists)
    ]
    library = PlantedLibrary(tmp_path, sounds)
    playlist = maker(library).from_seeds(library.query(1), PlaylistOptions(length=6, artist_gap=2))
    assert [track.id for track in playlist.tracks] == [1, 3, 4, 2, 6]
    assert "artist gap 2 leaves no candidate" in playlist.note
