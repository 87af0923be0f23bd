"""A model with a second head, small enough to be made where it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.classifier.card import ModelCard, load_card
from recsys.classifier.log_mel import MEL
from recsys.classifier.training import architectures as models
from recsys.classifier.training.architectures import build_model, save_model

ARCHITECTURE = "tagging"

TAGS = ("rock", "electronic", "jazz", "ambient", "chill", "happy", "party", "80s")
"""Styles first, then moods and an era."""


class TaggingModel(nn.Module):
    """Genres, embedding and tags from how loud the bands of a window are."""

    def __init__(
        self, n_genres: int, shape: tuple[int, int] = (128, 130), n_tags: int = len(TAGS)
    ) -> None:
        super().__init__()
        self.genres = nn.Linear(shape[0], n_genres)
        self.tags = nn.Linear(shape[0], n_tags)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        bands = windows.mean(dim=2)
        return self.genres(bands), bands, self.tags(bands)


def make_card(**changes: Any) -> ModelCard:
    labels = load_card().labels
    known: dict[str, Any] = {
        "name": "tagging",
        "architecture": ARCHITECTURE,
        "config": {},
        "labels": labels,
        "features": MEL,
        "dimension": MEL.shape[0],
        "temperature": 1.0,
        "thresholds": (0.1,) * len(labels),
        "confusion": tuple(map(tuple, np.full((len(labels),) * 2, 1 / len(labels)).tolist())),
        "tags": TAGS,
        "tag_means": (0.0,) * len(TAGS),
        "tag_deviations": (0.5,) * len(TAGS),
    }
    return ModelCard(**{**known, **changes})


def save_tagging_model(path: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> ModelCard:
    """Write a checkpoint; the architecture is known until the test ends."""
    usual = models._architecture
    known = {ARCHITECTURE: TaggingModel}
    monkeypatch.setattr(models, "_architecture", lambda name: known.get(name) or usual(name))
    card = make_card(**changes)
    torch.manual_seed(2)
    model = build_model(ARCHITECTURE, len(card.labels), MEL.shape, {})
    return save_model(path, model, card)
