"""A residual CNN over log-mel windows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys.classifier.models.blocks import EmbeddingHead, Trunk


class GenreCNN(nn.Module):
    """Convolutions, then the mean and the maximum over time and frequency.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : (int, int)
        Mel bands and frames of a window; any number of frames will do.
    channels : tuple of int
        Stem and stages, see :class:`~recsys.classifier.models.blocks.Trunk`.
    dimension : int
        Length of the embedding.
    dropout : float
        In the head, in training only.
    """

    def __init__(
        self,
        n_genres: int,
        shape: tuple[int, int] = (128, 130),
        channels: tuple[int, ...] = (32, 64, 96, 144),
        dimension: int = 128,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(tuple(channels))
        bands = -(-shape[0] // self.trunk.reduction)
        self.mix = nn.Conv1d(self.trunk.outputs * bands, 2 * dimension, 1, bias=False)
        self.mix_norm = nn.BatchNorm1d(2 * dimension)
        self.head = EmbeddingHead(4 * dimension, dimension, n_genres, dropout)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Look at log-mel windows.

        Parameters
        ----------
        windows : Tensor of float32, shape (b, n_mels, frames)
            Standardised log-mel.

        Returns
        -------
        logits : Tensor, shape (b, n_genres)
        embedding : Tensor, shape (b, dimension)
            Not yet of unit length.
        """
        features = self.trunk(windows.unsqueeze(1)).flatten(1, 2)
        features = torch.relu(self.mix_norm(self.mix(features)))
        return self.head(torch.cat([features.mean(2), features.amax(2)], dim=1))  # type: ignore[no-any-return]
