"""Every published system, from training to the use of its model: for `make check-all`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from recsys.cli.main import cli
from recsys.papers.recipe import RECIPE_NAMES, load_recipe, variant_names
from tests.cli.genre_music import GENRES, TEN, make_genres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_genres(tmp_path_factory.mktemp("genres"), duration_s=30.2)


def call(*arguments: object, code: int = 0) -> list[dict[str, Any]]:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("name", RECIPE_NAMES)  # variants run once, below
def test_a_recipe_is_trained_and_its_model_used(name: str, music: Path, tmp_path: Path) -> None:
    out, database = tmp_path / "model.safetensors", tmp_path / "library.db"
    how = ("--epochs", 1, "--weights", "random", "--device", "cpu", "--json")
    summary = call("papers", "train", name, music, "--out", out, *how)[-1]["summary"]
    assert summary["recipe"] == name
    assert summary["published"] == load_recipe(name).published.test
    assert (summary["labels"], summary["skipped"]) == (sorted(GENRES), 0)
    assert summary["test"]["n"] == 3

    indexed = call("index", music, "--model", out, "--db", database, "--json")
    assert indexed[-1]["summary"]["indexed"] == 12
    query = music / "blues" / "blues.00000.flac"
    (similar,) = call("similar", query, "--db", database, "--k", 5, "--show-duplicates", "--json")
    assert len(similar["results"]) == 5
    (classified,) = call("classify", query, "--model", out, "--json")
    assert sum(classified["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    page = tmp_path / "report"
    (judged,) = call("model", "evaluate", music, "--model", out, "--report", page, "--json")
    assert judged["n"] == 12
    trained_in_epochs = load_recipe(name).network is not None
    assert (page / "curves.png").exists() == trained_in_epochs


@pytest.mark.timeout(2000)
def test_reproduce_quick_runs_everything_once(tmp_path: Path) -> None:
    music, out = make_genres(tmp_path / "music", TEN, duration_s=30.2), tmp_path / "out"
    command = (
        "papers",
        "reproduce",
        "--quick",
        "--data",
        music,
        "--weights",
        "random",
        "--out",
        out,
    )
    rows = call(*command, "--device", "cpu", "--json")
    whole = [name for one in RECIPE_NAMES for name in (one, *variant_names(one))]
    assert sorted(row["recipe"] for row in rows) == sorted(whole)
    for row in rows:
        assert "quick run, measures nothing" in row["note"]
        assert "could not be run" not in row["note"]
    results = {path: path.stat().st_mtime_ns for path in (out / "results").iterdir()}
    assert len(results) == 2 * len(whole)
    assert call(*command, "--device", "cpu", "--json") == rows
    assert {path: path.stat().st_mtime_ns for path in (out / "results").iterdir()} == results
    assert list((out / "state").iterdir()) == []
