"""The architectures, by the name they have in a model card, in a recipe and on the command line.

All share one interface: ``forward(windows (b, *shape))`` gives ``(logits (b, n_genres),
embedding (b, d))``, and the constructor takes ``n_genres`` and the ``shape`` of an input
beside its own sizes.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from recsys.classifier.models.alexnet_transfer import AlexNetTransfer
from recsys.classifier.models.cnn import GenreCNN
from recsys.classifier.models.cnn_elbir import CNNElbir
from recsys.classifier.models.cnn_lstm import GenreCNNLSTM
from recsys.classifier.models.cnn_mel import CNNMel
from recsys.classifier.models.cnn_mel_35 import CNNMel35
from recsys.classifier.models.cnn_mfcc import CNNMFCC
from recsys.classifier.models.cnn_simple import CNNSimple
from recsys.classifier.models.cnn_stft import CNNSTFT
from recsys.classifier.models.dense import Dense
from recsys.classifier.models.estimator import EstimatorModel
from recsys.classifier.models.lstm_mfcc import LSTMMFCC
from recsys.classifier.models.musicnn import MusiCNN
from recsys.classifier.models.onnx_network import OnnxNetwork
from recsys.classifier.models.prcnn import PRCNN
from recsys.classifier.models.vgg16_transfer import VGG16Transfer
from recsys.classifier.models.wrapped import EachGenreAlone, Standardised, TrackHead
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

ARCHITECTURES: Mapping[str, type[nn.Module]] = {"cnn": GenreCNN, "cnn-lstm": GenreCNNLSTM}
"""For log-mel windows of any music: what ``recsys train`` offers without a recipe."""

REPORT_ARCHITECTURES: Mapping[str, type[nn.Module]] = {
    "alexnet-transfer": AlexNetTransfer,
    "cnn-elbir": CNNElbir,
    "cnn-mel": CNNMel,
    "cnn-mel-35": CNNMel35,
    "cnn-mfcc": CNNMFCC,
    "cnn-simple": CNNSimple,
    "cnn-stft": CNNSTFT,
    "dense": Dense,
    "lstm-mfcc": LSTMMFCC,
    "prcnn": PRCNN,
    "vgg16-transfer": VGG16Transfer,
}
"""Those of the published reports; recipes choose among them."""

_ALL = {
    **ARCHITECTURES,
    **REPORT_ARCHITECTURES,
    "musicnn": MusiCNN,
    "scikit-learn": EstimatorModel,
    "onnx": OnnxNetwork,
}


def complete_config(architecture: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in an architecture's default sizes, so that a card stays true when they change.

    Parameters
    ----------
    architecture : str
        A key of ``ARCHITECTURES`` or ``REPORT_ARCHITECTURES``.
    config : mapping
        What differs from the defaults.

    Returns
    -------
    dict
        Ready for JSON.

    Raises
    ------
    ModelError
        If the architecture is not known.
    """
    parameters = inspect.signature(_architecture(architecture)).parameters.values()
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
        A key of ``ARCHITECTURES`` or ``REPORT_ARCHITECTURES``.
    n_genres : int
        Number of labels.
    shape : tuple of int
        Of one input, without the batch.
    config : mapping
        Further arguments of the architecture's constructor. Every architecture understands
        ``standardise``, ``each_genre_alone`` and ``track_head`` beside its own, see
        :mod:`recsys.classifier.models.wrapped`. A track head has two sizes: ``dimension``, and
        ``network_genres``, how many the network under it knows.

    Returns
    -------
    nn.Module

    Raises
    ------
    ModelError
        If the architecture or one of its arguments is not known, an argument is impossible, or
        inputs of this shape do not fit the model.
    """
    kind = _architecture(architecture)
    sizes = dict(config)
    standardise = sizes.pop("standardise", False)
    each_genre_alone = sizes.pop("each_genre_alone", False)
    head = sizes.pop("track_head", None)
    try:
        network_genres, dimension = _head_sizes(head) if head else (n_genres, 0)
        model = kind(n_genres=network_genres, shape=shape, **sizes)
    except (TypeError, KeyError) as error:
        raise ModelError(
            f"the settings of this {architecture} model are not understood: {error}",
            "It may have been made by a newer recsys; update recsys or use another model.",
        ) from error
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ModelError(
            f"a {architecture} model cannot be made with {dict(config)}: {error}",
            "Correct the sizes of the model, in the recipe or in the model card.",
        ) from error
    if standardise:
        model = Standardised(model, tuple(shape))
    if each_genre_alone:
        model = EachGenreAlone(model)
    return TrackHead(model, dimension, n_genres) if head else model


def _head_sizes(head: Mapping[str, int]) -> tuple[int, int]:
    return head["network_genres"], head["dimension"]


def _architecture(name: str) -> type[nn.Module]:
    if name not in _ALL:
        raise ModelError(
            f"unknown architecture {name!r}",
            f"Known are {', '.join(_ALL)}; a newer recsys may know more.",
        )
    return _ALL[name]
