"""A Ray cluster, as the command sees it: Ray itself runs in a process of its own.

That process (:mod:`recsys.cluster.driver`) connects to the cluster, sends it files and returns
tables. Ray prints, handles signals, and ends its process when the Ray of the machine died; the rows
that came back are in this process, and are written all the same.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
from queue import Empty, Queue
from typing import IO, TYPE_CHECKING, Any, Self

from recsys.errors import RecsysError, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys.cluster.sources import SourceFile
    from recsys.cluster.worker import Pipeline

LOCAL = "local"
"""Address: start Ray on this machine, for one run."""

HEAD_TIMEOUT_S = 5.0
"""Timeout of a connection to the head."""

JOIN_TIMEOUT_S, START_TIMEOUT_S = 30.0, 300.0
"""Timeout of joining a cluster, and of starting one on this machine."""

HEAD_CHECK_S, HEAD_CHECKS = 5.0, 6
"""While no table comes, the head is tried every so many seconds; after so many failures in a row it
counts as lost. Ray itself would wait for a minute, and then end its process."""

SHUTDOWN_TIMEOUT_S = 15.0
"""Time for Ray to shut down before its process is killed."""

TABLES_AHEAD = 64
"""Tables that wait here while a shard is written; then the cluster has to wait."""

_CLIENT = "ray://"


class ClusterError(RecsysError):
    """A Ray cluster that is not there, or cannot do the work."""


class Cluster:
    """A Ray cluster, to be used with ``with``.

    The address is ``HOST:PORT`` of its head, ``auto`` for the one that runs on this machine, or
    ``local`` to start one; None for ``RAY_ADDRESS``, or else ``local``. Entering raises
    ClusterError where it is not there or of another version.
    """

    def __init__(self, address: str | None) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS") or LOCAL
        self.gpus = 0  # of all machines
        self._head: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._answers: Queue[tuple[str, Any]] = Queue(TABLES_AHEAD)
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        if importlib.util.find_spec("ray") is None:
            require("ray", "ray")
        check_address(self.address)
        self._log = tempfile.TemporaryFile(prefix="recsys-")
        # -P and a folder of our own: neither the driver nor the workers, which get its working
        # directory for imports, load modules from the folder in which the user happens to be.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "recsys.cluster.driver", self.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=sys.prefix,
            start_new_session=True,  # Ctrl-C is for this process
        )
        self._reader.start()
        try:
            self._head, self.gpus = self._connect()
        except BaseException:
            self._end(kill=True)
            raise
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        # Without its head, Ray would wait for it.
        self._end(kill=isinstance(error, ClusterError))

    def _connect(self) -> tuple[str, int]:
        """Return the address of the head and the number of GPUs."""
        try:
            timeout_s = START_TIMEOUT_S if self.address == LOCAL else JOIN_TIMEOUT_S
            kind, value = self._answers.get(timeout=timeout_s)
        except Empty as error:
            raise ClusterError(
                f"what answers at {self.address} is no Ray cluster, or is out of order",
                "Check the port, and ask `ray status` on a machine of the cluster.",
            ) from error
        if kind == "ready":
            head, gpus = value
            return str(head), int(gpus)
        text = value if kind == "refused" else self._last_line()
        raise connection_refused(self.address, text)

    def check_machines(self, folders: Sequence[str]) -> None:
        """Raise ClusterError unless every machine has this recsys and sees these folders."""
        list(self._ask("check", tuple(folders)))

    def tables(
        self, pipeline: Pipeline, files: Sequence[SourceFile], *, alone: bool = False
    ) -> Iterator[Any]:
        """Analyse files, each in a task of its own if `alone`; yield tables with a shard's columns.

        The files come in any order. Ray retries on another machine what is lost with a process or a
        machine; files of a task that fails otherwise are missing from the tables. RecsysError where
        the cluster is lost or cannot run the model.
        """
        yield from self._ask("tables", (pipeline, list(files), alone))

    def _ask(self, request: str, value: object) -> Iterator[Any]:
        """Send a request, and yield the answers to it."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            pickle.dump((request, value), self._process.stdin, protocol=5)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._lost() from error
        while True:
            kind, answer = self._answer()
            if kind == "done":
                return
            if kind == "error":
                raise answer
            if kind == "ended":
                raise self._lost()
            yield answer

    def _answer(self) -> tuple[str, Any]:
        """Return the next answer of the driver, as long as the head is there."""
        failures = 0
        while True:
            try:
                return self._answers.get(timeout=HEAD_CHECK_S)
            except Empty:
                answers = self._head is None or connection_error(self._head) is None
                failures = 0 if answers else failures + 1
                if failures == HEAD_CHECKS:
                    raise ClusterError(
                        f"the head of the Ray cluster, {self._head}, does not answer any more",
                        "What came back is written; run the command again when the cluster is "
                        "there.",
                    ) from None

    def _read(self) -> None:
        """Put the answers of the driver into the queue, until it ends."""
        assert self._process is not None
        assert self._process.stdout is not None
        kind = ""
        while kind != "ended":
            try:
                kind, answer = pickle.load(self._process.stdout)
            except (EOFError, OSError, ValueError, pickle.UnpicklingError):
                kind, answer = "ended", None
            self._answers.put((kind, answer))

    def _end(self, *, kill: bool) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()  # the driver then shuts Ray down
        if kill:
            process.kill()
        ended = threading.Timer(SHUTDOWN_TIMEOUT_S, process.kill)
        ended.start()
        while self._reader.is_alive():  # it may wait for room in the queue
            with contextlib.suppress(Empty):
                self._answers.get(timeout=0.05)
        process.wait()
        ended.cancel()
        process.stdout.close()
        if self._log is not None:
            self._log.close()

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"the Ray of this machine ended: {self._last_line()}",
            "What came back is written; run the command again to go on from there.",
        )

    def _last_line(self) -> str:
        """Return the last line that the driver printed to standard error."""
        if self._log is None:
            return "no message"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "no message"


def connection_error(address: str) -> OSError | OverflowError | None:
    """Return why nothing answers at an address, None if something does."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=HEAD_TIMEOUT_S):
            return None
    except (OSError, OverflowError) as error:
        return error


def check_address(address: str) -> None:
    """Make sure that something answers at an address: Ray itself would try for minutes."""
    if address.startswith(_CLIENT):
        raise ClusterError(
            f"{address} is the address of a Ray client, over which data does not flow",
            "Run recsys on a machine of the cluster, and give HOST:PORT of its head (port 6379 "
            "unless it was started with another).",
        )
    if address in ("auto", LOCAL):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(
            f"{address!r} is no address of a Ray cluster",
            "Give HOST:PORT of its head, auto for the one on this machine, or local to start one.",
        )
    error = connection_error(address)
    if error is not None:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error})",
            "Start it with `ray start --head --port=PORT`, or leave --address out to use this "
            "machine alone.",
        )


def connection_refused(address: str, text: str) -> ClusterError:
    """Return the error for Ray's own message about a connection that failed."""
    if "ersion mismatch" in text:
        return ClusterError(
            f"the Ray cluster at {address} and this machine do not have the same versions ({text})",
            "Install the same Python and the same ray on all machines.",
        )
    if "uthentication" in text or "AuthToken" in text:
        return ClusterError(
            f"the Ray cluster at {address} and this machine do not agree on a token",
            "If the cluster has one, set RAY_AUTH_MODE=token and copy ~/.ray/auth_token from its "
            "head to this machine; if it has none, set RAY_AUTH_MODE=disabled.",
        )
    if address == LOCAL:
        return ClusterError(
            f"Ray does not start on this machine: {text}",
            "Its logs are in /tmp/ray/session_latest/logs. Check memory and disk space.",
        )
    return ClusterError(
        f"the Ray cluster at {address} does not take this machine: {text}",
        "The machine from which you index must be part of the cluster (ray start --head, or "
        f"ray start --address={address}). If that has a token, ~/.ray/auth_token, set "
        "RAY_AUTH_MODE=token.",
    )
