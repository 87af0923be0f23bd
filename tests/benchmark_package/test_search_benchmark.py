from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from recsys.benchmark import search, search_peers
from recsys.benchmark.clock import memory_of, run_command, timed_calls
from recsys.benchmark.search import SearchOptions, measure_search
from recsys.benchmark.search_peers import PEERS, absent, measure_peer, nearest_rows, recall_of
from recsys.errors import RecsysError
from recsys.store import Store
from tests.stored import unit_rows

psutil = pytest.importorskip("psutil", reason="needs the extra [benchmark]")

OPTIONS = SearchOptions(
    sizes=(400,), queries=5, oracle_queries=3, cold_runs=1, peers=True, largest_peer=100
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("search")
    return place


def test_every_promise_is_measured_and_the_library_is_left_as_it_was(place: Path) -> None:
    said: list[str] = []
    (table,) = measure_search(place, OPTIONS, said.append)
    names = [figure.name for figure in table.figures]
    assert len(names) == len(set(names))
    assert {"similar, p50", "open the index", "recsys similar, cold", "index on disk"} <= set(names)
    assert table.figure("recall@20 of whole answers").value == 1.0  # parts so small are exact
    assert all(figure.value > 0 for figure in table.figures)
    assert all(figure.target is None for figure in table.figures[:3])  # none for this size
    assert said[0] == "400 tracks: making the library"
    (database,) = place.glob("*/library.db")
    with Store.open(database, read_only=True) as store:
        assert store.counts()["tracks"] == 400


def test_a_library_that_is_there_is_used_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "make_library", None)
    monkeypatch.setattr(search, "PEERS", {})
    assert measure_search(place, OPTIONS)[0].peers == ()


def test_graphs_of_large_libraries_are_left_out_by_name(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "absent", lambda name: name == "voyager")
    (table,) = measure_search(place, OPTIONS)
    assert [peer.name.split()[0] for peer in table.peers] == ["NumPy"]
    assert table.skipped == (
        "FAISS: not built above 100 tracks",
        "voyager: not installed (pip install 'recsys[benchmark]')",
        "usearch: not built above 100 tracks",
    )


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_finds_the_nearest(name: str) -> None:
    if absent(name):
        pytest.skip(f"{name} is not installed")
    rows = unit_rows(300, 16)
    found = measure_peer(name, rows, rows[:10], nearest_rows(rows, rows[:10]))
    assert found.recall.value >= 0.99
    assert found.name.startswith(name)


def test_a_peer_looks_further_until_its_recall_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = unit_rows(300, 16)
    right, asked = nearest_rows(rows, rows[:2]), []

    def build(_: object) -> search_peers.Contender:
        answers = {40: right[0][::-1] + 1000, 80: right[0], 160: right[0]}
        return search_peers.Contender(lambda _: answers[asked[-1]], asked.append)

    monkeypatch.setitem(PEERS, "NumPy", ("numpy", "stub", build))
    found = measure_peer("NumPy", rows, rows[:1], right[:1])
    assert (asked, found.recall.value, found.p50.note) == ([40, 80], 1.0, "ef 80")


def test_recall_is_the_share_that_was_found() -> None:
    right = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert recall_of([np.array([4, 3, 2, 1]), np.array([5, 9, 10, 11])], right) == (1 + 1 / 4) / 2


def test_every_call_is_timed() -> None:
    calls: list[int] = []
    times = timed_calls(lambda: calls.append(1), 3)
    assert (len(calls), len(times.wall_s), len(times.cpu_s)) == (3, 3, 3)


def test_memory_is_seen_from_outside(tmp_path: Path) -> None:
    megabytes = 60
    script = f"import time; data = b'x' * {megabytes * 10**6}; time.sleep(0.5)"
    small = run_command([sys.executable, "-c", "import time; time.sleep(0.5)"], tmp_path)
    large = run_command([sys.executable, "-c", script], tmp_path)
    assert large.peak_pss_mb - small.peak_pss_mb == pytest.approx(megabytes, rel=0.1)
    assert memory_of(psutil.Process().pid) > 1


def test_a_command_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecsysError, match="ended with 3"):
        run_command([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
