"""A training that was killed goes on, and ends where an undisturbed one would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.classifier.training import loop
from recsys.classifier.training.loop import EpochResult, Training
from recsys.papers.recipe import Fitting
from tests.papers.small_recipes import (
    dense,
    planted,
    run,
    same_weights,
    settings,
    thirds,
    training,
    transfer,
)

KILLED: dict[str, dict[str, Any]] = {
    "plain": {},
    "plateau": {"plateau_factor": 0.1, "plateau_patience": 1, "learning_rate": 0.1},
    "best": {"keep": "best", "learning_rate": 0.3},
    "patience": {"patience": 2, "learning_rate": 0.3},
    "l2": {"l2": 0.01},
    "steps": {"steps_per_epoch": 2},
}


@pytest.fixture
def saves_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(loop, "SAVING_SHARE", 1e9)


def check_resumed(
    path: Path, make: Any, data: Any, chosen: Fitting, killed_after: int
) -> list[EpochResult]:
    """A run that is killed and one that is not end with the same weights and the same history."""

    def begin(state: Path | None) -> Training:
        return training(
            chosen, data, make(), fold=thirds(data), path=state, keep_best=chosen.keep == "best"
        )

    whole = begin(None)
    expected = run(whole)
    run(begin(path), killed_after)
    resumed = begin(path)
    assert len(resumed.history) == killed_after
    run(resumed)
    timeless = [
        [(r.epoch, r.loss, r.accuracy, r.valid_loss, r.valid_accuracy, r.is_best) for r in results]
        for results in (expected, resumed.history)
    ]
    assert timeless[0] == timeless[1]
    assert same_weights(whole.trained(), resumed.trained())
    return expected


@pytest.mark.usefixtures("saves_always")
@pytest.mark.parametrize("name", KILLED)
@pytest.mark.parametrize("killed_after", [1, 3])
def test_a_run_that_was_killed_ends_as_if_it_had_not(
    name: str, killed_after: int, tmp_path: Path
) -> None:
    data = planted(apart=0.5)
    check_resumed(
        tmp_path / "run.pt",
        lambda: dense(dropout=0.3),
        data,
        settings(epochs=6, **KILLED[name]),
        killed_after,
    )


@pytest.mark.usefixtures("saves_always")
def test_the_best_epoch_before_a_kill_is_still_the_best_after_it(tmp_path: Path) -> None:
    """At so high a rate the first epochs are the best."""
    data = planted(apart=0.3)
    chosen = settings(epochs=7, keep="best", learning_rate=1.0)
    results = check_resumed(tmp_path / "run.pt", dense, data, chosen, 5)
    losses = [r.valid_loss for r in results]
    assert int(np.argmin(losses)) < 4


@pytest.mark.usefixtures("saves_always")
@pytest.mark.parametrize("augment", [False, True])
def test_a_transfer_that_was_killed_ends_as_if_it_had_not(augment: bool, tmp_path: Path) -> None:
    data = planted((64, 64), tracks=4, per_track=1, apart=0.5)
    chosen = settings(epochs=3, keep="best", augment=augment, batch=4)
    data = type(data)(data.tracks, np.clip(data.inputs / 4 + 0.5, 0, 1), data.track_of, data.labels)
    check_resumed(tmp_path / "run.pt", transfer, data, chosen, 1)
    kept = torch.load(tmp_path / "run.pt", weights_only=True)
    assert not any(name.startswith("backbone.") for name in kept["model"])


def test_no_state_is_written_before_it_is_worth_it(tmp_path: Path) -> None:
    run(training(settings(), planted(), dense(), path=tmp_path / "run.pt"))
    assert list(tmp_path.iterdir()) == []
