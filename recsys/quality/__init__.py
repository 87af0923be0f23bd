"""How good the recommendations are, measured on any library.

    library --read_catalogue--> columns --choose_labels, draw_queries--> Task
    Task + System --judge--> rankings in blocks --metrics--> figures with intervals --> Quality

:mod:`~recsys.quality.metrics` holds the measures, pure functions of arrays;
:mod:`~recsys.quality.systems` the rankings that are compared; :mod:`~recsys.quality.systems`
those that reduce hubness.
"""

from recsys.quality.measure import measure_quality
from recsys.quality.results import FIGURES, Quality, QualityOptions, SystemQuality

__all__ = ["FIGURES", "Quality", "QualityOptions", "SystemQuality", "measure_quality"]
