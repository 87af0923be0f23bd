"""Agreement of tags with those of a teacher, which decides on the tags that a model keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.types import FloatArray

LEAST_TRACKS_FOR_TAGS = 10
"""With fewer there is no top tenth."""

TOP_SHARE = 0.1
"""Share of the tracks with the teacher's highest logits of a tag: those that carry it."""

LEAST_CORRELATION = 0.8
LEAST_AUC = 0.9
"""Out of fold, for a tag to be kept."""


@dataclass(frozen=True, slots=True)
class TagAgreement:
    """Agreement of a tag with the teacher's, on tracks that were not trained on."""

    rank_correlation: float  # Spearman's, over all tracks; 0 where one side is constant
    roc_auc: float  # against the tenth of the tracks with the teacher's highest logits

    @property
    def is_learned(self) -> bool:
        """Whether both figures are high enough for the tag to be kept."""
        return self.rank_correlation >= LEAST_CORRELATION and self.roc_auc >= LEAST_AUC

    def as_dict(self) -> dict[str, Any]:
        """Return the figures and whether the tag is kept, ready for JSON."""
        return {**asdict(self), "kept": self.is_learned}


def measure_agreement(
    logits: FloatArray, taught: FloatArray, tags: Sequence[str]
) -> dict[str, TagAgreement]:
    """Compare pooled tag logits (n_tracks, n_tags) with the teacher's, by tag."""
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    agreement: dict[str, TagAgreement] = {}
    for name, all_mine, all_theirs in zip(tags, logits.T, taught.T, strict=True):
        known = np.isfinite(all_theirs)
        mine, theirs = all_mine[known], all_theirs[known]
        count = max(1, round(TOP_SHARE * len(theirs)))
        carries = np.zeros(len(theirs), dtype=bool)
        carries[np.argsort(-theirs, kind="stable")[:count]] = True
        varies = np.ptp(mine) > 0 and np.ptp(theirs) > 0
        correlation = float(spearmanr(mine, theirs).statistic) if varies else 0.0
        agreement[name] = TagAgreement(correlation, float(roc_auc_score(carries, mine)))
    return agreement
