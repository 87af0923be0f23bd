"""A library on a server, with the verbs of :class:`recsys.Library`; it needs no extra."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request

from recsys.errors import QueryError, RecsysError
from recsys.hosts import opener_for
from recsys.web import PORT

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from recsys.pages import PageOptions
    from recsys.playlists import PlaylistOptions
    from recsys.playlists.radio import RadioOptions
    from recsys.recommender import Filters, SimilarOptions
    from recsys.web import shapes

    AnyOptions: TypeAlias = PageOptions | PlaylistOptions | RadioOptions | SimilarOptions
    OneSeed: TypeAlias = int | str | shapes.TrackRow
    Seeds: TypeAlias = OneSeed | Iterable[OneSeed]

_BYTES = "application/octet-stream"
_NAMES = {"search": "q", "tags": "tag", "moods": "mood", "languages": "language"}
"""What the options of a page are called in an address."""


class ServerError(RecsysError):
    """A server that refuses, or does not answer; `problem` is its answer, if there is one."""

    def __init__(
        self, message: str, hint: str = "", problem: shapes.ProblemDetails | None = None
    ) -> None:
        super().__init__(message, hint)
        self.problem = problem

    def __reduce__(self) -> tuple[type[ServerError], tuple[Any, ...]]:
        """Pickle with the problem."""
        return type(self), (self.message, self.hint, self.problem)

    @property
    def status(self) -> int | None:
        """The status of HTTP; None where nothing answered."""
        return None if self.problem is None else self.problem["status"]


class Client:
    """A library that a server has: ``recsys serve``.

    Verbs and options are those of :class:`recsys.Library`, and what a verb returns is the JSON of
    the server: dictionaries, whose types :mod:`recsys.web.shapes` has. One client may be used by
    several threads.

    Parameters
    ----------
    address : str
        As ``recsys serve`` prints it.
    token : str, optional
        What ``recsys serve --token`` has printed, where the server demands one.
    timeout_s : float
        How long the server may be silent.

    Raises
    ------
    QueryError
        The address is none.
    ServerError
        By every verb: the server refuses, or does not answer.

    Examples
    --------
    >>> from recsys.web.client import Client
    >>> library = Client("http://127.0.0.1:8337")  # doctest: +SKIP
    >>> [row["title"] for row in library.similar("artist:Nina Simone")["results"]]  # doctest: +SKIP
    """

    def __init__(
        self,
        address: str = f"http://127.0.0.1:{PORT}",
        token: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        hint = f"Give one as http://127.0.0.1:{PORT}."
        if "@" in address:  # and it would be in messages
            raise QueryError("an address holds no user and no password", hint)
        try:
            parts = urlsplit(address)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise QueryError(f"{address!r} is no address", hint)
        if token is not None and not (token.isascii() and token.isprintable()):
            raise QueryError("the token is none", "recsys serve --token makes one.")
        self._base = f"{address.rstrip('/')}/api/v1"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._timeout_s = timeout_s
        # A token is for this server alone.
        self._opener = opener_for(parts.hostname, _NoRedirect)

    def __repr__(self) -> str:
        return f"<Client: {self._base}>"

    # Tracks

    def page(
        self, options: PageOptions | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> shapes.TrackPage:
        """Return a page of tracks."""
        found: shapes.TrackPage = self._get(
            "tracks", {**_page_query(options), "limit": limit, "cursor": cursor}
        )
        return found

    def tracks(self, options: PageOptions | None = None) -> Iterator[shapes.TrackRow]:
        """Iterate over all tracks of the pages."""
        cursor = None
        while True:
            page = self.page(options, limit=500, cursor=cursor)
            yield from page["tracks"]
            cursor = page["next"]
            if cursor is None:
                return

    def track_ids(self, options: PageOptions | None = None) -> list[int]:
        """Return the ids of the tracks of all pages, in their order."""
        ids = array("I")
        ids.frombytes(self._bytes("tracks/ids", _page_query(options)))
        return ids.tolist()

    def tracks_of(self, ids: Iterable[int]) -> list[shapes.TrackRow]:
        """Return the tracks of at most 500 ids, in their order, without those that are gone."""
        wanted = ",".join(map(str, ids))
        found: list[shapes.TrackRow] = (
            self._get("tracks", {"ids": wanted})["tracks"] if wanted else []
        )
        return found

    def show(self, track_id: int) -> shapes.TrackView:
        """Return what the library knows of a track."""
        found: shapes.TrackView = self._get(f"tracks/{track_id:d}")
        return found

    def suggest(self, words: str, limit: int = 8) -> shapes.SuggestionList:
        """Return the tracks, artists and albums that words may mean."""
        found: shapes.SuggestionList = self._get("suggest", {"q": words, "limit": limit})
        return found

    def artists(
        self, words: str | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> shapes.ArtistList:
        """Return a page of the artists, in the order of their names."""
        query = {"q": words, "limit": limit, "cursor": cursor}
        found: shapes.ArtistList = self._get("artists", query)
        return found

    def similar(
        self,
        seeds: Seeds = (),
        options: SimilarOptions | None = None,
        *,
        explain: bool = False,
        like: Seeds = (),
        not_like: Seeds = (),
        words: str | None = None,
        upload: str | None = None,
    ) -> shapes.SimilarTracks:
        """Find tracks that are similar; `upload` is that of :meth:`classify`."""
        query = {
            **_flat(_given(options)),
            "seed": _seeds(seeds),
            "like": _seeds(like),
            "not_like": _seeds(not_like),
            "words": words,
            "upload": upload,
            "explain": explain,
        }
        found: shapes.SimilarTracks = self._get("similar", query)
        return found

    # Playlists

    def playlist(
        self,
        seeds: Seeds = (),
        options: PlaylistOptions | None = None,
        *,
        cycle: str | Iterable[str] | None = None,
        to: OneSeed | None = None,
        like: Seeds = (),
        not_like: Seeds = (),
        words: str | None = None,
    ) -> shapes.MadePlaylist:
        """Make a playlist; nothing is stored."""
        body = {
            **_given(options),
            **_leaning(seeds, like, not_like, words),
            "cycle": cycle if cycle is None or isinstance(cycle, str) else list(cycle),
            "to": None if to is None else _seeds(to)[0],
        }
        found: shapes.MadePlaylist = self._post("playlists/make", body)
        return found

    def extend(
        self, ids: Iterable[int], options: PlaylistOptions | None = None
    ) -> shapes.MadePlaylist:
        """Make what may follow tracks; nothing is stored."""
        body = {**_given(options), "extend": list(ids)}
        found: shapes.MadePlaylist = self._post("playlists/make", body)
        return found

    def playlists(self) -> list[shapes.PlaylistItem]:
        """Return the playlists that are kept."""
        found: list[shapes.PlaylistItem] = self._get("playlists")["playlists"]
        return found

    def saved_playlist(self, playlist: int) -> shapes.KeptPlaylist:
        """Return a playlist that is kept."""
        found: shapes.KeptPlaylist = self._get(f"playlists/{playlist:d}")
        return found

    def save_playlist(
        self,
        name: str,
        ids: Iterable[int],
        *,
        recipe: Mapping[str, Any] | None = None,
        playlist: int | None = None,
    ) -> shapes.KeptPlaylist:
        """Keep a playlist, in place of the one of an id if that is given."""
        body = {"name": name, "tracks": list(ids), "recipe": recipe}
        found: shapes.KeptPlaylist
        if playlist is None:
            found = self._post("playlists", body)
        else:
            found = self._send_json("PUT", f"playlists/{playlist:d}", body)
        return found

    def refresh_playlist(self, playlist: int) -> shapes.KeptPlaylist:
        """Make a playlist again by its recipe."""
        found: shapes.KeptPlaylist = self._post(f"playlists/{playlist:d}/refresh")
        return found

    def forget_playlist(self, playlist: int) -> None:
        """Delete a playlist that is kept."""
        self._send_json("DELETE", f"playlists/{playlist:d}", {})

    def playlist_file(self, playlist: int, form: str = "m3u8", roots: Iterable[str] = ()) -> bytes:
        """Return a playlist that is kept as a file; `roots` map folders: ``/music=/mnt/music``."""
        return self._bytes(f"playlists/{playlist:d}/file", {"format": form, "root": list(roots)})

    # Radio

    def radio(
        self,
        seeds: Seeds = (),
        options: RadioOptions | None = None,
        *,
        session: int | None = None,
        new: bool = False,
        like: Seeds = (),
        not_like: Seeds = (),
        words: str | None = None,
    ) -> shapes.RadioNext:
        """Return the next tracks of a session; without one, of the session of the seeds."""
        found: shapes.RadioNext
        if session is not None:
            found = self._post(f"radio/{session:d}/next", _given(options))
        else:
            leaning = _leaning(seeds, like, not_like, words)
            found = self._post("radio", {**_given(options), **leaning, "new": new})
        return found

    def radio_sessions(self) -> list[shapes.SessionHead]:
        """Return the newest sessions."""
        found: list[shapes.SessionHead] = self._get("radio")["sessions"]
        return found

    def radio_session(self, session: int, newest: int = 100) -> shapes.SessionView:
        """Return a session, with the tracks that it gave last."""
        found: shapes.SessionView = self._get(f"radio/{session:d}", {"limit": newest})
        return found

    def steer_radio(self, session: int, kind: str, track_id: int) -> shapes.SessionView:
        """Say something of a track; the next tracks of the session go by it."""
        body = {"kind": kind, "track": track_id}
        found: shapes.SessionView = self._post(f"radio/{session:d}/steer", body)
        return found

    # Feedback, preferences

    def like(self, tracks: Seeds, *, source: str = "client") -> list[shapes.FeedbackEvent]:
        """Store that tracks are liked."""
        return self.record("like", tracks, source=source)

    def dislike(self, tracks: Seeds, *, source: str = "client") -> list[shapes.FeedbackEvent]:
        """Store that tracks are disliked."""
        return self.record("dislike", tracks, source=source)

    def ban(self, tracks: Seeds, *, source: str = "client") -> list[shapes.FeedbackEvent]:
        """Ban tracks, artists or albums from every list."""
        return self.record("ban", tracks, source=source)

    def unban(self, tracks: Seeds, *, source: str = "client") -> list[shapes.FeedbackEvent]:
        """Let tracks, artists or albums come back."""
        return self.record("unban", tracks, source=source)

    def record(
        self, kind: str, tracks: Seeds, *, source: str = "client"
    ) -> list[shapes.FeedbackEvent]:
        """Store that tracks were played, skipped, liked, disliked, banned or unbanned."""
        body = {"kind": kind, "seeds": _seeds(tracks), "source": source}
        found: list[shapes.FeedbackEvent] = self._post("feedback", body)["events"]
        return found

    def take_back(self, kind: str, track_id: int) -> None:
        """Forget that a track was liked, or disliked."""
        self._send_json("DELETE", f"feedback/tracks/{track_id:d}/{kind}", {})

    def feedback(self, newest: int = 100) -> list[shapes.FeedbackEvent]:
        """Return what was said, the newest first."""
        found: list[shapes.FeedbackEvent] = self._get("feedback", {"limit": newest})["events"]
        return found

    def judged_ids(self) -> shapes.JudgedIds:
        """Return the ids of the tracks that are liked, disliked or banned now."""
        found: shapes.JudgedIds = self._get("feedback/tracks")
        return found

    def undo_feedback(self) -> list[shapes.FeedbackEvent]:
        """Forget what was said last, and return it."""
        found: list[shapes.FeedbackEvent] = self._post("feedback/undo")["events"]
        return found

    def preferences(self) -> shapes.PreferencesView:
        """Return the filters that are the defaults of every list."""
        found: shapes.PreferencesView = self._get("preferences")
        return found

    def set_preferences(self, filters: Filters) -> shapes.PreferencesView:
        """Change the defaults of every list."""
        found: shapes.PreferencesView = self._send_json("PUT", "preferences", filters.asked())
        return found

    # Genre tags of the files

    def correct_genre(self, track_id: int, genre: str) -> shapes.CorrectedGenre:
        """Write a genre into the tags of a track's file; its `run` undoes that."""
        found: shapes.CorrectedGenre = self._post(f"tracks/{track_id:d}/genre", {"genre": genre})
        return found

    def tags_to_undo(self, run: int | None = None) -> shapes.TagRun:
        """Return which tags of which files :meth:`undo_tags` would bring back."""
        found: shapes.TagRun = self._get("tags/undo", {"run": run})
        return found

    def undo_tags(self, run: int | None = None) -> shapes.UndoneTags:
        """Bring back the tags from before a run, by default the last one."""
        found: shapes.UndoneTags = self._post("tags/undo", {"run": run})
        return found

    # The library

    def server(self) -> shapes.ServerView:
        """Return what the server is, and whether one has to log in; it needs no token."""
        found: shapes.ServerView = self._get("server")
        return found

    def status(self) -> shapes.StatusView:
        """Return the figures of the library."""
        found: shapes.StatusView = self._get("status")
        return found

    def genres(self) -> list[shapes.GenreRow]:
        """Return the genres, most tracks first."""
        found: list[shapes.GenreRow] = self._get("genres")["genres"]
        return found

    def tag_counts(self) -> dict[str, int]:
        """Return the tags of the model with their numbers of tracks, most first."""
        return {each["tag"]: each["tracks"] for each in self._get("tags")["tags"]}

    def moods(self) -> list[shapes.MoodRow]:
        """Return the moods, most tracks first."""
        found: list[shapes.MoodRow] = self._get("moods")["moods"]
        return found

    def languages(self) -> dict[str, int]:
        """Return the languages of tags by their codes, with their numbers of tracks, most first."""
        return {each["language"]: each["tracks"] for each in self._get("languages")["languages"]}

    def folders_in(self, folder: str | Path | None = None) -> shapes.FolderList:
        """Return the folders in a folder with their numbers of tracks; by default the roots."""
        query = {"folder": None if folder is None else str(folder)}
        found: shapes.FolderList = self._get("folders", query)
        return found

    def failures(self, *, limit: int = 100, cursor: str | None = None) -> shapes.FailurePage:
        """Return a page of the files that could not be analysed."""
        found: shapes.FailurePage = self._get("failures", {"limit": limit, "cursor": cursor})
        return found

    def index(self, folders: Iterable[str | Path] = (), also: Iterable[str] = ()) -> shapes.RunView:
        """Start an index run of folders of the server, by default those it knows."""
        body = {"folders": [str(each) for each in folders], "also": list(also)}
        found: shapes.RunView = self._post("runs", body)
        return found

    def runs(self) -> list[shapes.RunView]:
        """Return the index runs, the newest first."""
        found: list[shapes.RunView] = self._get("runs")["runs"]
        return found

    def cancel_run(self, run: int) -> shapes.RunView:
        """End an index run; what it has finished is stored."""
        found: shapes.RunView = self._send_json("DELETE", f"runs/{run:d}", {})
        return found

    def events(self) -> Iterator[tuple[str, Any]]:
        """Yield what happens, as it happens: names of events and their values."""
        with self._answer("GET", "events") as stream:
            kind = ""
            for line in stream:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

    # Sound

    def classify(self, path: str | Path) -> shapes.ClassifiedFile:
        """Send a file and classify it; its `upload` is a seed of :meth:`similar` for an hour."""
        path = Path(path)
        with path.open("rb") as file:
            headers = {"Content-Type": _BYTES, "Content-Length": str(path.stat().st_size)}
            name = {"name": path.name}
            with self._answer("POST", "classify", name, file, headers) as answer:
                found: shapes.ClassifiedFile = _loaded(answer.read())
        return found

    def audio(self, track_id: int, start: int = 0) -> Iterator[bytes]:
        """Yield the file of a track as it is, from a byte on."""
        headers = {"Range": f"bytes={start:d}-"} if start else {}
        with self._answer("GET", f"media/{track_id:d}/audio", headers=headers) as answer:
            while chunk := answer.read(65_536):
                yield chunk

    def cover(self, track_id: int, size: int = 160) -> bytes:
        """Return the cover of a track: WebP of 64, 160, 320 or 640 pixels."""
        return self._bytes(f"media/{track_id:d}/cover", {"size": size})

    def waveform(self, track_id: int) -> bytes:
        """Return the waveform of a track: 800 peaks, a byte each."""
        return self._bytes(f"media/{track_id:d}/waveform")

    def spectrogram(self, track_id: int) -> bytes:
        """Return the spectrogram of a track: 96 bands of 600 grey levels, low to high."""
        return self._bytes(f"media/{track_id:d}/spectrogram")

    # HTTP

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        with self._answer("GET", path, query) as answer:
            return _loaded(answer.read())

    def _bytes(self, path: str, query: Mapping[str, Any] | None = None) -> bytes:
        with self._answer("GET", path, query) as answer:
            return answer.read()

    def _post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        return self._send_json("POST", path, body or {})

    def _send_json(self, method: str, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401
        content = json.dumps({k: v for k, v in body.items() if v is not None}).encode()
        headers = {"Content-Type": "application/json"}
        with self._answer(method, path, None, content, headers) as answer:
            return None if answer.status == 204 else _loaded(answer.read())

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        content: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[HTTPResponse]:
        """Yield the answer to a request; ServerError for one that is none, or breaks off."""
        request = Request(
            f"{self._base}/{path}{_query_text(query or {})}",
            content,
            {**self._headers, **(headers or {})},
            method=method,
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                yield answer
        except HTTPError as error:
            with error:
                raise _refusal(error) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ServerError(
                f"{self._base} does not answer: {reason}", "Is it running? recsys serve starts it."
            ) from error


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow nothing: the token would go along."""


def _refusal(error: HTTPError) -> ServerError:
    problem: Any = None
    with suppress(ValueError, OSError):
        problem = json.loads(error.read())
    if not isinstance(problem, dict) or "detail" not in problem:
        return ServerError(f"{error.url} answers {error.code} {error.reason}", "Is it recsys?")
    return ServerError(problem["detail"], problem.get("hint", ""), problem)  # type: ignore[arg-type]


def _loaded(content: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(content)
    except ValueError:
        raise ServerError(f"no JSON came: {content[:40]!r}", "Is it recsys?") from None


# What is sent


def _seeds(given: Seeds) -> list[str]:
    """Return seeds as the server takes them: ids, names, words."""
    if isinstance(given, int | str):
        return [str(given)]
    if isinstance(given, Mapping):
        return [str(given["track_id"])]
    return [seed for each in given for seed in _seeds(each)]


def _leaning(seeds: Seeds, like: Seeds, not_like: Seeds, words: str | None) -> dict[str, Any]:
    return {
        "seeds": _seeds(seeds),
        "like": _seeds(like),
        "not_like": _seeds(not_like),
        "words": words,
    }


def _given(options: AnyOptions | None) -> dict[str, Any]:
    """Return the options that are not the defaults, those of their filters among them."""
    values: dict[str, Any] = {}
    for each in fields(options) if options is not None else ():
        value = getattr(options, each.name)
        if each.name == "filters":
            values |= value.asked()
            values |= {} if value.use_defaults else {"use_defaults": False}
        elif each.name == "ranges":
            values |= {"ranges": {name: str(limits) for name, limits in value.items()}}
        elif value != each.default:
            values[each.name] = list(value) if isinstance(value, tuple) else value
    return values


def _page_query(options: PageOptions | None) -> dict[str, Any]:
    given = _given(options)
    return _flat({_NAMES.get(name, name): value for name, value in given.items()})


def _flat(given: dict[str, Any]) -> dict[str, Any]:
    """Return options as an address has them: each range under its own name."""
    ranges: dict[str, str] = given.pop("ranges", {})
    return {**given, **ranges}


def _query_text(query: Mapping[str, Any]) -> str:
    pairs = [
        (name, _as_text(each))
        for name, value in query.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    ]
    return f"?{urlencode(pairs, errors='surrogatepass')}" if pairs else ""


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)
