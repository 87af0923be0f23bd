"""MusiCNN's published weights: find and read the checkpoint, and prune its dead filters.

The PyPI package ``musicnn`` 0.1.0 (ISC licence) carries them as TensorFlow checkpoints. None of
its code is run, and TensorFlow is not needed: such a checkpoint holds its tensors end to end in
the alphabetical order of their names, and the names and shapes are known.
"""

from __future__ import annotations

import hashlib
import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from recsys.classifier.training.musicnn_torch import EPSILON, KERNELS, MusiCNN
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from recsys.types import FloatArray

VARIANT = "MSD_musicnn"
"""The network trained on the Million Song Dataset."""

DATA_FILE = ".data-00000-of-00001"

TAGS = (
    *("rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s"),
    *("alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists"),
    *("classic rock", "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s"),
    *("chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic"),
    *("experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country"),
    *("easy listening", "sexy", "catchy", "funk", "electro", "heavy metal"),
    *("Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy"),
)
"""Outputs of the network, in order: tags of users of last.fm."""

DEAD = 0.02
"""Filters of a smaller Euclidean norm are left out; those kept have norms above 0.08."""

_FILTERS = (204, 204, 51, 51, 51)
_CHANNELS = 64
_HIDDEN = 200
_FRONT = sum(_FILTERS)
_POOLED = _FRONT + 3 * _CHANNELS
_SLOTS = ("", "/Adam", "/Adam_1")  # Of a variable: its value and the moments of its optimiser.

_INSTALL_HINT = (
    "Run: pip install --no-deps musicnn==0.1.0   (or give its folder MSD_musicnn with --weights)"
)


def find_checkpoint(weights: Path | None = None) -> Path:
    """Find the file with the published tensors, in a folder ``MSD_musicnn`` or the package musicnn.

    The package is located, not imported. Raises ModelError if there is no such file.
    """
    if weights is None:
        spec = find_spec("musicnn")
        if spec is None or spec.origin is None:
            raise ModelError(
                "the weights to start from are missing: musicnn is not installed", _INSTALL_HINT
            )
        weights = Path(spec.origin).parent / VARIANT
    file = weights / DATA_FILE if weights.is_dir() else weights
    if not file.is_file():
        raise ModelError(f"there are no MusiCNN weights at {file}", _INSTALL_HINT)
    return file


def read_checkpoint(file: Path) -> dict[str, FloatArray]:
    """Read MusiCNN's variables by TensorFlow's names, without those of its optimiser.

    Raises ModelError if the file has another size or holds values that are not finite.
    """
    layout = _layout()
    size, expected = file.stat().st_size, 4 * sum(map(math.prod, layout.values()))
    if size != expected:
        raise ModelError(
            f"{file} has {size} bytes; the weights of {VARIANT} have {expected}", _INSTALL_HINT
        )
    values = np.fromfile(file, dtype="<f4")
    variables: dict[str, FloatArray] = {}
    offset = 0
    for name in sorted(layout):
        size = math.prod(layout[name])
        if "Adam" not in name and not name.endswith("_power"):
            variables[name] = values[offset : offset + size].reshape(layout[name])
        offset += size
    if not all(np.isfinite(value).all() for value in variables.values()):
        raise ModelError(f"{file} holds weights that are no numbers", _INSTALL_HINT)
    return variables


def _layout() -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in the file, the optimiser's included."""
    trained: dict[str, tuple[int, ...]] = {}
    fixed: dict[str, tuple[int, ...]] = {"beta1_power": (), "beta2_power": ()}
    kernels = [(*kernel, 1, n) for kernel, n in zip(KERNELS, _FILTERS, strict=True)]
    kernels += [(7, inputs, 1, _CHANNELS) for inputs in (_FRONT, _CHANNELS, _CHANNELS)]
    for number, kernel in enumerate(kernels):
        trained[f"{_numbered('conv2d', number)}/kernel"] = kernel
        trained[f"{_numbered('conv2d', number)}/bias"] = kernel[-1:]
    for number, (inputs, units) in enumerate(((2 * _POOLED, _HIDDEN), (_HIDDEN, len(TAGS)))):
        trained[f"{_numbered('dense', number)}/kernel"] = (inputs, units)
        trained[f"{_numbered('dense', number)}/bias"] = (units,)
    widths = (1, *_FILTERS, *(_CHANNELS,) * 3, 2 * _POOLED, _HIDDEN)
    for number, width in enumerate(widths):
        name = _numbered("batch_normalization", number)
        trained |= {f"{name}/{part}": (width,) for part in ("beta", "gamma")}
        fixed |= {f"{name}/moving_{part}": (width,) for part in ("mean", "variance")}
    return fixed | {name + slot: shape for name, shape in trained.items() for slot in _SLOTS}


def _numbered(name: str, number: int) -> str:
    """Name a layer as TensorFlow does: the first of a kind has no number."""
    return f"{name}_{number}" if number else name


def build_pruned(variables: Mapping[str, FloatArray], n_genres: int) -> MusiCNN:
    """Build the network of the filters that are alive, in evaluation mode.

    The tag head is the published one, and so are its outputs; genre head and embedding are fresh.
    """
    tensors = {name: torch.from_numpy(value.copy()) for name, value in variables.items()}
    blocks = [_FrontEndWeights(tensors, number) for number in range(len(KERNELS))]
    model = MusiCNN(n_genres, filters=[int(block.alive.sum()) for block in blocks])
    alive = torch.cat([block.alive for block in blocks])
    constants = torch.cat([block.constants for block in blocks])
    state = _norm(tensors, 0, "input_norm")
    for number, block in enumerate(blocks):
        state |= block.state(f"front.{number}")
    for number in range(3):
        state |= _time_layer(tensors, number, alive, constants)
    state |= _dense_layer(tensors, alive, constants)
    state |= _norm(tensors, 10, "dense_norm")
    state |= {"tags.weight": tensors["dense_1/kernel"].T, "tags.bias": tensors["dense_1/bias"]}
    fresh = ("genres.", "nothing.", "embed.")
    state |= {name: value for name, value in model.state_dict().items() if name.startswith(fresh)}
    model.load_state_dict(
        {name: value.contiguous() for name, value in state.items()}
        | {name: value for name, value in model.state_dict().items() if "num_batches" in name}
    )
    return model.eval()


class _FrontEndWeights:
    """One block of the front end: the filters that are alive, and the constants of the others."""

    def __init__(self, tensors: Mapping[str, Tensor], number: int) -> None:
        name = _numbered("conv2d", number)
        # TensorFlow orders a kernel (height, width, inputs, outputs), PyTorch outputs first.
        self.kernel = tensors[f"{name}/kernel"].permute(3, 2, 0, 1)
        self.bias = tensors[f"{name}/bias"]
        self.norm = _norm(tensors, number + 1, "norm")
        self.alive = self.kernel.flatten(1).norm(dim=1) > DEAD
        scale, shift = _scale_and_shift(self.norm, "norm")
        self.constants = torch.relu(self.bias) * scale + shift

    def state(self, prefix: str) -> dict[str, Tensor]:
        """Return the part of the block that is kept."""
        kept = {"conv.weight": self.kernel, "conv.bias": self.bias, **self.norm}
        return {f"{prefix}.{name}": value[self.alive] for name, value in kept.items()}


def _norm(tensors: Mapping[str, Tensor], number: int, name: str) -> dict[str, Tensor]:
    layer = _numbered("batch_normalization", number)
    return {
        f"{name}.weight": tensors[f"{layer}/gamma"],
        f"{name}.bias": tensors[f"{layer}/beta"],
        f"{name}.running_mean": tensors[f"{layer}/moving_mean"],
        f"{name}.running_var": tensors[f"{layer}/moving_variance"],
    }


def _scale_and_shift(norm: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Return batch normalisation as a product and a sum."""
    scale = norm[f"{name}.weight"] / torch.sqrt(norm[f"{name}.running_var"] + EPSILON)
    return scale, norm[f"{name}.bias"] - norm[f"{name}.running_mean"] * scale


def _time_layer(
    tensors: Mapping[str, Tensor], number: int, alive: Tensor, constants: Tensor
) -> dict[str, Tensor]:
    """Return one layer over time; the first gets the sum of the constants as one more input."""
    name = _numbered("conv2d", number + len(KERNELS))
    weight = tensors[f"{name}/kernel"][:, :, 0].permute(2, 1, 0)
    if number == 0:
        dead = weight[:, ~alive] * constants[~alive][None, :, None]
        weight = torch.cat([weight[:, alive], dead.sum(1, keepdim=True)], dim=1)
    layer = {f"layers.{number}.weight": weight, f"layers.{number}.bias": tensors[f"{name}/bias"]}
    return layer | _norm(tensors, number + len(KERNELS) + 1, f"norms.{number}")


def _dense_layer(
    tensors: Mapping[str, Tensor], alive: Tensor, constants: Tensor
) -> dict[str, Tensor]:
    """Return the penultimate layer with the normalisation before it and all constants folded in."""
    scale, shift = _scale_and_shift(_norm(tensors, 9, "pool"), "pool")
    kernel = tensors["dense/kernel"].T
    bias = tensors["dense/bias"] + kernel @ shift
    # The original interleaves maximum and mean of each input; here all maxima come first.
    weight = (kernel * scale).reshape(_HIDDEN, _POOLED, 2)
    bias = bias + weight[:, :_FRONT][:, ~alive].sum(2) @ constants[~alive]
    weight = weight[:, torch.cat([alive, torch.ones(3 * _CHANNELS, dtype=torch.bool)])]
    return {"dense.weight": torch.cat([weight[..., 0], weight[..., 1]], dim=1), "dense.bias": bias}


def describe(checkpoint: Path) -> dict[str, str]:
    """Return name, origin, licence and SHA-256 of the published network, for a model card."""
    return {
        "name": VARIANT,
        "source": "PyPI musicnn 0.1.0 (Pons and Serra, 2019), trained on the Million Song Dataset",
        "licence": "ISC",
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
    }
