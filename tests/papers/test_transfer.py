"""Networks on a frozen backbone, and its published weights, which are made on the spot here."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from recsys.errors import ModelError
from recsys.papers import transfer as pretrained
from recsys.papers.transfer import (
    BACKBONES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    PREFIX,
    AlexNetTransfer,
    TransferModel,
    VGG16Transfer,
    build_backbone,
    load_backbone,
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
def test_a_grey_image_is_seen_in_three_equal_colours(model: TransferModel) -> None:
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
def test_random_weights_still_tell_images_apart(model: TransferModel) -> None:
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


# Published weights: found, verified, refused.


Weights = dict[str, Tensor]


@pytest.fixture
def weights() -> Weights:
    """What torchvision's file of AlexNet looks like, with small stand-ins for the classifier."""
    torch.manual_seed(5)
    convolutions = build_backbone("alexnet").state_dict()
    named = {f"features.{name}": value for name, value in convolutions.items()}
    return {**named, "classifier.1.weight": torch.ones(2, 2), "classifier.1.bias": torch.ones(2)}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def publish(
    content: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None = None
) -> Path:
    """Put weights where AlexNet's are looked for, under a name with the (or a) digest."""
    draft = folder / "draft.pth"
    torch.save(content, draft)
    digest = digest or hashlib.sha256(draft.read_bytes()).hexdigest()[:8]
    path = draft.rename(folder / f"alexnet-owt-{digest}.pth")
    there = replace(BACKBONES["alexnet"], url=path.as_uri(), sha256=digest)
    monkeypatch.setitem(pretrained.BACKBONES, "alexnet", there)
    return path


def holds(backbone: nn.Module, weights: Weights) -> bool:
    return all(
        torch.equal(value, weights[f"features.{name}"])
        for name, value in backbone.state_dict().items()
    )


@pytest.mark.parametrize(("name", "count"), [("vgg16", 14_714_688), ("alexnet", 2_469_696)])
def test_the_sizes_that_are_known(name: str, count: int) -> None:
    assert sum(parameter.numel() for parameter in build_backbone(name).parameters()) == count


def test_names_as_in_the_published_files() -> None:
    convolutions = {
        "vgg16": [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28],
        "alexnet": [0, 3, 6, 8, 10],
    }
    for name, layers in convolutions.items():
        expected = {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
        assert set(build_backbone(name).state_dict()) == expected


def test_published_weights_are_downloaded_once(
    weights: Weights, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = publish(weights, tmp_path, monkeypatch)
    assert holds(load_backbone("alexnet", "published"), weights)
    assert [kept.name for kept in cache.iterdir()] == [path.name]
    path.unlink()
    assert holds(load_backbone("alexnet", "published"), weights)


def test_a_download_with_another_digest_is_refused(
    weights: Weights, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(weights, tmp_path, monkeypatch, digest="00000000")
    with pytest.raises(ModelError, match="invalid hash value") as caught:
        load_backbone("alexnet", "published")
    assert "--weights FILE" in caught.value.hint
    assert list(cache.iterdir()) == []


def test_a_damaged_cache_is_noticed(
    weights: Weights, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = publish(weights, tmp_path, monkeypatch)
    load_backbone("alexnet", "published")
    with (cache / path.name).open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelError, match="is damaged") as caught:
        load_backbone("alexnet", "published")
    assert "Remove it" in caught.value.hint


def test_out_of_reach(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = replace(BACKBONES["alexnet"], url=(tmp_path / "nowhere.pth").as_uri())
    monkeypatch.setitem(pretrained.BACKBONES, "alexnet", there)
    with pytest.raises(ModelError, match="cannot be had") as caught:
        load_backbone("alexnet", "published")
    assert there.url in caught.value.hint
    assert "--weights FILE" in caught.value.hint
    assert "--weights random" in caught.value.hint


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file(weights: Weights, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    save = safetensors.torch.save_file if suffix == "safetensors" else torch.save
    save(weights, path)
    assert holds(load_backbone("alexnet", path), weights)
    assert holds(load_backbone("alexnet", str(path)), weights)


def test_a_file_that_claims_to_be_the_published_one(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    torch.save(weights, path)
    with pytest.raises(ModelError, match="not 7be5be79"):
        load_backbone("alexnet", path)


def test_another_network_s_weights(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(weights, path)
    with pytest.raises(ModelError, match=r"do not fit vgg16: features\.0\.weight") as caught:
        load_backbone("vgg16", path)
    assert "vgg16-397923af.pth" in caught.value.hint


@pytest.mark.parametrize(
    "spoil",
    [
        lambda weights: weights.pop("features.10.bias"),
        lambda weights: weights.update({"features.10.bias": torch.ones(3)}),
        lambda weights: weights.update({"features.10.bias": "none"}),
        lambda weights: weights.update({"features.12.weight": torch.ones(3)}),
    ],
    ids=["missing", "size", "kind", "more"],
)
def test_weights_that_do_not_fit(weights: Weights, tmp_path: Path, spoil: Any) -> None:
    spoil(weights)
    path = tmp_path / "weights.pth"
    torch.save(weights, path)
    with pytest.raises(ModelError, match="do not fit alexnet"):
        load_backbone("alexnet", path)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut off"])
def test_a_file_that_holds_no_weights(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not a file of weights") as caught:
        load_backbone("alexnet", path)
    assert caught.value.hint


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(ModelError, match="is not a file of weights"):
        load_backbone("alexnet", path)
    torch.save(torch.ones(3), path)
    with pytest.raises(ModelError, match="no named weights"):
        load_backbone("alexnet", path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pth", tmp_path / "nowhere.safetensors", tmp_path):
        with pytest.raises(ModelError, match="cannot be read"):
            load_backbone("alexnet", path)


def test_random_weights_follow_the_seed() -> None:
    torch.manual_seed(3)
    first = load_backbone("alexnet", "random").state_dict()
    torch.manual_seed(3)
    second = load_backbone("alexnet", "random").state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
