"""Speech, told from music by the embedding of a track: audiobooks, lectures, skits, podcasts.

A logistic regression over the embedding of the shipped network, so that libraries need no new
analysis. ``tests/benchmarks/fit_speech.py`` fitted it on synthesised speech, in rooms, over music
and in noise, against music; its figures are in ``data/speech-head.json``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.errors import QueryError

if TYPE_CHECKING:
    from recsys.types import FloatArray, ModelInfo

SPEECH_FROM = 0.5
"""Probability from which a track is speech."""


@lru_cache(maxsize=1)
def _head() -> dict[str, Any]:
    # By name: the core reads this file of the package of the models, and imports nothing of it.
    text = files("recsys.data").joinpath("speech-head.json").read_text(encoding="utf-8")
    head = json.loads(text)
    return {**head, "weights": np.array(head["weights"], dtype=np.float64)}


def knows_speech(info: ModelInfo) -> bool:
    """Return whether the embeddings of a model are those of the shipped network.

    Its tags tell, which other genres over the same network leave as they are.
    """
    return info.tag_means == tuple(_head()["tag_means"])


def check_knows_speech(info: ModelInfo) -> None:
    """Raise QueryError unless speech can be told from the embeddings of a model."""
    if not knows_speech(info):
        raise QueryError(
            f"the model {info.name!r} cannot tell speech from music",
            "Only the shipped network can: leave out --no-speech, or clear it with recsys prefer "
            "--clear no-speech.",
        )


def speech_probability(embedding: FloatArray) -> float:
    """Return the probability that a track is speech, by its embedding, shape (d,), unit length."""
    head = _head()
    logit = float(embedding @ head["weights"]) + float(head["bias"])
    return float(1 / (1 + np.exp(-logit)))
