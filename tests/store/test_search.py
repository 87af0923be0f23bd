"""Words find tracks by artist, title, album and genre tag, whatever their case and accents."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.store import store as store_module
from recsys.store.search import normalise, rank_matches, search_terms, search_texts
from recsys.types import Tags
from tests.stored import analysed, new_library, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recsys.store import Store

SONGS = {
    "/1": Tags(artist="Miles Davis", title="So What"),
    "/2": Tags(artist="Miles Davis", title="Blue in Green"),
    "/3": Tags(artist="Bill Evans", title="Blue in Green"),
    "/4": Tags(artist="Tribute Band", title="Miles Davis"),
    "/5": Tags(album_artist="Björk", album="Début", title="Jóga", genre_tag="Trip-Hop"),
    "/6": Tags(artist="Straße & Co", title="100% _Pure_"),
    "/7/Unnamed Song.mp3": Tags(),
    "/8": Tags(artist="中島みゆき", title="糸"),
    "/9": Tags(artist="Miles Davis Quintet", title="It Never Entered My Mind"),
    "/10": Tags(artist="Beyoncé", title="Halo", genre_tag="Rock", track_number=1),
    "/11": Tags(artist="!!!", title='AC/DC "AND" NOT (Rock)'),
    "/12": Tags(artist="나의방탄소년단", title="ฉันรักเธอ", album="मेरी हिन्दी"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("search")
    with new_library(folder) as opened:
        opened.write([record(path, analysed(), tags=tags) for path, tags in SONGS.items()])
        yield opened


@pytest.mark.parametrize(
    ("words", "found"),
    [
        # Exact artist or title first, in the order of artists, then titles.
        ("miles davis", ["/2", "/1", "/4", "/9"]),
        ("DAVIS   Miles", ["/2", "/1", "/9", "/4"]),
        ("blue in green", ["/3", "/2"]),
        ("davis green", ["/2"]),
        ("bjork joga", ["/5"]),
        ("BJÖRK", ["/5"]),
        ("debut", ["/5"]),
        ("joga debut trip", ["/5"]),
        ("trip-hop", ["/5"]),
        ("strasse", ["/6"]),
        ("STRASSE", ["/6"]),
        ("100%", ["/6"]),
        ("%", ["/6"]),
        ("_", ["/6"]),
        ("unnamed", ["/7/Unnamed Song.mp3"]),
        ("中島", ["/8"]),
        ("みゆき", ["/8"]),
        ("島中", []),
        ("소년단", ["/12"]),
        ("รัก", ["/12"]),
        ("हिन्दी", ["/12"]),
        ("mil", ["/2", "/1", "/9", "/4"]),
        ("avis", []),
        ("beyonce", ["/10"]),
        ("beyon HAL", ["/10"]),
        # In artist or title before genre tag, whatever the names.
        ("rock", ["/11", "/10"]),
        # Nothing is syntax of full-text search.
        ("!!!", ["/11"]),
        ("!", ["/11"]),
        ("ac/dc", ["/11"]),
        ("ac-dc and", ["/11"]),
        ("dc ac", ["/11"]),
        ("dc/ac", []),
        ('"AND"', ["/11"]),
        ("NOT rock", ["/11"]),
        ("NEAR(so, what)", []),
        ("title:halo", []),
        ("ha*", ["/10"]),
        ("^halo", ["/10"]),
        ("halo\0", ["/10"]),
        ("{halo}", ["/10"]),
        ("davis so evans", []),
        ("", []),
        ("   ", []),
        ("\u0301", []),
    ],
)
def test_words_find_tracks(store: Store, words: str, found: list[str]) -> None:
    assert [str(track.path) for track in store.find_tracks(words)] == found


def test_at_most_so_many_are_found_the_best_ones(store: Store) -> None:
    assert [str(track.path) for track in store.find_tracks("miles davis", limit=2)] == ["/2", "/1"]


def test_of_very_many_matches_exact_names_are_among_the_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_MATCHES", 1)
    assert [str(track.path) for track in store.find_tracks("halo", limit=1)] == ["/10"]
    assert [str(track.path) for track in store.find_tracks("bill evans", limit=1)] == ["/3"]


def test_a_word_behind_a_symbol_newer_than_the_tokenizer_is_found(tmp_path: Path) -> None:
    titles = {"/1": "🖤Song", "/2": "Song🖤", "/3": "🖤So What", "/4": "🔥Song"}
    with new_library(tmp_path) as opened:
        opened.write([record(path, analysed(), tags=Tags(title=t)) for path, t in titles.items()])
        found = [
            {str(track.path) for track in opened.find_tracks(words)}
            for words in ("song", "so-what", "🖤", "🖤song")
        ]
    assert found == [{"/1", "/2", "/4"}, {"/3"}, {"/1", "/2", "/3"}, {"/1", "/2", "/4"}]


def test_of_very_many_matches_names_come_before_genres_and_none_lacks_a_symbol(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_MATCHES", 1)
    # Of "rock", the first match in the library has it in its genre tag alone.
    assert [str(track.path) for track in store.find_tracks("rock", limit=1)] == ["/11"]
    assert [str(track.path) for track in store.find_tracks("rock !", limit=1)] == ["/11"]


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.write([record("/a.mp3", audio_hash="h")]),
        lambda store: store.write([record("/moved.mp3", audio_hash="h", track_id=1)]),
        lambda store: store.write([], removed=[1]),
    ],
)
def test_what_is_searched_follows_the_tracks(tmp_path: Path, change: Callable[..., None]) -> None:
    with new_library(tmp_path) as store:
        store.write([record("/a.mp3", analysed(), audio_hash="h", tags=Tags(artist="Nina Simone"))])
        assert len(store.find_tracks("simone")) == 1
        change(store)
        assert store.find_tracks("simone") == []
        store._db.execute("INSERT INTO tracks_fts (tracks_fts, rank) VALUES ('integrity-check', 1)")


def test_another_model_leaves_the_words_alone(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        store.write([record("/a.mp3", analysed(), tags=Tags(artist="Nina Simone"))])
        before = store._db.total_changes
        store.set_genre_source("own")
        store.set_genre_source("gtzan")
        # Each writes one row per track and one of the library, none of the words.
        assert store._db.total_changes - before < 10
        assert len(store.find_tracks("simone")) == 1


NAMES = st.lists(
    st.sampled_from(
        [
            "so",
            "what",
            "sole",
            "so-what",
            "ÄÖ",
            "ß",
            "中島",
            "中",
            "!",
            "a.b",
            "1959",
            "==",
            "?" * 9,
            "་་",
            "🖤so",
            "🥁🖤",
        ]
    ),
    max_size=4,
).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.builds(Tags, NAMES, NAMES, NAMES, NAMES), min_size=1, max_size=5), NAMES)
def test_the_store_ranks_as_the_oracle_in_python_does(tags: list[Tags], words: str) -> None:
    with tempfile.TemporaryDirectory() as folder, new_library(Path(folder)) as store:
        store.write([record(f"/{i}.mp3", analysed(), tags=each) for i, each in enumerate(tags)])
        terms = search_terms(words)
        tracks = [(track.id, search_texts(track.tags, track.path)) for track in store.all_tracks()]
        ranked = rank_matches(terms, tracks) if terms else []
        assert [track.id for track in store.find_tracks(words)] == ranked


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_searched(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder, new_library(Path(folder)) as store:
        store.write([record("/a.mp3", analysed(), tags=Tags(title=text))])
        store.find_tracks(text)


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text())
def test_space_around_words_makes_no_difference(text: str) -> None:
    assert normalise(f"  {text}\t") == normalise(text)
