"""A recipe on a division of the data: what it chooses, and that it starts where it should."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.classifier.training import loop as networks
from recsys.classifier.training.architectures import EachGenreAlone, Standardised
from recsys.classifier.training.loop import EpochResult
from recsys.errors import ModelError
from recsys.papers import fit as fitting
from recsys.papers.fit import FitOptions, Fitted, fit, make_network, overfit_check
from recsys.papers.protocols import Fold
from recsys.papers.transfer import BACKBONES, PREFIX, build_backbone
from tests.papers.small_recipes import classical, planted, recipe, same_weights, thirds

SEARCH = {
    "network": {"hidden": [[1], [8], [16]]},
    "training": {"learning_rate": [0.02, 1e-6]},
    "epochs": 6,
}


def trained(changes: dict[str, Any] | None = None, **options: Any) -> Fitted:
    data = planted()
    return fit(recipe(**(changes or {})), data, thirds(data), FitOptions(**options))


def test_the_network_begins_with_the_same_weights_for_the_same_seed() -> None:
    small = recipe()
    assert small.network is not None
    made = [
        make_network(small, small.network, 3, seed=seed, weights="random") for seed in (5, 5, 6)
    ]
    assert same_weights(made[0], made[1])
    assert not same_weights(made[0], made[2])


def test_making_a_network_draws_nothing_from_the_chance_of_others() -> None:
    small = recipe()
    assert small.network is not None
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    make_network(small, small.network, 3, seed=0, weights="random")
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("changes", [{}, {"search": SEARCH}], ids=["plain", "search"])
def test_the_same_seed_gives_the_same_model(changes: dict[str, Any]) -> None:
    one, other = (trained(changes, seed=2) for _ in range(2))
    assert same_weights(one.model, other.model)
    assert one.notes == other.notes
    if not changes:
        assert not same_weights(one.model, trained(seed=3).model)


@pytest.fixture(scope="module")
def searched() -> Fitted:
    return trained({"search": SEARCH, "training": {"epochs": 8, "batch": 8}})


def test_the_settings_with_the_best_validation_are_chosen(searched: Fitted) -> None:
    """One unit cannot part three genres, and a rate of 1e-6 learns nothing in six epochs."""
    assert searched.notes["trials"] == 6
    accuracies = searched.notes["trial_accuracies"]
    assert searched.notes["chosen"]["learning_rate"] == 0.02
    assert searched.notes["chosen"]["hidden"] in ([8], [16])
    place = ([1], [8], [16]).index(searched.notes["chosen"]["hidden"]) * 2
    assert accuracies[place] == max(accuracies)
    assert accuracies.index(max(accuracies)) == place


def test_the_final_training_is_as_long_as_the_recipe_says(searched: Fitted) -> None:
    assert [result.epoch for result in searched.history] == list(range(1, 9))
    assert searched.config["hidden"] == searched.notes["chosen"]["hidden"]


def test_trials_that_are_done_are_not_repeated_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = planted()
    small = recipe(search=SEARCH)
    options = FitOptions(partial=tmp_path / "run.pt")
    begun: list[float] = []
    original = fitting.Training

    def counted(model: Any, train: Any, settings: Any, **others: Any) -> Any:
        begun.append(settings.learning_rate)
        return original(model, train, settings, **others)

    monkeypatch.setattr(fitting, "Training", counted)
    expected = fit(small, data, thirds(data), replace(options, partial=None))
    assert len(begun) == 7

    def kill_in_the_fifth(result: EpochResult) -> None:
        if len(begun) == 5 and result.epoch == 2:
            raise KeyboardInterrupt

    begun.clear()
    with pytest.raises(KeyboardInterrupt):
        fit(small, data, thirds(data), options, kill_in_the_fifth)
    begun.clear()
    resumed = fit(small, data, thirds(data), options)
    assert len(begun) == 2 + 1
    assert resumed.notes == expected.notes
    assert same_weights(resumed.model, expected.model)


def test_a_trial_that_cannot_be_trained_ends_no_search() -> None:
    """At a rate of 1e36 the weights become infinite in the first step."""
    search = {"training": {"learning_rate": [1e36, 0.02]}, "epochs": 4}
    fitted = trained({"search": search})
    assert fitted.notes["trial_accuracies"][0] == 0.0
    assert fitted.notes["chosen"] == {"learning_rate": 0.02}


@pytest.mark.parametrize("changes", [{}, {"search": SEARCH}], ids=["plain", "search"])
def test_the_state_of_other_settings_is_refused(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(networks, "SAVING_SHARE", 1e9)
    trained(changes, partial=tmp_path / "run.pt")
    with pytest.raises(ModelError, match="a run with other settings"):
        trained(changes, partial=tmp_path / "run.pt", seed=9)


def test_a_search_without_validation_is_an_error() -> None:
    data = planted()
    fold = replace(thirds(data), valid=np.zeros(0, dtype=np.int64))
    with pytest.raises(ModelError, match="chooses its settings on validation"):
        fit(recipe(search=SEARCH), data, fold, FitOptions())


@pytest.mark.parametrize(("asked", "run"), [(None, 3), (2, 2), (9, 3)])
def test_fewer_epochs_can_be_asked_for_and_no_more(asked: int | None, run: int) -> None:
    assert len(trained(epochs=asked).history) == run


def test_inputs_are_standardised_by_the_training_part() -> None:
    network = {"architecture": "dense", "config": {"hidden": [8]}, "standardise": True}
    fitted = trained({"network": network})
    data = planted()
    assert isinstance(fitted.model, Standardised)
    mean = data.inputs[thirds(data).train].mean(0)
    np.testing.assert_allclose(fitted.model.shift.numpy(), mean, atol=1e-5)
    assert fitted.config["standardise"] is True


def test_a_sigmoid_recipe_gives_a_probability_for_each_genre() -> None:
    fitted = trained({"training": {"epochs": 3, "loss": "sigmoid"}})
    assert isinstance(fitted.model, EachGenreAlone)
    assert fitted.config["each_genre_alone"] is True


def keeps_the_best_epoch(by_report: bool, keep: str = "last") -> bool:
    """Whether the best epoch was kept, where the best is not the last."""
    data = planted(apart=0.3)
    training = {"epochs": 8, "learning_rate": 0.3, "batch": 8, "keep": keep}
    small, fold = recipe(training=training), thirds(data)
    fitted = fit(small, data, fold, FitOptions(by_report=by_report))
    best = int(np.argmin([result.valid_loss for result in fitted.history])) + 1
    assert best < 8
    shorter = recipe(training={**training, "epochs": best})
    again = fit(shorter, data, fold, FitOptions(by_report=by_report))
    return same_weights(fitted.model, again.model)


def test_the_paper_protocol_keeps_the_last_epoch_and_artist_grouped_the_best() -> None:
    assert not keeps_the_best_epoch(by_report=True)
    assert keeps_the_best_epoch(by_report=True, keep="best")
    assert keeps_the_best_epoch(by_report=False)


def test_the_overfit_check_passes_where_genres_differ() -> None:
    small = recipe(memorise=6, training={"epochs": 1, "learning_rate": 0.05, "batch": 4})
    found = overfit_check(small, planted(), FitOptions())
    assert found["accuracy"] == 1.0
    assert (found["tracks"], found["segments"]) == (6, 12)
    assert 1 <= found["epochs"] < fitting.OVERFIT_EPOCHS
    assert len(found["curve"]) == found["epochs"]
    assert found["curve"][-1] == 1.0


def test_the_overfit_check_fails_where_all_inputs_are_the_same() -> None:
    data = planted()
    same = replace(data, inputs=np.zeros_like(data.inputs))
    found = overfit_check(recipe(memorise=6), same, FitOptions())
    assert found["accuracy"] < 0.7
    assert found["epochs"] == fitting.OVERFIT_EPOCHS


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 8, 16]), (5, [0, 1, 8, 9, 16])])
def test_tracks_of_the_overfit_check_are_taken_in_turn_from_the_genres(
    count: int, expected: list[int]
) -> None:
    data = planted()
    segments = fitting._first_of_each_genre(data, count)
    assert sorted(set(data.track_of[segments].tolist())) == expected
    assert len(segments) == 2 * count


def test_the_search_of_a_classical_model_keeps_artists_together_unless_the_report_did_not() -> None:
    """Every artist is a spot of its own, so that only leaks can be guessed."""
    data = planted(tracks=16, apart=0.0, seed=1)
    spots = np.random.default_rng(0).normal(size=(24, 4))[
        np.unique(data.groups, return_inverse=True)[1]
    ]
    spotted = replace(data, inputs=(data.inputs * 0.01 + spots).astype(np.float32))
    grid = {"name": "knn", "grid": {"n_neighbors": [1]}, "folds": 4}
    everything = np.arange(data.n_segments)
    fold = Fold(everything, everything[:0], everything[:0])
    accuracies = [
        fit(classical(estimator=grid), spotted, fold, FitOptions(by_report=by_report)).notes[
            "cross_validated_accuracy"
        ]
        for by_report in (True, False)
    ]
    assert accuracies[0] > 0.9
    assert accuracies[1] < 0.7


def image_recipe(**changes: Any) -> Any:
    return recipe(
        weights="alexnet",
        features={"kind": "picture", "height": 64, "width": 64},
        network={"architecture": "alexnet-transfer", "config": {"filters": 4, "pool": 1}},
        **changes,
    )


def test_weights_are_found_in_a_folder_under_their_published_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    backbone = build_backbone("alexnet")
    named = {PREFIX + name: value for name, value in backbone.state_dict().items()}
    path = tmp_path / BACKBONES["alexnet"].file
    torch.save(named, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    renamed = replace(BACKBONES["alexnet"], url=f"https://x/alexnet-{digest}.pth", sha256=digest)
    path.rename(tmp_path / renamed.file)
    monkeypatch.setitem(BACKBONES, "alexnet", renamed)
    small = image_recipe()
    made = make_network(small, small.network, 3, seed=0, weights=str(tmp_path))
    for name, value in backbone.state_dict().items():
        assert torch.equal(made.backbone.state_dict()[name], value)  # type: ignore[union-attr]


def test_a_folder_without_the_weights_is_an_error(tmp_path: Path) -> None:
    small = image_recipe()
    with pytest.raises(ModelError, match=BACKBONES["alexnet"].file) as caught:
        make_network(small, small.network, 3, seed=0, weights=str(tmp_path))
    assert "--weights" in caught.value.hint
