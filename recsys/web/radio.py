"""Routes of radio sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query
from starlette.responses import Response

from recsys.fields import radio_fields, radio_row_fields
from recsys.recommender.explanations import closeness
from recsys.web.answers import answer
from recsys.web.routing import Ask, router, row
from recsys.web.schemas import Id, RadioBody, StartBody, SteerBody
from recsys.web.shapes import RadioNext, SessionList, SessionView

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.playlists.radio import RadioAnswer, RadioTrack

routes = router("radio")

NEWEST = 50
"""Sessions that are listed."""

LimitQuery = Annotated[int, Query(ge=1, le=1000)]


@routes.post("/radio", response_model=RadioNext)
async def start(ask: Ask, given: StartBody) -> Response:
    """Start a session, or go on with the one of the same seeds."""

    def started(library: Library) -> dict[str, Any]:
        found = library.radio(
            given.seeds,
            given.options(),
            new=given.new,
            like=given.like,
            not_like=given.not_like,
            words=given.words,
        )
        return _fields(found)

    return answer(await ask.write(started))


@routes.get("/radio", response_model=SessionList)
async def sessions(ask: Ask) -> Response:
    """List the newest sessions."""

    def listed(library: Library) -> list[dict[str, Any]]:
        found = library.radio_sessions(NEWEST)
        wanted = {sound for each in found for sound in (*each.blend.seeds, *each.blend.like)}
        tracks = library.store.tracks_of_hashes(wanted)
        return [
            {
                "session": each.id,
                "started": each.started,
                "name": _name(
                    [
                        tracks[s].display_name
                        for s in (each.blend.seeds or each.blend.like)
                        if s in tracks
                    ],
                    each.words,
                ),
                "words": each.words,
                "given": each.given,
            }
            for each in found
        ]

    return answer({"sessions": await ask.many(listed)})


@routes.get("/radio/{session}", response_model=SessionView)
async def session(ask: Ask, session: Id, limit: LimitQuery = 100) -> Response:
    """Return a session, with the tracks that it gave last."""
    return answer(await ask.many(lambda library: _details(library, session, limit)))


@routes.post("/radio/{session}/next", response_model=RadioNext)
async def following(ask: Ask, session: Id, given: RadioBody) -> Response:
    """Give the next tracks of a session."""
    return answer(
        await ask.write(
            lambda library: _fields(library.radio((), given.options(), session=session))
        )
    )


@routes.post("/radio/{session}/steer", response_model=SessionView)
async def steer(ask: Ask, session: Id, given: SteerBody) -> Response:
    """Say something of a track; the next tracks go by it."""

    def steered(library: Library) -> dict[str, Any]:
        library.steer_radio(session, given.kind, given.track, source="web")
        return _details(library, session, 1)

    return answer(await ask.write(steered))


def _fields(found: RadioAnswer) -> dict[str, Any]:
    rows = [
        {**row(each.track), **radio_row_fields(each), "reasons": [_reason(each, found.name)]}
        for each in found.results
    ]
    seeds = [row(seed) for seed in found.seeds]
    return {**radio_fields(found, rows), "seeds": seeds, "name": found.name}


def _reason(found: RadioTrack, name: str) -> str:
    """Return in words why a track is next."""
    return f"{closeness(found.similarity)}, next to {name}: {found.track.genre_group}"


def _details(library: Library, session: int, limit: int) -> dict[str, Any]:
    found = library.radio_session(session, limit)
    return {
        "session": found.id,
        "name": _name([seed.display_name for seed in found.seeds or found.like], found.words),
        "words": found.words,
        "seeds": [row(track) for track in found.seeds],
        "like": [row(track) for track in found.like],
        "not_like": [row(track) for track in found.not_like],
        "given": found.given,
        "tracks": [{**row(track), "position": position} for position, track in found.tracks],
    }


def _name(seeds: list[str], words: str | None) -> str:
    more = [f"{len(seeds) - 3} more"] if len(seeds) > 3 else []
    return ", ".join([*seeds[:3], *more, *filter(None, [words])])
