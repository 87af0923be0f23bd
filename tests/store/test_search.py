"""Words find tracks by artist and title, whatever their case and accents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.store.rows import normalise
from recsys.types import Tags
from tests.stored import heard, new_library, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recsys.store import Store

SONGS = {
    "/1": Tags(artist="Miles Davis", title="So What"),
    "/2": Tags(artist="Miles Davis", title="Blue in Green"),
    "/3": Tags(artist="Bill Evans", title="Blue in Green"),
    "/4": Tags(artist="Tribute Band", title="Miles Davis"),
    "/5": Tags(album_artist="Björk", album="Debut", title="Jóga"),
    "/6": Tags(artist="Straße & Co", title="100% _Pure_"),
    "/7/Unnamed Song.mp3": Tags(),
    "/8": Tags(artist="中島みゆき", title="糸"),
    "/9": Tags(artist="Miles Davis Quintet", title="It Never Entered My Mind"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder: Path = tmp_path_factory.mktemp("search")
    with new_library(folder) as opened:
        opened.write([record(path, heard(), tags=tags) for path, tags in SONGS.items()])
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
        ("debut", []),
        ("strasse", ["/6"]),
        ("STRASSE", ["/6"]),
        ("100%", ["/6"]),
        ("%", ["/6"]),
        ("_", ["/6"]),
        ("unnamed", ["/7/Unnamed Song.mp3"]),
        ("中島", ["/8"]),
        ("mil", ["/2", "/1", "/9", "/4"]),
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


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text())
def test_space_around_words_makes_no_difference(text: str) -> None:
    assert normalise(f"  {text}\t") == normalise(text)
