"""Recipes and planted data that are trained in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from recsys.classifier.training.architectures import build_model
from recsys.classifier.training.datasets import LabelledTrack, SegmentSet
from recsys.classifier.training.loop import EpochResult, LabelledInputs, PartialRun, Training
from recsys.errors import ModelError
from recsys.papers.fit import check_recipe, settings_of, start_training
from recsys.papers.networks import initialise_like_keras
from recsys.papers.protocols import Fold
from recsys.papers.recipe import Fitting, Recipe, load_recipe

LABELS = ("blues", "jazz", "rock")

SUMMARY = {"kind": "summary", "parts": ["rms", "zcr", "centroid", "bandwidth"]}
"""Four numbers for a window."""

IMAGES = {"kind": "picture", "height": 16, "width": 16, "window_s": 1.0}

CPU = torch.device("cpu")


def table(**changes: Any) -> dict[str, Any]:
    """A recipe as it stands in TOML: a dense network over four numbers."""
    whole = {
        "title": "Small network",
        "summary": "A small network.",
        "report": "Nobody, Nothing (2024)",
        "source": "Table 1",
        "features": SUMMARY,
        "network": {"architecture": "dense", "config": {"hidden": [8]}},
        "training": {"epochs": 3, "learning_rate": 0.01, "batch": 8},
        "protocol": {"split": "random", "test": 0.2, "valid": 0.2},
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({"name": "small", **table(**changes)})


def classical(**changes: Any) -> Recipe:
    """Nearest neighbours over four numbers."""
    estimator = {"name": "knn", "settings": {"n_neighbors": 3}}
    return recipe(**{"network": None, "training": None, "estimator": estimator, **changes})


def planted(
    shape: tuple[int, ...] = (4,),
    tracks: int = 8,
    per_track: int = 2,
    apart: float = 4.0,
    seed: int = 0,
) -> SegmentSet:
    """Genres that differ in their mean; each artist has two tracks of one genre."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(LABELS), *shape)) * apart
    found, rows, track_of = [], [], []
    for genre, label in enumerate(LABELS):
        for number in range(tracks):
            track_of += [len(found)] * per_track
            found.append(
                LabelledTrack(f"{label}/{label}.{number}", label, f"{label} {number // 2}")
            )
            rows.append(centres[genre] + rng.normal(size=(per_track, *shape)))
    inputs = np.concatenate(rows).astype(np.float32)
    return SegmentSet(tuple(found), inputs, np.asarray(track_of, dtype=np.int64), LABELS)


def thirds(segments: SegmentSet) -> Fold:
    """Of every four artists two to learn from, one to validate on, one to test."""
    artist = np.asarray([int(track.key.rpartition(".")[2]) // 2 for track in segments.tracks])
    part = (artist % 4)[segments.track_of]
    train, valid, test = (np.flatnonzero(np.isin(part, ns)) for ns in ([0, 1], [2], [3]))
    return Fold(train, valid, test)


def training(
    settings: Fitting,
    segments: SegmentSet,
    model: torch.nn.Module,
    *,
    fold: Fold | None = None,
    seed: int = 0,
    path: Path | None = None,
    keep_best: bool = False,
) -> Training:
    """A run over planted data; without a fold everything is learned and nothing validated."""
    everything = np.arange(segments.n_segments)
    train, valid = (fold.train, fold.valid) if fold else (everything, everything[:0])
    return start_training(
        model,
        LabelledInputs(segments.inputs, segments.targets, train),
        LabelledInputs(segments.inputs, segments.targets, valid),
        settings_of(settings, keep_best=keep_best),
        seed=seed,
        n_genres=3,
        partial=PartialRun(path, "small"),
        device=CPU,
    )


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def settings(**changes: Any) -> Fitting:
    quick = {"epochs": 4, "learning_rate": 0.01, "batch": 8}
    return Fitting.model_validate({**quick, **changes})


def dense(seed: int = 0, **config: Any) -> nn.Module:
    torch.manual_seed(seed)
    model = build_model("dense", 3, (4,), {"hidden": [8], **config})
    initialise_like_keras(model)
    return model


def transfer() -> nn.Module:
    torch.manual_seed(0)
    config = {"filters": 4, "pool": 1, "dense": 8, "dropout": 0.2}
    return build_model("alexnet-transfer", 3, (64, 64), config)


def run(training: Training, most: int | None = None) -> list[EpochResult]:
    """Train to the end, or be killed after some epochs."""
    results = []
    for result in training.epochs():
        results.append(result)
        if len(results) == most:
            break
    return results


TOML = """
title = "Mine"
summary = "Of my own."
report = "None"
source = "None"
readings = ["One."]
[features]
kind = "summary"
[network]
architecture = "dense"
config = { hidden = [8] }
[training]
epochs = 2
[protocol]
split = "random"
test = 0.2
valid = 0.2
[published]
test = 0.5
[variants.wide]
readings = ["Two."]
network = { config = { dropout = 0.5 } }
"""


def write_toml(folder: Path, *changes: tuple[str, str], name: str = "mine.toml") -> str:
    """A recipe of the user's own, with some of its text replaced."""
    text = TOML
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return str(path)


def refused(name: str, n_genres: int = 3) -> str:
    """The message with which a recipe is refused before anything is decoded; it names it."""
    with pytest.raises(ModelError) as caught:
        check_recipe(load_recipe(name), n_genres, "random")
    assert Path(name).stem in caught.value.message
    assert caught.value.hint
    return caught.value.message
