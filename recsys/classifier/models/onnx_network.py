"""An ONNX file in the place of a network."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from recsys.classifier.onnx_session import OnnxSession
from recsys.errors import ModelError


class OnnxNetwork(nn.Module):
    """A network that onnxruntime runs, on the processor. It has no weights of its own here.

    Parameters
    ----------
    n_genres : int
        Number of labels that the TOML beside the file names.
    shape : tuple of int
        Of one input.
    file : str
        Path of the ``.onnx`` file.
    fingerprint : str
        Of the file and its TOML, when the model card was written.
    session : OnnxSession, optional
        The file, if it is loaded already.

    Raises
    ------
    ModelError
        If the file cannot be used, or is another one by now.
    """

    def __init__(
        self,
        n_genres: int,
        shape: tuple[int, ...],
        file: str,
        fingerprint: str,
        session: OnnxSession | None = None,
    ) -> None:
        super().__init__()
        self.session = session or OnnxSession(Path(file))
        description = self.session.description
        if self.session.fingerprint != fingerprint:
            raise ModelError(
                f"{file} or its TOML has changed (fingerprint {self.session.fingerprint}, the model"
                f" card says {fingerprint})",
                "Put the former files back, or make the model again.",
            )
        if (len(description.labels), description.features.shape) != (n_genres, tuple(shape)):
            raise ModelError(
                f"{file} has {len(description.labels)} genres and windows of shape"
                f" {description.features.shape}, the model card says {n_genres} and {tuple(shape)}",
                "The model card is damaged; make the model again.",
            )

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Map (b, *shape) to logits (b, n_genres), embedding (b, d) and perhaps tag logits."""
        outputs = self.session.run(inputs.detach().cpu().numpy())
        return tuple(torch.from_numpy(rows).to(inputs.device) for rows in outputs)
