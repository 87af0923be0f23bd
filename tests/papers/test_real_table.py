"""The columns of the public table, from real audio, next to the table itself."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from recsys.papers.feature_table import describe
from recsys.papers.features import COLUMNS, PublicTable
from tests.papers.agreement import TOLERANCE, TOLERANCE_P95, compare, read_values

REAL_DATA = os.environ.get("RECSYS_REAL_DATA")
TABLE = Path(REAL_DATA or ".").parent / "tables" / "features_30_sec.csv"
PER_GENRE = 2

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not REAL_DATA, reason="RECSYS_REAL_DATA points at no real audio"),
    pytest.mark.skipif(not TABLE.exists(), reason=f"there is no public feature table at {TABLE}"),
]


@pytest.fixture(scope="module")
def public() -> pd.DataFrame:
    return read_values(TABLE)


@pytest.fixture(scope="module")
def ours() -> pd.DataFrame:
    assert REAL_DATA is not None
    folders = sorted((Path(REAL_DATA) / "gtzan").iterdir())
    tracks = [track for folder in folders for track in sorted(folder.iterdir())[:PER_GENRE]]
    assert len(tracks) >= 10
    values = [describe(track, PublicTable(), segmented=False).values[0] for track in tracks]
    return pd.DataFrame(values, [track.stem for track in tracks], list(COLUMNS))


def test_every_column_agrees_with_the_public_table(
    ours: pd.DataFrame, public: pd.DataFrame
) -> None:
    assert ours.index.isin(public.index).all()
    found = compare(ours, public)
    assert list(found.index[found["median"] > pd.Series(TOLERANCE)[found.index]]) == []
    assert list(found.index[found["p95"] > pd.Series(TOLERANCE_P95)[found.index]]) == []
    assert found["correlation"].filter(like="_mean").min() > 0.97


def test_most_tempi_are_the_very_same(ours: pd.DataFrame, public: pd.DataFrame) -> None:
    assert ((ours["tempo"] - public["tempo"].loc[ours.index]).abs() < 0.01).mean() >= 0.8
