"""Making the network of a recipe: its weights as they were before any training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from recsys.classifier.models import build_model
from recsys.classifier.models.initialise import initialise
from recsys.classifier.models.pretrained import BACKBONES
from recsys.classifier.models.transfer import TransferModel
from recsys.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from recsys.classifier.recipes.recipe import Network, Recipe


def make_network(
    recipe: Recipe, network: Network, n_genres: int, *, seed: int, weights: str
) -> nn.Module:
    """Make a recipe's network with fresh weights, and pretrained ones where it has them.

    Parameters
    ----------
    recipe : Recipe
        Its features give the shape, and its training the way to begin.
    network : Network
        Its own, or one of those it searches among.
    n_genres : int
    seed : int
    weights : str
        ``published``, ``random``, or the path of a file or of a folder of files.

    Returns
    -------
    nn.Module
        The same for the same seed; nothing else that draws by chance is disturbed.

    Raises
    ------
    ModelError
        If a setting is not known, sizes do not fit the features, or weights cannot be had.
    """
    assert recipe.training is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(
            network.architecture, n_genres, recipe.features.shape, network_config(network)
        )
        initialise(model, recipe.training.framework)
        if recipe.weights is not None:
            _load_backbone(model, recipe.weights, weights)
    return model


def _load_backbone(model: nn.Module, backbone: str, weights: str) -> None:
    """Give a network the pretrained weights that its recipe names."""
    if not isinstance(model, TransferModel) or model.name != backbone:
        raise ModelError(
            f"weights: those of {backbone} do not belong to this network",
            f"Take the architecture {backbone}-transfer, not standardised, or no weights.",
        )
    model.load_backbone(_weights_of(backbone, weights))


def _weights_of(backbone: str, weights: str) -> str:
    """Return the file of a backbone where a folder of weights was given."""
    folder = Path(weights)
    return str(folder / BACKBONES[backbone].file) if folder.is_dir() else weights


def network_config(network: Network) -> dict[str, Any]:
    """Return what :func:`recsys.classifier.models.build_model` is told, as a model card keeps it.

    Parameters
    ----------
    network : Network

    Returns
    -------
    dict
    """
    return {**network.config, **({"standardise": True} if network.standardise else {})}
