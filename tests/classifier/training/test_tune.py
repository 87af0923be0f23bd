"""Tuning learns what was planted, reproducibly, and changes nothing else."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.classifier.training.loop import PartialRun
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import (
    TrackResponses,
    TuneSettings,
    TuningData,
    fit_heads,
    tune,
    tune_and_fit,
)
from recsys.errors import ModelError
from tests.classifier.training.small_network import (
    N_GENRES,
    QUICK,
    USUAL,
    equal_genres,
    planted_tracks,
    small_network,
    tuning_data,
)

TARGETS = equal_genres(6)


def plain(**changes: Any) -> TuneSettings:
    """Nothing that keeps a network from overfitting."""
    usual = replace(
        USUAL.training,
        epochs=1,
        steps_per_epoch=80,
        batch=12,
        learning_rate=0.02,
        mixup=0.0,
        label_smoothing=0.0,
    )
    return TuneSettings(training=replace(usual, **changes), pool_dropout=0.0, dropout=0.0)


def losses(settings: TuneSettings) -> list[float]:
    found: list[float] = []
    tune(
        small_network(),
        tuning_data(TARGETS),
        settings,
        on_epoch=lambda result: found.append(result.loss),
    )
    return found


def weights(model: MusiCNN) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in one.items() if not torch.equal(value, other[name])}


@pytest.mark.parametrize("changes", [{}, {"label_smoothing": 0.3, "mixup": 0.4}])
def test_at_first_every_genre_is_equally_likely(changes: dict[str, float]) -> None:
    """The output layer starts at zero."""
    first = losses(plain(steps_per_epoch=1, **changes))
    assert first == [pytest.approx(np.log(N_GENRES), abs=1e-5)]


def test_it_learns_what_was_planted() -> None:
    found = losses(plain(epochs=8, steps_per_epoch=10))
    assert len(found) == 8
    assert found[-1] < 0.1 * np.log(N_GENRES)


def test_the_seed_determines_everything() -> None:
    data = tuning_data(TARGETS)
    first, again, other = (
        weights(tune(small_network(), data, replace(QUICK, seed=seed))) for seed in (3, 3, 4)
    )
    assert differing(first, again) == set()
    assert differing(first, other)


def test_only_the_layers_above_the_front_end_are_tuned() -> None:
    """Their batch statistics stay, and so do the heads."""
    model = small_network()
    before = weights(model)
    tuned = tune(model, tuning_data(TARGETS), plain())
    assert not tuned.training
    changed = differing(before, weights(tuned))
    parameters = {
        name
        for name, _ in model.named_parameters()
        if name.split(".")[0] in {"layers", "norms", "dense", "dense_norm"}
    }
    assert changed == parameters


def test_network_and_data_are_not_changed() -> None:
    model, data = small_network(), tuning_data(TARGETS)
    before, copies = weights(model), copy.deepcopy([track.audio for track in data.tracks])
    tune(model, data, plain())
    assert differing(before, weights(model)) == set()
    assert not model.training
    for track, audio in zip(data.tracks, copies, strict=True):
        assert all(map(np.array_equal, track.audio, audio))


def test_the_global_random_state_is_not_touched() -> None:
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    tune(small_network(), tuning_data(TARGETS), QUICK)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_running_average_is_kept() -> None:
    """It lies between the start and the last step."""
    model, data = small_network(), tuning_data(TARGETS)
    last, average = (
        tune(model, data, plain(average_decay=decay)).dense.weight.detach()
        for decay in (None, 0.98)
    )
    start = model.dense.weight.detach()
    assert float((average - start).norm()) < float((last - start).norm())
    assert float((average - last).norm()) < float((last - start).norm())


def test_genres_come_in_equal_shares() -> None:
    """A genre with one track is drawn as often as one with eleven: where all tracks are the same,
    nothing is gained by predicting the commoner one."""
    (track,) = planted_tracks([0])
    data = TuningData([track] * 12, np.asarray([0] * 11 + [1]), [], [])
    found: list[float] = []
    tune(
        small_network(n_genres=2),
        data,
        plain(batch=64, epochs=4, steps_per_epoch=10),
        on_epoch=lambda result: found.append(result.loss),
    )
    assert found[-1] == pytest.approx(np.log(2), abs=0.03)


def test_a_loss_that_is_not_finite() -> None:
    data = tuning_data(TARGETS)
    broken = [
        TrackResponses(tuple(np.full_like(w, np.nan) for w in t.audio), ()) for t in data.tracks
    ]
    with pytest.raises(ModelError, match="nan in epoch 1") as caught:
        tune(small_network(), replace(data, tracks=broken), QUICK)
    assert caught.value.hint


def test_an_interrupted_run_ends_where_it_would_have(tmp_path: Path) -> None:
    """A finished run is not trained again."""
    data = tuning_data(TARGETS)
    settings = plain(epochs=3, steps_per_epoch=4)
    whole = weights(tune(small_network(), data, settings))
    epochs: list[int] = []

    def stop_at_two(result: Any) -> None:
        epochs.append(result.epoch)
        if result.epoch == 2:
            raise KeyboardInterrupt

    def partial() -> PartialRun:
        return PartialRun(tmp_path / "state.pt", "this run")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.classifier.training.loop.SAVE_EVERY_S", 0.0)
        patch.setattr("recsys.classifier.training.loop.SAVING_SHARE", 1e9)
        with pytest.raises(KeyboardInterrupt):
            tune(small_network(), data, settings, partial=partial(), on_epoch=stop_at_two)
    again: list[int] = []
    resumed = tune(
        small_network(),
        data,
        settings,
        partial=partial(),
        on_epoch=lambda result: again.append(result.epoch),
    )
    assert (epochs, again) == ([1, 2], [3])
    assert differing(whole, weights(resumed)) == set()
    finished = tune(small_network(), data, settings, partial=partial(), on_epoch=stop_at_two)
    assert differing(whole, weights(finished)) == set()


def test_heads_are_those_that_fit_the_tuned_layers() -> None:
    data = tuning_data(equal_genres(4))
    made = tune_and_fit(small_network(), data, QUICK)
    again = fit_heads(made, data)
    for name, value in made.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=1e-5, rtol=1e-4)
