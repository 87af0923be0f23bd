"""What a network is to those who listen with it, whatever computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from recsys.types import FloatArray


class Network(Protocol):
    """A network that is ready to listen; arrays in, arrays out."""

    def of_windows(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """Listen to windows.

        Parameters
        ----------
        windows : ndarray of float32, shape (n, *shape)
            At least one, of any tracks.

        Returns
        -------
        logits : ndarray of float32, shape (n, n_genres)
        embeddings : ndarray of float32, shape (n, d)
            Not yet of unit length.
        tag_logits : ndarray of float32, shape (n, n_tags), optional
            Only of a network with tags.
        """

    def of_tracks(self, embeddings: FloatArray) -> FloatArray | None:
        """Map unit embeddings of tracks (n, d) to logits (n, n_genres).

        None for a network whose logits are the means of those of its windows.
        """
