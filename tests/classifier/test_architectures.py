"""Networks by name, and the wrappers of any network: scaling, and each genre on its own."""

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
    complete_config,
)
from recsys.errors import ModelError
from tests.classifier.planted_genres import TINY

N_GENRES = 3


def make(architecture: str, seed: int = 0, shape: tuple[int, ...] = (128, 130)) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_model(architecture, N_GENRES, shape, TINY[architecture])


@pytest.fixture(params=["cnn", "cnn-lstm"])
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(("n_mels", "frames"), [(128, 130), (96, 187), (40, 33)])
def test_shapes(architecture: str, batch: int, n_mels: int, frames: int) -> None:
    model = make(architecture, shape=(n_mels, frames)).eval()
    logits, embedding = model(torch.randn(batch, n_mels, frames))
    assert logits.shape == (batch, N_GENRES)
    assert embedding.shape == (batch, 16)


def test_a_seed_decides_the_weights(architecture: str) -> None:
    windows = torch.randn(2, 128, 130)
    first, second, other = (make(architecture, seed).eval() for seed in (7, 7, 8))
    assert torch.equal(first(windows)[0], second(windows)[0])
    assert not torch.equal(first(windows)[0], other(windows)[0])


def test_a_window_does_not_depend_on_its_batch(architecture: str) -> None:
    model = make(architecture).eval()
    windows = torch.randn(9, 128, 130)
    together = model(windows)
    for row in (0, 4, 8):
        alone = model(windows[row : row + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], all_of_them[row], atol=1e-5, rtol=1e-4)


def test_the_gradient_reaches_every_parameter(architecture: str) -> None:
    model = make(architecture)
    logits, embedding = model(torch.randn(6, 128, 130))
    (logits.square().sum() + embedding[:, 0].sum()).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_the_embedding_is_linear_and_centred(architecture: str) -> None:
    """Over a training batch each dimension has mean 0 and variance 1, so it takes both signs."""
    _, embedding = make(architecture)(torch.randn(32, 128, 130))
    torch.testing.assert_close(embedding.mean(0), torch.zeros(16), atol=1e-4, rtol=0)
    assert bool((embedding < -0.5).any())


def test_unknown_architecture() -> None:
    with pytest.raises(ModelError, match="perceptron"):
        build_model("perceptron", 3, 128, {})


def test_unknown_setting(architecture: str) -> None:
    with pytest.raises(ModelError, match="wings"):
        build_model(architecture, 3, 128, {"wings": 2})


def test_a_complete_config_makes_the_same_model(architecture: str) -> None:
    whole = complete_config(architecture, TINY[architecture])
    assert set(whole) >= {"channels", "dimension", "dropout"}
    torch.manual_seed(0)
    again = build_model(architecture, N_GENRES, (128, 130), whole)
    expected = make(architecture).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.state_dict().items())


# Wrappers.


class Echo(nn.Module):
    """Returns its inputs."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.flatten(1)


def scaled(inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
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
    np.testing.assert_allclose(scaled(inputs, rows), (exact - exact.mean(0)) / spread, atol=1e-4)


def test_values_of_an_image_are_scaled_all_alike() -> None:
    inputs = np.random.default_rng(0).normal(3, 2, size=(PIECE + 7, 4, 5)).astype(np.float32)
    rows = np.arange(3, len(inputs))
    exact = inputs[rows].astype(np.float64)
    np.testing.assert_allclose(
        scaled(inputs, rows),
        ((exact - exact.mean()) / exact.std()).reshape(len(rows), -1),
        atol=1e-4,
    )


def test_rows_that_are_not_learned_from_have_no_say() -> None:
    inputs = np.asarray([[0.0], [2.0], [1e6]], dtype=np.float32)
    np.testing.assert_allclose(scaled(inputs, np.asarray([0, 1])), [[-1.0], [1.0]])


def test_what_never_changes_is_only_shifted() -> None:
    inputs = np.asarray([[7.0, 0.0], [7.0, 2.0]], dtype=np.float32)
    np.testing.assert_allclose(scaled(inputs, np.arange(2)), [[0.0, -1.0], [0.0, 1.0]])


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
