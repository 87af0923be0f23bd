"""``recsys index --also`` and what lists, files and the table of a track show of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recsys import IndexOptions, Library
from recsys.cli.index import KINDS
from recsys.errors import MissingExtraError, QueryError
from recsys.mix import run as passes
from recsys.types import MixKind
from tests.cli.running import call
from tests.sounds import staircase, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    loud = staircase(6, 44_100)
    write(folder / "music" / "loud.flac", loud, 44_100)
    write(folder / "music" / "quiet.flac", (0.1 * loud[::-1]).astype(np.float32), 44_100)
    return folder


def test_the_command_knows_all_kinds() -> None:
    assert tuple(MixKind) == KINDS
    with pytest.raises(QueryError, match="'bpm' cannot be measured"):
        IndexOptions(also=("bpm",))


def test_another_kind_is_wrong_usage(folder: Path) -> None:
    answer = call("index", folder / "music", "--also", "tempo,bpm", db=folder / "no.db")
    assert answer.exit_code == 2
    assert "'tempo,bpm' is none of tempo, key, loudness" in answer.stderr


def test_an_extra_that_is_missing_is_said_before_the_scan(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("this needs sonara, which is not installed", "Install it.")

    monkeypatch.setattr(passes, "find_spec", lambda _name: None)
    monkeypatch.setattr(passes, "load_sonara", missing)
    answer = call("index", folder / "music", "--also", "key", db=folder / "no.db")
    assert answer.exit_code == 1
    assert "needs sonara" in answer.stderr
    assert not (folder / "no.db").exists()


def test_loudness_is_measured_and_shown(folder: Path) -> None:
    database = folder / "library.db"
    answer = call("index", folder / "music", "--also", "loudness", "--json", db=database)
    assert answer.exit_code == 0, answer.stderr
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert lines[-1] == {"measured": {"measured": 2, "failed": 0}}
    found = {Path(row["path"]).name: row for row in lines if row.get("status") == "measured"}
    loud, quiet = found["loud.flac"], found["quiet.flac"]
    assert quiet["loudness"] == pytest.approx(loud["loudness"] - 20, abs=0.1)
    assert loud["replay_gain_db"] == pytest.approx(-18 - loud["loudness"], abs=0.01)

    again = call("index", "--also", "loudness", db=database)
    assert again.stdout.splitlines()[-1] == "0 measured"
    rows = [json.loads(row) for row in call("list", "--json", db=database).stdout.splitlines()]
    assert {row["loudness"] for row in rows} == {loud["loudness"], quiet["loudness"]}
    chosen = call("list", "--json", "--loudness", "-15..", db=database)
    assert [Path(json.loads(row)["path"]).name for row in chosen.stdout.splitlines()] == [
        "loud.flac"
    ]
    shown = call("show", folder / "music" / "loud.flac", db=database).stdout
    assert f"Loudness:  {loud['loudness']:.1f} LUFS" in shown
    assert "Tempo:" not in shown
    with Library(database) as library:
        exported = folder / "out.csv"
        library.export(exported)
        assert "loudness" in exported.read_text(encoding="utf-8").splitlines()[0]


def test_a_list_says_what_to_do_where_nothing_was_measured(folder: Path) -> None:
    database = folder / "bare.db"
    call("index", folder / "music", db=database)
    loud = folder / "music" / "loud.flac"
    answer = call("similar", loud, "--tempo", "118..126", db=database)
    assert "no track has a tempo yet: recsys index --also tempo" in answer.stderr
    curved = call("playlist", loud, "--curve", "tempo=rise", db=database)
    assert curved.exit_code == 1
    assert "recsys index --also tempo" in curved.stderr
    keyless = call("similar", loud, "--key-match", db=database)
    assert keyless.exit_code == 1
    assert "recsys index --also key" in keyless.stderr
