"""How closely a feature table agrees with the public one, column by column."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pandas as pd

from recsys.papers.features import COLUMNS

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


def read_values(path: Path) -> pd.DataFrame:
    """Return the 57 values of every row by the name of its file without the extension."""
    table = pd.read_csv(path)
    return table.set_index(table["filename"].map(lambda name: PurePosixPath(name).stem))[
        list(COLUMNS)
    ]


def compare(ours: pd.DataFrame, public: pd.DataFrame) -> pd.DataFrame:
    """Return median and p95 of the errors, and the correlation, of every column.

    Errors are absolute differences over the tracks in both tables, in standard deviations of the
    column over the public table.
    """
    tracks = ours.index.intersection(public.index)
    here, there = ours.loc[tracks], public.loc[tracks]
    errors = (here - there).abs() / public.std(ddof=0)
    return pd.DataFrame(
        {
            "median": errors.median(),
            "p95": errors.quantile(0.95),
            "correlation": here.corrwith(there),
        }
    )
