"""From one track to another: the planted way is found, and its ends stand where they should."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.stats import spearmanr

from recsys.errors import QueryError
from recsys.playlists import PlaylistMaker, PlaylistOptions, way
from recsys.playlists.way import SLACK, slerp, widest
from recsys.recommender.query import OUTSIDE_LIBRARY
from recsys.types import FloatArray, Playlist, Tags, Track
from tests.planted import PlantedLibrary, Sound, at_cosine, scattered

NORTH, EAST, UP = np.eye(16, dtype=np.float32)[:3]


def lead(library: PlantedLibrary, a: int, b: int, **options: object) -> Playlist:
    maker = PlaylistMaker(library.store, library.index, library.info)
    return maker.between(library.seed(a), library.seed(b), PlaylistOptions(**options))


def ids(playlist: Playlist) -> list[int]:
    return [track.id for track in playlist.tracks]


def arc(*shares: float) -> list[FloatArray]:
    return [slerp(NORTH, EAST, share) for share in shares]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    folder = tmp_path_factory.mktemp("library")
    return PlantedLibrary(folder, scattered(500, np.random.default_rng(13), spread=1.0))


def test_the_planted_way_is_found(tmp_path: Path) -> None:
    # Shuffled steps of the way, among tracks far from it.
    steps = arc(0.0, 1.0, 0.5, 0.25, 0.75)
    noise = [Sound("jazz", axis) for axis in np.eye(16, dtype=np.float32)[2:]]
    library = PlantedLibrary(tmp_path, [Sound("rock", step) for step in steps] + noise)
    assert ids(lead(library, 1, 2, length=5)) == [1, 4, 3, 5, 2]
    assert ids(lead(library, 2, 1, length=5)) == [2, 5, 3, 4, 1]
    assert ids(lead(library, 1, 2, length=3)) == [1, 3, 2]
    assert ids(lead(library, 1, 2, length=2)) == [1, 2]


@pytest.mark.parametrize("pair", [(1, 2), (10, 400), (77, 300), (250, 9)])
def test_it_progresses_evenly(library: PlantedLibrary, pair: tuple[int, int]) -> None:
    playlist = lead(library, *pair, length=20)
    assert (ids(playlist)[0], ids(playlist)[-1], len(playlist.tracks)) == (*pair, 20)
    vectors = np.stack([library.sounds[i].embedding for i in ids(playlist)])
    to_start, to_end = vectors @ vectors[0], vectors @ vectors[-1]
    assert spearmanr(range(20), to_end - to_start)[0] > 0.9
    first, last = (library.track(i).display_name for i in pair)
    assert playlist.name == f"From {first} to {last}"
    assert [seed.id for seed in playlist.seeds] == list(pair)
    assert playlist.note == ""


@pytest.mark.parametrize("pair", [(1, 2), (10, 400), (77, 300), (250, 9)])
@pytest.mark.parametrize("length", [2, 3, 5, 12])
def test_the_way_is_the_widest_of_its_length(
    library: PlantedLibrary, pair: tuple[int, int], length: int
) -> None:
    vectors = np.stack([sound.embedding for sound in library.sounds.values()])
    playlist = lead(library, *pair, length=length)
    assert len(playlist.tracks) == length
    exact = widest_by_components(vectors, pair[0] - 1, pair[1] - 1, length - 1)
    assert exact - SLACK - 1e-5 <= min(playlist.similarities[1:]) <= exact + 1e-5
    rows = [pair[0] - 1, pair[1] - 1]
    rows += [row for row in range(len(vectors)) if row not in rows]
    table = widest(vectors[rows] @ vectors[rows].T, length - 1)
    assert table[-1][0] == pytest.approx(exact, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_large_library_is_searched_in_part_and_nearly_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(way, "CORRIDOR", 256)
    rng = np.random.default_rng(seed)
    library = PlantedLibrary(tmp_path, scattered(1200, rng, spread=1.0))
    a, b = rng.choice(1200, 2, replace=False) + 1
    vectors = np.stack([sound.embedding for sound in library.sounds.values()])
    playlist = lead(library, int(a), int(b), length=12)
    exact = widest_by_components(vectors, a - 1, b - 1, 11)
    assert min(playlist.similarities[1:]) >= exact - 3 * SLACK


def test_the_way_leads_around_a_gap_through_another_genre(tmp_path: Path) -> None:
    # Nothing is between A and B, but a chain leads from A to C and on to B.
    chain = [slerp(NORTH, UP, share) for share in (0.25, 0.5, 0.75)]
    chain += [UP, *(slerp(UP, EAST, share) for share in (0.25, 0.5, 0.75))]
    sounds = [Sound("rock", NORTH), Sound("jazz", EAST), *(Sound("blues", e) for e in chain)]
    playlist = lead(PlantedLibrary(tmp_path, sounds), 1, 2, length=9)
    assert ids(playlist) == [1, *range(3, 10), 2]
    assert playlist.note == ""
    assert min(playlist.similarities[1:]) == pytest.approx(np.cos(np.pi / 8), abs=1e-3)


def test_a_jump_is_named(tmp_path: Path) -> None:
    # A cluster around A; B is opposite to it.
    rng = np.random.default_rng(3)
    around = [at_cosine(NORTH, rng.standard_normal(16).astype(np.float32), 0.9) for _ in range(8)]
    sounds = [Sound("rock", NORTH), Sound("jazz", -NORTH), *(Sound("rock", e) for e in around)]
    library = PlantedLibrary(tmp_path, sounds)
    playlist = lead(library, 1, 2, length=6)
    values = playlist.similarities[1:]
    at = int(np.argmin(values))
    before, after = playlist.tracks[at].display_name, playlist.tracks[at + 1].display_name
    assert playlist.note == (
        f"a jump from {before} to {after}: their similarity is {values[at]:.2f}, and below 0.1 a"
        " step is a jump; no way without one was found"
    )


def widest_by_components(vectors: FloatArray, a: int, b: int, steps: int) -> float:
    """Return the width of the widest way of at most so many steps, from its definition.

    The largest similarity for which the graph of the pairs that are at least so similar has a
    shortest path from a to b of at most so many steps.
    """
    cosines = np.round(vectors.astype(float) @ vectors.T.astype(float), 6)
    np.fill_diagonal(cosines, -2)
    levels = np.unique(cosines)
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high + 1) // 2
        graph = csr_array(cosines >= levels[middle])
        hops = dijkstra(graph, unweighted=True, indices=a)[b]
        low, high = (middle, high) if hops <= steps else (low, middle - 1)
    return float(levels[low])


def test_a_genre_limits_the_steps(library: PlantedLibrary) -> None:
    a, b = library.ids("rock")[0], library.ids("classical")[0]
    playlist = lead(library, a, b, length=10, genre="jazz")
    assert {track.genre for track in playlist.tracks[1:-1]} == {"jazz"}


def test_an_end_outside_the_library_only_leads_the_way(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [Sound("rock", step) for step in arc(0.0, 0.5, 1.0, 0.75)])
    _, analysis = library.seed(1)
    outside = Track(OUTSIDE_LIBRARY, Path("/elsewhere/x.mp3"), Tags(), 0.0, "", "rock")
    maker = PlaylistMaker(library.store, library.index, library.info)
    playlist = maker.between((outside, analysis), library.seed(3), PlaylistOptions(length=2))
    assert ids(playlist) == [2, 3]
    back = maker.between(library.seed(3), (outside, analysis), PlaylistOptions(length=2))
    assert ids(back) == [3, 2]


def test_a_duration_counts_the_last_track_from_the_start(tmp_path: Path) -> None:
    steps = arc(0.0, 1.0, *np.linspace(0.05, 0.95, 19))
    sounds = [Sound("rock", step, duration_s=100 + 5 * i) for i, step in enumerate(steps)]
    playlist = lead(PlantedLibrary(tmp_path, sounds), 1, 2, duration_s=900)
    total = sum(track.duration_s for track in playlist.tracks)
    assert (ids(playlist)[0], ids(playlist)[-1]) == (1, 2)
    assert abs(total - 900) <= 100
    shares = [slerp_share(sounds[i - 1].embedding) for i in ids(playlist)]
    assert shares == sorted(shares)
    assert max(np.diff(shares)) < 0.45


def slerp_share(embedding: FloatArray) -> float:
    return float(np.arctan2(embedding[1], embedding[0]) / (np.pi / 2))


def test_ends_that_are_longer_than_the_duration_stand_all_the_same(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [Sound("rock", step) for step in arc(0.0, 1.0, 0.5)])
    assert ids(lead(library, 1, 2, duration_s=10)) == [1, 2]


def test_artists_are_held_apart_to_the_end(tmp_path: Path) -> None:
    names = ["A", "B", "B", "B", None, "C", None]
    steps = arc(0.0, 1.0, 0.9, 0.8, 0.7, 0.5, 0.3)
    sounds = [Sound("rock", s, artist=name) for s, name in zip(steps, names, strict=True)]
    library = PlantedLibrary(tmp_path, sounds)
    playlist = lead(library, 1, 2, length=7, artist_gap=1)
    artists = [track.artist for track in playlist.tracks]
    assert ids(playlist)[-1] == 2
    assert artists.count("B") <= 3
    assert all(one != other or one is None for one, other in pairwise(artists))


def test_a_gap_that_is_too_wide_for_the_library_ends_the_way_early(tmp_path: Path) -> None:
    sounds = [Sound("rock", step, artist="B") for step in arc(0.2, 1.0, 0.5, 0.6, 0.7, 0.8, 0.9)]
    sounds.append(Sound("rock", NORTH, artist="A"))
    library = PlantedLibrary(tmp_path, sounds)
    playlist = lead(library, 8, 2, length=6, artist_gap=2)
    assert ids(playlist) == [8, 2]
    assert playlist.note.startswith(
        "2 of 6 tracks: artist gap 2 leaves no candidate in the library (6 tracks of 1 artist); "
    )


def test_a_last_track_that_would_stand_too_near_is_left_out(tmp_path: Path) -> None:
    sounds = [Sound("rock", step, artist="A") for step in arc(0.0, 1.0, 0.5)]
    playlist = lead(PlantedLibrary(tmp_path, sounds), 1, 2, length=6, artist_gap=2)
    assert ids(playlist) == [1]
    assert "the last track was left out" in playlist.note
    assert playlist.note.startswith("1 of 6 tracks: artist gap 2 leaves no candidate")


def test_one_recording_has_no_way_to_itself(tmp_path: Path) -> None:
    sounds = [
        Sound("rock", NORTH, title="Song", audio_hash="x"),
        Sound("rock", NORTH, title="Copy", audio_hash="x"),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    for a, b in ((1, 1), (1, 2)):
        with pytest.raises(QueryError, match=r"Song and (Song|Copy) are one recording"):
            lead(library, a, b)


def test_a_way_of_one_track_is_refused(library: PlantedLibrary) -> None:
    with pytest.raises(QueryError, match="length must be at least 2 from one track to another"):
        lead(library, 1, 2, length=1)
