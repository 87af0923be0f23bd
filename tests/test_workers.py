from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from itertools import count
from pathlib import Path

import pytest

from recsys.errors import AudioError, RecsysError
from recsys.workers import WorkerPool


def double(number: int) -> int:
    return 2 * number


def fail_on_three(number: int) -> int:
    if number == 3:
        raise AudioError("three is no sound", "Take four.")
    if number == 4:
        raise ValueError("four is no better")
    return number


def crash_on_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def test_every_item_comes_back_with_its_result() -> None:
    with WorkerPool(2) as pool:
        assert dict(pool.map_unordered(double, range(50))) == {n: 2 * n for n in range(50)}


def test_outcomes_come_in_order_when_that_is_asked_for() -> None:
    with WorkerPool(2) as pool:
        assert list(pool.map(double, range(50))) == [(n, 2 * n) for n in range(50)]


def test_items_are_taken_only_as_they_are_worked_off() -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        for number in count():
            taken += 1
            yield number

    with WorkerPool(1) as pool:
        results = pool.map_unordered(double, endless())  # type: ignore[arg-type]
        for _ in range(20):
            next(results)
    assert taken < 60


def test_errors_are_outcomes() -> None:
    with WorkerPool(1) as pool:
        outcomes = dict(pool.map_unordered(fail_on_three, range(5)))
    assert outcomes[2] == 2
    assert isinstance(outcomes[3], AudioError)
    assert (outcomes[3].message, outcomes[3].hint) == ("three is no sound", "Take four.")
    assert isinstance(outcomes[4], RecsysError)
    assert outcomes[4].message == "unexpected ValueError: four is no better"


def loaded(names: tuple[str, ...]) -> tuple[bool, ...]:
    return tuple(name in sys.modules for name in names)


@pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="processes share nothing"
)
@pytest.mark.parametrize("librosa", [True, False])
def test_libraries_are_there_before_the_first_file(librosa: bool) -> None:
    script = textwrap.dedent(
        f"""
        from tests.test_workers import loaded
        from recsys.workers import WorkerPool
        names = "soxr", "scipy.fft", "mutagen.mp3", "librosa"
        with WorkerPool(1, librosa={librosa}) as pool:
            print(*(outcome for _, outcome in pool.map_unordered(loaded, [names])))
        """
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == str((True, True, True, librosa))


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_crash_costs_only_the_file_that_did_it() -> None:
    with WorkerPool(2) as pool:
        outcomes = dict(pool.map_unordered(crash_on_three, range(30)))
    crashed = outcomes.pop(3)
    assert isinstance(crashed, AudioError)
    assert "crashed" in crashed.message
    assert outcomes == {n: n for n in range(30) if n != 3}


def test_a_script_without_a_main_guard_works(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            from tests.test_workers import double
            from recsys.workers import WorkerPool
            print("started")
            with WorkerPool(1) as pool:
                print(dict(pool.map_unordered(double, [21])))
            """
        )
    )
    root = Path(__file__).parents[1]
    result = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "started\n{21: 42}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from tests.test_workers import double
        from recsys.workers import WorkerPool
        pool = WorkerPool(2)
        list(pool.map_unordered(double, range(8)))
        print(*pool._executor._processes, flush=True)
        sys.stdin.read()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    assert process.stdin is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert workers
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()
    for pid in workers:
        assert _ended(pid)


def _ended(pid: int) -> bool:
    """Wait up to ten seconds for a process to end; a zombie has ended."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # before it was opened, or after
            return True
        if state == "Z":
            return True
        signal.sigtimedwait([], 0.05)
    return False
