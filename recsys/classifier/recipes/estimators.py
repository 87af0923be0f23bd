"""The classical models of the reports: scikit-learn's and XGBoost's, fitted and chosen."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.classifier.models.estimator import EstimatorModel
from recsys.errors import ModelError
from recsys.extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from recsys.classifier.recipes.recipe import Estimator
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
"""Name in recipes to module, class, and settings that differ from the library's own."""

_SCALERS = {"standard": "StandardScaler", "min-max": "MinMaxScaler"}


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

    Parameters
    ----------
    estimator : Estimator
        Which model.
    inputs : ndarray, shape (n, *shape)
        Training set; flattened to rows.
    targets : ndarray of int64, shape (n,)
        From 0 to ``n_genres - 1``.
    n_genres : int
    groups : ndarray of int64, shape (n,), optional
        Rows of one group stay together in the cross-validation; without it rows are on their own.
    seed : int

    Returns
    -------
    model : EstimatorModel
    notes : dict
        What was tried and chosen, ready for JSON.

    Raises
    ------
    ModelError
        If the estimator or a setting is not known, or a genre has no rows or too few.
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
    """Raise unless the estimator can be made as the recipe asks, before anything is decoded.

    Parameters
    ----------
    estimator : Estimator

    Raises
    ------
    ModelError
        If its name, or a setting, or a setting in its grid is not known, or a value is impossible.
    MissingExtraError
        If a library is not installed.
    """
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
    """Fit to a few made-up rows: only then do the libraries look at the values of settings."""
    settings = {**estimator.settings, **changes}
    pipeline = _make_pipeline(estimator.model_copy(update={"settings": settings}), 0)
    classifier = pipeline[-1]
    made = classifier.get_params()
    # One tree shows as much as a thousand, unless their number itself is wrong.
    small = {"n_estimators": settings.get("n_estimators", 1), "n_jobs": 1}
    if isinstance(small["n_estimators"], int):
        small["n_estimators"] = min(1, small["n_estimators"])
    classifier.set_params(**{name: value for name, value in small.items() if name in made})
    targets = np.arange(40) % 2
    rows = np.random.default_rng(0).normal(size=(40, 2)) + targets[:, np.newaxis]
    try:
        with warnings.catch_warnings():
            # Made-up rows need not converge.
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
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ModelError(
            f"{estimator.name} has no setting {unknown[0]!r}", f"It has {', '.join(sorted(known))}."
        )
    if "random_state" in known:
        settings.setdefault("random_state", seed)
    classifier.set_params(**settings)
    return Pipeline([*_scaler(estimator.scaler), ("classify", classifier)])


def _scaler(name: str) -> list[tuple[str, Any]]:
    if name == "none":
        return []
    return [("scale", getattr(require("sklearn.preprocessing", "papers"), _SCALERS[name])())]


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

    folds = max(2, min(estimator.folds, *_smallest(targets, groups)))
    cutter = StratifiedKFold if groups is None else StratifiedGroupKFold
    grid = {f"classify__{name}": values for name, values in estimator.grid.items()}
    search = GridSearchCV(
        pipeline,
        grid,
        cv=cutter(folds, shuffle=True, random_state=seed),
        n_jobs=1,
        error_score="raise",
    )
    with warnings.catch_warnings():
        # A genre of which one artist is left cannot be in every part; it counts where it is.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        search.fit(rows, targets, groups=groups)
    chosen = {name.removeprefix("classify__"): value for name, value in search.best_params_.items()}
    trials = len(search.cv_results_["params"])
    notes = {
        "chosen": chosen,
        "fits": trials * folds,
        "cross_validated_accuracy": float(search.best_score_),
    }
    return search.best_estimator_, notes


def _smallest(targets: IdArray, groups: IdArray | None) -> tuple[int, int]:
    """Return the number of rows of the rarest genre, and of groups: no more folds can be cut."""
    rows = int(np.bincount(targets).min())
    return rows, rows if groups is None else len(np.unique(groups))
