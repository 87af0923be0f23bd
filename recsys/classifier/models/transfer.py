"""Networks that see music with eyes trained on photographs: a frozen backbone and a new head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from recsys.classifier.models.layers import as_pictures
from recsys.classifier.models.pretrained import build_backbone, load_backbone
from recsys.classifier.models.shapes import check_picture, flat_size, picture_after
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1] over ImageNet: what torchvision's weights expect."""


class TransferModel(nn.Module):
    """A frozen backbone that makes features of a picture, and a head that learns from them.

    A fresh model has random weights everywhere; :meth:`load_backbone` brings the published
    ones. They are part of the ``state_dict``, so a saved model needs no second file.

    Parameters
    ----------
    name : str
        A key of :data:`~recsys.classifier.models.pretrained.BACKBONES`.
    shape : sequence of int
        Height and width of a grey picture, or 3, height and width.

    Attributes
    ----------
    backbone : nn.Sequential
        Never trained: its weights want no gradient and it stays in evaluation mode.
    head : nn.Module
        Maps the backbone's features to logits and embedding; set by the subclass.
    features_shape : (int, int, int)
        Channels, height and width of the backbone's features.
    """

    head: nn.Module
    mean: Tensor
    std: Tensor

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        super().__init__()
        channels, height, width = check_picture(shape)
        if channels not in (1, 3):
            raise ModelError(
                f"a picture of {channels} channels cannot be shown to {name}",
                "Give a grey picture or one of three colours.",
            )
        self.name = name
        self.backbone = build_backbone(name).requires_grad_(requires_grad=False).eval()
        flat_size(self.backbone, (3, height, width))
        self.features_shape = picture_after(self.backbone, (3, height, width))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def load_backbone(self, weights: str | Path) -> None:
        """Replace the backbone's weights.

        Parameters
        ----------
        weights : str or Path
            As for :func:`~recsys.classifier.models.pretrained.load_backbone`; with ``"random"``
            the weights stay as they are.

        Raises
        ------
        ModelError
            If they cannot be had or do not fit.
        """
        if weights != "random":
            self.backbone.load_state_dict(load_backbone(self.name, weights).state_dict())

    def train(self, mode: bool = True) -> Self:
        """Set training mode, the backbone excepted."""
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Look at pictures through the backbone; it never changes, so once is enough.

        Parameters
        ----------
        x : Tensor, shape (b, height, width) or (b, channels, height, width)
            In [0, 1].

        Returns
        -------
        Tensor, shape (b, channels, height, width)
        """
        colours = as_pictures(x).expand(-1, 3, -1, -1)
        seen: Tensor = self.backbone((colours - self.mean) / self.std)
        return seen

    def from_features(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map what :meth:`features` gives to logits (b, n_genres) and embedding (b, d)."""
        return self.head(features)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map pictures in [0, 1] to logits (b, n_genres) and embedding (b, d)."""
        return self.from_features(self.features(x))
