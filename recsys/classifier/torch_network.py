"""Networks that PyTorch computes, on whatever device it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from recsys.classifier.models.wrapped import TrackHead

if TYPE_CHECKING:
    from torch import nn

    from recsys.types import FloatArray


class TorchNetwork:
    """A module as a :class:`recsys.classifier.network.Network`.

    Parameters
    ----------
    module : nn.Module
        Windows to (logits, embedding) or (logits, embedding, tag_logits).
    device : torch.device
        Where it computes; the module is moved there.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.device = device
        self.module = module.to(device)

    def of_windows(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """See :meth:`recsys.classifier.network.Network.of_windows`."""
        self.module.eval()
        with torch.inference_mode():
            outputs = self.module(torch.from_numpy(windows).to(self.device).float())
            return tuple(output.float().cpu().numpy() for output in outputs)

    def of_tracks(self, embeddings: FloatArray) -> FloatArray | None:
        """See :meth:`recsys.classifier.network.Network.of_tracks`."""
        if not isinstance(self.module, TrackHead):
            return None
        with torch.inference_mode():
            logits: FloatArray = (
                self.module.of_tracks(torch.from_numpy(embeddings).to(self.device))
                .float()
                .cpu()
                .numpy()
            )
        return logits


def for_inference(module: nn.Module, device: torch.device) -> TorchNetwork:
    """Return a network that only listens, laid out in memory as convolutions are quickest."""
    # PyTorch's stubs lack the overload with a memory format alone.
    module = module.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return TorchNetwork(module, device)
