"""Shards made on the spot, by the shipped model as far as anybody can tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsys.classifier.card import load_card
from recsys.cluster.shard_rows import Row, ShardHeader, table_of
from recsys.cluster.shards import ShardPlace, ShardWriter
from recsys.cluster.sources import SourceFile
from recsys.types import Analysis, ModelInfo, Tags

MODEL: ModelInfo = load_card(None).at_effort("balanced").info()


def header(**changes: Any) -> ShardHeader:
    whole = ShardHeader.of_model(MODEL, changes.pop("sources", ()))
    return ShardHeader(**{**{n: getattr(whole, n) for n in whole.__dataclass_fields__}, **changes})


def analysis(seed: int) -> Analysis:
    rng = np.random.default_rng(seed)
    embedding = rng.standard_normal(MODEL.dimension).astype(np.float32)
    return Analysis(
        probabilities=rng.dirichlet(np.ones(len(MODEL.labels))).astype(np.float32),
        embedding=embedding / np.linalg.norm(embedding),
        fingerprint=MODEL.fingerprint,
        tags=rng.random(len(MODEL.tags)).astype(np.float32),
    )


def analysed(name: str | Path, seed: int = 0, mtime_ns: int = 10**18, size: int = 1000) -> Row:
    found = analysis(seed)
    return Row(
        file=SourceFile(str(name), size, mtime_ns),
        audio_hash=f"hash {seed}",
        tags=Tags(artist=f"Artist {seed}", title=f"Title {seed}", year=1999),
        duration_s=180.5,
        genre=MODEL.top_genre(found.probabilities),
        analysis=found,
    )


def failed(
    name: str | Path, reason: str = "no sound", mtime_ns: int = 10**18, *, may_pass: bool = False
) -> Row:
    return Row(SourceFile(str(name), 1000, mtime_ns), failure=reason, may_pass=may_pass)


def write_shard(place: Path | str, rows: Sequence[Row], **changes: Any) -> str:
    """Write one shard; return where it lies."""
    shards = ShardPlace(str(place))
    shards.prepare()
    before = set(shards.names())
    writer = ShardWriter(shards, header(**changes))
    writer.add(table_of(rows))
    writer.flush()
    (name,) = set(shards.names()) - before
    return shards.path(name)
