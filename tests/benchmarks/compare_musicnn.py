"""Time of the shipped model and of the published MusiCNN, whose filters it keeps.

    python tests/benchmarks/compare_musicnn.py [--weights MSD_musicnn] [--windows 10] [--repeats 7]

Both run in PyTorch on the same windows in one process, turn by turn, so that other work on the
machine slows both. Without --weights the package musicnn must be installed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console

from recsys.classifier.training.architectures import load_model
from recsys.classifier.training.teacher import find_checkpoint, read_checkpoint
from tests.classifier.training.published_weights import published_tags

if TYPE_CHECKING:
    from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """Return the duration of some work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    published = read_checkpoint(find_checkpoint(options.weights))
    model, card = load_model()
    windows = torch.rand(options.windows, *card.features.shape) * 3
    with torch.inference_mode():
        pairs = [
            (seconds(lambda: published_tags(published, windows)), seconds(lambda: model(windows)))
            for _ in range(options.repeats + 1)
        ][1:]
    theirs, ours = np.median(pairs, axis=0) * 1000
    ratio = np.median([slow / quick for slow, quick in pairs])
    Console().print(
        f"{options.windows} windows, {options.threads} threads: MusiCNN {theirs:.0f} ms,"
        f" {card.name} {ours:.1f} ms, {ratio:.1f} times faster"
    )


if __name__ == "__main__":
    main()
