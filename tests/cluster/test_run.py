"""What the machine that asks does with what comes back, or does not: without a cluster."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import fsspec
import pytest

import recsys.cluster.run as module
from recsys.cluster import ray_cluster
from recsys.cluster.ray_cluster import Cluster, ClusterError
from recsys.cluster.run import ClusterRun, FilesAnalysed
from recsys.cluster.shard_rows import table_of
from recsys.cluster.shards import OpenShard, ShardPlace
from recsys.cluster.sources import SourceFile
from recsys.cluster.worker import Pipeline
from recsys.errors import ModelError, RecsysError
from recsys.indexing import IndexPlan
from recsys.types import IndexEvent, IndexSummary
from tests.classifier.small_onnx import make_onnx, write_description
from tests.cluster.shards import analysed, failed

Answer = Callable[[Sequence[SourceFile], bool], Iterator[Any]]


def row_of(file: SourceFile) -> Any:
    return analysed(file.name, len(file.name), file.mtime_ns, file.size)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.mp3").write_bytes(b"x" * number)
    return folder


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Pipeline]]:
    """Have a cluster that answers as the test says."""

    def install(answer: Answer, gpus: int = 0) -> list[Pipeline]:
        pipelines: list[Pipeline] = []

        class Answering(Cluster):
            def __enter__(self) -> Answering:
                self.gpus = gpus
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def check_machines(self, folders: Sequence[str]) -> None:
                pass

            def tables(
                self, pipeline: Pipeline, files: Any, *, alone: bool = False
            ) -> Iterator[Any]:
                pipelines.append(pipeline)
                return answer(files, alone)

        monkeypatch.setattr(module, "Cluster", Answering)
        return pipelines

    return install


def rows_written(place: Path) -> list[dict[str, Any]]:
    shards = ShardPlace(str(place))
    rows = []
    for name in shards.names():
        with OpenShard(shards.path(name)) as shard:
            rows += [row for batch in shard.batches() for row in batch.to_pylist()]
    return rows


def test_files_that_do_not_come_back_are_asked_for_once_more_and_then_failures(
    cluster: Any, music: Path, tmp_path: Path
) -> None:
    asked: list[tuple[list[str], bool]] = []

    def answer(files: Sequence[SourceFile], alone: bool) -> Iterator[Any]:
        asked.append(([Path(file.name).name for file in files], alone))
        back = [file for file in files if Path(file.name).stem not in ("5" if alone else "345")]
        yield table_of([row_of(file) for file in back])

    cluster(answer)
    *events, summary = ClusterRun(str(tmp_path / "out")).run([str(music)])
    assert asked == [
        (["0.mp3", "1.mp3", "2.mp3", "3.mp3", "4.mp3", "5.mp3"], False),
        (["3.mp3", "4.mp3", "5.mp3"], True),
    ]
    assert isinstance(summary, IndexSummary)
    assert (summary.found, summary.indexed, summary.failed) == (6, 5, 1)
    assert sum(event.count for event in events if isinstance(event, FilesAnalysed)) == 6
    (lost,) = [row for row in rows_written(tmp_path / "out") if row["failure"]]
    assert lost["path"] == str(music / "5.mp3")
    assert lost["may_pass"], "the next run tries it"


def test_what_comes_back_twice_counts_once(cluster: Any, music: Path, tmp_path: Path) -> None:
    def answer(files: Sequence[SourceFile], _alone: bool) -> Iterator[Any]:
        yield table_of([row_of(file) for file in files[:4]])
        yield table_of([row_of(file) for file in files[2:]])

    cluster(answer)
    *_, summary = ClusterRun(str(tmp_path / "out")).run([str(music)])
    assert isinstance(summary, IndexSummary)
    assert summary.indexed == 6
    paths = [row["path"] for row in rows_written(tmp_path / "out")]
    assert sorted(paths) == sorted(str(path) for path in music.iterdir())


def test_sources_that_overlap_are_analysed_once(cluster: Any, music: Path, tmp_path: Path) -> None:
    deep = music / "deep"
    deep.mkdir()
    (deep / "a.mp3").write_bytes(b"deep")
    analysed_files: list[str] = []

    def answer(files: Sequence[SourceFile], _alone: bool) -> Iterator[Any]:
        analysed_files.extend(file.name for file in files)
        yield table_of([row_of(file) for file in files])

    cluster(answer)
    places = [str(deep), str(music), f"{music}/", "memory://b/music/deep/", "memory://b/music"]
    bucket = fsspec.filesystem("memory")
    try:
        bucket.pipe_file("/b/music/deep/a.mp3", b"x")
        bucket.pipe_file("/b/music/b.mp3", b"y")
        for status in ("indexed", "unchanged"):
            *events, summary = ClusterRun(str(tmp_path / "out")).run(places)
            assert isinstance(summary, IndexSummary)
            assert summary.found == getattr(summary, status) == 9
            told = [event for event in events if isinstance(event, IndexEvent)]
            assert len({str(event.path) for event in told}) == len(told) == 9
    finally:
        bucket.rm("/b", recursive=True)
    assert len(set(analysed_files)) == len(analysed_files) == 9
    (name,) = ShardPlace(str(tmp_path / "out")).names()
    with OpenShard(str(tmp_path / "out" / name)) as shard:
        assert shard.header.sources == (str(music), "memory://b/music")


def test_a_place_inside_another_has_to_be_there(music: Path, tmp_path: Path) -> None:
    with pytest.raises(RecsysError, match="no such file or folder"):
        list(ClusterRun(str(tmp_path / "out")).run([str(music), str(music / "none")]))


def test_a_long_list_goes_in_rounds(
    cluster: Any, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []

    def answer(files: Sequence[SourceFile], _alone: bool) -> Iterator[Any]:
        rounds.append(len(files))
        yield table_of([row_of(file) for file in files])

    cluster(answer)
    monkeypatch.setattr(module, "ROUND_FILES", 4)
    monkeypatch.setattr(module, "_SPOOLED", 3)
    events = list(ClusterRun(str(tmp_path / "out")).run([str(music)]))
    (plan,) = [event for event in events if isinstance(event, IndexPlan)]
    assert plan == IndexPlan(found=6, pending=6)
    assert rounds == [4, 2]


@pytest.mark.parametrize("end", [KeyboardInterrupt, ClusterError("the cluster was lost")])
def test_whatever_ends_a_run_what_came_back_is_written(
    cluster: Any, music: Path, tmp_path: Path, end: Any
) -> None:
    def answer(files: Sequence[SourceFile], _alone: bool) -> Iterator[Any]:
        yield table_of([row_of(file) for file in files[:2]])
        raise end

    cluster(answer)
    with pytest.raises((KeyboardInterrupt, ClusterError)):
        list(ClusterRun(str(tmp_path / "out")).run([str(music)]))
    assert len(rows_written(tmp_path / "out")) == 2

    again: list[str] = []

    def rest(files: Sequence[SourceFile], _alone: bool) -> Iterator[Any]:
        again.extend(Path(file.name).name for file in files)
        yield table_of([failed(file.name, mtime_ns=file.mtime_ns) for file in files])

    cluster(rest)
    events = list(ClusterRun(str(tmp_path / "out")).run([str(music)]))
    assert again[:4] == ["2.mp3", "3.mp3", "4.mp3", "5.mp3"]
    told = [event for event in events if isinstance(event, IndexEvent)]
    assert [event.status for event in told[:2]] == ["unchanged", "unchanged"]


def test_a_run_that_finds_nothing_new_needs_no_cluster(
    cluster: Any, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(lambda files, _alone: iter([table_of([row_of(file) for file in files])]))
    list(ClusterRun(str(tmp_path / "out")).run([str(music)]))
    monkeypatch.setattr(module, "Cluster", Cluster)
    events = list(ClusterRun(str(tmp_path / "out"), "127.0.0.1:1").run([str(music)]))
    assert {event.status for event in events if isinstance(event, IndexEvent)} == {"unchanged"}
    (music / "new.mp3").touch()
    with pytest.raises(ClusterError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 "):
        list(ClusterRun(str(tmp_path / "out"), "127.0.0.1:1").run([str(music)]))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", "the address of a Ray client"),
        ("nowhere", "'nowhere' is no address"),
        (":6379", "is no address"),
        ("127.0.0.1:99999", "no Ray cluster answers"),
    ],
)
def test_addresses_that_are_none(address: str, message: str) -> None:
    with pytest.raises(ClusterError, match=message) as caught, Cluster(address):
        pass
    assert caught.value.hint


def test_a_device_that_no_machine_has(cluster: Any, music: Path, tmp_path: Path) -> None:
    cluster(lambda _files, _alone: iter(()))
    with pytest.raises(ClusterError, match="no machine of the cluster has a device 'cuda'"):
        list(ClusterRun(str(tmp_path / "out"), device="cuda").run([str(music)]))


@pytest.mark.parametrize("onnx", [False, True])
def test_an_onnx_model_leaves_gpus_alone(
    cluster: Any, music: Path, tmp_path: Path, onnx: bool
) -> None:
    model = None
    if onnx:
        model = make_onnx(tmp_path / "small.onnx")
        write_description(model)
    pipelines = cluster(lambda _files, _alone: iter(()), gpus=2)
    list(ClusterRun(str(tmp_path / "out"), model=model).run([str(music)]))
    told = {(pipeline.gpus, pipeline.model.device) for pipeline in pipelines}
    assert told == {(0, "cpu") if onnx else (2, "cuda")}


def test_an_onnx_model_is_not_forced_on_a_gpu(cluster: Any, music: Path, tmp_path: Path) -> None:
    model = make_onnx(tmp_path / "small.onnx")
    write_description(model)
    cluster(lambda _files, _alone: iter(()), gpus=2)
    run = ClusterRun(str(tmp_path / "out"), model=model, device="cuda")
    with pytest.raises(ModelError, match="runs on the processor, not on 'cuda'"):
        list(run.run([str(music)]))


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cluster, socket.socket]]:
    """Have a cluster of which no table comes, and its head."""
    monkeypatch.setattr(ray_cluster, "HEAD_CHECK_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as head:
        cluster = Cluster("local")
        cluster._head = f"127.0.0.1:{head.getsockname()[1]}"
        yield cluster, head


def test_a_head_that_is_gone_ends_the_wait(waiting: tuple[Cluster, socket.socket]) -> None:
    cluster, head = waiting
    head.close()
    with pytest.raises(ClusterError, match="does not answer any more") as caught:
        cluster._answer()
    assert "run the command again" in caught.value.hint


def test_a_head_that_answers_is_waited_for(waiting: tuple[Cluster, socket.socket]) -> None:
    cluster, head = waiting
    tries: list[None] = []

    def answer() -> None:
        for _ in range(3 * ray_cluster.HEAD_CHECKS):
            head.accept()[0].close()
            tries.append(None)
        cluster._answers.put(("done", None))

    thread = threading.Thread(target=answer)
    thread.start()
    assert cluster._answer() == ("done", None)
    thread.join()
    assert len(tries) == 3 * ray_cluster.HEAD_CHECKS


ENDING = """
import os, pickle, sys
pickle.dump(("ready", ("127.0.0.1:1", 3)), sys.stdout.buffer)
sys.stdout.flush()
pickle.load(sys.stdin.buffer)
pickle.dump(("table", "rows"), sys.stdout.buffer)
sys.stdout.flush()
print("the raylet died", file=sys.stderr, flush=True)
os._exit(1)
"""


def test_a_driver_that_ends_loses_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    popen = subprocess.Popen
    commands: list[Any] = []

    def start(command: Sequence[str], **options: Any) -> Any:
        commands.append(command)
        return popen([sys.executable, "-c", ENDING], **options)

    monkeypatch.setattr(ray_cluster.subprocess, "Popen", start)
    rows: list[Any] = []
    with Cluster("local") as cluster:
        assert cluster.gpus == 3
        tables = cluster.tables(cast("Any", None), [])
        with pytest.raises(ClusterError, match="the raylet died"):
            rows.extend(tables)
    assert rows == ["rows"]
    assert "-P" in commands[0], "modules of the working directory are not for the driver"


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            "Version mismatch: The cluster was started with: Ray: 2.1",
            "same versions",
            "same Python",
        ),
        ("AuthenticationError: InvalidAuthToken", "do not agree on a token", "RAY_AUTH_MODE=token"),
        ("no raylet here", "does not take this machine: no raylet here", "ray start --address=h:1"),
    ],
)
def test_a_refused_connection_has_a_message_and_a_hint(said: str, message: str, hint: str) -> None:
    error = ray_cluster.connection_refused("h:1", said)
    assert message in error.message
    assert hint in error.hint
