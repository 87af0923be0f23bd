"""Labelled music: files, lists, artists, archives, and splits by artist."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.classifier.log_mel import MEL
from recsys.classifier.training.datasets import (
    LabelledFile,
    artist_of,
    find_tracks,
    hold_out_groups,
    load_for_two,
    load_windows,
    read_artists,
    read_mel_archive,
    read_split,
    track_groups,
)
from recsys.errors import AudioError, ModelError, RecsysError
from recsys.mel import CompressedMel
from tests.classifier.planted_genres import LABELS, spectrogram, synthesise
from tests.classifier.training.genre_files import as_int8


def test_tracks_are_found_by_genre(music: Path) -> None:
    files = find_tracks(music)
    assert len(files) == 12
    assert {file.genre for file in files} == set(LABELS)
    assert files[0].key == "clicks/clicks.00"


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        find_tracks(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="is a file"):
        find_tracks(tmp_path / "file")
    with pytest.raises(ModelError, match="no genre folders"):
        find_tracks(tmp_path)
    (tmp_path / "blues").mkdir()
    (tmp_path / "blues" / "notes.txt").touch()
    with pytest.raises(ModelError, match="holds no audio"):
        find_tracks(tmp_path)


def test_empty_genres_may_be_passed_over(music: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "tone").symlink_to(music / "tone")
    assert {file.genre for file in find_tracks(tmp_path, allow_empty=True)} == {"tone"}


def test_lists_ignore_extensions_comments_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# mine\nblues/blues.00012.wav\n\nrock/a song.mp3\nx/y/jazz/No. 5\n")
    assert read_split(path) == {"blues/blues.00012", "rock/a song", "jazz/No. 5"}


@pytest.mark.parametrize(
    ("text", "message"), [("", "names no track"), ("song.wav\n", "has no genre")]
)
def test_lists_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        read_split(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_split(tmp_path / "nowhere.txt")


def test_artists_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "artists.csv"
    path.write_text("track,artist,title\na,Ann,One\nb,,Two\n")
    assert read_artists(path) == {"a": "Ann"}
    path.write_text("name\na\n")
    with pytest.raises(ModelError, match="artists"):
        read_artists(path)


def test_artists_from_tags(tmp_path: Path) -> None:
    import mutagen

    path = tmp_path / "song.flac"
    soundfile.write(path, synthesise("tone", 1), MEL.sample_rate)
    file = LabelledFile(path, "tone", "song")
    assert artist_of(file) is None
    tags = mutagen.File(path, easy=True)
    tags["artist"] = "Ann"
    tags.save()
    assert artist_of(file) == "Ann"
    path.write_bytes(b"no music")
    assert artist_of(file) is None


def test_windows_come_in_order_and_errors_in_their_place(music: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no music")
    paths = [file.path for file in find_tracks(music)][:4]
    paths.insert(2, bad)
    alone = list(load_windows(paths, workers=1))
    shared = list(load_windows(paths, workers=2))
    assert [path for path, _ in alone] == [path for path, _ in shared] == paths
    assert isinstance(alone[2][1], AudioError)
    assert isinstance(shared[2][1], AudioError)
    for (_, one), (_, other) in zip(alone, shared, strict=True):
        if isinstance(one, np.ndarray):
            assert one.shape == (1, 128, 130)
            np.testing.assert_array_equal(one, other)


def test_files_are_decoded_once_for_two_networks(music: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no music")
    paths = [tmp_path / "bad.wav", next(iter(find_tracks(music))).path]
    kinds = CompressedMel(max_windows=2), CompressedMel(max_windows=2, n_mels=40)
    error, both = load_for_two(paths, 1, *kinds)
    assert isinstance(error, AudioError)
    assert not isinstance(both, RecsysError)
    for found, kind in zip(both, kinds, strict=True):
        ((_, alone),) = load_windows(paths[1:], 1, kind)
        assert not isinstance(alone, RecsysError)
        np.testing.assert_array_equal(found, alone)


def save_archive(path: Path, spectrograms: np.ndarray) -> None:
    n = len(spectrograms)
    np.savez(path, X=spectrograms, genre=["tone"] * n, track=[f"t{i}" for i in range(n)])


def test_archives(tmp_path: Path) -> None:
    """Of int8 in steps of 1/24, or of floats."""
    path = tmp_path / "mel.npz"
    spectrograms = np.concatenate([spectrogram("tone", seed) for seed in (1, 2)])
    save_archive(path, spectrograms)
    archive = read_mel_archive(path)
    assert list(archive) == ["tone/t0", "tone/t1"]
    np.testing.assert_array_equal(archive["tone/t1"], spectrograms[1])
    save_archive(path, as_int8(spectrograms))
    wanted = np.clip(spectrograms[1], -127 / 24, 127 / 24)
    assert np.abs(read_mel_archive(path)["tone/t1"] - wanted).max() <= 0.5 / 24 + 1e-6


def test_archives_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "mel.npz"
    save_archive(path, np.zeros((2, 64, 130), dtype=np.int8))
    with pytest.raises(ModelError, match="expected"):
        read_mel_archive(path)
    np.savez(path, nothing=np.zeros(3))
    with pytest.raises(ModelError, match="cannot be read"):
        read_mel_archive(path)
    path.write_bytes(b"no archive")
    with pytest.raises(ModelError, match="cannot be read"):
        read_mel_archive(path)


def test_windows_that_need_no_librosa_are_loaded_where_there_is_none(
    music: Path, tmp_path: Path
) -> None:
    missing = "raise ModuleNotFoundError('not installed', name='librosa')"
    (tmp_path / "librosa.py").write_text(missing)
    script = """
import sys
from pathlib import Path
from recsys.classifier.training.datasets import load_windows
from recsys.mel import CompressedMel
((_, windows),) = load_windows([Path(sys.argv[1])], 1, CompressedMel())
print(windows.shape[1:])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, sorted(music.rglob("*.wav"))[0]],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(CompressedMel().shape), done.stderr


# No artist is on both sides of a split.


ARTISTS = st.sampled_from([None, "", "Ann", "ann ", "Bob", "Cy", "Di", "Eve", "Flo"])
LIBRARY = st.lists(st.tuples(st.sampled_from(["blues", "jazz", "rock"]), ARTISTS), min_size=6)


@settings(max_examples=60, deadline=None)
@given(LIBRARY, st.integers(0, 9))
def test_no_artist_leaks(library: list[tuple[str, str | None]], seed: int) -> None:
    keys = [f"{genre}/{number}" for number, (genre, _) in enumerate(library)]
    artists = [artist for _, artist in library]
    targets = np.unique([genre for genre, _ in library], return_inverse=True)[1]
    valid = hold_out_groups(targets, track_groups(keys, artists), 0.2, seed)
    train = np.setdiff1d(np.arange(len(keys)), valid)
    sides = [
        {name.strip().casefold() for row in side if (name := artists[row])} - {""}
        for side in (train, valid)
    ]
    assert sides[0] & sides[1] == set()
    assert set(targets[train]) == set(targets)


def test_artists_credited_together_are_one_group() -> None:
    artists = ["A & B", "b", "C feat. A", "D", None, "Various Artists", "various artists"]
    groups = track_groups([f"jazz/{n}" for n in range(7)], artists).tolist()
    assert groups[:3] == [groups[0]] * 3
    assert len(set(groups)) == 5


def test_about_a_fifth_of_every_genre_is_set_aside() -> None:
    targets = np.repeat([0, 1], 50)
    valid = hold_out_groups(targets, np.arange(100) // 2, 0.2, 0)
    assert np.bincount(targets[valid]).tolist() == [10, 10]


def test_a_seed_decides_the_split() -> None:
    targets = np.repeat([0, 1], 20)
    splits = [hold_out_groups(targets, np.arange(40), 0.2, seed).tolist() for seed in (1, 1, 2)]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]


def test_the_names_of_the_groups_do_not_matter() -> None:
    targets, groups = np.repeat([0, 1], 20), np.arange(40) // 2
    renamed = np.random.default_rng(0).permutation(20)[groups]
    found = hold_out_groups(targets, groups, 0.2, 3)
    assert hold_out_groups(targets, renamed, 0.2, 3).tolist() == found.tolist()


def test_one_artist_alone_cannot_be_divided() -> None:
    assert len(hold_out_groups(np.asarray([0, 0, 1, 1]), np.zeros(4, np.int64), 0.2, 0)) == 0


def test_a_small_genre_does_not_make_the_held_out_part_larger() -> None:
    targets = np.asarray([0] * 50 + [1] + [2] * 2)
    valid = hold_out_groups(targets, np.arange(53), 0.2, 0)
    assert 9 <= len(valid) <= 11
    assert 50 not in valid


def test_genres_of_one_track_each_cannot_be_divided() -> None:
    assert len(hold_out_groups(np.arange(3), np.arange(3), 0.2, 0)) == 0
