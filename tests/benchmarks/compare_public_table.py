"""Compares the columns of `recsys features` with the public table, and prints the agreement.

    python -m tests.benchmarks.compare_public_table --audio GTZAN --table features_30_sec.csv

``--audio`` holds GTZAN's genre folders, in any format. ``--ours CSV`` keeps the table that is made
from them, or uses it when it is there. The output is Markdown, for docs/results/feature-table.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from recsys.papers.feature_table import write_feature_table
from recsys.workers import default_workers
from tests.papers.agreement import compare, read_values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--ours", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours = arguments.ours or Path(folder) / "ours.csv"
        if not ours.exists():
            write_feature_table(arguments.audio, ours, workers=default_workers())
        here, public = read_values(ours), read_values(arguments.table)
    lines = [
        "| column | median error | 95th percentile | correlation |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{name}` | {median:.3f} | {p95:.3f} | {correlation:.4f} |"
        for name, median, p95, correlation in compare(here, public).itertuples()
    ]
    print(f"{here.index.isin(public.index).sum()} tracks\n", *lines, sep="\n")  # noqa: T201


if __name__ == "__main__":
    main()
