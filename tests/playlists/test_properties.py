"""What holds for every playlist, however it is made and whatever is asked for."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.recommender.duplicates import NearDuplicates, artist_key
from recsys.types import Playlist
from tests.planted import PlantedLibrary, Sound, at_cosine, scattered
from tests.playlists.gaps import gap_holds

SIZE = 60
LONGEST_S = 600.0


def with_duplicates(seed: int) -> list[Sound]:
    """Scattered sounds of few artists, a fifth of them there a second time."""
    rng = np.random.default_rng(seed)
    sounds = scattered(SIZE * 5 // 6, rng, artists=6)
    for sound in sounds[:: len(sounds) // (SIZE // 6)]:
        near = at_cosine(sound.embedding, rng.standard_normal(16).astype(np.float32), 0.998)
        sounds.append(Sound(sound.genre, near, duration_s=sound.duration_s + 1))
    return sounds


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    return PlantedLibrary(tmp_path_factory.mktemp("library"), with_duplicates(14))


options = st.builds(
    PlaylistOptions,
    length=st.none() | st.integers(2, 70),
    duration_s=st.none() | st.floats(30, 20_000),
    artist_gap=st.none() | st.integers(0, 5),
    seed=st.integers(0, 3),
    diversity=st.sampled_from([0.0, 0.3, 1.0]),
    per_genre=st.integers(1, 3),
)
ways = st.sampled_from(["seeds", "anywhere", "auto", "blues,rock,classical", "between"])
pairs = st.tuples(st.integers(1, 40), st.integers(1, 40)).filter(lambda pair: pair[0] != pair[1])

thorough = settings(max_examples=100, deadline=None)


def make(
    library: PlantedLibrary, way: str, pair: tuple[int, int], wanted: PlaylistOptions
) -> Playlist:
    maker = PlaylistMaker(library.store, library.index, library.info)
    if way == "seeds":
        return maker.from_seeds(library.query(*pair), wanted)
    if way == "anywhere":
        return maker.anywhere(wanted)
    if way == "between":
        return maker.between(library.seed(pair[0]), library.seed(pair[1]), wanted)
    return maker.cycle(way, library.seed(pair[0]), wanted)


@thorough
@given(way=ways, pair=pairs, wanted=options)
def test_no_track_comes_twice_and_no_two_are_near_duplicates(
    library: PlantedLibrary, way: str, pair: tuple[int, int], wanted: PlaylistOptions
) -> None:
    playlist = make(library, way, pair, wanted)
    assert playlist.tracks
    assert len({track.id for track in playlist.tracks}) == len(playlist.tracks)
    for one, other in combinations(playlist.tracks, 2):
        known = NearDuplicates()
        known.add(one, library.sounds[one.id].embedding)
        assert not known.match(other, library.sounds[other.id].embedding)


@thorough
@given(way=ways, pair=pairs, wanted=options)
def test_the_artist_gap_that_was_asked_for_holds(
    library: PlantedLibrary, way: str, pair: tuple[int, int], wanted: PlaylistOptions
) -> None:
    playlist = make(library, way, pair, wanted)
    artists = [artist_key(track) for track in playlist.tracks]
    assert gap_holds(artists, wanted.artist_gap or 0)


@thorough
@given(way=ways, pair=pairs, wanted=options)
def test_length_and_duration_are_kept_or_the_note_says_why(
    library: PlantedLibrary, way: str, pair: tuple[int, int], wanted: PlaylistOptions
) -> None:
    playlist = make(library, way, pair, wanted)
    number = len(playlist.tracks)
    total_s = sum(track.duration_s for track in playlist.tracks)
    assert wanted.limit is None or number <= wanted.limit
    ends = 2 if way == "between" else 1
    if wanted.duration_s is not None and number > ends:
        last_added = max if way == "between" else (lambda durations: durations[-1])
        overshoot = total_s - wanted.duration_s
        assert overshoot <= last_added([track.duration_s for track in playlist.tracks]) / 2 + 1e-6
    filled = number == wanted.limit or (
        wanted.duration_s is not None and total_s > wanted.duration_s - LONGEST_S / 2
    )
    assert filled or playlist.note


@thorough
@given(way=ways, pair=pairs, wanted=options)
def test_the_same_seed_gives_the_same_playlist(
    library: PlantedLibrary, way: str, pair: tuple[int, int], wanted: PlaylistOptions
) -> None:
    first, second = (make(library, way, pair, wanted) for _ in range(2))
    assert first == second
    assert first.seed == wanted.seed
