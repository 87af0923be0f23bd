"""Models that cannot be made are refused before anything is decoded."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from recsys.errors import ModelError
from recsys.papers.fit import check_recipe
from recsys.papers.recipe import load_recipe
from tests.papers.small_recipes import classical, recipe, refused, write_toml

NETWORK = '[network]\narchitecture = "dense"\nconfig = { hidden = [8] }\n[training]\nepochs = 2\n'


@pytest.mark.parametrize("key", ['weights = "vgg16"', "memorise = 3"])
def test_options_of_networks_are_refused_for_a_classical_model(key: str, tmp_path: Path) -> None:
    estimator = '[estimator]\nname = "knn"\n'
    path = write_toml(tmp_path, (NETWORK, estimator), ('title = "Mine"', f'title = "Mine"\n{key}'))
    assert key.split()[0] in refused(path)


@pytest.mark.parametrize(
    ("architecture", "features", "named"),
    [
        ('"densest"', 'kind = "summary"', "unknown architecture 'densest'"),
        ('"cnn-mel"\nconfig = {}', 'kind = "summary"', "inputs of shape (36,)"),
        (
            '"cnn-mel"\nconfig = {}',
            'kind = "picture"\nheight = 12\nwidth = 12',
            "an input of 12 x 12 is too small",
        ),
        ('"dense"\nconfig = { hiden = [8] }', 'kind = "summary"', "hiden"),
        ('"dense"\nconfig = { hidden = [0] }', 'kind = "summary"', "got [0]"),
        ('"dense"\nconfig = { dropout = 2.0 }', 'kind = "summary"', "dropout"),
        ('"cnn-mfcc"\nconfig = {}', 'kind = "summary"', "inputs of shape (36,)"),
        ('"prcnn"\nconfig = {}', 'kind = "picture"\nheight = 8\nwidth = 8', "too small"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_decoded(
    architecture: str, features: str, named: str, tmp_path: Path
) -> None:
    path = write_toml(
        tmp_path,
        ('"dense"\nconfig = { hidden = [8] }', architecture),
        ('kind = "summary"', features),
    )
    assert named in refused(path)


@pytest.mark.parametrize(
    ("search", "named"),
    [
        ("network = { width = [1, 2] }", "width"),
        ("network = { hidden = [[8], [0]] }", "got [0]"),
        ("training = { rate = [0.1] }", "search.training.rate"),
        ("training = { learning_rate = [0.1, 0.0] }", "search.training.learning_rate"),
        ('training = { epochs = ["many"] }', "search.training.epochs"),
    ],
)
def test_every_combination_of_a_search_is_looked_at(
    search: str, named: str, tmp_path: Path
) -> None:
    path = write_toml(tmp_path, ("[published]", f"[search]\nepochs = 1\n{search}\n[published]"))
    assert named in refused(path)


@pytest.mark.parametrize("candidates", ["network = { hidden = [] }", ""])
def test_a_search_among_nothing_is_refused(candidates: str, tmp_path: Path) -> None:
    path = write_toml(tmp_path, ("[published]", f"[search]\nepochs = 1\n{candidates}\n[published]"))
    assert "search" in refused(path)


def test_a_search_needs_validation(tmp_path: Path) -> None:
    text = "[search]\nepochs = 1\nnetwork = { hidden = [[8]] }\n[published]"
    path = write_toml(tmp_path, ("[published]", text), ("valid = 0.2", ""))
    assert "[search]" in refused(path)


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        ('name = "svmm"', "unknown estimator 'svmm'"),
        ('name = "svm"\nsettings = { c = 1 }', "svm has no setting 'c'"),
        ('name = "svm"\ngrid = { c = [1] }', "unknown setting 'c'"),
        ('name = "svm"\ngrid = { C = [] }', "nothing to try for 'C'"),
        ('name = "svm"\nsettings = { C = "big" }', "'C' parameter"),
        ('name = "svm"\ngrid = { C = [1, -1] }', "'C' parameter"),
        ('name = "random-forest"\nsettings = { n_estimators = 0 }', "n_estimators"),
        ('name = "xgboost"\nsettings = { max_depth = "deep" }', "max_depth"),
        ('name = "svm"\nscaler = "robust"', "scaler"),
        ('name = "svm"\nfolds = 1', "folds"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_is_decoded(
    estimator: str, named: str, tmp_path: Path
) -> None:
    assert named in refused(write_toml(tmp_path, (NETWORK, f"[estimator]\n{estimator}\n")))


@pytest.mark.parametrize(
    ("weights", "network"),
    [
        ("alexnet", '"vgg16-transfer"\nconfig = { dense = 8 }'),
        ("vgg16", '"vgg16-transfer"\nstandardise = true\nconfig = { dense = 8 }'),
        ("vgg16", '"cnn-mel"\nconfig = { filters = [2, 2] }'),
    ],
)
def test_pretrained_weights_must_belong_to_the_network(
    weights: str, network: str, tmp_path: Path
) -> None:
    path = write_toml(
        tmp_path,
        ('title = "Mine"', f'title = "Mine"\nweights = "{weights}"'),
        ('"dense"\nconfig = { hidden = [8] }', network),
        ('kind = "summary"', 'kind = "picture"\nheight = 64\nwidth = 64'),
    )
    assert f"those of {weights} do not belong to this network" in refused(path)


def test_weights_that_cannot_be_had_are_an_error_before_anything_is_decoded(
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelError, match="the recipe vgg16-transfer cannot be used") as caught:
        check_recipe(load_recipe("vgg16-transfer"), 3, str(tmp_path / "none.pth"))
    assert "--weights" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("patience = 3", "training.patience watches validation"),
        ("plateau_factor = 0.5", "training.plateau_factor watches validation"),
        ('keep = "best"', "training.keep watches validation"),
        ("plateau_patience = 3", "training.plateau_patience needs training.plateau_factor"),
        ("threshold = 0.3", "training.threshold belongs to"),
    ],
)
def test_settings_of_a_training_that_act_on_nothing_are_refused(settings: str, named: str) -> None:
    training, protocol = tomllib.loads(settings), {"split": "random", "test": 0.2}
    with pytest.raises(ValidationError, match=named):
        recipe(training={"epochs": 2, **training}, protocol=protocol)


def test_settings_of_a_training_that_act_are_taken() -> None:
    watching = {"patience": 3, "plateau_factor": 0.5, "plateau_patience": 2, "keep": "best"}
    several = {"loss": "sigmoid", "threshold": 0.3}
    assert recipe(training={"epochs": 2, **watching, **several}).training


def test_folds_without_a_grid_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"estimator\.folds"):
        classical(estimator={"name": "knn", "folds": 3})
    assert classical(estimator={"name": "knn", "folds": 3, "grid": {"n_neighbors": [1, 3]}})
