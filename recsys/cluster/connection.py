"""The way into a Ray cluster: one that is there, or one started for a run."""

from __future__ import annotations

import _thread
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from recsys.errors import RecsysError, require

if TYPE_CHECKING:
    from collections.abc import Iterator

# Connects to a Ray cluster and lets go again: ``python -m recsys.cluster.connection ADDRESS``.


QUIET = 50
"""Level of logging above which Ray has nothing to say."""


def main(address: str) -> int:
    """Connect; return the exit code."""
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=QUIET)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
        sys.stdout.write(" ".join(str(error).split()) + "\n")
        return 1
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))


# ----------------------------------------------------------------------


LOCAL = "local"
"""The address that means: start Ray on this machine, for this run alone."""

ANSWER_S = 5.0
"""So long a cluster may take to answer before it counts as not there."""

PROBE_S = 30.0
"""So long something that does answer may take to turn out to be a cluster."""

WATCH_S, WATCH_TIMES = 5.0, 6
"""How often the head is looked for, and how often in a row in vain before it counts as gone."""

_LOOK_S = 60.0
_CLIENT = "ray://"


class ClusterError(RecsysError):
    """A Ray cluster that is not there, or cannot do the work."""


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Be connected to a cluster while something is done.

    Parameters
    ----------
    address : str or None
        ``HOST:PORT`` of a cluster's head, ``auto`` for the one that runs on this machine, or
        ``local`` to start one; None for ``RAY_ADDRESS``, or else ``local``.

    Yields
    ------
    module
        Ray.

    Raises
    ------
    ClusterError
        On entering: it is not there, or of another version.
    MissingExtraError
        On entering: Ray is not installed.
    """
    # Ray reports to its makers unless it is told not to; nothing leaves the machine from here.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What its native part has to say stands in its own logs, too.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    ray = require("ray", "ray")
    require("ray.data", "ray")
    if ray.is_initialized():
        yield ray  # a program that has its own cluster knows best
        return
    if address != LOCAL:
        _check_answers(address)
    before = signal.getsignal(signal.SIGTERM)
    _start(ray, address)
    _silence_reports()
    # Ray takes the signal for itself; the program's own way to end has to stay.
    signal.signal(signal.SIGTERM, before)
    watch = HeadWatch(ray.get_runtime_context().gcs_address)
    watch.start()
    try:
        yield ray
    except KeyboardInterrupt:
        if watch.lost:
            raise watch.error() from None
        raise
    finally:
        watch.stop()
        if not watch.lost:  # without its head, Ray would wait for it
            ray.shutdown()


_SIGNAL: signal.Signals | None = getattr(signal, "SIGUSR2", None)
"""By which the main thread is woken, where there are such signals."""


class HeadWatch(threading.Thread):
    """Interrupts the program when the head of the cluster is gone.

    Ray itself waits for a minute, and then ends the process without a word and with all that it
    has in hand.

    Parameters
    ----------
    address : str
        Of the head, ``HOST:PORT``.

    Attributes
    ----------
    lost : bool
        The head is gone; the ``KeyboardInterrupt`` that follows is this one's.
    """

    def __init__(self, address: str) -> None:
        super().__init__(name="recsys-head-watch", daemon=True)
        self.lost = False
        self._address = address
        self._ended = threading.Event()
        self._signal: signal.Signals = signal.SIGINT

    def start(self) -> None:
        """Begin."""
        # SIGINT is ignored where a shell has started the program in the background.
        if _SIGNAL is not None and threading.current_thread() is threading.main_thread():
            signal.signal(_SIGNAL, signal.default_int_handler)
            self._signal = _SIGNAL
        super().start()

    def run(self) -> None:
        """Look every few seconds."""
        silent = 0
        while not self._ended.wait(WATCH_S):
            silent = 0 if _listens(self._address) is None else silent + 1
            if silent == WATCH_TIMES:
                self.lost = True
                _interrupt(self._signal)
                return

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def error(self) -> ClusterError:
        """Return what to say."""
        return ClusterError(
            f"the head of the Ray cluster, {self._address}, does not answer any more",
            "What came back is written; run the command again when the cluster is there.",
        )


def _interrupt(number: signal.Signals) -> None:
    """Raise ``KeyboardInterrupt`` in the main thread, even while that waits for a lock."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main()


def _listens(address: str) -> OSError | OverflowError | None:
    """Return why nobody listens at an address, None if somebody does."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S):
            return None
    except (OSError, OverflowError) as error:
        return error


def _start(ray: Any, address: str) -> None:  # noqa: ANN401 (a module)
    settings: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(QUIET)
    try:
        with _silenced():
            ray.init(address=address, log_to_driver=False, logging_level=QUIET, **settings)
    except Exception as error:
        ray.shutdown()
        raise not_connected(address, " ".join(str(error).split())) from error


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep what Ray's own processes write while it connects off standard error."""
    try:
        saved = os.dup(2)
    except OSError:  # there is no standard error to protect
        yield
        return
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _silence_reports() -> None:
    """Keep what nodes report off standard output, where it would stand among results.

    There is no public switch for that.
    """
    sys.modules["ray._private.worker"].__dict__["_worker_logs_enabled"] = False


def not_connected(address: str, said: str) -> ClusterError:
    """Return the error for what Ray said when it did not connect."""
    if "ersion mismatch" in said:
        return ClusterError(
            f"the Ray cluster at {address} and this machine do not have the same versions ({said})",
            "Install the same Python and the same ray on all machines.",
        )
    if "uthentication" in said or "AuthToken" in said:
        return ClusterError(
            f"the Ray cluster at {address} and this machine do not agree on a token",
            "If the cluster has one, set RAY_AUTH_MODE=token and copy ~/.ray/auth_token from its "
            "head to this machine; if it has none, set RAY_AUTH_MODE=disabled.",
        )
    if address == LOCAL:
        return ClusterError(
            f"Ray does not start on this machine: {said}",
            "Its logs lie in /tmp/ray/session_latest/logs; is there room in memory and on disk?",
        )
    return ClusterError(
        f"the Ray cluster at {address} does not take this machine: {said}",
        "The machine from which you index must be part of the cluster (ray start --head, or "
        f"ray start --address={address}). If that has a token, ~/.ray/auth_token, set "
        "RAY_AUTH_MODE=token.",
    )


def _check_answers(address: str) -> None:
    """Ask for an answer first: Ray itself would go on asking for minutes."""
    if address.startswith(_CLIENT):
        raise ClusterError(
            f"{address} is the address of a Ray client, over which data does not flow",
            "Run recsys on a machine of the cluster, and give HOST:PORT of its head (port 6379 "
            "unless it was started with another).",
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(
            f"{address!r} is no address of a Ray cluster",
            "Give HOST:PORT of its head, auto for the one on this machine, or local to start one.",
        )
    silence = _listens(address)
    if silence is not None:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({silence})",
            "Start it with `ray start --head --port=PORT`, or leave --address out to use this "
            "machine alone.",
        )
    _probe(address)


def _probe(address: str) -> None:
    """Make sure that what answers is Ray, and takes this machine."""
    command = [sys.executable, "-m", "recsys.cluster.connection", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            f"what answers at {address} is no Ray cluster, or is out of order",
            "Check the port, and ask `ray status` on a machine of the cluster.",
        ) from error
    if done.returncode:
        lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
        raise not_connected(address, lines[-1] if lines else f"exit code {done.returncode}")


def check_machines(ray: Any, folders: tuple[str, ...]) -> None:  # noqa: ANN401 (a module)
    """Make sure that every machine of the cluster can do its part.

    Parameters
    ----------
    ray : module
        Connected.
    folders : tuple of str
        Which every machine has to see.

    Raises
    ------
    ClusterError
        One has no recsys or another version, or does not see a folder.
    """
    from importlib.metadata import version

    from recsys.cluster.worker import look_around

    strategies = require("ray.util.scheduling_strategies", "ray")
    nodes = [node for node in ray.nodes() if node["Alive"]]
    ask = ray.remote(num_cpus=0, max_retries=2)(look_around)
    asked = []
    for node in nodes:
        there = strategies.NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
        asked.append(ask.options(scheduling_strategy=there).remote(folders))
    for node, reference in zip(nodes, asked, strict=True):
        name = node["NodeManagerAddress"]
        try:
            found = ray.get(reference, timeout=_LOOK_S)
        except Exception as error:
            raise ClusterError(
                f"{name} cannot run recsys ({_last_line(error)})",
                f"Install recsys[ray] {version('recsys')} on every machine of the cluster, for the "
                "same Python.",
            ) from error
        if found["recsys"] != version("recsys"):
            raise ClusterError(
                f"{name} has recsys {found['recsys']}, this machine {version('recsys')}",
                "Install the same version on every machine of the cluster.",
            )
        if found["missing"]:
            raise ClusterError(
                f"{name} does not see {', '.join(found['missing'])}",
                "Mount it at the same place on every machine, or give a URL that all can reach.",
            )


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
