"""The rule of ``recsys/genres.py`` on clips of GTZAN: how many keep their genre, by its figures.

    python -m tests.benchmarks.genre_rule gtzan --weights MSD_musicnn

The head is a logistic regression over the frozen MusiCNN (mean and deviation of its penultimate
layer), cross-validated by artist and calibrated; styles are MusiCNN's own tags. Neither has seen a
genre of the clip. Punk counts as rock. Intervals are bootstraps over artists.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recsys import genres
from recsys.bootstrap import bootstrap_interval
from recsys.classifier.calibrate import calibrate, softmax
from recsys.classifier.card import load_card
from recsys.classifier.training.datasets import find_tracks, load_windows
from recsys.classifier.training.teacher import build_pruned, find_checkpoint, read_checkpoint
from recsys.classifier.training.tune import penultimate, responses_to
from recsys.mel import CompressedMel
from recsys.types import ModelInfo

ARTISTS = Path(__file__).parents[2] / "data" / "gtzan-artists.csv"
IS_A = {"punk": "rock"}


def teacher_outputs(folder: Path, weights: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the keys of the clips, their features (n, 400) and tag logits (n, 50)."""
    teacher = build_pruned(read_checkpoint(find_checkpoint(weights)), 10).eval()
    files = find_tracks(folder)
    keys, features, tags = [], [], []
    found = load_windows([file.path for file in files], 1, CompressedMel())
    for file, (_, windows) in zip(files, found, strict=True):
        if isinstance(windows, np.ndarray):
            response = responses_to(teacher, windows.astype(np.float32))
            units = penultimate(teacher, [response])[0]
            with torch.inference_mode():
                logits = teacher.tags(torch.from_numpy(units)).numpy()
            keys.append(file.key.split("/")[-1])
            features.append(np.r_[units.mean(axis=0), units.std(axis=0)])
            tags.append(logits.mean(axis=0))
    return keys, np.stack(features), np.stack(tags)


def compare(keys: list[str], features: np.ndarray, tags: np.ndarray) -> Table:
    """Cross-validate, and judge the rule with several figures."""
    card = load_card().info()
    known = {row["track"]: row["artist"] for row in csv.DictReader(ARTISTS.open(encoding="utf-8"))}
    truth = np.array([key.split(".")[0] for key in keys])
    targets = np.array([card.labels.index(genre) for genre in truth])
    _, artists = np.unique([known.get(key, key) for key in keys], return_inverse=True)
    logits = np.zeros((len(keys), len(card.labels)))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    for rest, held_out in folds.split(features, targets, artists):
        head = LogisticRegression(C=0.02, max_iter=400, class_weight="balanced")
        fitted = make_pipeline(StandardScaler(), head).fit(features[rest], targets[rest])
        logits[held_out] = fitted.decision_function(features[held_out])
    calibration = calibrate(logits, targets)
    probabilities = softmax(logits, calibration.temperature).astype(np.float32)
    strengths = ((tags - tags.mean(axis=0)) / tags.std(axis=0)).astype(np.float32)
    info = replace(card, thresholds=tuple(calibration.thresholds))
    alone = np.array([info.genre_of(p) for p in probabilities])
    table = Table("confident", "strong", "right", "less the head alone", "wrong one of the ten")
    table.add_row(
        "head alone", "", f"{(alone == truth).mean():.3f}", "", _wrong(alone, truth, info)
    )
    for confident in (0.6, 0.7, 0.8, 0.9):
        for strong in (1.0, 1.5, 2.0, 2.5):
            with patch.multiple(genres, CONFIDENT=confident, STRONG=strong):
                found = genres.genres_among_all(info, probabilities, strengths)
            named = np.array([IS_A.get(genre, genre) for genre in found])
            gain = (named == truth).astype(float) - (alone == truth)
            low, high = bootstrap_interval(gain, artists)
            table.add_row(
                f"{confident}",
                f"{strong}",
                f"{(named == truth).mean():.3f}",
                f"{gain.mean():+.3f} ({low:+.3f} to {high:+.3f})",
                _wrong(named, truth, info),
            )
    return table


def _wrong(named: np.ndarray, truth: np.ndarray, info: ModelInfo) -> str:
    return f"{(np.isin(named, info.labels) & (named != truth)).mean():.3f}"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    Console(width=110).print(compare(*teacher_outputs(options.folder, options.weights)))


if __name__ == "__main__":
    main()
