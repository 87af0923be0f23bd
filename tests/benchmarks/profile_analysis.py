"""Where the time of analysing a song goes, by format, and what else could compute the model.

    python -m tests.benchmarks.profile_analysis SONGS [--files 12] [--model]

Milliseconds of one processor for a song at the default effort: the least of five runs over all
songs of a format. SONGS is a folder, such as ``python -m tests.benchmarks --only analysis --keep
DIR`` leaves behind.
With --model the network alone is computed in every way that is at hand as well.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
from rich.console import Console
from rich.table import Table

from recsys.audio import decode
from recsys.classifier.inference import Classifier
from recsys.library import audio_hash, read_tags, scan
from recsys.mel import DEFAULT_EFFORT
from recsys.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.types import FloatArray

RUNS = 5


def milliseconds(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Return the processor time of some work on one item, the least of several runs over all."""
    taken = []
    for _ in range(RUNS):
        start = time.process_time()
        for item in items:
            work(item)
        taken.append(time.process_time() - start)
    return 1000 * min(taken) / len(items)


def profile(songs: Sequence[Path], classifier: Classifier) -> dict[str, float]:
    """Return what each stage takes."""
    features = classifier.features
    waves = [decode(song, features).windows for song in songs]
    spectra = [features.compute(windows) for windows in waves]
    at_44100 = np.zeros((len(waves[0]), round(44_100 * features.window_s)), dtype=np.float32)

    def resample(_: object) -> None:
        for window in at_44100:
            soxr.resample(window, 44_100, features.sample_rate, quality="HQ")

    return {
        "identity (hash of packets)": milliseconds(audio_hash, songs),
        "tags": milliseconds(read_tags, songs),
        "reading the windows, resampled": milliseconds(lambda song: decode(song, features), songs),
        "of that, resampling from 44.1 kHz": milliseconds(resample, songs),
        "mel spectrograms": milliseconds(features.compute, waves),
        "the model": milliseconds(lambda windows: classifier.analyse([windows]), spectra),
    }


def ways_of_computing(windows: FloatArray) -> dict[str, float]:
    """Return what the network takes for some windows, in every way that is installed."""
    import torch

    from recsys.classifier.training.architectures import load_model

    torch.set_num_threads(1)
    module, _ = load_model()
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = Classifier.load(device="cpu").network
    ways: dict[str, Callable[[Any], object]] = {
        "NumPy, as recsys does": network.of_windows,
        "PyTorch": lambda rows: module(torch.from_numpy(rows)),
    }
    with contextlib.suppress(ImportError):
        ways["ONNX Runtime"] = _in_onnxruntime()
    compiled = torch.compile(module, dynamic=False)
    ways["PyTorch, compiled"] = lambda rows: compiled(torch.from_numpy(rows))
    with torch.inference_mode():
        for work in ways.values():
            work(windows)
        return {name: milliseconds(work, [windows]) for name, work in ways.items()}


def _in_onnxruntime() -> Callable[[FloatArray], object]:
    import tempfile

    import onnxruntime

    from recsys.classifier.onnx_export import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(None, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    return lambda rows: session.run(None, {"windows": rows})


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("songs", type=Path)
    parser.add_argument("--files", type=int, default=12, help="of each format")
    parser.add_argument("--model", action="store_true")
    arguments = parser.parse_args()
    keep_freed_memory(large=False)  # as the decoding processes do
    classifier = Classifier.load(None, "cpu", DEFAULT_EFFORT)
    by_format: dict[str, list[Path]] = defaultdict(list)
    for file in scan(arguments.songs.absolute()):
        by_format[file.path.suffix.lower()[1:]].append(file.path)
    found = {
        name: profile(songs[: arguments.files], classifier)
        for name, songs in sorted(by_format.items())
    }
    table = Table("ms of one processor", *found)
    for stage in next(iter(found.values())):
        table.add_row(stage, *(f"{stages[stage]:.0f}" for stages in found.values()))
    Console().print(table)
    if arguments.model:
        windows = np.random.default_rng(0).random((6, *classifier.features.shape), np.float32)
        for name, taken in ways_of_computing(3 * windows).items():
            Console().print(f"{taken:6.1f} ms for six windows: {name}")


if __name__ == "__main__":
    main()
