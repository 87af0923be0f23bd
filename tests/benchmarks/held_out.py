"""Shared by the scripts that compare networks on clips which they were not trained on."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from recsys.classifier.training.datasets import DataSources, LabelledMusic, load_music
from recsys.classifier.training.make import make_folds
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.teacher import build_pruned, find_checkpoint, read_checkpoint
from recsys.classifier.training.tune import (
    TuneSettings,
    TuningData,
    front_end_responses,
    outlier_responses,
    teacher_tags,
)
from recsys.mel import CompressedMel
from recsys.types import IdArray

FULL_WINDOWS = 10
"""Of a clip of 30 s; shorter ones take no part."""


@dataclass(frozen=True)
class HeldOut:
    """Labelled music in the front end of the shipped recipe, and its folds."""

    folder: Path
    music: LabelledMusic
    teacher: MusiCNN
    features: CompressedMel
    settings: TuneSettings
    tuning: TuningData
    folds: list[IdArray]

    def is_clip(self, row: int) -> bool:
        """Return whether a track has all windows."""
        sound = self.music.tracks[row].audio
        return sound is not None and len(sound) == FULL_WINDOWS


def load_held_out(description: str) -> HeldOut:
    """Read the command line, decode, and compute the teacher's front end for all tracks."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path)
    for name in ("weights", "train-split", "valid-split"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--mel", type=Path)
    options = parser.parse_args()
    features, settings = CompressedMel(), TuneSettings()
    sources = DataSources(
        (options.folder,),
        mel=options.mel,
        train_split=options.train_split,
        valid_split=options.valid_split,
    )
    music = load_music(sources, features)
    weights = read_checkpoint(find_checkpoint(options.weights))
    teacher = build_pruned(weights, len(music.labels)).eval()
    folds = make_folds(music.targets, music.groups, settings.folds, settings.seed)
    responses = front_end_responses(teacher, music.tracks, settings.variations, settings.seed)
    outliers = outlier_responses(teacher, settings.outliers, settings.seed, features)
    tuning = TuningData(responses, music.targets, teacher_tags(teacher, responses), outliers)
    return HeldOut(options.folder, music, teacher, features, settings, tuning, folds)
