"""What models look at: log-mel windows, and what the published systems were shown.

Libraries that are slow to load are imported where they are used: most commands never need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsys.features.base import Features
from recsys.features.compressed_mel import CompressedMel
from recsys.features.log_mel import MEL, LogMel, log_mel
from recsys.features.mfcc import Mfcc
from recsys.features.picture import Picture
from recsys.features.public_table import PublicTable
from recsys.features.stft import Stft
from recsys.features.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Mapping

FEATURE_KINDS: Mapping[str, type[Features]] = {
    cls.kind: cls for cls in (LogMel, CompressedMel, Mfcc, Summary, PublicTable, Stft, Picture)
}
"""Every kind of features, by its name in model cards and recipes."""

__all__ = [
    "FEATURE_KINDS",
    "MEL",
    "CompressedMel",
    "Features",
    "LogMel",
    "Mfcc",
    "Picture",
    "PublicTable",
    "Stft",
    "Summary",
    "features_from_dict",
    "log_mel",
]


def features_from_dict(settings: Mapping[str, Any]) -> Features:
    """Undo :meth:`Features.as_dict`.

    Parameters
    ----------
    settings : mapping
        ``kind`` and the fields of that kind.

    Returns
    -------
    Features

    Raises
    ------
    ValueError
        If the kind is not known.
    TypeError
        If a field is not known.

    Examples
    --------
    >>> features_from_dict(MEL.as_dict()) == MEL
    True
    """
    fields = dict(settings)
    kind = fields.pop("kind", None)
    if kind not in FEATURE_KINDS:
        raise ValueError(f"unknown features {kind!r}; known are {', '.join(FEATURE_KINDS)}")
    return FEATURE_KINDS[kind](**fields)
