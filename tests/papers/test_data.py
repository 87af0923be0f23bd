"""The music of a recipe: decoded, told about, and songs of several genres set apart."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from recsys.classifier.training.datasets import LabelledFile
from recsys.errors import MissingExtraError, ModelError
from recsys.mel import Features
from recsys.papers.data import find_music, genres_of, load_music, load_table, mix_clips
from recsys.papers.features import COLUMNS, Summary
from recsys.papers.protocols import check_protocol
from tests.papers.small_recipes import IMAGES, classical, recipe
from tests.sounds import write

RATE = 22_050
SHORT = {"kind": "summary", "parts": ["zcr", "rms"], "window_s": 0.5, "max_windows": 2}


def sound(hz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Low blues and high rock, three tracks each, songs of both, and what is neither."""
    root = tmp_path_factory.mktemp("mixed")
    for number in range(3):
        write(root / "blues" / f"b{number}.wav", sound(200 + number))
        write(root / "rock" / f"r{number}.wav", sound(3000 + number))
    write(root / "blues+rock" / "m0.wav", sound(1000))
    write(root / "blues+polka" / "p0.wav", sound(1000))
    (root / "rock+blues").mkdir()
    (root / "rock+blues" / "broken.wav").write_bytes(b"no sound")
    (root / "empty").mkdir()
    return root


def test_a_recipe_of_one_genre_a_track_passes_over_mixed_songs(music: Path) -> None:
    files = find_music([music])
    own = classical(features=SHORT)
    assert genres_of(own, files) == ("blues", "rock")
    data = load_music(own, files, workers=1)
    assert data.mixed == ()
    assert data.skipped == ()
    assert data.segments.labels == ("blues", "rock")
    assert data.segments.inputs.shape == (12, 2)
    # A tone crosses zero twice in a period; frames at the edges hold silence too.
    expected = np.repeat([200, 201, 202, 3000, 3001, 3002], 2) * 2 / RATE
    np.testing.assert_allclose(data.segments.inputs[:, 0], expected, rtol=0.08)
    text = " ".join(data.notes)
    assert "2 genres, 3 tracks each" in text
    assert "not among the genres of this recipe: blues+polka (1), blues+rock (1)" in text
    assert "6 of 6 tracks have no known artist" in text


def test_mixed_songs_are_set_apart_for_a_recipe_that_can_use_them(music: Path) -> None:
    own = recipe(features=SHORT, training={"epochs": 1, "loss": "sigmoid"})
    data = load_music(own, find_music([music]), workers=1)
    (song,) = data.mixed
    assert (song.name, song.genres) == ("blues+rock/m0", frozenset({"blues", "rock"}))
    np.testing.assert_allclose(song.inputs[:, 0], 2000 / RATE, rtol=0.08)
    ((path, reason),) = data.skipped
    assert path.name == "broken.wav"
    assert reason


def test_clips_of_two_genres_are_mixed_where_no_song_has_two(tmp_path: Path, music: Path) -> None:
    for genre in ("blues", "rock"):
        (tmp_path / genre).symlink_to(music / genre)
    own = recipe(features=SHORT, training={"epochs": 1, "loss": "sigmoid"})
    data = load_music(own, find_music([tmp_path]), workers=1)
    assert data.mixed == ()
    songs = mix_clips(data.clips, data.segments.tracks, own.features, seed=0, count=4)
    assert len(songs) == 4
    assert all(song.genres == frozenset({"blues", "rock"}) for song in songs)
    used = Counter(key for song in songs for key in song.name.split(" + "))
    assert set(used.values()) <= {1, 2}  # in turn: four of each genre, from three
    # Two tones of one level: as many crossings as lie between those of each.
    for song in songs:
        assert song.inputs.shape == (2, 2)
        assert (song.inputs[:, 0] > 2 * 210 / RATE).all()
        assert (song.inputs[:, 0] < 2 * 3002 / RATE).all()
    one = [track for track in data.segments.tracks if track.genre == "rock"]
    assert mix_clips(data.clips, one, own.features, seed=0) == ()


def test_the_genres_of_the_recipe_are_used_and_missing_ones_reported(music: Path) -> None:
    own = classical(features=SHORT, genres=["blues", "jazz", "rock"])
    data = load_music(own, find_music([music]), workers=1)
    assert data.segments.labels == ("blues", "rock")
    assert "none of jazz" in data.notes[0]


def test_one_genre_is_too_few_and_known_before_decoding(tmp_path: Path) -> None:
    files = [LabelledFile(tmp_path / f"{n}.wav", "jazz", f"jazz/{n}") for n in range(5)]
    with pytest.raises(ModelError, match="at least two genres are needed, found: jazz"):
        load_music(classical(features=SHORT), files, workers=1)


def test_a_table_is_of_no_use_to_a_recipe_that_looks_at_something_else(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the recipe small does not use the columns"):
        load_table(classical(), tmp_path / "none.csv")


def test_features_of_a_recipe_are_those_of_the_toml() -> None:
    features: Features = classical(features=SHORT).features
    assert features == Summary(parts=("zcr", "rms"), window_s=0.5, max_windows=2)


def test_artists_of_gtzan_are_known_where_neither_table_nor_tags_name_them(tmp_path: Path) -> None:
    tracks = [f"{genre}.{n:05d}" for genre in ("blues", "rock") for n in range(3)]
    rows = [f"{name}.wav,{name[:-6]},{','.join('1' * len(COLUMNS))}\n" for name in tracks]
    path = tmp_path / "table.csv"
    path.write_text(f"filename,label,{','.join(COLUMNS)}\n{''.join(rows)}")
    own = classical(features={"kind": "public-table"})
    known = load_table(own, path)
    assert known.segments.tracks[0].artist == "John Lee Hooker"
    assert "the artists of 6 tracks are from the index of GTZAN that" in " ".join(known.notes)
    listed = tmp_path / "artists.csv"
    listed.write_text("track,artist\nblues.00000,Ann\n")
    mixed = load_table(own, path, listed).segments.tracks
    assert [track.artist for track in mixed[:2]] == ["Ann", "John Lee Hooker"]


def test_too_few_artists_are_seen_before_anything_is_decoded(tmp_path: Path) -> None:
    files = []
    for genre in ("blues", "rock"):
        for number in range(3):
            path = tmp_path / genre / f"{genre[0]}{number}.wav"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"no sound")
            files.append(LabelledFile(path, genre, path.stem))
    own = classical(features=SHORT)
    listed = tmp_path / "artists.csv"
    listed.write_text("track,artist\nb0,Ann\nb1,Ann\nb2,Ann\n")
    check_protocol(own, files, "by-artist")
    check_protocol(own, files, "random", artists=listed)
    with pytest.raises(ModelError, match=r"too few artists .*: blues \(1\)"):
        check_protocol(own, files, "by-artist", artists=listed)


def test_a_missing_library_is_no_fault_of_the_music(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    files = [LabelledFile(tmp_path / f"{n}.wav", "jazz", f"{n}") for n in range(5)]
    with pytest.raises(MissingExtraError, match="this needs PIL") as raised:
        load_music(classical(features=IMAGES), files, workers=1)
    assert "[papers]" in raised.value.hint
