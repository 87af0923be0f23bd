"""A damaged or forged shard of a cluster changes no library."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.cluster.importing import ImportSession
from recsys.cluster.shard_rows import DamagedShardError
from recsys.cluster.shards import ShardPlace, read_known
from recsys.errors import RecsysError
from recsys.store import Store
from tests.cluster.shards import MODEL, analysed, failed, header, write_shard
from tests.fuzz.mutations import mutated

LONG = [0.0] * MODEL.dimension
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**62, 2**70, 1e308, float("nan"), float("inf"), -5.0, "", "x", b"\xff/x"),
    *("a\0b", [], [1.0], [float("nan")] * MODEL.dimension, LONG, [1e38] * MODEL.dimension),
    {"artist": 5},
)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    rows = [*(analysed(folder / f"{i}.mp3", i) for i in range(12)), failed(folder / "bad.mp3")]
    return Path(write_shard(folder, rows, sources=(str(folder),)))


def contents(database: Path) -> list[Any]:
    with Store.open(database, read_only=True) as store:
        assert store.integrity_problems() == []
        tracks = list(store.all_tracks())
        analyses = store.analyses([track.id for track in tracks])
        for found in analyses.values():
            assert abs(float(np.linalg.norm(found.embedding)) - 1) < 1e-3
            assert np.isfinite([*found.probabilities, *found.tags]).all()
        assert all(0 <= track.duration_s < 1e8 for track in tracks)
        return [(track, analyses[track.id].embedding.tolist()) for track in tracks]


def imported(shard: Path, database: Path) -> list[Any] | None:
    """Return the contents of a new library with a shard; None where it was refused."""
    try:
        list(ImportSession(database).run([str(shard)]))
    except RecsysError:
        # All rows were read before anything was changed.
        assert not database.exists() or contents(database) == []
        return None
    return contents(database)


def damage(shard: Path, target: Path, number: int) -> None:
    """Write a damaged copy."""
    rng = random.Random(number)
    if number % 2:
        data = shard.read_bytes()
        target.write_bytes(mutated(data, [data], f"{number}", 2))
        return
    table = pq.read_table(shard)
    fields = json.loads(table.schema.metadata[b"recsys"])
    fields[rng.choice(sorted(fields))] = rng.choice([odd for odd in ODD if not is_bytes(odd)])
    text = json.dumps(fields).encode()
    text = mutated(text, [], f"{number}") if rng.random() < 0.3 else text
    pq.write_table(table.replace_schema_metadata({b"recsys": text}), target)


def is_bytes(value: object) -> bool:
    return isinstance(value, bytes)


def test_damaged_shards(shard: Path, tmp_path: Path) -> None:
    right = imported(shard, tmp_path / "right.db")
    for number in range(80):
        target = tmp_path / str(number) / shard.name
        target.parent.mkdir()
        damage(shard, target, number)
        found = imported(target, tmp_path / f"{number}.db")
        assert found is None or number % 2 == 0 or found == right
        # What the next run of a cluster makes of it.
        try:
            read_known(ShardPlace(str(target.parent)), header(), [])
        except RecsysError:
            continue


def forged(shard: Path, target: Path, column: str, value: Any) -> bool:
    """Write a copy with another value in one row; False where Parquet cannot hold it."""
    table = pq.read_table(shard)
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    columns[column][1] = value
    nullable = pa.schema([field.with_nullable(True) for field in table.schema])
    try:
        changed = pa.table(columns, schema=nullable.with_metadata(table.schema.metadata))
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        kept = {name: table.column(name) for name in table.column_names if name != column}
        try:
            changed = pa.table({**kept, column: pa.array([value] * len(table))})
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            return False
        changed = changed.replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, target)
    return True


@pytest.mark.slow
def test_forged_rows(shard: Path, tmp_path: Path) -> None:
    refusals = 0
    for column in pq.read_schema(shard).names:
        for number, value in enumerate(ODD):
            target = tmp_path / f"{column}-{number}.parquet"
            if forged(shard, target, column, value):
                refusals += imported(target, tmp_path / f"{column}-{number}.db") is None
    assert refusals > 150


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("embedding", LONG, "no unit vector"),
        ("embedding", [float("nan")] * MODEL.dimension, "no finite numbers"),
        ("embedding", [1.0], f"have 1 values, not {MODEL.dimension}"),
        ("embedding", None, "embedding is missing"),
        ("duration_s", float("inf"), "duration_s is impossible"),
        ("size", -1, "size is impossible"),
        ("path", None, "path is missing"),
        ("path", 5, "damaged"),
    ],
)
def test_the_message_says_what_cannot_be(
    column: str, value: Any, words: str, shard: Path, tmp_path: Path
) -> None:
    assert forged(shard, tmp_path / "x.parquet", column, value)
    with pytest.raises(DamagedShardError, match=words):
        list(ImportSession(tmp_path / "l.db").run([str(tmp_path / "x.parquet")]))
