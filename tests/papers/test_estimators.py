"""Classical models are fitted, chosen, saved and restored, and say what they predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.errors import MissingExtraError, ModelError
from recsys.papers.estimators import ESTIMATORS, EstimatorModel, check_estimator, fit_estimator
from recsys.papers.recipe import Estimator
from tests.papers.small_recipes import planted

FEW = {
    "random-forest": {"n_estimators": 10, "n_jobs": 1},
    "xgboost": {"n_estimators": 10, "n_jobs": 1},
    "xgboost-forest": {"n_estimators": 10, "n_jobs": 1},
}
"""Enough trees for planted genres."""


def estimator(name: str, **changes: Any) -> Estimator:
    return Estimator.model_validate({"name": name, "settings": FEW.get(name, {}), **changes})


def fitted(
    one: Estimator, seed: int = 0, groups: bool = False, apart: float = 4.0
) -> tuple[EstimatorModel, dict[str, Any]]:
    data = planted(apart=apart)
    return fit_estimator(
        one,
        data.inputs,
        data.targets,
        n_genres=3,
        groups=data.groups if groups else None,
        seed=seed,
    )


@pytest.fixture(scope="module", params=list(ESTIMATORS))
def model(request: pytest.FixtureRequest) -> EstimatorModel:
    return fitted(estimator(request.param), apart=1.0)[0]


def scores(model: EstimatorModel, inputs: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.from_numpy(inputs))[0]


def test_the_highest_score_is_the_prediction(model: EstimatorModel) -> None:
    """Of genres that overlap, so that the scores are close to each other."""
    fresh = planted(apart=1.0, seed=5, tracks=40).inputs
    assert model._pipeline is not None
    expected = model._pipeline.predict(fresh.astype(np.float64))
    np.testing.assert_array_equal(scores(model, fresh).argmax(1).numpy(), expected)
    assert len(set(expected.tolist())) == 3


def test_a_saved_model_gives_the_same(model: EstimatorModel, tmp_path: Path) -> None:
    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.architectures import load_model, save_model
    from recsys.papers.features import Summary

    card = ModelCard(
        name="small",
        architecture="scikit-learn",
        config={"name": model.name},
        labels=("blues", "jazz", "rock"),
        features=Summary(parts=("rms", "zcr", "centroid", "bandwidth")),
        dimension=4,
        temperature=1.0,
        thresholds=(0.5,) * 3,
        confusion=((1.0, 0.0, 0.0),) * 3,
    )
    path = tmp_path / "model.safetensors"
    save_model(path, model, card)
    restored, _ = load_model(path)
    fresh = planted(seed=5).inputs
    with torch.inference_mode():
        for before, after in zip(
            model(torch.from_numpy(fresh)), restored(torch.from_numpy(fresh)), strict=True
        ):
            assert torch.equal(before, after)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_plain_is_learned_and_the_same_seed_gives_the_same(name: str) -> None:
    one, notes = fitted(estimator(name), seed=7)
    other, _ = fitted(estimator(name), seed=7)
    fresh = planted(seed=5).inputs
    assert torch.equal(scores(one, fresh), scores(other, fresh))
    assert notes["train_accuracy"] >= 0.95


@pytest.mark.parametrize("scaler", ["standard", "min-max", "none"])
def test_the_embedding_is_the_scaled_features(scaler: str) -> None:
    inputs = planted().inputs
    model, _ = fitted(estimator("knn", scaler=scaler))
    with torch.inference_mode():
        embedding = model(torch.from_numpy(inputs))[1].numpy()
    shift, scale = {
        "standard": (inputs.mean(0), inputs.std(0)),
        "min-max": (inputs.min(0), np.ptp(inputs, axis=0)),
        "none": (0.0, 1.0),
    }[scaler]
    np.testing.assert_allclose(embedding, (inputs - shift) / scale, atol=1e-4)


def rings(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A disc within a ring: no straight line parts them."""
    rng = np.random.default_rng(0)
    targets = np.arange(n) % 2
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = np.where(targets == 0, 1.0, 4.0) + rng.normal(0, 0.2, n)
    rows = np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, np.newaxis]
    return rows.astype(np.float32), targets.astype(np.int64)


def test_the_search_finds_the_planted_best_and_counts_its_fits() -> None:
    svm = estimator("svm", grid={"C": [0.1, 1, 10, 100], "kernel": ["linear", "rbf"]}, folds=5)
    rows, targets = rings()
    _, notes = fit_estimator(svm, rows, targets, n_genres=2)
    assert notes["chosen"]["kernel"] == "rbf"
    assert notes["fits"] == 40
    assert notes["cross_validated_accuracy"] == 1.0


def test_fewer_folds_are_cut_where_a_genre_has_few_rows() -> None:
    rows, targets = rings()
    few = np.concatenate([np.flatnonzero(targets == 0), np.flatnonzero(targets == 1)[:3]])
    knn = estimator("knn", grid={"n_neighbors": [1, 2]}, folds=5)
    _, notes = fit_estimator(knn, rows[few], targets[few], n_genres=2)
    assert notes["fits"] == 2 * 3


def test_groups_stay_together_in_the_search() -> None:
    """Each group is a spot of its own with a genre drawn by lot: only leaks can be guessed."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(24), 4)
    targets = rng.permutation(np.arange(24) % 2)[groups]
    rows = (rng.normal(size=(24, 6))[groups] * 10 + rng.normal(size=(96, 6))).astype(np.float32)
    knn = estimator("knn", grid={"n_neighbors": [1]}, folds=4)
    _, leaky = fit_estimator(knn, rows, targets, n_genres=2)
    _, grouped = fit_estimator(knn, rows, targets, n_genres=2, groups=groups)
    assert leaky["cross_validated_accuracy"] == 1.0
    assert grouped["cross_validated_accuracy"] < 0.8


def test_a_genre_without_rows_is_an_error_and_not_a_shift_of_genres() -> None:
    data = planted()
    kept = data.targets != 1
    with pytest.raises(ModelError, match=r"nothing to learn the genres number \[1\] from"):
        fit_estimator(estimator("knn"), data.inputs[kept], data.targets[kept], n_genres=3)


def test_a_pipeline_of_other_genres_is_not_adopted() -> None:
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import Pipeline

    rows, targets = rings()
    pipeline = Pipeline([("classify", GaussianNB())]).fit(rows, targets * 2)
    with pytest.raises(ModelError, match=r"knows the genres number \[0, 2\], not the 3"):
        EstimatorModel(3, (2,)).adopt(pipeline)


def test_too_few_rows_for_the_neighbours_are_an_error() -> None:
    with pytest.raises(ModelError, match="knn cannot be fitted to 48 rows of 3 genres"):
        fitted(estimator("knn", settings={"n_neighbors": 100}))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ESTIMATORS, "none", ("no_such_library", "X", {}))  # type: ignore[misc]
    with pytest.raises(MissingExtraError, match="no_such_library"):
        check_estimator(estimator("none"))
