"""The map of the library: made in the background, and kept up with new tracks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import Request
from starlette.responses import Response

from recsys.index.sync import open_index
from recsys.web.answers import ApiProblem, answer
from recsys.web.children import child
from recsys.web.projection import (
    JUDGED_NEIGHBOURS,
    check_can_project,
    load,
    map_file,
    placed,
    regions,
)
from recsys.web.routing import BYTES, Ask, contents, router
from recsys.web.schemas import Nothing
from recsys.web.shapes import MapView

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recsys.api import Library

OUTDATED = 0.2
"""Share of new tracks from which the map had better be made again."""

MOST_GENRES = 256

routes = router("map")


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The map of a library at one revision."""

    state: tuple[object, ...]
    fields: dict[str, Any]
    points: bytes


class Maps:
    """The map of a library, and the process that makes it."""

    def __init__(self, database: Path, tell: Callable[[str, object], None]) -> None:
        self._database = database
        self._tell = tell
        self._lock = threading.Lock()
        self._drawn: _Drawn | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: dict[str, Any] | None = None
        self._share: float | None = None  # of what is being made; None before it can be told

    @property
    def is_making(self) -> bool:
        """Whether it is being made now."""
        return self._task is not None and not self._task.done()

    def draw(self, library: Library) -> _Drawn | None:
        """Return the map as the library is now; None where there is none of its model."""
        store = library.store
        path = map_file(self._database)
        try:
            made = path.stat().st_mtime_ns
        except OSError:
            return None
        state = (store.library_id, store.revision, made)
        with self._lock:
            if self._drawn is None or self._drawn.state != state:
                self._drawn = _drawn(library, path, state)
            return self._drawn

    def fields(self, drawn: _Drawn | None) -> dict[str, Any]:
        """Return what there is to tell of the map."""
        if self.is_making:
            state = "making"
        elif drawn is not None:
            state = "ready"
        else:
            state = "none" if self._error is None else "failed"
        share = {"share": self._share} if state == "making" else {}
        note = "" if self._error is None else f"{self._error['detail']}. {self._error['hint']}"
        found = {"points": 0, "note": note} if drawn is None else drawn.fields
        return {"state": state, "neighbours": JUDGED_NEIGHBOURS, **share, **found}

    def start(self) -> None:
        """Make the map, unless that goes on; MissingExtraError without umap-learn."""
        check_can_project()
        if not self.is_making:
            self._error = self._share = None
            self._task = asyncio.create_task(self._make())
            self._tell("map", {"state": "making"})

    async def _make(self) -> None:
        async with child("recsys.web.map_run", self._database) as process:
            assert process.stdout is not None
            last: dict[str, Any] = {}
            async for line in process.stdout:
                last = _told(line)
                if last.get("share", self._share) != self._share:
                    self._share = last["share"]
                    self._tell("map", {"state": "making", "share": self._share})
            await process.wait()
        if process.returncode:
            unknown = {"detail": f"it ended with exit code {process.returncode}", "hint": ""}
            self._error = last if "detail" in last else unknown
        self._task = None
        self._tell("map", {"state": "failed" if self._error else "ready"})

    async def stop(self) -> None:
        """End what is being made; the map of before stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self._tell("map", {"state": "stopped"})


def _told(line: bytes) -> dict[str, Any]:
    """Return what the program tells in a line, nothing for one of UMAP's on the same output."""
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {}


def _drawn(library: Library, path: Path, state: tuple[object, ...]) -> _Drawn | None:
    projection, model = load(path), library.store.model()
    if projection is None or model is None or projection.fingerprint != model.fingerprint:
        return None
    index = open_index(library.store)
    names = sorted(index.genres, key=lambda name: (-index.count(name), name))
    groups = [index.ids(name) for name in names]
    if len(names) > MOST_GENRES:  # a point has one byte for its genre
        groups[MOST_GENRES - 1 :] = [np.concatenate(groups[MOST_GENRES - 1 :])]
        names[MOST_GENRES - 1 :] = ["other genres"]
    ids = np.concatenate(groups) if groups else np.empty(0, np.int64)
    genres = np.repeat(np.arange(len(names)), [len(group) for group in groups])
    order = np.argsort(ids)
    ids, genres = ids[order], genres[order]
    known = np.isin(ids, projection.ids)
    places = np.empty((len(ids), 2), np.uint16)
    rows = np.searchsorted(projection.ids, ids[known])
    places[known] = projection.places[rows]
    new = int((~known).sum())
    if new and known.any():
        mapped = index.vectors(ids[known].tolist())
        places[~known] = placed(index.vectors(ids[~known].tolist()), mapped, places[known])
    elif new:
        return None
    note = ""
    if new > OUTDATED * len(ids):
        note = f"{new} of {len(ids)} tracks are new since then: make it again"
    fields = {
        "points": len(ids),
        "revision": library.store.revision,
        "trustworthiness": projection.trustworthiness,
        "placed": new,
        "note": note,
        "regions": regions(places, genres, names),
        "genres": names,
    }
    content = (
        ids.astype("<u4").tobytes() + places.astype("<u2").tobytes() + genres.astype("u1").tobytes()
    )
    return _Drawn(state, fields, content)


@routes.get("/map", response_model=MapView)
async def about(ask: Ask, request: Request) -> Response:
    """Say whether there is a map, how true it is, and where its regions lie."""
    maps: Maps = request.app.state.maps
    return answer(maps.fields(await ask.slow(maps.draw)))


@routes.post("/map", response_model=MapView, status_code=202)
async def make(request: Request, _: Nothing | None = None) -> Response:
    """Make the map in the background."""
    maps: Maps = request.app.state.maps
    maps.start()
    return answer(maps.fields(None), 202)


@routes.delete("/map", response_model=MapView)
async def stop(ask: Ask, request: Request, _: Nothing | None = None) -> Response:
    """Stop making the map; the one of before stays."""
    maps: Maps = request.app.state.maps
    await maps.stop()
    return answer(maps.fields(await ask.slow(maps.draw)))


@routes.get("/map/points", **contents(BYTES))
async def points(ask: Ask, request: Request) -> Response:
    """Return the points: n ids (uint32), n pairs of places (uint16), n genres (uint8)."""
    drawn = await ask.slow(request.app.state.maps.draw)
    if drawn is None:
        raise ApiProblem(404, "there is no map yet", "Make one: POST /api/v1/map")
    headers = {"Cache-Control": "no-cache"}
    return Response(drawn.points, 200, headers, BYTES)
