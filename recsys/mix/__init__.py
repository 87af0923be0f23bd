"""Tempo, key and loudness of whole tracks, measured on request: ``recsys index --also``.

Loudness is FFmpeg's measurement by EBU R 128, which the core has. Tempo and key need the extra
``[mix]``: the package sonara. :mod:`recsys.mix.measuring` is what a worker process does with one
file, :mod:`recsys.mix.tempo` and :mod:`recsys.mix.key` read sonara's answers, and
:mod:`recsys.mix.run` brings a library up to date.
"""

from recsys.mix.measuring import Measurer, measure
from recsys.mix.run import MixEvent, MixPlan, MixSummary, check_kinds, measure_library

__all__ = [
    "Measurer",
    "MixEvent",
    "MixPlan",
    "MixSummary",
    "check_kinds",
    "measure",
    "measure_library",
]
