"""What never comes back, what is hidden, and that both are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.recommender import Answer, Recommender, SimilarOptions
from recsys.recommender.query import OUTSIDE_LIBRARY, make_query
from recsys.types import Tags, Track
from tests.planted import PlantedLibrary, Sound, at_cosine, file_outside, unit

NORTH, EAST, UP = np.eye(16, dtype=np.float32)[:3]


def jazz(cosine: float, **fields: object) -> Sound:
    return Sound("jazz", at_cosine(NORTH, EAST, cosine), **fields)


def ask(library: PlantedLibrary, *seeds: int, **options: object) -> Answer:
    recommender = Recommender(library.store, library.index, library.info)
    return recommender.similar(library.query(*seeds), SimilarOptions(**options))


def ids(answer: Answer) -> list[int]:
    return [row.track.id for row in answer.results]


def test_the_query_never_comes_back(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [jazz(0.1 * i) for i in range(1, 8)])
    answer = ask(library, 2, 4, show_duplicates=True)
    assert sorted(ids(answer)) == [1, 3, 5, 6, 7]
    assert answer.filtered == {"query": 2}


def test_a_file_of_the_library_never_comes_back_even_when_it_is_given_as_a_path(
    tmp_path: Path,
) -> None:
    library = PlantedLibrary(tmp_path, [jazz(0.9), jazz(0.8), jazz(0.7)])
    _, analysis = library.seed(2)
    query = make_query(library.info, [(file_outside(library.track(2).path), analysis)])
    recommender = Recommender(library.store, library.index, library.info)
    answer = recommender.similar(query, SimilarOptions(show_duplicates=True))
    assert sorted(ids(answer)) == [1, 3]
    assert answer.filtered == {"query": 1}


def test_copies_of_the_query_are_hidden_unless_asked_for(tmp_path: Path) -> None:
    sounds = [
        jazz(1.0, audio_hash="the sound"),
        jazz(1.0, audio_hash="the sound"),
        jazz(0.9, artist="A", title="T"),
        jazz(0.5),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    hidden = ask(library, 1)
    assert ids(hidden) == [3, 4]
    assert hidden.filtered == {"query": 1, "near_duplicate": 1}
    assert ids(ask(library, 1, show_duplicates=True)) == [2, 3, 4]


def test_near_duplicates_of_better_ranked_tracks_are_hidden(tmp_path: Path) -> None:
    original = at_cosine(NORTH, EAST, 0.9)
    sounds = [
        Sound("jazz", NORTH),
        Sound("jazz", original, duration_s=200, artist="A", title="T"),
        Sound("jazz", at_cosine(original, UP, 0.999), duration_s=201),
        Sound("jazz", at_cosine(original, UP, 0.999), duration_s=205),
        Sound("jazz", at_cosine(original, UP, 0.95), duration_s=199, artist="a", title="t"),
        Sound("jazz", at_cosine(original, UP, 0.6), duration_s=199, artist="a", title="other"),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    answer = ask(library, 1)
    assert ids(answer) == [2, 4, 6]
    assert answer.filtered == {"query": 1, "near_duplicate": 2}


def test_a_near_duplicate_of_any_seed_is_hidden(tmp_path: Path) -> None:
    sounds = [
        Sound("jazz", NORTH, duration_s=100),
        Sound("jazz", EAST, duration_s=200),
        Sound("jazz", at_cosine(EAST, UP, 0.999), duration_s=200.5),
        Sound("jazz", unit(NORTH + EAST), duration_s=200),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    answer = ask(library, 1, 2)
    assert ids(answer) == [4]
    assert answer.filtered == {"query": 2, "near_duplicate": 1}


def test_copies_of_a_file_outside_the_library_are_hidden_when_it_is_described(
    tmp_path: Path,
) -> None:
    library = PlantedLibrary(tmp_path, [jazz(0.99, audio_hash="the sound"), jazz(0.5)])
    analysis = library.analysis(NORTH, [0, 0, 1, 0])
    path = Path("/elsewhere/copy.flac")
    described = Track(OUTSIDE_LIBRARY, path, Tags(), 60.0, "the sound", "jazz")
    recommender = Recommender(library.store, library.index, library.info)
    answer = recommender.similar(make_query(library.info, [(described, analysis)]))
    assert ids(answer) == [2]
    assert answer.filtered == {"near_duplicate": 1}


def test_artists_are_limited_however_they_are_spelt(tmp_path: Path) -> None:
    names = ["X", "A", "a ", "A", None, None, None, "B", "Various Artists", "Various Artists"]
    sounds = [jazz(0.99 - 0.05 * i, artist=name) for i, name in enumerate(names)]
    library = PlantedLibrary(tmp_path, sounds)
    answer = ask(library, 1, max_per_artist=1)
    assert ids(answer) == [2, 5, 6, 7, 8, 9, 10]
    assert answer.filtered == {"query": 1, "same_artist": 2}
    assert ids(ask(library, 1, max_per_artist=2)) == [2, 3, 5, 6, 7, 8, 9, 10]


def test_the_album_of_the_query_is_left_out_on_request(tmp_path: Path) -> None:
    sounds = [
        jazz(1.0, artist="A", album="Live", album_artist="Band"),
        jazz(0.9, artist="A", album="LIVE"),
        jazz(0.8, artist="B", album="Live", album_artist="Band"),
        jazz(0.7, artist="C", album="Live"),
        jazz(0.6, artist="A", album="Studio"),
        jazz(0.5, artist="A"),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    assert ids(ask(library, 1)) == [2, 3, 4, 5, 6]
    answer = ask(library, 1, no_same_album=True)
    assert ids(answer) == [4, 5, 6]
    assert answer.filtered == {"query": 1, "same_album": 2}


def test_filters_that_eat_nearly_everything_still_fill_the_answer(tmp_path: Path) -> None:
    flood = [jazz(0.99 - 0.001 * i, artist="Prolific") for i in range(300)]
    others = [jazz(0.3 - 0.01 * i, artist=f"Other {i}") for i in range(5)]
    library = PlantedLibrary(tmp_path, flood + others)
    answer = ask(library, 1, k=6, max_per_artist=1)
    assert ids(answer) == [2, 301, 302, 303, 304, 305]
    assert answer.filtered == {"query": 1, "same_artist": 298}
    assert answer.notes == ()


def test_a_short_answer_says_how_many_there_were_and_what_stopped_it(tmp_path: Path) -> None:
    sounds = [
        jazz(1.0, artist="X", album="Live", audio_hash="x"),
        jazz(1.0, audio_hash="x"),
        jazz(0.8, artist="X", album="Live"),
        jazz(0.7, artist="A"),
        jazz(0.6, artist="A"),
        jazz(0.5, artist="B"),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    answer = ask(library, 1, k=5, max_per_artist=1, no_same_album=True)
    assert ids(answer) == [4, 6]
    assert answer.notes == (
        "2 of 5 tracks: the library holds 6 tracks; left out: the query itself (1), "
        "near-duplicates (1), same album (1), more tracks of one artist than asked for (1)",
    )


@pytest.mark.parametrize("k", [2, 3])
def test_only_what_stood_in_the_way_is_counted(tmp_path: Path, k: int) -> None:
    sounds = [
        jazz(1.0),
        jazz(0.9, artist="A"),
        jazz(0.8, artist="B"),
        jazz(0.7, artist="A"),
        jazz(0.6),
    ]
    library = PlantedLibrary(tmp_path, sounds)
    answer = ask(library, 1, k=k, max_per_artist=1)
    expected = {"query": 1} if k == 2 else {"query": 1, "same_artist": 1}
    assert answer.filtered == expected


def test_guests_count_for_the_limit_of_an_artist(tmp_path: Path) -> None:
    artists = ("Q", "A", "B feat. A", "C; A", "D & E", "E", "D")
    sounds = [
        Sound("jazz", at_cosine(NORTH, EAST, 1 - i / 10), artist=artist, title=f"T{i}")
        for i, artist in enumerate(artists)
    ]
    library = PlantedLibrary(tmp_path, sounds)
    answer = ask(library, 1, max_per_artist=1)
    assert ids(answer) == [2, 5]
    assert answer.filtered["same_artist"] == 4
