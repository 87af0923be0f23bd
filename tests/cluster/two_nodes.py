"""A real Ray cluster of two nodes on this machine, started as its users start one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).parents[2]
READY_S = 90.0
TRUSTING = {"RAY_AUTH_MODE": "disabled"}
"""For every process of a cluster that nobody else can reach."""

OBJECT_STORE_BYTES = 100 * 2**20


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = READY_S) -> None:
    """Poll; fail with words when the deadline has passed."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Node:
    """``ray start --block`` and everything below it."""

    process: subprocess.Popen[bytes]
    log: Path

    def below(self, words: str) -> list[psutil.Process]:
        """Return the processes of this node whose command line holds these words."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    if words in " ".join(process.cmdline()):
                        found.append(process)
        return found

    def stop(self) -> None:
        """End it and all that it started, whatever state it is in."""
        everything = [self.process.pid]
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.process.pid).children(recursive=True)
            everything += [process.pid for process in below]
        for pid in everything:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class TwoNodes:
    """A head and a second node with a processor each.

    Attributes
    ----------
    address : str
    folder : Path
        Of Ray's own files; short, because the names of sockets have a limit.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"

    def start_head(self) -> Node:
        return self._start("--head", f"--port={self.port}", f"--temp-dir={self.folder}")

    def start_second(self) -> Node:
        return self._start(f"--address={self.address}")

    def _start(self, *options: str) -> Node:
        log = self.folder / f"node-{len(self.nodes)}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        ray = Path(sys.executable).with_name("ray")
        command = [
            *(str(ray), "start", "--block", "--disable-usage-stats", "--num-cpus=1"),
            *("--node-ip-address=127.0.0.1", f"--object-store-memory={OBJECT_STORE_BYTES}"),
            *options,
        ]
        if "--head" in options:
            command += ["--include-dashboard=false", f"--ray-client-server-port={free_port()}"]
        environment = {
            **os.environ,
            **TRUSTING,
            **self.environment,
            "PYTHONPATH": str(REPOSITORY),  # for what tests send there
            "OMP_NUM_THREADS": "1",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        node = Node(process, log)
        self.nodes.append(node)
        wait_until(lambda: node.below("/raylet/raylet") or process.poll() is not None, "raylet")
        assert process.poll() is None, log.read_text()
        return node

    def wait_for_nodes(self, count: int) -> None:
        """Wait until so many nodes have joined."""
        wait_until(lambda: self._alive() == count, f"{count} nodes")

    def _alive(self) -> int:
        # Asked in a process apart: one that is connected to Ray stays with its first cluster.
        script = (
            "import ray\n"
            f"ray.init(address={self.address!r}, log_to_driver=False, logging_level='ERROR')\n"
            "print('nodes', sum(node['Alive'] for node in ray.nodes()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **TRUSTING},
        )
        return int(done.stdout.partition("nodes ")[2] or 0)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that decode and analyse at this moment."""
        return [process for node in self.nodes for process in node.below("ray::MapBatches")]

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def two_nodes(**environment: str) -> Iterator[TwoNodes]:
    """Have a cluster of two nodes; it is gone afterwards, whatever happens."""
    cluster = TwoNodes(Path(tempfile.mkdtemp(prefix="ray", dir="/tmp")), environment)
    try:
        cluster.start_head()
        cluster.start_second()
        cluster.wait_for_nodes(2)
        yield cluster
    finally:
        cluster.stop()
