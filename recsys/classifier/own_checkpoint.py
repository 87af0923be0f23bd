"""A head on own genres as a model file: the network that made the embeddings, and the head."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import torch

from recsys.classifier.checkpoint import ModelCard, save_model
from recsys.classifier.evaluate import as_dict
from recsys.classifier.group_bootstrap import RESAMPLES
from recsys.classifier.loading import load_model
from recsys.classifier.models.wrapped import TrackHead
from recsys.classifier.own_labels import text_of
from recsys.classifier.track_head import REGULARISATION

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.classifier.own_genres import OwnGenres
    from recsys.classifier.own_labels import LabelRules, OwnLabels


def save_own_genres(
    out: Path, trunk: Path | None, own: OwnLabels, found: OwnGenres, rules: LabelRules
) -> ModelCard:
    """Write a model that hears as another one does and speaks of own genres.

    Parameters
    ----------
    out : Path
        Ends in ``.safetensors``.
    trunk : Path or None
        The model whose embeddings the head was fitted on; None for the shipped one. A head on
        own genres that it has already is replaced.
    own : OwnLabels
        What was learned from.
    found : OwnGenres
        The head and what is known of it.
    rules : LabelRules
        How the labels were gathered.

    Returns
    -------
    ModelCard
        As written.

    Raises
    ------
    ModelError
        If `trunk` cannot be loaded or `out` cannot be written.
    """
    model, card = load_model(trunk)
    network = model
    sizes: dict[str, Any] = {
        "dimension": card.dimension,
        "network_genres": len(card.labels),
        "embeddings_of": card.fingerprint,
    }
    if isinstance(model, TrackHead):
        network, sizes = model.network, card.config["track_head"]
    whole = TrackHead(network, card.dimension, len(found.labels))
    with torch.no_grad():
        whole.genres.weight.copy_(torch.from_numpy(found.head.weight))
        whole.genres.bias.copy_(torch.from_numpy(found.head.bias))
    return save_model(
        out,
        whole,
        replace(
            card,
            name=out.stem,
            config={**card.config, "track_head": sizes},
            labels=found.labels,
            temperature=found.temperature,
            thresholds=found.thresholds,
            confusion=found.confusion,
            training=_training(card, own, rules),
            metrics=_metrics(found),
            # Those of the network's own genres.
            limits={},
            created=datetime.now(UTC).date().isoformat(),
        ),
    )


def is_own(card: ModelCard) -> bool:
    """Return whether a model's genres were learned from the tracks of somebody's library."""
    return "own_genres" in card.training


def _training(card: ModelCard, own: OwnLabels, rules: LabelRules) -> dict[str, Any]:
    """Say how the head was made; what is known of the network below it is kept as it was."""
    below = card.training["network"] if is_own(card) else {"name": card.name, **card.training}
    return {
        "own_genres": {
            "how": "multinomial logistic regression on unit embeddings of whole tracks, every "
            f"genre with the same weight, C = {REGULARISATION}; the network was not changed",
            "rules": asdict(rules),
            "tracks": {
                label: int((own.targets == number).sum()) for number, label in enumerate(own.labels)
            },
            "artists": len(set(own.groups.tolist())),
            "grouped_by": own.grouped_by,
            "spellings": {genre.name: dict(genre.spellings) for genre in own.merged},
            "left_out": [asdict(genre) for genre in own.left_out],
        },
        "network": below,
        "keys": _keys(own, below.get("keys", {})),
    }


def _keys(own: OwnLabels, below: dict[str, list[str]]) -> dict[str, list[str]]:
    """Name what head and network were made with, so that evaluating on it can be told."""
    learned = {text_of(f"{track.path.parent.name}/{track.path.stem}") for track in own.tracks}
    return {
        "train": sorted(learned | set(below.get("train", []))),
        "valid": sorted(below.get("valid", [])),
    }


def _metrics(found: OwnGenres) -> dict[str, Any]:
    return {
        "note": f"Cross-validated by artist, {found.folds} folds, seed {found.seed}; temperature,"
        " thresholds and confusion are of the same predictions.",
        "cross_validation": as_dict(found.evaluation),
        "always_the_commonest": asdict(found.majority),
        "with_artists_resampled": {"resamples": RESAMPLES, **asdict(found.new)},
        "compared_with_the_model_before": found.comparison and asdict(found.comparison),
    }
