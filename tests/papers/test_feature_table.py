from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from recsys.classifier.training.datasets import find_tracks
from recsys.errors import ModelError
from recsys.papers.feature_table import WINDOW, hear_features, read_table
from recsys.papers.features import COLUMNS
from tests.papers.tables import planted
from tests.sounds import staircase, write


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = planted({"a": 3, "b": 2})
    path = tmp_path / "planted.csv"
    path.write_text(table.to_csv(), encoding="utf-8")
    found = read_table(path)
    assert np.array_equal(found.table.values, table.values)
    assert (found.table.genres, found.table.names) == (table.genres, table.names)
    assert found.table.counts == {"a": 3, "b": 2}
    assert found.notes == ()


def test_rows_that_are_not_whole_are_left_out_and_noted(tmp_path: Path) -> None:
    lines = planted({"a": 3, "b": 2}).to_csv().splitlines()
    broken = lines[2].split(",")
    broken[2] = "loud"
    lines[2] = ",".join(broken)
    lines[5] = lines[5].removesuffix("b")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = read_table(path)
    assert found.table.counts == {"a": 2, "b": 1}
    assert found.notes == ("2 of 5 rows of table.csv are not whole",)


def test_genres_and_names_may_look_like_numbers(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(planted({"1980": 2, "1990": 2}).to_csv(), encoding="utf-8")
    assert read_table(path).table.counts == {"1980": 2, "1990": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be read"),
        ("filename,label\nx.wav,a\n", "lacks the columns chroma_stft_mean, .* and 54 more"),
        (",".join((*COLUMNS, "label")) + "\n", "not one of the 0 rows"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ModelError, match=reason) as caught:
        read_table(path)
    assert caught.value.hint


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_table(tmp_path / "none.csv")


def test_hearing_tracks(tmp_path: Path) -> None:
    """A tone of 440 Hz has its centroid there and crosses zero 880 times a second."""
    t = np.arange(31 * 22_050) / 22_050
    write(tmp_path / "tone" / "long.wav", (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32))
    write(tmp_path / "stairs" / "short.wav", staircase(4.0))
    (tmp_path / "stairs" / "bad.wav").write_text("no music")
    outcomes: list[bool] = []
    files = find_tracks(tmp_path)
    found = hear_features(files, "here", workers=1, on_file=outcomes.append)
    assert found.table.counts == {"stairs": 1, "tone": 1}
    assert found.table.names == ("short.wav", "long.wav")
    assert found.table.column("spectral_centroid_mean")[1] == pytest.approx(440, rel=0.05)
    crossings = found.table.column("zero_crossing_rate_mean")[1]
    assert crossings == pytest.approx(880 / 22_050, rel=0.02)
    assert [(path.name, "not an audio file" in why) for path, why in found.failed] == [
        ("bad.wav", True)
    ]
    assert found.notes == ("1 files are shorter than 30 s and were repeated to fill them",)
    assert outcomes == [True, False, False]
    rows = list(csv.reader(found.table.to_csv().splitlines()))
    assert rows[0] == ["filename", "length", *COLUMNS, "label"]
    assert rows[1][1] == str(WINDOW.window_length) == "661500"


def test_nothing_that_can_be_heard(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "bad.wav").write_text("no music")
    with pytest.raises(ModelError, match="not one of 1 files could be heard: not an audio file"):
        hear_features(find_tracks(tmp_path), "here", workers=1)
