"""Nearest tracks in open music: are they of the same album, and are some near to everything?

``python scripts/open_music --cache FOLDER`` fetches the music. Then::

    python -m tests.benchmarks.open_music FOLDER [--role measure] [--model FILE] [--json]

prints for the tracks of a role the share of nearest tracks that come from the same package (each is
an album or the work of a group), P@1 and P@5, and the hubness: the skewness of the number of tracks
in whose ten nearest a track is (Radovanovic et al., JMLR 2010). Intervals draw tracks; packages are
few. The shipped model learned from the packages with the role ``learn``, without labels.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from recsys.bootstrap import bootstrap_interval
from recsys.classifier.inference import Classifier
from recsys.classifier.training.datasets import load_windows
from recsys.errors import RecsysError
from recsys.quality.metrics import k_occurrences, skewness
from recsys.types import Effort, FloatArray


def figures(embeddings: FloatArray, albums: np.ndarray) -> dict[str, Any]:
    """Return P@1, P@5 and hubness of unit embeddings (n, d), the album of each in (n,)."""
    cosines = embeddings @ embeddings.T
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1, kind="stable")
    same = albums[order] == albums[:, np.newaxis]
    found: dict[str, Any] = {"n": len(albums), "albums": len(np.unique(albums))}
    for k in (1, 5):
        each = same[:, :k].mean(axis=1)
        found[f"p_at_{k}"] = float(each.mean())
        found[f"p_at_{k}_interval"] = list(bootstrap_interval(each, np.arange(len(each)), seed=0))
    found["hubness"] = skewness(k_occurrences(order[:, :10], len(albums)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cache", type=Path, help="folder of scripts/open_music")
    parser.add_argument("--role", choices=("learn", "measure"), default="measure")
    parser.add_argument("--model", type=Path, help="checkpoint; the shipped model without it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with (options.cache / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["role"] == options.role]
    console = Console()
    classifier = Classifier.load(options.model, effort=Effort.BALANCED)
    embeddings, albums = [], []
    paths = [options.cache / row["path"] for row in rows]
    for row, (path, windows) in zip(rows, load_windows(paths, 2, classifier.features), strict=True):
        if isinstance(windows, RecsysError):
            console.print(f"left out {path}: {windows}")
            continue
        embeddings.append(classifier.analyse([windows])[0].embedding)
        albums.append(row["package"])
    result = figures(np.stack(embeddings), np.asarray(albums))
    if options.json:
        console.print_json(json.dumps(result))
    else:
        for name, value in result.items():
            console.print(f"{name:18s} {value}")


if __name__ == "__main__":
    main()
