"""Training of a recipe's network: what it does to the weights, and that it can be interrupted."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.classifier.training.loop import EpochResult, Training
from recsys.errors import ModelError
from recsys.papers.protocols import Fold
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


class Shown(nn.Module):
    """Remembers the number that each input is marked with, in training."""

    def __init__(self) -> None:
        super().__init__()
        self.classify = nn.Linear(4, 3)
        self.batches: list[list[int]] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            self.batches.append(x[:, 0].int().tolist())
        return self.classify(x * 0.0), x


class Fixed(nn.Module):
    """Gives each epoch's validation the next of some losses, whatever it learns.

    It leaves two genres, the true one ahead by d, of which the loss is log(1 + exp(-d)).
    Inputs say the true genre.
    """

    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.losses = iter(losses)
        self.ahead = 0.0

    def train(self, mode: bool = True) -> Self:
        if self.training and not mode:
            self.ahead = -math.log(math.expm1(next(self.losses)))
        return super().train(mode)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        true = x[:, :3]
        two = torch.where(true + true.roll(1, 1) > 0, 0.0, -1e4)
        return two + self.ahead * true + 0.0 * self.weight, x


def losses_of(losses: list[float], **changes: Any) -> tuple[list[EpochResult], Training]:
    data = planted(tracks=8)
    marks = np.zeros_like(data.inputs)
    marks[np.arange(len(marks)), data.targets] = 1.0
    marked = type(data)(data.tracks, marks, data.track_of, data.labels)
    one = training(
        settings(epochs=len(losses), **changes),
        marked,
        Fixed(losses),
        fold=thirds(data),
        keep_best=changes.get("keep") == "best",
    )
    results = run(one)
    np.testing.assert_allclose([r.valid_loss for r in results], losses[: len(results)], rtol=1e-4)
    return results, one


def test_the_loss_falls_and_what_is_plain_is_learned() -> None:
    data = planted()
    results = run(training(settings(epochs=25), data, dense(), fold=thirds(data)))
    assert [r.epoch for r in results] == list(range(1, 26))
    assert results[-1].loss < 0.5 * results[0].loss
    assert results[-1].valid_accuracy == 1.0
    assert results[-1].accuracy is not None
    assert results[-1].accuracy > 0.95


def test_the_same_seed_trains_the_same_network() -> None:
    def weights(seed: int) -> nn.Module:
        one = training(settings(), planted(), dense(dropout=0.3), seed=seed)
        run(one)
        return one.trained()

    assert same_weights(weights(3), weights(3))
    assert not same_weights(weights(3), weights(4))


def test_training_draws_nothing_from_the_chance_of_others() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    one = training(settings(), planted(), dense_quietly())
    run(one)
    assert torch.equal(torch.rand(3), expected)


def dense_quietly() -> nn.Module:
    with torch.random.fork_rng():
        return dense()


def test_a_frozen_backbone_stays_and_its_features_are_computed_once() -> None:
    data = planted((64, 64), tracks=4, per_track=1)
    model = transfer()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    calls = []
    original = model.features
    model.features = lambda x: calls.append(len(x)) or original(x)  # type: ignore[assignment]
    one = training(settings(epochs=3), data, model, fold=thirds(data))
    run(one)
    assert sum(calls) == len(thirds(data).train) + len(thirds(data).valid)
    moved = {k for k, v in one.trained().state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert all(name.startswith("head.") for name in moved)


@pytest.mark.parametrize(
    ("losses", "patience", "epochs"),
    [
        ([0.9, 0.8, 0.85, 0.84, 0.83, 0.1], 3, 5),
        ([0.9, 0.8, 0.85, 0.7, 0.75, 0.75, 0.1], 2, 6),
        ([0.9, 0.9, 0.9, 0.1], 2, 3),
        ([0.9, 0.8, 0.7, 0.6], 1, 4),
        ([0.9, 1.0, 0.1], 1, 2),
    ],
)
def test_training_stops_patience_epochs_after_the_best(
    losses: list[float], patience: int, epochs: int
) -> None:
    results, _ = losses_of(losses, patience=patience)
    assert len(results) == epochs


def test_without_patience_it_goes_on_to_the_end() -> None:
    results, _ = losses_of([0.5, 0.9, 0.9, 0.9, 0.9])
    assert len(results) == 5
    assert [r.is_best for r in results] == [True, False, False, False, False]


def test_a_plateau_lowers_the_rate() -> None:
    _, one = losses_of(
        [0.9, 0.8, 0.8, 0.8, 0.8, 0.8], plateau_factor=0.1, plateau_patience=2, learning_rate=0.1
    )
    # Three epochs without a lower loss are more than two; then the count begins again.
    assert one._optimiser.param_groups[0]["lr"] == pytest.approx(0.01)


def test_no_plateau_leaves_the_rate() -> None:
    _, one = losses_of([0.9, 0.8, 0.7, 0.6], plateau_factor=0.1, plateau_patience=1)
    assert one._optimiser.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_best_or_the_last_weights_are_kept(keep_best: bool) -> None:
    data = planted(apart=0.3)
    fold = thirds(data)
    after: list[dict[str, Tensor]] = []
    one = training(
        settings(epochs=8, learning_rate=0.3), data, dense(), fold=fold, keep_best=keep_best
    )
    results = []
    for result in one.epochs():
        results.append(result)
        after.append({name: v.clone() for name, v in one._model.state_dict().items()})
    best = int(np.argmin([r.valid_loss for r in results]))
    assert best < 7
    kept = one.trained().state_dict()
    wanted = after[best if keep_best else 7]
    assert all(torch.equal(kept[name], wanted[name]) for name in wanted)


def marked(n: int) -> tuple[Any, Shown]:
    """Segments that carry their number, and a network that remembers it."""
    data = planted(tracks=n, per_track=1)
    inputs = np.zeros((3 * n, 4), dtype=np.float32)
    inputs[:, 0] = np.arange(3 * n)
    return type(data)(data.tracks, inputs, data.track_of, data.labels), Shown()


def test_an_epoch_shows_everything_once_in_an_order_of_its_own() -> None:
    data, shown = marked(4)
    run(training(settings(epochs=2, batch=5), data, shown))
    assert [len(batch) for batch in shown.batches] == [5, 5, 2] * 2
    first, second = (list(chain(*shown.batches[k : k + 3])) for k in (0, 3))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_a_last_batch_of_one_is_left_out() -> None:
    """Batch normalisation has nothing to normalise by in it."""
    data, shown = marked(3)
    run(training(settings(epochs=1, batch=4), data, shown))
    assert [len(batch) for batch in shown.batches] == [4, 4]


def test_batches_of_one_may_be_asked_for() -> None:
    data, shown = marked(3)
    run(training(settings(epochs=1, batch=1), data, shown))
    assert [len(batch) for batch in shown.batches] == [1] * 9


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_steps_per_epoch_are_so_many_batches(steps: int) -> None:
    data, shown = marked(4)
    run(training(settings(epochs=2, batch=5, steps_per_epoch=steps), data, shown))
    assert [len(batch) for batch in shown.batches] == [5] * 2 * steps
    counts = np.bincount(list(chain(*shown.batches[:steps])), minlength=12)
    assert counts.max() - counts.min() <= 1


def test_one_step_with_l2_moves_kernels_by_its_gradient() -> None:
    """Against the same step computed by hand with plain Adam."""
    data = planted(tracks=2, per_track=1)
    chosen = settings(epochs=1, batch=6, l2=0.5, framework="torch")
    one = training(chosen, data, dense())
    run(one)
    oracle = dense()
    optimiser = torch.optim.Adam(oracle.parameters(), lr=0.01)
    oracle.train()
    loss = nn.functional.cross_entropy(
        oracle(torch.from_numpy(data.inputs))[0], torch.from_numpy(data.targets)
    )
    for name, parameter in oracle.named_parameters():
        if name.endswith("weight"):
            loss = loss + 0.5 * parameter.square().sum()
    loss.backward()
    optimiser.step()
    for name, value in one.trained().state_dict().items():
        torch.testing.assert_close(value, oracle.state_dict()[name], atol=2e-5, rtol=0)


def test_l2_keeps_kernels_small_and_is_not_in_the_reported_loss() -> None:
    without, heavy = (training(settings(epochs=10, l2=l2), planted(), dense()) for l2 in (0.0, 0.3))
    norms = []
    for one in (without, heavy):
        results = run(one)
        # The loss of three genres that are all as likely; with L2 it would begin far above.
        assert results[-1].loss < 1.5 * math.log(3)
        weights = one.trained().state_dict().items()
        norms.append(sum(float(v.square().sum()) for name, v in weights if v.ndim == 2))
    assert norms[1] < 0.2 * norms[0]


def test_a_loss_that_is_no_number_is_an_error() -> None:
    data = planted()
    inputs = data.inputs.copy()
    inputs[5] = np.nan
    broken = type(data)(data.tracks, inputs, data.track_of, data.labels)
    with pytest.raises(ModelError, match="the training loss became nan in epoch 1") as caught:
        run(training(settings(), broken, dense()))
    assert "learning rate" in caught.value.hint


def test_weights_that_are_no_numbers_after_the_last_step_are_an_error() -> None:
    """The loss of a step is known before its gradients are, and there is no other step."""
    one = training(settings(epochs=1), planted(), dense())
    run(one)
    with torch.no_grad():
        next(one._model.parameters())[0, 0] = np.inf
    with pytest.raises(ModelError, match="weights became infinite or no numbers in epoch 1"):
        one.trained()


def test_without_validation_there_is_none_to_stop_or_choose_by() -> None:
    chosen = settings(epochs=6, patience=1, plateau_factor=0.1, plateau_patience=1)
    one = training(chosen, planted(), dense(), keep_best=True)
    results = run(one)
    assert len(results) == 6
    assert all(r.valid_loss is None and r.valid_accuracy is None for r in results)
    assert one._optimiser.param_groups[0]["lr"] == 0.01
    assert same_weights(one.trained(), one._model)


def test_the_sigmoid_loss_asks_each_genre_on_its_own() -> None:
    data = planted(tracks=2, per_track=1)
    one = training(settings(loss="sigmoid"), data, dense())
    logits = torch.tensor([[2.0, -1.0, 0.0], [0.5, 0.5, -3.0]])
    targets = torch.tensor([0, 2])
    p = torch.sigmoid(logits).numpy().astype(np.float64)
    ones = np.eye(3)[[0, 2]]
    expected = -np.mean(ones * np.log(p) + (1 - ones) * np.log(1 - p))
    assert float(one._loss(logits, targets)) == pytest.approx(expected, rel=1e-5)
    results = run(training(settings(epochs=30, loss="sigmoid"), planted(), dense()))
    assert results[-1].accuracy is not None
    assert results[-1].accuracy > 0.95


def test_only_the_rows_that_are_meant_are_used() -> None:
    """The rest of the array is full of what would break any training."""
    data = planted()
    inputs = data.inputs.copy()
    fold = thirds(data)
    inputs[fold.test] = np.nan
    broken = type(data)(data.tracks, inputs, data.track_of, data.labels)
    one, other = (training(settings(), some, dense(), fold=fold) for some in (data, broken))
    run(one)
    run(other)
    assert same_weights(one.trained(), other.trained())


def test_epochs_of_one_segment_are_trained_nevertheless() -> None:
    data = planted()
    one = training(
        settings(epochs=1),
        data,
        dense(),
        fold=Fold(np.asarray([3]), np.zeros(0, np.int64), np.zeros(0, np.int64)),
    )
    assert len(run(one)) == 1
