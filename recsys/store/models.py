"""Models as rows of the library database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from recsys.store.rows import array_blob, blob_array
from recsys.types import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_MODEL = (
    "SELECT fingerprint, name, labels, thresholds, confusion, dimension, tags FROM models"
    " WHERE fingerprint = (SELECT value FROM meta WHERE key = 'model')"
)
"""The current model, as :func:`model_of` takes it."""

WRITE_MODEL = (
    "INSERT INTO models (fingerprint, name, labels, thresholds, confusion, dimension, tags, card,"
    " checkpoint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (fingerprint) DO UPDATE SET"
    " name = excluded.name, labels = excluded.labels, thresholds = excluded.thresholds,"
    " confusion = excluded.confusion, dimension = excluded.dimension, tags = excluded.tags,"
    " card = excluded.card, checkpoint = excluded.checkpoint"
)
"""Takes what :func:`model_row` gives, the card, and the key of the checkpoint."""


def model_row(info: ModelInfo) -> tuple[Any, ...]:
    """Return a model as a row. Its tags are JSON: a list of name, mean and deviation for each."""
    tags = [*zip(info.tags, info.tag_means, info.tag_deviations, strict=True)]
    return (
        info.fingerprint,
        info.name,
        json.dumps(info.labels),
        json.dumps(info.thresholds),
        array_blob(info.confusion),
        info.dimension,
        json.dumps(tags),
    )


def model_of(row: Sequence[Any]) -> ModelInfo:
    """Return the model of a row; the inverse of :func:`model_row`."""
    fingerprint, name, labels, thresholds, confusion, dimension, tags = row
    genres, known = tuple(json.loads(labels)), json.loads(tags)
    return ModelInfo(
        name=name,
        fingerprint=fingerprint,
        labels=genres,
        thresholds=tuple(json.loads(thresholds)),
        confusion=blob_array(confusion).reshape(len(genres), len(genres)),
        dimension=dimension,
        tags=tuple(tag for tag, _, _ in known),
        tag_means=tuple(mean for _, mean, _ in known),
        tag_deviations=tuple(deviation for _, _, deviation in known),
    )
