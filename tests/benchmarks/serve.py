"""How fast `recsys serve` answers many at once, while an index run writes.

    python -m tests.benchmarks.serve --tracks 100000 --clients 200 --writing

Each client asks for tracks similar to a random one, thinks for a while, and asks again; one more
likes tracks. With ``--writing`` a process stores new tracks, as an index run does. Printed are the
milliseconds an answer took, the processor time of the server for one, and its memory.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httpx
import numpy as np
import psutil

from recsys.index.sync import rebuild_index
from recsys.store import Store
from tests.benchmarks.measuring import MB
from tests.benchmarks.planted_libraries import (
    later_batch,
    make_library,
    music_of,
    planted_model,
    records,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event


WRITTEN_EACH_S = 25
"""What two processors analyse in a second."""


@dataclass(frozen=True, slots=True)
class Load:
    """Who asks, how often, and for how long."""

    address: str
    tracks: int
    clients: int
    think_s: float
    seconds: float


@dataclass(slots=True)
class Times:
    """Seconds that answers took, and statuses of those that were none."""

    similar: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@contextmanager
def served(database: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run `recsys serve`; yield its address and its process."""
    command = [sys.executable, "-m", "recsys", "serve", "--no-browser", "--json", "--port", "0"]
    with subprocess.Popen(
        [*command, "--db", str(database)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["address"], psutil.Process(process.pid)
        finally:
            process.terminate()


def write_beside(database: Path, tracks: int, seconds: float, ready: Event) -> None:
    """Store tracks that are new, as an index run does: some each second. Tells when it begins."""
    batch = later_batch(tracks, int(seconds * WRITTEN_EACH_S))
    new = records(batch, planted_model(), music_of(database))
    with Store.open(database) as store:
        ready.set()
        for start in range(0, len(new), WRITTEN_EACH_S):
            for record in (some := new[start : start + WRITTEN_EACH_S]):
                record.file.path.parent.mkdir(parents=True, exist_ok=True)
                record.file.path.touch()
            store.write(some)
            time.sleep(1)


class Connection:
    """A connection that is kept, of one client: no more than HTTP/1.1 needs.

    Those of libraries take longer for a request than the server for its answer.
    """

    def __init__(self, address: str) -> None:
        self._host, self._port = address.removeprefix("http://").rstrip("/").split(":")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Return the status and the content of an answer."""
        sent = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
        )
        if self._streams is None or self._streams[0].at_eof():  # the server ends what is idle
            self._streams = await asyncio.open_connection(self._host, int(self._port))
        reader, writer = self._streams
        writer.write(head.encode() + sent)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(line for line in lines if line.startswith(b"content-length:"))
        return int(status.split()[1]), await reader.readexactly(int(length.split(b":")[1]))


async def ask_all(load: Load) -> Times:
    """Let all clients ask."""
    times = Times()
    end = time.monotonic() + load.seconds
    async with asyncio.TaskGroup() as group:
        for number in range(load.clients):
            group.create_task(listener(load, random.Random(number), end, times))
        group.create_task(liker(load, random.Random(-1), end, times))
    return times


async def listener(load: Load, chance: random.Random, end: float, times: Times) -> None:
    """Ask for similar tracks till the end."""
    connection = Connection(load.address)
    await asyncio.sleep(chance.expovariate(1 / load.think_s))  # as if they had long been there
    while time.monotonic() < end:
        track = chance.randint(1, load.tracks)
        begun = time.perf_counter()
        status, content = await connection.ask("GET", f"/api/v1/tracks/{track}/similar?k=20")
        times.similar.append(time.perf_counter() - begun)
        if status != 200:
            times.failed.append(f"{status} {content[:200]!r}")
        pause_s = chance.expovariate(1 / load.think_s)
        await asyncio.sleep(max(0.0, min(pause_s, end - time.monotonic())))


async def liker(load: Load, chance: random.Random, end: float, times: Times) -> None:
    """Like a track twice a second till the end."""
    connection = Connection(load.address)
    while time.monotonic() < end:
        body = {"kind": "like", "seeds": [str(chance.randint(1, load.tracks))]}
        begun = time.perf_counter()
        status, content = await connection.ask("POST", "/api/v1/feedback", body)
        times.writes.append(time.perf_counter() - begun)
        if status != 201:
            times.failed.append(f"{status} {content[:200]!r}")
        await asyncio.sleep(0.5)


def shown(name: str, seconds: list[float]) -> None:
    """Print quantiles."""
    values = 1000 * np.quantile(seconds, [0.5, 0.9, 0.99, 1.0])
    pairs = zip(("p50", "p90", "p99", "max"), values, strict=True)
    figures = ", ".join(f"{quantile} {value:.0f}" for quantile, value in pairs)
    click.echo(f"{name:<8} {figures} ms, n = {len(seconds)}")


def measure(load: Load, server: psutil.Process) -> None:
    """Ask, and print what it took."""
    before = sum(server.cpu_times()[:2])
    times = asyncio.run(ask_all(load))
    spent = sum(server.cpu_times()[:2]) - before
    shown("similar", times.similar)
    shown("likes", times.writes)
    click.echo(f"answers  {len(times.similar) / load.seconds:.0f} a second")
    click.echo(f"server   {1000 * spent / len(times.similar):.1f} ms of processor time an answer")
    held = server.memory_full_info()
    click.echo(f"memory   {held.rss / MB:.0f} MB resident, {held.uss / MB:.0f} MB its own")
    click.echo(f"failed   {len(times.failed)} {times.failed[:3]}")


@click.command()
@click.option("--library", "given", type=click.Path(path_type=Path), help="A planted library.")
@click.option("--tracks", default=100_000, show_default=True)
@click.option("--clients", default=200, show_default=True)
@click.option("--think", default=2.0, show_default=True, help="Mean seconds between questions.")
@click.option("--seconds", default=30.0, show_default=True)
@click.option("--writing", is_flag=True, help="Store new tracks meanwhile.")
def main(
    given: Path | None, tracks: int, clients: int, think: float, seconds: float, *, writing: bool
) -> None:
    """Measure the server."""
    with tempfile.TemporaryDirectory() as folder:
        database = given or Path(folder) / "library.db"
        if not database.exists():
            make_library(database, tracks)
            with Store.open(database) as store:
                rebuild_index(store)
        with served(database) as (address, server):
            first = httpx.get(f"{address}api/v1/tracks/1/similar", timeout=120)
            click.echo(f"first    {first.elapsed.total_seconds():.2f} s")
            ready = multiprocessing.Event()
            writer = multiprocessing.Process(
                target=write_beside, args=(database, tracks, seconds, ready)
            )
            if writing:
                writer.start()
                ready.wait()
            measure(Load(address, tracks, clients, think, seconds), server)
            if writing:
                writer.join()


if __name__ == "__main__":
    main()
