"""Finding, reading and dividing labelled music."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recsys.classifier.log_mel import MEL
from recsys.classifier.training.datasets import (
    LabelledFile,
    artist_of,
    find_tracks,
    load_pieces,
    load_windows,
    merge_views,
    quantise,
    read_artists,
    read_mel_archive,
    read_split,
    restore,
)
from recsys.classifier.training.outliers import KINDS, make_outliers
from recsys.classifier.training.prepare import DataSources, prepare
from recsys.errors import AudioError, ModelError
from tests.classifier.planted_genres import LABELS, picture, synthesise


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


@given(arrays(np.float32, (1, 4, 5), elements=st.floats(-5, 5, width=32)))
def test_rounding_loses_half_a_step_at_most(pictures: np.ndarray) -> None:
    assert np.abs(restore(quantise(pictures)) - pictures).max() <= 0.5 / 24 + 1e-6


def test_views_of_a_track_are_gathered() -> None:
    one, two, three = (np.full((1, 2, 2), n, dtype=np.int8) for n in range(3))
    merged = merge_views([("b/1", "b", one), ("a/1", "a", two), ("b/1", "b", three)])
    assert [(example.key, len(example.views)) for example in merged] == [("a/1", 1), ("b/1", 2)]


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


def test_pieces_are_long_windows(music: Path) -> None:
    files = find_tracks(music)[:1]
    ((_, pieces),) = load_pieces(files, workers=1)
    assert isinstance(pieces, np.ndarray)
    assert pieces.dtype == np.int8
    assert pieces.shape == (1, 128, 431)


def save_archive(path: Path, pictures: np.ndarray) -> None:
    n = len(pictures)
    np.savez(path, X=pictures, genre=["tone"] * n, track=[f"t{i}" for i in range(n)])


def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "mel.npz"
    pictures = np.concatenate([picture("tone", seed) for seed in (1, 2)])
    save_archive(path, quantise(pictures))
    first, second = read_mel_archive(path)
    assert first[:2] == ("tone/t0", "tone")
    np.testing.assert_array_equal(second[2], quantise(pictures[1:]))
    save_archive(path, pictures)
    np.testing.assert_array_equal(read_mel_archive(path)[1][2], quantise(pictures[1:]))


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


def write_list(path: Path, keys: list[str]) -> Path:
    path.write_text("".join(f"{key}.au\n" for key in keys))
    return path


def test_lists_decide_what_is_learned(music: Path, tmp_path: Path) -> None:
    keys = [file.key for file in find_tracks(music)]
    valid = write_list(tmp_path / "valid.txt", keys[::4])
    train = write_list(tmp_path / "train.txt", [key for key in keys if key not in keys[::4]][:-1])
    data = prepare(DataSources((music,), train_split=train, valid_split=valid), workers=1)
    assert [track.key for track in data.valid] == sorted(keys[::4])
    assert len(data.examples) == 8
    assert data.labels == LABELS
    assert data.missing == 0


def test_tracks_of_lists_that_are_nowhere_are_counted(music: Path, tmp_path: Path) -> None:
    keys = [file.key for file in find_tracks(music)]
    valid = write_list(tmp_path / "valid.txt", [keys[0], "tone/lost"])
    data = prepare(DataSources((music,), valid_split=valid), workers=1)
    assert data.missing == 1
    assert len(data.examples) == 11


def test_lists_that_overlap(music: Path, tmp_path: Path) -> None:
    keys = [file.key for file in find_tracks(music)]
    both = write_list(tmp_path / "both.txt", keys)
    with pytest.raises(ModelError, match="both lists"):
        prepare(DataSources((music,), train_split=both, valid_split=both), workers=1)


def test_archives_are_a_second_source(music: Path, tmp_path: Path) -> None:
    """An archive gives further views of known tracks, and tracks of its own."""
    path = tmp_path / "mel.npz"
    np.savez(
        path,
        X=np.concatenate([quantise(picture("tone", seed)) for seed in (1, 2, 3)]),
        genre=["tone"] * 3,
        track=["tone.00", "extra", "held"],
    )
    valid = write_list(tmp_path / "valid.txt", ["clicks/clicks.00", "tone/held"])
    data = prepare(DataSources((music,), mel=path, valid_split=valid), workers=1)
    views = {example.key: len(example.views) for example in data.examples}
    assert views["tone/tone.00"] == 2
    assert views["tone/extra"] == 1
    assert {track.key for track in data.valid} == {"clicks/clicks.00", "tone/held"}
    assert data.valid_from_audio == {"clicks/clicks.00"}


def test_one_genre_is_not_enough(music: Path, tmp_path: Path) -> None:
    (tmp_path / "tone").symlink_to(music / "tone")
    with pytest.raises(ModelError, match="two genres"):
        prepare(DataSources((tmp_path,)), workers=1)


def test_one_track_is_not_enough(music: Path, tmp_path: Path) -> None:
    (tmp_path / "tone").symlink_to(music / "tone")
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "only.wav").symlink_to(music / "noise" / "noise.00.wav")
    with pytest.raises(ModelError, match="noise"):
        prepare(DataSources((tmp_path,)), workers=1)


def test_outliers_are_varied_seeded_and_audible() -> None:
    pictures = make_outliers(2 * len(KINDS), seed=4)
    assert pictures.shape == (2 * len(KINDS), 128, 431)
    assert np.array_equal(pictures, make_outliers(2 * len(KINDS), seed=4))
    flat = pictures.reshape(len(pictures), -1)
    assert bool((flat.std(axis=1) > 5).all())
    likeness = np.corrcoef(flat) - 2 * np.eye(len(flat))
    assert likeness.max() < 0.99
