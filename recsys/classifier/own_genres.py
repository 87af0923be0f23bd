"""A genre head on the user's own genres, judged before anybody relies on it.

Every figure here comes from heads that learned from no track of the artist whose tracks they
judge. Beside them stand the present model, on the genres that both know, and the answer that is
right most often without listening at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.calibrate import (
    fit_temperature,
    fit_thresholds,
    smoothed_confusion,
    softmax,
)
from recsys.classifier.evaluate import Evaluation, score
from recsys.classifier.group_bootstrap import GroupBootstrap, Measured
from recsys.classifier.track_head import LinearHead, fit_head, out_of_fold_logits
from recsys.genre_names import labels_meant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.classifier.own_labels import OwnLabels
    from recsys.types import FloatArray, IdArray

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Contender:
    """How often someone finds the genre.

    Attributes
    ----------
    name : str
        ``new head``, ``present model`` or ``always GENRE``.
    accuracy, macro_f1 : Measured
        With 95% intervals from resampling whole artists.
    """

    name: str
    accuracy: Measured
    macro_f1: Measured


@dataclass(frozen=True, slots=True)
class Comparison:
    """New head and present model on the same tracks.

    Attributes
    ----------
    labels : tuple of str
        Genres of the present model that own genres mean; both are judged by these.
    n : int
        Tracks whose own genre means exactly one of the model's labels.
    new, present : Contender
    gain_accuracy, gain_macro_f1 : Measured
        Differences, new less present, over the same resamples.
    """

    labels: tuple[str, ...]
    n: int
    new: Contender
    present: Contender
    gain_accuracy: Measured
    gain_macro_f1: Measured


@dataclass(frozen=True, slots=True)
class OwnGenres:
    """A genre head and what is known of it.

    Attributes
    ----------
    labels : tuple of str
        Genres, in the order of the scores.
    head : LinearHead
        Fitted on all tracks.
    temperature, thresholds, confusion
        As a model card has them, from out-of-fold scores.
    evaluation : Evaluation
        Out of fold, over all tracks and genres.
    new, majority : Contender
        Over all tracks and genres.
    comparison : Comparison or None
        With the present model; None where no own genre means one of its labels.
    folds, seed : int
        Of the cross-validation.
    """

    labels: tuple[str, ...]
    head: LinearHead
    temperature: float
    thresholds: tuple[float, ...]
    confusion: tuple[tuple[float, ...], ...]
    evaluation: Evaluation
    new: Contender
    majority: Contender
    comparison: Comparison | None
    folds: int
    seed: int


def learn_own_genres(
    own: OwnLabels,
    embeddings: FloatArray,
    present: IdArray,
    present_labels: Sequence[str],
    *,
    seed: int = 0,
    on_fold: Callable[[], None] | None = None,
) -> OwnGenres:
    """Fit a head, and judge it by cross-validation by artist.

    Parameters
    ----------
    own : OwnLabels
        Tracks, genres and groups.
    embeddings : ndarray of float32, shape (n, d)
        Of those tracks, unit length.
    present : ndarray of int64, shape (n,)
        What the present model takes each of them for, as numbers of `present_labels`.
    present_labels : sequence of str
        The genres of the present model.
    seed : int
        Of folds and resamples.
    on_fold : callable, optional
        Called :data:`FOLDS` + 1 times, for a progress bar.

    Returns
    -------
    OwnGenres
    """
    n_genres = len(own.labels)
    largest = int(np.bincount(own.targets).max())
    folds = min(FOLDS, len(np.unique(own.groups)), largest)
    logits = out_of_fold_logits(
        embeddings, own.targets, own.groups, n_genres, folds=folds, seed=seed, on_fold=on_fold
    )
    head = fit_head(embeddings, own.targets, n_genres)
    if on_fold is not None:
        on_fold()
    temperature = fit_temperature(logits, own.targets)
    probabilities = softmax(logits, temperature)
    given = probabilities.argmax(axis=1)
    bootstrap = GroupBootstrap(own.groups, seed)
    commonest = int(np.bincount(own.targets).argmax())
    return OwnGenres(
        labels=own.labels,
        head=head,
        temperature=temperature,
        thresholds=fit_thresholds(probabilities, own.targets),
        confusion=tuple(map(tuple, smoothed_confusion(given, own.targets, n_genres).tolist())),
        evaluation=score(probabilities, own.targets, own.labels),
        new=_contender("new head", bootstrap, given, own.targets),
        majority=_contender(
            f"always {own.labels[commonest]}",
            bootstrap,
            np.full_like(given, commonest),
            own.targets,
        ),
        comparison=_compare(own, given, present, present_labels, seed),
        folds=folds,
        seed=seed,
    )


def _contender(name: str, bootstrap: GroupBootstrap, given: IdArray, targets: IdArray) -> Contender:
    accuracy, macro_f1 = bootstrap.measure(given, targets)
    return Contender(name, accuracy.summary(), macro_f1.summary())


def _compare(
    own: OwnLabels, given: IdArray, present: IdArray, present_labels: Sequence[str], seed: int
) -> Comparison | None:
    """Judge both by the labels of the present model, where the own genres mean just one of them."""
    meaning = np.asarray([_meant(label, present_labels) for label in own.labels], dtype=np.int64)
    truth = meaning[own.targets]
    shared = np.flatnonzero(truth >= 0)
    if len(shared) == 0:
        return None
    bootstrap = GroupBootstrap(own.groups[shared], seed)
    new = bootstrap.measure(meaning[given[shared]], truth[shared])
    old = bootstrap.measure(present[shared], truth[shared])
    gains = [mine.less(theirs) for mine, theirs in zip(new, old, strict=True)]
    return Comparison(
        labels=tuple(present_labels[number] for number in np.unique(truth[shared])),
        n=len(shared),
        new=Contender("new head", new[0].summary(), new[1].summary()),
        present=Contender("present model", old[0].summary(), old[1].summary()),
        gain_accuracy=gains[0].summary(),
        gain_macro_f1=gains[1].summary(),
    )


def _meant(name: str, labels: Sequence[str]) -> int:
    """Return the number of the one label that a genre means, -1 for none or several."""
    meant = labels_meant(name, labels)
    return labels.index(meant[0]) if len(meant) == 1 else -1
