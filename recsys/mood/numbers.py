"""Energy, valence, danceability, acousticness and instrumentalness of analyses."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.mood.table import MoodTable, shipped_text, table_of
from recsys.types import MOOD_NUMBERS

if TYPE_CHECKING:
    from recsys.types import FloatArray, ModelInfo

DIGITS = 2
"""Decimals that are stored: what is shown, filtered and ordered is the same number."""


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """Linear heads over embedding and tag strengths, fitted to the music of one library."""

    fingerprint: str  # of the model
    effort: str
    weights: FloatArray  # (d + n_tags + 1, n_numbers); the last row is the constant
    about: dict[str, Any]  # teacher, tracks, rank correlations

    def as_json(self) -> dict[str, Any]:
        """Return the heads as values for JSON."""
        return {
            "fingerprint": self.fingerprint,
            "effort": self.effort,
            "weights": [[float(f"{w:.6g}") for w in row] for row in self.weights.tolist()],
            "about": self.about,
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Heads:
        """Return the heads of :meth:`as_json`."""
        weights = np.array(plain["weights"], dtype=np.float32)
        return cls(plain["fingerprint"], plain["effort"], weights, plain["about"])

    def values(self, embeddings: FloatArray, strengths: FloatArray) -> FloatArray:
        """Return the numbers of analyses, shape (n, n_numbers), in [0, 1]."""
        inputs = np.hstack([embeddings, strengths, np.ones((len(embeddings), 1), np.float32)])
        values: FloatArray = np.clip(inputs @ self.weights, 0.0, 1.0).astype(np.float32)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class MoodNumbers:
    """How a library computes its numbers: by a table, or by heads where they fit its model."""

    table: MoodTable
    heads: Heads | None
    text: str | None  # of a table of the library's own
    key: str  # differs where the numbers may

    def heads_for(self, info: ModelInfo) -> Heads | None:
        """Return the heads if they are of this model."""
        known = self.heads
        fits = known and (known.fingerprint, known.effort) == (info.fingerprint, str(info.effort))
        return known if fits else None

    @property
    def source(self) -> str:
        """What makes the numbers: ``shipped``, a ``table`` of the library's own, or ``heads``."""
        return "heads" if self.heads else "table" if self.text is not None else "shipped"

    def values(self, info: ModelInfo, embeddings: FloatArray, scores: FloatArray) -> FloatArray:
        """Return the numbers of analyses in the order of ``MOOD_NUMBERS``, NaN where unknown.

        The embeddings have the shape (n, d), the tag scores (n, n_tags).
        """
        strengths = info.tag_strengths(scores)
        if (heads := self.heads_for(info)) is not None:
            return heads.values(embeddings, strengths)
        share = self.table.least_share
        columns = [
            rule.standardised(rule.combine(info, strengths, share))
            for rule in (self.table.numbers[name] for name in MOOD_NUMBERS)
        ]
        return np.stack(columns, axis=1)

    def known(self, info: ModelInfo) -> tuple[str, ...]:
        """Return the numbers that tracks analysed by a model have."""
        embeddings = np.zeros((1, info.dimension), dtype=np.float32)
        scores = np.full((1, len(info.tags)), 0.5, dtype=np.float32)
        values = self.values(info, embeddings, scores)[0]
        return tuple(n for n, v in zip(MOOD_NUMBERS, values, strict=True) if not np.isnan(v))

    def rows(
        self, info: ModelInfo, embeddings: FloatArray, scores: FloatArray
    ) -> list[tuple[float | None, ...]]:
        """Return the numbers as they are stored: rounded, None where unknown."""
        values = np.round(self.values(info, embeddings, scores).astype(np.float64), DIGITS)
        return [tuple(v if v == v else None for v in row) for row in values.tolist()]


def settings_text(text: str | None, heads: Heads | None) -> str | None:
    """Return what a library stores of its settings; None for those that come with recsys."""
    if text is None and heads is None:
        return None
    return json.dumps({"table": text, "heads": heads and heads.as_json()})


@lru_cache(maxsize=4)
def mood_numbers(settings: str | None) -> MoodNumbers:
    """Return how a library with these settings computes its numbers, see :func:`settings_text`."""
    plain = {} if settings is None else json.loads(settings)
    text = plain.get("table")
    heads = Heads.of(plain["heads"]) if plain.get("heads") else None
    hashed = f"{text or shipped_text()}\n{json.dumps(plain.get('heads'))}"
    key = hashlib.sha256(hashed.encode()).hexdigest()[:16]
    return MoodNumbers(table_of(text), heads, text, key)
