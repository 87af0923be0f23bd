"""Questions that fail once, and settings of the machine that are not meant for Milvus."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from recsys.errors import SharedLibraryError
from recsys.milvus.client import Connection, parse_place
from recsys.milvus.collection import (
    Header,
    header_rows,
    make_collection,
    read_header,
    write_header,
)
from recsys.milvus.milvus_index import MilvusIndex
from recsys.milvus.push import _held, push
from tests.milvus.server import free_port
from tests.milvus.shared_libraries import make_library, open_at, push_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recsys.milvus.catalogue import MilvusCatalogue
    from tests.planted import PlantedLibrary


class Silence(grpc.RpcError):
    """What gRPC raises where a server did not answer in time."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED


class Failing:
    """Makes the client's questions for rows fail, once or for ever, from a certain one on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from pymilvus.client.grpc_handler import GrpcHandler

        self.asked, self.failed = 0, 0
        self.failing: set[int] = set()
        ask = GrpcHandler.query

        def query(handler: GrpcHandler, *arguments: Any, **options: Any) -> Any:
            self.asked += 1
            if self.asked in self.failing:
                self.failed += 1
                raise Silence
            return ask(handler, *arguments, **options)

        monkeypatch.setattr(GrpcHandler, "query", query)

    def at(self, *questions: int) -> None:
        """Let those of the next questions fail, 1 being the next one."""
        self.asked, self.failed, self.failing = 0, 0, set(questions)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    return Failing(monkeypatch)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    return make_library(tmp_path_factory.mktemp("library"), 60)


@pytest.fixture(scope="module")
def place(library: PlantedLibrary) -> Path:
    place = library.store.path.with_name("shared.db")
    push_to(library.store, place)
    return place


@pytest.fixture
def shared(place: Path) -> Iterator[MilvusCatalogue]:
    catalogue = open_at(place)
    yield catalogue
    catalogue.close()


# The first question for pages is the iterator's own, for the state that it is to read.
@pytest.mark.parametrize("question", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("condition", ["id >= 0", 'genre like "%" and id >= 0'])
def test_a_page_that_fails_once_is_read_once(
    condition: str,
    question: int,
    library: PlantedLibrary,
    shared: MilvusCatalogue,
    failing: Failing,
) -> None:
    with Connection(shared.path) as connection:
        before = connection._client
        failing.at(question)
        pages = list(connection.pages(shared.index.name, condition, ["id", "words"], 10))
        assert failing.failed == 1
        assert connection._client is not before
    assert [row["id"] for page in pages for row in page] == library.ids()
    assert [len(page) for page in pages] == [10] * 6 + [4]


def test_all_that_is_read_in_pages_survives_a_failure(
    library: PlantedLibrary,
    shared: MilvusCatalogue,
    failing: Failing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (
        "catalogue.SCORES_PAGE",
        "milvus_index.PAGE",
        "milvus_index.MAX_ROWS",
        "push.MAX_ROWS",
    ):
        monkeypatch.setattr(f"recsys.milvus.{name}", 10)
    ids, scores = library.store.all_tag_scores()
    query = library.sounds[5].embedding
    wanted = library.index.search(None, query, 60)
    failing.at(3)
    found_ids, found = shared.all_tag_scores()
    assert (found_ids.tolist(), found.tolist()) == (ids.tolist(), scores.tolist())
    assert failing.failed == 1
    failing.at(3)
    assert shared.index.search(None, query, 60) == wanted
    assert failing.failed == 1
    with Connection(shared.path) as connection:
        failing.at(3)
        held, digests = _held(connection, shared.index.name)
        assert (held.tolist(), len(set(digests.tolist()))) == (ids.tolist(), 64)
        failing.at(4)
        counted = MilvusIndex(connection, shared.index.name, 16)
        assert counted.counts() == library.store.genre_counts()
        assert failing.failed == 1


def test_a_page_that_fails_twice_is_reported(shared: MilvusCatalogue, failing: Failing) -> None:
    with Connection(shared.path) as connection:
        failing.at(3, 4)
        pages = connection.pages(shared.index.name, "id >= 0", ["id"], 10)
        assert len(next(pages)) == 10
        with pytest.raises(SharedLibraryError, match="longer than 300 s"):
            list(pages)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Connection]:
    with Connection(parse_place(tmp_path / "headers.db"), create=True) as connection:
        make_collection(connection, "tracks", 4)
        yield connection


def long_header(text: str, pieces: int) -> Header:
    return Header(about={"text": text * 60_000 * pieces}, version=secrets.token_hex(8))


def test_a_header_of_several_rows_is_read_as_a_whole(empty: Connection, failing: Failing) -> None:
    assert read_header(empty, "tracks") is None
    for header in (long_header("a", 3), long_header("\ud800'\"", 1), Header(revision=7)):
        write_header(empty, "tracks", 4, header)
        failing.at()
        assert read_header(empty, "tracks") == header
        # One request: between two of them another push may write.
        assert failing.asked == 1


def test_a_header_that_is_torn_is_read_again(
    empty: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = long_header("a", 3), long_header("b", 3)
    rows = []
    for header in (old, new):
        write_header(empty, "tracks", 4, header)
        rows.append(header_rows(empty, "tracks", 200))
    torn = [rows[0] | {-1: rows[1][-1]}, rows[1] | {-2: rows[0][-2]}, {-1: rows[0][-1]}]
    answers = iter([*torn[:2], rows[1]])
    module = "recsys.milvus.collection.header_rows"
    monkeypatch.setattr(module, lambda *_: next(answers))
    assert read_header(empty, "tracks") == new
    for tear in torn:
        monkeypatch.setattr(module, lambda *_, tear=tear: tear)
        with pytest.raises(SharedLibraryError, match="incomplete") as caught:
            read_header(empty, "tracks")
        assert "ask again" in caught.value.hint


def test_a_reader_that_comes_while_libraries_are_swapped_finds_the_new_one(
    library: PlantedLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "shared.db"
    other = make_library(tmp_path, 20)
    with Connection(parse_place(place), create=True) as connection:
        push(library.store, connection)
        opened = MilvusIndex.open

        def late(*arguments: Any, reading: bool = False) -> MilvusIndex:
            monkeypatch.setattr(MilvusIndex, "open", opened)
            push(other.store, connection, replace=True)
            return opened(*arguments, reading=reading)

        monkeypatch.setattr(MilvusIndex, "open", late)
        shared = open_at(place)
        assert shared.index.count() == 24
        shared.close()


def test_a_proxy_is_not_asked_for_this_machine(
    library: PlantedLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert push_to(library.store, tmp_path / "shared.db").tracks == 64
    shared = open_at(tmp_path / "shared.db")
    assert shared.index.count() == 64
    shared.close()


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("milvus://localhost", True),
        ("milvus://127.0.0.5:1234", True),
        ("milvus+tls://[::1]", True),
        ("milvus://10.0.0.1", False),
        ("milvus://localhost.example", False),
        ("shared.db", True),
    ],
)
def test_what_lies_on_this_machine_is_known(text: str, here: bool) -> None:
    assert parse_place(text).is_here == here
