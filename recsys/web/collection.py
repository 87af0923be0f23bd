"""Routes of the library as a whole: figures, genres, tags, moods, folders; files to classify."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from recsys.fields import classification_fields, failure_group_fields, status_fields
from recsys.library_status import failure_groups, mood_counts
from recsys.recommender.presence import is_there
from recsys.web.answers import ApiProblem, answer
from recsys.web.events import state_of
from recsys.web.rates import limited
from recsys.web.routing import BYTES, Ask, router, row
from recsys.web.schemas import ArtistsQuery, FilteredBody, Place, Text
from recsys.web.shapes import (
    ArtistList,
    ClassifiedFile,
    FailurePage,
    FolderList,
    GenreList,
    LanguageList,
    MoodList,
    PreferencesView,
    StatusView,
    SuggestionList,
    TagList,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.api import Library
    from recsys.types import Failure
    from recsys.web.events import LibraryState

routes = router("library")

CLASSIFY_S = 60.0
"""Time that the analysis of a file may take that was sent."""


@routes.get("/status", response_model=StatusView)
async def status(ask: Ask, request: Request) -> Response:
    """Return the figures of the library."""
    # Counting takes seconds in a large library, and pages ask for it often.
    kept: dict[LibraryState, dict[str, Any]] = request.app.state.figures
    state = await ask(state_of)
    if state not in kept:
        fields = await ask.slow(lambda library: status_fields(library.status()))
        kept.clear()
        kept[state] = fields
    fields = kept[state]
    run = request.app.state.runs.current
    return answer({**fields, "run": None if run is None else run.fields()})


@routes.get("/failures", response_model=FailurePage)
async def failures(
    ask: Ask,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int, Query(ge=0, lt=2**53)] = 0,
) -> Response:
    """List the files that could not be analysed, with their reasons."""

    def listed(library: Library) -> dict[str, Any]:
        found = library.failures()
        end = cursor + limit
        return {
            "failures": [_failure(each) for each in found[cursor:end]],
            "groups": failure_group_fields(failure_groups(found)),
            "total": len(found),
            "next": str(end) if end < len(found) else None,
        }

    return answer(await ask.many(listed))


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "path": os.fspath(failure.file.path),
        "reason": failure.reason,
        "hint": failure.hint,
        "retry": failure.retry,
    }


@routes.get("/genres", response_model=GenreList)
async def genres(ask: Ask) -> Response:
    """List the genres with their numbers of tracks, most first."""

    def listed(library: Library) -> list[dict[str, Any]]:
        ids = library.genres()
        return [{"genre": genre, "tracks": count, "nearest": near} for genre, count, near in ids]

    return answer({"genres": await ask.many(listed)})


@routes.get("/tags", response_model=TagList)
async def tags(ask: Ask) -> Response:
    """List the tags with their numbers of tracks, most first."""
    counts = await ask.slow(_tag_counts)
    return answer({"tags": [{"tag": tag, "tracks": count} for tag, count in counts.items()]})


def _tag_counts(library: Library) -> dict[str, int]:
    model = library.store.model()
    return library.tag_counts() if model is not None and model.tags else {}


@routes.get("/moods", response_model=MoodList)
async def moods(ask: Ask) -> Response:
    """List the moods with their numbers of tracks, most first."""

    def listed(library: Library) -> list[dict[str, Any]]:
        counts = mood_counts(library.store)
        ranges = library.moods()
        return [
            {
                "mood": mood,
                "tracks": counts[mood],
                "ranges": {name: str(limits) for name, limits in ranges[mood].items()},
            }
            for mood in sorted(ranges, key=lambda mood: (-counts[mood], mood))
        ]

    return answer({"moods": await ask.many(listed)})


@routes.get("/languages", response_model=LanguageList)
async def languages(ask: Ask) -> Response:
    """List the languages that tags name, by their codes, with their numbers of tracks."""
    counts = await ask.many(lambda library: library.languages())
    return answer({"languages": [{"language": k, "tracks": n} for k, n in counts.items()]})


@routes.get("/folders", response_model=FolderList)
async def folders(ask: Ask, folder: Annotated[Place | None, Query()] = None) -> Response:
    """List the folders of the library, or those of a folder, with their numbers of tracks."""

    def listed(library: Library) -> dict[str, Any]:
        inside, tracks = library.folders_in(None if folder is None else Path(folder))
        return {
            "folder": folder,
            "parent": None
            if folder is None or Path(folder) in library.folders()
            else os.path.dirname(folder),  # noqa: PTH120
            "folders": [
                {
                    "folder": os.fspath(path),
                    "name": path.name or os.fspath(path),
                    "tracks": count,
                    # A look at each of thousands of folders would take longer than all the rest.
                    "there": is_there(path) if folder is None else True,
                }
                for path, count in inside.items()
            ],
            "tracks": tracks,
        }

    return answer(await ask.many(listed))


@routes.get("/suggest", response_model=SuggestionList)
async def suggest(
    ask: Ask, q: Annotated[Text, Query()], limit: Annotated[int, Query(ge=1, le=50)] = 8
) -> Response:
    """Suggest tracks, artists and albums for what is typed."""

    def found(library: Library) -> dict[str, Any]:
        said = library.suggest(q, limit)
        return {
            "tracks": [row(track) for track in said.tracks],
            "artists": _named("artist", said.artists.items()),
            "albums": _named("album", said.albums.items()),
        }

    return answer(await ask.many(found))


@routes.get("/artists", response_model=ArtistList)
async def artists(ask: Ask, given: Annotated[ArtistsQuery, Query()]) -> Response:
    """List the artists with their numbers of tracks, in the order of their names."""

    def listed(library: Library) -> dict[str, Any]:
        page = library.artists(given.q or None, limit=given.limit, cursor=given.cursor)
        return {
            "artists": _named("artist", page.artists),
            "total": page.total,
            "next": page.next,
        }

    return answer(await ask.many(listed))


def _named(kind: str, named: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Return artists or albums, each with its tracks, and the seed that means it."""
    return [{"name": name, "tracks": count, "seed": f"{kind}:{name}"} for name, count in named]


@routes.get("/preferences", response_model=PreferencesView)
async def preferences(ask: Ask) -> Response:
    """Return the filters that are the defaults of every list."""
    return answer(await ask(lambda library: library.preferences().asked()))


@routes.put("/preferences", response_model=PreferencesView)
async def prefer(ask: Ask, given: FilteredBody) -> Response:
    """Change the defaults of every list."""

    def changed(library: Library) -> dict[str, Any]:
        library.set_preferences(given.filters())
        return library.preferences().asked()

    return answer(await ask.write(changed))


@routes.post(
    "/classify",
    dependencies=[limited("uploads")],
    response_model=ClassifiedFile,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {BYTES: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def classify(ask: Ask, request: Request, name: Annotated[Text, Query()]) -> Response:
    """Classify a file that is sent; nothing of it is kept but for an hour."""
    uploads = request.app.state.uploads
    key, path = await uploads.take(name, request.stream())

    def classified(library: Library) -> dict[str, Any]:
        (result,) = library.classify([path], workers=1, time_limit_s=CLASSIFY_S)
        if result.error is not None:
            raise ApiProblem(422, f"{name}: {result.error}", result.hint)
        return classification_fields(result)

    return answer({**await ask.slow(classified), "path": name, "upload": key})
