"""Tempo and key of synthesised music: sonara, a comb over its onsets, and BeatNet.

``python -m tests.benchmarks.compare_mix [--count 192] [--seed 2] [--beatnet WHEEL] [--fit]`` plays
pieces of known tempo and key (``tests/mix/music.py``), in all 24 keys, 60 to 180 bpm, and writes
tables for ``docs/results/mix.md``. With ``--fit`` it also prints the constants of
:mod:`recsys.mix.tempo` and :mod:`recsys.mix.key`; they are those of seed 1, and the tables of the
docs those of seed 2, so that no piece is in both.

BeatNet 1.1.3 (Heydari, Cwitkowitz and Duan 2021) is CC BY 4.0. Its package needs madmom, so its
first model, which has not learned from GTZAN, runs here in NumPy, over the features of madmom; the
same comb as over sonara's onsets finds the tempo of its activations. Its weights are read with
PyTorch from the wheel that ``pip download --no-deps BeatNet==1.1.3`` fetches.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["RAYON_NUM_THREADS"] = "1"  # before sonara is loaded: times are those of one processor

import numpy as np
import soxr

from recsys import demo
from recsys.keys import KEYS, key_of
from recsys.mix.key import find_key
from recsys.mix.measuring import RATE_HZ, load_sonara
from recsys.mix.tempo import HOP_LENGTH, LEAST_STRENGTH, comb_tempo, find_tempo, same_tempo
from tests.mix.music import NO_KEY, NO_TEMPO, TEXTURES, Piece, pieces, play

LEVELS = (1.0, 2.0, 0.5)


def level(found: float | None, truth: float) -> float | None:
    """Return the multiple of the true tempo that was found, None for another tempo."""
    if found is None:
        return None
    return next((each for each in LEVELS if same_tempo(found, each * truth)), None)


def key_score(found: str | None, truth: str) -> float:
    """Return the weighted score of MIREX: 1, a fifth 0.5, relative 0.3, parallel 0.2, else 0."""
    if found is None:
        return 0.0
    ours, theirs = KEYS.index(found), KEYS.index(truth)
    steps = (ours - theirs) % 12
    if (ours < 12) == (theirs < 12):
        return {0: 1.0, 7: 0.5, 5: 0.5}.get(steps, 0.0)
    relative = 9 if theirs < 12 else 3
    return 0.3 if steps == relative else 0.2 if steps == 0 else 0.0


# BeatNet


class BeatNet:
    """Model 1 of BeatNet: activations of beat and downbeat, 50 a second."""

    RATE = 50.0
    HOP, WINDOW, BANDS = 441, 1411, 24

    def __init__(self, wheel: Path) -> None:
        import torch

        with zipfile.ZipFile(wheel) as files:
            raw = io.BytesIO(files.read("BeatNet/models/model_1_weights.pt"))
        state = torch.load(raw, map_location="cpu", weights_only=True)
        self._w = {name: value.numpy() for name, value in state.items()}
        self._filters = self._bands()

    def _bands(self) -> Any:
        """Return madmom's logarithmic filters of area 1, shape (705, 136)."""
        bins = np.arange(self.WINDOW >> 1) * RATE_HZ / self.WINDOW
        first = np.floor(np.log2(30 / 440) * self.BANDS)
        last = np.ceil(np.log2(17_000 / 440) * self.BANDS)
        centres = 440 * 2 ** (np.arange(first, last) / self.BANDS)
        centres = centres[(centres >= 30) & (centres <= 17_000)]
        nearest = np.clip(bins.searchsorted(centres), 1, len(bins) - 1)
        nearest -= centres - bins[nearest - 1] < bins[nearest] - centres
        nearest = np.unique(nearest)
        rows = []
        for start, centre, stop in zip(nearest, nearest[1:], nearest[2:], strict=False):
            if stop - start < 2:
                centre, stop = start, start + 1
            row = np.zeros(len(bins), dtype=np.float32)
            row[start:centre] = np.linspace(0, 1, centre - start, endpoint=False)
            row[centre:stop] = np.linspace(1, 0, stop - centre, endpoint=False)
            rows.append(row / row.sum())
        return np.array(rows).T

    def _features(self, sound: Any) -> Any:
        count = -(-len(sound) // self.HOP)
        padded = np.pad(sound, (self.WINDOW // 2, self.WINDOW + self.HOP))
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.WINDOW)[:: self.HOP][:count]
        window = np.hanning(self.WINDOW).astype(np.float32)
        spectra = [
            np.abs(np.fft.rfft(frames[at : at + 512] * window, axis=1))[:, : self.WINDOW >> 1]
            for at in range(0, count, 512)
        ]
        bands = np.log10(np.concatenate(spectra).astype(np.float32) @ self._filters + 1)
        rises = np.zeros_like(bands)
        rises[1:] = np.maximum(0, bands[1:] - bands[:-1])
        return np.hstack([bands, rises])

    def _lstm(self, inputs: Any, layer: int) -> Any:
        w = self._w
        recurrent = w[f"lstm.weight_hh_l{layer}"].T.copy()
        gates = inputs @ w[f"lstm.weight_ih_l{layer}"].T
        gates += w[f"lstm.bias_ih_l{layer}"] + w[f"lstm.bias_hh_l{layer}"]
        hidden = np.zeros(150, dtype=np.float32)
        cell = np.zeros(150, dtype=np.float32)
        outputs = np.empty((len(inputs), 150), dtype=np.float32)
        for step in range(len(inputs)):
            gate = gates[step] + hidden @ recurrent
            opened = 1 / (1 + np.exp(-gate))
            cell = opened[150:300] * cell + opened[:150] * np.tanh(gate[300:450])
            hidden = opened[450:] * np.tanh(cell)
            outputs[step] = hidden
        return outputs

    def activations(self, sound: Any) -> Any:
        """Return the probability of a beat, shape (n,)."""
        w, features = self._w, self._features(sound)
        views = np.lib.stride_tricks.sliding_window_view(features, 10, axis=1)
        filtered = np.einsum("ntk,ck->nct", views, w["conv1.weight"][:, 0], optimize=True)
        filtered = np.maximum(0, filtered + w["conv1.bias"][np.newaxis, :, np.newaxis])
        even = filtered.shape[2] // 2 * 2
        pooled = filtered[:, :, :even].reshape(len(features), 2, -1, 2).max(axis=3)
        dense = pooled.reshape(len(features), -1) @ w["linear0.weight"].T + w["linear0.bias"]
        outputs = self._lstm(self._lstm(dense.astype(np.float32), 0), 1)
        logits = outputs @ w["linear.weight"].T + w["linear.bias"]
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares[:, 0] + shares[:, 1]

    def tempo(self, sound: Any) -> float | None:
        """Return the tempo of mono sound at 22,050 Hz."""
        comb = comb_tempo(self.activations(sound), self.RATE)
        return None if comb is None else comb.tempo


# Measuring


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a piece."""

    piece: Piece
    sonara: float
    comb: float | None
    ours: float | None
    confidence: float
    beatnet: float | None
    key: str | None
    key_confidence: float
    key_score: float  # of sonara
    key_lead: float


class Stopwatch:
    """Adds up the CPU time of each step."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = work()
        self.seconds[name] += time.process_time() - began
        return result


def find(piece: Piece, sonara: Any, beatnet: BeatNet | None, watch: Stopwatch) -> Found:
    """Measure one piece."""
    loud = play(piece).astype(np.float32)
    sound = soxr.resample(loud, demo.SAMPLE_RATE, RATE_HZ).astype(np.float32)
    answer = watch(
        "sonara: tempo and key",
        lambda: sonara.analyze_signal(sound, sr=RATE_HZ, features=["bpm", "key", "key_candidates"]),
    )
    watch("sonara: tempo", lambda: sonara.analyze_signal(sound, sr=RATE_HZ, features=["bpm"]))
    onsets = np.asarray(sonara.onset_strength(sound, sr=RATE_HZ, hop_length=HOP_LENGTH))
    comb = comb_tempo(onsets, RATE_HZ / HOP_LENGTH)
    ours = watch(
        "comb over sonara's onsets",
        lambda: find_tempo(sonara, sound, RATE_HZ, float(answer["bpm"])),
    )
    lead = float(answer["key_confidence"])
    key = find_key(answer["key_candidates"], lead)
    assert key is not None
    return Found(
        piece=piece,
        sonara=float(answer["bpm"]),
        comb=None if comb is None or comb.strength < LEAST_STRENGTH else comb.tempo,
        ours=None if ours is None else ours.tempo,
        confidence=0.0 if ours is None else ours.confidence,
        beatnet=watch("BeatNet model 1", lambda: beatnet.tempo(sound)) if beatnet else None,
        key=key.key,
        key_confidence=key.confidence,
        key_score=float(answer["key_candidates"][0][2]),
        key_lead=lead,
    )


def truth(piece: Piece) -> str:
    """Return the key of a piece as recsys spells it."""
    key = key_of(piece.key)
    assert key is not None
    return key


# Tables


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def tempo_table(found: Sequence[Found], names: Sequence[str]) -> list[str]:
    beating = [each for each in found if each.piece.texture != NO_TEMPO]
    lines = [row("tempo", "Acc1", "Acc2", "double", "half", "other"), row(*["---"] * 6)]
    for name in names:
        levels = [level(getattr(each, name), each.piece.tempo) for each in beating]
        share = {key: np.mean([one == key for one in levels]) for key in (*LEVELS, None)}
        lines.append(
            row(
                name,
                f"{share[1.0]:.3f}",
                f"{1 - share[None]:.3f}",
                *(f"{share[key]:.3f}" for key in (2.0, 0.5, None)),
            )
        )
    lines += ["", row("texture", *names), row(*["---"] * (1 + len(names)))]
    for texture in TEXTURES:
        if texture == NO_TEMPO:
            continue
        own = [each for each in beating if each.piece.texture == texture]
        cells = []
        for name in names:
            levels = [level(getattr(each, name), each.piece.tempo) for each in own]
            first = np.mean([one == 1.0 for one in levels])
            cells.append(f"{first:.2f} / {np.mean([one is not None for one in levels]):.2f}")
        lines.append(row(texture, *cells))
    return lines


def bins(pairs: Sequence[tuple[float, bool]], edges: Sequence[float]) -> list[str]:
    lines = [row("confidence", "n", "mean", "right"), row(*["---"] * 4)]
    for low, high in pairwise(edges):
        own = [pair for pair in pairs if low <= pair[0] < high]
        if own:
            mean, right = np.mean([pair[0] for pair in own]), np.mean([pair[1] for pair in own])
            lines.append(
                row(f"{low:.2f} to {min(high, 1):.2f}", len(own), f"{mean:.2f}", f"{right:.2f}")
            )
    return lines


def report(found: Sequence[Found], watch: Stopwatch, names: Sequence[str]) -> list[str]:
    tempi = [
        (
            each.confidence,
            each.piece.texture != NO_TEMPO and level(each.ours, each.piece.tempo) == 1.0,
        )
        for each in found
        if each.ours is not None
    ]
    without = [each for each in found if each.piece.texture == NO_TEMPO]
    keyed = [each for each in found if each.piece.texture != NO_KEY]
    scores = [key_score(each.key, truth(each.piece)) for each in keyed]
    kinds = Counter(scores)
    keys = [
        (
            each.key_confidence,
            each.piece.texture != NO_KEY and each.key == truth(each.piece),
        )
        for each in found
    ]
    seconds = len(found) * 30.0
    return [
        f"{len(found)} pieces of 30 s",
        "",
        *tempo_table(found, names),
        "",
        *bins(tempi, (0, 0.4, 0.5, 1.01)),
        f"without a beat: {sum(each.ours is None for each in without)} of {len(without)} found so",
        "",
        f"key: MIREX {np.mean(scores):.3f}, right {kinds[1.0] / len(keyed):.3f}, fifth "
        f"{kinds[0.5] / len(keyed):.3f}, relative {kinds[0.3] / len(keyed):.3f}, parallel "
        f"{kinds[0.2] / len(keyed):.3f}, other {kinds[0.0] / len(keyed):.3f} (n {len(keyed)})",
        "",
        *bins(keys, (0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)),
        "",
        row("step", "CPU, ms for 4 minutes"),
        row("---", "---"),
        *(
            row(name, f"{1000 * spent / seconds * 240:.0f}")
            for name, spent in sorted(watch.seconds.items())
        ),
    ]


def fit(found: Sequence[Found]) -> list[str]:
    """Return the constants of the confidences."""
    from sklearn.linear_model import LogisticRegression

    groups: dict[str, list[bool]] = {"same": [], "octave": [], "other": []}
    for each in found:
        if each.ours is None:
            continue
        relation = level(each.ours, each.sonara)
        name = {1.0: "same", None: "other"}.get(relation, "octave")
        right = each.piece.texture != NO_TEMPO and level(each.ours, each.piece.tempo) == 1.0
        groups[name].append(right)
    inputs = [(each.key_score, each.key_lead) for each in found]
    right = [each.piece.texture != NO_KEY and each.key == truth(each.piece) for each in found]
    model = LogisticRegression(C=10).fit(inputs, right)
    return [
        "",
        f"CONFIDENCE = { {name: round(float(np.mean(own)), 2) for name, own in groups.items()} }",
        f"OFFSET, BY_SCORE, BY_MARGIN = {model.intercept_[0]:.2f}, {model.coef_[0][0]:.2f}, "
        f"{model.coef_[0][1]:.2f}",
    ]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=192)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--beatnet", type=Path)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args(arguments)
    beatnet = BeatNet(options.beatnet) if options.beatnet else None
    sonara, watch = load_sonara(), Stopwatch()
    found = [find(piece, sonara, beatnet, watch) for piece in pieces(options.count, options.seed)]
    names = ["sonara", "ours", *(["beatnet"] if beatnet else [])]
    lines = report(found, watch, names) + (fit(found) if options.fit else [])
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
