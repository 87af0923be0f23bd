"""The fingerprint of a model: by it a library knows what heard its tracks."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.classifier.checkpoint import ModelCard

_HASHED = (
    *("architecture", "config", "labels", "features"),
    *("dimension", "temperature", "thresholds", "confusion"),
)
_HASHED_WHERE_GIVEN = ("tags", "tag_means", "tag_deviations")


def fingerprint(weights: bytes, card: ModelCard) -> str:
    """Hash everything that changes what the model says.

    Parameters
    ----------
    weights : bytes
        The safetensors file.
    card : ModelCard
        Architecture, labels, features, calibration and, where it has any, tags are hashed; words
        about the model are not.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    fields = card.as_dict()
    known = {name: fields[name] for name in _HASHED}
    # What came later counts only where it is used, so that older models keep their fingerprints.
    known |= {name: fields[name] for name in _HASHED_WHERE_GIVEN if fields[name]}
    digest = hashlib.sha256(weights)
    digest.update(json.dumps(known, sort_keys=True).encode())
    return digest.hexdigest()[:16]
