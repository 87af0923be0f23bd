from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.classifier.training.datasets import find_tracks
from recsys.errors import ModelError
from recsys.papers.feature_table import HEADER, WINDOW, as_csv, compute_table, read_table
from recsys.papers.features import COLUMNS
from tests.papers.tables import planted, write_planted
from tests.sounds import staircase, write


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = planted({"a": 3, "b": 2})
    found = read_table(write_planted(tmp_path / "planted.csv", {"a": 3, "b": 2}))
    pd.testing.assert_frame_equal(found.frame, table.frame, check_exact=True, check_dtype=False)
    assert found.counts == {"a": 3, "b": 2}
    assert (found.source, found.notes) == ("planted.csv", ())


def test_rows_that_are_not_whole_are_left_out_and_noted(tmp_path: Path) -> None:
    path = write_planted(tmp_path / "table.csv", {"a": 3, "b": 2})
    lines = path.read_text().splitlines()
    broken = lines[2].split(",")
    broken[2] = "loud"
    lines[2] = ",".join(broken)
    lines[5] = lines[5].removesuffix("b")
    path.write_text("\n".join(lines), encoding="utf-8")
    found = read_table(path)
    assert found.counts == {"a": 2, "b": 1}
    assert list(found.frame["filename"]) == ["0.wav", "2.wav", "3.wav"]
    assert found.notes == ("2 of 5 rows of table.csv are not whole",)


def test_genres_and_names_may_look_like_numbers(tmp_path: Path) -> None:
    path = write_planted(tmp_path / "table.csv", {"1980": 2, "1990": 2})
    assert read_table(path).counts == {"1980": 2, "1990": 2}


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


def test_tracks_are_analysed(tmp_path: Path) -> None:
    """A tone of 440 Hz has its centroid there and crosses zero 880 times a second."""
    t = np.arange(31 * 22_050) / 22_050
    write(tmp_path / "tone" / "long.wav", (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32))
    write(tmp_path / "stairs" / "short.wav", staircase(4.0))
    (tmp_path / "stairs" / "bad.wav").write_text("no music")
    outcomes: list[bool] = []
    files = find_tracks(tmp_path)
    found = compute_table(files, "here", workers=1, on_file=outcomes.append)
    assert found.counts == {"stairs": 1, "tone": 1}
    assert list(found.frame["filename"]) == ["short.wav", "long.wav"]
    assert found.frame["spectral_centroid_mean"][1] == pytest.approx(440, rel=0.05)
    crossings = found.frame["zero_crossing_rate_mean"][1]
    assert crossings == pytest.approx(880 / 22_050, rel=0.02)
    assert [(path.name, "not an audio file" in why) for path, why in found.failed] == [
        ("bad.wav", True)
    ]
    assert found.notes == ("1 files are shorter than 30 s and were repeated to fill them",)
    assert outcomes == [True, False, False]
    rows = list(csv.reader(as_csv(found.frame).splitlines()))
    assert rows[0] == list(HEADER) == ["filename", "length", *COLUMNS, "label"]
    assert rows[1][1] == str(WINDOW.window_length) == "661500"


def test_nothing_that_can_be_analysed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "bad.wav").write_text("no music")
    with pytest.raises(ModelError, match="not one of 1 files could be analysed: not an audio file"):
        compute_table(find_tracks(tmp_path), "here", workers=1)
