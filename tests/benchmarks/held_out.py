"""What the scripts share that compare networks on clips which these have not learned from."""

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
    """Labelled music as the default recipe hears it, and how it is divided."""

    folder: Path
    music: LabelledMusic
    teacher: MusiCNN
    features: CompressedMel
    settings: TuneSettings
    lessons: TuningData
    folds: list[IdArray]

    def is_clip(self, place: int) -> bool:
        """Tell whether a track was heard in full."""
        sound = self.music.tracks[place].audio
        return sound is not None and len(sound) == FULL_WINDOWS


def hear_named(description: str) -> HeldOut:
    """Read the command line, decode, and let the teacher's front end listen to all tracks."""
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
    heard = front_end_responses(teacher, music.tracks, settings.variations, settings.seed)
    outliers = outlier_responses(teacher, settings.outliers, settings.seed, features)
    lessons = TuningData(heard, music.targets, teacher_tags(teacher, heard), outliers)
    return HeldOut(options.folder, music, teacher, features, settings, lessons, folds)
