"""How closely a feature table agrees with the public one, column by column."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from recsys.papers.features import COLUMNS

Values = npt.NDArray[np.float64]

TOLERANCE = {
    **dict.fromkeys((name for name in COLUMNS if name.endswith("_mean")), 0.12),
    **dict.fromkeys((name for name in COLUMNS if name.endswith("_var")), 0.08),
    **dict.fromkeys((name for name in COLUMNS if name.startswith(("rms", "harmony"))), 0.02),
    **dict.fromkeys((name for name in COLUMNS if name.startswith("perceptr")), 0.04),
    **dict.fromkeys((f"mfcc{number}_var" for number in range(8, 21)), 0.12),
    "chroma_stft_mean": 0.06,
    "tempo": 0.001,
}
"""Largest median error of a column, in its standard deviations, for Ogg copies of the tracks."""

TOLERANCE_P95 = {
    **dict.fromkeys(COLUMNS, 0.5),
    **dict.fromkeys((f"mfcc{number}_var" for number in (8, 9)), 1.0),
    **dict.fromkeys((f"mfcc{number}_var" for number in range(10, 21)), 2.4),
    **dict.fromkeys((name for name in COLUMNS if name.startswith(("rms", "harmony"))), 0.1),
    **dict.fromkeys((name for name in COLUMNS if name.startswith("perceptr")), 0.15),
    "tempo": 1.0,
}
"""Largest 95th percentile of the same errors.

Wide for the variances of high MFCCs, which lossy copies of quiet music move:
docs/results/feature-table.md.
"""


@dataclass(frozen=True)
class Agreement:
    """Of one column, over the tracks that both tables have.

    Errors are absolute differences in standard deviations of the column over the public table.
    """

    column: str
    median: float
    p95: float
    correlation: float


def read_values(path: Path) -> dict[str, Values]:
    """Return the 57 values of every row by the name of its file without the extension."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            PurePosixPath(row["filename"]).stem: np.array([float(row[name]) for name in COLUMNS])
            for row in csv.DictReader(file)
        }


def compare(ours: dict[str, Values], public: dict[str, Values]) -> list[Agreement]:
    """Compare every column, over the tracks that both have."""
    tracks = sorted(ours.keys() & public.keys())
    here, there = (np.stack([table[track] for track in tracks]) for table in (ours, public))
    errors = np.abs(here - there) / np.stack(list(public.values())).std(axis=0)
    return [
        Agreement(
            name,
            float(np.median(errors[:, column])),
            float(np.quantile(errors[:, column], 0.95)),
            float(np.corrcoef(here[:, column], there[:, column])[0, 1]),
        )
        for column, name in enumerate(COLUMNS)
    ]
