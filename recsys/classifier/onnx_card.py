"""The model card of an ONNX file: made of its TOML and of what the network is found to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.checkpoint import ModelCard
from recsys.classifier.onnx_session import OnnxSession

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.classifier.models.onnx_network import OnnxNetwork
    from recsys.classifier.onnx_description import OnnxDescription

ASSUMED_CONFUSION = 0.1
"""Share of a genre's tracks taken for other genres, evenly, where nobody has measured it."""


def onnx_card(path: Path) -> ModelCard:
    """Describe an ONNX file; it is loaded and tried for that.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file; its TOML lies beside it.

    Returns
    -------
    ModelCard
        Of the architecture ``onnx``.

    Raises
    ------
    ModelError, MissingExtraError
        As :class:`~recsys.classifier.onnx_session.OnnxSession`.
    """
    return _card_of(OnnxSession(path))


def load_onnx(path: Path) -> tuple[OnnxNetwork, ModelCard]:
    """Load an ONNX file; see :func:`onnx_card`.

    Returns
    -------
    model : OnnxNetwork
    card : ModelCard
    """
    from recsys.classifier.models.onnx_network import OnnxNetwork

    session = OnnxSession(path)
    card = _card_of(session)
    model = OnnxNetwork(len(card.labels), card.features.shape, **card.config, session=session)
    return model, card


def _card_of(session: OnnxSession) -> ModelCard:
    description = session.description
    tags = description.tags
    return ModelCard(
        name=description.name or session.path.stem,
        architecture="onnx",
        config={"file": str(session.path.absolute()), "fingerprint": session.fingerprint},
        labels=description.labels,
        features=description.features,
        dimension=session.dimension,
        temperature=description.temperature,
        thresholds=description.threshold_of_each,
        confusion=description.confusion or _assumed_confusion(description),
        tags=tags.names if tags else (),
        tag_means=tags.means if tags else (),
        tag_deviations=tags.deviations if tags else (),
        licence=description.licence,
        fingerprint=session.fingerprint,
    )


def _assumed_confusion(description: OnnxDescription) -> tuple[tuple[float, ...], ...]:
    n = len(description.labels)
    rows = np.full((n, n), ASSUMED_CONFUSION / (n - 1))
    np.fill_diagonal(rows, 1 - ASSUMED_CONFUSION)
    return tuple(tuple(row) for row in rows.tolist())
