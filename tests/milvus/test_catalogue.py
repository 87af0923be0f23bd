"""A copy on Milvus answers every question as the library does that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recsys.api import Library
from recsys.errors import AmbiguousQueryError, ModelError, QueryError, SharedLibraryError
from recsys.index.base import unit_from_half
from recsys.index.sync import rebuild_index
from recsys.playlists import PlaylistOptions
from recsys.recommender import Filters, SimilarOptions
from tests.index.oracle import ExactIndex
from tests.milvus.shared_libraries import answers, make_library, open_at, push_to
from tests.sounds import staircase, write
from tests.stored import unit_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.milvus.catalogue import MilvusCatalogue
    from tests.planted import PlantedLibrary


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    made = make_library(tmp_path_factory.mktemp("library"))
    made.store.add_root(Path("/music"))
    made.store.add_root(Path("/music \udcff"))
    made.store.set_preferences(Filters(exclude=(Path("/music \udcff"), "skit")).asked())
    rebuild_index(made.store)
    return made


@pytest.fixture(scope="module")
def place(library: PlantedLibrary) -> Path:
    place = library.store.path.with_name("shared.db")
    push_to(library.store, place)
    return place


@pytest.fixture(scope="module")
def shared(place: Path) -> Iterator[MilvusCatalogue]:
    catalogue = open_at(place)
    yield catalogue
    catalogue.close()


def test_the_model_is_the_same(library: PlantedLibrary, shared: MilvusCatalogue) -> None:
    for name in ("name", "fingerprint", "labels", "thresholds", "dimension", "tags"):
        assert getattr(shared.model(), name) == getattr(library.info, name)
    assert shared.model().tag_means == library.info.tag_means
    assert shared.model().tag_deviations == library.info.tag_deviations
    np.testing.assert_array_equal(shared.model().confusion, library.info.confusion)


def test_the_defaults_of_lists_are_the_same(
    library: PlantedLibrary, shared: MilvusCatalogue
) -> None:
    assert shared.preferences() == library.store.preferences() != {}


def test_what_is_known_of_the_library_is_the_same(
    library: PlantedLibrary, shared: MilvusCatalogue
) -> None:
    store = library.store
    assert shared.roots() == store.roots()
    assert shared.genre_source() == store.genre_source()
    assert list(shared.genre_counts().items()) == list(store.genre_counts().items())


def test_every_track_is_the_same(library: PlantedLibrary, shared: MilvusCatalogue) -> None:
    ids = [*library.ids(), 0, 10**9]
    assert shared.tracks(ids) == library.store.tracks(ids)
    assert shared.track(10**9) is None
    for track in library.store.all_tracks():
        assert shared.track_by_path(track.path) == track
        assert shared.tracks_with_hash(track.audio_hash) == [track]
    assert shared.track_by_path(Path("/music/nothing.flac")) is None
    assert shared.tracks_with_hash('"') == []


def test_every_analysis_is_the_same(library: PlantedLibrary, shared: MilvusCatalogue) -> None:
    for track_id in library.ids():
        ours, theirs = library.store.analysis(track_id), shared.analysis(track_id)
        assert ours is not None
        assert theirs is not None
        assert ours.fingerprint == theirs.fingerprint
        for name in ("probabilities", "embedding", "tags"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
            assert getattr(theirs, name).dtype == np.float32
    assert shared.analysis(10**9) is None
    for ours, theirs in zip(library.store.all_tag_scores(), shared.all_tag_scores(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(library.store.all_labels(), shared.all_labels(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (kind.tag_scores([3, 1, 10**9]) for kind in (library.store, shared))
    assert ours.keys() == theirs.keys()


@pytest.mark.parametrize(
    "words",
    [
        *("", "artist 3", "song", "song 11", "song 1 artist", "sigur agaetis", "ÁGÆTIS BYRJUN"),
        *("%", "_", "100%", "_under_", "\\", '"', "'hello'", 'ac"dc', "say again", "日本", "曲"),
        *(
            "artist3",
            "Artist 3 - Song 3",
            "sayagain",
            "agætis-byrjun",
            "00003.flac",
            "00003",
            "acdc",
        ),
        *("hello - again", "! - ?", "-"),
        *("{id}", "[1]", "\x1a", "nothing at all", "not utf-8", "a b c d e f g", "hello' again"),
    ],
)
def test_words_find_the_same_tracks(
    words: str, library: PlantedLibrary, shared: MilvusCatalogue
) -> None:
    for limit in (1, 21, 500):
        assert shared.find_tracks(words, limit) == library.store.find_tracks(words, limit)


def test_misspelt_words_are_corrected_alike(
    library: PlantedLibrary, shared: MilvusCatalogue
) -> None:
    for words in (["agetis", "song"], ["artst"], ["qqqq"], []):
        ours, theirs = (kind.like_words(words) for kind in (library.store, shared))
        assert [known[:1] for known in theirs] == [known[:1] for known in ours]


def test_all_answers_are_the_same(library: PlantedLibrary, shared: MilvusCatalogue) -> None:
    seeds = library.ids()[::25]
    ours = list(answers(library.store, library.index, seeds))
    assert list(answers(shared, shared.index, seeds)) == ours
    assert len(ours) == len(seeds) * (12 + 6 + 1)


def test_more_tracks_than_milvus_finds_at_once_are_found(
    library: PlantedLibrary, shared: MilvusCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.milvus.milvus_index.MAX_ROWS", 50)
    oracle = ExactIndex(16)
    for track_id, sound in library.sounds.items():
        embedding = unit_from_half(sound.embedding[np.newaxis].astype(np.float16))
        oracle.add(sound.genre, np.array([track_id]), embedding)
    for query in unit_rows(5, 16):
        for genre, k in ((None, 20), (None, 60), ("jazz", 30), (None, 1000)):
            assert shared.index.search(genre, query, k) == oracle.search(genre, query, k)


# As a listener has it


def test_the_verbs_answer_the_same(library: PlantedLibrary, place: Path) -> None:
    with Library(library.store.path) as ours, Library(index=place) as theirs:
        for seed in ("song 99", "sigur byrjun", "/music/0/00003.flac"):
            mine, yours = (one.similar(seed, explain=True, k=12) for one in (ours, theirs))
            assert mine.results == yours.results
            assert mine.genre_scores == yours.genre_scores
            options = PlaylistOptions(length=9)
            assert ours.playlist(seed, options) == theirs.playlist(seed, options)
        drawn = (one.playlist(options=PlaylistOptions(seed=4)) for one in (ours, theirs))
        assert next(drawn) == next(drawn)
        with pytest.raises(AmbiguousQueryError) as caught:
            theirs.similar("song")
        assert caught.value.matches


def test_a_copy_is_not_changed(place: Path, tmp_path: Path) -> None:
    with Library(index=place) as library:
        for change in (
            lambda: library.index(tmp_path),
            lambda: library.push(tmp_path / "other.db"),
            lambda: library.forget(tmp_path),
            library.status,
            library.doctor,
        ):
            with pytest.raises(QueryError, match="a read-only copy") as caught:
                change()
            assert "recsys milvus push" in caught.value.hint
    with pytest.raises(QueryError, match="not both"):
        Library(tmp_path / "library.db", index=place)


def test_a_new_file_needs_the_model_of_the_library(place: Path, tmp_path: Path) -> None:
    write(tmp_path / "new.wav", staircase(12))
    with Library(index=place) as library, pytest.raises(ModelError, match="planted-1") as caught:
        library.similar(tmp_path / "new.wav")
    assert "track of the library" in caught.value.hint


def test_a_place_where_nothing_lies_is_reported(tmp_path: Path) -> None:
    with Library(index=tmp_path / "none.db") as library:
        with pytest.raises(SharedLibraryError, match="no library yet") as caught:
            library.similar("anything", SimilarOptions())
        assert f"recsys milvus push {tmp_path / 'none.db'}" in caught.value.hint
    assert not (tmp_path / "none.db").exists()
