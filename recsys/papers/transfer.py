"""Transfer learning from frozen ImageNet backbones, VGG16 and AlexNet, with a new head.

The layers are in torchvision's order, so that its published ImageNet weights fit.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from recsys.classifier.training.architectures import check_image, flat_size, image_after
from recsys.errors import ModelError
from recsys.papers.networks import DenseHead, convolutions, with_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TIMEOUT_S = 20.0
"""Time limit for a response of the site with the weights."""

PREFIX = "features."
"""Before the names of the convolutional part in torchvision's files."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1] over ImageNet, as torchvision's weights expect."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """The layers of a backbone, and torchvision's weights for it."""

    layers: Callable[[], list[nn.Module]]
    url: str
    sha256: str  # its first eight digits, which the name of the file holds

    @property
    def file(self) -> str:
        """Name of the file of weights."""
        return self.url.rpartition("/")[2]


def _vgg16() -> list[nn.Module]:
    layers: list[nn.Module] = []
    inputs = 3
    for outputs, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    return layers


def _alexnet() -> list[nn.Module]:
    return [
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
    ]


_SITE = "https://download.pytorch.org/models"

BACKBONES = {
    "vgg16": Backbone(_vgg16, f"{_SITE}/vgg16-397923af.pth", "397923af"),
    "alexnet": Backbone(_alexnet, f"{_SITE}/alexnet-owt-7be5be79.pth", "7be5be79"),
}


def build_backbone(name: str) -> nn.Sequential:
    """Make a backbone with random weights, initialised as by He et al. (arXiv:1502.01852).

    With PyTorch's defaults the signal fades: after thirteen untrained layers all images are alike.
    """
    backbone = nn.Sequential(*BACKBONES[name].layers())
    for layer in backbone:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return backbone


def load_backbone(name: str, weights: str | Path) -> nn.Sequential:
    """Make a backbone, (b, 3, height, width) to (b, channels, height, width), with weights.

    `weights` is ``"published"``: torchvision's, downloaded once into PyTorch's cache and verified;
    ``"random"``; or a file (``.safetensors``, else as :func:`torch.save` writes it) with
    torchvision's names, without those of its classifier. Raises ModelError if the weights are
    unavailable, damaged or do not fit.
    """
    backbone = build_backbone(name)
    if weights == "random":
        return backbone
    path = _download(name) if weights == "published" else Path(weights).expanduser()
    found = _read(name, path)
    wanted = backbone.state_dict()
    held = {key.removeprefix(PREFIX): found[key] for key in found if key.startswith(PREFIX)}
    misfits = [
        key
        for key in wanted
        if not isinstance(held.get(key), Tensor) or held[key].shape != wanted[key].shape
    ] + sorted(held.keys() - wanted.keys())
    if misfits:
        raise ModelError(
            f"the weights in {path} do not fit {name}: {PREFIX}{misfits[0]} is missing, of another"
            " size or not part of it",
            _hint(name),
        )
    backbone.load_state_dict(held)
    return backbone


def _hint(name: str) -> str:
    return (
        f"Download {BACKBONES[name].url} by hand and give the file with --weights FILE; or try"
        " without trained weights, with --weights random."
    )


def _download(name: str) -> Path:
    published = BACKBONES[name]
    path = Path(torch.hub.get_dir()) / "checkpoints" / published.file
    if path.is_file():
        return path
    before = socket.getdefaulttimeout()
    # PyTorch's download takes no time limit.
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            published.url, str(path), hash_prefix=published.sha256, progress=False
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the weights of {name} cannot be had from {published.url}: {error}", _hint(name)
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return path


def _read(name: str, path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        _verify(name, path)
        if path.suffix == ".safetensors":
            return load_file(path)
        # weights_only: a pickle in a downloaded file must not run code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(
            f"the weights {path} cannot be read: {error.strerror or error}", _hint(name)
        ) from error
    except (
        *(RuntimeError, ValueError, EOFError, KeyError),
        *(pickle.UnpicklingError, SafetensorError),
    ) as error:
        raise ModelError(f"{path} is not a file of weights", _hint(name)) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no named weights", _hint(name))
    return content


def _verify(name: str, path: Path) -> None:
    """Compare the digest in the name of a published file; other files have none."""
    expected = BACKBONES[name].sha256
    if expected not in path.name:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(expected):
        raise ModelError(
            f"{path} is damaged: its SHA-256 begins with {digest[:8]}, not {expected}",
            f"Remove it. {_hint(name)}",
        )


class TransferModel(nn.Module):
    """A frozen backbone, and a trained head that maps its features to logits and embedding.

    The shape is (height, width) of a grey image, or (3, height, width). A fresh model has random
    weights everywhere; :meth:`load_backbone` loads the published ones. They are part of the
    ``state_dict``, so a saved model needs no second file.
    """

    head: nn.Module  # set by the subclass
    mean: Tensor
    std: Tensor

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        super().__init__()
        channels, height, width = check_image(shape)
        if channels not in (1, 3):
            raise ModelError(
                f"images of {channels} channels do not fit {name}",
                "Give grey images or images of three colours.",
            )
        self.name = name
        self.backbone = build_backbone(name).requires_grad_(requires_grad=False).eval()
        flat_size(self.backbone, (3, height, width))
        self.features_shape = image_after(self.backbone, (3, height, width))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def load_backbone(self, weights: str | Path) -> None:
        """Replace the backbone's weights, see :func:`load_backbone`; ``"random"`` keeps them."""
        if weights != "random":
            self.backbone.load_state_dict(load_backbone(self.name, weights).state_dict())

    def train(self, mode: bool = True) -> Self:
        """Set training mode, the backbone excepted."""
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Map images in [0, 1] to features; they never change, so computing them once is enough."""
        colours = with_channel(x).expand(-1, 3, -1, -1)
        features: Tensor = self.backbone((colours - self.mean) / self.std)
        return features

    def from_features(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map the output of :meth:`features` to logits (b, n_genres) and embedding (b, d)."""
        return self.head(features)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images in [0, 1] to logits (b, n_genres) and embedding (b, d)."""
        return self.from_features(self.features(x))


class AlexNetTransfer(TransferModel):
    """AlexNet's features with a convolution and two dense layers (Becker et al., 2021, Fig. 4).

    The text gives the order, convolution, ReLU, max-pooling, two dense layers, and no sizes;
    those here are choices. As in :class:`~recsys.papers.networks.CNNSimple`, one of the dense
    layers is the output.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: int = 128,
        kernel: int = 3,
        pool: int = 2,
        dense: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__("alexnet", shape)
        extra = convolutions(self.features_shape[0], (filters,), (kernel,), (pool,), same=True)
        width = flat_size(extra, self.features_shape)
        self.head = nn.Sequential(extra, DenseHead(width, (dense,), n_genres, dropout))


class VGG16Transfer(TransferModel):
    """VGG16 (Simonyan & Zisserman, arXiv:1409.1556) with a new head (Mijares & Manua).

    The report ("Transfer Learning: VGG16") repeats the grey image three times, freezes all
    convolutional layers and adds 128 dense units, a dropout of 0.5 and the output. What joins
    the two is not stated; the features are flattened. Nor is it stated how pixels were scaled;
    they are normalised as the weights expect.
    """

    def __init__(
        self, n_genres: int, shape: Sequence[int], dense: int = 128, dropout: float = 0.5
    ) -> None:
        super().__init__("vgg16", shape)
        self.head = DenseHead(math.prod(self.features_shape), (dense,), n_genres, dropout)
