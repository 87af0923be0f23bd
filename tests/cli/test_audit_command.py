"""``recsys audit``: what it shows, asks, writes and takes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsys.api import Library
from recsys.audit import Finding
from recsys.audit.disagreements import Verdict
from recsys.audit.genre_field import read_genre_field
from recsys.audit.retagging import journal_path
from recsys.cli.main import cli
from recsys.store import LibraryLock
from tests.audit.music import NEW, OLD, Music
from tests.cli.documented import documented
from tests.cli.running import call, json_of
from tests.sounds import staircase, write

Run = Callable[..., Result]


@pytest.fixture
def music(tmp_path: Path) -> Music:
    return Music(tmp_path)


@pytest.fixture
def run(music: Music) -> Run:
    return partial(call, "audit", db=music.database)


def test_a_dry_run_shows_and_changes_nothing(music: Music, run: Run) -> None:
    before = {path: path.read_bytes() for path in music.paths}
    result = run()
    assert result.exit_code == 0
    assert "all 2 tracks" in result.stdout
    assert "2 of 2 tracks with a tag disagree with axes" in result.stdout
    assert "1 more have none, 1 of them could be given one" in result.stdout
    assert "Nothing was changed" in result.stdout
    assert "3.ogg" not in result.stdout
    assert {path: path.read_bytes() for path in music.paths} == before


def test_json_is_as_documented(run: Run) -> None:
    given = json_of(run("--json", "--missing"))
    (shown,) = documented("audit")
    assert given.keys() == shown.keys()
    assert given["folders"][0].keys() == shown["folders"][0].keys()
    (folder,) = given["folders"]
    assert folder["whole"]
    assert folder["judged"] == 3
    assert [Path(own["path"]).name for own in folder["findings"]] == list(OLD)
    finding = folder["findings"][1]
    assert finding.keys() == shown["folders"][0]["findings"][0].keys()
    assert finding["genre_tag"] == "Jazz; Blues"
    assert finding["tagged"] == ["blues", "jazz"]
    assert (finding["genre"], finding["suggestion"]) == ("rock", "Rock")
    assert finding["confidence"] == pytest.approx(0.95)
    assert (given["run"], given["outcomes"]) == (None, [])


def test_filters_reach_the_audit(music: Music, run: Run) -> None:
    assert json_of(run("--json", "--min-confidence", 0.96))["folders"] == []
    assert json_of(run("--json", "--genre", "blues"))["counts"] == {"disagrees": 1}
    one = json_of(run("--json", music.paths[0]))
    assert one["counts"] == {"disagrees": 1}
    assert run(music.folder.parent / "elsewhere").exit_code == 1
    assert run("--genre", "polka").exit_code == 1
    assert run("--min-confidence", 2).exit_code == 2


def test_yes_writes_all_and_undo_puts_all_back(music: Music, run: Run) -> None:
    written = json_of(run("--missing", "--write-tags", "--yes", "--json"))
    assert written["run"] == 1
    assert [own["status"] for own in written["outcomes"]] == ["written"] * 3
    assert music.genres() == NEW
    assert json_of(run("--json"))["counts"] == {"agrees": 3}
    history = json_of(run("--history", "--json"))["runs"]
    assert [(own["run"], len(own["changes"])) for own in history] == [(1, 3)]
    assert {Path(own["path"]).name: own["old"] for own in history[0]["changes"]} == {
        name: None if old is None else list(old) for name, old in OLD.items()
    }
    assert "3" in run("--history").stdout
    undone = run("--undo", "last")
    assert undone.exit_code == 0
    assert "3 restored" in undone.stdout
    assert music.genres() == OLD
    assert run("--undo", "last").exit_code == 1
    assert "No written genre tag" in run("--history").stdout


@pytest.mark.parametrize(
    ("answers", "written"),
    [
        ("y\n", {"1.flac", "2.mp3", "3.ogg"}),
        ("a\n", {"1.flac", "2.mp3", "3.ogg"}),
        ("n\n", set()),
        ("\n", set()),
        ("q\n", set()),
        ("t\ny\nn\ny\n", {"1.flac", "3.ogg"}),
        ("t\ny\nq\n", {"1.flac"}),
        ("what\ny\n", {"1.flac", "2.mp3", "3.ogg"}),
    ],
)
def test_only_what_is_accepted_is_written(
    music: Music, run: Run, answers: str, written: set[str]
) -> None:
    result = run("--missing", "--write-tags", input=answers)
    assert result.exit_code == 0, result.output
    assert {name for name, genres in music.genres().items() if genres == ("Rock",)} == written
    assert f"Wrote the genre of {len(written)} of 3 tracks." in result.stdout
    assert ("--undo 1" in result.stdout) == bool(written)


def test_being_broken_off_keeps_what_was_written(music: Music, run: Run) -> None:
    result = run("--missing", "--write-tags", input="t\ny\n")  # then the input ends
    assert result.exit_code == 130
    assert "Wrote the genre of 1 of 3 tracks." in result.stdout
    assert music.undo().keys() == {"1.flac"}


def test_files_that_cannot_be_written_are_named(music: Music, run: Run) -> None:
    music.paths[0].chmod(0o444)
    result = run("--write-tags", "--yes")
    assert result.exit_code == 3
    assert f"failed: {music.paths[0]}: the file is read-only" in result.stderr
    assert music.genres()["2.mp3"] == ("Rock",)
    music.paths[1].unlink()
    undone = run("--undo", 1, "--json")
    assert undone.exit_code == 3
    assert [own["status"] for own in json_of(undone, code=3)["outcomes"]] == ["failed"]


def test_nobody_is_asked_when_the_library_is_busy(music: Music, run: Run) -> None:
    with LibraryLock(music.database):
        result = run("--write-tags", input="y\n")
    assert result.exit_code == 1
    assert "Write" not in result.stdout
    assert music.genres() == OLD


@pytest.mark.parametrize(
    "arguments",
    [
        ("--yes",),
        ("--write-tags", "--json"),
        ("--write-tags", "--undo", "last"),
        ("--history", "--undo", "last"),
        ("--undo", "yesterday"),
        ("--undo", "-1"),
    ],
)
def test_options_that_make_no_sense(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_damaged_journal_is_noted_and_still_serves(music: Music, run: Run) -> None:
    run("--write-tags", "--yes", "--missing")
    place = journal_path(music.database)
    place.write_text('{"had_tags": true}\n' + place.read_text())
    for arguments in (("--history", "--json"), ("--undo", "last", "--json")):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        assert f"Note: line 1 of {place} cannot be parsed" in result.stderr
        json.loads(result.stdout)
    assert music.genres() == OLD
    result = run("--undo", "99")
    assert result.exit_code == 1
    assert "no run 99" in result.stderr
    assert "recsys audit --history" in result.stderr


def test_an_empty_library_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["audit", "--db", str(tmp_path / "none.db")])
    assert result.exit_code == 1
    assert "There is no library" in result.stderr


def test_the_next_indexing_finds_nothing_to_do(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "music" / name, staircase(4.0 + i))
        for i, name in enumerate(("a.flac", "b.mp3"))
    ]
    with Library(tmp_path / "library.db") as library:
        library.index([tmp_path / "music"])
        tracks = [library.store.track_by_path(path) for path in paths]
        analyses = [library.store.analysis(track.id) for track in tracks if track]
        verdict = Verdict("untagged", "rock", 1.0, (), 0.0)
        findings = [Finding(track, verdict, "Rock") for track in tracks if track]
        outcomes = list(library.retagger().write(findings))
        assert [own.status for own in outcomes] == ["written", "written"]
        assert [read_genre_field(path).values for path in paths] == [("Rock",), ("Rock",)]
        again = library.index([tmp_path / "music"])
        assert (again.unchanged, again.indexed) == (2, 0)
        for track, analysis in zip(tracks, analyses, strict=True):
            assert track is not None
            assert analysis is not None
            now = library.store.analysis(track.id)
            assert now is not None
            assert (now.embedding == analysis.embedding).all()
        _, undone = library.undo_tags()
        assert [own.status for own in undone] == ["restored", "restored"]
        assert library.index([tmp_path / "music"]).unchanged == 2
        assert [library.store.track_by_path(path) for path in paths] == tracks
