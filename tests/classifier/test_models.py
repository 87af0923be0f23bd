"""One contract for every architecture."""

from __future__ import annotations

import pytest
import torch

from recsys.classifier.training.architectures import build_model, complete_config
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
