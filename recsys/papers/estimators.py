"""The classical models of the reports: scikit-learn's and XGBoost's, fitted and chosen."""

from __future__ import annotations

import io
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recsys.errors import ModelError, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from sklearn.pipeline import Pipeline

    from recsys.papers.recipe import Estimator
    from recsys.types import IdArray

ESTIMATORS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "naive-bayes": ("sklearn.naive_bayes", "GaussianNB", {}),
    "sgd": ("sklearn.linear_model", "SGDClassifier", {"max_iter": 5000}),
    "knn": ("sklearn.neighbors", "KNeighborsClassifier", {"n_neighbors": 19}),
    "tree": ("sklearn.tree", "DecisionTreeClassifier", {}),
    "random-forest": (
        "sklearn.ensemble",
        "RandomForestClassifier",
        {"n_estimators": 1000, "max_depth": 10, "n_jobs": -1},
    ),
    # With ties broken, the prediction is the genre of the highest score, as everywhere here.
    "svm": ("sklearn.svm", "SVC", {"break_ties": True}),
    "logistic": ("sklearn.linear_model", "LogisticRegression", {"max_iter": 1000}),
    "xgboost": (
        "xgboost",
        "XGBClassifier",
        {"n_estimators": 1000, "learning_rate": 0.05, "n_jobs": -1},
    ),
    "xgboost-forest": ("xgboost", "XGBRFClassifier", {"n_jobs": -1}),
}
"""Name in recipes to module, class, and settings other than the library's defaults."""

_SCALERS = {"standard": "StandardScaler", "min-max": "MinMaxScaler"}

LEAST_PROBABILITY = 1e-3
"""Replaces 0, which has no logarithm: five neighbours of one genre are no certainty."""

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
"""Types that a model file may hold in addition to those that skops itself trusts: compiled parts
of scikit-learn, and XGBoost's models. None of them runs code when it is restored."""


MOST_BYTES = 2**30
"""Most that a classical model may hold when it is unpacked: a small file can say it is anything."""


class EstimatorModel(nn.Module):
    """A fitted pipeline in place of a network: a scaler, then a classifier.

    A classical model has no penultimate layer; its embedding is the scaled features, which the
    classifier itself compares. Inputs of any shape are flattened.
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
        """Take a pipeline that was fitted to the targets 0 to ``n_genres - 1``, or ModelError."""
        _check_genres(pipeline, self.n_genres)
        skops = require("skops.io", "papers")
        self._pipeline = pipeline
        # A buffer, so that model files hold the pipeline as they hold weights.
        raw = np.frombuffer(skops.dumps(pipeline), dtype=np.uint8)
        self.pipeline_bytes = torch.from_numpy(raw.copy())

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, *shape) to scores (b, n_genres) and scaled features (b, d)."""
        if self._pipeline is None:
            raise ModelError("this classical model was never fitted", "Train it first.")
        rows = inputs.detach().cpu().numpy().reshape(len(inputs), -1).astype(np.float64)
        scaled = self._pipeline[:-1].transform(rows) if len(self._pipeline) > 1 else rows
        scores, embedding = (
            torch.from_numpy(np.asarray(values, dtype=np.float32)).to(inputs.device)
            for values in (class_scores(self._pipeline[-1], scaled), scaled)
        )
        return scores, embedding

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: object
    ) -> None:
        """Take bytes of any length, which PyTorch would refuse, and restore the pipeline."""
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
    """Return logits (n, n_genres): log-probabilities, or distances from the boundaries."""
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
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise ModelError(
                f"the classical model in the file is {size / 2**30:.1f} GiB large when unpacked",
                "Use a model that recsys has written.",
            )
        strange = sorted(set(skops.get_untrusted_types(data=raw)) - TRUSTED)
        if strange:
            raise ModelError(
                f"the model file holds objects of types that are not trusted: {', '.join(strange)}",
                "Use a model that recsys has written.",
            )
        pipeline: Pipeline = skops.loads(raw, trusted=sorted(TRUSTED))
    except ModelError:
        raise
    except Exception as error:  # skops, scikit-learn, XGBoost and zlib have no class in common
        raise ModelError(
            f"the classical model in the file cannot be restored: {error}",
            "The file is damaged, or of another version of scikit-learn; train the recipe again.",
        ) from error
    return pipeline


def fit_estimator(
    estimator: Estimator,
    inputs: npt.NDArray[np.floating],
    targets: IdArray,
    *,
    n_genres: int,
    groups: IdArray | None = None,
    seed: int = 0,
) -> tuple[EstimatorModel, dict[str, Any]]:
    """Fit a classical model, choosing its settings by cross-validation where there is a grid.

    Inputs (n, *shape) are flattened to rows. Rows of one group stay together in the
    cross-validation; without `groups` every row is on its own. The notes, ready for JSON, are the
    accuracy on the training set and the choice of the grid. Raises ModelError if the estimator or
    a setting is unknown, or a genre has no rows or too few.
    """
    if missing := np.setdiff1d(np.arange(n_genres), targets).tolist():
        raise ModelError(
            f"{estimator.name} has nothing to learn the genres number {missing} from",
            "Every genre needs tracks in the part to learn from.",
        )
    pipeline = _make_pipeline(estimator, seed)
    rows = inputs.reshape(len(inputs), -1).astype("float64")
    notes: dict[str, Any] = {}
    try:
        if estimator.grid:
            pipeline, notes = _search(pipeline, estimator, rows, targets, groups, seed)
        else:
            pipeline.fit(rows, targets)
        notes["train_accuracy"] = float(pipeline.score(rows, targets))
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"{estimator.name} cannot be fitted to {len(rows)} rows of {n_genres} genres: {error}",
            "Check the settings in the recipe, and that every genre has enough tracks.",
        ) from error
    model = EstimatorModel(n_genres, inputs.shape[1:], estimator.name)
    model.adopt(pipeline)
    return model, notes


def check_estimator(estimator: Estimator) -> None:
    """Raise ModelError before anything is decoded unless all settings, the grid's too, work."""
    require("skops.io", "papers")
    _try(estimator, {})
    known = _make_pipeline(estimator, 0)[-1].get_params()
    for name, values in estimator.grid.items():
        if name not in known:
            raise ModelError(
                f"the grid of {estimator.name} names an unknown setting {name!r}",
                "Correct it in the recipe.",
            )
        if not values:
            raise ModelError(
                f"the grid of {estimator.name} has nothing to try for {name!r}",
                "List the values to choose among.",
            )
        for value in values:
            _try(estimator, {name: value})


def _try(estimator: Estimator, changes: Mapping[str, Any]) -> None:
    """Fit to a few random rows: the libraries check the values of settings only then."""
    settings = {**estimator.settings, **changes}
    pipeline = _make_pipeline(estimator.model_copy(update={"settings": settings}), 0)
    classifier = pipeline[-1]
    made = classifier.get_params()
    # One tree is enough for the check, unless their number itself is wrong.
    small = {"n_estimators": settings.get("n_estimators", 1), "n_jobs": 1}
    if isinstance(small["n_estimators"], int):
        small["n_estimators"] = min(1, small["n_estimators"])
    classifier.set_params(**{name: value for name, value in small.items() if name in made})
    targets = np.arange(40) % 2
    rows = np.random.default_rng(0).normal(size=(40, 2)) + targets[:, np.newaxis]
    try:
        with warnings.catch_warnings():
            # Random rows need not converge.
            warnings.simplefilter("ignore")
            pipeline.fit(rows, targets)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"{estimator.name} cannot be made with {settings}: {error}",
            "Correct these settings in the recipe.",
        ) from error


def _make_pipeline(estimator: Estimator, seed: int) -> Any:  # noqa: ANN401 (sklearn is untyped)
    from sklearn.pipeline import Pipeline

    if estimator.name not in ESTIMATORS:
        raise ModelError(
            f"unknown estimator {estimator.name!r}", f"Known are {', '.join(ESTIMATORS)}."
        )
    module, name, defaults = ESTIMATORS[estimator.name]
    classifier = getattr(require(module, "papers"), name)()
    settings = {**defaults, **estimator.settings}
    known = classifier.get_params()
    if unknown := sorted(set(settings) - set(known)):
        raise ModelError(
            f"{estimator.name} has no setting {unknown[0]!r}", f"It has {', '.join(sorted(known))}."
        )
    if "random_state" in known:
        settings.setdefault("random_state", seed)
    steps = [("classify", classifier.set_params(**settings))]
    if estimator.scaler != "none":
        preprocessing = require("sklearn.preprocessing", "papers")
        steps.insert(0, ("scale", getattr(preprocessing, _SCALERS[estimator.scaler])()))
    return Pipeline(steps)


def _search(
    pipeline: Any,  # noqa: ANN401 (sklearn is untyped)
    estimator: Estimator,
    rows: npt.NDArray[np.float64],
    targets: IdArray,
    groups: IdArray | None,
    seed: int,
) -> tuple[Any, dict[str, Any]]:
    """Try all combinations of the grid, and refit the best."""
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold

    # At most as many folds as the rarest genre has rows, and as there are groups.
    most = int(np.bincount(targets).min())
    if groups is not None:
        most = min(most, len(np.unique(groups)))
    folds = max(2, min(estimator.folds, most))
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    search = GridSearchCV(
        pipeline,
        {f"classify__{name}": values for name, values in estimator.grid.items()},
        cv=splitter(folds, shuffle=True, random_state=seed),
        n_jobs=1,
        error_score="raise",
    )
    with warnings.catch_warnings():
        # A genre with one artist left cannot be in every fold; it counts where it is.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        search.fit(rows, targets, groups=groups)
    chosen = {name.removeprefix("classify__"): value for name, value in search.best_params_.items()}
    notes = {
        "chosen": chosen,
        "fits": len(search.cv_results_["params"]) * folds,
        "cross_validated_accuracy": float(search.best_score_),
    }
    return search.best_estimator_, notes
