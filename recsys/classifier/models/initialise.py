"""Starting weights as the framework of a report would have drawn them."""

from __future__ import annotations

import torch
from torch import nn

from recsys.errors import ModelError


def initialise(model: nn.Module, framework: str) -> None:
    """Draw a model's starting weights again, in place.

    Networks that were trained with Keras start elsewhere than PyTorch would have them start:
    Glorot-uniform kernels (Glorot & Bengio, 2010), orthogonal recurrent kernels, zero biases
    and, in an LSTM, forget gates that begin with a bias of 1.

    Parameters
    ----------
    model : nn.Module
        Weights that want no gradient, a frozen backbone's, stay as they are.
    framework : str
        ``"keras"``, or ``"torch"``, which leaves PyTorch's own.

    Raises
    ------
    ModelError
        If the framework is not known.
    """
    if framework not in ("keras", "torch"):
        raise ModelError(
            f"unknown framework {framework!r}", "Weights can start as in keras or as in torch."
        )
    if framework == "torch":
        return
    for module in model.modules():
        trained = any(p.requires_grad for p in module.parameters(recurse=False))
        if trained and isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif trained and isinstance(module, (nn.LSTM, nn.GRU)):
            _initialise_recurrent(module)


@torch.no_grad()
def _initialise_recurrent(module: nn.LSTM | nn.GRU) -> None:
    for name, parameter in module.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            parameter.zero_()
        if isinstance(module, nn.LSTM) and name.startswith("bias_ih"):
            # PyTorch's gates stand in the order input, forget, cell, output.
            parameter[module.hidden_size : 2 * module.hidden_size] = 1
