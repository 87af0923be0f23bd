"""Quality of recommendations, measured on any library.

    library --read_columns--> Columns --choose_labels, draw_queries--> QualityTask
    QualityTask + System --judge--> rankings in blocks --metrics--> Figures --> Quality

:mod:`~recsys.quality.metrics` holds the measures, pure functions of arrays;
:mod:`~recsys.quality.systems` the rankings that are compared.
"""

from recsys.quality.evaluation import measure_quality
from recsys.quality.results import FIGURES, Quality, QualityOptions, SystemQuality

__all__ = ["FIGURES", "Quality", "QualityOptions", "SystemQuality", "measure_quality"]
