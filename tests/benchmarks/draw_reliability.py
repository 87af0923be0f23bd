"""Draws docs/reliability.png: accuracy against probability, of held-out tracks.

    python tests/benchmarks/draw_reliability.py FOLDER... --weights MSD_musicnn [--mel NPZ] \\
        [--keep OUT.npz]

Makes the five networks of the cross-validation by artist again, as `recsys train` does without
lists, with the settings of the shipped model. Takes minutes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys.classifier.calibrate import fit_temperature, softmax
from recsys.classifier.training.datasets import DataSources, LabelledMusic, load_music
from recsys.classifier.training.evaluate import Prediction, reliability, score
from recsys.classifier.training.make import FULL_CLIP, make_folds, out_of_fold_outputs
from recsys.classifier.training.teacher import build_pruned, find_checkpoint, read_checkpoint
from recsys.classifier.training.tune import (
    TuneSettings,
    TuningData,
    front_end_responses,
    outlier_responses,
    teacher_tags,
    tune_and_fit,
)
from recsys.mel import CompressedMel
from recsys.reports.drawing import png
from recsys.reports.evaluation_page import reliability_figure
from recsys.types import FloatArray

IMAGE = Path(__file__).parents[2] / "docs" / "reliability.png"


def out_of_fold_logits(music: LabelledMusic, weights: Path | None) -> FloatArray:
    """Return the logits of tracks, each by a network that was trained without its artist."""
    settings, features = TuneSettings(), CompressedMel()
    teacher = build_pruned(read_checkpoint(find_checkpoint(weights)), len(music.labels))
    responses = front_end_responses(teacher, music.tracks, settings.variations, settings.seed)
    outliers = outlier_responses(teacher, settings.outliers, settings.seed, features)
    tuning = TuningData(responses, music.targets, teacher_tags(teacher, responses), outliers)
    folds = make_folds(music.targets, music.groups, settings.folds, settings.seed)
    return out_of_fold_outputs(
        folds,
        responses,
        lambda number, rows: tune_and_fit(
            teacher, tuning.of(rows), replace(settings, seed=settings.seed + number)
        ),
    ).logits


def main() -> None:
    """Validate, print the figures, and draw those of the tracks with all windows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--mel", type=Path)
    parser.add_argument("--keep", type=Path, help="Write keys, genres and logits there.")
    options = parser.parse_args()
    sources = DataSources(tuple(options.folders), options.mel)
    music = load_music(sources, CompressedMel())
    logits = out_of_fold_logits(music, options.weights)
    long = np.asarray([t.audio is not None and len(t.audio) >= FULL_CLIP for t in music.tracks])
    if options.keep:
        keys = [track.key for track in music.tracks]
        np.savez(options.keep, keys=keys, targets=music.targets, logits=logits, long=long)
    probabilities = softmax(logits, fit_temperature(logits[long], music.targets[long]))
    for name, chosen in {"all": np.ones_like(long), "long": long, "short": ~long}.items():
        judged = score(probabilities[chosen], music.targets[chosen], music.labels)
        print(f"{name}: n {judged.n}, accuracy {judged.accuracy:.3f}, ECE {judged.ece:.3f}")  # noqa: T201 (a script)
    judged = score(probabilities[long], music.targets[long], music.labels)
    predictions = [
        Prediction(Path(track.key), track.genre, music.labels[int(row.argmax())], float(row.max()))
        for track, row, chosen in zip(music.tracks, probabilities, long, strict=True)
        if chosen
    ]
    IMAGE.write_bytes(png(reliability_figure(reliability(predictions), judged.ece)))


if __name__ == "__main__":
    main()
