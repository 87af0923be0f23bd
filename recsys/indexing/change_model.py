"""Another model for a library: heard again, or only named again where it hears the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.calibrate import softmax
from recsys.classifier.checkpoint import ModelCard, load_card
from recsys.classifier.track_head import embeddings_of, load_head
from recsys.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.store import Store
    from recsys.types import FloatArray


def change_model(store: Store, card: ModelCard, checkpoint: Path | None) -> None:
    """Make a model the library's own.

    A head for whole tracks over the embeddings that the library holds already needs nothing
    else: its genres are computed at once. Of any other model every track waits to be heard.

    Parameters
    ----------
    store : Store
        Open for writing; the caller holds the library's lock.
    card : ModelCard
        Of the model.
    checkpoint : Path or None
        Where it lies; None for the model that comes with recsys.

    Raises
    ------
    RecsysError
        If the checkpoint cannot be read or the database not be written.
    """
    present = _present_card(store)
    if checkpoint is None or present is None or not _names_again(card, present):
        store.set_model(card.info(), card.to_json(), checkpoint)
        return
    head = load_head(checkpoint, load_card(checkpoint))

    def probabilities_of(embeddings: FloatArray) -> FloatArray:
        return softmax(head.logits(embeddings), card.temperature).astype(np.float32)

    store.change_head(
        card.info(),
        card.to_json(),
        checkpoint,
        probabilities_of,
        before=present.info(),
    )


def _present_card(store: Store) -> ModelCard | None:
    text = store.model_card()
    try:
        return None if text is None else ModelCard.from_json(text)
    except ModelError:  # of another version: what its embeddings are is not known
        return None


def _names_again(card: ModelCard, present: ModelCard) -> bool:
    """Return whether a model only reads other genres off the embeddings of the present one."""
    same = embeddings_of(card) == embeddings_of(present)
    return "track_head" in card.config and same and card.info().identity != present.info().identity
