"""``recsys papers features``: the table, the reports, and resuming."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from recsys.papers.feature_table import HEADER
from recsys.papers.features import PublicTable
from recsys.types import FloatArray
from tests.cli.running import call
from tests.sounds import staircase, write

RATE = 22_050


def noisy(duration_s: float, seed: int = 0, rate: int = RATE) -> FloatArray:
    sound = staircase(duration_s, rate)
    noise = 0.05 * np.random.default_rng(seed).standard_normal(len(sound))
    return (sound + noise).astype(np.float32)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    write(folder / "blues" / "blues.00000.wav", noisy(4.0), subtype="FLOAT")
    write(folder / "blues" / "blues.00001.wav", noisy(2.5, 1))
    write(folder / "rock" / "rock, loud.flac", noisy(3.0, 2, 44_100), 44_100)
    return folder


def extract(music: Path, out: Path, *options: str) -> Result:
    return call("papers", "features", "--data", music, "--out", out, "--workers", 1, *options)


def rows_of(out: Path) -> list[dict[str, str]]:
    with out.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames or ()) == HEADER
    return rows


def test_whole_tracks_and_then_segments(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "whole.csv"
    result = extract(music, out)
    assert result.exit_code == 0, result.output
    assert "3 rows of 3 files" in result.stdout
    rows = rows_of(out)
    assert [row["filename"] for row in rows] == [
        *("blues.00000.wav", "blues.00001.wav", "rock, loud.flac")
    ]
    assert [row["label"] for row in rows] == ["blues", "blues", "rock"]
    assert [int(row["length"]) for row in rows] == [88_200, 55_125, 66_150]
    (expected,) = PublicTable(window_s=4.0).compute(noisy(4.0)[np.newaxis])
    values = [float(rows[0][name]) for name in HEADER[2:-1]]
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-6)

    out = tmp_path / "segments.csv"
    result = extract(music, out, "--segment", "2")
    assert result.exit_code == 0, result.output
    rows = rows_of(out)
    assert [row["filename"] for row in rows] == [
        "blues.00000.0.wav",
        "blues.00000.1.wav",
        "blues.00001.0.wav",
        "rock, loud.0.flac",
    ]
    assert {row["length"] for row in rows} == {"44100"}
    halves = PublicTable(window_s=2.0).compute(noisy(4.0).reshape(2, -1))
    for row, half in zip(rows, halves, strict=False):
        values = [float(row[name]) for name in HEADER[2:-1]]
        np.testing.assert_allclose(values, half, rtol=1e-4, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("music", "segments.csv", "whole.csv")
    ]


def test_what_cannot_be_used_is_reported_and_skipped(music: Path, tmp_path: Path) -> None:
    (music / "rock" / "broken.mp3").write_bytes(b"no sound")
    result = extract(music, tmp_path / "out.csv", "--segment", "2.6", "--json")
    assert result.exit_code == 3
    *lines, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert last["summary"] | {"out": ""} == {
        **{"files": 4, "rows": 2, "kept": 0, "failed": 2, "out": ""}
    }
    failed = {Path(line["path"]).name: line for line in lines if line["status"] == "failed"}
    assert "not an audio file" in failed["broken.mp3"]["reason"]
    assert "a segment takes 2.6 s" in failed["blues.00001.wav"]["reason"]
    assert len(rows_of(tmp_path / "out.csv")) == 2


def test_no_row_at_all_is_an_error_and_leaves_nothing(music: Path, tmp_path: Path) -> None:
    result = extract(music, tmp_path / "out.csv", "--segment", "60")
    assert result.exit_code == 1
    assert "none of the 3 audio files" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["music"]


@pytest.mark.parametrize(
    ("data", "out", "said"),
    [
        ("nowhere", "out.csv", "does not exist"),
        ("music", "nowhere/out.csv", "nowhere does not exist"),
        ("music/blues", "out.csv", "no genre folders"),
    ],
)
def test_wrong_folders_are_errors_at_once(
    music: Path, tmp_path: Path, data: str, out: str, said: str
) -> None:
    result = extract(tmp_path / data, tmp_path / out)
    assert result.exit_code == 1
    assert said in result.stderr


def partial_of(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def test_a_killed_run_goes_on_where_it_was(music: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    assert extract(music, whole).exit_code == 0
    for number in range(8):
        write(music / "rock" / f"more.{number}.wav", noisy(40.0, number))
    command = [
        sys.executable,
        "-m",
        "recsys",
        "papers",
        "features",
        "--data",
        str(music),
        "--out",
        str(out),
    ]
    # In the background a shell has its children ignore Ctrl-C.
    process = subprocess.Popen(
        [*command, "--workers", "1"],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for_lines(partial_of(out), 3, process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"run the command again to go on" in stderr
    assert not out.exists()
    with partial_of(out).open("a") as file:  # as kill -9 would leave it
        file.write('{"path": "/half')
    result = extract(music, out, "--json")
    assert result.exit_code == 0, result.output
    *lines, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert last["summary"]["kept"] >= 2
    assert sum(line["status"] == "kept" for line in lines) == last["summary"]["kept"]
    assert len(rows_of(out)) == 11
    assert rows_of(out)[:2] == rows_of(whole)[:2]
    assert not partial_of(out).exists()


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None
        time.sleep(0.01)


def test_a_changed_file_is_described_again_and_another_run_is_refused(
    music: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    (music / "rock" / "broken.mp3").write_bytes(b"no sound")
    keep = tmp_path / "kept.partial"

    def stop_before_the_table() -> None:
        """Leave what a run leaves that is stopped just before its end."""
        from recsys.papers import feature_table

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                feature_table, "write_file", lambda *_: (_ for _ in ()).throw(OSError(28, ""))
            )
            assert extract(music, out).exit_code == 1

    stop_before_the_table()
    assert partial_of(out).read_bytes().count(b"\n") == 4
    keep.write_bytes(partial_of(out).read_bytes())
    refused = extract(music, out, "--segment", "2")
    assert refused.exit_code == 1
    assert "another --segment" in refused.stderr
    assert partial_of(out).read_bytes() == keep.read_bytes()
    write(music / "blues" / "blues.00001.wav", noisy(1.0, 5))
    result = extract(music, out, "--json")
    assert result.exit_code == 3
    status = {
        Path(line["path"]).name: line["status"]
        for line in map(json.loads, result.stdout.splitlines())
        if "path" in line
    }
    assert status == {
        "blues.00000.wav": "kept",
        "blues.00001.wav": "extracted",
        "rock, loud.flac": "kept",
        "broken.mp3": "failed",
    }
    assert rows_of(out)[1]["length"] == "22050"
