"""Worker processes with crash isolation and a time limit per item.

A thread drives each process: it sends one item, waits for the outcome, and replaces the process
when it crashes or exceeds the limit. So a file that crashes or hangs a C decoder costs that one
file. Each process has a socket of its own: no queue or lock is shared, so one that is killed
at any moment leaves nothing torn or locked behind. (That rules out pebble, whose processes share
a pipe and its locks; loky knows no time limit and drops all items when one process crashes.)
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, Generic, Self, TypeVar

from recsys.errors import AudioError, PassingError, RecsysError, WorkerError, cannot_read
from recsys.types import TIME_LIMIT_S

Item = TypeVar("Item")
Result = TypeVar("Result")

WHOLE_FILE_LIMIT_S = 900.0
"""Limit for functions of whole files, or that compile code for the first one."""

IN_FLIGHT_PER_WORKER = 12
"""Items taken ahead per process: enough to keep all busy while a model runs over a batch."""

ATTEMPTS_ALONE = 2
"""Retries of an item that ended its process, alone, before the item is blamed."""

CRASHES_IN_A_ROW = 3
"""Consecutive items that end their processes from which the machine is to blame."""

PID = struct.Struct("!i")
"""A request to the server: the id of a worker to end, minus the id of one not to wait for, or 0
with the socket of one to fork."""

PROVE = "prove"
"""A request to a worker: show that it can decode at all."""

END_WAIT_S = 2.0
"""A killed process that is still there after this long waits for a device; it is left alone."""

START_LIMIT_S = 300.0
"""A server or worker that has not started after this long cannot start."""

_THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    "RAYON_NUM_THREADS",
)
"""Set to 1 for workers: the processes already use every processor."""

_SERVE = """\
import sys
sys.path.extend(entry for entry in sys.argv[3:] if entry not in sys.path)
from recsys.worker_server import serve
serve(int(sys.argv[1]), sys.argv[2].split(","))
"""

CRASHED = AudioError(
    "the decoder crashed on this file", "It is damaged in a way that decoders do not survive."
)
KILLED = PassingError(
    "the process that decoded it was killed, every time",
    "The system may be short of memory; the next run tries it again.",
)


def default_workers() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerPool:
    """A pool of processes for functions of one file, by default one per processor.

    Processes start with the first item. Nothing that they import comes from the working
    directory, and they never run the caller's script. With `librosa`, it is loaded before there is
    more than one process. A process that exceeds the limit with one item is killed.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        librosa: bool = False,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> None:
        self.workers = workers or default_workers()
        self.time_limit_s = time_limit_s
        self._librosa = librosa
        self._threads: ThreadPoolExecutor | None = None
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closing = threading.Event()
        self._working: dict[int, tuple[object, float]] = {}  # item and start, by thread

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pids(self) -> list[int]:
        """Return the ids of the present processes."""
        return [worker.pid for worker in self._all]

    def map_unordered(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | RecsysError]]:
        """Apply a function to every item, and yield (item, outcome) as they come.

        The outcome is the result, or the error that was raised as :func:`as_outcome` returns it.
        The function is importable by name. Items are taken from the iterable only as fast as they
        are processed, so that it may be endless and memory stays flat.

        Raises
        ------
        WorkerError
            Processes cannot start, or `CRASHES_IN_A_ROW` items in a row ended theirs. No outcome is
            yielded for these items.
        """
        return (pair for pair in self.stream(function, items, None) if pair is not None)

    def stream(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        pause_s: float | None,
    ) -> Iterator[tuple[Item, Result | RecsysError] | None]:
        """As :meth:`map_unordered`, but also yield None whenever nothing came for `pause_s`."""
        source = iter(items)
        in_flight: dict[Future[_Outcome[Result]], Item] = {}
        suspects: list[tuple[Item, Result | RecsysError]] = []
        try:
            while self._take(function, source, in_flight):
                done, _ = wait(in_flight, pause_s, return_when=FIRST_COMPLETED)
                if not done:
                    yield None
                for future in done:
                    item, outcome = in_flight.pop(future), future.result()
                    if isinstance(outcome.value, WorkerError):
                        raise outcome.value
                    if outcome.suspect:
                        suspects.append((item, outcome.value))
                        if len(suspects) >= CRASHES_IN_A_ROW:
                            raise _crashing([name for name, _ in suspects])
                        continue
                    yield item, outcome.value
                    # Held back until another item showed that the machine works.
                    yield from suspects
                    suspects.clear()
            yield from suspects
        finally:
            for future in in_flight:
                future.cancel()

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | RecsysError]]:
        """Apply a function to every item, and yield the outcomes in the order of the items.

        As :meth:`map_unordered`; outcomes wait here for those of the items before them.
        """
        waiting: dict[int, tuple[Item, Result | RecsysError]] = {}
        following = 0
        for (position, item), outcome in self.map_unordered(_Numbered(function), enumerate(items)):
            waiting[position] = item, outcome
            while following in waiting:
                yield waiting.pop(following)
                following += 1

    def slow(self, least_s: float) -> list[tuple[Any, float]]:
        """Return the items that processes have worked on for this long, and for how long."""
        now = time.monotonic()
        ages = [(item, now - start) for item, start in list(self._working.values())]
        return sorted(((i, age) for i, age in ages if age >= least_s), key=lambda pair: -pair[1])

    def close(self) -> None:
        """Stop the processes without waiting for their items."""
        if self._threads is None:
            return
        self._closing.set()
        for worker in list(self._all):
            worker.leave()
        self._threads.shutdown(cancel_futures=True)
        for worker in list(self._all):  # idle ones
            self._end(worker)
        self._idle.clear()
        self._threads = None
        self._closing.clear()

    def _take(
        self,
        function: Callable[[Item], Result],
        source: Iterator[Item],
        in_flight: dict[Future[_Outcome[Result]], Item],
    ) -> bool:
        """Submit items until enough are in flight; return whether there are any to wait for."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.workers)
        while len(in_flight) < self.workers * IN_FLIGHT_PER_WORKER:
            try:
                item = next(source)
            except StopIteration:
                break
            try:
                in_flight[self._threads.submit(self._outcome, function, item)] = item
            except RuntimeError as error:  # no memory for another thread
                raise cannot_start(str(error)) from error
        return bool(in_flight)

    def _outcome(self, function: Callable[[Item], Result], item: Item) -> _Outcome[Result]:
        """Return the outcome of one item, in a process that only this thread uses."""
        thread = threading.get_ident()
        self._working[thread] = item, time.monotonic()
        try:
            return self._tried(function, item)
        finally:
            del self._working[thread]

    def _tried(self, function: Callable[[Item], Result], item: Item) -> _Outcome[Result]:
        """Try an item; where it ends its process, try it again alone."""
        modules = _modules(function, librosa=self._librosa)
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = self._started(modules)
        try:
            return self._answer(worker, function, item)
        except ConnectionError:
            pass
        # The item may not be to blame: the system, or a user, may have killed the process.
        exit_codes = []
        for _ in range(ATTEMPTS_ALONE):
            worker = self._started(modules, prove=True)
            try:
                return self._answer(worker, function, item)
            except ConnectionError:
                exit_codes.append(worker.exit_code)
        killed = any(code in (None, -signal.SIGTERM, -signal.SIGKILL) for code in exit_codes)
        return _Outcome(KILLED if killed else CRASHED, suspect=True)

    def _answer(
        self, worker: _Worker, function: Callable[[Item], Result], item: Item
    ) -> _Outcome[Result]:
        """Return the outcome of one item; ConnectionError if the process ended first.

        The worker is idle again, or has ended.
        """
        try:
            suspect, value = worker.call((function, item), self.time_limit_s)
        except TimeoutError:
            self._end(worker)
            return _Outcome(_too_long(self.time_limit_s))
        except ConnectionError:
            self._end(worker)
            if self._closing.is_set():
                return _Outcome(WorkerError("the pool was closed"))
            raise
        self._idle.append(worker)
        return _Outcome(value, suspect)

    def _started(self, modules: tuple[str, ...], *, prove: bool = False) -> _Worker:
        """Return a new worker; WorkerError if it cannot start, or cannot decode where it is to.

        The system kills when memory is short, which may be over in a moment: so what was killed is
        tried again, a few times in all.
        """
        for _ in range(ATTEMPTS_ALONE):
            with contextlib.suppress(_KilledError):
                return self._new(modules, prove=prove)
        return self._new(modules, prove=prove)

    def _new(self, modules: tuple[str, ...], *, prove: bool) -> _Worker:
        """Return a new worker that shares loaded modules with others, or raise WorkerError.

        If not even a known sound decodes, the installation is to blame and not an item.
        """
        worker, doing = _start(modules), "starting"
        self._all.add(worker)
        if self._closing.is_set():  # too late for close() to see it
            self._end(worker)
            raise WorkerError("the pool was closed")
        try:
            worker.call((_working_directory(), _search_path()), START_LIMIT_S)
            problem = None
            if prove:
                doing = "decoding"
                _, problem = worker.call(PROVE, self.time_limit_s)
        except (ConnectionError, TimeoutError) as error:
            self._end(worker)
            kind = _KilledError if worker.exit_code in (None, -signal.SIGKILL) else WorkerError
            raise cannot_start(f"{doing} ends it ({worker.exit_code})", kind) from error
        if problem is not None:
            self._end(worker)
            raise cannot_start(problem.message)
        return worker

    def _end(self, worker: _Worker) -> None:
        worker.end()
        self._all.discard(worker)


def apply(
    function: Callable[[Item], Result], item: Item, *, time_limit_s: float = TIME_LIMIT_S
) -> Result:
    """Return the result of a function of one item, computed in a worker process, or raise."""
    with WorkerPool(1, time_limit_s=time_limit_s) as pool:
        ((_, outcome),) = pool.map_unordered(function, [item])
    if isinstance(outcome, RecsysError):
        raise outcome
    return outcome


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[Result]):
    """The outcome of an item; a suspect may have failed because of the machine."""

    value: Result | RecsysError
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class _Numbered(Generic[Item, Result]):
    """A function of one item, applied to items with their positions."""

    function: Callable[[Item], Result]

    def __call__(self, item: tuple[int, Item]) -> Result:
        return self.function(item[1])


def as_outcome(error: BaseException) -> RecsysError:
    """Return an exception of a function of one file as an error with a hint.

    A :class:`RecsysError` stays as it is. A module that cannot be imported is blamed on the
    installation, errors of memory or the system may pass, and all others are blamed on the file.
    """
    if isinstance(error, RecsysError):
        return error
    if isinstance(error, ImportError):
        return cannot_start(f"{type(error).__name__}: {error}")
    if isinstance(error, OSError | MemoryError):
        return cannot_read(error)
    return AudioError(
        f"unexpected {type(error).__name__}: {error}",
        "Please report this file: it meets a case that the decoder wrapper does not know.",
    )


class _KilledError(WorkerError):
    """A process was killed before it had an item; the next one may not be."""


def cannot_start(reason: str, kind: type[WorkerError] = WorkerError) -> WorkerError:
    """Return the error for processes that cannot start or import what they need."""
    return kind(
        f"the decoding processes cannot start: {reason}",
        "Nothing was recorded against any file. Free memory or give --workers 1; if that does not "
        "help, the installation is broken: install recsys again in a new environment.",
    )


def _crashing(items: list[Any]) -> WorkerError:
    names = ", ".join(str(getattr(item, "path", item)) for item in items)
    return WorkerError(
        f"{len(items)} files in a row ended the process that decoded them: {names}",
        "The files are rarely to blame, and nothing was recorded against them. Free memory, give "
        "--workers 1, or install recsys again; if all others decode, move these away.",
    )


_TOO_LONG = "took too long: more than "


def _too_long(limit_s: float) -> PassingError:
    return PassingError(
        f"{_TOO_LONG}{limit_s:g} s",
        "The disk may be slow. The next run tries it once more; after that only one with a higher "
        "--time-limit or --retry-failed does.",
    )


def exceeded_limit_s(reason: str) -> float | None:
    """Return the time limit that a file exceeded, by the reason of its failure; None if none."""
    if reason.startswith(_TOO_LONG):
        with contextlib.suppress(ValueError):  # a reason from elsewhere
            return float(reason[len(_TOO_LONG) :].removesuffix(" s"))
    return None


def _modules(function: Callable[..., object], *, librosa: bool) -> tuple[str, ...]:
    """Return the modules that the server loads for its workers: the function's, and librosa."""
    while isinstance(function, _Numbered | partial):
        function = function.function if isinstance(function, _Numbered) else function.func
    home = getattr(function, "__module__", "")
    own = [home] if home.partition(".")[0] == "recsys" else []
    return (*own, *(["recsys.one_librosa"] if librosa else []))


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted
        return os.sep


def _search_path() -> list[str]:
    """Return the import path of this process without the working directory.

    Python puts that first for ``-c``, ``-m`` and the prompt. Where it belongs to the installation
    or to PYTHONPATH, the child adds it itself.
    """
    here = Path(_working_directory()).resolve()
    return [entry for entry in sys.path if entry and Path(entry).resolve() != here]


class _Worker:
    """Drives one worker process.

    `kill` ends it and returns its exit code if known; it waits for it, unless it is called with
    False.
    """

    def __init__(
        self, pid: int, connection: Connection[Any, Any], kill: Callable[[bool], int | None]
    ) -> None:
        self.pid = pid
        self.exit_code: int | None = None
        self._connection = connection
        self._kill = kill
        self._once = threading.Lock()
        self._killed = False

    def call(self, message: object, limit_s: float) -> Any:  # noqa: ANN401 (what it answers)
        """Return the answer to a message.

        ConnectionError if the process has ended, TimeoutError without an answer within the limit.
        """
        try:
            self._connection.send(message)
            # Polled again after the limit: this process may have been suspended meanwhile.
            if self._connection.poll(limit_s) or self._connection.poll(0):
                return self._connection.recv()
        except (EOFError, OSError) as error:
            raise ConnectionError(f"the process {self.pid} has ended") from error
        raise TimeoutError

    def kill(self) -> None:
        """End the process, from any thread; a thread that waits for it continues at once."""
        self._end(wait_for_it=True)

    def leave(self) -> None:
        """End the process without waiting for it: it may wait for a device."""
        self._end(wait_for_it=False)

    def _end(self, *, wait_for_it: bool) -> None:
        # Its process id may belong to another process after the first time.
        with self._once:
            if not self._killed:
                self._killed = True
                self.exit_code = self._kill(wait_for_it)

    def end(self) -> None:
        """End the process and close the connection."""
        self.kill()
        self._connection.close()


def _memory_file() -> IO[bytes]:
    """Return a file without a name, which needs no folder for temporary files where it can.

    Not a pipe: nobody reads it while the server runs, and a full pipe would stop the server.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("recsys"), "w+b")
    return tempfile.TemporaryFile()


class _Server:
    """Drives the process that forks workers; see :mod:`recsys.worker_server`.

    Its standard error is kept, to explain why it could not start.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._stopped: WorkerError | None = None
        self._errors = _memory_file()
        self._control, theirs = socket.socketpair()
        self._replies: Connection[Any, Any] = Connection(os.dup(self._control.fileno()))
        flags = {"-I": sys.flags.isolated, "-E": sys.flags.ignore_environment}
        flags["-s"] = sys.flags.no_user_site
        options = [flag for flag, given in flags.items() if given]
        arguments = [str(theirs.fileno()), ",".join(modules), *_search_path()]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, *options, "-P", "-c", _SERVE, *arguments],
                env={**os.environ, **dict.fromkeys(_THREADS, "1")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for this process, which then stops the others
            )

    def fork(self) -> _Worker:
        """Return a new worker, or raise WorkerError."""
        ours, theirs = socket.socketpair()
        connection = Connection(os.dup(ours.fileno()))
        try:
            with theirs:
                pid = self._forked(theirs)
        except WorkerError:
            connection.close()
            ours.close()
            raise

        def kill(wait_for_it: bool) -> int | None:
            # A process that waits for a device cannot be killed; it is not waited for.
            with contextlib.suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)
            ours.close()
            return self.end(pid, wait_for_it=wait_for_it)

        return _Worker(pid, connection, kill)

    def _forked(self, theirs: socket.socket) -> int:
        """Fork a worker that has one end of a socket; return its process id."""
        with self._lock:  # requests and replies alternate on one socket, for all threads
            if self._stopped is not None:  # by another thread, which met the error first
                raise self._stopped
            try:
                socket.send_fds(self._control, [PID.pack(0)], [theirs.fileno()])
                if not self._replies.poll(START_LIMIT_S):
                    raise cannot_start(f"no process after {START_LIMIT_S:g} s")
                answer: int | str = self._replies.recv()
            except (EOFError, OSError) as error:
                raise self._why_it_ended() from error
        if isinstance(answer, str):
            raise cannot_start(answer)
        return answer

    def end(self, pid: int, *, wait_for_it: bool = True) -> int | None:
        """Kill a worker and return its exit code, None if that is not known."""
        with self._lock:
            try:
                self._control.sendall(PID.pack(pid if wait_for_it else -pid))
                code: int | None = self._replies.recv()
            except (EOFError, OSError):  # the server was killed, the worker was not
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                return None
        return code

    def _why_it_ended(self) -> WorkerError:
        try:
            code = self.process.wait(START_LIMIT_S)
        except subprocess.TimeoutExpired:
            return cannot_start("the server of worker processes does not answer")
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        if code == -signal.SIGKILL or not (lines or code):
            return cannot_start("the server of worker processes was killed", _KilledError)
        return cannot_start(lines[-1] if lines else f"exit code {code}")

    def stop(self, reason: WorkerError) -> None:
        """End it, and its workers with it; threads that wait for it get the reason."""
        self.process.kill()  # before the lock: a thread that holds it waits for an answer
        with self._lock:
            self._stopped = reason
            self._replies.close()
            self._control.close()
            self.process.wait()
            self._errors.close()


_servers: dict[tuple[str, ...], _Server] = {}
"""Servers by their loaded modules."""

_servers_lock = threading.Lock()


def _start(modules: tuple[str, ...]) -> _Worker:
    """Return a new worker of a server, which this process keeps for all its pools."""
    if not hasattr(os, "fork"):  # Windows
        return _spawned()
    with _servers_lock:
        server = _servers.get(modules)
        if server is None:
            server = _servers[modules] = _Server(modules)
    try:
        return server.fork()
    except WorkerError as error:
        with _servers_lock:
            if _servers.get(modules) is server:
                del _servers[modules]
                server.stop(error)
        raise


def _spawned() -> _Worker:
    """Return a worker where processes cannot fork; scripts need a ``__main__`` guard there."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()

    def kill(wait_for_it: bool) -> int | None:
        process.kill()
        process.join(END_WAIT_S if wait_for_it else 0)
        return process.exitcode

    return _Worker(process.pid or 0, ours, kill)


def _work(connection: Connection[Any, Any]) -> None:
    import_module("recsys.worker_server").work(connection)  # which imports this module


@atexit.register
def _stop_servers() -> None:
    while _servers:
        _servers.popitem()[1].stop(WorkerError("this process ends"))
