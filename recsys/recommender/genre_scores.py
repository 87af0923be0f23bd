"""How far a query belongs to each genre, and which genre a name means."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsys.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.types import FloatArray, ModelInfo

Scores: TypeAlias = tuple[tuple[str, float], ...]
"""Labels with a query's score of each in [0, 1], never rising."""

SMOOTHING = 0.25
"""Weight of the smoothed probabilities in a genre score.

Genres that a classifier confuses share about a tenth of their tracks, so smoothing moves a score by
about 0.025. A genre that the model hears more clearly than that is placed by what was heard; below
it, where the probabilities of a confident model are nothing but noise, the genres stand in the
order in which they resemble the ones that were heard.
"""


def genre_scores(info: ModelInfo, probabilities: FloatArray) -> Scores:
    """Score every genre of the model for a query, the best first.

    A score is ``(1 - w) * p + w * (p @ confusion)`` with ``w`` = :data:`SMOOTHING`: the calibrated
    probability, blended with what the classifier would say of such tracks, judging by its mistakes
    on validation data. So a track that is 99% classical still has a sensible second genre.

    The most probable genre always stands first. Where smoothing lifts another one above it, that
    one is held at the score of the first, so that the scores never rise along the list; genres that
    were held stand in the order of their scores before that. Ties keep the order of the labels.

    Parameters
    ----------
    info : ModelInfo
        Labels and confusion matrix.
    probabilities : ndarray of float32, shape (n_genres,)
        Calibrated, sum 1, in the order of the labels.

    Returns
    -------
    tuple of (str, float)
        Every genre with its score in [0, 1], never rising.

    Examples
    --------
    >>> from recsys.types import ModelInfo
    >>> confusion = np.array([[0.9, 0.0, 0.1], [0.0, 1.0, 0.0], [0.2, 0.0, 0.8]], np.float32)
    >>> info = ModelInfo("toy", "f", ("classical", "hiphop", "jazz"), (0.5,) * 3, confusion, 2)
    >>> scores = genre_scores(info, np.array([1.0, 0.0, 0.0], np.float32))
    >>> [(genre, round(score, 3)) for genre, score in scores]
    [('classical', 0.975), ('jazz', 0.025), ('hiphop', 0.0)]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    smoothed = (1 - SMOOTHING) * p + SMOOTHING * (p @ info.confusion.astype(np.float64))
    top = int(np.argmax(p))
    ranking = smoothed.copy()
    ranking[top] = np.inf
    order = np.argsort(-ranking, kind="stable")
    held = np.clip(smoothed, 0.0, min(1.0, float(smoothed[top])))
    return tuple((info.labels[i], float(held[i])) for i in order)


def resolve_genre(info: ModelInfo, name: str) -> str:
    """Return the genre of the model that a name means; case and surrounding spaces do not matter.

    Raises
    ------
    QueryError
        The model has no such genre. The message offers the nearest name, the hint lists them all.
    """
    by_key = {label.casefold(): label for label in info.labels}
    key = name.strip().casefold()
    if key in by_key:
        return by_key[key]
    raise QueryError(
        f"unknown genre {name!r}{did_you_mean(key, by_key)}",
        f"The model knows: {', '.join(info.labels)}.",
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to this one, or nothing.

    Examples
    --------
    >>> did_you_mean("clasical", ["classical", "jazz"])
    "; did you mean 'classical'?"
    >>> did_you_mean("zydeco", ["classical", "jazz"])
    ''
    """
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
