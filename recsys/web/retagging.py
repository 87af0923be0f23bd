"""Routes that correct the genre tags of files, and take that back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query
from starlette.responses import Response

from recsys.fields import tag_outcome_fields, tag_run_fields
from recsys.web.answers import ApiProblem, answer
from recsys.web.media import file_of, resolved
from recsys.web.rates import limited
from recsys.web.routing import Ask, router
from recsys.web.schemas import GenreBody, Id, UndoBody
from recsys.web.shapes import CorrectedGenre, TagRun, UndoneTags

if TYPE_CHECKING:
    from recsys.api import Library

routes = router("tags")

MOST_UNDONE = 100
"""Files that one request writes again."""

_CORRECTED = "corrected tags"


@routes.post(
    "/tracks/{track_id}/genre", response_model=CorrectedGenre, dependencies=[limited(_CORRECTED)]
)
async def correct(ask: Ask, track_id: Id, given: GenreBody) -> Response:
    """Write a genre into the tags of a track's file; `run` takes it back (tags/undo)."""

    def corrected(library: Library) -> dict[str, Any]:
        file_of(library, track_id)
        outcome = library.correct_genre(track_id, given.genre)
        return {**tag_outcome_fields(outcome), "run": outcome.run}

    return answer(await ask.write(corrected))


@routes.get("/tags/undo", response_model=TagRun)
async def last(ask: Ask, run: Annotated[Id | None, Query()] = None) -> Response:
    """Tell which tags of which files would be brought back: of the last run, or of one."""

    def found(library: Library) -> dict[str, Any]:
        fields = tag_run_fields(library.undo_tags(run)[0])
        changes = fields["changes"]
        return {**fields, "files": len(changes), "changes": changes[:MOST_UNDONE]}

    return answer(await ask(found))


@routes.post("/tags/undo", response_model=UndoneTags, dependencies=[limited(_CORRECTED)])
async def undo(ask: Ask, given: UndoBody | None = None) -> Response:
    """Bring back the tags from before a run: the last one, or the one that is given."""

    def undone(library: Library) -> dict[str, Any]:
        run, outcomes = library.undo_tags(None if given is None else given.run)
        if len(run.changes) > MOST_UNDONE:
            raise ApiProblem(
                409,
                f"run {run.number} wrote {len(run.changes)} files, too many for the page",
                f"Use the command: recsys audit --undo {run.number}",
            )
        for change in run.changes:
            resolved(library, change.path)
        done = [{**tag_outcome_fields(each), "hint": each.hint} for each in outcomes]
        if all(each["status"] == "failed" for each in done):
            first = done[0]
            raise ApiProblem(
                422, f"{first['path']}: {first['reason']}", f"{first['hint']}", code="unwritable"
            )
        return {"run": run.number, "time": run.time, "outcomes": done}

    return answer(await ask.write(undone))
