"""Radio: endless, without repetitions, with rules that are relaxed in a stated order."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import QueryError
from recsys.playlists.radio import NO_SPACING, SPACINGS, Radio, RadioAnswer, RadioOptions
from recsys.recommender.duplicates import NearDuplicates, artist_key
from recsys.types import Blend
from tests.planted import PlantedLibrary, Sound, at_cosine, scattered


def following(
    library: PlantedLibrary, seed: int, played: list[int], **options: object
) -> RadioAnswer:
    radio = Radio(library.store, library.index, library.info)
    hashes = [library.track(i).audio_hash for i in played]
    return radio.following(1, library.query(seed), hashes, RadioOptions(**options))


def ids(answer: RadioAnswer) -> list[int]:
    return [row.track.id for row in answer.results]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    rng = np.random.default_rng(21)
    sounds = scattered(300, rng, artists=30)
    sounds = [
        replace(each, album=f"Album {i % 3} of {each.artist}") for i, each in enumerate(sounds)
    ]
    for sound in sounds[:20]:  # copies under other names
        near = at_cosine(sound.embedding, rng.standard_normal(16).astype(np.float32), 0.998)
        sounds.append(Sound(sound.genre, near, duration_s=sound.duration_s + 1))
    return PlantedLibrary(tmp_path_factory.mktemp("library"), sounds)


def test_without_names_it_is_the_ranking_by_similarity(tmp_path: Path) -> None:
    sounds = scattered(40, np.random.default_rng(4))
    library = PlantedLibrary(tmp_path, [replace(sound, sure=0.3) for sound in sounds])
    expected = [i for i in library.nearest_ids(None, library.sounds[1].embedding) if i != 1]
    answer = following(library, 1, [], length=10)
    assert ids(answer) == expected[:10]
    assert ids(following(library, 1, expected[:10], length=10)) == expected[10:20]
    assert [row.position for row in answer.results] == list(range(1, 11))
    assert answer.notes == ()


def test_it_goes_on_to_the_end_of_the_library_and_never_repeats(library: PlantedLibrary) -> None:
    played: list[int] = []
    while True:
        answer = following(library, 5, played, length=70)
        played += ids(answer)
        if len(answer.results) < 70:
            break
    assert answer.notes[-1].endswith(
        "of 70 tracks: no further track in the library; the session gave 280 before:"
        " start another with --new"
    )
    assert len(played) == len(set(played))
    assert 5 not in played
    # Every track is there but the seed, and one of each pair of copies.
    assert len(played) == 319 - 20
    for one, other in combinations([5, *played], 2):
        known = NearDuplicates()
        known.add(library.track(one), library.sounds[one].embedding)
        assert not known.match(library.track(other), library.sounds[other].embedding)


def test_the_spacing_that_is_stated_holds(library: PlantedLibrary) -> None:
    answer = following(library, 5, [], length=200)
    line = [library.track(5), *(row.track for row in answer.results)]
    for row in answer.results:
        for name, least in ((artist_key, row.spacing.artist), (album, row.spacing.album)):
            recent = [name(track) for track in line[max(0, row.position - least) : row.position]]
            assert name(row.track) is None or name(row.track) not in recent
    assert sum(row.spacing == SPACINGS[0] for row in answer.results) > 100


def album(track: object) -> str | None:
    return track.tags.album  # type: ignore[attr-defined]


def test_rules_are_relaxed_in_their_order(tmp_path: Path) -> None:
    names = ["A", "B", "C", *"AAABBB"]
    sounds = [
        Sound("rock", sound.embedding, artist=name)
        for sound, name in zip(scattered(9, np.random.default_rng(1)), names, strict=True)
    ]
    answer = following(PlantedLibrary(tmp_path, sounds), 3, [], length=8)
    spacings = [row.spacing for row in answer.results]
    # Two artists are left: the first of each keeps every rule, then one other track is between.
    assert spacings[:2] == [SPACINGS[0]] * 2
    assert set(spacings[2:]) == {SPACINGS[-1]}
    artists = [row.track.artist for row in answer.results]
    assert all(one != other for one, other in pairwise(artists))
    assert answer.notes == (
        "spacing relaxed from artist 8, album 24 to artist 1, album 1 for 6 tracks, first at"
        " position 3: no near candidate kept more",
    )


def test_one_artist_is_no_reason_to_stop(tmp_path: Path) -> None:
    sounds = [replace(s, artist="A") for s in scattered(6, np.random.default_rng(1))]
    answer = following(PlantedLibrary(tmp_path, sounds), 1, [], length=10)
    assert sorted(ids(answer)) == [2, 3, 4, 5, 6]
    assert {row.spacing for row in answer.results} == {NO_SPACING}
    assert answer.notes[-1] == "5 of 10 tracks: no further track in the library"


def test_a_track_that_has_left_the_library_does_not_come_back_as_a_copy(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, scattered(6, np.random.default_rng(1)))
    radio = Radio(library.store, library.index, library.info)
    played = ["gone", library.track(2).audio_hash]
    answer = radio.following(1, library.query(1), played, RadioOptions(length=9))
    assert sorted(ids(answer)) == [3, 4, 5, 6]
    assert answer.results[0].position == 3


def test_a_genre_that_runs_out_is_followed_by_the_nearest_tracks_of_all(tmp_path: Path) -> None:
    sounds = scattered(60, np.random.default_rng(6))
    sounds = [s for s in sounds if s.genre != "blues"] + [s for s in sounds if s.genre == "blues"][
        :4
    ]
    library = PlantedLibrary(tmp_path, sounds)
    seed = library.ids("blues")[0]
    expected = library.nearest_ids(None, library.sounds[seed].embedding)
    own = [i for i in expected if i != seed and library.sounds[i].genre == "blues"]
    others = [i for i in expected if library.sounds[i].genre != "blues"]
    assert ids(following(library, seed, [], length=30)) == [*own, *others[:27]]


def test_a_genre_filters(library: PlantedLibrary) -> None:
    answer = following(library, 5, [], length=12, genre="Jazz")
    assert {row.track.genre_group for row in answer.results} == {"jazz"}


def test_a_length_below_one_is_refused() -> None:
    with pytest.raises(QueryError, match="length must be at least 1, got 0"):
        RadioOptions(length=0)


def test_sessions_are_stored(tmp_path: Path) -> None:
    store = PlantedLibrary(tmp_path, scattered(3, np.random.default_rng(1))).store
    assert store.latest_radio() is None
    first, second = store.start_radio(Blend(("a",))), store.start_radio(Blend(("b", "c")))
    assert (store.latest_radio(), store.latest_radio(Blend(("a",)))) == (second, first)
    assert store.latest_radio(Blend(("b",))) is None
    assert store.latest_radio(Blend(("a",), not_like=("b",))) is None
    assert store.extend_radio(first, 0, ["x", "y"])
    assert store.extend_radio(first, 2, ["z"])
    # Another process was faster.
    assert not store.extend_radio(first, 2, ["w"])
    assert store.radio(first) == (Blend(("a",)), ["x", "y", "z"], None)
    by_words = store.start_radio(Blend(), "sad")
    assert store.latest_radio(Blend(), "sad") == by_words
    assert store.latest_radio(Blend(("a",)), "sad") is None
    assert store.radio(by_words) == (Blend(), [], "sad")
    assert store.radio(99) is None
