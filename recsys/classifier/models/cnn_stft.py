"""Five convolutions over a short-time Fourier transform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.layers import convolutions
from recsys.classifier.models.shapes import check_axes, flat_size, positive_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence


class CNNSTFT(nn.Module):
    """The convolutional branch of the parallel network of Feng et al. (arXiv:1712.08370), alone.

    Dawra, Bansal & Patel name the network and the input, 513 bins by 128 frames, and no size, so
    the sizes are choices made here. Five convolutions, three bins high and one frame wide and
    padded to keep the size, with pools of 2, 2, 2, 4 and 4 leave 4 x 1 cells of 64 channels. These
    256 values go into the softmax; they are the embedding.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Frequency bins and frames.
    filters, pools : sequence of int
        Channels and side of the pool, for each convolution.
    kernel : int
        Height of all kernels, in bins.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: Sequence[int] = (16, 32, 64, 128, 64),
        pools: Sequence[int] = (2, 2, 2, 4, 4),
        kernel: int = 3,
    ) -> None:
        super().__init__()
        bins, frames = check_axes(shape, ("bins", "frames"))
        kernels = [kernel] * len(positive_sizes("filters", filters))
        self.trunk = convolutions(1, filters, kernels, pools, flat=True, same=True)
        self.width = flat_size(self.trunk, (1, bins, frames))
        self.output = nn.Linear(self.width, n_genres)

    def embed(self, x: Tensor) -> Tensor:
        """Map (b, bins, frames) to what goes into the last layer, (b, width)."""
        embedding: Tensor = self.trunk(x.unsqueeze(1)).flatten(1)
        return embedding

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, bins, frames) to logits (b, n_genres) and embedding (b, width)."""
        embedding = self.embed(x)
        return self.output(embedding), embedding
