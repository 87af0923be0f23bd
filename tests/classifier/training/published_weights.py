"""A checkpoint file in the layout of the published one, and the network that it describes.

The network is written as the original is: nothing left out, nothing rearranged, slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recsys.types import FloatArray

KERNELS = {
    "conv2d": (7, 38, 1, 204),
    "conv2d_1": (7, 67, 1, 204),
    "conv2d_2": (128, 1, 1, 51),
    "conv2d_3": (64, 1, 1, 51),
    "conv2d_4": (32, 1, 1, 51),
    "conv2d_5": (7, 561, 1, 64),
    "conv2d_6": (7, 64, 1, 64),
    "conv2d_7": (7, 64, 1, 64),
    "dense": (1506, 200),
    "dense_1": (200, 50),
}
"""Layer to the shape of its kernel; biases are as long as the last axis."""

FRONT_END = tuple(KERNELS)[:5]

NORMS = {
    "batch_normalization": 1,
    "batch_normalization_1": 204,
    "batch_normalization_2": 204,
    "batch_normalization_3": 51,
    "batch_normalization_4": 51,
    "batch_normalization_5": 51,
    "batch_normalization_6": 64,
    "batch_normalization_7": 64,
    "batch_normalization_8": 64,
    "batch_normalization_9": 1506,
    "batch_normalization_10": 200,
}

ALIVE = (3, 2, 2, 1, 1)
"""Filters of the front end that are not zero, so that the network is quick."""

USUAL_INPUT = 1.3
"""About the mean of compressed mel, which the first normalisation takes away."""

FILE = ".data-00000-of-00001"

Variables = dict[str, FloatArray]


def shapes() -> dict[str, tuple[int, ...]]:
    """Every variable that was trained, or estimated during the training."""
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in KERNELS.items():
        found |= {f"{name}/kernel": shape, f"{name}/bias": shape[-1:]}
    for name, width in NORMS.items():
        for part in ("beta", "gamma", "moving_mean", "moving_variance"):
            found[f"{name}/{part}"] = (width,)
    return found


def random_variables(seed: int = 0) -> Variables:
    """Random weights that keep signals at about their size; most filters are zero."""
    rng = np.random.default_rng(seed)
    variables = {}
    for name, shape in shapes().items():
        if name.endswith("kernel"):
            value = rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
        elif name.endswith("moving_variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("gamma"):
            value = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)
        else:
            value = rng.standard_normal(shape) * 0.1
        variables[name] = value.astype(np.float32)
    variables["batch_normalization/moving_mean"] += np.float32(USUAL_INPUT)
    for layer, count in zip(FRONT_END, ALIVE, strict=True):
        kernel = variables[f"{layer}/kernel"]
        dead = rng.permutation(kernel.shape[-1])[count:]
        kernel[..., dead] = 0.0
    return variables


def write_checkpoint(folder: Path, variables: Variables) -> Path:
    """Write the variables as TensorFlow does, with what its optimiser kept, by name."""
    tensors: dict[str, FloatArray] = dict(variables)
    for name, value in variables.items():
        if "moving" not in name:
            tensors |= {f"{name}/Adam": value + 7, f"{name}/Adam_1": value + 8}
    tensors |= {name: np.float32([9]) for name in ("beta1_power", "beta2_power")}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    file.write_bytes(b"".join(tensors[name].astype("<f4").tobytes() for name in sorted(tensors)))
    return file


def published_tags(variables: Mapping[str, FloatArray], windows: Tensor) -> Tensor:
    """Map windows (b, 96, frames) to the logits of the 50 tags, as the original does."""
    tensors = {name: torch.from_numpy(value) for name, value in variables.items()}
    spectrograms = _normalised(tensors, 0, windows.transpose(1, 2).unsqueeze(1))
    responses = []
    for number, layer in enumerate(FRONT_END):
        kernel = tensors[f"{layer}/kernel"].permute(3, 2, 0, 1)
        frames = kernel.shape[2]
        padded = functional.pad(spectrograms, (0, 0, (frames - 1) // 2, frames // 2))
        rectified = torch.relu(functional.conv2d(padded, kernel, tensors[f"{layer}/bias"]))
        responses.append(_normalised(tensors, number + 1, rectified).amax(3))
    front = torch.cat(responses, dim=1)
    first = _over_time(tensors, 5, front)
    second = first + _over_time(tensors, 6, first)
    third = second + _over_time(tensors, 7, second)
    joined = torch.cat([front, first, second, third], dim=1)
    side_by_side = torch.stack([joined.amax(2), joined.mean(2)], dim=2).flatten(1)
    pooled = _normalised(tensors, 9, side_by_side)
    dense = torch.relu(pooled @ tensors["dense/kernel"] + tensors["dense/bias"])
    units = _normalised(tensors, 10, dense)
    return units @ tensors["dense_1/kernel"] + tensors["dense_1/bias"]


def _over_time(tensors: Mapping[str, Tensor], number: int, state: Tensor) -> Tensor:
    """A convolution over seven frames and all channels, rectified, then normalised."""
    kernel = tensors[f"conv2d_{number}/kernel"][:, :, 0].permute(2, 1, 0)
    convolved = functional.conv1d(state, kernel, tensors[f"conv2d_{number}/bias"], padding=3)
    return _normalised(tensors, number + 1, torch.relu(convolved))


def _normalised(tensors: Mapping[str, Tensor], number: int, values: Tensor) -> Tensor:
    name = tuple(NORMS)[number]
    return functional.batch_norm(
        values,
        tensors[f"{name}/moving_mean"],
        tensors[f"{name}/moving_variance"],
        tensors[f"{name}/gamma"],
        tensors[f"{name}/beta"],
        eps=1e-3,
    )
