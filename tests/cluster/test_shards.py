from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

import recsys.cluster.shards as module
from recsys import atomic
from recsys.cluster.shard_rows import table_of
from recsys.cluster.shards import OpenShard, ShardPlace, ShardWriter, read_known
from recsys.errors import RecsysError
from tests.cluster.shards import analysed, failed, header, write_shard


def known(place: Path | str) -> tuple[dict[bytes, Any], list[str]]:
    notes: list[str] = []
    return read_known(ShardPlace(str(place)), header(), notes), notes


def test_what_is_done_is_known_by_its_version(tmp_path: Path) -> None:
    good, bad = analysed("/a", mtime_ns=5), failed("/b")
    write_shard(tmp_path, [good, bad])
    found, notes = known(tmp_path)
    assert not notes
    assert found[good.file.key].genre == good.genre
    assert found[bad.file.key].failure == "no sound"
    assert analysed("/a", mtime_ns=6).file.key not in found


def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    away = failed("/a", may_pass=True)
    write_shard(tmp_path, [away])
    assert known(tmp_path) == ({}, [])
    write_shard(tmp_path, [analysed("/a")])
    assert list(known(tmp_path)[0]) == [away.file.key]


@pytest.mark.parametrize("left", [0, 3, 40, -10])
def test_a_shard_that_was_cut_off_is_set_aside(tmp_path: Path, left: int) -> None:
    whole = analysed("/whole")
    write_shard(tmp_path, [whole])
    cut = Path(write_shard(tmp_path, [analysed("/cut")]))
    cut.write_bytes(cut.read_bytes()[:left])
    found, notes = known(tmp_path)
    assert list(found) == [whole.file.key]
    (note,) = notes
    assert str(cut) in note
    assert not cut.exists()
    assert cut.with_name(cut.name + ".damaged").exists()
    assert known(tmp_path) == (found, []), "it is told once"


class Failing(io.BytesIO):
    """A file of which so many reads succeed."""

    def __init__(self, content: bytes, succeeding: float, error: Exception) -> None:
        super().__init__(content)
        self.reads = 0
        self._succeeding = succeeding
        self._error = error

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > self._succeeding:
            raise self._error
        return super().read(size)


@pytest.mark.parametrize("where", ["footer", "page"])
@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("reset by peer"),
        TimeoutError("timed out"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        RuntimeError("a client's own"),
    ],
)
def test_a_shard_that_cannot_be_read_now_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    row = analysed("/a")
    shard = Path(write_shard(tmp_path, [row]))
    opened: list[Failing] = []

    def install(succeeding: float) -> None:
        class System:
            @staticmethod
            def open(name: str, _mode: str) -> Failing:
                opened.append(Failing(Path(name).read_bytes(), succeeding, error))
                return opened[-1]

            @staticmethod
            def ls(root: str, **_: bool) -> list[str]:
                return [str(path) for path in Path(root).iterdir()]

            @staticmethod
            def mv(old: str, new: str) -> None:
                Path(old).rename(new)

        monkeypatch.setattr(module, "file_system", lambda place: (System, place))

    install(float("inf"))
    assert list(known(tmp_path)[0]) == [row.file.key]
    reads = opened[0].reads
    assert reads > 1
    install(0 if where == "footer" else reads - 1)
    with pytest.raises(RecsysError, match="cannot be reached") as caught:
        known(tmp_path)
    assert str(error.args[-1]) in caught.value.message
    assert list(tmp_path.iterdir()) == [shard]


def test_a_page_that_was_changed_is_set_aside(tmp_path: Path) -> None:
    shard = Path(write_shard(tmp_path, [analysed(f"/{i}", i) for i in range(50)]))
    paths = pq.ParquetFile(shard).metadata.row_group(0).column(0)
    content = bytearray(shard.read_bytes())
    content[len(b"PAR1") + paths.total_compressed_size - 1] ^= 0xFF  # the end of its last page
    shard.write_bytes(content)
    found, notes = known(tmp_path)
    assert (found, len(notes)) == ({}, 1)
    assert shard.with_name(shard.name + ".damaged").exists()


def test_shards_of_another_model_do_not_mix(tmp_path: Path) -> None:
    write_shard(tmp_path, [analysed("/a")], fingerprint="other")
    with pytest.raises(RecsysError, match=r"\(other, effort.*do not mix") as caught:
        known(tmp_path)
    assert "--out" in caught.value.hint


KILLED_AS_IT_WRITES = """
import os, sys
import recsys.cluster.shards as shards
from recsys import atomic
from recsys.cluster.shard_rows import table_of
from tests.cluster.shards import analysed, header

atomic.os.fsync = lambda _: os.kill(os.getpid(), 9)
writer = shards.ShardWriter(shards.ShardPlace(sys.argv[1]), header())
writer.add(table_of([analysed("/a")]))
writer.flush()
"""


def test_what_a_killed_run_began_is_cleared_away(tmp_path: Path) -> None:
    place = tmp_path / "shards"
    place.mkdir()
    (place / "notes.txt").touch()
    command = [sys.executable, "-c", KILLED_AS_IT_WRITES, str(place)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run(command, env=environment, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    (unfinished,) = place.glob(".recsys-*")
    ShardPlace(str(place)).prepare()
    assert unfinished.exists(), "another run may be writing it"
    yesterday = time.time() - 24 * 3600
    os.utime(unfinished, (yesterday, yesterday))
    ShardPlace(str(place)).prepare()
    assert [path.name for path in place.iterdir()] == ["notes.txt"]


def test_what_another_run_is_writing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began: set[Path] = set()

    def other_run_starts(_descriptor: int) -> None:
        ShardPlace(str(tmp_path)).prepare()
        began.update(tmp_path.glob(".recsys-*"))

    writer = ShardWriter(ShardPlace(str(tmp_path)), header())
    writer.add(table_of([analysed("/a")]))
    monkeypatch.setattr(atomic.os, "fsync", other_run_starts)
    assert writer.flush().num_rows == 1
    assert len(began) == 1
    assert len(known(tmp_path)[0]) == 1


def test_a_shard_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    writer = ShardWriter(ShardPlace(str(tmp_path)), header())
    writer.add(table_of([analysed("/a")]))
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", full)
        with pytest.raises(RecsysError, match="No space left on device"):
            writer.flush()
    assert list(tmp_path.iterdir()) == []
    assert writer.flush().num_rows == 1, "the rows were kept"
    assert len(known(tmp_path)[0]) == 1


def test_a_place_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecsysError, match="cannot be written") as caught:
        ShardPlace(str(tmp_path / "file" / "below")).prepare()
    assert "--out" in caught.value.hint


def test_shards_are_due_when_full_or_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ShardWriter(ShardPlace(str(tmp_path)), header())
    assert not writer.is_due
    writer.add(table_of([analysed("/a"), analysed("/b")]))
    assert not writer.is_due
    monkeypatch.setattr(module, "SHARD_ROWS", 2)
    assert writer.is_due
    monkeypatch.setattr(module, "SHARD_ROWS", 3)
    monkeypatch.setattr(module, "SHARD_WAIT_S", 0.0)
    assert writer.is_due
    assert writer.flush().num_rows == 2
    assert not writer.is_due, "nothing waits"
    assert writer.flush().num_rows == 0
    assert len(ShardPlace(str(tmp_path)).names()) == 1, "an empty shard is none"


def test_names_are_in_the_order_of_writing(tmp_path: Path) -> None:
    writer = ShardWriter(ShardPlace(str(tmp_path)), header())
    for number in range(3):
        writer.add(table_of([analysed(f"/{number}")]))
        writer.flush()
    paths = [ShardPlace(str(tmp_path)).path(name) for name in ShardPlace(str(tmp_path)).names()]
    order = []
    for path in paths:
        with OpenShard(path) as shard:
            assert shard.rows == 1
            order += [row["path"] for batch in shard.batches() for row in batch.to_pylist()]
    assert order == ["/0", "/1", "/2"]


def test_a_url_holds_shards_as_a_folder_does() -> None:
    row = analysed("/a")
    try:
        path = write_shard("memory://shards/of/mine", [row])
        assert path.startswith("memory://shards/of/mine/shard-")
        assert list(known("memory://shards/of/mine")[0]) == [row.file.key]
    finally:
        fsspec.filesystem("memory").rm("/shards", recursive=True)
    assert known("memory://shards/of/mine") == ({}, [])
