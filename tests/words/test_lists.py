"""Playlists and radio by words: only what fits, the best first, under the usual rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys import Library, PlaylistOptions
from recsys.errors import QueryError
from recsys.index.sync import rebuild_index
from recsys.playlists.radio import RadioOptions
from recsys.store import Store
from tests.planted import PlantedLibrary, Sound, at_cosine, make_info, unit

TRACKS = 24
FITTING = 16


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Tracks of falling sadness, in turn of four artists; the first :data:`FITTING` fit."""
    rng = np.random.default_rng(5)
    centre, *around = (unit(rng.standard_normal(16)) for _ in range(TRACKS + 1))
    sounds = [
        Sound(
            *("rock", at_cosine(centre, around[i], 0.8)),
            artist=f"Artist {i % 4}",
            title=f"Song {i}",
            strengths=(2.5 - 2.6 * i / (FITTING - 1) if i < FITTING else -3.0, 0.0),
        )
        for i in range(TRACKS)
    ]
    planted = PlantedLibrary(tmp_path, sounds, make_info(tags=("sad", "happy")))
    rebuild_index(planted.store)
    planted.store.close()
    return Library(tmp_path / "library.db")


def numbers(tracks: object) -> list[int]:
    return [int(track.title.removeprefix("Song ")) for track in tracks]  # type: ignore[attr-defined]


def test_a_playlist_has_the_best_first_and_ends_where_nothing_fits(library: Library) -> None:
    playlist = library.playlist(words="sad", options=PlaylistOptions(length=20))
    assert numbers(playlist.tracks) == list(range(len(playlist.tracks)))
    scores = {row.track.id: row.score for row in library.similar(words="sad", k=TRACKS).results}
    assert all(scores[track.id] >= -0.5 for track in playlist.tracks)
    count = sum(score >= -0.5 for score in scores.values())
    assert len(playlist.tracks) == count < 20
    assert playlist.note == (
        f"read as: sad; {count} of 20 tracks: no further track in the library that fits 'sad'"
    )
    assert playlist.name == "sad"


def test_seeds_open_the_list_and_the_artist_gap_holds(library: Library) -> None:
    options = PlaylistOptions(length=8, artist_gap=3)
    playlist = library.playlist("Song 20", options, words="sad")
    found = numbers(playlist.tracks)
    assert (len(found), found[0], len(set(found))) == (8, 20, 8)
    assert max(found[1:]) < FITTING
    for start in range(5):  # four artists in turn: any four tracks in a row are by all of them
        assert len({number % 4 for number in found[start : start + 4]}) == 4


def test_words_exclude_a_cycle_and_a_way(library: Library) -> None:
    for arguments in ({"cycle": "auto"}, {"to": "Song 3"}):
        with pytest.raises(QueryError, match="cannot be combined"):
            library.playlist("Song 1", words="sad", **arguments)  # type: ignore[arg-type]


def test_a_radio_session_keeps_its_words(library: Library) -> None:
    first = library.radio(words="sad", options=RadioOptions(length=4))
    assert numbers(row.track for row in first.results) == [0, 1, 2, 3]
    assert (first.words, first.seeds, first.notes[0]) == ("sad", (), "read as: sad")
    later = library.radio(options=RadioOptions(length=3))
    assert (later.session, later.words) == (first.session, "sad")
    assert [row.position for row in later.results] == [5, 6, 7]
    again = library.radio(words="sad", options=RadioOptions(length=1))
    assert (again.session, again.results[0].position) == (first.session, 8)
    other = library.radio(words="not happy", options=RadioOptions(length=1))
    assert other.session != first.session
    assert library.radio(words="sad", new=True).session > other.session
    with pytest.raises(QueryError, match="has its seeds already"):
        library.radio(session=first.session, words="sad")


@pytest.mark.parametrize("words", ["zither", "happy"])
def test_words_without_an_answer_start_no_session(library: Library, words: str) -> None:
    first = library.radio(words="sad", options=RadioOptions(length=1))
    with pytest.raises(QueryError):
        library.radio(words=words)
    assert library.radio(options=RadioOptions(length=1)).session == first.session


def test_a_radio_session_of_a_track_and_words(library: Library) -> None:
    alone = library.radio("Song 3", RadioOptions(length=1))
    both = library.radio("Song 3", RadioOptions(length=2), words="sad")
    assert alone.session != both.session
    assert 3 not in numbers(row.track for row in both.results)
    assert library.radio("Song 3", RadioOptions(length=1)).session == alone.session


def test_new_tags_of_a_file_count_at_once(library: Library, tmp_path: Path) -> None:
    words = "sad, from 1984"
    assert library.similar(words=words, k=1).results[0].track.title == "Song 0"
    with Store.open(tmp_path / "library.db") as store:
        store._db.execute("UPDATE tracks SET year = 1984 WHERE title = 'Song 2'")
    assert library.similar(words=words, k=1).results[0].track.title == "Song 2"


def test_what_is_banned_comes_nowhere(library: Library) -> None:
    library.ban("Song 0")
    similar = library.similar(words="sad", k=TRACKS)
    lists = (
        [row.track for row in similar.results],
        library.playlist(words="sad", options=PlaylistOptions(length=5)).tracks,
        [row.track for row in library.radio(words="sad", options=RadioOptions(length=5)).results],
    )
    for tracks in lists:
        assert numbers(tracks)[:2] == [1, 2]
        assert 0 not in numbers(tracks)
    assert similar.filtered == {"banned": 1}
