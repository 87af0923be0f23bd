from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.main import cli
from tests.cli.documented import documented
from tests.cluster.shards import analysed, failed, write_shard


def recsys(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_only_a_cluster_reads_urls(tmp_path: Path) -> None:
    result = recsys("index", "s3://bucket/music", "--db", tmp_path / "library.db")
    assert result.exit_code == 2
    assert "s3://bucket/music is no folder; recsys cluster index reads URLs" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'FOLDERS...'"),
        (("s3://bucket/music",), "require --out"),
        (("/music", "--device", "mps"), "'mps' is not one of"),
        (("",), "an empty path was given"),
        (("/music", "--watch"), "No such option"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    result = recsys("cluster", "index", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_empty_folder_starts_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    result = recsys(
        *("cluster", "index", "--address", "127.0.0.1:1", tmp_path / "music"),
        *("--db", tmp_path / "library.db"),
    )
    assert result.exit_code == 1
    assert "no audio files under" in result.stderr


def test_import_reports_every_file_and_a_summary(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards", [analysed("/a.mp3", 1), failed("/b.mp3")])
    arguments = ("cluster", "import", tmp_path / "shards", "--db", tmp_path / "library.db")
    result = recsys(*arguments, "--json")
    assert result.exit_code == 3
    track, failure, summary = map(json.loads, result.stdout.splitlines())
    assert failure == {"path": "/b.mp3", "status": "failed", "reason": "no sound"}
    assert (track["path"], track["status"], track["track_id"]) == ("/a.mp3", "indexed", 1)
    assert summary["summary"]["found"] == 2
    for line, promised in zip((failure, track, summary), documented("cluster import"), strict=True):
        assert line.keys() == promised.keys()
    assert recsys(*arguments).stdout.splitlines()[-1] == "2 audio files: 1 unchanged, 1 failed"


@pytest.mark.parametrize("where", ["music", "=folder", "s3://b=", ""])
def test_where_music_lies_has_two_parts(where: str) -> None:
    result = recsys("cluster", "import", "shards", "--music", where)
    assert result.exit_code == 2
    assert "is not PREFIX=FOLDER" in result.stderr


def test_the_last_sign_parts_prefix_and_folder(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards", [analysed("s3://b/year=1999/a.mp3", 1)])
    database = tmp_path / "library.db"
    result = recsys(
        *("cluster", "import", tmp_path / "shards", "--db", database, "--json"),
        *("--music", f"s3://b/year=1999/={tmp_path}"),
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[0])["path"] == str(tmp_path / "a.mp3")


def test_a_prefix_from_which_nothing_comes_is_reported(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards", [analysed("/m/rock/a.mp3", 1)], sources=("/m",))
    database = tmp_path / "library.db"
    arguments = ("cluster", "import", tmp_path / "shards", "--db", database, "--music")
    result = recsys(*arguments, f"/mm={tmp_path}")
    assert result.exit_code == SOME_FILES_FAILED
    assert "the shards hold nothing from /mm, but from /m" in result.stderr
    for related in ("/m", "/m/rock", "/"):
        assert "hold nothing" not in recsys(*arguments, f"{related}={tmp_path}").stderr


@pytest.mark.parametrize("module", ["ray", "fsspec"])
def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    (tmp_path / "a.mp3").touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    result = recsys("cluster", "index", tmp_path, "--out", tmp_path / "shards")
    assert result.exit_code == 1
    assert f"this needs {module}" in result.stderr
    assert "pip install" in result.stderr
    assert "[ray]" in result.stderr
