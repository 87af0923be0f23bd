"""What stands around a network: scaling before it, and each genre on its own after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.classifier.training.architectures import (
    PIECE,
    EachGenreAlone,
    Standardised,
    build_model,
)


class Echo(nn.Module):
    """Says what it was shown."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.flatten(1)


def shown(inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What the network within sees of those rows, once scaled by them."""
    model = Standardised(Echo(), inputs.shape[1:])
    model.fit(inputs, rows)
    return model(torch.from_numpy(inputs[rows]).float())[0].numpy()


@pytest.mark.parametrize("precision", [np.float16, np.float32])
@pytest.mark.parametrize("n", [1, 40, 2 * PIECE + 1])
def test_values_of_a_vector_are_scaled_each_on_its_own(n: int, precision: type) -> None:
    rng = np.random.default_rng(0)
    inputs = (rng.normal(size=(n + 9, 3)) * [1, 10, 100] + [5, 0, -50]).astype(precision)
    rows = rng.permutation(n + 9)[:n]
    exact = inputs[rows].astype(np.float64)
    spread = np.where(exact.std(0) > 0, exact.std(0), 1.0)
    np.testing.assert_allclose(shown(inputs, rows), (exact - exact.mean(0)) / spread, atol=1e-4)


def test_values_of_a_picture_are_scaled_all_alike() -> None:
    inputs = np.random.default_rng(0).normal(3, 2, size=(PIECE + 7, 4, 5)).astype(np.float32)
    rows = np.arange(3, len(inputs))
    exact = inputs[rows].astype(np.float64)
    np.testing.assert_allclose(
        shown(inputs, rows),
        ((exact - exact.mean()) / exact.std()).reshape(len(rows), -1),
        atol=1e-4,
    )


def test_rows_that_are_not_learned_from_have_no_say() -> None:
    inputs = np.asarray([[0.0], [2.0], [1e6]], dtype=np.float32)
    np.testing.assert_allclose(shown(inputs, np.asarray([0, 1])), [[-1.0], [1.0]])


def test_what_never_changes_is_only_shifted() -> None:
    inputs = np.asarray([[7.0, 0.0], [7.0, 2.0]], dtype=np.float32)
    np.testing.assert_allclose(shown(inputs, np.arange(2)), [[0.0, -1.0], [0.0, 1.0]])


def test_scaling_is_part_of_the_weights() -> None:
    inputs = np.random.default_rng(0).normal(3, 2, size=(9, 4)).astype(np.float32)
    config = {"hidden": [5], "standardise": True}
    model, copy = (build_model("dense", 3, (4,), config).eval() for _ in range(2))
    assert isinstance(model, Standardised)
    model.fit(inputs, np.arange(9))
    copy.load_state_dict(model.state_dict())
    seen = torch.from_numpy(inputs)
    assert torch.equal(copy(seen)[0], model(seen)[0])


def test_genres_alone_are_in_proportion_to_their_sigmoids() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [-9.0, -9.0, -8.0]])
    scores, embedding = EachGenreAlone(Echo())(logits)
    alone = torch.sigmoid(logits)
    torch.testing.assert_close(scores.exp(), alone)
    torch.testing.assert_close(scores.softmax(1), alone / alone.sum(1, keepdim=True))
    assert torch.equal(embedding, logits)


def test_both_can_stand_around_one_network() -> None:
    config = {"hidden": [5], "standardise": True, "each_genre_alone": True}
    model = build_model("dense", 3, (4,), config).eval()
    scores, embedding = model(torch.rand(2, 4))
    assert scores.shape == (2, 3)
    assert bool((scores <= 0).all())
    assert embedding.shape == (2, 5)
