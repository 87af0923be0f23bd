"""The fair baseline: frozen MusiCNN and a linear discriminant, by windows and with joined features.

    python -m tests.benchmarks.compare_frozen FOLDER... --weights MSD_musicnn [--mel NPZ]
        [--artists CSV] [--table features_30_sec.csv]

Cross-validated by artist over five seeds of the folds; figures are of the clips with ten windows,
intervals draw whole artists. Prints accuracy by the number of windows, what ten windows add where
six leave doubt, the temperature of each number, and what columns of the public table add.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console

from recsys.bootstrap import bootstrap_interval
from recsys.classifier.calibrate import expected_calibration_error, fit_temperature, softmax
from recsys.classifier.training.datasets import DataSources, LabelledMusic, load_music
from recsys.classifier.training.make import make_folds, spread_windows
from recsys.classifier.training.teacher import build_pruned, find_checkpoint, read_checkpoint
from recsys.classifier.training.tune import _discriminant, penultimate, responses_to
from recsys.mel import CompressedMel
from recsys.types import FloatArray, IdArray
from tests.benchmarks.held_out import FULL_WINDOWS

SEEDS = range(5)
COLUMNS = {
    "chroma": ["chroma_stft_mean", "chroma_stft_var"],
    "dynamics": ["rms_mean", "rms_var"],
    "tempo": ["tempo"],
}
Hits = npt.NDArray[np.bool_]


def logits_of(units: list[FloatArray], music: LabelledMusic, seed: int) -> list[FloatArray]:
    """Return the logits of every window of every track, by a discriminant without its artist."""
    means = np.stack([rows.mean(axis=0) for rows in units])
    found: list[FloatArray] = [np.empty(0, np.float32)] * len(units)
    for held_out in make_folds(music.targets, music.groups, 5, seed):
        learned = np.setdiff1d(np.arange(len(units)), held_out)
        weight, bias = _discriminant(means[learned], music.targets[learned], len(music.labels))
        for row in held_out.tolist():
            found[row] = (units[row] @ weight.T + bias).astype(np.float32)
    return found


def gain_text(gains: list[npt.NDArray[np.float64]], artists: IdArray) -> str:
    """Return the mean gain over the seeds, with its interval."""
    mean = np.mean(gains, axis=0)
    low, high = bootstrap_interval(mean, artists)
    return f"{mean.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def compare_windows(units: list[FloatArray], music: LabelledMusic, clips: IdArray) -> None:
    """Print accuracy and calibration by the number of windows, and the rules that add windows."""
    console, truth, artists = Console(), music.targets[clips], music.groups[clips]
    short = np.flatnonzero([len(rows) < FULL_WINDOWS // 2 for rows in units])
    right: dict[int, list[Hits]] = {count: [] for count in range(1, FULL_WINDOWS + 1)}
    more: dict[str, list[tuple[Hits, Hits]]] = {}
    for seed in SEEDS:
        windows = logits_of(units, music, seed)
        pooled = {n: np.stack([spread_windows(windows[row], n) for row in clips]) for n in right}
        for count, logits in pooled.items():
            right[count].append(logits.argmax(axis=1) == truth)
        warm = {count: fit_temperature(logits, truth) for count, logits in pooled.items()}
        ranked = np.sort(softmax(pooled[6], warm[6]), axis=1)
        chosen = ((np.arange(6) + 0.5) * FULL_WINDOWS / 6).astype(int)
        votes = [np.bincount(windows[row][chosen].argmax(axis=1)).max() for row in clips]
        doubts = {
            "best two closer than 0.3": ranked[:, -1] - ranked[:, -2] < 0.3,
            "closer than 0.5": ranked[:, -1] - ranked[:, -2] < 0.5,
            "best below 0.7": ranked[:, -1] < 0.7,
            "fewer than four of six agree": np.asarray(votes) < 4,
            "three give another": pooled[3].argmax(axis=1) != pooled[6].argmax(axis=1),
        }
        for name, doubt in doubts.items():
            hits = np.where(doubt, right[FULL_WINDOWS][-1], right[6][-1])
            more.setdefault(name, []).append((hits, doubt))
        if seed == 0:
            console.print("temperature", {n: round(value, 2) for n, value in warm.items()})
            single = np.stack([windows[row].mean(axis=0) for row in short])
            for count in (1, FULL_WINDOWS):
                of_short, of_cut = (
                    expected_calibration_error(softmax(logits, warm[count]), targets)
                    for logits, targets in ((single, music.targets[short]), (pooled[1], truth))
                )
                console.print(
                    f"temperature of {count}: ECE of {len(short)} excerpts {of_short:.3f},"
                    f" of clips cut to one window {of_cut:.3f}"
                )
    for count, hits in right.items():
        accuracies = [own.mean() for own in hits]
        low, high = bootstrap_interval(hits[0].astype(float), artists)
        console.print(
            f"{count} windows: {accuracies[0]:.3f} ({low:.3f} to {high:.3f}), seeds"
            f" {min(accuracies):.3f} to {max(accuracies):.3f}, mean {np.mean(accuracies):.3f}"
        )
    for name, found in more.items():
        gains = [hits.astype(float) - six for (hits, _), six in zip(found, right[6], strict=True)]
        share = np.mean([doubt.mean() for _, doubt in found])
        console.print(f"ten where {name}: {share:.2f} of clips, {gain_text(gains, artists)}")


def compare_columns(
    units: list[FloatArray], music: LabelledMusic, clips: IdArray, path: Path
) -> None:
    """Print what columns of the public table add to the units."""
    import pandas as pd

    table = pd.read_csv(path)
    table.index = [name.removesuffix(".wav") for name in table["filename"]]
    keys = [track.key.split("/", 1)[1] for track in music.tracks]
    scale = float(np.stack([rows.mean(axis=0) for rows in units]).std())
    truth, artists = music.targets[clips], music.groups[clips]

    def hits(tracks: list[FloatArray], seed: int) -> npt.NDArray[np.float64]:
        logits = logits_of(tracks, music, seed)
        given = np.array([logits[row].mean(axis=0).argmax() for row in clips])
        return (given == truth).astype(np.float64)

    every = [name for columns in COLUMNS.values() for name in columns]
    for name, columns in {**COLUMNS, "all three": every}.items():
        values = np.log1p(table.loc[keys, columns].to_numpy())
        more = (values - values.mean(axis=0)) / values.std(axis=0) * scale
        joined = [
            np.concatenate([rows, np.tile(own, (len(rows), 1))], axis=1).astype(np.float32)
            for rows, own in zip(units, more, strict=True)
        ]
        gains = [hits(joined, seed) - hits(units, seed) for seed in SEEDS]
        Console().print(f"{name} joined: {gain_text(gains, artists)}")


def main() -> None:
    """Read the music, run the frozen network, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    for name in ("weights", "mel", "artists", "table"):
        parser.add_argument(f"--{name}", type=Path)
    options = parser.parse_args()
    sources = DataSources(tuple(options.folders), options.mel, artists=options.artists)
    music = load_music(sources, CompressedMel())
    weights = read_checkpoint(find_checkpoint(options.weights))
    teacher = build_pruned(weights, len(music.labels)).eval()
    sounds = [track.spectrogram if track.audio is None else track.audio for track in music.tracks]
    units = [
        penultimate(teacher, [responses_to(teacher, own.astype(np.float32))])[0]
        for own in sounds
        if own is not None
    ]
    clips = np.flatnonzero([len(rows) == FULL_WINDOWS for rows in units])
    compare_windows(units, music, clips)
    if options.table:
        compare_columns(units, music, clips, options.table)


if __name__ == "__main__":
    main()
