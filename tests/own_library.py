"""A library with own genres planted among the embeddings of a tiny model that is really there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recsys.classifier.card import ModelCard
from recsys.classifier.log_mel import MEL
from recsys.classifier.training.architectures import build_model, save_model
from recsys.store import Store, TrackRecord
from recsys.types import Analysis, FloatArray, Tags, TrackFile

PRESENT = ("jazz", "rock", "waltz")
"""What the tiny model calls its genres."""

GENRES = ("Hip-Hop", "Jazz", "Rock")
SPELLINGS = {"Hip-Hop": ("Hip-Hop", "hip hop", "HipHop"), "Jazz": ("Jazz",), "Rock": ("Rock",)}
DIMENSION = 16
TINY = {"channels": [4, 8, 8], "dimension": DIMENSION}


@dataclass(frozen=True)
class OwnLibrary:
    database: Path
    model: Path
    card: ModelCard
    embeddings: dict[int, FloatArray]
    genres: dict[int, str]


def save_tiny(path: Path) -> ModelCard:
    torch.manual_seed(0)
    card = ModelCard(
        name="tiny",
        architecture="cnn",
        config=TINY,
        labels=PRESENT,
        features=MEL,
        dimension=DIMENSION,
        temperature=1.0,
        thresholds=(0.3,) * 3,
        confusion=tuple(tuple(row) for row in (np.eye(3) * 0.7 + 0.1).tolist()),
    )
    return save_model(path, build_model("cnn", len(PRESENT), MEL.shape, TINY), card)


def make_own_library(folder: Path, per_genre: int = 24, artists: int = 6) -> OwnLibrary:
    """Plant a cluster per genre; the present model takes everything for rock."""
    rng = np.random.default_rng(0)
    model = folder / "tiny.safetensors"
    card = save_tiny(model)
    centres = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))[0]
    records = []
    for number, genre in enumerate(GENRES):
        for place in range(per_genre):
            vector = centres[number] + 0.15 * rng.standard_normal(DIMENSION)
            records.append(_record(folder, number, genre, place, artists, vector, card))
    with Store.open(folder / "library.db", create=True) as store:
        store.set_model(card.info(), card.to_json(), model)
        store.add_root(folder / "music")
        ids = store.write(records)
        embeddings = {i: r.analysis.embedding for i, r in zip(ids, records, strict=True)}
    genres = {i: GENRES[n // per_genre] for n, i in enumerate(ids)}
    return OwnLibrary(folder / "library.db", model, card, embeddings, genres)


def _record(
    folder: Path,
    number: int,
    genre: str,
    place: int,
    artists: int,
    vector: FloatArray,
    card: ModelCard,
) -> TrackRecord:
    spellings = SPELLINGS[genre]
    path = folder / "music" / genre / f"{place}.flac"
    analysis = Analysis(
        np.array([0.2, 0.5, 0.3], np.float32),
        (vector / np.linalg.norm(vector)).astype(np.float32),
        card.fingerprint,
    )
    tags = Tags(artist=f"{genre} {place % artists}", genre_tag=spellings[place % len(spellings)])
    return TrackRecord(
        TrackFile(path, 1000, 1),
        tags,
        f"{genre} {place}",
        200.0,
        "odd" if place == 0 else None,
        analysis,
    )
