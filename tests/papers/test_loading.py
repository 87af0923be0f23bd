"""Recipes that come with recsys say what the reports say; what is wrong in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import ModelError
from recsys.papers import recipe as recipe_module
from recsys.papers.fit import check_recipe
from recsys.papers.recipe import (
    GENERATOR_NAMES,
    RECIPE_NAMES,
    load_recipe,
    variant_names,
)
from tests.papers.small_recipes import TOML, refused, write_toml

PUBLISHED: dict[str, float | None] = {
    "svm-36": 0.70,
    "cnn-elbir": 0.33,
    "dense-mfcc": 0.59,
    "dense-dropout": 0.10,
    "dense-dropout:scaled": None,
    "dense-dropout:complex": None,
    "table-1": 0.901,
    "table-1:naive-bayes": 0.520,
    "table-1:sgd": 0.655,
    "table-1:knn": 0.806,
    "table-1:tree": 0.647,
    "table-1:random-forest": 0.814,
    "table-1:svm": 0.754,
    "table-1:logistic": 0.696,
    "table-1:xgboost-forest": 0.747,
    "mlp": 0.59,
    "mlp:text": None,
    "mlp-reg": 0.55,
    "mlp-reg:text": None,
    "cnn-mfcc": 0.72,
    "cnn-mfcc:text": None,
    "lstm-mfcc": 0.79,
    "cnn-mel-base": 0.585,
    "cnn-mel-tuned": 0.620,
    "vgg16-transfer": 0.665,
    "multi-genre": 0.40,
    "knn": 0.55,
    "cnn-stft": 0.51,
    "prcnn": 0.37,
    "cnn-mel-35": 0.705,
    "ann": 0.613,
    "ann:centroid": None,
    "ann:chroma": None,
    "cnn-simple": 0.680,
    "cnn-simple:centroid": None,
    "cnn-simple:chroma": None,
    "alexnet-transfer": 0.794,
    "alexnet-transfer:centroid": None,
    "alexnet-transfer:chroma": None,
    "cnn": None,
    "cnn-lstm": None,
}
"""Test accuracy of every system, as the reports give it; None where they draw only a curve, and for
the networks that recsys itself began with."""

EVERY = tuple(PUBLISHED)

# Where reports contradict themselves or are silent: words that the reading must hold.
READINGS = {
    "svm-36": "100",
    "cnn-elbir": "0.71",
    "mlp": "512/256/64",
    "mlp-reg": "512/256/64",
    "cnn-mfcc": "appendix",
    "lstm-mfcc": "appendix",
    "table-1": "2997",
    "cnn-mel-base": "grey",
    "cnn-mel-tuned": "551",
    "vgg16-transfer": "frozen",
    "multi-genre": "not published",
    "cnn-mel-35": "16x23x35",
    "cnn-simple": "shuffled",
}


def test_the_recipes_are_those_of_the_five_reports() -> None:
    found = [v for name in RECIPE_NAMES for v in (name, *variant_names(name))]
    assert sorted(found) == sorted(EVERY)
    folder = Path(recipe_module.__file__).parent / "recipes"
    assert {path.stem for path in folder.glob("*.toml")} == {*RECIPE_NAMES, *GENERATOR_NAMES}


@pytest.mark.parametrize("name", EVERY)
def test_each_repeats_what_its_report_published(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    wanted = PUBLISHED[name]
    if wanted is None:
        assert recipe.published.test is None
        assert recipe.published.per_genre == {}
    else:
        assert recipe.published.test == pytest.approx(wanted, abs=5.1e-4)
    assert recipe.title
    assert recipe.summary
    assert recipe.report
    assert recipe.source


@pytest.mark.parametrize("name", READINGS)
def test_a_recipe_says_how_it_reads_what_its_report_leaves_open(name: str) -> None:
    assert any(READINGS[name] in reading for reading in load_recipe(name).readings)


@pytest.mark.parametrize("name", EVERY)
def test_each_can_be_made(name: str) -> None:
    check_recipe(load_recipe(name), 10, "random")


@pytest.mark.parametrize("name", ["mlp", "mlp-reg", "cnn-mfcc", "lstm-mfcc", "table-1", "ann"])
def test_reports_that_split_segments_are_marked_so(name: str) -> None:
    assert load_recipe(name).protocol.split == "by-segment"


def test_the_svm_is_searched_as_the_report_did() -> None:
    svm = load_recipe("svm-36").estimator
    assert svm is not None
    assert (svm.name, svm.scaler, svm.folds) == ("svm", "standard", 5)
    assert svm.grid == {"C": [0.1, 1, 10, 100], "kernel": ["linear", "rbf"]}


def test_the_tuned_network_states_no_more_than_24_trials() -> None:
    search = load_recipe("cnn-mel-tuned").search
    assert search is not None
    trials = 1
    for values in (*search.network.values(), *search.training.values()):
        trials *= len(values)
    assert 1 < trials <= 24


def test_becker_et_al_have_nine_genres_without_jazz() -> None:
    for name in ("ann", "cnn-simple", "alexnet-transfer"):
        recipe = load_recipe(name)
        assert len(recipe.genres) == 9
        assert "jazz" not in recipe.genres
        assert recipe.features.shape == (288, 432)
        assert recipe.memorise > 0


def test_a_variant_keeps_what_it_does_not_change(tmp_path: Path) -> None:
    path = write_toml(tmp_path)
    assert variant_names(path) == (f"{path}:wide",)
    base, wide = load_recipe(path), load_recipe(f"{path}:wide")
    assert (base.name, wide.name) == ("mine", "mine:wide")
    assert wide.network is not None
    assert wide.network.config == {"hidden": [8], "dropout": 0.5}
    assert wide.training == base.training


def test_figures_of_the_base_are_not_those_of_a_variant_and_readings_add_up(
    tmp_path: Path,
) -> None:
    path = write_toml(tmp_path)
    assert load_recipe(path).published.test == 0.5
    wide = load_recipe(f"{path}:wide")
    assert wide.published.test is None
    assert wide.readings == ("One.", "Two.")


def test_a_path_may_hold_colons(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    path = write_toml(folder)
    assert load_recipe(path).name == "mine"
    assert load_recipe(f"{path}:wide").name == "mine:wide"


@pytest.mark.parametrize("name", ["svm37", "mine.tom", ""])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(ModelError, match="unknown recipe") as caught:
        load_recipe(name)
    assert "cnn-mel-tuned" in caught.value.hint


@pytest.mark.parametrize("name", ["table-1:svn", "table-1:", "mlp:wide"])
def test_an_unknown_variant_is_an_error(name: str) -> None:
    with pytest.raises(ModelError, match="has no variant"):
        load_recipe(name)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.toml cannot be read: No such file"):
        load_recipe(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("content", [b"title = ", b"\xff\xfe\x00", b"[a\n"])
def test_what_is_not_toml_is_an_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not TOML"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('title = "Mine"', 'titel = "Mine"', "unknown key 'titel'"),
        ('title = "Mine"', "", "'title' is missing"),
        ('title = "Mine"', 'title = "Mine"\nname = "x"', "unknown key 'name'"),
        ('kind = "summary"', 'kind = "summary"\nn_mfc = 2', "'n_mfc' in features"),
        ('kind = "summary"', 'kind = "summary"\nhalf_precision = true', "'half_precision'"),
        ('kind = "summary"', 'kind = "sumary"', "features: unknown kind 'sumary'"),
        ('kind = "summary"', "n_mfcc = 13", "features: unknown kind None"),
        ('architecture = "dense"', 'architecture = "dense"\nwidth = 3', "'network.width'"),
        ("epochs = 2", "epochs = 2\nepoch = 3", "'training.epoch'"),
        ("test = 0.2", "test = 0.2\nshare = 1", "'protocol.share'"),
        ("test = 0.5", "test = 0.5\nauc = 1", "'published.auc'"),
        ("test = 0.5", "test = 0.5\nper_genre.jazz = { f2 = 1 }", "published.per_genre.jazz.f2"),
        ("[published]", "[search]\nepochs = 1\ntries = 2\n[published]", "'search.tries'"),
    ],
)
def test_an_unknown_key_is_named_at_every_level(
    old: str, new: str, named: str, tmp_path: Path
) -> None:
    assert named in refused(write_toml(tmp_path, (old, new)))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("epochs = 2", 'epochs = "many"', "training.epochs"),
        ("epochs = 2", "epochs = 2.5", "training.epochs"),
        ("epochs = 2", "epochs = 0", "training.epochs"),
        ("epochs = 2", "epochs = 2\nlearning_rate = 0", "training.learning_rate"),
        ("epochs = 2", "epochs = 2\nbatch = -1", "training.batch"),
        ("epochs = 2", 'epochs = 2\nloss = "hinge"', "training.loss"),
        ("epochs = 2", "epochs = 2\naugment = true", "training.augment"),
        ("test = 0.2", "test = 1.2", "protocol.test"),
        ("valid = 0.2", "valid = 0.8", "leave nothing to learn from"),
        ("test = 0.5", "test = 50", "published.test"),
        ('split = "random"', 'split = "by-artist"', "protocol.split"),
        ('kind = "summary"', 'kind = "summary"\nwindow_s = 0', "window_s"),
        ('kind = "summary"', 'kind = "summary"\nn_fft = "big"', "features"),
        ('kind = "summary"', 'kind = "summary"\nparts = ["tempo"]', "tempo"),
        ('readings = ["One."]', 'readings = "One."', "readings"),
        ("test = 0.5\n", "test = 0.5\n[variants]\nwide = 3\n", "not TOML"),
        ('title = "Mine"', 'title = "Mine"\nmemorise = -1', "memorise"),
        ('title = "Mine"', 'title = "Mine"\nweights = "resnet"', "weights"),
    ],
)
def test_a_value_that_cannot_be_is_named(old: str, new: str, named: str, tmp_path: Path) -> None:
    assert named in refused(write_toml(tmp_path, (old, new)))


def test_a_text_in_place_of_readings_is_not_taken_apart_into_letters(tmp_path: Path) -> None:
    path = write_toml(tmp_path, ('readings = ["Two."]', 'readings = "Two."'))
    with pytest.raises(ModelError, match="readings"):
        load_recipe(f"{path}:wide")


@pytest.mark.parametrize("variants", ["variants = 3\n", "variants = { wide = 3 }\n"])
def test_variants_must_be_tables(variants: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(variants + TOML.partition("[variants")[0])
    for use in (load_recipe, variant_names):
        with pytest.raises(ModelError, match=r"mine\.toml cannot be used: variants.*table"):
            use(str(path))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ([('[network]\narchitecture = "dense"\nconfig = { hidden = [8] }\n', "")], "[network]"),
        ([("[published]", '[estimator]\nname = "knn"\n[published]')], "[estimator]"),
        ([("[training]\nepochs = 2\n", "")], "[training]"),
    ],
)
def test_a_recipe_has_exactly_one_model(
    changes: list[tuple[str, str]], named: str, tmp_path: Path
) -> None:
    assert named in refused(write_toml(tmp_path, *changes))
