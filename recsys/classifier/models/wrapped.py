"""What may stand around a network: scaling before it, and another reading of what comes out.

Networks give ``(logits, embedding)``, or ``(logits, embedding, tag_logits)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.types import IdArray

PIECE = 256
"""Inputs that are looked at together."""


class Standardised(nn.Module):
    """A network whose inputs are shifted and scaled first, by what the training set has taught.

    Parameters
    ----------
    network : nn.Module
        Sees inputs of mean 0 and variance 1.
    shape : tuple of int
        Of one input. The values of a vector are scaled each on its own, those of a picture
        all alike.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network
        size = tuple(shape) if len(shape) == 1 else (1,) * len(shape)
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, inputs: npt.NDArray[np.floating], rows: IdArray) -> None:
        """Learn shift and scale.

        Parameters
        ----------
        inputs : ndarray, shape (n, *shape)
            Read in pieces: all pictures in double precision would be many gigabytes.
        rows : ndarray of int64, shape (n_train,)
            The training set, at least one. A value that never changes is only shifted.
        """
        axes = 0 if self.shift.ndim == 1 else None
        parts = [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]
        sizes = np.asarray([len(part) for part in parts]) / len(rows)
        means = [inputs[part].mean(axis=axes, dtype="float64") for part in parts]
        mean = np.tensordot(sizes, means, 1)
        variances = [
            np.square(inputs[part].astype("float64") - mean).mean(axis=axes) for part in parts
        ]
        deviation = np.sqrt(np.tensordot(sizes, variances, 1))
        self.shift.copy_(torch.as_tensor(mean).reshape(self.shift.shape))
        spread = torch.as_tensor(deviation).reshape(self.scale.shape)
        self.scale.copy_(torch.where(spread > 1e-12, spread, torch.ones_like(spread)))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, *shape) to logits (b, n_genres) and embedding (b, d)."""
        return self.network((inputs - self.shift) / self.scale)  # type: ignore[no-any-return]


class EachGenreAlone(nn.Module):
    """A network whose outputs are one yes or no for each genre.

    It gives logarithms of those probabilities, of which a softmax makes shares in proportion.

    Parameters
    ----------
    network : nn.Module
        Trained with a sigmoid for each genre.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, *shape) to log-probabilities (b, n_genres) and embedding (b, d)."""
        logits, embedding = self.network(inputs)
        return functional.logsigmoid(logits), embedding


class TrackHead(nn.Module):
    """A network whose genres are read off the embedding of the whole track.

    The genres of the network itself are kept in its weights and not used.

    Parameters
    ----------
    network : nn.Module
        Its embeddings and tags stay as they are.
    dimension : int
        Length of its embedding.
    n_genres : int
        Number of labels of the head.
    """

    def __init__(self, network: nn.Module, dimension: int, n_genres: int) -> None:
        super().__init__()
        self.network = network
        self.genres = nn.Linear(dimension, n_genres)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Map (b, *shape) to (logits (b, n_genres), embedding (b, d), *rest): windows as tracks."""
        _, embedding, *rest = self.network(inputs)
        return self.genres(functional.normalize(embedding)), embedding, *rest

    def of_tracks(self, embeddings: Tensor) -> Tensor:
        """Map unit embeddings of tracks (n, d) to logits (n, n_genres)."""
        return self.genres(embeddings)  # type: ignore[no-any-return]
