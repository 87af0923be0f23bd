"""Routes of what the listener says."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from recsys.web.answers import answer, nothing
from recsys.web.routing import Ask, router
from recsys.web.schemas import FeedbackBody, Id, Nothing
from recsys.web.shapes import FeedbackList, JudgedIds

routes = router("feedback")


@routes.post("/feedback", response_model=FeedbackList, status_code=201)
async def say(ask: Ask, given: FeedbackBody) -> Response:
    """Store that tracks were played, skipped, liked, disliked, banned or unbanned."""
    events = await ask.write(
        lambda library: library.record(given.kind, given.seeds, source=given.source)
    )
    return answer({"events": [event.fields() for event in events]}, 201)


@routes.post("/feedback/undo", response_model=FeedbackList)
async def undo(ask: Ask, _: Nothing | None = None) -> Response:
    """Forget what was said last."""
    events = await ask.write(lambda library: library.undo_feedback())
    return answer({"events": [event.fields() for event in events]})


@routes.delete("/feedback/tracks/{track_id}/{kind}", status_code=204)
async def take_back(
    ask: Ask, track_id: Id, kind: Literal["like", "dislike"], _: Nothing | None = None
) -> Response:
    """Forget that a track was liked, or disliked."""
    await ask.write(lambda library: library.take_back(kind, library.track(track_id)))
    return nothing()


@routes.get("/feedback", response_model=FeedbackList)
async def feedback(ask: Ask, limit: Annotated[int, Query(ge=1, le=10_000)] = 100) -> Response:
    """List what was said, the newest first."""
    events = await ask.many(lambda library: library.store.events(limit))
    return answer({"events": [event.fields() for event in reversed(events)]})


@routes.get("/feedback/tracks", response_model=JudgedIds)
async def judged(ask: Ask) -> Response:
    """Return the ids of the tracks that are liked, disliked or banned now."""
    return answer(await ask.many(lambda library: library.judged_ids()))
