"""Two real nodes on this machine: what dies, vanishes or is cut off, and that nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from moto.server import ThreadedMotoServer

from recsys.cli.main import cli
from recsys.demo import SAMPLE_RATE, STYLES, make_library, render
from tests.classifier.small_onnx import make_onnx, write_description
from tests.cluster.library_contents import assert_same, contents
from tests.cluster.two_nodes import REPOSITORY, TRUSTING, TwoNodes, free_port, two_nodes, wait_until
from tests.sounds import write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

BUCKET = "bucket"
N_TRACKS = 18  # more than one block, so that both nodes have something to do


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recsys", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, **TRUSTING},
    )


def index_on_ray(cluster: TwoNodes, *arguments: object) -> list[dict[str, Any]]:
    """Run to the end; return the events, the last one the counts."""
    done = run("cluster", "index", "--address", cluster.address, "--json", *arguments)
    assert done.returncode in (0, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert "ray" not in done.stderr.lower(), "Ray's own words are not for the user"
    return [json.loads(line) for line in done.stdout.splitlines()]


def make_local(music: Path, database: Path, *arguments: object) -> Path:
    """Index with the local engine."""
    result = CliRunner().invoke(
        cli, ["index", str(music), "--db", str(database), *map(str, arguments)]
    )
    assert result.exit_code in (0, 3), result.output
    return database


def import_shards(shards: object, database: Path, *arguments: object) -> dict[str, int]:
    result = CliRunner().invoke(
        cli,
        ["cluster", "import", str(shards), "--db", str(database), "--json", *map(str, arguments)],
    )
    assert result.exit_code in (0, 3), result.output
    summary: dict[str, int] = json.loads(result.stdout.splitlines()[-1])["summary"]
    return summary


class Driver:
    """A gated run in a process of its own, see :mod:`tests.cluster.driver`."""

    def __init__(
        self, cluster: TwoNodes, folder: Path, *places: object, **settings: object
    ) -> None:
        self.out = folder / "shards"
        self.gate = folder / "gate"
        self.gate.mkdir()
        self.told = folder / "events"
        told = {
            "out": str(self.out),
            "address": cluster.address,
            "places": [str(place) for place in places],
            "gate": str(self.gate),
            **settings,
        }
        with self.told.open("wb") as output, (folder / "errors").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.driver", json.dumps(told)],
                stdout=output,
                stderr=errors,
                cwd=REPOSITORY,
                # The gates have to be importable where they are sent to.
                env={**os.environ, **TRUSTING, "PYTHONPATH": str(REPOSITORY)},
            )

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.told.read_text().splitlines()]

    def wait_for(self, what: str) -> list[Path]:
        wait_until(lambda: list(self.gate.glob(what)) or self.process.poll() is not None, what)
        return list(self.gate.glob(what))

    def open_gate(self) -> None:
        (self.gate / "open").touch()

    def finish(self) -> list[dict[str, Any]]:
        try:
            assert self.process.wait(timeout=120) == 0, (self.told.parent / "errors").read_text()
        finally:
            self.process.kill()
            self.process.wait()
        return self.events()


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """An S3 of our own, and the environment with which it is found."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment
    server.stop()


@pytest.fixture(scope="module")
def cluster(s3: dict[str, str]) -> Iterator[TwoNodes]:
    with two_nodes(**s3) as started:
        yield started


def odd_name(music: Path) -> Path:
    """Return the file whose name is not UTF-8."""
    return music / os.fsdecode(b"na\xefve.wav")


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    make_library(folder, styles=list(STYLES)[:6], per_style=N_TRACKS // 6, duration_s=5)
    (folder / "bad.mp3").write_bytes(b"no sound")
    (folder / "empty.flac").touch()
    sound = render(STYLES["shuffle"], np.random.default_rng(5), 4.0)
    write(folder / "plain.wav", sound, SAMPLE_RATE).rename(odd_name(folder))
    return folder


@pytest.fixture(scope="module")
def local(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_local(music, tmp_path_factory.mktemp("local") / "library.db")


def test_the_same_rows_as_the_local_engine(
    cluster: TwoNodes, music: Path, local: Path, tmp_path: Path
) -> None:
    *files, last = index_on_ray(cluster, music, "--out", tmp_path / "shards")
    del last["summary"]["passed_over"]  # what a scan counts
    assert last["summary"] == {
        **dict.fromkeys(("unchanged", "moved", "removed", "failed_before"), 0),
        "found": N_TRACKS + 3,
        "indexed": N_TRACKS + 1,
        "failed": 2,
    }
    assert len({line["path"] for line in files}) == len(files) == N_TRACKS + 3
    imported = tmp_path / "library.db"
    import_shards(tmp_path / "shards", imported)
    assert_same(local, imported)
    again = index_on_ray(cluster, music, "--out", tmp_path / "shards")[-1]["summary"]
    assert (again["unchanged"], again["indexed"], again["failed"]) == (N_TRACKS + 1, 0, 2)
    indexed = run("index", music, "--db", imported)
    assert f"{N_TRACKS + 1} unchanged, 2 failed" in indexed.stdout


def test_a_model_in_actors_of_its_own(cluster: TwoNodes, music: Path, tmp_path: Path) -> None:
    model = make_onnx(tmp_path / "small.onnx")
    write_description(model)
    database = make_local(music, tmp_path / "local.db", "--model", model)
    index_on_ray(cluster, music, "--out", tmp_path / "shards", "--model", model)
    import_shards(tmp_path / "shards", tmp_path / "imported.db", "--model", model)
    assert_same(database, tmp_path / "imported.db")


def with_names(music: Path, folder: Path, *names: str) -> Path:
    """Copy the music, and one track more under each of some names, last in order."""
    shutil.copytree(music, folder, copy_function=shutil.copy2)
    (folder / "z").mkdir()
    for name in names:
        sound = render(STYLES["nocturne"], np.random.default_rng(len(name)), 4.0)
        write(folder / "z" / f"{name}.flac", sound, SAMPLE_RATE)
    return folder


def test_a_worker_that_is_killed_and_a_file_that_kills_its_reader(
    cluster: TwoNodes, music: Path, tmp_path: Path
) -> None:
    folder = with_names(music, tmp_path / "music", "held", "poison")
    driver = Driver(cluster, tmp_path, folder)
    (reached,) = driver.wait_for("reached-*")
    decoder = psutil.Process(int(reached.name.partition("-")[2]))
    worker = next(
        process for process in decoder.parents() if process.name().startswith("ray::MapBatch")
    )
    worker.kill()
    wait_until(lambda: len(driver.wait_for("reached-*")) == 2, "another worker")
    driver.open_gate()
    *_, counts = driver.finish()
    assert counts["indexed"] == N_TRACKS + 2
    assert counts["failed"] == 3
    assert len((driver.gate / "poisoned").read_text()) <= 4, "it is not tried without end"
    import_shards(driver.out, tmp_path / "imported.db")
    make_local(folder, tmp_path / "local.db")
    poison = str(folder / "z" / "poison.flac")
    assert_same(tmp_path / "local.db", tmp_path / "imported.db", besides=poison)
    rows, failures = contents(tmp_path / "imported.db")
    assert poison not in rows
    assert failures[poison] == "the decoder crashed on this file"
    assert len(rows) == N_TRACKS + 2


def test_stopped_by_ctrl_c_and_resumed(cluster: TwoNodes, music: Path, tmp_path: Path) -> None:
    folder = with_names(music, tmp_path / "music", "held")
    driver = Driver(cluster, tmp_path, folder)
    driver.wait_for("reached-*")
    wait_until(lambda: any("analysed" in event for event in driver.events()), "the first block")
    driver.process.send_signal(signal.SIGINT)
    assert driver.process.wait(timeout=60) == 130
    driver.open_gate()
    analysed = sum(event.get("analysed", 0) for event in driver.events())
    (first,) = driver.out.glob("shard-*.parquet")
    summary = index_on_ray(cluster, folder, "--out", driver.out)[-1]["summary"]
    assert summary["found"] == N_TRACKS + 4
    done_before = summary["found"] - summary["indexed"]
    assert done_before >= analysed > 0
    import_shards(driver.out, tmp_path / "imported.db")
    assert_same(make_local(folder, tmp_path / "local.db"), tmp_path / "imported.db")

    # Somebody cuts the first shard off: its files are done again, and only they.
    first.write_bytes(first.read_bytes()[:-100])
    mended = index_on_ray(cluster, folder, "--out", driver.out)[-1]["summary"]
    assert mended["unchanged"] + mended["failed"] < summary["found"]
    assert mended["indexed"] > 0
    assert first.with_name(first.name + ".damaged").exists()
    import_shards(driver.out, tmp_path / "mended.db")
    assert_same(tmp_path / "imported.db", tmp_path / "mended.db")


def test_a_bucket_from_which_a_key_vanishes(
    cluster: TwoNodes, s3: dict[str, str], music: Path, local: Path, tmp_path: Path
) -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    # boto3 names keys in UTF-8, so one file stays away.
    for path in music.rglob("*.*"):
        if path.is_file() and path != odd_name(music):
            client.upload_file(str(path), BUCKET, f"music/{path.relative_to(music)}")
    client.put_object(Bucket=BUCKET, Key="music/.hidden/a.mp3", Body=b"")
    client.put_object(Bucket=BUCKET, Key="music/cover.jpg", Body=b"")
    gone = next(music.glob("*/*.flac"))
    url = f"s3://{BUCKET}/music"
    driver = Driver(
        cluster, tmp_path, url, vanish=f"{url}/{gone.relative_to(music)}", out=f"s3://{BUCKET}/out"
    )
    driver.open_gate()
    events = driver.finish()
    assert events[-1]["found"] == N_TRACKS + 2
    assert events[-1]["indexed"] == N_TRACKS - 1
    (lost,) = [event for event in events if event.get("reason", "") and "object" in event["reason"]]
    assert lost["path"] == f"{url}/{gone.relative_to(music)}"

    # What comes back is analysed by the next run.
    client.upload_file(str(gone), BUCKET, f"music/{gone.relative_to(music)}")
    summary = index_on_ray(cluster, url, "--out", f"s3://{BUCKET}/out")[-1]["summary"]
    assert (summary["indexed"], summary["unchanged"]) == (1, N_TRACKS - 1)
    imported = tmp_path / "imported.db"
    import_shards(f"s3://{BUCKET}/out", imported, "--music", f"{url}={music}")
    rows, failures = contents(imported)
    assert contents(local)[0].keys() - rows.keys() == {str(odd_name(music))}
    assert failures == contents(local)[1]
    again = import_shards(f"s3://{BUCKET}/out", imported, "--music", f"{url}={music}")
    assert again["indexed"] == 0
    indexed = run("index", music, "--db", imported)
    assert f"1 indexed, {N_TRACKS} unchanged" in indexed.stdout


def test_a_folder_that_the_nodes_do_not_see_and_a_bucket_that_is_not_there(
    cluster: TwoNodes, tmp_path: Path
) -> None:
    options = ("--address", cluster.address, "--out", tmp_path / "shards")
    done = run("cluster", "index", *options, "s3://no-such-bucket/music")
    assert done.returncode == 1
    assert "s3://no-such-bucket/music is not there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_node_that_is_lost(cluster: TwoNodes, music: Path, tmp_path: Path) -> None:
    """Last, because the cluster has one node less afterwards."""
    folder = with_names(music, tmp_path / "music", "held")
    driver = Driver(cluster, tmp_path, folder)
    driver.wait_for("reached-*")
    second = cluster.nodes[1]
    (raylet,) = [p for p in second.below("/raylet/raylet") if p.name() == "raylet"]
    raylet.kill()
    driver.open_gate()
    *_, counts = driver.finish()
    assert counts["indexed"] == N_TRACKS + 2
    import_shards(driver.out, tmp_path / "imported.db")
    assert_same(make_local(folder, tmp_path / "local.db"), tmp_path / "imported.db")
