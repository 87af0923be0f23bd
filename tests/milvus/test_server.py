"""A shared library behind a port: many readers, and a server that dies or falls silent."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recsys.api import Library
from recsys.errors import SharedLibraryError
from recsys.index.sync import rebuild_index
from recsys.milvus.client import Connection, parse_place
from recsys.milvus.milvus_index import MilvusIndex
from tests.benchmarks import planted_libraries
from tests.index.oracle import ExactIndex
from tests.milvus.server import Server, free_port
from tests.milvus.shared_libraries import answers, make_library, open_at, push_to, sounds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.planted import PlantedLibrary

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

QUICK = "?timeout=1.5"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.thaw()
    server.kill()


@pytest.fixture
def library(tmp_path: Path) -> PlantedLibrary:
    made = make_library(tmp_path, 60)
    rebuild_index(made.store)
    return made


def test_a_library_behind_a_port_answers_as_it_does_at_home(
    server: Server, library: PlantedLibrary
) -> None:
    summary = push_to(library.store, server.place)
    assert (summary.place, summary.tracks) == (server.place, 64)
    shared = open_at(server.place)
    seeds = library.ids()[::12]
    ours = list(answers(library.store, library.index, seeds))
    assert list(answers(shared, shared.index, seeds)) == ours
    shared.close()


def test_two_libraries_lie_on_one_server(
    server: Server, library: PlantedLibrary, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = make_library(tmp_path / "other", 20)
    push_to(library.store, server.place)
    push_to(other.store, f"{server.place}?collection=other")
    counts = []
    for place in (server.place, f"{server.place}?collection=other"):
        shared = open_at(place)
        counts.append(shared.index.count())
        shared.close()
    assert counts == [64, 24]


def ask(place: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "recsys", "similar", *words, "--index", place, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_many_read_at_the_same_time(server: Server, library: PlantedLibrary) -> None:
    push_to(library.store, server.place)
    words = ("song artist", "song 33", "sigur", "song 58")
    readers = [ask(server.place, name) for name in words for _ in range(2)]
    outputs = [(reader.communicate(timeout=120), reader.returncode) for reader in readers]
    with Library(library.store.path) as local:
        for number, ((out, err), code) in enumerate(outputs):
            if number < 2:
                assert code == 1
                assert "matches" in err
                continue
            answer = local.similar(words[number // 2])
            rows = json.loads(out)["results"]
            assert [row["track_id"] for row in rows] == [row.track.id for row in answer.results]
            assert code == 0
            assert err == "" or err.startswith("Note: ")


def test_readers_see_what_is_pushed_while_they_read(
    server: Server, library: PlantedLibrary
) -> None:
    push_to(library.store, server.place)
    stop, faults, sizes = threading.Event(), [], set()

    def read() -> None:
        with Library(index=server.place) as reader:
            while not stop.is_set():
                try:
                    answer = reader.similar("/music/0/00033.flac", k=500)
                except Exception as error:  # noqa: BLE001 (whatever it is, the test has to tell)
                    faults.append(error)
                    return
                ids = [row.track.id for row in answer.results]
                assert len(ids) == len(set(ids))
                sizes.add(len(ids))

    thread = threading.Thread(target=read)
    thread.start()
    for seed in range(1, 4):
        library.add(sounds(40, seed=seed))
        push_to(library.store, server.place)
    stop.set()
    thread.join(timeout=60)
    assert not faults
    assert sizes


def test_a_port_without_a_server_is_an_error_at_once() -> None:
    port = free_port()
    began = time.monotonic()
    with pytest.raises(SharedLibraryError, match=f"nothing answers at .*:{port}") as caught:
        open_at(f"milvus://127.0.0.1:{port}")
    assert time.monotonic() - began < 8
    assert caught.value.hint


def test_a_server_that_falls_silent_is_asked_once_more(
    server: Server, library: PlantedLibrary
) -> None:
    push_to(library.store, server.place)
    with Library(index=server.place + QUICK) as reader:
        before = reader.similar("song 33").results
        server.freeze()
        began = time.monotonic()
        with pytest.raises(SharedLibraryError, match=r"not within 1\.5 s") as caught:
            reader.similar("song 33")
        assert 1.5 < time.monotonic() - began < 9
        assert "?timeout=60" in caught.value.hint
        server.thaw()
        assert reader.similar("song 33").results == before


def test_a_short_silence_is_sat_out(server: Server, library: PlantedLibrary) -> None:
    push_to(library.store, server.place)
    with Library(index=server.place + QUICK) as reader:
        before = reader.similar("song 33").results
        server.freeze()
        thawing = threading.Timer(2.2, server.thaw)
        thawing.start()
        assert reader.similar("song 33").results == before
        thawing.join()


def test_a_silence_between_two_pages_is_sat_out(server: Server, library: PlantedLibrary) -> None:
    push_to(library.store, server.place)
    shared = open_at(server.place + QUICK)
    with Connection(shared.path) as connection:
        pages = connection.pages(shared.index.name, "id >= 0", ["id"], 10)
        first = next(pages)
        server.freeze()
        thawing = threading.Timer(2.2, server.thaw)
        thawing.start()
        rest = [row["id"] for page in pages for row in page]
        thawing.join()
    assert [row["id"] for row in first] + rest == library.ids()
    shared.close()


def test_a_server_that_dies_is_reported_and_found_again(
    server: Server, library: PlantedLibrary
) -> None:
    push_to(library.store, server.place)
    with Library(index=server.place + QUICK) as reader:
        before = reader.similar("song 33").results
        server.kill()
        with pytest.raises(SharedLibraryError, match="does not answer"):
            reader.similar("song 33")
        server.start()
        assert reader.similar("song 33").results == before


def test_a_push_into_a_server_that_dies_loses_nothing(
    server: Server, library: PlantedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.milvus.push.PAGE", 10)
    put, calls = MilvusIndex.put, []

    def dying(self: MilvusIndex, *arguments: Any) -> None:
        if len(calls) == 3:
            server.kill()
        calls.append(put(self, *arguments))

    with monkeypatch.context() as patch:
        patch.setattr(MilvusIndex, "put", dying)
        with pytest.raises(SharedLibraryError, match="does not answer"):
            push_to(library.store, server.place + QUICK)
    server.start()
    summary = push_to(library.store, server.place)
    assert (summary.tracks, summary.written, summary.unchanged) == (64, 34, 30)
    shared = open_at(server.place)
    seeds = library.ids()[::30]
    ours = list(answers(library.store, library.index, seeds))
    assert list(answers(shared, shared.index, seeds)) == ours
    shared.close()


@pytest.mark.parametrize(("graph", "least"), [(False, 1.0), (True, 0.98)])
def test_a_server_finds_the_nearest(server: Server, graph: bool, least: float) -> None:
    """Ten genres, 20,000 tracks: recall@20 against exact search, over all and in two genres."""
    number, k = 20_000, 20
    model = planted_libraries.planted_model()
    oracle = ExactIndex(planted_libraries.DIMENSION)
    with Connection(parse_place(f"{server.place}?timeout=60")) as connection:
        index = MilvusIndex.create(connection, "recall", planted_libraries.DIMENSION, graph=graph)
        for batch in planted_libraries.batches(number):
            ids = np.arange(batch.first + 1, batch.first + 1 + len(batch.embeddings))
            genres = np.array([model.top_genre(row) for row in batch.probabilities])
            for genre in np.unique(genres).tolist():
                chosen = genres == genre
                index.add(genre, ids[chosen], batch.embeddings[chosen])
                oracle.add(genre, ids[chosen], batch.embeddings[chosen])
        index.commit(fingerprint="f", revision=1)
        described = connection.ask("describe_index", "recall", "embedding")
        assert described["index_type"] == ("HNSW" if graph else "FLAT")
        index = MilvusIndex.open(connection, "recall", reading=True)
        recalls = [
            recall(index, oracle, genre, query, k)
            for query in planted_libraries.later_batch(number, 60).embeddings
            for genre in (None, "rock", "reggae")
        ]
    assert np.mean(recalls) >= least


def recall(index: MilvusIndex, oracle: ExactIndex, genre: str | None, query: Any, k: int) -> float:
    wanted = oracle.search(genre, query, k)
    found = index.search(genre, query, k)
    same = {near.track_id for near in wanted} & {near.track_id for near in found}
    return len(same) / len(wanted)


def test_a_large_library_is_searched_by_a_graph(
    server: Server, library: PlantedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.milvus.push.GRAPH_MIN_TRACKS", 10)
    push_to(library.store, server.place)
    shared = open_at(server.place)
    with Connection(parse_place(server.place)) as connection:
        described = connection.ask("describe_index", shared.index.name, "embedding")
    assert described["index_type"] == "HNSW"
    seeds = library.ids()[::30]
    ours = list(answers(library.store, library.index, seeds))
    assert list(answers(shared, shared.index, seeds)) == ours
    shared.close()
