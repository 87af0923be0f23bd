"""Which of the teacher's tags the network still tells, and how well."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recsys.classifier.models.musicnn import tag_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.classifier.models.musicnn import MusiCNN
    from recsys.types import FloatArray

LEAST_TRACKS = 10
"""With fewer there is no tenth of them."""

TOP_SHARE = 0.1
"""Of the tracks, those that the teacher gives a tag most strongly are said to carry it."""

LEAST_CORRELATION = 0.8
LEAST_AUC = 0.9
"""A tag is kept if tracks that were not learned from come in nearly the teacher's order, and those
that carry it stand nearly always before those that do not."""


@dataclass(frozen=True, slots=True)
class TagAgreement:
    """How well a tag agrees with the teacher's, on tracks that were not learned from.

    Attributes
    ----------
    rank_correlation : float
        Spearman's, over all tracks; 0 where one side says the same of all.
    roc_auc : float
        Against the tenth of the tracks that the teacher gives the tag most strongly.
    """

    rank_correlation: float
    roc_auc: float

    @property
    def is_learned(self) -> bool:
        """Both figures reach what is asked of a tag that is kept."""
        return self.rank_correlation >= LEAST_CORRELATION and self.roc_auc >= LEAST_AUC

    def as_dict(self) -> dict[str, Any]:
        """Return the figures and whether the tag is kept, ready for JSON."""
        return {**asdict(self), "kept": self.is_learned}


def measure_agreement(
    said: FloatArray, taught: FloatArray, tags: Sequence[str]
) -> dict[str, TagAgreement]:
    """Compare pooled tag logits with the teacher's.

    Parameters
    ----------
    said, taught : ndarray, shape (n_tracks, n_tags)
        At least :data:`LEAST_TRACKS`.
    tags : sequence of str
        Names.

    Returns
    -------
    dict
        Tag to agreement, in the order of `tags`.
    """
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    agreement: dict[str, TagAgreement] = {}
    count = max(1, round(TOP_SHARE * len(taught)))
    for name, mine, theirs in zip(tags, said.T, taught.T, strict=True):
        carries = np.zeros(len(theirs), dtype=bool)
        carries[np.argsort(-theirs, kind="stable")[:count]] = True
        varies = np.ptp(mine) > 0 and np.ptp(theirs) > 0
        correlation = float(spearmanr(mine, theirs).statistic) if varies else 0.0
        agreement[name] = TagAgreement(correlation, float(roc_auc_score(carries, mine)))
    return agreement


def keep_tags(model: MusiCNN, places: Sequence[int]) -> MusiCNN:
    """Return a copy of a network that tells only some of its tags.

    Parameters
    ----------
    model : MusiCNN
    places : sequence of int
        Outputs of the tag head to keep, in order.

    Returns
    -------
    MusiCNN
    """
    kept = copy.deepcopy(model)
    chosen = torch.as_tensor(list(places), dtype=torch.long)
    kept.tags = tag_head(model.tags.in_features, len(chosen))
    with torch.no_grad():
        kept.tags.weight.copy_(model.tags.weight[chosen])
        kept.tags.bias.copy_(model.tags.bias[chosen])
    return kept
