"""The architectures, by the name they have in a model card and on the command line.

All share one interface: ``forward(windows (b, *shape))`` gives ``(logits (b, n_genres),
embedding (b, d))``, and the constructor takes ``n_genres`` and the ``shape`` of an input
beside its own sizes.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from recsys.classifier.models.cnn import GenreCNN
from recsys.classifier.models.cnn_lstm import GenreCNNLSTM
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

ARCHITECTURES: Mapping[str, type[nn.Module]] = {"cnn": GenreCNN, "cnn-lstm": GenreCNNLSTM}


def complete_config(architecture: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in an architecture's default sizes, so that a card stays true when they change.

    Parameters
    ----------
    architecture : str
        A key of ``ARCHITECTURES``.
    config : mapping
        What differs from the defaults.

    Returns
    -------
    dict
        Ready for JSON.
    """
    parameters = inspect.signature(ARCHITECTURES[architecture]).parameters.values()
    sizes = {p.name: p.default for p in parameters if p.name not in {"n_genres", "shape"}}
    whole = {**sizes, **config}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in whole.items()}


def build_model(
    architecture: str, n_genres: int, shape: tuple[int, ...], config: Mapping[str, Any]
) -> nn.Module:
    """Make a model with fresh weights.

    Parameters
    ----------
    architecture : str
        A key of ``ARCHITECTURES``.
    n_genres : int
        Number of labels.
    shape : tuple of int
        Of one input, without the batch.
    config : mapping
        Further arguments of the architecture's constructor.

    Returns
    -------
    nn.Module

    Raises
    ------
    ModelError
        If the architecture or one of its arguments is not known.
    """
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"unknown architecture {architecture!r}",
            f"Known are {', '.join(ARCHITECTURES)}; a newer recsys may know more.",
        )
    try:
        return ARCHITECTURES[architecture](n_genres=n_genres, shape=shape, **config)
    except TypeError as error:
        raise ModelError(
            f"the settings of this {architecture} model are not understood: {error}",
            "It may have been made by a newer recsys; update recsys or use another model.",
        ) from error
