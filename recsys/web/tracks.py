"""Routes of tracks: lists, one of them, and what is similar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from recsys.fields import answer_fields, details_fields, result_fields
from recsys.web.answers import answer
from recsys.web.routing import BYTES, Ask, contents, router, row
from recsys.web.schemas import Id, PageQuery, SeedsQuery, SimilarQuery, TracksQuery
from recsys.web.shapes import SimilarTracks, TrackPage, TrackView

if TYPE_CHECKING:
    from recsys.api import Library, Seed
    from recsys.recommender import Answer

routes = router("tracks")


@routes.get("/tracks", response_model=TrackPage)
async def tracks(ask: Ask, given: Annotated[PageQuery, Query()]) -> Response:
    """List tracks: searched, filtered, in any order, a page at a time; or those of some ids."""

    def page(library: Library) -> dict[str, Any]:
        if given.ids is not None:
            found = library.tracks_of(map(int, given.ids.split(",")))
            return {"tracks": [row(track) for track in found], "total": len(found), "next": None}
        page = library.page(given.options(), limit=given.limit, cursor=given.cursor)
        rows = [row(track) for track in page.tracks]
        return {"tracks": rows, "total": page.total, "next": page.next}

    return answer(await ask.many(page))


@routes.get("/tracks/ids", **contents(BYTES))
async def track_ids(ask: Ask, given: Annotated[TracksQuery, Query()]) -> Response:
    """Return the ids of all tracks of a list, in its order: uint32, little endian."""
    ids = await ask.many(lambda library: library.track_ids(given.options()))
    headers = {"Cache-Control": "no-cache"}
    return Response(ids.astype("<u4").tobytes(), 200, headers, BYTES)


@routes.get("/tracks/{track_id}", response_model=TrackView)
async def track(ask: Ask, track_id: Id) -> Response:
    """Return what the library knows of a track, and its nearest tracks."""

    def details(library: Library) -> dict[str, Any]:
        library.track(track_id)
        found = library.show(track_id)
        model = library.store.model()
        limits = dict(zip(model.labels, model.thresholds, strict=True)) if model else {}
        near = zip(found.neighbours, details_fields(found)["neighbours"], strict=True)
        return {
            **details_fields(found),
            **row(found.track),
            "threshold": {genre: round(limit, 6) for genre, limit in limits.items()},
            "genres": [g for g, p in found.probabilities.items() if p >= limits.get(g, 1.0)],
            "neighbours": [{**fields, **row(each.track)} for each, fields in near],
        }

    return answer(await ask(details))


@routes.get("/tracks/{track_id}/similar", response_model=SimilarTracks)
async def similar_to_track(
    ask: Ask, track_id: Id, given: Annotated[SimilarQuery, Query()]
) -> Response:
    """Find tracks similar to a track."""

    def find(library: Library) -> dict[str, Any]:
        library.track(track_id)
        found = library.similar(track_id, given.options(), explain=given.explain)
        return _fields(found, explain=given.explain)

    return answer(await ask(find))


@routes.get("/similar", response_model=SimilarTracks)
async def similar(ask: Ask, request: Request, given: Annotated[SeedsQuery, Query()]) -> Response:
    """Find tracks similar to tracks, artists, albums, words or a file that was sent."""
    seeds: list[Seed] = list(given.seed)
    if given.upload is not None:
        seeds.append(request.app.state.uploads.path(given.upload))

    def find(library: Library) -> dict[str, Any]:
        found = library.similar(
            seeds,
            given.options(),
            explain=given.explain,
            like=given.like,
            not_like=given.not_like,
            words=given.words,
        )
        return _fields(found, explain=given.explain)

    return answer(await (ask if given.upload is None else ask.slow)(find))


def _fields(found: Answer, *, explain: bool) -> dict[str, Any]:
    rows = [{**row(each.track), **result_fields(each, explain=explain)} for each in found.results]
    return answer_fields(found, rows)
