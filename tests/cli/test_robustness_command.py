"""``recsys robustness``: the table, the JSON and the exit code."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from recsys.robustness import VARIANTS
from tests.cli.documented import documented
from tests.cli.genre_music import make_genres
from tests.cli.running import call

robustness = partial(call, "model", "robustness")


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_genres(tmp_path_factory.mktemp("genres"), ("blues",), tracks=2, duration_s=3.2)


def test_json_is_as_documented_and_failures_count(music: Path, tmp_path: Path) -> None:
    broken = music / "blues" / "broken.mp3"
    broken.write_bytes(b"no sound")
    result = robustness(music, "--json", "--workers", 1, "--db", tmp_path / "no.db")
    broken.unlink()
    assert result.exit_code == 3
    assert f"failed: {broken}" in result.stderr
    given = json.loads(result.stdout)
    (shown,) = documented("model robustness")
    assert given.keys() == shown.keys()
    (model,), (shown_model,) = given["models"], shown["models"]
    assert model.keys() == shown_model.keys()
    assert list(model["variants"]) == list(VARIANTS)
    assert model["all_variants"].keys() == shown_model["all_variants"].keys()
    assert model["halves"].keys() == shown_model["halves"].keys()
    assert set(shown_model["variants"]) <= set(VARIANTS)
    assert (given["tracks"], given["found"], given["seed"]) == (2, 3, 0)
    assert model["variants"]["half the level"]["median"] == pytest.approx(1, abs=1e-3)


def test_the_table_has_a_column_per_model(music: Path, tmp_path: Path) -> None:
    from recsys.classifier.card import DEFAULT_MODEL, load_card

    models = ("--model", DEFAULT_MODEL, "--model", DEFAULT_MODEL)
    options = ("--workers", 1, *models, "--db", tmp_path / "no.db")
    result = robustness(music, *options, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    (row,) = [line for line in result.stdout.splitlines() if "mono" in line]
    assert row.count("%") == 2
    assert row.count("100.0%, 1.000, 1.000") == 2
    assert "2 of 2 tracks" in result.stdout
    # Two models of one name have their fingerprints in the heading.
    assert result.stdout.count(load_card().fingerprint) == 2


def test_wrong_usage_and_errors(tmp_path: Path) -> None:
    assert robustness().exit_code == 2
    assert robustness(tmp_path, "--limit", 1).exit_code == 2
    empty = robustness(tmp_path, "--db", tmp_path / "no.db")
    assert empty.exit_code == 1
    assert "0 tracks" in empty.stderr
    assert robustness(tmp_path, "--model", tmp_path / "x.safetensors").exit_code == 1
