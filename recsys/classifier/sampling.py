"""Which windows training looks at: genres in equal shares, whatever their number of tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.datasets import restore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.classifier.datasets import Example, Pieces
    from recsys.types import FloatArray, IdArray


class BalancedSampler:
    """Draws windows: a genre, then one of its tracks, then a view, then a place in it.

    Parameters
    ----------
    examples : sequence of Example
        At least one for every label.
    labels : sequence of str
        Genres in the order of the model's outputs.
    """

    def __init__(self, examples: Sequence[Example], labels: Sequence[str]) -> None:
        self._examples = list(examples)
        self._of_genre = [
            [number for number, example in enumerate(self._examples) if example.genre == label]
            for label in labels
        ]

    def draw(self, rng: np.random.Generator, batch: int, frames: int) -> tuple[FloatArray, IdArray]:
        """Draw two windows each of `batch` tracks, no track twice while there are enough.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of chance.
        batch : int
            Number of tracks.
        frames : int
            Length of a window, frames; shorter pieces are repeated.

        Returns
        -------
        windows : ndarray of float32, shape (2, batch, n_mels, frames)
        targets : ndarray of int64, shape (batch,)
            Number of the genre.
        """
        genres = np.resize(rng.permutation(len(self._of_genre)), batch)
        waiting: dict[int, list[int]] = {}
        pairs, targets = [], []
        for genre in genres:
            queue = waiting.setdefault(int(genre), [])
            if not queue:
                queue += rng.permutation(self._of_genre[genre]).tolist()
            example = self._examples[queue.pop()]
            pairs.append([self._window(example.views, rng, frames) for _ in range(2)])
            targets.append(genre)
        return restore(np.asarray(pairs).swapaxes(0, 1)), np.asarray(targets, dtype=np.int64)

    def draw_outliers(
        self, outliers: Pieces, rng: np.random.Generator, count: int, frames: int
    ) -> FloatArray:
        """Draw two windows each of `count` sounds that are no music.

        Parameters
        ----------
        outliers : ndarray of int8, shape (n, n_mels, longer)
            See :func:`recsys.classifier.outliers.make_outliers`.
        rng, count, frames
            As in :meth:`draw`.

        Returns
        -------
        ndarray of float32, shape (2, count, n_mels, frames)
        """
        chosen = rng.choice(len(outliers), count, replace=False)
        pairs = [
            [self._window((outliers[number][np.newaxis],), rng, frames) for _ in range(2)]
            for number in chosen
        ]
        return restore(np.asarray(pairs).swapaxes(0, 1))

    @staticmethod
    def _window(views: Sequence[Pieces], rng: np.random.Generator, frames: int) -> Pieces:
        """Cut a window out of a view; longer views are the likelier, by the root of length."""
        weights = np.sqrt([view.shape[0] * view.shape[2] for view in views])
        view = views[rng.choice(len(views), p=weights / weights.sum())]
        piece: Pieces = view[rng.integers(len(view))]
        length = piece.shape[1]
        start = int(rng.integers(length - frames + 1 if length >= frames else length))
        window: Pieces = piece.take(np.arange(start, start + frames), axis=1, mode="wrap")
        return window
