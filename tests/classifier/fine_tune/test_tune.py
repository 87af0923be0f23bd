"""Tuning learns what was planted, always in the same way, and changes nothing else."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.classifier.training.heads import HeardTrack
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import FineTuneSettings, tune
from recsys.errors import ModelError
from tests.classifier.fine_tune.small import (
    N_GENRES,
    QUICK,
    equal_genres,
    heard_tracks,
    small_network,
)

TARGETS = equal_genres(6)

PLAIN = FineTuneSettings(
    epochs=1,
    steps_per_epoch=80,
    batch=12,
    learning_rate=0.02,
    mixup=0.0,
    pool_dropout=0.0,
    dropout=0.0,
    label_smoothing=0.0,
)
"""Nothing that keeps a network from learning by heart."""


def losses(settings: FineTuneSettings, seed: int = 0) -> list[float]:
    told: list[float] = []
    tune(small_network(), heard_tracks(TARGETS), TARGETS, settings, seed, told.append)
    return told


def weights(model: MusiCNN) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in one.items() if not torch.equal(value, other[name])}


@pytest.mark.parametrize("settings", [PLAIN, replace(PLAIN, label_smoothing=0.3, mixup=0.4)])
def test_it_begins_with_knowing_nothing(settings: FineTuneSettings) -> None:
    """The output layer begins at zero: every genre is equally likely."""
    first = losses(replace(settings, steps_per_epoch=1))
    assert first == [pytest.approx(np.log(N_GENRES), abs=1e-5)]


def test_it_learns_what_was_planted() -> None:
    told = losses(PLAIN)
    assert len(told) == 80
    assert np.mean(told[-5:]) < 0.1 * told[0]


def test_a_seed_decides_everything() -> None:
    tracks = heard_tracks(TARGETS)
    first, again, other = (
        weights(tune(small_network(), tracks, TARGETS, QUICK, seed)) for seed in (3, 3, 4)
    )
    assert differing(first, again) == set()
    assert differing(first, other)


def test_only_the_layers_above_the_front_end_are_tuned() -> None:
    """Their statistics stay, and so do the heads."""
    model = small_network()
    before = weights(model)
    tuned = tune(model, heard_tracks(TARGETS), TARGETS, PLAIN, 0)
    assert not tuned.training
    changed = differing(before, weights(tuned))
    parameters = {
        name
        for name, _ in model.named_parameters()
        if name.split(".")[0] in {"layers", "norms", "dense", "dense_norm"}
    }
    assert changed == parameters


def test_what_went_in_stays_as_it_was() -> None:
    model, tracks = small_network(), heard_tracks(TARGETS)
    before, heard = weights(model), copy.deepcopy([track.sound for track in tracks])
    tune(model, tracks, TARGETS, PLAIN, 0)
    assert differing(before, weights(model)) == set()
    assert not model.training
    for track, copies in zip(tracks, heard, strict=True):
        assert all(map(np.array_equal, track.sound, copies))


def test_chance_elsewhere_is_not_touched() -> None:
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    tune(small_network(), heard_tracks(TARGETS), TARGETS, QUICK, 0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_kept_is_the_average_of_the_steps() -> None:
    """With a decay of 0 it is the last step; otherwise it lies between it and the beginning."""
    model, tracks = small_network(), heard_tracks(TARGETS)
    last, average = (
        tune(model, tracks, TARGETS, replace(PLAIN, average_decay=decay), 0).dense.weight.detach()
        for decay in (0.0, 0.98)
    )
    start = model.dense.weight.detach()
    assert float((average - start).norm()) < float((last - start).norm())
    assert float((average - last).norm()) < float((last - start).norm())


def test_genres_come_in_equal_shares() -> None:
    """Of a genre with one track as many windows are seen as of one with eleven: a network that
    hears the same of all cannot gain anything from calling them the commoner one."""
    targets = np.asarray([0] * 11 + [1])
    (track,) = heard_tracks([0])
    told: list[float] = []
    settings = replace(PLAIN, batch=64, steps_per_epoch=40)
    tune(small_network(n_genres=2), [track] * 12, targets, settings, 0, told.append)
    assert np.mean(told[-10:]) == pytest.approx(np.log(2), abs=0.03)


def test_a_loss_that_is_no_number() -> None:
    tracks = heard_tracks(TARGETS)
    broken = [HeardTrack(tuple(np.full_like(w, np.nan) for w in t.sound), ()) for t in tracks]
    with pytest.raises(ModelError, match="nan in step 1") as caught:
        tune(small_network(), broken, TARGETS, QUICK, 0)
    assert caught.value.hint
