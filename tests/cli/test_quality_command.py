"""`recsys quality` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import Result

from recsys.index.sync import rebuild_index
from recsys.store import Store
from tests.cli.documented import documented
from tests.cli.running import call, json_of
from tests.planted import PlantedLibrary, Sound
from tests.quality.labelled_libraries import scattered_sounds, two_clusters


def planted(folder: Path, sounds: list[Sound]) -> Path:
    """Return the database of a planted library, closed and indexed."""
    with PlantedLibrary(folder, sounds).store as store:
        rebuild_index(store)
        return store.path


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted(tmp_path_factory.mktemp("quality"), two_clusters())


def run(database: Path, *arguments: object) -> Result:
    return call("quality", "--db", database, *arguments)


def test_json(database: Path) -> None:
    found = json_of(run(database, "--json"))
    assert set(documented("quality")[0]) <= set(found)
    assert found["labels"]["source"] == "folder"
    (row,) = (own for own in found["systems"] if own["name"] == "embedding")
    (promised,) = documented("quality")[0]["systems"]
    assert set(promised) == set(row)
    assert row["genre_precision_artist_filtered"]["value"] == 0.9
    assert found["ceiling"] == 0.9


def test_tracks_that_the_model_learned_from_are_counted(tmp_path: Path) -> None:
    """On the terminal, in JSON and on the page."""
    database = planted(tmp_path, two_clusters())
    assert "does not list its training tracks" in run(database).stdout
    assert json_of(run(database, "--json"))["learned"] is None
    with Store.open(database) as store:
        paths = [track.path for track in store.all_tracks()][:7]
        info = store.model()
        assert info is not None
        keys = [f"{path.parent.name}/{path.stem}" for path in paths]
        card = {"training": {"keys": {"train": keys[:5], "valid": keys[5:]}}}
        store.set_model(info, json.dumps(card))
    warning = "The model was trained or selected on 7 of these 24 tracks: the figures are too good."
    found = json_of(run(database, "--json"))
    assert found["learned"] == 7
    assert found["warnings"] == [warning]
    assert " ".join(run(database).stdout.split()).startswith(warning)


@pytest.mark.extra
def test_table(database: Path) -> None:
    result = run(database, "--k", 5, "--hubness")
    assert result.exit_code == 0, result.stderr
    assert "24 tracks by 8 artists, analysed with planted; 24 of them query" in result.stdout
    assert "Labels: folder, 2 different" in result.stdout
    assert "genre P@5, other artists" in result.stdout
    assert "Ways to reduce hubness" in result.stdout
    assert "Tier purity: 1.000" in result.stdout
    assert "Near-duplicates stay in all rankings here" in result.stderr


@pytest.mark.extra
def test_report(database: Path, tmp_path: Path) -> None:
    page = tmp_path / "new folder" / "quality.html"
    result = run(database, "--report", page)
    assert 'class="warning"><b>The card of the model does not list' in page.read_text("utf-8")
    assert result.exit_code == 0, result.stderr
    assert f"Report: {page}" in result.stdout
    assert page.read_text(encoding="utf-8").count('<img src="data:image/png;base64,') == 4


@pytest.mark.extra
def test_the_report_is_refused_before_the_work(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(database, "--report", tmp_path).exit_code == 2
    result = run(database, "--report", tmp_path / "away" / "page.txt")
    assert result.exit_code == 1
    assert "page.txt must end in .html or .htm" in result.stderr
    assert not (tmp_path / "away").exists()
    (tmp_path / "file").write_text("mine")
    result = run(database, "--report", tmp_path / "file" / "page.html")
    assert result.exit_code == 1
    assert "is a file" in result.stderr
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run(database, "--report", tmp_path / "page.html")
    assert result.exit_code == 1
    assert "[papers]" in result.stderr
    assert not (tmp_path / "page.html").exists()


def test_an_empty_library(tmp_path: Path) -> None:
    result = run(planted(tmp_path, []))
    assert result.exit_code == 1
    assert "holds no tracks yet" in result.stderr


@pytest.mark.parametrize(
    ("number", "arguments", "message"),
    [
        (3, [], "holds 3 tracks, too few to measure anything"),
        (9, [], "k is 10, but each of the 9 tracks has only 8 others"),
        (12, ["--labels", "tag"], "none of the 12 tracks has a genre tag"),
        (30, ["--sample", "10"], "a sample of 10 tracks is too small for lists of 10"),
    ],
)
def test_what_cannot_be_measured(
    tmp_path: Path, number: int, arguments: list[str], message: str
) -> None:
    result = run(planted(tmp_path, scattered_sounds(number, seed=1)), *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stdout == ""


def test_one_genre_only(tmp_path: Path) -> None:
    blues = [sound for sound in two_clusters(folders=False) if sound.genre == "blues"]
    database = planted(tmp_path, blues)
    result = run(database, "--labels", "model")
    assert result.exit_code == 1
    assert "have the same one, 'blues'" in result.stderr
    found = json_of(run(database, "--json"))
    assert found["labels"]["source"] == "none"
    assert found["notes"][0].startswith("No genre figures:")


def test_no_library(tmp_path: Path) -> None:
    result = run(tmp_path / "none.db")
    assert result.exit_code == 1
    assert "none.db" in result.stderr
