"""One contract for the networks of the reports, and their sizes where the reports give them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from recsys import mel
from recsys.classifier.card import ModelCard
from recsys.classifier.training.architectures import (
    build_model,
    complete_config,
    load_model,
    save_model,
)
from recsys.errors import ModelError
from recsys.mel import Features
from recsys.papers.networks import CNNMel35
from recsys.papers.transfer import TransferModel
from tests.papers.small_networks import N_GENRES, REPORTED, SMALL, inputs, make


@pytest.fixture(params=sorted(SMALL))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def test_the_inputs_of_the_reports_fit(architecture: str) -> None:
    shape, width = REPORTED[architecture]
    logits, embedding = build_model(architecture, 10, shape, {}).eval()(torch.rand(2, *shape))
    assert logits.shape == (2, 10)
    assert embedding.shape == (2, width)


@torch.no_grad()
@pytest.mark.parametrize("batch", [1, 3])
def test_sizes_decide_the_embedding(architecture: str, batch: int) -> None:
    logits, embedding = make(architecture).eval()(inputs(architecture, batch))
    assert logits.shape == (batch, N_GENRES)
    assert embedding.shape == (batch, SMALL[architecture][2])


@torch.no_grad()
def test_logits_are_read_off_the_embedding(architecture: str) -> None:
    model = make(architecture).eval()
    logits, embedding = model(inputs(architecture, 2))
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    if architecture == "prcnn":
        last = model.get_submodule("output")
    torch.testing.assert_close(last(embedding), logits)


def test_the_gradient_reaches_every_trained_parameter(architecture: str) -> None:
    model = make(architecture)
    logits, _ = model(inputs(architecture, 6))
    logits.square().sum().backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.any()] == []


def test_a_few_random_inputs_are_overfitted(architecture: str) -> None:
    model = make(architecture)
    seen, targets = inputs(architecture, 8), torch.arange(8) % N_GENRES
    is_transfer = isinstance(model, TransferModel)
    known = model.features(seen) if is_transfer else seen
    answer = model.from_features if is_transfer else model
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=1e-3 if is_transfer else 1e-2)
    model.train()
    for _ in range(300):
        loss = nn.functional.cross_entropy(answer(known)[0], targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.05:
            break
    assert loss.item() < 0.05
    assert torch.equal(answer(known)[0].argmax(1), targets)


@torch.no_grad()
def test_a_seed_decides_the_weights(architecture: str) -> None:
    first, second, other = (make(architecture, seed).state_dict() for seed in (7, 7, 8))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_a_complete_config_makes_the_same_model(architecture: str) -> None:
    shape, config, _ = SMALL[architecture]
    whole = complete_config(architecture, config)
    assert not any(isinstance(value, tuple) for value in whole.values())
    torch.manual_seed(0)
    again = build_model(architecture, N_GENRES, shape, whole).state_dict()
    assert all(
        torch.equal(value, again[name]) for name, value in make(architecture).state_dict().items()
    )


@dataclass(frozen=True, kw_only=True)
class Plain(Features):
    """Inputs of any shape, for cards."""

    kind: ClassVar[str] = "plain"
    sides: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.sides)

    def compute(self, samples: Any) -> Any:
        raise NotImplementedError


@torch.no_grad()
def test_a_saved_model_needs_nothing_else(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = mel.feature_kind
    known = {"plain": Plain}
    monkeypatch.setattr(mel, "feature_kind", lambda name: known.get(name) or usual(name))
    shape, config, width = SMALL[architecture]
    model, seen = make(architecture).eval(), inputs(architecture, 2)
    row = tuple(1 / N_GENRES for _ in range(N_GENRES))
    card = ModelCard(
        name="small",
        architecture=architecture,
        config=complete_config(architecture, config),
        labels=("a", "b", "c"),
        features=Plain(sides=shape),
        dimension=width,
        temperature=1.0,
        thresholds=row,
        confusion=(row, row, row),
    )
    path = tmp_path / "small.safetensors"
    save_model(path, model, card)
    again, _ = load_model(path)
    for expected, got in zip(model(seen), again(seen), strict=True):
        assert torch.equal(expected, got)


def test_parameters_counted_by_hand() -> None:
    dense = 13 * 256 + 256 + 256 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert n_parameters(build_model("dense", 10, (13,), {})) == dense
    # Padded convolutions and pools of 2 leave 16 x 1 of 130 x 13; a norm scales and shifts.
    convolutions = (9 * 1 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 128
    norms, head = 2 * (32 + 64 + 128), (128 * 16 * 1 + 1) * 64 + 65 * 10
    assert n_parameters(build_model("cnn-mfcc", 10, (130, 13), {})) == convolutions + norms + head
    # Four gates, each with a weight for every input and state and two biases.
    lstm = 4 * 64 * (13 + 64 + 2) + 4 * 64 * (64 + 64 + 2)
    assert n_parameters(build_model("lstm-mfcc", 10, (130, 13), {})) == lstm + 65 * 64 + 65 * 10
    # 128 -> 126 -> 63 -> 61 -> 30 -> 28 -> 14.
    mel = (9 * 1 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 128
    head = (128 * 14 * 14 + 1) * 128 + 129 * 10
    assert n_parameters(build_model("cnn-mel", 10, (128, 128), {})) == mel + head


@torch.no_grad()
def test_the_reported_map_of_16_by_23_by_35() -> None:
    model = CNNMel35(10, (288, 432)).eval()
    assert model.trunk(torch.zeros(1, 1, 288, 432)).shape == (1, 16, 23, 35)
    assert len(model.head.hidden) == 3


@torch.no_grad()
def test_the_simple_network_is_cheap() -> None:
    """A convolution multiplies its kernel with every channel, for each cell that it fills."""
    cost = 0

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal cost
        cost += output.numel() * math.prod(layer.weight.shape[1:])  # type: ignore[arg-type, union-attr]

    model = build_model("cnn-simple", 9, (288, 432), {}).eval()
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    model(torch.zeros(1, 288, 432))
    assert 0.05e9 < cost < 0.3e9


@torch.no_grad()
def test_dropout_spares_the_embedding_and_works_in_training_only() -> None:
    model = build_model("dense", 10, (13,), {"dropout": 0.5})
    seen = torch.rand(4, 13)
    assert not torch.equal(model(seen)[0], model(seen)[0])
    model.eval()
    assert torch.equal(model(seen)[0], model(seen)[0])


@torch.no_grad()
def test_linear_layers_add_up_and_others_do_not() -> None:
    """Without activations the dense layers are one affine map of what the pool gives."""
    for linear in (True, False):
        model = build_model("cnn-elbir", 10, (36,), {"linear": linear})
        a, b = torch.randn(2, 1, 288)
        both = model.head(a + b)[0] + model.head(torch.zeros(1, 288))[0]
        apart = model.head(a)[0] + model.head(b)[0]
        assert torch.allclose(both, apart, atol=1e-5) is linear


@torch.no_grad()
def test_the_lstm_reads_the_frames_in_order() -> None:
    model, seen = make("lstm-mfcc").eval(), inputs("lstm-mfcc", 2)
    assert not torch.allclose(model(seen)[0], model(seen.flip(1))[0])


def test_unknown_settings(architecture: str) -> None:
    with pytest.raises(ModelError, match="wings"):
        build_model(architecture, N_GENRES, SMALL[architecture][0], {"wings": 2})


@pytest.mark.parametrize(
    ("architecture", "config", "words"),
    [
        ("dense", {"hidden": []}, "dense layers must be positive"),
        ("dense", {"hidden": 64}, "dense layers must be positive"),
        ("dense", {"hidden": [64, 0]}, r"\[64, 0\]"),
        ("dense", {"dropout": 1.5}, "1.5"),
        ("dense", {"hidden": [10**13]}, "cannot be made"),
        ("cnn-mfcc", {"kernels": [3, 3]}, "kernels must be 3 numbers"),
        ("cnn-mfcc", {"pools": [2, -2, 2]}, "pools must be positive"),
        ("cnn-mfcc", {"filters": [4, 4.5, 8]}, "filters must be positive"),
        ("cnn-mel", {"kernel": 0}, "kernels must be positive"),
        ("cnn-mel", {"pool": "2"}, "pools must be positive"),
        ("cnn-elbir", {"picture": [6, 7]}, "do not fill a picture of 6 x 7"),
        ("prcnn", {"bin_pool": 66}, "65 bins are fewer"),
    ],
)
def test_impossible_sizes(architecture: str, config: dict[str, Any], words: str) -> None:
    shape, fitting, _ = SMALL[architecture]
    with pytest.raises(ModelError, match=words) as caught:
        build_model(architecture, N_GENRES, shape, {**fitting, **config})
    assert caught.value.hint
