"""The child side of :mod:`recsys.workers`: the server that workers are forked from, and a worker.

The server is a fresh interpreter, started with ``python -P`` so that nothing is imported from the
working directory. It loads the libraries once, has one thread, and forks a worker on request:
workers start in milliseconds and share its memory.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import os
import pickle
import signal
import socket
import sys
import time
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import soxr

from recsys import audio, library
from recsys.mel import CompressedMel
from recsys.memory import keep_freed_memory
from recsys.workers import END_WAIT_S, PID, PROVE, as_outcome

__all__ = ["audio", "hashlib", "library", "serve", "soxr", "work"]


def serve(control_fd: int, modules: list[str]) -> None:
    """Fork and end workers on request of the parent; when the parent has gone, end them all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _warm_up(modules)
    gc.freeze()  # a collection in a worker would touch, and so copy, all shared memory
    children: set[int] = set()  # ended ones are kept until the parent asks for their exit code
    left: set[int] = set()  # those that it does not wait for
    replies = Connection(os.dup(control_fd))
    with socket.socket(fileno=control_fd) as control, contextlib.suppress(ConnectionError):
        while True:
            request, fds, _, _ = socket.recv_fds(control, PID.size, 1)
            if not request:
                break
            if fds:
                pid = _fork(fds[0], control, replies)
                os.close(fds[0])
                if isinstance(pid, int):
                    children.add(pid)
                replies.send(pid)
            else:
                (pid,) = PID.unpack(request)
                known = abs(pid) in children
                children.discard(abs(pid))
                if known and pid < 0:
                    os.kill(-pid, signal.SIGKILL)
                    left.add(-pid)
                replies.send(_end(pid) if known and pid > 0 else None)
            left -= {child for child in left if os.waitpid(child, os.WNOHANG)[0]}
    for child in children:
        os.kill(child, signal.SIGKILL)


def _warm_up(modules: list[str]) -> None:
    """Load modules, and run once what workers need, so that they share it."""
    for name in filter(None, modules):
        import_module(name)
    mel = CompressedMel()
    mel.compute(np.zeros((1, mel.window_length), dtype=np.float32))
    library.read_tags(Path(__file__))


def _fork(fd: int, control: socket.socket, replies: Connection[Any, Any]) -> int | str:
    """Fork a worker; return its process id, or the error."""
    try:
        pid = os.fork()
    except OSError as error:
        return str(error.strerror)
    if pid:
        return pid
    code = 1
    try:
        control.close()
        replies.close()
        work(Connection(fd))
        code = 0
    finally:
        os._exit(code)  # the server's exit handlers and buffers are not the worker's


def _end(pid: int) -> int | None:
    """Kill a child, if it has not ended, and return its exit code; minus the signal if killed."""
    # The id cannot belong to another process yet: only this one waits for the child.
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + END_WAIT_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return None


def work(connection: Connection[Any, Any]) -> None:
    """Apply functions to items until the parent closes the connection or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _silence()
    keep_freed_memory(large=False)
    try:
        directory, search_path = connection.recv()
        with contextlib.suppress(OSError):
            os.chdir(directory)
        sys.path.extend(entry for entry in search_path if entry not in sys.path)
        connection.send(None)
        while True:
            reply = _reply(connection.recv_bytes())
            try:
                connection.send(reply)
            except OSError:  # the parent has gone; not an error of the result
                raise
            except Exception as error:  # noqa: BLE001 (a result that cannot be pickled)
                connection.send((False, as_outcome(error)))
    except (EOFError, OSError):  # the parent has gone, or closed the connection
        return


def _silence() -> None:
    """Send the messages of C libraries about damaged files to the null device.

    libmpg123, inside libsndfile, reports every odd header on standard error and has no switch.
    """
    with contextlib.suppress(OSError), open(os.devnull, "wb") as sink:
        os.dup2(sink.fileno(), 2)


def _reply(task: bytes) -> tuple[bool, Any]:
    """Return whether memory ran out, and a result or an error as a value."""
    try:
        message = pickle.loads(task)
        if message == PROVE:
            _prove()
            return False, None
        function, item = message
        return False, function(item)
    except MemoryError as error:
        return True, as_outcome(error)
    except Exception as error:  # noqa: BLE001 (every error becomes an outcome)
        return False, as_outcome(error)


def _prove() -> None:
    """Encode and decode a second of noise with both libraries."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 22050).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, noise, 22050, format="FLAC")
    for library_of in (soundfile.read, _decode_with_ffmpeg):
        file.seek(0)
        library_of(file)


def _decode_with_ffmpeg(file: io.BytesIO) -> None:
    with av.open(file, "r") as container:
        for _ in container.decode(audio=0):
            pass
