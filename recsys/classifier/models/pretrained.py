"""The convolutional parts of VGG16 and AlexNet, and where their ImageNet weights come from.

The layers stand in torchvision's order, so that its published weights fit.
"""

from __future__ import annotations

import hashlib
import pickle
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE_S = 20.0
"""For an answer of the site with the weights, so that a machine without network hears so soon."""

PREFIX = "features."
"""Before the names of the convolutional part in torchvision's files."""


@dataclass(frozen=True, slots=True)
class Published:
    """A backbone and its published weights.

    Attributes
    ----------
    layers : callable
        Makes the layers.
    url : str
        Of torchvision's weights.
    sha256 : str
        The first digits of the file's SHA-256, which its name repeats.
    """

    layers: Callable[[], list[nn.Module]]
    url: str
    sha256: str

    @property
    def file(self) -> str:
        """Name of the file."""
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


_SITE = "https://download.pytorch.org/models/"

BACKBONES: dict[str, Published] = {
    "vgg16": Published(_vgg16, f"{_SITE}vgg16-397923af.pth", "397923af"),
    "alexnet": Published(_alexnet, f"{_SITE}alexnet-owt-7be5be79.pth", "7be5be79"),
}


def build_backbone(name: str) -> nn.Sequential:
    """Make a backbone with random weights.

    They are drawn as He et al. (2015, arXiv:1502.01852) propose, so that a picture still makes
    a difference after thirteen layers that nobody trains.

    Parameters
    ----------
    name : str
        A key of ``BACKBONES``.

    Returns
    -------
    nn.Sequential
        Maps (b, 3, height, width) to (b, channels, height, width).
    """
    backbone = nn.Sequential(*BACKBONES[name].layers())
    for layer in backbone:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return backbone


def load_backbone(name: str, weights: str | Path) -> nn.Sequential:
    """Make a backbone and give it weights.

    Parameters
    ----------
    name : str
        A key of ``BACKBONES``.
    weights : str or Path
        ``"published"``: torchvision's, downloaded once into PyTorch's own cache and verified;
        ``"random"``; or a file (``.safetensors``, else as :func:`torch.save` writes it) with
        torchvision's names, of which those of the classifier are passed over.

    Returns
    -------
    nn.Sequential

    Raises
    ------
    ModelError
        If the weights cannot be had, are not what was published, or do not fit.
    """
    backbone = build_backbone(name)
    if weights == "random":
        return backbone
    path = _download(name) if weights == "published" else Path(weights)
    found = _read(name, path)
    wanted = backbone.state_dict()
    held = {key.removeprefix(PREFIX): found[key] for key in found if key.startswith(PREFIX)}
    misfits = [
        PREFIX + key
        for key in wanted
        if not isinstance(held.get(key), Tensor) or held[key].shape != wanted[key].shape
    ]
    if misfits or held.keys() != wanted.keys():
        odd = misfits or sorted(PREFIX + key for key in held.keys() - wanted.keys())
        raise ModelError(
            f"the weights in {path} do not fit {name}: {odd[0]} is missing, of another size or"
            " not part of it",
            _by_hand(name),
        )
    backbone.load_state_dict(held)
    return backbone


def _by_hand(name: str) -> str:
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
    # What PyTorch calls leaves no other way to name a time limit.
    socket.setdefaulttimeout(PATIENCE_S)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            published.url, str(path), hash_prefix=published.sha256, progress=False
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the weights of {name} cannot be had from {published.url}: {error}", _by_hand(name)
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return path


def _read(name: str, path: Path) -> Mapping[str, Any]:
    try:
        _verify(name, path)
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(
            f"the weights {path} cannot be read: {error.strerror or error}", _by_hand(name)
        ) from error
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} is not a file of weights", _by_hand(name)) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no named weights", _by_hand(name))
    return content


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _verify(name: str, path: Path) -> None:
    """Compare the digest that a published file carries in its name, if it does."""
    expected = BACKBONES[name].sha256
    if expected not in path.name:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(expected):
        raise ModelError(
            f"{path} is damaged: its SHA-256 begins with {digest[:8]}, not {expected}",
            f"Remove it. {_by_hand(name)}",
        )
