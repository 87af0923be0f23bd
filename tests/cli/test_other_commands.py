from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from recsys.cli.main import COMMANDS, SECTIONS, cli
from recsys.index.sync import index_directory
from recsys.library_status import failure_groups
from recsys.store.store import made_by
from recsys.types import Failure, TrackFile
from tests.cli.conftest import IndexedLibrary
from tests.cli.documented import documented
from tests.cli.reference import PAGE, render
from tests.cli.running import call
from tests.planted import PlantedLibrary, Sound
from tests.sounds import write

Run = Callable[..., Result]


def test_the_reference_page_is_up_to_date() -> None:
    assert PAGE.read_text() == render(), "run `make docs`"


def test_the_help_has_every_command_in_one_section() -> None:
    lines = CliRunner().invoke(cli, ["--help"]).stdout.splitlines()
    commands = cli.list_commands(click.Context(cli))
    for command in commands:
        assert sum(line.startswith(f"  {command} ") for line in lines) == 1
    wanted = ["The library:", "Find music:", "Say what you want to hear:", "More:"]
    assert [line for line in lines if line in wanted] == wanted
    # A section is no wall: it can be taken in at a glance.
    assert all(len(names) <= 6 for names in SECTIONS.values())
    assert sorted(commands) == sorted(name for names in SECTIONS.values() for name in names)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    assert f"recsys {command}" in result.stdout.split("Examples:")[1]


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"train", "completion"}))
def test_every_command_of_a_library_takes_db_and_reads_it_from_the_environment(
    command: str,
) -> None:
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    (option,) = [option for option in found.params if "--db" in option.opts]
    assert option.envvar == "RECSYS_DB"


def test_choices_repeated_for_a_quick_help_are_those_of_the_library() -> None:
    from recsys import types
    from recsys.cli import options
    from recsys.cli.index import SIZE_LIMIT_GB
    from recsys.cli.playlist import CAN_GROW
    from recsys.mel import EFFORTS
    from recsys.playlists.files import FORMATS
    from recsys.recommender import Strategy

    def choices(command: str, name: str) -> set[str]:
        found = cli.get_command(click.Context(cli), command)
        assert found is not None
        (option,) = [option for option in found.params if option.name == name]
        assert isinstance(option.type, click.Choice)
        return set(option.type.choices)

    assert choices("playlist", "file_format") == set(FORMATS)
    growing = {end for form in FORMATS.values() if form.can_grow for end in form.extensions}
    assert set(CAN_GROW) == growing
    assert choices("similar", "strategy") == set(Strategy)
    assert choices("index", "effort") == choices("evaluate", "effort") == set(EFFORTS)
    assert options.TIME_LIMIT_S == types.TIME_LIMIT_S
    assert SIZE_LIMIT_GB * 1e9 == types.SIZE_LIMIT_BYTES


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from recsys.cli.main import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "heavy = ('torch', 'librosa', 'numpy', 'rich', 'sqlite3')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("[]\n")


def test_version() -> None:
    from importlib.metadata import version

    assert CliRunner().invoke(cli, ["--version"]).stdout == f"recsys, version {version('recsys')}\n"


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(cli, ["nonsense"])
    assert result.exit_code == 2


def test_unexpected_errors_are_reported_without_a_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*_: object) -> None:
        raise ZeroDivisionError("no way")

    monkeypatch.setattr("recsys.api.Library.status", burst)
    result = run("status")
    assert result.exit_code == 1
    assert "unexpected ZeroDivisionError: no way" in result.stderr
    assert "Traceback" not in result.output


def test_ctrl_c_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recsys.api.Library.status", interrupt)
    result = run("status")
    assert result.exit_code == 130
    assert "run the command again to go on" in result.stderr


def test_a_reader_that_goes_away_is_no_error(indexed: IndexedLibrary) -> None:
    command = [sys.executable, "-m", "recsys", "similar", indexed.track("overdrive"), "--paths"]
    process = subprocess.Popen(
        [*command, "--db", indexed.database], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, stderr = process.communicate()
    assert b"Traceback" not in stderr
    assert b"unexpected" not in stderr


def test_classify_json_contract(run: Run, indexed: IndexedLibrary) -> None:
    files = [indexed.track("overdrive"), indexed.music / "bad.mp3", indexed.track("chamber")]
    result = run("classify", *files, "--json")
    assert result.exit_code == 3
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["path"] for line in lines] == [str(path) for path in files]
    assert lines[1] == {
        "path": str(files[1]),
        "error": "not an audio file: a text file",
        "hint": "It is no audio file, whatever its name says; rename or delete it.",
    }
    for line in (lines[0], lines[2]):
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        ranked = sorted(line["probabilities"], key=line["probabilities"].get, reverse=True)
        assert line["genre"] in (ranked[0], "unknown")
        assert (line["genre"] == "unknown") == (line["genres"] == [])


def test_classify_many_files_in_processes(run: Run, indexed: IndexedLibrary) -> None:
    files = sorted(indexed.music.glob("*/0.*"))
    result = run("classify", *files, "--json", "--workers", 2)
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["path"] for line in lines] == [str(path) for path in files]
    alone = json.loads(run("classify", files[0], "--json").stdout)
    assert lines[0]["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-5)


def test_classify_table(run: Run, indexed: IndexedLibrary) -> None:
    result = run("classify", indexed.track("overdrive"))
    assert result.exit_code == 0
    assert "%" in result.stdout


def test_classify_takes_folders_and_standard_input(indexed: IndexedLibrary) -> None:
    song = indexed.track("overdrive")
    command = [sys.executable, "-m", "recsys", "classify", "--json", song.parent, "-"]
    result = subprocess.run(command, input=song.read_bytes(), capture_output=True, check=True)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    in_folder = [str(path) for path in sorted(song.parent.iterdir())]
    assert [line.pop("path") for line in lines] == [*in_folder, "-"]
    assert lines[-1] == lines[in_folder.index(str(song))]


def test_fifos_are_refused(run: Run, tmp_path: Path) -> None:
    fifo = tmp_path / "song.mp3"
    os.mkfifo(fifo)  # no one writes to it: to open it would be to wait for ever
    for command in ("classify", "similar", "playlist", "like"):
        result = run(command, fifo)
        assert result.exit_code in (1, 3)
        assert "it is not a regular file" in result.stderr
        assert "recsys classify -" in result.stderr
    result = run("index", fifo)
    assert result.exit_code == 1
    assert "song.mp3 is a pipe" in result.stderr


def test_classify_what_is_not_there(run: Run, tmp_path: Path) -> None:
    result = run("classify", tmp_path / "none.mp3", tmp_path)
    assert result.exit_code == 3
    assert "No such file" in result.stderr
    assert "Is a directory" in result.stderr


def test_status(run: Run, indexed: IndexedLibrary) -> None:
    data = json.loads(run("status", "--json").stdout)
    assert data.keys() == documented("status")[0].keys()
    assert data["tracks"] == sum(data["genres"].values()) == 16
    assert data["failures"] == 1
    assert data["index"] == {"fresh": True, "problems": [], "recall_at_20": {}}
    assert data["roots"] == [{"path": str(indexed.music), "available": True}]
    text = run("status").stdout
    assert str(indexed.database) in text
    (group,) = data["failures_by_reason"]
    bad = str(indexed.music / "bad.mp3")
    assert (group["files"], group["examples"], group["retried"]) == (1, [bad], 0)
    assert (group["reason"], data["failures_list"]) == (
        "not an audio file",
        [{"path": bad, "reason": "not an audio file: a text file", "made_by": made_by()}],
    )
    assert documented("status")[0]["failures_list"][0].keys() == data["failures_list"][0].keys()
    assert run("status", "--failures").stdout == (
        f"1 file: not an audio file\n  {bad} (a text file)\n  {group['hint']}\n"
    )


def test_doctor_finds_and_repairs_a_damaged_index(run: Run, indexed: IndexedLibrary) -> None:
    assert run("doctor").exit_code == 0
    for part in index_directory(indexed.database).glob("part-*"):
        part.write_bytes(b"damaged")
    broken = run("doctor", "--json")
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["problems"]
    # The index is a cache: answers go on coming from the database.
    assert run("similar", indexed.track("overdrive"), "--json").exit_code == 0
    assert run("doctor", "--rebuild").exit_code == 0
    assert json.loads(run("doctor", "--json").stdout) == {
        "ok": True,
        "problems": [],
        "hints": [],
        "repairs": [],
    }


def test_doctor_names_the_remedy_of_each_problem(tmp_path: Path) -> None:
    database = tmp_path / "recsys" / "library.db"  # as in the folder of the user's data
    database.parent.mkdir()
    north = np.eye(16, dtype=np.float32)[0]
    PlantedLibrary(database.parent, [Sound("jazz", north) for _ in range(200)]).store.close()
    intact = database.read_bytes()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE analyses SET embedding = zeroblob(8) WHERE rowid <= 4")
    found = call("doctor", db=database)
    assert found.exit_code == 1
    (line,) = (line for line in found.stdout.splitlines() if "Damaged" in line)
    assert line.startswith("problem: Damaged analyses, not numbers or of the wrong length: 4 (/")
    assert line.endswith(", ...).")
    assert "doctor --rebuild deletes damaged analyses" in found.stdout
    assert "Restore" not in found.stdout
    for seed in ("id:1", "id:4"):
        answer = call("similar", seed, db=database)
        assert answer.exit_code == 1
        assert "is damaged" in answer.stderr
        assert "doctor --rebuild" in answer.stderr
    middle = len(intact) // 2
    database.write_bytes(intact[:middle] + bytes(8192) + intact[middle + 8192 :])
    found = call("doctor", db=database)
    assert found.exit_code == 1
    assert "Restore the " in found.stdout + found.stderr
    assert "--rebuild" not in found.stdout + found.stderr


def test_failures_for_which_other_things_help_are_grouped_apart() -> None:
    files = [TrackFile(Path(f"/{name}.mp3"), 1, 1) for name in "abc"]
    failures = [
        Failure(files[0], "not an audio file: a ZIP archive", hint="Unpack it."),
        Failure(files[1], "not an audio file: a MIDI file", hint="Render it."),
        Failure(files[2], "not an audio file: a gzip archive", hint="Unpack it."),
    ]
    groups = failure_groups(failures)
    assert [(group.reason, len(group.files), group.hint) for group in groups] == [
        ("not an audio file", 2, "Unpack it."),
        ("not an audio file", 1, "Render it."),
    ]


def test_doctor_vacuum_and_forget(indexed: IndexedLibrary, tmp_path: Path) -> None:
    from recsys.demo import SAMPLE_RATE
    from tests.sounds import staircase

    for name in ("one/a.flac", "two/b.flac"):
        write(tmp_path / name, staircase(3 + len(name), SAMPLE_RATE), SAMPLE_RATE)
    database = tmp_path / "l.db"
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    runner = CliRunner(env={"RECSYS_DB": str(database)})
    assert runner.invoke(cli, ["index", *folders]).exit_code == 0
    result = runner.invoke(cli, ["doctor", "--forget", folders[0], "--vacuum"])
    assert result.exit_code == 0, result.output
    assert "forgot 1 files" in result.stdout
    data = json.loads(runner.invoke(cli, ["status", "--json"]).stdout)
    assert data["tracks"] == 1
    assert [root["path"] for root in data["roots"]] == [folders[1]]
    assert runner.invoke(cli, ["doctor", "--forget", "/nowhere"]).exit_code == 1


def test_the_database_option_wins_over_the_environment(run: Run, tmp_path: Path) -> None:
    assert run("status", "--db", tmp_path / "none.db").exit_code == 1
    assert os.environ.get("RECSYS_DB") is None
