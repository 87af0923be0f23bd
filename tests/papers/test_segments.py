"""Labelled segments from files and from tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import mutagen
import numpy as np
import pytest

from recsys.classifier.training.datasets import LabelledFile, find_tracks
from recsys.errors import ModelError
from recsys.mel import Features
from recsys.papers.data import (
    LabelledTrack,
    SegmentSet,
    check_genres,
    describe_balance,
    load_segments,
    read_public_table,
)
from recsys.types import FloatArray
from tests.sounds import BASE_HZ, staircase, write

RATE = 8000


@dataclass(frozen=True, kw_only=True)
class Pitch(Features):
    """The mean frequency of a segment, from its zero crossings: two values that are the same."""

    kind = "pitch-for-tests"
    half_precision = False

    sample_rate: int = RATE
    window_s: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def compute(self, samples: FloatArray) -> FloatArray:
        crossings = np.sum(np.diff(np.signbit(samples), axis=1) != 0, axis=1) / 2
        return np.repeat(crossings[:, np.newaxis], 2, axis=1).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class NoNumbers(Pitch):
    """What goes wrong in a feature."""

    def compute(self, samples: FloatArray) -> FloatArray:
        return np.full((len(samples), 2), np.nan, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Coarse(Pitch):
    """The same in half precision."""

    half_precision = True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two genres of three tracks, 2 to 4 s long, in several rates."""
    for genre in ("low", "mid"):
        for number in range(3):
            rate = (RATE, 22_050, 11_025)[number]
            path = tmp_path / genre / f"{genre}.{number}.wav"
            write(path, staircase(2.0 + number, rate), rate)
    return tmp_path


def test_segments_know_their_tracks(folder: Path) -> None:
    decoded: list[int] = []
    segments, skipped = load_segments(find_tracks(folder), Pitch(), on_file=decoded.append)
    assert skipped == ()
    assert decoded == [6] * 6
    assert segments.labels == ("low", "mid")
    keys = [f"{genre}/{genre}.{number}" for genre in ("low", "mid") for number in range(3)]
    assert [track.key for track in segments.tracks] == keys
    assert segments.n_segments == 18
    np.testing.assert_array_equal(np.bincount(segments.track_of), [2, 3, 4, 2, 3, 4])
    np.testing.assert_array_equal(segments.targets, [0] * 9 + [1] * 9)
    assert segments.inputs.dtype == np.float32
    seconds = [second for length in (2, 3, 4) for second in range(length)] * 2
    expected = BASE_HZ + 20.0 * np.asarray(seconds)
    np.testing.assert_allclose(segments.inputs[:, 0], expected, atol=2)


def test_half_precision_where_the_features_allow_it(folder: Path) -> None:
    segments = load_segments(find_tracks(folder), Coarse())[0]
    assert segments.inputs.dtype == np.float16


def test_selections_keep_segments_with_their_tracks(folder: Path) -> None:
    segments = load_segments(find_tracks(folder), Pitch())[0]
    chosen = segments.select(np.asarray([10, 0, 1]))
    assert [track.key for track in chosen.tracks] == ["low/low.0", "mid/mid.0"]
    np.testing.assert_array_equal(chosen.track_of, [1, 0, 0])
    np.testing.assert_array_equal(chosen.inputs, segments.inputs[[10, 0, 1]])
    np.testing.assert_array_equal(chosen.targets, [1, 0, 0])
    only = segments.select(np.flatnonzero(segments.track_of == 5))
    assert only.n_segments == 4
    assert only.labels == ("low", "mid")
    np.testing.assert_array_equal(only.targets, [1] * 4)


def test_what_cannot_be_used_is_left_out_and_reported(folder: Path) -> None:
    (folder / "low" / "words.wav").write_text("no music")
    write(folder / "mid" / "short.wav", staircase(0.8, RATE), RATE)
    write(folder / "mid" / "nearly.wav", staircase(0.95, RATE), RATE)
    segments, skipped = load_segments(find_tracks(folder), Pitch())
    reasons = {path.name: reason for path, reason in skipped}
    assert reasons.keys() == {"words.wav", "short.wav"}
    assert reasons["short.wav"] == "only 0.8 s long, shorter than a segment of 1 s"
    keys = [track.key for track in segments.tracks]
    assert "mid/nearly" in keys
    assert segments.n_segments == 19


@pytest.mark.parametrize("longer_first", [True, False])
def test_of_two_files_of_one_track_the_longer_counts(folder: Path, longer_first: bool) -> None:
    other = write(folder / "low" / "again" / "low.1.wav", staircase(5.0, RATE), RATE)
    files = sorted(find_tracks(folder), key=lambda file: (file.path == other) != longer_first)
    segments, skipped = load_segments(files, Pitch())
    ((path, reason),) = skipped
    assert path == folder / "low" / "low.1.wav"
    assert str(other) in reason
    assert len(segments.tracks) == 6
    assert segments.n_segments == 20
    (number,) = [n for n, track in enumerate(segments.tracks) if track.key == "low/low.1"]
    rows = segments.inputs[segments.track_of == number]
    np.testing.assert_allclose(rows[:, 0], BASE_HZ + 20.0 * np.arange(5), atol=2)


def test_artists_come_from_a_mapping_or_from_the_tags(folder: Path) -> None:
    path = write(folder / "low" / "low.0.flac", staircase(6.0, RATE), RATE)
    tags = mutagen.File(path, easy=True)
    tags["artist"] = "Ann"
    tags.save()
    files = find_tracks(folder)
    tagged = load_segments(files, Pitch())[0]
    assert {track.key: track.artist for track in tagged.tracks}["low/low.0"] == "Ann"
    named = load_segments(files, Pitch(), artists={"low.0": "Bob", "mid/mid.1": "Cy"})[0]
    artists = {track.key: track.artist for track in named.tracks}
    assert artists["low/low.0"] == "Bob"
    assert artists["mid/mid.1"] == "Cy"
    assert artists["mid/mid.2"] is None


def test_too_little_is_reported_before_anything_is_decoded(folder: Path) -> None:
    never: list[int] = []
    files = find_tracks(folder)
    with pytest.raises(ModelError, match="at least two genres are needed, found: mid"):
        load_segments(files, Pitch(), genres=("mid",), on_file=never.append)
    (folder / "low" / "low.2.wav").unlink()
    with pytest.raises(ModelError, match=r"too few tracks of low \(2\): at least 3"):
        load_segments(find_tracks(folder), Pitch(), on_file=never.append)
    assert never == []


def test_too_little_that_is_left_is_reported_with_the_reason(folder: Path) -> None:
    files = find_tracks(folder)
    with pytest.raises(ModelError, match=r"no track of low, mid.*features are not all numbers"):
        load_segments(files, NoNumbers())
    (folder / "low" / "low.1.wav").write_text("no music")
    with pytest.raises(ModelError, match=r"too few tracks of low \(2\).*left out: 1 files.*low\.1"):
        load_segments(files, Pitch())
    for path in (folder / "low").iterdir():
        path.write_text("no music")
    with pytest.raises(ModelError, match="no track of low could be used; left out: 3 files"):
        load_segments(files, Pitch())


def test_files_of_one_track_count_once() -> None:
    files = [LabelledFile(Path(f"a/{n}/x.wav"), "a", "x") for n in range(3)]
    with pytest.raises(ModelError, match=r"too few tracks of a \(1\), b \(1\)"):
        load_segments([*files, LabelledFile(Path("b/y.wav"), "b", "y")], Pitch())
    check_genres({"a/1": "a", "b/1": "b"}, min_tracks=1)


def test_balance_is_described() -> None:
    tracks = [
        LabelledTrack(f"{g}/{n}", g) for g, count in (("a", 2), ("b", 4)) for n in range(count)
    ]
    assert describe_balance(tracks) == "2 genres, 2 (a) to 4 (b) tracks"
    assert describe_balance(tracks[:2]) == "1 genre, 2 tracks each"
    assert describe_balance(tracks, ["a", "c"]) == "2 genres, 2 (a) to 4 (b) tracks; none of c"
    assert describe_balance([]) == "no tracks"


def table(path: Path, rows: list[list[object]], names: str = "filename,x,y,label") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names.split(","), *rows])
    return path


def test_a_table_of_tracks(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        [f"{genre}.{n:05d}.wav", n, 0.5 * n, genre] for genre in ("pop", "jazz") for n in range(3)
    ]
    artists = {"pop.00001": "Ann"}
    segments = read_public_table(table(tmp_path / "t.csv", rows), ["y", "x"], artists=artists)
    assert segments.labels == ("jazz", "pop")
    assert segments.tracks[1] == LabelledTrack("pop/pop.00001", "pop", "Ann")
    assert segments.inputs.dtype == np.float32
    np.testing.assert_array_equal(segments.inputs[2], [1.0, 2.0])
    np.testing.assert_array_equal(segments.track_of, range(6))
    np.testing.assert_array_equal(segments.targets, [1, 1, 1, 0, 0, 0])


def test_a_table_of_segments(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        [f"{genre}.{n:05d}.{k}.wav", n, k, genre]
        for genre in ("jazz", "pop")
        for n in range(3)
        for k in range(11)
    ]
    segments = read_public_table(table(tmp_path / "t.csv", rows), ["x", "y"])
    assert segments.n_segments == 66
    assert [track.key for track in segments.tracks][:2] == ["jazz/jazz.00000", "jazz/jazz.00001"]
    np.testing.assert_array_equal(segments.track_of, np.repeat(np.arange(6), 11))
    with pytest.raises(ModelError, match="found: pop"):
        read_public_table(tmp_path / "t.csv", ["x"], genres=("pop",))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["a.wav", 1, 2, "pop"], ["b.wav", "loud", 2, "pop"]], "row 3: x is 'loud', not a number"),
        ([["a.wav", "nan", 2, "pop"]], "row 2: x is 'nan'"),
        ([["a.wav", 1, 1e39, "pop"]], "row 2: y is '1e[+]39'"),
        ([["a.wav", 1]], "row 2: filename 'a.wav' with label ''"),
        ([["", 1, 2, "pop"]], "row 2: filename ''"),
        ([], "has no rows"),
        ([["a.wav", 1, 2, "pop"]], "at least two genres"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, rows: list[list[object]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_public_table(table(tmp_path / "t.csv", rows), ["x", "y"])


def test_tables_that_are_something_else(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", [["a.wav", 1, 2, "pop"]], "filename,x,y,genre")
    with pytest.raises(ModelError, match="lacks 2 columns: label, z"):
        read_public_table(path, ["x", "z"])
    with pytest.raises(ModelError, match="cannot be read"):
        read_public_table(tmp_path / "nowhere.csv", ["x"])
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="cannot be read"):
        read_public_table(path, ["x"])


def test_groups_join_artists_and_repetitions() -> None:
    tracks = (
        LabelledTrack("jazz/jazz.00033", "jazz", "Coleman Hawkins"),
        LabelledTrack("jazz/jazz.00051", "jazz"),
        LabelledTrack("jazz/jazz.00052", "jazz", "coleman hawkins "),
        LabelledTrack("pop/pop.00000", "pop"),
    )
    track_of = np.asarray([0, 1, 1, 2, 3])
    segments = SegmentSet(tracks, np.zeros((5, 1), dtype=np.float32), track_of, ("jazz", "pop"))
    np.testing.assert_array_equal(segments.groups, [0, 0, 0, 0, 1])
