"""A scikit-learn or XGBoost model in the place of a network.

Its file format is that of all models here: the fitted pipeline is written with skops, which
restores data and no code, and stands as bytes among the tensors.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recsys.errors import ModelError
from recsys.extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from sklearn.pipeline import Pipeline

TRUSTED = frozenset(
    {
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.tree._tree.Tree",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRFClassifier",
    }
)
"""Types that a model file may hold beside those that skops itself trusts: compiled parts of
scikit-learn, and XGBoost's models. None of them runs code when it is restored."""

LEAST_PROBABILITY = 1e-3
"""Taken for 0, of which there is no logarithm: five neighbours alike are no certainty."""


class EstimatorModel(nn.Module):
    """A fitted pipeline: a scaler, then a classifier.

    A classical model has no penultimate layer; its embedding is what the classifier itself
    compares, the scaled features.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : tuple of int
        Of one input; it is flattened.
    name : str
        Of the estimator, for people.
    """

    pipeline_bytes: Tensor

    def __init__(self, n_genres: int, shape: tuple[int, ...], name: str = "") -> None:
        super().__init__()
        self.n_genres = n_genres
        self.shape = tuple(shape)
        self.name = name
        self._pipeline: Pipeline | None = None
        self.register_buffer("pipeline_bytes", torch.zeros(0, dtype=torch.uint8))

    def adopt(self, pipeline: Pipeline) -> None:
        """Take a fitted pipeline.

        Parameters
        ----------
        pipeline : sklearn.pipeline.Pipeline
            Its last step was fitted to the targets 0 to ``n_genres - 1``.

        Raises
        ------
        ModelError
            If it knows other genres: its scores would be taken for those of the wrong ones.
        """
        _check_genres(pipeline, self.n_genres)
        skops = require("skops.io", "papers")
        self._pipeline = pipeline
        raw = np.frombuffer(skops.dumps(pipeline), dtype=np.uint8)
        self.pipeline_bytes = torch.from_numpy(raw.copy())

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, *shape) to scores (b, n_genres) and scaled features (b, d)."""
        if self._pipeline is None:
            raise ModelError("this classical model was never fitted", "Train it first.")
        rows = inputs.detach().cpu().numpy().reshape(len(inputs), -1).astype(np.float64)
        scaled = self._pipeline[:-1].transform(rows) if len(self._pipeline) > 1 else rows
        scores = class_scores(self._pipeline[-1], scaled)
        as_tensor = (torch.from_numpy(np.asarray(a, dtype=np.float32)) for a in (scores, scaled))
        logits, embedding = as_tensor
        return logits.to(inputs.device), embedding.to(inputs.device)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: object
    ) -> None:
        """Take bytes of any length, and restore the pipeline from them."""
        key = f"{prefix}pipeline_bytes"
        if key in state_dict:
            self.pipeline_bytes = state_dict[key]
            self._pipeline = _restore(bytes(self.pipeline_bytes.cpu().numpy()))
            _check_genres(self._pipeline, self.n_genres)
        super()._load_from_state_dict(state_dict, prefix, *args)


def class_scores(
    classifier: Any,  # noqa: ANN401 (any classifier of scikit-learn's interface)
    rows: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return scores of which a softmax makes probabilities, whatever the classifier offers.

    Parameters
    ----------
    classifier : object
        Fitted, with ``predict_proba`` or ``decision_function``.
    rows : ndarray, shape (n, d)

    Returns
    -------
    ndarray, shape (n, n_genres)
        Logarithms of its probabilities, or its distances from the boundaries.
    """
    if hasattr(classifier, "predict_proba"):
        probabilities = np.asarray(classifier.predict_proba(rows), dtype=np.float64)
        return np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    distances = np.asarray(classifier.decision_function(rows), dtype=np.float64)
    return distances if distances.ndim == 2 else np.stack([-distances, distances], axis=1)


def _check_genres(pipeline: Pipeline, n_genres: int) -> None:
    known = np.asarray(getattr(pipeline, "classes_", ())).tolist()
    if known != list(range(n_genres)):
        raise ModelError(
            f"this classical model knows the genres number {known}, not the {n_genres} it should",
            "Train it again, with tracks of every genre to learn from.",
        )


def _restore(raw: bytes) -> Pipeline:
    skops = require("skops.io", "papers")
    try:
        strange = sorted(set(skops.get_untrusted_types(data=raw)) - TRUSTED)
        if strange:
            raise ModelError(
                f"the model file holds objects of types that are not trusted: {', '.join(strange)}",
                "Use a model that recsys train has written.",
            )
        pipeline: Pipeline = skops.loads(raw, trusted=sorted(TRUSTED))
    except (
        *(ValueError, KeyError, TypeError, OSError, EOFError),
        *(AttributeError, ImportError, zipfile.BadZipFile),
    ) as error:
        raise ModelError(
            f"the classical model in the file cannot be restored: {error}",
            "The file is damaged, or of another version of scikit-learn; train the recipe again.",
        ) from error
    return pipeline
