"""The columns of the public table, from real audio, beside the table itself."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from recsys.papers.feature_table import describe
from recsys.papers.features import COLUMNS, PublicTable
from tests.papers.agreement import TOLERANCE, TOLERANCE_P95, Values, compare, read_values

REAL_DATA = os.environ.get("RECSYS_REAL_DATA")
TABLE = Path(REAL_DATA or ".").parent / "tables" / "features_30_sec.csv"
PER_GENRE = 2

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not REAL_DATA, reason="RECSYS_REAL_DATA points at no real audio"),
    pytest.mark.skipif(not TABLE.exists(), reason=f"there is no public feature table at {TABLE}"),
]


@pytest.fixture(scope="module")
def public() -> dict[str, Values]:
    return read_values(TABLE)


@pytest.fixture(scope="module")
def ours() -> dict[str, Values]:
    assert REAL_DATA is not None
    folders = sorted((Path(REAL_DATA) / "gtzan").iterdir())
    tracks = [track for folder in folders for track in sorted(folder.iterdir())[:PER_GENRE]]
    assert len(tracks) >= 10
    return {
        track.stem: np.array(describe(track, PublicTable(), segmented=False).values[0])
        for track in tracks
    }


def test_every_column_agrees_with_the_public_table(
    ours: dict[str, Values], public: dict[str, Values]
) -> None:
    assert ours.keys() <= public.keys()
    found = compare(ours, public)
    too_far = [column for column in found if column.median > TOLERANCE[column.column]]
    assert not too_far
    astray = [column for column in found if column.p95 > TOLERANCE_P95[column.column]]
    assert not astray
    means = [column for column in found if column.column.endswith("_mean")]
    assert min(column.correlation for column in means) > 0.97


def test_most_tempi_are_the_very_same(ours: dict[str, Values], public: dict[str, Values]) -> None:
    tempo = COLUMNS.index("tempo")
    same = [abs(values[tempo] - public[track][tempo]) < 0.01 for track, values in ours.items()]
    assert np.mean(same) >= 0.8
