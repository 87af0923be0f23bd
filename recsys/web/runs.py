"""Index runs that were started from the page: one at a time, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import Request
from starlette.responses import Response

from recsys.library import absolute
from recsys.web.answers import ApiProblem, answer
from recsys.web.children import child
from recsys.web.rates import limited
from recsys.web.routing import Ask, router
from recsys.web.schemas import Id, Nothing, RunBody
from recsys.web.shapes import RunList, RunView

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recsys.api import Library

MOST_QUEUED = 20
KEPT = 50
CANCEL_S = 10.0
"""Time that a cancelled run has to store what it has finished."""

routes = router("runs")


@dataclass(slots=True)
class IndexRun:
    """One run, as far as it is."""

    number: int
    folders: tuple[str, ...]
    also: tuple[str, ...]
    state: str = "queued"
    started: str | None = None
    ended: str | None = None
    progress: dict[str, Any] = field(
        default_factory=lambda: {"done": 0, "total": None, "failed": 0, "path": None}
    )
    summary: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        """Return the run as the page sees it."""
        return {
            "run": self.number,
            "state": self.state,
            "folders": list(self.folders),
            "also": list(self.also),
            "started": self.started,
            "ended": self.ended,
            **self.progress,
            "summary": self.summary,
            "error": self.error,
        }


class Runs:
    """The runs of a server, the newest last; `tell` is called with each that changed."""

    def __init__(self, database: Path, tell: Callable[[str, object], None]) -> None:
        self._database = database
        self._tell = tell
        self._runs: OrderedDict[int, IndexRun] = OrderedDict()
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def current(self) -> IndexRun | None:
        """The run that goes on now."""
        return next((run for run in self._runs.values() if run.state == "running"), None)

    def all(self) -> list[IndexRun]:
        """Return the runs, the newest first."""
        return list(reversed(self._runs.values()))

    def add(self, folders: tuple[str, ...], also: tuple[str, ...]) -> IndexRun:
        """Queue a run; ApiProblem if too many wait."""
        if sum(run.state == "queued" for run in self._runs.values()) >= MOST_QUEUED:
            raise ApiProblem(429, f"{MOST_QUEUED} runs wait already", "Wait for one to end.")
        number = next(reversed(self._runs), 0) + 1
        run = self._runs[number] = IndexRun(number, folders, also)
        while len(self._runs) > KEPT:
            self._runs.popitem(last=False)
        self._tell("run", run.fields())
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return run

    def cancel(self, number: int) -> IndexRun:
        """End a run; what it has finished is stored."""
        run = self._runs.get(number)
        if run is None:
            raise ApiProblem(404, f"there is no run {number}", "GET /api/v1/runs lists them.")
        if run is self.current and self._process is not None:
            run.state = "cancelled"
            self._signal(self._process, signal.SIGINT)
            asyncio.get_running_loop().call_later(
                CANCEL_S, self._signal, self._process, signal.SIGTERM
            )
        elif run.state == "queued":
            self._end(run, "cancelled")
        return run

    @staticmethod
    def _signal(process: asyncio.subprocess.Process, what: signal.Signals) -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(what)

    async def _work(self) -> None:
        """Do the runs that wait, one after the other."""
        while run := next((run for run in self._runs.values() if run.state == "queued"), None):
            run.state, run.started = "running", _now()
            self._tell("run", run.fields())
            code = await self._index(run)
            if run.state == "cancelled":
                self._end(run, "cancelled")
            elif code == 0:
                self._end(run, "done")
            else:
                run.error = run.error or {
                    "detail": f"the run ended with exit code {code}",
                    "hint": "recsys index tells more.",
                }
                self._end(run, "failed")

    async def _index(self, run: IndexRun) -> int:
        given = {"database": str(self._database), "folders": run.folders, "also": run.also}
        async with child("recsys.web.index_run", json.dumps(given), limit=2**20) as process:
            self._process = process
            assert process.stdout is not None
            async for line in process.stdout:
                with contextlib.suppress(ValueError):
                    self._note(run, json.loads(line))
            return await process.wait()

    def _note(self, run: IndexRun, told: dict[str, Any]) -> None:
        if "summary" in told:
            run.summary = told["summary"]
        elif "error" in told:
            run.error = told["error"]
        else:
            run.progress = told
        self._tell("run", run.fields())

    def _end(self, run: IndexRun, state: str) -> None:
        run.state, run.ended = state, _now()
        self._tell("run", run.fields())

    async def close(self) -> None:
        """End what runs."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@routes.post("/runs", response_model=RunView, status_code=202, dependencies=[limited("index runs")])
async def start(request: Request, ask: Ask, given: RunBody) -> Response:
    """Index folders in the background."""

    def whole(_: Library) -> list[str]:
        folders = []
        for folder in given.folders:
            path = absolute(folder)
            if not path.is_dir():
                raise ApiProblem(400, f"{folder} is no folder", "Give a folder that is there.")
            folders.append(str(path))
        return folders

    run = request.app.state.runs.add(tuple(await ask.slow(whole)), tuple(given.also))
    return answer(run.fields(), 202)


@routes.get("/runs", response_model=RunList)
async def runs(request: Request) -> Response:
    """List the runs of this server, the newest first."""
    return answer({"runs": [run.fields() for run in request.app.state.runs.all()]})


@routes.delete("/runs/{number}", response_model=RunView)
async def cancel(request: Request, number: Id, _: Nothing | None = None) -> Response:
    """End a run."""
    return answer(request.app.state.runs.cancel(number).fields())
