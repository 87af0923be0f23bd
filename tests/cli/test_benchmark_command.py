"""``recsys benchmark``: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys.benchmark import analysis, rescan, search
from recsys.benchmark.results import Figure, Peer, Table
from recsys.cli.main import cli
from tests.cli.genre_music import make_genres

SEARCH = Table(
    "Search, 1,000 tracks", (Figure("recall", 0.98, "recall", target=0.99, higher_is_better=True),)
)
LISTENING = Table(
    "Listening to 2 files: wav",
    (Figure("--effort fast", 9.0, "tracks/s", 3, 8.0, 9.5, higher_is_better=True),),
    (Peer("other 1.0", Figure("other", 3.0, "tracks/s", higher_is_better=True), 3.0),),
    ("another: not installed",),
    ("whole commands",),
)
RESCAN = Table("A second run", (Figure("recsys index", 6.1, "s", 3, 6.0, 6.2, target=10.0),))


@pytest.fixture
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "measure_analysis", lambda *_: LISTENING)
    monkeypatch.setattr(rescan, "measure_rescan", lambda *_, **__: RESCAN)
    monkeypatch.setattr(search, "measure_search", lambda *_: [SEARCH])


@pytest.mark.usefixtures("_measured")
def test_figures_ratios_and_what_was_skipped_are_printed(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["benchmark", "--out", str(tmp_path)], env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    for text in (
        *("9 tracks/s", "8 to 9.5", "recsys: 3 times as good", "skipped: another: not installed"),
        *("0.98 recall", "0.99, missed", "10, kept", "processors", "torch"),
    ):
        assert text in result.stdout, text
    assert (tmp_path / "benchmark.json").exists()
    assert (tmp_path / "listening.png").exists()


@pytest.mark.usefixtures("_measured")
@pytest.mark.parametrize(
    ("only", "tables"), [("search", [SEARCH]), ("rescan", [RESCAN]), ("listening", [LISTENING])]
)
def test_one_of_the_three(only: str, tables: list[Table]) -> None:
    result = CliRunner().invoke(cli, ["benchmark", "--only", only, "--json"])
    found = json.loads(result.stdout)
    assert [Table.from_json(fields) for fields in found["tables"]] == tables


def test_a_folder_without_music_is_named(tmp_path: Path) -> None:
    words = ["benchmark", "--only", "listening", "--audio", str(tmp_path / "none")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert f"{tmp_path / 'none'}" in result.stderr


@pytest.mark.slow
def test_real_commands_are_timed(tmp_path: Path) -> None:
    music = make_genres(tmp_path / "music", ("blues",), tracks=2, duration_s=4)
    words = ["benchmark", "--only", "listening", "--audio", str(music), "--quick", "--json"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    (table,) = (Table.from_json(fields) for fields in json.loads(result.stdout)["tables"])
    names = [figure.name for figure in table.figures if figure.unit == "tracks/s"]
    assert names == ["--effort fast", "--effort balanced, the default", "--effort full"]
    assert all(figure.value > 0 for figure in table.figures)
    assert not any(figure.note for figure in table.figures)
