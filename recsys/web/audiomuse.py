"""The routes that plugins of Navidrome and Jellyfin ask AudioMuse-AI for.

A plugin that is installed works with recsys once its address, and its token, are those of recsys.
Songs and artists have the ids of the other server, which ``recsys link`` has mapped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from recsys.discography import artist_id
from recsys.errors import QueryError, RecsysError
from recsys.index.base import normalised
from recsys.linking import LinkedServer, Links, plain_id
from recsys.recommender import SimilarOptions
from recsys.web.answers import ApiProblem, dumped
from recsys.web.security import PLUGINS

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.types import Track
    from recsys.web.asking import Asking
    from recsys.web.devices import Devices

MOST = 500
"""Songs, or artists, of one answer."""

PER_ARTIST = 3
"""Songs of one artist, where duplicates are to be eliminated: as AudioMuse-AI has it."""

REPRESENTATIVE = 5
"""Songs that stand for an artist."""

Servers: TypeAlias = Sequence[LinkedServer]

_Find: TypeAlias = Callable[["Library", Servers, Mapping[str, str]], Any]

_LINK = "Map its songs first, and again after it got new ones: recsys link"


class Plugins:
    """Answers plugins of other servers."""

    def __init__(self, devices: Devices, links: Links) -> None:
        self._devices = devices
        self._links = links

    def routes(self) -> Mapping[str, Callable[[Request], Awaitable[Response]]]:
        """Return what answers each path."""
        answers: dict[str, _Find] = {
            "similar_tracks": self._similar_tracks,
            "find_path": self._find_path,
            "similar_artists": self._similar_artists,
            "active_tasks": _nothing,  # by which the plugin of Jellyfin tests its connection
        }
        return {path: self._guarded(answers[path.rpartition("/")[2]]) for path in PLUGINS}

    def _guarded(self, find: _Find) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                if not self._may(request):
                    raise ApiProblem(
                        401, "the token is not valid", "Make one: recsys serve --device NAME"
                    )
                servers, given = self._links.servers(), dict(request.query_params)
                ask: Asking = request.app.state.asking
                return _json(await ask.many(lambda library: find(library, servers, given)))
            except RecsysError as error:
                return _json({"error": error.message, "hint": error.hint}, _status(error))

        return answer

    def _may(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._devices.of_key(token.strip()) is not None

    @staticmethod
    def _similar_tracks(
        library: Library, servers: Servers, given: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Return the songs of the other server that sound most like one."""
        count = _count(given, "n", 10)
        links, track = _track(library, servers, given.get("item_id", ""))
        spread = given.get("eliminate_duplicates", "true").lower() in ("true", "1")
        found: list[dict[str, Any]] = []
        wanted = count
        while len(found) < count:
            # Some tracks may be unknown to the other server: then more are looked at.
            options = SimilarOptions(
                k=wanted,
                strategy="similarity",
                max_per_artist=PER_ARTIST if spread else None,
                taste=False,
            )
            results = library.similar(track.id, options).results
            known = (row for row in results if row.track.audio_hash in links.songs)
            found = [
                {**_song(links, row.track), "distance": round(1 - normalised(row.similarity), 6)}
                for row in known
            ][:count]
            if len(results) < wanted:
                break
            wanted *= 4
        return found

    @staticmethod
    def _find_path(library: Library, servers: Servers, given: Mapping[str, str]) -> dict[str, Any]:
        """Return songs of the other server that lead from one to another."""
        count = _count(given, "max_steps", 25)
        links, start = _track(library, servers, given.get("start_song_id", ""))
        _, end = _track(library, [links], given.get("end_song_id", ""))
        tracks = library.path_between(start, end, count)
        path = [_song(links, each) for each in tracks if each.audio_hash in links.songs]
        return {"path": path}

    @staticmethod
    def _similar_artists(
        library: Library, servers: Servers, given: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Return the artists who sound most like one, with songs that stand for both."""
        asked = plain_id(given.get("artist_id") or given.get("artist") or "")
        known = library.discography()
        named = artist_id(asked)  # some plugins give the name
        links = next((each for each in servers if asked in each.artists), None)
        links = links or next((each for each in servers if named in each.names), None)
        artist = named if links is None else links.artists.get(asked, named)
        if links is None or artist not in known.artists:
            raise ApiProblem(404, f"the artist {asked[:60]!r} is not linked", _LINK)
        with_songs = given.get("include_component_matches", "false").lower() in ("true", "1")
        rows = []
        for other, similarity in library.similar_artists(artist, _count(given, "n", 10)):
            row: dict[str, Any] = {
                "artist": other.name,
                "artist_id": links.names.get(other.id, ""),
                "divergence": round(1 - normalised(similarity), 6),
            }
            if with_songs:
                songs = {
                    f"artist{i}_representative_songs": _representative(library, links, each.tracks)
                    for i, each in enumerate((known.artists[artist], other), start=1)
                }
                row["component_matches"] = [songs]
            rows.append(row)
        return rows


def _nothing(*_: object) -> dict[str, Any]:
    return {}


def _track(library: Library, servers: Servers, given: str) -> tuple[LinkedServer, Track]:
    """Return the track of an id, and the server whose id it is."""
    song = plain_id(given)
    for links in servers:
        if song in links.sounds:
            for track in library.store.tracks_of_hashes([links.sounds[song]]).values():
                return links, track
    raise ApiProblem(404, f"the song {given[:60]!r} is not linked", _LINK)


def _song(links: LinkedServer, track: Track) -> dict[str, Any]:
    return {
        "item_id": links.songs[track.audio_hash],
        "title": track.title,
        "author": track.artist or "",
        "album": track.tags.album or "",
    }


def _representative(
    library: Library, links: LinkedServer, tracks: Sequence[int]
) -> list[dict[str, Any]]:
    step = max(1, len(tracks) // REPRESENTATIVE)
    found = library.tracks_of(tracks[::step][:REPRESENTATIVE])
    return [_song(links, each) for each in found if each.audio_hash in links.songs]


def _count(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, "") or str(default)
    if not (text.isascii() and text.isdecimal()):
        raise QueryError(f"{name} is no number: {text[:40]!r}")
    return max(1, min(int(text[:9]), MOST))


def _status(error: RecsysError) -> int:
    if isinstance(error, ApiProblem):
        return error.status
    return 400 if isinstance(error, QueryError) else 503


def _json(value: object, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(dumped(value), status, headers, "application/json")
