"""Classifiers that PyTorch computes, and what is inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from recsys.classifier.inference import Classifier
from recsys.classifier.training.architectures import TorchNetwork

if TYPE_CHECKING:
    from torch import nn

    from recsys.classifier.card import ModelCard

_CPU = torch.device("cpu")


def torch_classifier(module: nn.Module, card: ModelCard, device: torch.device = _CPU) -> Classifier:
    return Classifier(TorchNetwork(module, device), card)


def module_of(classifier: Classifier) -> nn.Module:
    assert isinstance(classifier.network, TorchNetwork)
    return classifier.network.module
