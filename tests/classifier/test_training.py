"""Training learns what was planted, can be repeated, and survives being killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.classifier.calibrate import softmax
from recsys.classifier.inference import pooled_scores
from recsys.classifier.training import outliers
from recsys.classifier.training.architectures import TorchNetwork
from recsys.classifier.training.datasets import Example, ValidTrack, restore
from recsys.classifier.training.train import (
    BalancedSampler,
    Training,
    TrainSettings,
    contrastive_loss,
    scaled_to,
)
from recsys.errors import ModelError
from tests.classifier.planted_genres import LABELS, tiny_settings

Data = tuple[list[Example], list[ValidTrack]]


@pytest.fixture
def data(examples: list[Example], valid: list[ValidTrack]) -> Data:
    return examples, valid


def begin(data: Data, settings: TrainSettings, partial: Path | None = None) -> Training:
    return Training(*data, LABELS, settings, partial)


def weights(training: Training) -> dict[str, torch.Tensor]:
    return training.best_model().state_dict()


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert list(first) == list(second)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("architecture", ["cnn", "cnn-lstm"])
def test_planted_genres_are_learned(data: Data, architecture: str) -> None:
    settings = tiny_settings(architecture, epochs=8, steps_per_epoch=10)
    results = list(begin(data, settings).epochs())
    assert max(result.valid_accuracy for result in results) == 1.0
    assert results[-1].loss < results[0].loss


def test_a_seed_decides_the_result(data: Data) -> None:
    runs = [begin(data, tiny_settings(epochs=2, seed=seed)) for seed in (5, 5, 6)]
    results = [[replace(r, seconds=0.0) for r in run.epochs()] for run in runs]
    assert results[0] == results[1]
    assert results[0] != results[2]
    assert_same(weights(runs[0]), weights(runs[1]))


@pytest.mark.parametrize("architecture", ["cnn", "cnn-lstm"])
def test_a_killed_run_ends_as_an_undisturbed_one(
    data: Data, tmp_path: Path, architecture: str
) -> None:
    settings = tiny_settings(architecture)
    undisturbed = begin(data, settings)
    expected = [replace(result, seconds=0.0) for result in undisturbed.epochs()]

    partial = tmp_path / "model.partial.pt"
    for _ in range(settings.epochs):
        next(begin(data, settings, partial).epochs())
    resumed = begin(data, settings, partial)
    assert list(resumed.epochs()) == []
    assert [replace(result, seconds=0.0) for result in resumed.history] == expected
    assert_same(weights(resumed), weights(undisturbed))


def test_training_stops_when_nothing_gets_better(data: Data) -> None:
    """With a learning rate of nearly nothing the first epoch remains the best but for noise."""
    settings = tiny_settings(epochs=30, learning_rate=1e-12, steps_per_epoch=1, patience=2)
    results = list(begin(data, settings).epochs())
    assert len(results) < 30
    best = int(np.argmin([result.valid_loss for result in results]))
    assert len(results) - 1 - best == 2
    assert [result.is_best for result in results][best]


def test_a_loss_that_is_no_number_is_an_error(data: Data) -> None:
    with pytest.raises(ModelError, match="loss became"):
        list(begin(data, tiny_settings(learning_rate=1e30, epochs=20)).epochs())


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", b"\x80\x02c__main__\n"])
def test_a_damaged_partial_file(data: Data, tmp_path: Path, damage: bytes) -> None:
    partial = tmp_path / "model.partial.pt"
    partial.write_bytes(damage)
    with pytest.raises(ModelError, match="damaged") as caught:
        begin(data, tiny_settings(), partial)
    assert str(partial) in caught.value.hint


def test_a_truncated_partial_file(data: Data, tmp_path: Path) -> None:
    partial = tmp_path / "model.partial.pt"
    next(begin(data, tiny_settings(), partial).epochs())
    partial.write_bytes(partial.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="damaged"):
        begin(data, tiny_settings(), partial)


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 1e-3}, {"epochs": 9}])
def test_a_partial_file_of_other_settings(
    data: Data, tmp_path: Path, change: dict[str, Any]
) -> None:
    partial = tmp_path / "model.partial.pt"
    next(begin(data, tiny_settings(), partial).epochs())
    with pytest.raises(ModelError, match="other settings"):
        begin(data, tiny_settings(**change), partial)


def test_the_callers_random_state_is_left_alone(data: Data) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    next(begin(data, tiny_settings()).epochs())
    assert torch.equal(torch.rand(1), expected)


def test_genres_are_drawn_in_equal_shares(examples: list[Example]) -> None:
    """Six tones, six clicks and one noise track: each genre has a third of the batch."""
    few = [e for e in examples if e.genre != "noise"] + [e for e in examples if e.genre == "noise"][
        :1
    ]
    _, targets = BalancedSampler(few, LABELS).draw(np.random.default_rng(0), 30, 130)
    assert np.bincount(targets).tolist() == [10, 10, 10]


def test_short_pieces_are_repeated(examples: list[Example]) -> None:
    windows, _ = BalancedSampler(examples, LABELS).draw(np.random.default_rng(0), 3, 300)
    assert windows.shape == (2, 3, 128, 300)
    np.testing.assert_array_equal(windows[..., :170], windows[..., 130:])


def test_contrast_is_small_when_pairs_agree() -> None:
    pairs = torch.eye(4).repeat(2, 1)
    shuffled = torch.cat([torch.eye(4), torch.eye(4).roll(1, 0)])
    assert contrastive_loss(pairs, 0.1) < 0.01
    assert contrastive_loss(shuffled, 0.1) > 5.0


def test_contrast_by_hand() -> None:
    """Two tracks, all four windows alike: the partner is one of three equal choices."""
    assert float(contrastive_loss(torch.ones(4, 3), 0.5)) == pytest.approx(np.log(3), rel=1e-5)


@pytest.mark.parametrize(
    ("n_tracks", "steps", "sounds"), [(4, 4, 10), (64, 10, 64), (443, 64, 150)]
)
def test_epochs_are_shorter_where_there_are_few_tracks(
    n_tracks: int, steps: int, sounds: int
) -> None:
    scaled = scaled_to(TrainSettings(), n_tracks)
    assert (scaled.steps_per_epoch, scaled.outliers) == (steps, sounds)


def test_what_is_no_music_is_denied_every_genre(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fresh babble gets flatter probabilities from a model that was taught some."""
    monkeypatch.setattr(outliers, "KINDS", (outliers.babble,))
    strange = list(restore(outliers.make_outliers(8, seed=99))[:, None, :, :130])
    sureness = []
    for per_batch in (0, 3):
        settings = tiny_settings(
            epochs=8, steps_per_epoch=24, outliers=24, outliers_per_batch=per_batch, seed=1
        )
        training = begin(data, settings)
        list(training.epochs())
        # The last weights, not the best ones: on genres this plain the best are those of the
        # first epoch that knows all three, whatever it has learned of the rest.
        logits, _ = pooled_scores(TorchNetwork(training._model, torch.device("cpu")), strange)
        sureness.append(float(softmax(logits).max(axis=1).mean()))
    assert sureness[1] < sureness[0] - 0.05
