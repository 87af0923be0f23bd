from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.cluster.shard_rows import Row, ShardHeader, rows_of, schema, table_of
from recsys.cluster.sources import SourceFile
from recsys.errors import RecsysError
from recsys.store.search import storable_text
from recsys.types import Tags
from tests.cluster.shards import MODEL, analysed, failed, header

INT64 = st.integers(-(2**63), 2**63 - 1)
NAMES = st.binary(min_size=1).map(lambda raw: "/" + raw.decode("utf-8", "surrogateescape"))
TEXTS = st.none() | st.text()
TAGS = st.builds(
    Tags,
    *(st.none() | st.text(st.characters(codec="utf-8")) for _ in range(4)),
    st.none() | INT64,
    st.none() | INT64,
    st.none() | st.text(st.characters(codec="utf-8")),
)


@given(
    name=NAMES, size=INT64, mtime_ns=INT64, etag=TEXTS.filter(lambda t: t is None or t.isascii())
)
def test_files_come_back(name: str, size: int, mtime_ns: int, etag: str | None) -> None:
    row = replace(failed("/x"), file=SourceFile(name, size, mtime_ns, etag))
    assert rows_of(table_of([row]), header()) == [row]


@given(tags=TAGS, warning=TEXTS, failure=TEXTS, may_pass=st.booleans())
def test_rows_come_back(
    tags: Tags, warning: str | None, failure: str | None, may_pass: bool
) -> None:
    row = Row(failed("/x").file, None, tags, None, warning, None, None, failure, may_pass)
    (back,) = rows_of(table_of([row]), header())
    expected = replace(row, warning=storable_text(warning), failure=storable_text(failure))
    assert back == expected


def test_analyses_and_failures_come_back() -> None:
    rows = [analysed("/a", 1), failed("/b"), analysed("/c", 2)]
    back = rows_of(table_of(rows), header())
    assert [row.failure for row in back] == [None, "no sound", None]
    for row, original in zip(back, rows, strict=True):
        if original.analysis is None:
            assert row.analysis is None
            continue
        assert row.analysis is not None
        assert row.analysis.identity == MODEL.identity
        for name in ("probabilities", "embedding", "tags"):
            found, wanted = getattr(row.analysis, name), getattr(original.analysis, name)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, wanted)


def test_a_slice_has_the_arrays_of_its_own_rows() -> None:
    rows = [analysed(f"/{i}", i) for i in range(4)]
    part = rows_of(table_of(rows).slice(2, 1), header())
    assert part[0].analysis is not None
    assert rows[2].analysis is not None
    np.testing.assert_array_equal(part[0].analysis.embedding, rows[2].analysis.embedding)


def test_the_header_comes_back() -> None:
    one = header(sources=("s3://b/müsic", "/x"))
    assert ShardHeader.from_metadata(one.as_metadata(), "a shard") == one
    assert one.labels == MODEL.labels
    assert one.identity == MODEL.identity
    assert one.effort == "balanced"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "x.parquet is not a shard that recsys wrote"),
        ({b"pandas": b"{}"}, "x.parquet is not a shard that recsys wrote"),
        (header(schema=99).as_metadata(), "has schema 99; this recsys reads up to 1"),
    ],
)
def test_headers_that_are_none(metadata: dict[bytes, bytes] | None, message: str) -> None:
    with pytest.raises(RecsysError, match=message) as caught:
        ShardHeader.from_metadata(metadata, "x.parquet")
    assert caught.value.hint


def test_the_columns_are_those_of_the_documentation() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    for column in schema():
        assert f"| `{column.name}` |" in page
