"""Starting weights as Keras draws them: known bounds, known orthogonality, known biases."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from recsys.classifier.training.architectures import build_model
from recsys.papers.fit import make_network
from recsys.papers.networks import initialise_like_keras
from tests.papers.small_recipes import recipe, same_weights


def keras(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    initialise_like_keras(model)
    return model


@pytest.mark.parametrize(
    ("layer", "fans"),
    [(nn.Linear(200, 100), 300), (nn.Conv2d(16, 32, 3), 9 * (16 + 32))],
    ids=["dense", "convolution"],
)
def test_kernels_are_glorot_uniform(layer: nn.Module, fans: int) -> None:
    weight, bias = keras(layer).parameters()
    limit = math.sqrt(6 / fans)
    assert 0.98 * limit < float(weight.detach().abs().max()) <= limit
    assert float(weight.detach().std()) == pytest.approx(limit / math.sqrt(3), rel=0.05)
    assert not bias.any()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_kernels_are_orthogonal(kind: type[nn.LSTM | nn.GRU]) -> None:
    layer = kind(5, 8, num_layers=2, bidirectional=True)
    keras(layer)
    hidden = [value for name, value in layer.named_parameters() if name.startswith("weight_hh")]
    assert len(hidden) == 4
    for weight in hidden:
        torch.testing.assert_close(weight.T @ weight, torch.eye(8), atol=1e-5, rtol=0)


def test_forget_gates_begin_open() -> None:
    layer = nn.LSTM(5, 8, num_layers=2)
    keras(layer)
    for number in range(2):
        total = getattr(layer, f"bias_ih_l{number}") + getattr(layer, f"bias_hh_l{number}")
        assert total.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    gates = nn.GRU(5, 8)
    keras(gates)
    assert not gates.bias_ih_l0.any()


def test_a_recipe_in_torch_keeps_the_weights_of_torch() -> None:
    own = recipe(training={"epochs": 1, "framework": "torch"})
    assert own.network is not None
    torch.manual_seed(3)
    expected = build_model("dense", 3, (4,), own.network.config)
    assert same_weights(make_network(own, own.network, 3, seed=3, weights="random"), expected)


def test_a_frozen_backbone_is_left() -> None:
    model = build_model("alexnet-transfer", 3, (64, 96), {"pool": 1})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    keras(model)
    moved = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {name for name in before if name.startswith("head.")}
