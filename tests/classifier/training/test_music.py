"""Labelled music: found, decoded, split by lists, its faults reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.audio import decode
from recsys.classifier.log_mel import from_log_mel
from recsys.classifier.training.datasets import (
    DataSources,
    LabelledMusic,
    load_music,
)
from recsys.errors import ModelError
from recsys.mel import CompressedMel
from tests.classifier.planted_genres import spectrogram
from tests.classifier.training.genre_files import as_int8, write_archive, write_list, write_track

FEATURES = CompressedMel()
GENRES = ("noise", "tone")
EIGHT = [(genre, number) for genre in GENRES for number in range(4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tracks of each of two genres, by two artists, and a file that is no sound."""
    root = tmp_path_factory.mktemp("music")
    for genre in GENRES:
        for number in range(3):
            write_track(root, genre, number, artist=f"{genre} artist {number // 2}")
    (root / "noise" / "broken.flac").write_bytes(b"no sound")
    return root


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All eight tracks as spectrograms."""
    return write_archive(tmp_path_factory.mktemp("mel") / "mel.npz", EIGHT)


@pytest.fixture(scope="module")
def both(folder: Path, archive: Path) -> LabelledMusic:
    return load_music(DataSources((folder,), archive), FEATURES, workers=1)


def keys(music: LabelledMusic) -> list[str]:
    return [track.key for track in music.tracks]


def test_sound_and_spectrogram_of_a_track_come_together(both: LabelledMusic) -> None:
    assert keys(both) == [f"{genre}/{genre}.{number:02d}" for genre, number in EIGHT]
    assert [track.audio is not None for track in both.tracks] == [True] * 3 + [False] + [
        True
    ] * 3 + [False]
    assert all(track.spectrogram is not None for track in both.tracks)
    assert both.labels == GENRES
    assert both.targets.tolist() == [0] * 4 + [1] * 4


def test_the_windows_are_those_of_the_features(both: LabelledMusic, folder: Path) -> None:
    track = both.tracks[4]
    assert track.audio is not None
    assert track.spectrogram is not None
    expected = FEATURES.compute(decode(folder / "tone" / "tone.00.flac", FEATURES).windows)
    assert track.audio.dtype == track.spectrogram.dtype == np.float16
    np.testing.assert_allclose(track.audio, expected, atol=2e-3)
    converted = from_log_mel(as_int8(spectrogram("tone", 100)).astype(np.float32) / 24)
    np.testing.assert_allclose(track.spectrogram, converted, atol=2e-3)


def test_without_lists_all_is_learned_from(both: LabelledMusic) -> None:
    assert both.train.tolist() == list(range(8))
    assert (len(both.valid), both.missing) == (0, 0)


def test_unreadable_files_are_reported(both: LabelledMusic, folder: Path) -> None:
    ((path, reason),) = both.failed
    assert path == folder / "noise" / "broken.flac"
    assert reason


def test_artists_come_from_the_tags_and_make_groups(both: LabelledMusic) -> None:
    assert [track.artist for track in both.tracks[:4]] == [
        *("noise artist 0", "noise artist 0", "noise artist 1"),
        None,
    ]
    groups = both.groups
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 6


def test_a_table_of_artists_goes_before_the_tags(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "artists.csv"
    table.write_text("track,artist\nnoise.00,Someone\ntone.02,someone \n")
    music = load_music(DataSources((folder,), artists=table), FEATURES, workers=1)
    assert [track.artist for track in music.tracks][1] is None
    assert music.groups[0] == music.groups[5]
    assert len(set(music.groups.tolist())) == 5


def test_an_archive_alone_will_do(archive: Path) -> None:
    music = load_music(DataSources((), archive), FEATURES)
    assert all(track.audio is None for track in music.tracks)
    assert len(music.tracks) == 8


def test_lists_divide_the_tracks_and_leave_out_the_others(folder: Path, tmp_path: Path) -> None:
    train = [("noise", 0), ("noise", 1), ("tone", 0), ("tone", 9)]
    valid = [("tone", 1)]
    sources = DataSources(
        (folder,),
        train_split=write_list(tmp_path / "train.txt", train),
        valid_split=write_list(tmp_path / "valid.txt", valid),
    )
    totals: list[int] = []
    music = load_music(sources, FEATURES, workers=1, on_file=totals.append)
    assert keys(music) == ["noise/noise.00", "noise/noise.01", "tone/tone.00", "tone/tone.01"]
    assert (music.train.tolist(), music.valid.tolist()) == ([0, 1, 2], [3])
    assert music.missing == 1
    assert music.failed == ()
    assert totals == [4] * 4


def listed(
    folder: Path, tmp_path: Path, train: list[tuple[str, int]], valid: list[tuple[str, int]]
) -> ModelError:
    sources = DataSources(
        (folder,),
        train_split=write_list(tmp_path / "train.txt", train) if train else None,
        valid_split=write_list(tmp_path / "valid.txt", valid) if valid else None,
    )
    with pytest.raises(ModelError) as caught:
        load_music(sources, FEATURES, workers=1)
    assert caught.value.hint
    return caught.value


def test_one_list_alone_is_not_enough(folder: Path, tmp_path: Path) -> None:
    for train, valid in ((EIGHT, []), ([], EIGHT)):
        assert "one list of tracks alone" in listed(folder, tmp_path, train, valid).message


def test_no_track_may_be_in_both_lists(folder: Path, tmp_path: Path) -> None:
    error = listed(folder, tmp_path, EIGHT[:6], EIGHT[4:])
    assert error.message == "2 tracks are in both lists, tone/tone.00 among them"


def test_there_must_be_something_to_learn_from(folder: Path, tmp_path: Path) -> None:
    lost = [("noise", 50), ("tone", 50)]
    assert "found: none" in listed(folder, tmp_path, lost, EIGHT).message
    one_genre = EIGHT[:2]
    assert "found: noise" in listed(folder, tmp_path, one_genre, EIGHT[2:]).message


def test_too_few_tracks_of_a_genre(folder: Path, tmp_path: Path) -> None:
    write_track(tmp_path, "clicks", 0)
    with pytest.raises(ModelError, match=r"clicks \(1\)"):
        load_music(DataSources((folder, tmp_path)), FEATURES, workers=1)


def test_files_that_fail_do_not_count_as_tracks(tmp_path: Path) -> None:
    for genre in GENRES:
        write_track(tmp_path, genre, 0)
        write_track(tmp_path, genre, 1)
    (tmp_path / "tone" / "tone.01.flac").write_bytes(b"no sound")
    with pytest.raises(ModelError, match=r"tone \(1\)"):
        load_music(DataSources((tmp_path,)), FEATURES, workers=1)


def test_of_several_files_of_a_track_the_longest_is_used(tmp_path: Path) -> None:
    for place, seconds in (("a", 3.1), ("b", 9.1), ("c", 6.1)):
        write_track(tmp_path / place, "tone", 0, seconds)
    for number in range(2):
        write_track(tmp_path / "a", "noise", number)
    write_track(tmp_path / "a", "tone", 1)
    folders = tuple(tmp_path / place for place in "abc")
    music = load_music(DataSources(folders), FEATURES, workers=1)
    (track,) = (track for track in music.tracks if track.key == "tone/tone.00")
    assert track.audio is not None
    assert len(track.audio) == 3
