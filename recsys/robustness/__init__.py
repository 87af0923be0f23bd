"""How steady an embedding is: a recording must be itself again in another form, and nothing else.

:mod:`recsys.robustness.variants` makes other forms of a track, :mod:`recsys.robustness.figures`
holds the measures as pure functions of embeddings, and :mod:`recsys.robustness.measure` puts files
through both, for one model or several.
"""

from recsys.robustness.measure import (
    Robustness,
    RobustnessOptions,
    RobustnessRun,
    measure_robustness,
)

__all__ = ["Robustness", "RobustnessOptions", "RobustnessRun", "measure_robustness"]
