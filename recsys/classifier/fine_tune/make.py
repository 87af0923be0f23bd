"""Making the default model: measured on held-out tracks, calibrated by artist, learned from all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.fine_tune.heads import Lessons, teacher_tags
from recsys.classifier.fine_tune.hearing import hear
from recsys.classifier.fine_tune.outliers import hear_outliers
from recsys.classifier.fine_tune.tags import TagAgreement, keep_tags, measure_agreement
from recsys.classifier.fine_tune.teacher import TAGS
from recsys.classifier.fine_tune.validate import (
    Said,
    cross_validate,
    folds_by_artist,
    make_network,
    say,
)
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.classifier.fine_tune.pictures import PicturedMusic
    from recsys.classifier.fine_tune.settings import FineTuneSettings
    from recsys.classifier.models.musicnn import MusiCNN
    from recsys.features import CompressedMel
    from recsys.types import FloatArray

LEAST_TRACKS = 20
"""With fewer there is nothing to calibrate by."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The network, and what networks made the same way said of tracks unknown to them.

    Attributes
    ----------
    model : MusiCNN
        Learned from all tracks; tells the tags that are kept.
    out_of_fold : Said
        One row per track, by cross-validation.
    valid : Said or None
        Of the validation list, by a network that learned from the training list; None without
        lists.
    taught_tags : ndarray of float32, shape (n_tracks, n_tags)
        The teacher's, pooled.
    said_tags : ndarray of float32, shape (n_tracks, n_kept)
        The network's own of all tracks, pooled.
    agreement : dict
        Tag to its agreement with the teacher, of all tags.
    n_folds : int
        Of the cross-validation.
    """

    model: MusiCNN
    out_of_fold: Said
    valid: Said | None
    taught_tags: FloatArray
    said_tags: FloatArray
    agreement: dict[str, TagAgreement]
    n_folds: int

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the tags that are kept."""
        return tuple(tag for tag, found in self.agreement.items() if found.is_learned)


@dataclass(frozen=True, slots=True)
class Steps:
    """Who wants to know how far the work has come; each is called with the total.

    Attributes
    ----------
    on_track : callable or None
        After every track that was heard.
    on_step : callable or None
        After every step of every tuning.
    """

    on_track: Callable[[int], None] | None = None
    on_step: Callable[[int], None] | None = None


def make_default(
    teacher: MusiCNN,
    music: PicturedMusic,
    features: CompressedMel,
    settings: FineTuneSettings,
    steps: Steps | None = None,
) -> Made:
    """Make the default model.

    Parameters
    ----------
    teacher : MusiCNN
        See :func:`recsys.classifier.fine_tune.teacher.build_pruned`.
    music : PicturedMusic
        Labelled tracks.
    features : CompressedMel
        What a window looks like.
    settings : FineTuneSettings
    steps : Steps, optional
        Who is told of progress.

    Returns
    -------
    Made

    Raises
    ------
    ModelError
        If there are too few tracks to validate on, or all by one artist, or the training fails.
    """
    steps = steps or Steps()
    if len(music.tracks) < LEAST_TRACKS:
        raise ModelError(
            f"{len(music.tracks)} tracks are too few to learn from and to be measured on",
            f"Give {LEAST_TRACKS} at least; some hundreds make a useful model.",
        )
    folds = folds_by_artist(music.targets, music.groups, settings.folds, settings.seed)
    heard = hear(teacher, music.tracks, settings.variations, settings.seed, steps.on_track)
    outliers = hear_outliers(teacher, settings.outliers, settings.seed, features)
    lessons = Lessons(heard, music.targets, teacher_tags(teacher, heard), outliers)
    runs = len(folds) + 1 + bool(len(music.valid))
    total = runs * settings.epochs * settings.steps_per_epoch

    def on_step(_: float) -> None:
        if steps.on_step is not None:
            steps.on_step(total)

    out_of_fold = cross_validate(teacher, lessons, folds, settings, on_step)
    valid = None
    if len(music.valid):
        network = make_network(teacher, lessons.of(music.train), settings, settings.seed, on_step)
        valid = say(network, [heard[place].plain for place in music.valid])
    taught = np.stack([rows.mean(axis=0) for rows in lessons.tag_logits])
    agreement = measure_agreement(out_of_fold.tag_logits, taught, TAGS)
    final = make_network(teacher, lessons, settings, settings.seed, on_step)
    final = keep_tags(final, [n for n, tag in enumerate(TAGS) if agreement[tag].is_learned])
    said = say(final, [track.plain for track in heard])
    return Made(final, out_of_fold, valid, taught, said.tag_logits, agreement, len(folds))
