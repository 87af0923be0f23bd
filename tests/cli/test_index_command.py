from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from recsys.cli.index_report import IndexReport
from recsys.cli.main import cli
from recsys.cli.output import ProgressBar, shown
from recsys.demo import STYLES
from recsys.store import LibraryLock, Store
from recsys.types import IndexEvent, IndexStatus, IndexSummary
from tests.cli.conftest import IndexedLibrary
from tests.sounds import staircase, write

N_TRACKS = 2 * len(STYLES)


def index(*arguments: object) -> tuple[int, list[dict[str, object]], str]:
    result = CliRunner().invoke(cli, ["index", *(str(a) for a in arguments), "--json"])
    return (
        result.exit_code,
        [json.loads(line) for line in result.stdout.splitlines()],
        result.stderr,
    )


def test_json_lines_and_summary(indexed: IndexedLibrary) -> None:
    *files, last = indexed.events
    assert last == {
        "summary": {
            "found": N_TRACKS + 1,
            "indexed": N_TRACKS,
            "unchanged": 0,
            "moved": 0,
            "removed": 0,
            "failed": 1,
            "failed_before": 0,
            "passed_over": {
                "extensions": {},
                "videos": 0,
                "leftovers": {},
                "folders": {},
                "hidden": 0,
                "hidden_music": [],
                "excluded": 0,
                "cue_sheets": 0,
            },
        }
    }
    failed = [line for line in files if line["status"] == "failed"]
    assert failed == [
        {
            "path": str(indexed.music / "bad.mp3"),
            "status": "failed",
            "reason": "not an audio file: a text file",
        }
    ]
    for line in files:
        if line["status"] == "indexed":
            assert set(line) == {"path", "status", "genre", "track_id"}


def test_a_second_run_reads_no_audio_and_loads_no_model(
    indexed: IndexedLibrary, tmp_path: Path
) -> None:
    shutil.copytree(indexed.music, tmp_path / "music", copy_function=shutil.copy2)
    database = tmp_path / "library.db"
    assert index(tmp_path / "music", "--db", database)[0] == 3
    for path in (tmp_path / "music").rglob("*.*"):
        status = path.stat()
        path.write_bytes(b"\0" * status.st_size)  # what is read now would be no audio
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    # As in a library of before: else the time of the last change, which nothing sets back, tells.
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE tracks SET ctime_ns = NULL")
    script = (
        "import sys; from recsys.cli.main import cli\n"
        f"try: cli(['index', {str(tmp_path / 'music')!r}, '--db', {str(database)!r}])\n"
        "except SystemExit as exit: print(exit.code)\n"
        "print([m for m in ('torch', 'librosa', 'sklearn', 'faiss') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert f"{N_TRACKS} unchanged, 1 failed before" in result.stdout
    assert result.stdout.endswith("0\n[]\n")


def test_failures_are_reported_again_and_not_retried(indexed: IndexedLibrary) -> None:
    code, lines, _ = index(indexed.music, "--db", indexed.database)
    assert code == 0
    assert [line["failed_before"] for line in lines if line.get("status") == "failed"] == [True]
    assert lines[-1]["summary"]["failed"] == 1  # type: ignore[index]
    assert lines[-1]["summary"]["failed_before"] == 1  # type: ignore[index]
    assert lines[-1]["summary"]["unchanged"] == N_TRACKS  # type: ignore[index]


def test_what_is_passed_over_is_said_by_index_and_status(
    indexed: IndexedLibrary, tmp_path: Path
) -> None:
    music, database = tmp_path / "music", tmp_path / "library.db"
    (music / "@eaDir").mkdir(parents=True)
    (music / "Live").mkdir()
    for name in ("a.flac", "Live/b.flac", "@eaDir/c.flac"):
        shutil.copy(next(indexed.music.rglob("*.flac")), music / name)
    for name in ("1.jpg", "2.jpg", "x.log", "d.mp3.part", ".hidden"):
        (music / name).touch()
    arguments = ["index", str(music), "--db", str(database), "--exclude", "Live/"]
    result = CliRunner().invoke(cli, arguments)
    counted = "1 unfinished download, 1 folder of bins, snapshots or thumbnails (@eaDir), "
    counted += "1 hidden name, 1 excluded (--exclude)"
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "1 audio file: 1 indexed",
        "Passed over: 2 .jpg, 1 .log",
        f"Passed over: {counted}",
    ]
    shown = CliRunner().invoke(cli, ["status", "--db", str(database)]).stdout.splitlines()
    assert "Excluded:  Live/" in shown
    assert "Skipped:   2 .jpg, 1 .log" in shown
    assert f"Skipped:   {counted}" in shown
    result = CliRunner().invoke(cli, ["index", "--db", str(database), "--exclude", ""])
    assert "2 audio files: 1 indexed, 1 unchanged" in result.stdout
    shown = CliRunner().invoke(cli, ["status", "--db", str(database), "--json"]).stdout
    assert json.loads(shown)["exclude"] == []
    assert json.loads(shown)["passed_over"]["extensions"] == {".jpg": 2, ".log": 1}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "no such file or folder"),
        ("notes.txt", "neither its name nor its first bytes are those of audio"),
        ("empty", "no audio files under"),
    ],
)
def test_wrong_folders(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_bytes(b"")
    code, _, stderr = index(tmp_path / name, "--db", tmp_path / "library.db")
    assert code == 1
    assert message in stderr
    assert str(tmp_path / name) in stderr


def test_an_empty_argument_is_not_the_present_folder(tmp_path: Path) -> None:
    code, lines, stderr = index("", "--db", tmp_path / "l.db")
    assert (code, lines) == (2, [])
    assert "empty path" in stderr


def test_wrong_folders_leave_nothing_behind(tmp_path: Path) -> None:
    index(tmp_path / "none", "--db", tmp_path / "l.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("delay_s", [0.4, 1.0, 1.8, 3.5])
def test_ctrl_c_at_any_moment_is_reported(
    indexed: IndexedLibrary, tmp_path: Path, delay_s: float
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "recsys", "index", indexed.music, "--db", tmp_path / "l.db"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # the signal goes to the whole group, as a terminal sends it
    )
    try:
        process.wait(timeout=delay_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    done_before = process.returncode in (3, -signal.SIGINT)  # it had printed everything already
    assert process.returncode == 130 or done_before
    assert "Traceback" not in stderr


def test_tracks_that_wait_for_another_model_are_mentioned(tmp_path: Path) -> None:
    from dataclasses import replace

    from recsys.classifier.training.architectures import load_model, save_model

    for name, seconds in (("one", 3), ("two", 5)):
        write(tmp_path / name / "a.flac", staircase(seconds))
    database = tmp_path / "l.db"
    model, card = load_model()
    other = tmp_path / "other.safetensors"
    save_model(other, model, replace(card, temperature=2 * card.temperature))
    assert index(tmp_path / "one", tmp_path / "two", "--db", database)[0] == 0
    arguments = ("--db", database, "--model", other, "--reanalyse")
    code, _, stderr = index(tmp_path / "one", *arguments)
    assert code == 3
    assert "1 track waits for analysis" in stderr
    assert index(tmp_path / "two", "--db", database)[0] == 0


def test_without_a_path_a_new_library_says_what_to_name(tmp_path: Path) -> None:
    code, lines, stderr = index("--db", tmp_path / "l.db")
    assert (code, lines) == (2, [])
    assert "knows no folder yet" in stderr
    assert "recsys index ~/Music" in stderr
    assert list(tmp_path.iterdir()) == []


def text_of(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["index", *(str(a) for a in arguments)])


def test_without_a_path_the_known_folders_are_indexed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "a.flac", staircase(3 + len(name)))
    database = tmp_path / "l.db"
    assert index(tmp_path / "one", tmp_path / "two", "--db", database)[0] == 0
    write(tmp_path / "two" / "b.flac", staircase(9))
    (tmp_path / "one" / "a.flac").unlink()
    write(tmp_path / "one" / "c.flac", staircase(10))
    code, lines, _ = index("--db", database)
    assert code == 0
    found = {(Path(str(line["path"])).name, line["status"]) for line in lines if "path" in line}
    assert found == {
        ("a.flac", "unchanged"),
        ("b.flac", "indexed"),
        ("c.flac", "indexed"),
        ("a.flac", "removed"),
    }


def test_a_rerun_mentions_old_failures_in_one_line_and_succeeds(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.flac", staircase(3))
    for number in range(2):
        (tmp_path / "music" / f"{number}.mp3").write_bytes(b"no sound")
    database = tmp_path / "l.db"
    first = text_of(tmp_path / "music", "--db", database)
    assert first.exit_code == 3
    assert first.stdout.count("failed: ") == 2
    again = text_of("--db", database)
    assert again.exit_code == 0
    assert again.stdout == (
        "3 audio files: 1 unchanged, 2 failed before (recsys status --failures)\n"
    )
    (tmp_path / "music" / "2.mp3").write_bytes(b"no sound either")
    more = text_of("--db", database)
    assert more.exit_code == 3
    assert more.stdout.count("failed: ") == 1
    assert "1 unchanged, 1 failed, 2 failed before" in more.stdout


def test_it_ends_with_the_time_and_a_command_that_works(tmp_path: Path) -> None:
    for seconds in (3, 4):
        write(tmp_path / "my music" / f"{seconds}.flac", staircase(seconds))
    damaged = tmp_path / "my music" / "1.flac"
    damaged.write_bytes((tmp_path / "my music" / "4.flac").read_bytes()[:-20_000])
    result = text_of(tmp_path / "my music", "--db", tmp_path / "l.db")
    taken, following = result.stderr.splitlines()
    assert re.fullmatch(rf"Took [0-9.]+ s; the library is {tmp_path}/l\.db", taken)
    name, *arguments = shlex.split(following.removeprefix("Next: "))
    assert "warning: " in result.stdout
    assert str(damaged) not in following
    assert name == "recsys"
    assert CliRunner().invoke(cli, arguments).exit_code == 0


def test_a_watched_library_names_what_changes_after_the_first_pass(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = IndexEvent(Path("/m/a.flac"), IndexStatus.INDEXED, track_id=1)
    moved = IndexEvent(Path("/m/b\n.flac"), IndexStatus.MOVED, track_id=2)
    failed = IndexEvent(Path("/m/c.flac"), IndexStatus.FAILED, reason="silent: 3 s")
    summary = IndexSummary(found=1, indexed=1)
    report = IndexReport(ProgressBar(None), as_json=False, watch=True)
    for event in (done, summary):
        report(event)
    assert capsys.readouterr().out == "1 audio file: 1 indexed\n"
    for event in (done, moved, failed, summary):
        report(event)
    assert capsys.readouterr().out == (
        f"indexed: /m/a.flac\nmoved: {shown(moved.path)}\nfailed: /m/c.flac: silent: 3 s\n"
        "1 audio file: 1 indexed\n"
    )


def test_what_is_wrong_is_said_once(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.flac", staircase(3))
    database = tmp_path / "l.db"
    assert text_of(tmp_path / "music", "--db", database).exit_code == 0
    (tmp_path / "music").rename(tmp_path / "away")
    result = text_of("--db", database)
    assert result.exit_code == 1
    assert result.stderr.count("is not there") == 1


def test_a_file_is_indexed_alone(tmp_path: Path) -> None:
    for seconds in (3, 4, 5):
        write(tmp_path / "music" / f"{seconds}.flac", staircase(seconds))
    database, single = tmp_path / "l.db", tmp_path / "music" / "4.flac"
    code, lines, _ = index(single, "--db", database)
    assert code == 0
    assert [(line["path"], line["status"]) for line in lines[:-1]] == [(str(single), "indexed")]
    with Store.open(database, read_only=True) as store:
        assert store.roots() == []
        assert store.counts()["tracks"] == 1
    assert index("--db", database)[0] == 2  # its folder is not one of the library's


def test_a_file_under_a_known_folder_is_updated(tmp_path: Path) -> None:
    import mutagen

    for seconds in (3, 4):
        write(tmp_path / "music" / f"{seconds}.flac", staircase(seconds))
    database, single = tmp_path / "l.db", tmp_path / "music" / "4.flac"
    assert index(tmp_path / "music", "--db", database)[0] == 0
    file = mutagen.File(single, easy=True)
    file["title"] = "Retagged"
    file.save()
    code, lines, _ = index(single, "--db", database)
    assert (code, lines[0]["status"]) == (0, "indexed")
    with Store.open(database, read_only=True) as store:
        assert store.roots() == [tmp_path / "music"]
        assert [track.title for track in store.find_tracks("retagged")] == ["Retagged"]
        assert store.counts()["tracks"] == 2
    single.rename(tmp_path / "music" / "moved.flac")
    assert index(tmp_path / "music" / "moved.flac", "--db", database)[1][0]["status"] == "moved"
    (tmp_path / "music" / "moved.flac").unlink()
    code, lines, _ = index(tmp_path / "music" / "moved.flac", "--db", database)
    assert (code, lines[0]["status"]) == (0, "removed")


def test_a_failed_file_is_tried_again_when_it_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"no sound")
    for _ in range(2):
        code, lines, _ = index(bad, "--db", tmp_path / "l.db")
        assert (code, lines[0]["status"]) == (3, "failed")
        assert "failed_before" not in lines[0]


def test_a_device_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    write(tmp_path / "music" / "a.flac", staircase(3))
    code, lines, stderr = index(tmp_path / "music", "--db", tmp_path / "l.db", "--device", "cuda")
    assert (code, lines) == (1, [])
    assert "'cuda' is not available" in stderr


def test_two_runs_at_once(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.flac", staircase(3))
    database = tmp_path / "l.db"
    with LibraryLock(database, 0.0):
        code, _, stderr = index(tmp_path / "music", "--db", database)
    assert code == 1
    assert str(os.getpid()) in stderr
    assert index(tmp_path / "music", "--db", database)[0] == 0


@pytest.mark.parametrize("content", [b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 4080])
def test_a_database_that_is_none_is_left_alone(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "music" / "a.flac", staircase(3))
    database = tmp_path / "l.db"
    database.write_bytes(content)
    code, _, stderr = index(tmp_path / "music", "--db", database)
    assert code == 1
    assert str(database) in stderr
    assert database.read_bytes() == content


def test_the_index_of_another_model_is_not_mixed(tmp_path: Path) -> None:
    from dataclasses import replace

    from recsys.classifier.training.architectures import load_model, save_model

    write(tmp_path / "music" / "a.flac", staircase(3))
    database = tmp_path / "l.db"
    model, card = load_model()
    other = tmp_path / "other.safetensors"
    save_model(other, model, replace(card, temperature=2 * card.temperature))
    assert index(tmp_path / "music", "--db", database)[0] == 0
    code, lines, stderr = index(tmp_path / "music", "--db", database, "--model", other)
    assert (code, lines) == (1, [])
    assert "do not mix" in stderr
    assert "--reanalyse" in stderr
    code, lines, _ = index(tmp_path / "music", "--db", database, "--model", other, "--reanalyse")
    assert code == 0
    assert lines[0]["status"] == "indexed"
    code, lines, _ = index(tmp_path / "music", "--db", database)  # remembers its model
    assert lines[0]["status"] == "unchanged"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8_survive_everything(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "music")
    write(tmp_path / "music" / "plain.flac", staircase(6))
    raw = folder + b"/\xff\xe9 track.flac"
    write(tmp_path / "music" / "a.flac", 0.5 * staircase(6)[::-1].copy())
    (tmp_path / "music" / "a.flac").rename(os.fsdecode(raw))
    database = tmp_path / "l.db"
    code, lines, _ = index(tmp_path / "music", "--db", database)
    assert code == 0
    assert raw in {os.fsencode(str(line["path"])) for line in lines if "path" in line}
    command = [sys.executable, "-m", "recsys", "similar", tmp_path / "music" / "plain.flac"]
    options = ["--show-duplicates", "--db", database]
    paths = subprocess.run([*command, *options, "--paths"], capture_output=True, check=True)
    assert paths.stdout == raw + b"\n"
    table = subprocess.run([*command, *options], capture_output=True, check=True)
    assert b"track" in table.stdout
    result = subprocess.run(
        [*command[:4], raw, *options, "--json"], capture_output=True, check=True
    )
    assert os.fsencode(json.loads(result.stdout)["query"]["path"]) == raw


def test_results_can_be_asked_for_while_indexing_runs(
    indexed: IndexedLibrary, tmp_path: Path
) -> None:
    from recsys import Library

    shutil.copytree(indexed.music, tmp_path / "music")
    with Library(tmp_path / "l.db") as library:
        answers = 0
        for event in library.index_events([tmp_path / "music"]):
            if getattr(event, "status", "") == "indexed":
                with Library(tmp_path / "l.db") as reader:
                    answer = reader.similar(event.path)  # type: ignore[union-attr]
                assert answer.query.seeds[0].track.path == event.path  # type: ignore[union-attr]
                answers += 1
    assert answers == N_TRACKS


def test_doctor_and_status_after_a_run(indexed: IndexedLibrary) -> None:
    with Store.open(indexed.database, read_only=True) as store:
        assert store.integrity_problems() == []
        embeddings = np.concatenate([rows for _, _, rows in store.iter_embeddings()])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_a_folder_that_is_not_there_leaves_the_library_as_it_is(
    indexed: IndexedLibrary, tmp_path: Path
) -> None:
    database = tmp_path / "library.db"
    shutil.copy(indexed.database, database)
    code, _, message = index(tmp_path / "nowhere", "--db", database, "--genres", "own")
    assert (code, "nowhere" in message) == (1, True)
    with Store.open(database, read_only=True) as store:
        assert store.genre_source() == "all"
