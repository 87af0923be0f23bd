"""Which tags are kept: a rule that is known, on figures that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.classifier.training.teacher import TagAgreement, keep_tags, measure_agreement
from recsys.types import FloatArray
from tests.classifier.fine_tune.small import small_network


@pytest.fixture
def taught() -> FloatArray:
    """Forty tracks and two tags, no two scores alike."""
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(40), rng.permutation(40)], axis=1).astype(np.float32)


def test_the_same_order_agrees_whatever_the_scale(taught: FloatArray) -> None:
    found = measure_agreement(np.exp(0.1 * taught), taught, ("rock", "sad"))
    assert list(found) == ["rock", "sad"]
    for agreement in found.values():
        assert agreement.rank_correlation == pytest.approx(1)
        assert agreement.roc_auc == 1
        assert agreement.is_learned


def test_the_opposite_order(taught: FloatArray) -> None:
    found = measure_agreement(-taught, taught, ("rock", "sad"))["sad"]
    assert found.rank_correlation == pytest.approx(-1)
    assert found.roc_auc == 0
    assert not found.is_learned


def test_tags_are_not_confused(taught: FloatArray) -> None:
    said = np.stack([taught[:, 0], -taught[:, 1]], axis=1)
    found = measure_agreement(said, taught, ("rock", "sad"))
    assert (found["rock"].is_learned, found["sad"].is_learned) == (True, False)


def test_the_top_tenth_carries_a_tag(taught: FloatArray) -> None:
    """Four of forty: with these in front, the order of all others does not count."""
    said = np.where(taught >= 36, 100.0, -taught).astype(np.float32)
    found = measure_agreement(said, taught, ("rock", "sad"))["rock"]
    assert found.roc_auc == 1
    assert found.rank_correlation < 0


def test_one_score_for_all_tracks_agrees_with_nothing(taught: FloatArray) -> None:
    for said, wanted in ((np.ones_like(taught), taught), (taught, np.ones_like(taught))):
        assert measure_agreement(said, wanted, ("rock", "sad"))["rock"].rank_correlation == 0


@pytest.mark.parametrize(
    ("correlation", "auc", "kept"),
    [(0.8, 0.9, True), (0.79, 1.0, False), (1.0, 0.89, False), (float("nan"), 1.0, False)],
)
def test_the_rule(correlation: float, auc: float, kept: bool) -> None:
    agreement = TagAgreement(correlation, auc)
    assert agreement.is_learned == kept
    assert agreement.as_dict()["kept"] == kept


@pytest.mark.parametrize("places", [[2], [3, 0], [0, 1, 2, 3], []])
def test_a_network_tells_the_tags_that_are_kept(places: list[int]) -> None:
    model = small_network()
    units = torch.randn(5, 16)
    kept = keep_tags(model, places)
    with torch.no_grad():
        before, after = model.heads(units), kept.heads(units)
    torch.testing.assert_close(after[2], before[2][:, places])
    torch.testing.assert_close(after[0], before[0])
    assert model.tags.out_features == 4
