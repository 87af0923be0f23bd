"""Processes that decode while the model runs, and that may crash without harm.

A file that makes a C decoder crash takes its process with it. The pool then starts anew, tries
the files that were in hand one at a time, and reports the one that did it as a failure.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from recsys.audio import silenced_libraries
from recsys.errors import AudioError, PassingError, RecsysError
from recsys.memory import keep_freed_memory

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_HAND_PER_WORKER = 12
"""Files given out per process: enough to keep all busy while the model runs over a batch."""

_THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)
"""How many threads linear algebra takes, as its libraries are told."""

CRASHED = AudioError(
    "the decoder crashed on this file", "It is damaged in a way that decoders do not survive."
)


def default_workers() -> int:
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerPool:
    """A pool of processes for functions of one file.

    Parameters
    ----------
    workers : int, optional
        Number of processes; by default as many as there are processors.
    librosa : bool
        The functions use librosa, so that it is loaded before there is more than one process.

    Notes
    -----
    Processes start with the first file, and use the "forkserver" method where there is one:
    the libraries are loaded once and their memory is shared, and nothing is forked from a
    process in which torch has started threads. The first pool of a program decides what they
    have at once; those of later ones load what they lack.
    """

    def __init__(self, workers: int | None = None, *, librosa: bool = True) -> None:
        self.workers = workers or default_workers()
        self._librosa = librosa
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map_unordered(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | RecsysError]]:
        """Apply a function to every item, and yield the outcomes as they come.

        Items are taken from the iterable only as fast as they are worked off, so it may be
        endless and memory stays flat.

        Parameters
        ----------
        function : callable
            Importable by name, with one argument that can be pickled.
        items : iterable
            What to apply it to.

        Yields
        ------
        (item, outcome)
            The result, or the error that it raised; an error that is not a
            :class:`RecsysError` is wrapped in an :class:`AudioError`.
        """
        source = iter(items)
        in_hand: dict[Future[Result], Item] = {}
        limit = self.workers * IN_HAND_PER_WORKER
        exhausted = False
        while True:
            while not exhausted and len(in_hand) < limit:
                try:
                    item = next(source)
                except StopIteration:
                    exhausted = True
                    break
                try:
                    in_hand[self._submit(function, item)] = item
                except BrokenProcessPool:
                    yield from self._one_at_a_time(function, [*in_hand.values(), item])
                    in_hand.clear()
            if not in_hand:
                return
            done, _ = wait(in_hand, return_when=FIRST_COMPLETED)
            if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                suspects = list(in_hand.values())
                in_hand.clear()
                yield from self._one_at_a_time(function, suspects)
                continue
            for future in done:
                item = in_hand.pop(future)
                outcome = _outcome(future)
                yield item, outcome

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | RecsysError]]:
        """Apply a function to every item, and yield the outcomes in the order of the items.

        As :meth:`map_unordered`; outcomes wait here for those of the items before them.
        """
        waiting: dict[int, tuple[Item, Result | RecsysError]] = {}
        following = 0
        for (number, item), outcome in self.map_unordered(_Numbered(function), enumerate(items)):
            waiting[number] = item, outcome
            while following in waiting:
                yield waiting.pop(following)
                following += 1

    def _one_at_a_time(
        self, function: Callable[[Item], Result], suspects: list[Item]
    ) -> Iterator[tuple[Item, Result | RecsysError]]:
        self.close()
        for item in suspects:
            future = self._submit(function, item)
            wait([future])
            if isinstance(future.exception(), BrokenProcessPool):
                self.close()
                yield item, CRASHED
            else:
                outcome = _outcome(future)
                yield item, outcome

    def _submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.workers,
                mp_context=_context(_preloaded(function, librosa=self._librosa)),
                initializer=_start_worker,
            )
            # What goes wrong in them comes back as a value; what they and their server write when
            # this process is stopped is noise, and so is what C libraries say of damaged files.
            with _launching(), silenced_libraries():
                return self._executor.submit(function, item)
        with _launching():
            return self._executor.submit(function, item)

    def close(self) -> None:
        """Stop the processes without waiting for what they have in hand."""
        if self._executor is None:
            return
        processes = list((self._executor._processes or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        self._executor = None


@dataclass(frozen=True, slots=True)
class _Numbered(Generic[Item, Result]):
    """A function of one item, for items that carry their place."""

    function: Callable[[Item], Result]

    def __call__(self, item: tuple[int, Item]) -> Result:
        return self.function(item[1])


def _outcome(future: Future[Result]) -> Result | RecsysError:
    """Return what came of a finished task: its result, or an error as a value."""
    error = future.exception()
    return future.result() if error is None else as_outcome(error)


def as_outcome(error: BaseException) -> RecsysError:
    """Return what a function of one file raised as an error that says what is to be done.

    Parameters
    ----------
    error : BaseException
        A :class:`RecsysError` stays as it is. Trouble with memory or the system may pass; anything
        else lies in the file.
    """
    if isinstance(error, RecsysError):
        return error
    if isinstance(error, OSError | MemoryError):
        return PassingError(f"cannot read it now: {error or type(error).__name__}")
    return AudioError(
        f"unexpected {type(error).__name__}: {error}",
        "Please report this file: it meets a case that the decoder wrapper does not know.",
    )


def _context(preloaded: list[str]) -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preloaded)
    return context


def _preloaded(function: Callable[[Item], Result], *, librosa: bool) -> list[str]:
    """Return the modules that every process needs: the libraries, and that of the function."""
    if isinstance(function, _Numbered):
        function = function.function
    home = getattr(function, "__module__", "__main__")
    modules = ["recsys.worker_preload"]
    modules += ["recsys.worker_preload_librosa"] if librosa else []
    return modules + ([home] if home.partition(".")[0] == "recsys" else [])


@contextlib.contextmanager
def _launching() -> Iterator[None]:
    """Set the scene in which processes start.

    Their functions are importable by name, so they need not run the caller's script again: with
    the main module out of sight, a script without ``if __name__ == "__main__"`` works too. One
    thread each for linear algebra, because the processes already use every processor.
    """
    main = sys.modules["__main__"]
    blocked = _block_interrupts()
    threads = {name: os.environ.get(name) for name in _THREADS}
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name, number in threads.items():
            if number is None:
                del os.environ[name]
            else:
                os.environ[name] = number
        if blocked is not None:  # last: a Ctrl-C that waited arrives here
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _block_interrupts() -> set[int | signal.Signals] | None:
    """Hold Ctrl-C back: the processes inherit that, and leave it to this one to stop them."""
    if not hasattr(signal, "pthread_sigmask"):
        return None
    return signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when it ends, even by ``kill -9``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory(large=False)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
