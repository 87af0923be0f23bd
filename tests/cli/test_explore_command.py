"""`recsys explore` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from recsys.cli import explore
from recsys.errors import RecsysError
from tests.papers.tables import write_planted
from tests.sounds import staircase, write

TRACK = {f"track-{name}.png" for name in ("waveform", "chroma", "mfcc", "mel", "centroid")}
PAIRS = {"spectrogram-pairs.png"}
COLLECTION = {
    f"{name}.png" for name in ("correlation", "tempo", "spectral-centroid", "pca", "svm-boundary")
}


def run(*arguments: object) -> Result:
    # A command remembers the names of its help option: they must be those it has in the group.
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(explore.command, words, help_option_names=["-h", "--help"])


def failure(*arguments: object) -> RecsysError:
    result = run(*arguments)
    assert isinstance(result.exception, RecsysError), result.output
    assert result.exception.hint
    return result.exception


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("table") / "planted.csv", {"blues": 6, "rock": 4})


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two genres of two tracks, a file that is no music, and a genre without audio."""
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    for number in range(2):
        noise = (0.1 * rng.standard_normal(3 * 22_050)).astype(np.float32)
        write(folder / "noise" / f"{number}.wav", noise)
        write(folder / "tone" / f"{number}.wav", staircase(3.0 + number))
    (folder / "noise" / "..bad.wav").unlink(missing_ok=True)
    (folder / "noise" / "!bad.wav").write_text("no music")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.slow
def test_a_folder_of_music(music: Path, tmp_path: Path) -> None:
    result = run("--data", music, "--out", tmp_path / "out", "--workers", 1, "--json")
    assert result.exit_code == 3, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert found["genres"] == {"noise": 2, "tone": 2}
    assert {picture["file"] for picture in found["pictures"]} == TRACK | COLLECTION | PAIRS
    assert found["skipped"] == []
    assert [Path(own["path"]).name for own in found["failed"]] == ["!bad.wav"]
    assert "the genre folder 'empty' holds no audio" in found["notes"]
    assert files(tmp_path / "out") == TRACK | COLLECTION | PAIRS | {"index.html", "features.csv"}
    assert "3.0 s of noise/0.wav" in found["pictures"][0]["caption"]
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/png;base64,') == 11
    assert "4 rows of 2 genres" in page
    assert "!bad.wav: not an audio file" in page
    again = run("--table", tmp_path / "out" / "features.csv", "--out", tmp_path / "2", "--json")
    assert json.loads(again.stdout)["genres"] == found["genres"]


def test_a_table_and_a_track(table: Path, music: Path, tmp_path: Path) -> None:
    track = music / "tone" / "1.wav"
    result = run("--table", table, "--track", track, "--out", tmp_path)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "10 plots, 10 rows of 2 genres from planted.csv" in result.stdout
    assert files(tmp_path) == TRACK | COLLECTION | {"index.html"}


def test_a_table_alone_has_no_plots_of_a_track(table: Path, tmp_path: Path) -> None:
    (tmp_path / "track-mel.png").write_bytes(b"of an earlier run")
    result = run("--table", table, "--out", tmp_path)
    assert result.exit_code == 0, (result.output, result.exception)
    assert files(tmp_path) == COLLECTION | {"index.html"}
    assert "no plot track-mel: no track was given" in result.stderr


def test_what_cannot_be_drawn_is_reported(tmp_path: Path) -> None:
    """One genre has no boundary; two tracks have neither correlation nor components."""
    one = write_planted(tmp_path / "one.csv", {"blues": 2})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pca.png").write_bytes(b"of an earlier run")
    result = run("--table", one, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    skipped = {own["picture"]: own["reason"] for own in json.loads(result.stdout)["skipped"]}
    assert "two genres" in skipped["svm-boundary"]
    assert "at least 3 tracks, there are 2" in skipped["correlation"]
    assert "at least 3 tracks" in skipped["pca"]
    assert files(tmp_path / "out") == {"index.html", "tempo.png", "spectral-centroid.png"}
    assert "plot pca: a principal component needs" in (
        (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    )


def test_unequal_genres_are_noted(tmp_path: Path) -> None:
    path = write_planted(tmp_path / "table.csv", {"blues": 9, "rock": 4})
    result = run("--table", path, "--out", tmp_path)
    assert "unequal size: 4 of rock, 9 of blues" in result.stderr


def test_errors_come_before_the_work(music: Path, table: Path, tmp_path: Path) -> None:
    assert run("--out", tmp_path).exit_code == 2
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert "is a file" in failure("--data", music, "--out", taken).message
    assert "does not exist" in failure("--data", tmp_path / "no", "--out", tmp_path).message
    bad = music / "noise" / "!bad.wav"
    message = failure("--table", table, "--track", bad, "--out", tmp_path).message
    assert "not an audio file" in message


def test_without_matplotlib(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    error = failure("--table", table, "--out", tmp_path / "out")
    assert "[papers]" in error.hint
    assert not (tmp_path / "out").exists()
