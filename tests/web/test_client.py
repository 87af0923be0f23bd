"""The client answers as the server does, and in the types that it says."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import typing
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from recsys.api import Library
from recsys.errors import QueryError, RecsysError
from recsys.pages import PageOptions
from recsys.playlists import PlaylistOptions
from recsys.playlists.radio import RadioOptions
from recsys.recommender import Filters, SimilarOptions
from recsys.web import shapes
from recsys.web.client import Client, ServerError
from recsys.web.tokens import Tokens
from tests.web.conftest import Indexed, copy_of
from tests.web.live import listening


@cache
def adapter(verb: str) -> TypeAdapter[Any]:
    names = {**vars(typing), "shapes": shapes, "Path": Path}
    return TypeAdapter(typing.get_type_hints(getattr(Client, verb), names, HINTS)["return"])


class Checked(Client):
    """A client whose answers are checked against the types that its verbs return."""

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or not callable(found):
            return found

        def checked(*given: Any, **options: Any) -> Any:
            answer = found(*given, **options)
            if not isinstance(answer, Iterator):
                adapter(name).validate_python(answer, strict=True, extra="forbid")
            return answer

        return checked


HINTS = {
    **dict.fromkeys(("PageOptions", "PlaylistOptions", "RadioOptions", "SimilarOptions"), Any),
    **dict.fromkeys(("Filters", "Seeds", "OneSeed"), Any),
    "Iterable": typing.Iterable,
    "Iterator": typing.Iterator,
    "Mapping": typing.Mapping,
}


@pytest.fixture
def database(indexed: Indexed, tmp_path: Path) -> Path:
    return copy_of(indexed, tmp_path / "own")


@pytest.fixture
def client(database: Path) -> Iterator[Client]:
    with listening(database) as listener:
        yield Checked(str(listener.base_url))


def ids(rows: Any) -> list[int]:
    return [row["track_id"] for row in rows]


def test_verbs_answer_as_those_of_a_library(client: Client, database: Path) -> None:
    library = Library(database)
    options = PageOptions(search="band", sort="-title", ranges={"energy": "0..1"})
    assert client.track_ids(options) == library.track_ids(options).tolist()
    assert ids(client.tracks(options)) == client.track_ids(options)
    page = client.page(options, limit=3)
    assert ids(client.page(options, limit=3, cursor=page["next"])["tracks"]) == [
        track.id for track in library.page(options, limit=3, cursor=page["next"]).tracks
    ]
    assert ids(client.tracks_of([3, 99, 1])) == [3, 1]
    narrow = SimilarOptions(
        k=4, max_per_artist=1, filters=Filters(ranges={"energy": "0..1"}, use_defaults=False)
    )
    found = client.similar(client.show(1), narrow, explain=True, not_like=[2, "id:3"])
    expected = library.similar(1, narrow, not_like=[2, 3])
    assert ids(found["results"]) == [row.track.id for row in expected.results]
    assert found["results"][0]["reasons"]
    made = client.playlist(2, PlaylistOptions(length=5, seed=3), to=9)
    way = library.playlist(2, PlaylistOptions(length=5, seed=3), to=9)
    assert ids(made["tracks"]) == [track.id for track in way.tracks]
    assert len(client.extend([1, 2], PlaylistOptions(length=3))["tracks"]) == 3
    assert client.tag_counts() == library.tag_counts()
    assert {row["genre"] for row in client.genres()} == {name for name, _, _ in library.genres()}
    assert client.status()["tracks"] == 10
    assert client.failures()["total"] == 1
    assert len(client.moods()) == len(library.moods())
    assert client.languages() == library.languages() == {"de": 4, "fr": 2}
    assert len(client.track_ids(PageOptions(languages=("french",)))) == 2
    assert client.folders_in()["tracks"] == 10
    assert client.suggest("cham")["artists"] == client.artists("cham")["artists"]
    assert len(client.waveform(1)) == 800


def test_what_is_kept_is_changed(client: Client, indexed: Indexed) -> None:
    kept = client.save_playlist("a", [3, 1], recipe={"seeds": ["1"], "length": 2})
    number = kept["playlist"]
    assert ids(client.save_playlist("b", [2], playlist=number)["tracks"]) == [2]
    assert client.saved_playlist(number)["name"] == client.playlists()[0]["name"] == "b"
    assert client.playlist_file(number, "paths").endswith(b"\n")
    client.forget_playlist(number)
    assert client.playlists() == []
    session = client.radio("1", RadioOptions(length=2))["session"]
    more = client.radio(session=session, options=RadioOptions(length=3))
    assert len(more["results"]) == 3
    assert ids(client.steer_radio(session, "skip", 5)["not_like"]) == [5]
    assert client.radio_session(session)["given"] == client.radio_sessions()[0]["given"] == 5
    client.like([1, "2"])
    assert client.judged_ids() == {"like": [1, 2], "dislike": [], "ban": []}
    client.take_back("like", 1)
    assert [event["kind"] for event in client.feedback()] == ["like", "skip"]
    assert client.undo_feedback()[0]["kind"] == "like"
    assert client.set_preferences(Filters(moods=("calm",))) == {"moods": ["calm"]}
    sent = client.classify(next(indexed.music.glob("chamber/0.*")))
    assert client.similar(upload=sent["upload"])["results"]


def test_errors_are_those_of_recsys(client: Client) -> None:
    with pytest.raises(RecsysError, match="no track has the id 99") as caught:
        client.show(99)
    assert caught.value.hint
    assert isinstance(caught.value, ServerError)
    assert caught.value.status == 404
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.message, again.status) == (caught.value.message, 404)
    with pytest.raises(ServerError, match="matches") as ambiguous:
        client.similar("number")
    assert ambiguous.value.problem is not None
    assert ambiguous.value.problem["matches"]
    with pytest.raises(ServerError, match="does not answer") as nobody:
        Client("http://127.0.0.1:9", timeout_s=5).status()
    assert "recsys serve" in nobody.value.hint
    for address in ("127.0.0.1:8337", "http://[::1"):
        with pytest.raises(QueryError, match="no address"):
            Client(address)
    for address, token in (("http://me:hidden@nas", None), ("http://nas", "hidden\n")):
        with pytest.raises(QueryError) as secret:
            Client(address, token)
        assert "hidden" not in f"{secret.value} {secret.value.hint}"


def test_a_token_opens_the_library(database: Path) -> None:
    _, text = Tokens(database).make()
    with listening(database, tokens=True) as listener:
        with pytest.raises(ServerError, match="log in first"):
            Client(str(listener.base_url)).status()
        assert Client(str(listener.base_url), text).status()["tracks"] == 10


def test_the_client_needs_no_extra() -> None:
    code = (
        "import sys, recsys.web.client; "
        "sys.exit(any(name in sys.modules for name in ('fastapi', 'pydantic', 'uvicorn', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_token_goes_to_no_other_server() -> None:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    asked: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(ServerError, match="answers 307"):
            Client(f"http://127.0.0.1:{server.server_port}", "secret").status()
        thread.join()
    assert asked == ["/api/v1/status"]
