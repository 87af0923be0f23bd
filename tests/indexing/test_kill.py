"""`kill -9` at random moments, twenty times: nothing is lost and nothing is there twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recsys import Library
from recsys.recommender import SimilarOptions
from recsys.store import Store
from tests.cli.conftest import make_music

KILLS = 20


def command(music: Path, database: Path) -> list[str]:
    return [sys.executable, "-m", "recsys", "index", str(music), "--db", str(database), "--json"]


def close(values: list[float]) -> Any:
    """Return what equals values that were computed together with other tracks."""
    return pytest.approx(values, abs=1e-4)


def contents(
    database: Path, music: Path, numbers: Callable[[list[float]], Any] = list
) -> tuple[dict[str, Any], list[str], list[Any]]:
    """Rows, failures and answers, without the numbers that depend on the order of arrival."""
    with Store.open(database, read_only=True) as store:
        assert store.integrity_problems() == []
        rows = {}
        for track in store.all_tracks():
            analysis = store.analysis(track.id)
            assert analysis is not None
            rows[track.path.name + track.path.parent.name] = (
                track.tags,
                track.audio_hash,
                track.genre,
                round(track.duration_s, 6),
                numbers(analysis.embedding.tolist()),
            )
        failures = sorted(failure.reason for failure in store.failures())
    answers = []
    with Library(database) as library:
        for path in sorted(music.glob("*/0.*")):
            answer = library.similar(path, SimilarOptions(k=30, show_duplicates=True))
            paths = [row.track.path.relative_to(music) for row in answer.results]
            answers.append((paths, numbers([row.similarity for row in answer.results])))
    return rows, failures, answers


def assert_stored(told: set[str], database: Path) -> None:
    """Everything that was reported must be in the database, however the process ended."""
    lines = [json.loads(line) for line in told]
    reported = {line["path"] for line in lines if line.get("status") in ("indexed", "unchanged")}
    if not reported:
        return
    with Store.open(database, read_only=True) as store:
        assert reported <= {str(track.path) for track in store.all_tracks()}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.timeout(900)
def test_killed_twenty_times_then_left_alone(tmp_path: Path) -> None:
    music = make_music(tmp_path / "music", per_style=6)
    (music / "bad.mp3").write_bytes(b"no sound")
    undisturbed = tmp_path / "undisturbed.db"
    subprocess.run(command(music, undisturbed), stdout=subprocess.DEVNULL, check=False)
    chance = random.Random(1)
    database = tmp_path / "killed.db"
    told: set[str] = set()
    for _ in range(KILLS):
        process = subprocess.Popen(
            command(music, database), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(3)):
            line = process.stdout.readline()
            if line:
                told.add(line)
        try:
            process.wait(timeout=chance.uniform(0, 2.0))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        assert_stored(told, database)
    assert told
    last = subprocess.run(command(music, database), stdout=subprocess.DEVNULL, check=False)
    assert last.returncode in (0, 3)  # 0: the bad file failed in a run before
    assert contents(database, music) == contents(undisturbed, music, close)


@pytest.mark.slow
def test_killed_processes_cost_no_good_file(tmp_path: Path) -> None:
    music, database = make_music(tmp_path / "music", per_style=6), tmp_path / "l.db"
    rng = random.Random(0)
    process = subprocess.Popen(
        command(music, database), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None:  # workers, and the server that makes them
        if victims := descendants(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(victims), signal.SIGKILL)
        time.sleep(0.5)
    assert process.returncode in (0, 1)  # one stops the run, and says so
    done = subprocess.run(command(music, database), capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    assert summary["failed"] == 0
    with Store.open(database, read_only=True) as store:
        assert store.counts()["tracks"] == summary["found"] == 48


def descendants(pid: int) -> list[int]:
    """Return the ids of all processes below one."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                found += [child, *descendants(child)]
    return found
