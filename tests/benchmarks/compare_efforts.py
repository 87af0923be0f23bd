"""How good the default model is by how much of a track it hears: what `--effort` costs.

    python -m tests.benchmarks.compare_efforts gtzan --weights MSD_musicnn --train-split LIST
        --valid-split LIST [--mel ARCHIVE]

The default recipe is cross-validated by artist, and every held-out network hears the clips that it
has not learned from in so many windows: accuracy, and cosine to the embedding of all windows. A
clip of 30 s is full with ten windows; of a whole song they are as many, further apart.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.classifier.calibrate import wilson_interval
from recsys.classifier.datasets import find_tracks, load_windows
from recsys.classifier.fine_tune.heads import Lessons, teacher_tags
from recsys.classifier.fine_tune.hearing import hear, listen
from recsys.classifier.fine_tune.outliers import hear_outliers
from recsys.classifier.fine_tune.pictures import PicturedMusic, load_music
from recsys.classifier.fine_tune.settings import FineTuneSettings
from recsys.classifier.fine_tune.teacher import build_pruned, find_checkpoint, read_checkpoint
from recsys.classifier.fine_tune.validate import Said, folds_by_artist, make_network, say
from recsys.classifier.models.musicnn import MusiCNN
from recsys.classifier.prepare import DataSources
from recsys.features import CompressedMel

WINDOWS = (1, 2, 3, 4, 5, 6, 8, 10)
FULL = max(WINDOWS)


def hear_less(
    teacher: MusiCNN, folder: Path, keys: dict[str, int], features: CompressedMel, count: int
) -> dict[int, np.ndarray]:
    """Return what the front end hears of clips in so many windows, by the place of the clip."""
    files = [file for file in find_tracks(folder) if file.key in keys]
    found = load_windows([file.path for file in files], 2, replace(features, max_windows=count))
    return {
        keys[file.key]: listen(teacher, windows.astype(np.float32))
        for file, (_, windows) in zip(files, found, strict=True)
        if isinstance(windows, np.ndarray)
    }


def judge(
    teacher: MusiCNN, music: PicturedMusic, features: CompressedMel, folder: Path
) -> dict[int, Said]:
    """Return what held-out networks said of all clips, by the number of windows."""
    settings = FineTuneSettings()
    folds = folds_by_artist(music.targets, music.groups, settings.folds, settings.seed)
    heard = hear(teacher, music.tracks, settings.variations, settings.seed)
    outliers = hear_outliers(teacher, settings.outliers, settings.seed, features)
    lessons = Lessons(heard, music.targets, teacher_tags(teacher, heard), outliers)
    clips = {
        track.key: place
        for place, track in enumerate(music.tracks)
        if track.sound is not None and len(track.sound) == FULL
    }
    less = {count: hear_less(teacher, folder, clips, features, count) for count in WINDOWS}
    order = sorted(clips.values())
    rows: dict[int, dict[int, tuple[np.ndarray, ...]]] = {count: {} for count in WINDOWS}
    for number, held_out in enumerate(folds):
        learned = np.setdiff1d(np.arange(len(heard)), held_out)
        network = make_network(teacher, lessons.of(learned), settings, settings.seed + number)
        places = [place for place in held_out.tolist() if place in less[FULL]]
        for count in WINDOWS:
            said = say(network, [less[count][place] for place in places])
            outputs = zip(said.logits, said.embeddings, said.tag_logits, strict=True)
            rows[count].update(zip(places, outputs, strict=True))
    return {
        count: Said(*(np.stack(part) for part in zip(*(found[p] for p in order), strict=True)))
        for count, found in rows.items()
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Measure what hearing less of a track costs.")
    parser.add_argument("folder", type=Path)
    for name in ("weights", "train-split", "valid-split"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--mel", type=Path)
    options = parser.parse_args()
    features = CompressedMel()
    sources = DataSources(
        (options.folder,),
        mel=options.mel,
        train_split=options.train_split,
        valid_split=options.valid_split,
    )
    music = load_music(sources, features)
    weights = read_checkpoint(find_checkpoint(options.weights))
    teacher = build_pruned(weights, len(music.labels)).eval()
    said = judge(teacher, music, features, options.folder)
    targets = np.array(
        [
            target
            for target, track in zip(music.targets, music.tracks, strict=True)
            if track.sound is not None and len(track.sound) == FULL
        ]
    )
    full = said[FULL]
    table = Table("windows", "accuracy", "95%", "beside full", "cosine to full", "5th percentile")
    hits = {count: own.logits.argmax(axis=1) == targets for count, own in said.items()}
    for count, own in said.items():
        cosine = (own.embeddings * full.embeddings).sum(axis=1)
        low, high = wilson_interval(int(hits[count].sum()), len(targets))
        table.add_row(
            str(count),
            f"{hits[count].mean():.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{hits[count].mean() - hits[FULL].mean():+.3f}",
            f"{np.median(cosine):.3f}",
            f"{np.percentile(cosine, 5):.3f}",
        )
    Console().print(f"{len(targets)} clips", table)


if __name__ == "__main__":
    main()
