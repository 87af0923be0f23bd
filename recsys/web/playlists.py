"""Routes of playlists: made, kept, written to files."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import Query
from starlette.responses import Response

from recsys.errors import QueryError
from recsys.library import absolute
from recsys.playlists.files import FORMATS, RootMap, write
from recsys.types import Playlist
from recsys.web.answers import ApiProblem, answer, nothing
from recsys.web.routing import Ask, contents, router, row
from recsys.web.schemas import FileBody, FileQuery, Id, MakeBody, Nothing, SaveBody
from recsys.web.shapes import KeptPlaylist, MadePlaylist, PlaylistList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.api import Library
    from recsys.types import SavedPlaylist, Track

routes = router("playlists")

TYPES = {
    "m3u8": "application/vnd.apple.mpegurl",
    "m3u": "audio/x-mpegurl",
    "pls": "audio/x-scpls",
    "xspf": "application/xspf+xml",
    "json": "application/json",
    "paths": "text/plain; charset=utf-8",
}

_AS_FILE = contents(*sorted({kind.partition(";")[0] for kind in TYPES.values()}))


@routes.post("/playlists/make", response_model=MadePlaylist)
async def make(ask: Ask, given: MakeBody) -> Response:
    """Make a playlist; nothing is stored."""
    return answer(await ask.many(lambda library: _made_fields(_made(library, given))))


@routes.post("/playlists/file", **_AS_FILE)
async def file(ask: Ask, given: FileBody) -> Response:
    """Return a list of tracks as a file for players."""
    tracks = await ask.many(lambda library: library.tracks_of(given.tracks))
    return _file(given.name, tracks, given.format, given.roots)


@routes.get("/playlists", response_model=PlaylistList)
async def playlists(ask: Ask) -> Response:
    """List the saved playlists."""

    def listed(library: Library) -> list[dict[str, Any]]:
        saved = library.playlists()
        tracks = library.store.tracks_of_hashes({sound for each in saved for sound in each.tracks})
        return [
            {
                **_head(each),
                "tracks": len(each.tracks),
                "duration_s": round(
                    sum(tracks[sound].duration_s for sound in each.tracks if sound in tracks), 3
                ),
            }
            for each in saved
        ]

    return answer({"playlists": await ask.many(listed)})


@routes.post("/playlists", response_model=KeptPlaylist, status_code=201)
async def save(ask: Ask, given: SaveBody) -> Response:
    """Keep a playlist."""
    return answer(await ask.write(lambda library: _saved(library, given, None)), 201)


@routes.get("/playlists/{playlist}", response_model=KeptPlaylist)
async def playlist(ask: Ask, playlist: Id) -> Response:
    """Return a saved playlist with its tracks."""
    return answer(await ask.many(lambda library: _kept(library, playlist)))


@routes.put("/playlists/{playlist}", response_model=KeptPlaylist)
async def replace(ask: Ask, playlist: Id, given: SaveBody) -> Response:
    """Change a saved playlist."""
    return answer(await ask.write(lambda library: _saved(library, given, playlist)))


@routes.delete("/playlists/{playlist}", status_code=204)
async def forget(ask: Ask, playlist: Id, _: Nothing | None = None) -> Response:
    """Delete a saved playlist."""
    await ask.write(lambda library: library.forget_playlist(playlist))
    return nothing()


@routes.post("/playlists/{playlist}/refresh", response_model=KeptPlaylist)
async def refresh(ask: Ask, playlist: Id, _: Nothing | None = None) -> Response:
    """Make a saved playlist again by its recipe, and keep that."""

    def again(library: Library) -> dict[str, Any]:
        saved, _ = library.saved_playlist(playlist)
        if saved.recipe is None:
            raise ApiProblem(409, f"{saved.name} has no recipe", "It was put together by hand.")
        made = _made(library, MakeBody.model_validate(saved.recipe))
        library.save_playlist(saved.name, made.tracks, recipe=saved.recipe, playlist=playlist)
        return {**_kept(library, playlist), "note": made.note}

    return answer(await ask.write(again))


@routes.get("/playlists/{playlist}/file", **_AS_FILE)
async def saved_file(ask: Ask, playlist: Id, given: Annotated[FileQuery, Query()]) -> Response:
    """Return a saved playlist as a file for players."""
    saved, tracks = await ask.many(lambda library: library.saved_playlist(playlist))
    return _file(saved.name, tracks, given.format, given.root)


def _made(library: Library, given: MakeBody) -> Playlist:
    if given.extend is not None:
        if given.seeds or given.cycle or given.to or given.words:
            raise QueryError("a list that is extended has no other start", "Leave out the seeds.")
        return library.extend(library.tracks_of(given.extend), given.options())
    return library.playlist(
        given.seeds,
        given.options(),
        cycle=given.cycle,
        to=given.to,
        like=given.like,
        not_like=given.not_like,
        words=given.words,
    )


def _made_fields(made: Playlist) -> dict[str, Any]:
    steps = made.similarities or (None,) * len(made.tracks)
    return {
        "name": made.name,
        "seed": made.seed,
        "seeds": [row(track) for track in made.seeds],
        "tracks": [
            {**row(track), "similarity": step}
            for track, step in zip(made.tracks, steps, strict=False)
        ],
        "note": made.note,
        "readings": [reading.fields() for reading in made.readings],
        "duration_s": round(made.duration_s, 3),
    }


def _head(saved: SavedPlaylist) -> dict[str, Any]:
    return {
        "playlist": saved.id,
        "name": saved.name,
        "made": saved.made,
        "changed": saved.changed,
        "refreshes": saved.recipe is not None,
    }


def _kept(library: Library, playlist: int) -> dict[str, Any]:
    saved, tracks = library.saved_playlist(playlist)
    return {
        **_head(saved),
        "recipe": saved.recipe,
        "tracks": [row(track) for track in tracks],
        "gone": len(saved.tracks) - len(tracks),
    }


def _saved(library: Library, given: SaveBody, playlist: int | None) -> dict[str, Any]:
    number = library.save_playlist(
        given.name,
        [library.track(track_id) for track_id in given.tracks],
        recipe=given.recipe_fields(),
        playlist=playlist,
    )
    return _kept(library, number)


def _file(name: str, tracks: Sequence[Track], form: str, roots: Sequence[str]) -> Response:
    content = io.BytesIO()
    write(Playlist(name, tuple(tracks)), content, form, roots=[_root(text) for text in roots])
    extension = FORMATS[form].extensions[0]
    plain = re.sub(r"[^\w .,()-]+", "_", name).strip(" .") or "playlist"
    disposition = f"attachment; filename*=UTF-8''{quote(plain + extension)}"
    headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
    return Response(content.getvalue(), 200, headers, TYPES[form])


def _root(text: str) -> RootMap:
    source, equals, target = text.partition("=")
    if not equals or not source.startswith(("/", "~")):
        raise QueryError(f"{text!r} maps no folder", "Give FROM=TO: /music=/mnt/music.")
    return RootMap(Path(absolute(source)), target)
