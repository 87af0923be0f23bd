"""Frozen backbones: what they see, and that nothing changes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from recsys.papers.transfer import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PREFIX,
    AlexNetTransfer,
    TransferModel,
    VGG16Transfer,
    build_backbone,
)

SHAPE = (96, 96)


@pytest.fixture(params=[AlexNetTransfer, VGG16Transfer], ids=["alexnet", "vgg16"])
def model(request: pytest.FixtureRequest) -> TransferModel:
    torch.manual_seed(0)
    made: TransferModel = request.param(3, SHAPE)
    return made


def test_training_moves_the_head_and_not_the_backbone(model: TransferModel) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    model.train()
    nn.functional.cross_entropy(
        model(torch.rand(4, *SHAPE))[0], torch.tensor([0, 1, 2, 0])
    ).backward()
    optimiser.step()
    moved = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {name for name in before if name.startswith("head.")}


def test_the_backbone_never_trains(model: TransferModel) -> None:
    model.train()
    assert model.training
    assert all(module.training for module in model.head.modules())
    assert not any(module.training for module in model.backbone.modules())
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


@torch.no_grad()
def test_features_computed_once_answer_alike(model: TransferModel) -> None:
    model.eval()
    seen = torch.rand(2, *SHAPE)
    features = model.features(seen)
    assert features.shape == (2, *model.features_shape)
    for expected, got in zip(model(seen), model.from_features(features), strict=True):
        assert torch.equal(expected, got)


@torch.no_grad()
def test_a_grey_picture_is_seen_in_three_equal_colours(model: TransferModel) -> None:
    grey = torch.rand(2, *SHAPE)
    colours = torch.stack([grey, grey, grey], dim=1)
    assert torch.equal(model.features(grey), model.features(colours))
    assert torch.equal(model.features(grey), model.features(grey.unsqueeze(1)))


@torch.no_grad()
def test_pixels_are_normalised_as_over_imagenet(model: TransferModel) -> None:
    model.backbone = nn.Sequential()
    seen = model.features(torch.full((1, *SHAPE), 0.5))[0, :, 0, 0]
    expected = [(0.5 - m) / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    torch.testing.assert_close(seen, torch.tensor(expected))


@torch.no_grad()
def test_random_weights_still_tell_pictures_apart(model: TransferModel) -> None:
    """Through thirteen layers a weaker start would leave nothing but the biases."""
    features = model.features(torch.rand(4, *SHAPE)).flatten(1)
    assert float(features.std(dim=0).mean()) > 0.02
    assert float(features.abs().max()) < 1e3


@torch.no_grad()
def test_weights_of_a_file_are_taken(model: TransferModel, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = build_backbone(model.name)
    path = tmp_path / "weights.pth"
    torch.save({PREFIX + name: value for name, value in other.state_dict().items()}, path)
    head = {name: value.clone() for name, value in model.head.state_dict().items()}
    model.load_backbone(path)
    assert all(
        torch.equal(v, other.state_dict()[k]) for k, v in model.backbone.state_dict().items()
    )
    assert all(torch.equal(v, head[k]) for k, v in model.head.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


def test_random_weights_stay_as_they_are(model: TransferModel) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_backbone("random")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
