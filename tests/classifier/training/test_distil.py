"""Distillation: a wider penultimate layer, taught by a second teacher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from recsys.classifier.training.distil import DistilSettings, TaughtTrack, distil
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import evened_axes, fit_heads, penultimate, ridge
from tests.classifier.training.small_network import (
    planted_windows,
    small_network,
    tuning_data,
)

QUICK = DistilSettings(units=5, steps=4, tracks=6, targets=3)


def taught_tracks(count: int = 12) -> list[TaughtTrack]:
    """Tracks of three kinds; the second teacher says which."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        kind = number % 3
        responses = planted_windows(kind, rng)
        units = np.eye(3, 8, dtype=np.float32)[[kind, kind]]
        units = units + 0.1 * rng.standard_normal((2, 8)).astype(np.float32)
        logits = np.where(np.arange(4) == kind, 3.0, -3.0) + np.zeros((2, 1))
        found.append(TaughtTrack("abc"[kind], kind < 2, responses, logits.astype("f4"), units))
    return found


def units_of(model: MusiCNN, seed: int = 1) -> np.ndarray:
    windows = planted_windows(1, np.random.default_rng(seed), count=6)
    return penultimate(model, [windows])[0]


def test_the_penultimate_layer_is_wider_and_all_else_as_it_was() -> None:
    """The fold of both normalisations into the layer changes the old units by rounding at most."""
    model = small_network()
    wider = distil(model, taught_tracks(), QUICK)
    before, after = model.state_dict(), wider.state_dict()
    for name in before:
        if name.startswith(("front.", "input_norm.", "layers.", "norms.")):
            assert torch.equal(before[name], after[name]), name
    assert not wider.training
    assert units_of(wider).shape == (6, 21)
    np.testing.assert_allclose(units_of(wider)[:, :16], units_of(model), atol=1e-5)


def test_the_added_units_carry_what_the_second_teacher_says() -> None:
    tracks = taught_tracks(30)
    learned = replace(QUICK, units=16, steps=80, tracks=12)
    model = distil(small_network(), tracks, learned)
    rows = np.concatenate(penultimate(model, [track.responses for track in tracks]))
    logits = np.concatenate([track.logits for track in tracks])
    weight, bias = ridge(rows[:, 16:], logits)
    fresh = planted_windows(2, np.random.default_rng(77), count=20)
    found = penultimate(model, [fresh])[0][:, 16:] @ weight.T + bias
    assert (found.argmax(axis=1) == 2).mean() > 0.9


def test_the_same_seed_gives_the_same_network_and_leaves_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    first, again = (distil(small_network(), taught_tracks(), QUICK) for _ in range(2))
    other = distil(small_network(), taught_tracks(), replace(QUICK, seed=1))
    np.testing.assert_array_equal(units_of(first), units_of(again))
    assert not np.array_equal(units_of(first), units_of(other))
    assert torch.equal(state, torch.get_rng_state())


def test_genres_go_by_the_units_that_were_there_before() -> None:
    data = tuning_data(np.arange(18) % 3)
    grouped = replace(data, unlabelled=replace(data.unlabelled, added_units=6))
    genres = fit_heads(small_network(), grouped).genres.weight.detach().numpy()
    assert not genres[:, -6:].any()
    assert genres[:, :-6].any()


def test_added_units_count_as_much_as_the_others() -> None:
    """However large they are: the embedding is the same after the added units are scaled."""
    targets = np.arange(18) % 3
    data = tuning_data(targets)
    model = small_network()
    grouped = replace(data, unlabelled=replace(data.unlabelled, added_units=6))
    larger = small_network()
    with torch.no_grad():
        larger.dense_norm.weight[-6:] *= 50
        larger.dense_norm.bias[-6:] *= 50
    found = []
    for network in (model, larger):
        fitted = fit_heads(network, grouped)
        rows = torch.from_numpy(units_of(network))
        with torch.no_grad():
            points = fitted.embed(rows)
        found.append((points @ points.T).numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-4)


def test_a_tag_is_fitted_where_it_is_known() -> None:
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((40, 5)).astype(np.float32)
    logits = rng.standard_normal((40, 3)).astype(np.float32)
    partly = logits.copy()
    partly[:15, 1] = np.nan
    weight, bias = ridge(windows, partly)
    whole, whole_bias = ridge(windows, logits)
    some, some_bias = ridge(windows[15:], logits[15:])
    np.testing.assert_allclose(weight[[0, 2]], whole[[0, 2]])
    np.testing.assert_allclose(weight[1], some[1])
    np.testing.assert_allclose(bias, [whole_bias[0], some_bias[1], whole_bias[2]])


def test_axes_without_added_units_are_the_evened_ones() -> None:
    data = tuning_data(np.arange(12) % 3)
    model = small_network()
    fitted = fit_heads(model, data)
    means = np.stack(
        [rows.mean(axis=0) for rows in penultimate(model, [t.plain for t in data.tracks])]
    )
    weight, bias = evened_axes(means, model.embed.out_features)
    np.testing.assert_allclose(fitted.embed.weight.detach(), weight, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted.embed.bias.detach(), bias, rtol=1e-5, atol=1e-6)
