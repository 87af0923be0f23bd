"""Artists and albums, whatever the tags look like."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.api import Library
from recsys.discography import (
    UNKNOWN_ALBUM,
    UNKNOWN_ARTIST,
    VARIOUS,
    Discography,
    artist_id,
    sort_key,
)
from recsys.errors import QueryError
from recsys.playlists.radio import RadioOptions
from tests.planted import PlantedLibrary, scattered

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    tracks = scattered(60, np.random.default_rng(0), artists=8)
    planted = PlantedLibrary(tmp_path_factory.mktemp("planted"), tracks)
    with Library(planted.store.path) as library:
        yield library


def row(path: str, artist: str | None = None, album: str | None = None, **more: Any) -> Any:
    given = {"album_artist": None, "number": None, "year": None, "genre": "rock", **more}
    return (
        *(next(_NUMBERS), f"/m/{path}", artist, given["album_artist"], album, given["number"]),
        *(given["year"], given["genre"], "music", 60.0, 1.0),
    )


def albums(*rows: Any) -> dict[str, tuple[str, list[str]]]:
    """Return artist and file names by the name of each album."""
    known = Discography(rows)
    names = {each[0]: each[1].rpartition("/")[2] for each in rows}
    return {
        album.name: (album.artist, [names[i] for i in album.tracks])
        for album in known.albums.values()
    }


def test_guests_and_spelling_make_no_album_of_their_own() -> None:
    found = albums(
        row("a/2.mp3", "NAS feat. Lauryn Hill", "It Was Written", number=2),
        row("a/1.mp3", "Nas", "It was  written", number=1),
    )
    assert list(found.values()) == [("NAS", ["1.mp3", "2.mp3"])]


def test_discs_of_a_set_are_one_album_in_their_order() -> None:
    found = albums(
        row("w/CD2/1.mp3", "P", "The Wall [CD 2]", number=1),
        row("w/CD1/2.mp3", "P", "The Wall [CD 1]", number=2),
        row("w/CD1/1.mp3", "P", "The Wall [CD 1]", number=1),
        row("one/1-01.mp3", "P", "Box", number=1),
        row("one/2-01.mp3", "P", "Box", number=1),
        row("one/1-02.mp3", "P", "Box", number=2),
    )
    assert found["The Wall"] == ("P", ["1.mp3", "2.mp3", "1.mp3"])
    assert found["Box"] == ("P", ["1-01.mp3", "1-02.mp3", "2-01.mp3"])


def test_many_artists_in_one_folder_are_a_compilation() -> None:
    found = albums(*(row(f"hits/{name}.mp3", name, "Hits") for name in "ABC"))
    assert found == {"Hits": (VARIOUS, ["A.mp3", "B.mp3", "C.mp3"])}
    said = albums(*(row(f"x/{n}.mp3", n, "Mix", album_artist="DJ") for n in "ABC"))
    assert said["Mix"][0] == "DJ"
    two = Discography(row(f"{name}/1.mp3", name, "Greatest Hits") for name in "AB")
    assert sorted(each.artist for each in two.albums.values()) == ["A", "B"]


def test_tracks_without_tags_are_somewhere() -> None:
    known = Discography([row("x.mp3"), row("y.mp3", "A"), row(os.fsdecode(b"\xff.mp3"), "A")])
    names = sorted((each.artist, each.name, len(each.tracks)) for each in known.albums.values())
    assert names == [("A", UNKNOWN_ALBUM, 2), (UNKNOWN_ARTIST, UNKNOWN_ALBUM, 1)]


def test_ids_outlast_the_library_and_its_order() -> None:
    rows = [row("1.mp3", "Bj\u00f6rk", "Debut"), row("2.mp3", "BJO\u0308RK", "DEBUT")]
    assert {*Discography(rows).albums} == {*Discography(rows[::-1]).albums}
    assert len(Discography(rows).artists) == 1
    assert artist_id("Bj\u00f6rk") in Discography(rows).artists


def test_names_are_found_by_the_beginnings_of_words() -> None:
    known = Discography(
        [row("1.mp3", "The Bj\u00f6rk Trio", "Debut"), row("2.mp3", "Other", "Second")]
    )
    assert [each.name for each in known.find_artists("bjo tri")] == ["The Bj\u00f6rk Trio"]
    assert [each.name for each in known.find_albums("bjork deb")] == ["Debut"]
    assert len(known.find_albums("")) == 2
    assert known.find_artists("ork") == []
    assert sort_key("The Bj\u00f6rk Trio")[0] == "bjork trio"


def test_similar_artists_are_others(library: Library) -> None:
    known = library.discography()
    some = next(iter(known.artists))
    found = library.similar_artists(some, k=5)
    assert some not in {artist.id for artist, _ in found}
    values = [similarity for _, similarity in found]
    assert values == sorted(values, reverse=True)
    with pytest.raises(QueryError, match="no artist"):
        library.similar_artists("ar-none")


def test_an_instant_mix_has_as_many_as_there_are(library: Library) -> None:
    total = library.store.track_count()
    mix = library.instant_mix([1, 2], RadioOptions(length=10_000))
    ids = {track.id for track in mix}
    assert len(ids) == len(mix)
    assert not ids & {1, 2}
    assert len({track.audio_hash for track in mix}) == len(mix)
    assert len(mix) <= total - 2
    assert [track.id for track in library.instant_mix([1, 2], RadioOptions(length=3))] == [
        track.id for track in mix[:3]
    ]
    assert library.radio_sessions() == []


def test_damaged_rows_are_somewhere_too(tmp_path: Path) -> None:
    tracks = scattered(4, np.random.default_rng(0), artists=1)
    planted = PlantedLibrary(tmp_path, tracks)
    with sqlite3.connect(planted.store.path) as database:
        database.execute("UPDATE tracks SET artist = x'ff00', year = 'x', track_number = 1.5")
        database.execute("UPDATE tracks SET path = x'2f6dff2e6d7033' WHERE id = 1")
    database.close()
    with Library(planted.store.path) as library:
        known = library.discography()
    (album,) = known.albums.values()
    assert (album.artist, len(album.tracks), album.year) == (UNKNOWN_ARTIST, 4, None)
