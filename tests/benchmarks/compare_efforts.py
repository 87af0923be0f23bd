"""Accuracy of the shipped recipe by the number of windows: what `--effort` costs.

    python -m tests.benchmarks.compare_efforts gtzan --weights MSD_musicnn --train-split LIST
        --valid-split LIST [--mel ARCHIVE]

The shipped recipe is cross-validated by artist, and every network analyses so many windows of the
clips that it was not trained on: accuracy, and cosine to the embedding of all windows. Ten windows
fill a clip of 30 s; a whole song has as many, further apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.classifier.inference import Pooled
from recsys.classifier.training.datasets import find_tracks, load_windows
from recsys.classifier.training.evaluate import accuracy_interval
from recsys.classifier.training.tune import outputs_of, responses_to, tune_and_fit
from tests.benchmarks.held_out import FULL_WINDOWS, HeldOut, load_held_out

WINDOWS = (1, 2, 3, 4, 5, 6, 8, FULL_WINDOWS)


def responses_of_fewer(data: HeldOut, keys: dict[str, int], count: int) -> dict[int, np.ndarray]:
    """Return the front end's responses to so many windows of each clip, by the row of the clip."""
    features = replace(data.features, max_windows=count)
    files = [file for file in find_tracks(data.folder) if file.key in keys]
    found = load_windows([file.path for file in files], 2, features)
    return {
        keys[file.key]: responses_to(data.teacher, windows.astype(np.float32))
        for file, (_, windows) in zip(files, found, strict=True)
        if isinstance(windows, np.ndarray)
    }


def judge(data: HeldOut, clips: list[int]) -> dict[int, Pooled]:
    """Return the outputs of networks for clips that they were not trained on, by window count."""
    keys = {data.music.tracks[row].key: row for row in clips}
    less = {count: responses_of_fewer(data, keys, count) for count in WINDOWS}
    rows: dict[int, dict[int, tuple[np.ndarray, ...]]] = {count: {} for count in WINDOWS}
    for number, held_out in enumerate(data.folds):
        learned = np.setdiff1d(np.arange(len(data.music.tracks)), held_out)
        network = tune_and_fit(
            data.teacher,
            data.tuning.of(learned),
            replace(data.settings, seed=data.settings.seed + number),
        )
        held = [row for row in held_out.tolist() if row in less[FULL_WINDOWS]]
        for count in WINDOWS:
            found = outputs_of(network, [less[count][row] for row in held])
            outputs = zip(found.logits, found.embeddings, found.tag_logits, strict=True)
            rows[count].update(zip(held, outputs, strict=True))
    return {
        count: Pooled(*(np.stack(part) for part in zip(*(found[p] for p in clips), strict=True)))
        for count, found in rows.items()
    }


def main() -> None:
    """Measure and print a table."""
    data = load_held_out("Measure what fewer windows cost.")
    clips = [row for row in range(len(data.music.tracks)) if data.is_clip(row)]
    by_count = judge(data, clips)
    targets = data.music.targets[clips]
    full = by_count[FULL_WINDOWS]
    table = Table(
        "windows", "accuracy", "95%", "difference to full", "cosine to full", "5th percentile"
    )
    hits = {count: own.logits.argmax(axis=1) == targets for count, own in by_count.items()}
    for count, own in by_count.items():
        cosine = (own.embeddings * full.embeddings).sum(axis=1)
        low, high = accuracy_interval(hits[count], data.music.groups[clips])
        table.add_row(
            str(count),
            f"{hits[count].mean():.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{hits[count].mean() - hits[FULL_WINDOWS].mean():+.3f}",
            f"{np.median(cosine):.3f}",
            f"{np.percentile(cosine, 5):.3f}",
        )
    Console().print(f"{len(targets)} clips", table)


if __name__ == "__main__":
    main()
