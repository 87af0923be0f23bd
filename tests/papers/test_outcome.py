"""What a trained recipe says of tracks, against NumPy; and its card says the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.classifier.calibrate import fit_temperature, softmax
from recsys.classifier.inference import Classifier
from recsys.classifier.training.architectures import save_model
from recsys.papers.data import MixedSong
from recsys.papers.fit import FitOptions, fit
from recsys.papers.measure import BATCH, evaluate_mixed, make_recipe_card, predict_scores
from recsys.papers.protocols import Division
from recsys.papers.recipe import Recipe
from tests.papers.small_recipes import CPU, LABELS, classical, planted, recipe, thirds


class Echo(nn.Module):
    """Scores are the first three inputs."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :3], x


def test_the_scores_of_a_track_are_the_means_over_its_segments() -> None:
    data = planted(tracks=30, per_track=3)
    chosen = np.random.default_rng(0).permutation(data.n_segments)[:150]
    assert len(chosen) > 2 * BATCH
    scores, targets = predict_scores(Echo(), data, chosen, by_track=True, device=CPU)
    tracks = sorted(set(data.track_of[chosen].tolist()))
    for row, track in enumerate(tracks):
        own = [number for number in chosen if data.track_of[number] == track]
        expected = data.inputs[own][:, :3].astype(np.float64).mean(0)
        np.testing.assert_allclose(scores[row], expected, rtol=1e-5, atol=1e-6)
        assert LABELS[targets[row]] == data.tracks[track].genre
    assert len(scores) == len(tracks)


def test_segments_count_on_their_own_where_the_report_mixed_them() -> None:
    data = planted()
    chosen = np.asarray([9, 3, 40])
    scores, targets = predict_scores(Echo(), data, chosen, by_track=False, device=CPU)
    np.testing.assert_array_equal(scores, data.inputs[chosen][:, :3])
    np.testing.assert_array_equal(targets, data.targets[chosen])


def test_no_segments_have_no_scores() -> None:
    nothing = np.zeros(0, np.int64)
    assert predict_scores(Echo(), planted(), nothing, by_track=False, device=CPU)[0].shape == (0, 3)


KINDS = {
    "network": recipe(training={"epochs": 6, "learning_rate": 0.05, "batch": 8}),
    "standardised": recipe(
        network={"architecture": "dense", "config": {"hidden": [8]}, "standardise": True}
    ),
    "sigmoid": recipe(training={"epochs": 6, "learning_rate": 0.05, "loss": "sigmoid"}),
    "search": recipe(search={"network": {"hidden": [[4], [8]]}, "epochs": 1}),
    "neighbours": classical(),
    "svm": classical(estimator={"name": "svm", "grid": {"C": [1, 10]}}),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("leaky", [False, True])
def test_a_saved_recipe_gives_the_measured_probabilities(
    name: str, leaky: bool, tmp_path: Path
) -> None:
    data = planted(apart=1.0)
    own: Recipe = KINDS[name]
    fold = thirds(data)
    division = Division("random", (fold,), leaky, "in thirds")
    options = FitOptions()
    fitted = fit(own, data, fold, options)
    card, test = make_recipe_card(own, fitted, data, division, options, name="small")
    path = tmp_path / "model.safetensors"
    save_model(path, fitted.model, card)

    classifier = Classifier.load(path, "cpu")
    tracks = sorted(set(data.track_of[fold.test].tolist()))
    analyses = classifier.analyse([data.inputs[data.track_of == track] for track in tracks])
    scores, _ = predict_scores(fitted.model, data, fold.test, by_track=True, device=CPU)
    expected = softmax(scores, card.temperature)
    np.testing.assert_allclose([one.probabilities for one in analyses], expected, atol=1e-5)
    assert [one.probabilities.argmax() for one in analyses] == expected.argmax(1).tolist()
    for one in analyses:
        assert one.embedding.shape == (card.dimension,)
        assert np.linalg.norm(one.embedding) == pytest.approx(1.0, abs=1e-5)
        assert one.fingerprint == classifier.info.fingerprint
    assert card.metrics["unit"] == ("segment" if leaky else "track")
    assert test.n == (len(fold.test) if leaky else len(tracks))
    assert card.training["recipe"] == "small"
    assert card.training["leaky"] is leaky


def test_temperature_comes_from_validation_and_the_card_reports_it() -> None:
    data = planted(apart=0.7)
    fold, options = thirds(data), FitOptions()
    fitted = fit(recipe(), data, fold, options)
    division = Division("random", (fold,), False, "")
    card, test = make_recipe_card(recipe(), fitted, data, division, options, name="x")
    known = predict_scores(fitted.model, data, fold.valid, by_track=True, device=CPU)
    assert card.temperature == fit_temperature(*known)
    assert card.metrics["note"] == "Calibrated on validation."
    scores, targets = predict_scores(fitted.model, data, fold.test, by_track=True, device=CPU)
    right = softmax(scores, card.temperature).argmax(1) == targets
    assert test.accuracy == pytest.approx(right.mean())


def test_without_validation_nothing_is_calibrated_and_the_card_reports_it() -> None:
    data = planted()
    fold = replace(thirds(data), valid=np.zeros(0, dtype=np.int64))
    options = FitOptions()
    fitted = fit(recipe(), data, fold, options)
    division = Division("random", (fold,), False, "")
    card, _ = make_recipe_card(recipe(), fitted, data, division, options, name="x")
    assert "Not calibrated" in card.metrics["note"]
    assert card.temperature == 1.0
    assert card.metrics["test"]["ece"] is None
    assert card.training["tracks"]["valid"] == 0


class Probable(nn.Module):
    """Says the probabilities that it is shown."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.log(), x


def mixed(*songs: tuple[list[list[float]], set[str]]) -> dict[str, Any]:
    own = recipe(training={"epochs": 1, "loss": "sigmoid", "threshold": 0.25})
    known = [
        MixedSong(f"song {number}", np.asarray(rows, dtype=np.float32), frozenset(genres))
        for number, (rows, genres) in enumerate(songs)
    ]
    return evaluate_mixed(own, Probable(), known, LABELS)


def test_a_song_counts_where_exactly_the_right_genres_hold() -> None:
    found = mixed(
        ([[0.6, 0.3, 0.1]], {"blues", "jazz"}),
        ([[0.6, 0.2, 0.1]], {"blues", "jazz"}),
        ([[0.6, 0.3, 0.3]], {"blues", "jazz"}),
        ([[0.9, 0.1, 0.0], [0.1, 0.1, 0.6]], {"blues", "rock"}),
    )
    assert found["given"] == {
        "song 0": ["blues", "jazz"],
        "song 1": ["blues"],
        "song 2": ["blues", "jazz", "rock"],
        "song 3": ["blues", "rock"],
    }
    assert found["n"] == 4
    assert found["accuracy"] == 0.5
    low, high = found["interval"]
    assert low < 0.5 < high


def test_a_genre_holds_above_the_threshold() -> None:
    assert mixed(([[0.2501, 0.25, 0.0]], {"blues"}))["accuracy"] == 1.0


def test_no_genre_may_hold() -> None:
    assert mixed(([[0.1, 0.1, 0.1]], {"blues", "jazz"}))["given"] == {"song 0": []}


def test_models_come_back_ready_for_inference() -> None:
    data = planted()
    network = {"architecture": "dense", "config": {"hidden": [8], "dropout": 0.5}}
    model = fit(recipe(network=network), data, thirds(data), FitOptions()).model
    seen = torch.from_numpy(data.inputs)
    assert not model.training
    with torch.inference_mode():
        assert torch.equal(model(seen)[0], model(seen)[0])
