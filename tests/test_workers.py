from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recsys import audio, workers
from recsys.errors import AudioError, PassingError, RecsysError, WorkerError
from recsys.workers import WorkerPool

sys.path.insert(0, str(Path(__file__).parent))
from worker_functions import (
    be_killed,
    be_killed_once,
    crash_below_three,
    crash_on_three,
    double,
    fail_on_three,
    hang_on_three,
    import_what_is_missing,
    working_directory,
    write_on_stderr,
)

sys.path.pop(0)


pytestmark = pytest.mark.usefixtures("functions_are_found")
HERE = Path(__file__).parent


@pytest.fixture
def functions_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)


def run_script(text: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script = directory / "script.py"
    script.write_text(f"import sys\nsys.path.append({str(HERE)!r})\n" + textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


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


@pytest.mark.parametrize("librosa", [pytest.param(True, marks=pytest.mark.extra), False])
def test_libraries_are_there_before_the_first_file(librosa: bool, tmp_path: Path) -> None:
    done = run_script(
        f"""
        from worker_functions import loaded
        from recsys.workers import WorkerPool
        names = "soxr", "av", "mutagen.mp3", "librosa"
        with WorkerPool(1, librosa={librosa}) as pool:
            print(*(outcome for _, outcome in pool.map_unordered(loaded, [names])))
        """,
        tmp_path,
    )
    assert done.stdout.strip() == str((True, True, True, librosa))


def test_a_crash_costs_only_the_file_that_did_it() -> None:
    with WorkerPool(2) as pool:
        outcomes = dict(pool.map_unordered(crash_on_three, range(30)))
    crashed = outcomes.pop(3)
    assert isinstance(crashed, AudioError)
    assert not isinstance(crashed, PassingError)
    assert "crashed" in crashed.message
    assert outcomes == {n: n for n in range(30) if n != 3}


def test_a_hang_costs_only_the_file_that_did_it_and_only_for_now() -> None:
    with WorkerPool(2, time_limit_s=0.5) as pool:
        outcomes = dict(pool.map_unordered(hang_on_three, range(30)))
    hung = outcomes.pop(3)
    assert isinstance(hung, PassingError)
    assert hung.message == "took too long: more than 0.5 s"
    assert workers.exceeded_limit_s(hung.message) == 0.5
    assert workers.exceeded_limit_s("took too long: more than ever") is None
    assert outcomes == {n: n for n in range(30) if n != 3}


def test_a_process_killed_from_outside_costs_no_file(tmp_path: Path) -> None:
    marker = tmp_path / "killed"
    with WorkerPool(1) as pool:
        assert list(pool.map_unordered(be_killed_once, [marker])) == [(marker, "done")]


def test_a_file_whose_processes_are_always_killed_is_not_called_bad() -> None:
    with WorkerPool(2) as pool:
        outcomes = dict(pool.map_unordered(be_killed, range(5)))
    assert isinstance(outcomes[3], PassingError)
    assert "killed" in outcomes[3].message


def test_three_crashes_in_a_row_are_the_machines_fault_and_no_files() -> None:
    outcomes: list[object] = []
    with WorkerPool(1) as pool, pytest.raises(WorkerError, match="3 files in a row") as caught:
        outcomes.extend(pool.map_unordered(crash_below_three, range(5)))
    assert "--workers 1" in caught.value.hint
    assert outcomes == []


def test_two_crashes_are_reported_once_another_file_has_shown_that_the_machine_works() -> None:
    with WorkerPool(1) as pool:
        outcomes = list(pool.map_unordered(crash_below_three, [0, 1, 3, 2]))
    assert [item for item, _ in outcomes] == [3, 0, 1, 2]
    assert all(isinstance(outcome, AudioError) for _, outcome in outcomes[1:])


def test_a_missing_module_stops_the_run() -> None:
    with WorkerPool(2) as pool, pytest.raises(WorkerError, match="No module named 'no_such_modul"):
        list(pool.map_unordered(import_what_is_missing, range(5)))


def test_a_broken_installation_stops_the_run_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "soundfile.py").write_text("raise ImportError('libsndfile is for another processor')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(broken))
        patch.setattr("recsys.workers._servers", {})
        with WorkerPool(2) as pool, pytest.raises(WorkerError, match="for another processor"):
            list(pool.map_unordered(double, range(5)))


def test_the_server_loads_the_module_of_a_function_with_arguments() -> None:
    function = partial(audio.decode_whole, sample_rate=8000)
    assert workers._modules(function, librosa=False) == ("recsys.audio.decoding",)
    assert workers._modules(workers._Numbered(function), librosa=False) == (
        "recsys.audio.decoding",
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only a server forks")
def test_a_thread_gets_the_reason_for_which_another_stopped_their_server() -> None:
    server = workers._Server(())
    server.stop(workers.cannot_start("no decoder"))
    with pytest.raises(WorkerError, match="no decoder"):
        server.fork()


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("megabytes", [100, 200, 400])
def test_a_process_without_memory_to_start_in_stops_the_run(tmp_path: Path, megabytes: int) -> None:
    done = run_script(
        f"""
        import resource
        from worker_functions import double
        from recsys.workers import WorkerPool
        resource.setrlimit(resource.RLIMIT_AS, ({megabytes} * 2**20, {megabytes} * 2**20))
        with WorkerPool(1, librosa=True) as pool:
            list(pool.map_unordered(double, [1]))
        """,
        tmp_path,
    )
    assert "WorkerError: the decoding processes cannot start" in done.stderr


def test_what_libraries_write_on_standard_error_is_dropped(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with WorkerPool(1) as pool:
        assert dict(pool.map_unordered(write_on_stderr, ["noise"])) == {"noise": 5}
    assert capfd.readouterr() == ("", "")


def test_relative_paths_mean_the_same_in_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with WorkerPool(1) as pool:
        assert list(pool.map_unordered(working_directory, [1])) == [(1, tmp_path)]


def test_a_pool_can_be_closed_while_all_its_processes_hang() -> None:
    with WorkerPool(2) as pool:
        outcomes = pool.map_unordered(hang_on_three, [0, 3, 3])
        assert next(outcomes) == (0, 0)


def test_a_script_without_a_main_guard_works(tmp_path: Path) -> None:
    result = run_script(
        """
        from worker_functions import double
        from recsys.workers import WorkerPool
        print("started")
        with WorkerPool(1) as pool:
            print(dict(pool.map_unordered(double, [21])))
        """,
        tmp_path,
    )
    assert (result.stdout, result.stderr) == ("started\n{21: 42}\n", "")


MUSIC_STUBS = ("numpy", "recsys", "av", "soundfile", "multiprocessing", "mutagen", "scipy")
MODULE_STUBS = ("json", "sitecustomize", "usercustomize", "pickle", "socket", "soxr", "librosa")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A working directory full of modules that must not be imported."""
    directory = tmp_path / "working directory"
    marker = tmp_path / "imported"
    directory.mkdir()
    code = f"open({str(marker)!r}, 'a').write(__name__ + ' ')\nraise ImportError('a trap')\n"
    for name in MUSIC_STUBS:
        (directory / name).mkdir()
        (directory / name / "__init__.py").write_text(code)
    for name in MODULE_STUBS:
        (directory / f"{name}.py").write_text(code)
    return directory


def index_music(command: list[str | Path], trap: Path, make_sound: Path) -> None:
    done = subprocess.run(
        [*command, "index", make_sound, "--db", trap.parent / "l.db", "--json"],
        cwd=trap,
        capture_output=True,
        text=True,
        check=False,
    )
    imported = trap.parent / "imported"
    assert not imported.exists(), imported.read_text()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 22050 * 3)
    soundfile.write(folder / "noise.wav", noise, 22050)
    return folder


def test_the_command_imports_nothing_from_the_working_directory(trap: Path, music: Path) -> None:
    start = trap.parent / "recsys-command"
    start.write_text("from recsys.cli.main import main\nmain()\n")
    index_music([sys.executable, start], trap, music)


def test_the_library_imports_nothing_from_the_working_directory(trap: Path, music: Path) -> None:
    script = trap.parent / "script.py"
    script.write_text(
        "import sys\nfrom recsys import Library\n"
        "_, _, music, _, database, _ = sys.argv\n"
        "assert Library(database).index(music).indexed == 1\n"
    )
    index_music([sys.executable, script], trap, music)


def test_python_m_imports_no_library_from_the_working_directory(trap: Path, music: Path) -> None:
    # What is called recsys there, or like a module that Python itself needs to find it, is
    # imported before any code of recsys runs: python -P -m recsys prevents that.
    for name in ("recsys", "pickle", "json", "socket"):
        shutil.rmtree(trap / name, ignore_errors=True)
        (trap / f"{name}.py").unlink(missing_ok=True)
    index_music([sys.executable, "-m", "recsys"], trap, music)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import sys
        sys.path.append({str(HERE)!r})
        from worker_functions import hang_on_three
        from recsys.workers import WorkerPool
        pool = WorkerPool(2)
        results = pool.map_unordered(hang_on_three, [0, 1, 2, 3, 3])
        next(results), next(results), next(results)
        print(*pool.pids(), flush=True)
        sys.stdin.read()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == 2
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


def test_a_hang_holds_no_other_result_back_and_is_named() -> None:
    with WorkerPool(2, time_limit_s=60) as pool:
        stream = pool.stream(hang_on_three, range(4), 0.05)
        results: list[object] = []
        while len(results) < 3:
            results += [pair for pair in [next(stream)] if pair is not None]
        assert set(results) == {(0, 0), (1, 1), (2, 2)}
        assert next(stream) is None  # nothing came, and the caller can do something else
        ((item, seconds),) = pool.slow(0.01)
        assert item == 3
        assert seconds > 0.01
        assert pool.slow(1000) == []
        stream.close()
    assert pool.slow(0) == []


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs a folder for its errors here")
def test_no_folder_for_temporary_files_is_needed(tmp_path: Path) -> None:
    done = run_script(
        """
        from worker_functions import double
        from recsys.workers import WorkerPool
        if __name__ == "__main__":
            with WorkerPool(1) as pool:
                print(*pool.map_unordered(double, [2]))
        """,
        tmp_path,
        TMPDIR=str(tmp_path / "none" / ("long" * 50)),
    )
    assert done.stdout.strip() == "(2, 4)", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only a server forks")
def test_new_processes_that_are_killed_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = workers._start, []

    def killed_at_first(modules: tuple[str, ...]) -> workers._Worker:
        worker = start(modules)
        started.append(worker.pid)
        if len(started) <= workers.ATTEMPTS_ALONE:
            os.kill(worker.pid, signal.SIGKILL)
        return worker

    monkeypatch.setattr("recsys.workers._start", killed_at_first)
    with WorkerPool(1) as pool:
        assert list(pool.map_unordered(double, [2])) == [(2, 4)]
    assert len(started) == 1 + workers.ATTEMPTS_ALONE


class _Dying:
    """A stub of a worker that starts, and ends by a signal when it is to decode."""

    def __init__(self, signal_number: int) -> None:
        self.exit_code: int | None = None
        self._signal = signal_number

    def call(self, message: object, _: float) -> None:
        if message == workers.PROVE:
            raise ConnectionError

    def end(self) -> None:
        self.exit_code = -self._signal


@pytest.mark.parametrize(
    ("signals", "started"),
    [([9, 11, 11, 11], 2), ([11, 9], 1), ([9, 9, 11, 11], 3), ([9, 9, 9, 9, 9], 3)],
)
def test_what_is_killed_is_tried_again_a_few_times_and_what_crashes_is_not(
    monkeypatch: pytest.MonkeyPatch, signals: list[int], started: int
) -> None:
    dying = iter(signals)
    monkeypatch.setattr("recsys.workers._start", lambda _: _Dying(next(dying)))
    with pytest.raises(WorkerError, match=rf"decoding ends it \(-{signals[started - 1]}\)"):
        WorkerPool(1)._started((), prove=True)
    assert list(dying) == signals[started:]


def test_a_server_that_is_always_killed_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def killed(_: tuple[str, ...]) -> workers._Worker:
        started.append(1)
        raise workers.cannot_start("the server was killed", workers._KilledError)

    monkeypatch.setattr("recsys.workers._start", killed)
    with WorkerPool(1) as pool, pytest.raises(WorkerError, match="the server was killed"):
        list(pool.map_unordered(double, [1]))
    assert len(started) == 1 + workers.ATTEMPTS_ALONE
