"""Songs of another server: its list, by its own API, and which tracks of the library they are.

The ids are kept in a file next to the library, so that plugins of that server can ask for its own
songs (:mod:`recsys.web.audiomuse`). A song is a track of the same file, or else one of the same
artist, album, title, number and duration.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import secrets
import unicodedata
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from recsys import atomic
from recsys.credits import lead_artist, name_key
from recsys.errors import RecsysError
from recsys.hosts import opener_for
from recsys.playlists.files import RootMap

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.types import Track

KINDS = ("navidrome", "jellyfin")

PAGE = 500
"""Songs that are asked for at once."""

MOST_SONGS = 2_000_000

MOST_BYTES = 64 * 2**20
"""Of one answer."""

WAIT_S = 60.0

NEAR_S = 3.0
"""Seconds by which two durations of one recording may differ: servers round them."""

_GUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}(?:\1[0-9a-fA-F]{4}){2}\1[0-9a-fA-F]{12}")

LEAST_SHARED = 2
"""Names at the end of two paths that are the same, where they begin in different folders."""


@dataclass(frozen=True, slots=True)
class OtherServer:
    """Where another server is, and how one logs in.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    url : str
        As a browser opens it.
    user : str
        The name of a user of Navidrome; empty for Jellyfin.
    secret : str
        The password of that user; the API key of Jellyfin. It is not stored.
    """

    kind: str
    url: str
    user: str
    secret: str


@dataclass(frozen=True, slots=True)
class OtherSong:
    """A song as another server has it."""

    id: str
    artist_id: str
    path: str
    artist: str
    album: str
    title: str
    number: int | None
    duration_s: float

    @property
    def name(self) -> str:
        """What a message calls it."""
        return (
            f"{self.artist} - {self.title}" if self.artist else self.title or self.path or self.id
        )


@dataclass(frozen=True, slots=True)
class Linked:
    """What came of linking a server."""

    found: int  # songs of the server
    by_path: int
    by_tags: int
    unmapped: tuple[OtherSong, ...]

    @property
    def mapped(self) -> int:
        """Songs that are tracks of the library."""
        return self.by_path + self.by_tags


def link(
    library: Library,
    server: OtherServer,
    *,
    roots: Sequence[RootMap] = (),
    on_progress: Callable[[int], object] = lambda _: None,
) -> Linked:
    """Map the songs of a server to tracks of the library, and keep that.

    Parameters
    ----------
    library : Library
    server : OtherServer
    roots : sequence of RootMap
        Folders as this machine has them, and as the server has them.
    on_progress : callable
        Called with the number of songs that were fetched.

    Returns
    -------
    Linked

    Raises
    ------
    RecsysError
        If the server cannot be reached, refuses the log-in or answers something else, or none of
        its songs is in the library. Then what was kept before stays.
    """
    finder = TrackFinder(library.store.all_tracks(), library.folders(), roots)
    ids: dict[str, str] = {}
    artists: dict[str, str] = {}
    unmapped: list[OtherSong] = []
    counts = {"path": 0, "tags": 0}
    known = library.discography()
    found = 0
    for found, song in enumerate(_songs(server), start=1):
        if found % PAGE == 0:
            on_progress(found)
        how, track = finder.find(song)
        if track is None:
            unmapped.append(song)
            continue
        counts[how] += 1
        ids[plain_id(song.id)] = track.audio_hash
        if song.artist_id and track.id in known.artist_of:
            artists.setdefault(plain_id(song.artist_id), known.artist_of[track.id])
    if not found:
        raise RecsysError(
            f"{server.url} has no songs",
            "Let it scan its folders, and check what the user may see.",
        )
    if not ids:
        raise RecsysError(
            f"none of the {found} songs of {server.url} is in the library {library.database}",
            "Index the same files here; tell other folders with --root /music=/data/music.",
        )
    Links(library.database).keep(server, ids, artists)
    return Linked(found, counts["path"], counts["tags"], tuple(unmapped))


# Which track a song is


class TrackFinder:
    """Finds the tracks of a library that songs of another server are."""

    def __init__(
        self, tracks: Iterable[Track], folders: Sequence[Path], roots: Sequence[RootMap]
    ) -> None:
        self._by_path: dict[str, Track] = {}
        self._by_end: dict[str, Track | None] = {}  # None where several tracks end so
        self._by_tags: defaultdict[tuple[str, str, str], list[Track]] = defaultdict(list)
        self._roots = [(_text(root.target), _text(str(root.source))) for root in roots]
        starts = [f"{_text(str(folder))}/" for folder in folders]
        for track in tracks:
            path = _text(str(track.path))
            self._by_path[path] = track
            for start in starts:
                if path.startswith(start):
                    end = path[len(start) :]
                    self._by_end[end] = None if end in self._by_end else track
            tags = track.tags
            for artist in {tags.artist, tags.album_artist}:
                self._by_tags[_key(artist, tags.album, track.title)].append(track)

    def find(self, song: OtherSong) -> tuple[str, Track | None]:
        """Return how a song was found, and the track; None for none, or for several."""
        track = self._of_path(song) if song.path else None
        return ("path", track) if track is not None else ("tags", self._of_tags(song))

    def _of_path(self, song: OtherSong) -> Track | None:
        path = _text(song.path)
        for theirs, ours in self._roots:
            if path.startswith(f"{theirs.rstrip('/')}/"):
                path = f"{ours.rstrip('/')}/{path[len(theirs.rstrip('/')) + 1 :]}"
                break
        if path in self._by_path:
            return self._by_path[path]
        parts = path.strip("/").split("/")
        for first in range(len(parts) - LEAST_SHARED + 1):
            end = "/".join(parts[first:])
            if end in self._by_end:
                track = self._by_end[end]
                # A server may make such paths of tags: another length is another recording.
                return track if track is not None and _is_near(track, song) else None
        return None

    def _of_tags(self, song: OtherSong) -> Track | None:
        found = [
            track
            for track in self._by_tags.get(_key(song.artist, song.album, song.title), ())
            if _is_near(track, song)
        ]
        numbered = [each for each in found if each.tags.track_number == song.number]
        sounds = {each.audio_hash: each for each in numbered or found}
        return next(iter(sounds.values())) if len(sounds) == 1 else None


def _key(artist: str | None, album: str | None, title: str | None) -> tuple[str, str, str]:
    return (name_key(lead_artist(artist)) or "", name_key(album) or "", name_key(title) or "")


def _is_near(track: Track, song: OtherSong) -> bool:
    return song.duration_s <= 0 or abs(track.duration_s - song.duration_s) <= NEAR_S


def _text(path: str) -> str:
    """Return a path as systems agree on it: composed letters, forward slashes."""
    return unicodedata.normalize("NFC", path.replace("\\", "/"))


# What the servers answer


def _songs(server: OtherServer) -> Iterator[OtherSong]:
    _check_address(server.url)
    pages = _navidrome(server) if server.kind == "navidrome" else _jellyfin(server)
    count, before = 0, None
    for page in pages:
        if page and page == before:
            raise _strange(server, "the same songs on every page")
        before = page
        count += len(page)
        if count > MOST_SONGS:
            raise RecsysError(
                f"{server.url} has more than {MOST_SONGS} songs", "It repeats itself."
            )
        for row in page:
            try:
                yield _song(server.kind, row)
            except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
                raise _strange(server, "a song that cannot be read") from error


def _check_address(url: str) -> None:
    """Let an address through that messages can name: it holds no secret; else RecsysError."""
    hint = "Give it whole, and plain: http://192.168.1.5:4533"
    if any(each in url for each in "@?#"):
        raise RecsysError("the address of a server holds no user, password, ? or #", hint)
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or not url.isprintable() or " " in url:
        raise RecsysError(f"{url!r} is no address of a server", hint)


def _navidrome(server: OtherServer) -> Iterator[list[Any]]:
    """Yield the songs of a server that speaks Subsonic, page by page."""
    for offset in range(0, MOST_SONGS + PAGE, PAGE):
        salt = secrets.token_hex(8)
        token = hashlib.md5((server.secret + salt).encode(), usedforsecurity=False).hexdigest()
        query = {
            **{"u": server.user, "t": token, "s": salt, "v": "1.16.1", "c": "recsys", "f": "json"},
            **{"query": "", "artistCount": 0, "albumCount": 0},
            **{"songCount": PAGE, "songOffset": offset},
        }
        answer = _asked(server, f"/rest/search3?{urlencode(query)}", {}).get("subsonic-response")
        if not isinstance(answer, dict):
            raise _strange(server, "no answer of Subsonic")
        if answer.get("status") != "ok":
            error = answer.get("error")
            told = error.get("message") if isinstance(error, dict) else error
            raise RecsysError(
                f"{server.url} refuses: {told or 'it does not say why'}",
                "Check the name of the user, and the password.",
            )
        result = answer.get("searchResult3") or {}
        page = result.get("song") or [] if isinstance(result, dict) else None
        if not isinstance(page, list):
            raise _strange(server, "no list of songs")
        yield page
        if len(page) < PAGE:
            return


def _jellyfin(server: OtherServer) -> Iterator[list[Any]]:
    if not (server.secret.isascii() and server.secret.isprintable()):
        raise RecsysError(
            "an API key of Jellyfin has nothing but letters and digits",
            "Copy it from Dashboard, API Keys.",
        )
    headers = {"Authorization": f'MediaBrowser Token="{server.secret}"'}
    for offset in range(0, MOST_SONGS + PAGE, PAGE):
        query = {
            **{"IncludeItemTypes": "Audio", "Recursive": "true", "Fields": "Path"},
            **{"SortBy": "DateCreated,SortName", "StartIndex": offset, "Limit": PAGE},
        }
        page = _asked(server, f"/Items?{urlencode(query)}", headers).get("Items")
        if not isinstance(page, list):
            raise _strange(server, "no list of items")
        yield page
        if len(page) < PAGE:
            return


def _song(kind: str, row: Mapping[str, Any]) -> OtherSong:
    if kind == "navidrome":
        return OtherSong(
            id=str(row["id"]),
            artist_id=str(row.get("artistId") or ""),
            path=str(row.get("path") or ""),
            artist=str(row.get("artist") or ""),
            album=str(row.get("album") or ""),
            title=str(row.get("title") or ""),
            number=_number(row.get("track")),
            duration_s=float(row.get("duration") or 0),
        )
    artists = row.get("ArtistItems") or row.get("AlbumArtists") or [{}]
    return OtherSong(
        id=str(row["Id"]),
        artist_id=str(artists[0].get("Id") or ""),
        path=str(row.get("Path") or ""),
        artist=str(artists[0].get("Name") or row.get("AlbumArtist") or ""),
        album=str(row.get("Album") or ""),
        title=str(row.get("Name") or ""),
        number=_number(row.get("IndexNumber")),
        duration_s=float(row.get("RunTimeTicks") or 0) / 1e7,
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


class _StayingThere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it would take the secret to another server."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,  # noqa: ARG002
        newurl: str,
    ) -> None:
        """Refuse."""
        fp.close()
        where = urlsplit(newurl)
        raise RecsysError(
            f"{req.host} sends on to {where.scheme}://{where.netloc} ({code} {msg})",
            "Give that address, if it is the server's.",
        )


def _asked(server: OtherServer, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(
        server.url.rstrip("/") + path, headers={"Accept": "application/json", **headers}
    )
    try:
        opener = opener_for(urlsplit(server.url).hostname or "", _StayingThere)
        with opener.open(request, timeout=WAIT_S) as response:
            content = response.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        hint = "Check the user, the password or the API key." if error.code in (401, 403) else ""
        raise RecsysError(
            # Not its own words, which may hold the address that was asked for.
            f"{server.url} answers {error.code} {http.client.responses.get(error.code, '')}",
            hint or "Give the address that a browser opens.",
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise RecsysError(
            f"{server.url} cannot be reached: {reason}", "Check the address, and that it runs."
        ) from error
    if len(content) > MOST_BYTES:
        raise _strange(server, "too much")
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _strange(server, "no JSON") from error
    if not isinstance(answer, dict):
        raise _strange(server, "no object")
    return answer


def _strange(server: OtherServer, what: str) -> RecsysError:
    return RecsysError(
        f"{server.url} answers as no {server.kind.capitalize()} does: {what}",
        "Check the address, and which server it is.",
    )


# What is kept


def plain_id(text: str) -> str:
    """Return an id as it is compared: Jellyfin's come with dashes and without, in either case."""
    return text.replace("-", "").lower() if _GUID.fullmatch(text) else text


class LinkedServer:
    """The ids of another server, and those that the library has for the same."""

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self.sounds: dict[str, str] = dict(kept["songs"])  # audio hashes, by the ids of songs
        self.artists: dict[str, str] = dict(kept["artists"])  # ids of the library, by theirs
        self.songs = {sound: song for song, sound in self.sounds.items()}
        self.names = {ours: theirs for theirs, ours in self.artists.items()}


class Links:
    """The servers that are linked, in a file next to the library; read again when it changes."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.stem}.links.json")
        self._state: tuple[int, int] | None = None
        self._servers: tuple[LinkedServer, ...] = ()

    def servers(self) -> tuple[LinkedServer, ...]:
        """Return the servers; RecsysError where the file cannot be read."""
        try:
            found = self.path.stat()
            state = found.st_mtime_ns, found.st_ino
            if state != self._state:
                self._servers = tuple(map(LinkedServer, self._read().values()))
                self._state = state
        except FileNotFoundError:
            self._state, self._servers = None, ()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecsysError(
                f"the links in {self.path} cannot be read: {error}",
                "Delete the file, and link the server again: recsys link",
            ) from error
        return self._servers

    def keep(
        self, server: OtherServer, songs: Mapping[str, str], artists: Mapping[str, str]
    ) -> None:
        """Keep the ids of a server, in place of those of another of its kind."""
        try:
            known = self._read() if self.path.exists() else {}
        except (OSError, ValueError):
            known = {}
        linked = datetime.now(UTC).isoformat(timespec="seconds")
        about = {"url": server.url, "linked": linked, "songs": songs, "artists": artists}
        with atomic.kept_with_library(self.path):
            atomic.write_text(self.path, json.dumps({**known, server.kind: about}))

    def _read(self) -> dict[str, Any]:
        known = json.loads(self.path.read_text(encoding="utf-8"))
        if not isinstance(known, dict):
            raise ValueError("it is no object")
        return known
