"""The last step of training: calibrate on the held-out tracks, measure, and write the card."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recsys.classifier.calibrate import (
    Float64Array,
    fit_temperature,
    fit_thresholds,
    labels_to_numbers,
    smoothed_confusion,
    softmax,
)
from recsys.classifier.checkpoint import ModelCard
from recsys.classifier.evaluate import as_dict, score
from recsys.classifier.models import complete_config
from recsys.classifier.pooling import pooled_scores
from recsys.classifier.torch_network import TorchNetwork

if TYPE_CHECKING:
    from torch import nn

    from recsys.classifier.prepare import TrainingData
    from recsys.classifier.settings import EpochResult, TrainSettings
    from recsys.features import LogMel
    from recsys.types import FloatArray, IdArray


def make_card(
    model: nn.Module,
    data: TrainingData,
    settings: TrainSettings,
    features: LogMel,
    *,
    name: str,
    history: tuple[EpochResult, ...] = (),
    notes: dict[str, Any] | None = None,
) -> ModelCard:
    """Calibrate a trained model and describe it.

    Parameters
    ----------
    model : nn.Module
        On the CPU.
    data : TrainingData
        Its held-out tracks are used.
    settings : TrainSettings
        How it was trained.
    features : LogMel
        What a window looks like.
    name : str
        For people.
    history : tuple of EpochResult
        Of the training.
    notes : dict, optional
        More for the card's ``training`` part.

    Returns
    -------
    ModelCard
        Without a fingerprint, which :func:`recsys.classifier.checkpoint.save_model` adds.
    """
    logits, embeddings = pooled_scores(
        TorchNetwork(model, torch.device("cpu")), [track.windows for track in data.valid]
    )
    truth = labels_to_numbers([track.genre for track in data.valid], data.labels)
    temperature = fit_temperature(logits, truth)
    probabilities = softmax(logits, temperature)
    thresholds = fit_thresholds(probabilities, truth)
    confusion = smoothed_confusion(probabilities.argmax(axis=1), truth, len(data.labels))
    return ModelCard(
        name=name,
        architecture=settings.architecture,
        config=complete_config(settings.architecture, settings.config),
        labels=data.labels,
        features=features,
        dimension=embeddings.shape[1],
        temperature=temperature,
        thresholds=thresholds,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        training={
            **(notes or {}),
            "tracks": {label: _count(data, label) for label in data.labels},
            "held_out": len(data.valid),
            "split": data.split,
            "seed": settings.seed,
            "settings": asdict(settings),
            "epochs_run": len(history),
            "history": history_entries(history),
            "best_epoch": max((entry.epoch for entry in history if entry.is_best), default=0),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        metrics={
            **_metrics(probabilities, truth, data),
            "median_cosine_between_tracks": _median_cosine(embeddings),
            "valid_given_a_genre": _share_with_a_genre(probabilities, thresholds),
        },
        created=datetime.now(UTC).date().isoformat(),
    )


def history_entries(history: tuple[EpochResult, ...]) -> list[dict[str, Any]]:
    """Return what each epoch brought, as cards keep it: curves are drawn from it later."""
    kept = ("epoch", "loss", "accuracy", "valid_loss", "valid_accuracy")
    return [{name: getattr(entry, name) for name in kept} for entry in history]


def _metrics(probabilities: Float64Array, truth: IdArray, data: TrainingData) -> dict[str, Any]:
    """Judge all held-out tracks, and those that are audio files on their own if not all are."""
    judged: dict[str, Any] = {
        "note": "The epoch, the temperature and the thresholds were chosen on these tracks too.",
        "valid": as_dict(score(probabilities, truth, data.labels)),
    }
    from_audio = np.asarray([track.key in data.valid_from_audio for track in data.valid])
    if from_audio.any() and not from_audio.all():
        audio = score(probabilities[from_audio], truth[from_audio], data.labels)
        judged["valid_audio_files_only"] = as_dict(audio)
    return judged


def _share_with_a_genre(probabilities: Float64Array, thresholds: tuple[float, ...]) -> float:
    """Return the share of the tracks whose most probable genre holds."""
    best = probabilities.argmax(axis=1)
    return float(np.mean(probabilities.max(axis=1) >= np.asarray(thresholds)[best]))


def _count(data: TrainingData, label: str) -> int:
    return sum(example.genre == label for example in data.examples)


def _median_cosine(embeddings: FloatArray) -> float:
    """Return the median cosine between different tracks; nan when there is but one."""
    cosines = (embeddings @ embeddings.T)[np.triu_indices(len(embeddings), 1)]
    return float(np.median(cosines)) if len(cosines) else float("nan")
