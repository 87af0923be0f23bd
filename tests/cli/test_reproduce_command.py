"""`recsys recipes` and `recsys reproduce` as users and scripts meet them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result

from recsys.papers.recipe import GENERATOR_NAMES, RECIPE_NAMES
from tests.cli.documented import documented
from tests.cli.genre_music import make_genres
from tests.cli.running import call, refused


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_genres(tmp_path_factory.mktemp("genres"), duration_s=6.2)


def test_the_recipes_fit_a_terminal_of_100_columns() -> None:
    result = call("papers", "list", env={"COLUMNS": "100"})
    assert result.exit_code == 0
    rows = result.stdout.splitlines()
    assert max(map(len, rows)) <= 100
    for name in (*RECIPE_NAMES, *GENERATOR_NAMES):
        # One line each: nothing is broken.
        assert sum(row.split()[:1] == [name] for row in rows) == 1
    assert any(row.split()[0] == "svm-36" and "0.700" in row for row in rows if row.split())


def test_recipes_json_contract() -> None:
    lines = [json.loads(line) for line in call("papers", "list", "--json").stdout.splitlines()]
    assert [line["name"] for line in lines] == [*RECIPE_NAMES, *GENERATOR_NAMES]
    assert lines[-1]["generator"]["latent"] == 100
    svm = lines[0]
    assert set(svm) >= set(documented("papers list")[0])
    assert svm["published"]["test"] == 0.70
    assert svm["estimator"]["grid"]["C"] == [0.1, 1, 10, 100]
    assert svm["features"]["kind"] == "summary"
    assert {line["name"]: line["variants"] for line in lines}["ann"] == [
        "ann:centroid",
        "ann:chroma",
    ]


def test_one_recipe_in_full() -> None:
    printed = call("papers", "list", "cnn-mel-tuned").stdout
    assert "Search: filters [[16, 32, 64], [32, 64, 128]]" in printed
    assert "test 0.620" in printed
    refused(call("papers", "list", "none"), "unknown recipe 'none'")


def test_reproduce_measures_once(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = (
        "papers",
        "reproduce",
        "--recipe",
        "lstm-mfcc",
        "--data",
        music,
        "--out",
        out,
        "--quick",
    )
    first = call(*command, "--workers", 1, "--device", "cpu", "--json")
    assert first.exit_code == 0, first.output
    (row,) = [json.loads(line) for line in first.stdout.splitlines()]
    assert (row["recipe"], row["published"], row["leaky"]) == ("lstm-mfcc", 0.79, True)
    assert set(row) == set(documented("papers reproduce")[0])
    assert (row["report_unit"], row["honest_n"]) == ("segment", 3)
    assert row["data"] == "audio, 12 tracks, 3 genres"
    assert "[1/2] lstm-mfcc, paper protocol" in first.stderr
    assert first.stderr.count("audio: 3 genres, 4 tracks each") == 1
    printed = (out / "table.md").read_text()
    assert "The data:\n\n- audio, 12 tracks, 3 genres: 3 genres, 4 tracks each" in printed
    with (out / "table.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert line["honest"] == str(row["honest"])

    second = call(*command, "--workers", 1, "--device", "cpu")
    assert second.exit_code == 0
    assert "2 of 2 measurements exist already" in second.stderr
    assert "[1/2]" not in second.stderr
    assert f"{row['report']:.3f} leaky" in second.stdout
    assert str(out / "index.html") in second.stdout


def test_reproduce_goes_on_after_what_cannot_be_measured(music: Path, tmp_path: Path) -> None:
    """The clips are too short for one of both."""
    command = (
        "papers",
        "reproduce",
        "--data",
        music,
        "--out",
        tmp_path / "out",
        "--quick",
        "--workers",
        1,
    )
    result = call(*command, "--device", "cpu", "--recipe", "svm-36", "--recipe", "lstm-mfcc")
    assert result.exit_code == 3, result.output
    assert "not run: svm-36, paper protocol: no track of blues, classical, metal" in result.stderr
    assert "2 of 4 measurements could not be made" in result.stderr
    assert "0.700" in result.stdout
    assert "not measured" in result.stdout


def test_reproduce_refuses_at_once(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def reproduce(*more: object) -> Result:
        return call("papers", "reproduce", "--out", out, *more)

    assert reproduce().exit_code == 2
    text = tmp_path / "text.csv"
    text.write_text("no table\n")
    refused(reproduce("--tables", text), "lacks", "recsys papers features")
    refused(reproduce("--tables", tmp_path / "none.csv"), "none.csv cannot be read")
    refused(reproduce("--data", tmp_path / "none"), "does not exist")
    refused(reproduce("--data", music, "--recipe", "none"), "unknown recipe")
    refused(reproduce("--data", music, "--weights", "none.pth"), "none.pth do not exist")
    refused(reproduce("--data", lone_genre(music, tmp_path)), "two genres are needed, found: blues")
    assert not out.exists()
    refused(call("papers", "reproduce", "--data", music, "--out", text), "text.csv is a file")


def lone_genre(music: Path, folder: Path) -> Path:
    (folder / "lone").mkdir()
    (folder / "lone" / "blues").symlink_to(music / "blues")
    return folder / "lone"


def test_a_table_that_no_recipe_looks_at(music: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    made = call("papers", "features", "--data", music, "--out", table, "--workers", 1)
    assert made.exit_code == 0, made.output
    command = (
        "papers",
        "reproduce",
        "--tables",
        table,
        "--out",
        tmp_path / "out",
        "--recipe",
        "mlp",
    )
    refused(call(*command), "none of these recipes is over the columns", "--recipe table-1")


WITHOUT_PAPERS = """
import sys
from importlib.machinery import PathFinder

HIDDEN = ("jinja2", "matplotlib", "pandas", "PIL", "skops", "xgboost")

class Without:
    def find_spec(self, name, path=None, target=None):
        hidden = name.partition(".")[0] in HIDDEN
        return None if hidden else PathFinder.find_spec(name, path, target)

    def find_distributions(self, *context):
        return PathFinder.find_distributions(*context)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without()
from recsys.cli.main import cli

for command in sys.stdin:
    code = cli(command.rstrip("\\n").split("|"), standalone_mode=False) or 0
    print(f"code {code}", file=sys.stderr, flush=True)
"""


def without_papers(*commands: tuple[object, ...]) -> str:
    """Run commands where the extra is not installed; return what they said, and their codes."""
    lines = "".join("|".join(map(str, command)) + "\n" for command in commands)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PAPERS],
        input=lines,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=240,
        check=True,
    )
    return done.stderr


@pytest.mark.slow
def test_what_works_without_the_extra(music: Path, tmp_path: Path) -> None:
    model, database = tmp_path / "m.safetensors", tmp_path / "l.db"
    usual = ("--data", music, "--epochs", 1, "--device", "cpu", "--workers", 1)
    said = without_papers(
        ("papers", "list"),
        ("papers", "train", "mlp", music, "--out", model, *usual[2:]),
        ("index", music, "--model", model, "--db", database, "--workers", 1),
        ("papers", "features", "--help"),
    )
    assert said.count("code 0\n") == 4, said
    assert model.exists()
    assert database.exists()


def test_what_needs_the_extra_reports_it(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    commands: list[tuple[object, ...]] = [
        ("papers", "train", "svm-36", music, "--out", f"{out}.safetensors"),
        ("papers", "reproduce", "--data", music, "--out", out),
        ("papers", "explore", "--data", music, "--out", out),
        ("model", "evaluate", music, "--report", out),
    ]
    said = without_papers(*commands)
    assert said.count("[papers]") == len(commands)
    assert said.count("which is not installed") == len(commands)
    assert said.count("code 1\n") == len(commands)
    assert not out.exists()
