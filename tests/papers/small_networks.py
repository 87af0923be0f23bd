"""Every report architecture, small enough for a test, with an input that fits it."""

from __future__ import annotations

from typing import Any

import torch

from recsys.classifier.training.architectures import build_model

N_GENRES = 3

SMALL: dict[str, tuple[tuple[int, ...], dict[str, Any], int]] = {
    "alexnet-transfer": ((64, 96), {"filters": 8, "pool": 1, "dense": 12}, 12),
    "cnn-elbir": ((36,), {"filters": 4, "hidden": [16, 12]}, 12),
    "cnn-mel": ((32, 40), {"filters": [4, 6, 8], "dense": 12, "dropout": 0.0}, 12),
    "cnn-mel-35": ((30, 40), {"filters": [3, 4], "pools": [2, 2], "hidden": [16, 14, 12]}, 12),
    "cnn-mfcc": ((20, 13), {"filters": [4, 6, 8], "dense": 12, "dropout": 0.0}, 12),
    "cnn-simple": ((3, 32, 40), {"filters": [3, 4], "dense": 12}, 12),
    "cnn-stft": ((65, 32), {"pools": [2, 2, 2, 2, 2], "filters": [4, 4, 8, 8, 8]}, 16),
    "dense": ((5, 13), {"hidden": [16, 12]}, 12),
    "lstm-mfcc": ((20, 13), {"units": 16, "dense": 12, "dropout": 0.0}, 12),
    "prcnn": ((65, 32), {"pools": [2, 2, 2, 2, 2], "filters": [4, 4, 8, 8, 8], "units": 6}, 28),
    "vgg16-transfer": ((32, 40), {"dense": 12, "dropout": 0.0}, 12),
}
"""Name to shape of an input, sizes, and the width of the embedding that follows from them."""

REPORTED: dict[str, tuple[tuple[int, ...], int]] = {
    "alexnet-transfer": ((288, 432), 128),
    "cnn-elbir": ((36,), 64),
    "cnn-mel": ((128, 128), 128),
    "cnn-mel-35": ((288, 432), 64),
    "cnn-mfcc": ((130, 13), 64),
    "cnn-simple": ((288, 432), 64),
    "cnn-stft": ((513, 128), 256),
    "dense": ((13,), 64),
    "lstm-mfcc": ((130, 13), 64),
    "prcnn": ((513, 128), 384),
    "vgg16-transfer": ((128, 128), 128),
}
"""The inputs of the reports, and the width of the embedding with all sizes left as they are."""

NO_IMAGES = {"cnn-elbir", "dense", "lstm-mfcc"}
"""Those that read a vector or frames; the others read images, which can be too small."""


def make(architecture: str, seed: int = 0) -> torch.nn.Module:
    shape, config, _ = SMALL[architecture]
    torch.manual_seed(seed)
    return build_model(architecture, N_GENRES, shape, config)


def inputs(architecture: str, batch: int) -> torch.Tensor:
    return torch.rand(batch, *SMALL[architecture][0])
