"""How good the default model is by how much of a track it hears: what `--effort` costs.

    python -m tests.benchmarks.compare_efforts gtzan --weights MSD_musicnn --train-split LIST
        --valid-split LIST [--mel ARCHIVE]

The default recipe is cross-validated by artist, and every held-out network hears the clips that it
has not learned from in so many windows: accuracy, and cosine to the embedding of all windows. A
clip of 30 s is full with ten windows; of a whole song they are as many, further apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.classifier.calibrate import wilson_interval
from recsys.classifier.inference import Pooled
from recsys.classifier.training.datasets import find_tracks, load_windows
from recsys.classifier.training.tune import outputs_of, responses_to, tune_and_fit
from tests.benchmarks.held_out import FULL_WINDOWS, HeldOut, hear_named

WINDOWS = (1, 2, 3, 4, 5, 6, 8, FULL_WINDOWS)


def hear_less(data: HeldOut, keys: dict[str, int], count: int) -> dict[int, np.ndarray]:
    """Return what the front end hears of clips in so many windows, by the place of the clip."""
    features = replace(data.features, max_windows=count)
    files = [file for file in find_tracks(data.folder) if file.key in keys]
    found = load_windows([file.path for file in files], 2, features)
    return {
        keys[file.key]: responses_to(data.teacher, windows.astype(np.float32))
        for file, (_, windows) in zip(files, found, strict=True)
        if isinstance(windows, np.ndarray)
    }


def judge(data: HeldOut, clips: list[int]) -> dict[int, Pooled]:
    """Return what held-out networks said of all clips, by the number of windows."""
    keys = {data.music.tracks[place].key: place for place in clips}
    less = {count: hear_less(data, keys, count) for count in WINDOWS}
    rows: dict[int, dict[int, tuple[np.ndarray, ...]]] = {count: {} for count in WINDOWS}
    for number, held_out in enumerate(data.folds):
        learned = np.setdiff1d(np.arange(len(data.music.tracks)), held_out)
        network = tune_and_fit(
            data.teacher,
            data.lessons.of(learned),
            replace(data.settings, seed=data.settings.seed + number),
        )
        places = [place for place in held_out.tolist() if place in less[FULL_WINDOWS]]
        for count in WINDOWS:
            said = outputs_of(network, [less[count][place] for place in places])
            outputs = zip(said.logits, said.embeddings, said.tag_logits, strict=True)
            rows[count].update(zip(places, outputs, strict=True))
    return {
        count: Pooled(*(np.stack(part) for part in zip(*(found[p] for p in clips), strict=True)))
        for count, found in rows.items()
    }


def main() -> None:
    """Measure and print a table."""
    data = hear_named("Measure what hearing less of a track costs.")
    clips = [place for place in range(len(data.music.tracks)) if data.is_clip(place)]
    said = judge(data, clips)
    targets = data.music.targets[clips]
    full = said[FULL_WINDOWS]
    table = Table("windows", "accuracy", "95%", "beside full", "cosine to full", "5th percentile")
    hits = {count: own.logits.argmax(axis=1) == targets for count, own in said.items()}
    for count, own in said.items():
        cosine = (own.embeddings * full.embeddings).sum(axis=1)
        low, high = wilson_interval(int(hits[count].sum()), len(targets))
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
