"""Whose genres a library has: spellings, rules, artists and copies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from recsys.classifier.training.own_genres import (
    LARGEST_ALBUM_FOLDER,
    LabelOrigin,
    LeftOut,
    OwnGenreOptions,
    OwnLabels,
    gather_labels,
)
from recsys.errors import ModelError
from recsys.types import Tags, Track

ROOT = Path("/music")
SMALL = OwnGenreOptions(min_tracks=3, min_artists=2)
FOLDERS = OwnGenreOptions(LabelOrigin.FOLDERS, min_tracks=3, min_artists=2)


def track(
    number: int,
    genre: str | None = None,
    *,
    artist: str | None = None,
    album: str | None = None,
    path: str | None = None,
    sound: str | None = None,
) -> Track:
    return Track(
        id=number,
        path=ROOT / (path or f"{number:04}.flac"),
        tags=Tags(artist=artist, album=album, genre_tag=genre),
        duration_s=100.0,
        audio_hash=sound or f"sound {number}",
        genre="rock",
    )


def tagged(genres: Sequence[str | None], artists: int = 3) -> list[Track]:
    return [track(i, genre, artist=f"Artist {i % artists}") for i, genre in enumerate(genres)]


def gather(tracks: Sequence[Track], rules: OwnGenreOptions = SMALL) -> OwnLabels:
    return gather_labels(tracks, [ROOT], rules)


def genre_of(own: OwnLabels) -> dict[int, str]:
    return {t.id: own.labels[n] for t, n in zip(own.tracks, own.targets.tolist(), strict=True)}


def test_two_hundred_spellings_are_one_genre() -> None:
    words = (("hip", "Hip", "HIP", "hIp"), ("hop", "Hop", "HOP", "hOp"))
    spellings = [
        f"{before}{first}{between}{second}{after}"
        for before, first, between, second, after in product(
            ("", " "), words[0], ("-", "", " ", "_", "  ", " - ", "."), words[1], ("", " Music")
        )
    ]
    assert len(set(spellings)) > 200
    own = gather(tagged([*spellings, "Rock", "Rock", "rock", *["Hip-Hop"] * 9]))
    assert own.labels == ("Hip-Hop", "Rock")
    assert own.merged[0].count == len(spellings) + 9
    assert len(own.merged[0].spellings) > 100
    assert genre_of(own)[0] == "Hip-Hop"
    assert own.merged[1].sentence() == "Rock: 3 tracks from 'Rock' (2), 'rock' (1)"


def test_the_first_of_several_genres_counts() -> None:
    own = gather(tagged(["Rock; Pop", "Rock/Jazz", "Rock", "Jazz, Rock", "Jazz", "Jazz"]))
    assert own.labels == ("Jazz", "Rock")
    assert genre_of(own) == {0: "Rock", 1: "Rock", 2: "Rock", 3: "Jazz", 4: "Jazz", 5: "Jazz"}


def test_the_order_in_which_tracks_were_indexed_does_not_count() -> None:
    tracks = tagged(["Rock", "Jazz"] * 6, artists=5)
    one, other = gather(tracks), gather(tracks[::-1])
    assert one.tracks == other.tracks
    assert one.targets.tolist() == other.targets.tolist()
    assert one.groups.tolist() == other.groups.tolist()


def test_small_genres_are_left_out_and_named() -> None:
    genres = ["Rock"] * 6 + ["Jazz"] * 6 + ["Polka"] * 2 + [None, " ", "; -"]
    tracks = [*tagged(genres), *(track(100 + i, "Solo", artist="One") for i in range(9))]
    own = gather(tracks)
    assert own.labels == ("Jazz", "Rock")
    assert own.left_out == (LeftOut("Solo", 9, 1), LeftOut("Polka", 2, 2))
    assert own.unlabelled == 3
    assert len(own.tracks) == 12


def test_copies_of_a_sound_count_once() -> None:
    tracks = tagged(["Rock"] * 4 + ["Jazz"] * 4)
    copies = [track(50 + i, "Rock", artist="X", sound="sound 0") for i in range(5)]
    own = gather([*tracks, *copies])
    assert (len(own.tracks), own.copies) == (8, 5)


def test_artists_are_one_whatever_their_case() -> None:
    names = ["Björk", "BJÖRK", " björk ", "Other", "other", "Third"]
    tracks = [track(i, "Rock", artist=name) for i, name in enumerate(names)]
    tracks += [track(10 + i, "Jazz", artist=f"J {i}") for i in range(3)]
    own = gather(tracks)
    assert own.groups.tolist() == [0, 0, 0, 1, 1, 2, 3, 4, 5]
    assert own.grouped_by == {"artist": 9}


def test_without_artists_albums_then_folders_then_tracks_stand_alone() -> None:
    tracks = [
        *(track(i, "Rock", album="One", path=f"a/{i}.flac") for i in range(2)),
        *(track(i, "Rock", path=f"b/{i}.flac") for i in range(2, 5)),
        track(5, "Rock", path="c/5.flac"),
        *(track(i, "Jazz", artist=f"J {i}", path=f"d/{i}.flac") for i in range(6, 9)),
    ]
    own = gather(tracks)
    assert own.grouped_by == {"album": 2, "folder": 3, "alone": 1, "artist": 3}
    assert own.groups.tolist() == [0, 0, 1, 1, 1, 2, 3, 4, 5]


def test_a_folder_of_everything_is_no_album() -> None:
    many = LARGEST_ALBUM_FOLDER + 1
    tracks = [track(i, "Rock" if i % 2 else "Jazz", path=f"all/{i}.flac") for i in range(many)]
    assert gather(tracks).grouped_by == {"alone": many}


def test_genre_folders() -> None:
    tracks = [
        track(i, "Wrong", artist=f"A {i}", path=f"{folder}/deep/{i}.flac")
        for i, folder in enumerate(["Hip Hop", "hip-hop", "Hip Hop", "Jazz", "Jazz", "Jazz"])
    ]
    own = gather([*tracks, track(9, path="loose.flac", artist="B")], FOLDERS)
    assert own.labels == ("Hip Hop", "Jazz")
    assert own.unlabelled == 1


def test_folders_whose_names_are_no_text() -> None:
    names = ["Caf\udce9"] * 3 + ["Jazz"] * 3
    tracks = [track(i, artist=f"A {i}", path=f"{name}/{i}.flac") for i, name in enumerate(names)]
    labels = gather(tracks, FOLDERS).labels
    assert labels == ("Caf\\udce9", "Jazz")
    assert all(label.encode() for label in labels)


def test_the_folder_of_a_genre_keeps_nothing_together() -> None:
    tracks = [track(i, path=f"{'Rock' if i < 4 else 'Jazz'}/{i}.flac") for i in range(8)]
    own = gather(tracks, FOLDERS)
    assert own.grouped_by == {"alone": 8}
    assert len(set(own.groups.tolist())) == 8


def test_only_what_lies_in_the_folders_that_were_named() -> None:
    inside = [track(i, g, artist=f"A {i}", path=f"a/{i}.flac") for i, g in enumerate("rrrjjj")]
    outside = [track(9 + i, "p", artist=f"P {i}", path=f"b/{i}.flac") for i in range(5)]
    own = gather_labels([*inside, *outside], [ROOT / "a"], SMALL)
    assert own.labels == ("j", "r")


def test_large_genres_are_drawn_from() -> None:
    tracks = tagged(["Rock"] * 50 + ["Jazz"] * 6, artists=5)
    rules = OwnGenreOptions(min_tracks=3, min_artists=2, most_per_genre=10, seed=4)
    own = gather(tracks, rules)
    assert np.bincount(own.targets).tolist() == [6, 10]
    assert own.drawn == 40
    assert own.merged[0].count == 50
    assert own.tracks == gather(tracks, rules).tracks
    again = gather(tracks, OwnGenreOptions(min_tracks=3, min_artists=2, most_per_genre=10, seed=5))
    assert own.tracks != again.tracks


def test_a_library_without_labels() -> None:
    with pytest.raises(ModelError, match="not one of the library's 4 tracks") as caught:
        gather(tagged([None] * 4))
    assert "--from-folders" in caught.value.hint


@pytest.mark.parametrize("genres", [["Rock"] * 9, ["Rock"] * 9 + ["Jazz"], ["Rock", "Jazz"]])
def test_a_library_of_one_genre(genres: list[str]) -> None:
    with pytest.raises(ModelError, match="can be learned, and two are the least") as caught:
        gather(tagged(genres))
    assert "Rock" in caught.value.message
    assert "3 tracks by 2 artists" in caught.value.hint
