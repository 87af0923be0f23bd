"""CPU and GPU say the same of a checkpoint: the tolerance that is promised.

Probabilities differ by 1e-3 at most, and embeddings have a cosine of 0.9999 at least. Both
compute in float32; only the order of the sums differs, and TensorFloat-32 in convolutions where
PyTorch uses it.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.classifier.card import load_card
from recsys.classifier.inference import Classifier
from recsys.classifier.training.architectures import Standardised
from recsys.papers.fit import FitOptions, Fitted, make_network
from recsys.papers.measure import make_recipe_card
from recsys.papers.protocols import Division, Fold
from recsys.papers.recipe import load_recipe
from tests.classifier.modules import module_of, torch_classifier
from tests.papers.small_networks import SMALL
from tests.papers.small_recipes import CPU, planted

PROBABILITY = 1e-3
"""Largest difference of a probability."""

COSINE = 0.9999
"""Smallest cosine of the two embeddings of a track."""

ONE_OF_EACH = (
    *("cnn-elbir", "mlp", "cnn-mfcc", "lstm-mfcc", "cnn-mel-base", "vgg16-transfer"),
    *("cnn-stft", "prcnn", "cnn-mel-35", "cnn-simple", "alexnet-transfer"),
)
"""A recipe of every architecture."""

with_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU that PyTorch can use (CUDA)"
)


def check_agreement(one: Classifier, other: Classifier, tracks: list[np.ndarray]) -> None:
    for left, right in zip(one.analyse(tracks), other.analyse(tracks), strict=True):
        difference = np.abs(left.probabilities - right.probabilities).max()
        assert difference <= PROBABILITY
        assert float(left.embedding @ right.embedding) >= COSINE


def untrained(name: str) -> tuple[Classifier, list[np.ndarray]]:
    """A recipe's network as it begins, calibrated, and tracks for it."""
    recipe = load_recipe(name)
    data = planted(recipe.features.shape, tracks=4, per_track=1, apart=0.2)
    inputs = np.clip(0.5 + 0.2 * data.inputs, 0.0, 1.0)
    data = type(data)(data.tracks, inputs, data.track_of, data.labels)
    assert recipe.network is not None
    model = make_network(recipe, recipe.network, 3, seed=0, weights="random").eval()
    everything = np.arange(data.n_segments)
    if isinstance(model, Standardised):
        model.fit(data.inputs, everything)
    fold = Fold(everything, everything[:0], everything)
    config = recipe.network.full_config
    fitted = Fitted(model, recipe.network.architecture, config, (), {})
    division = Division("random", (fold,), False, "")
    card, _ = make_recipe_card(recipe, fitted, data, division, FitOptions(), name=name)
    return torch_classifier(model, card), [data.inputs[n : n + 1] for n in everything[::3]]


def copied(classifier: Classifier, device: torch.device) -> Classifier:
    return torch_classifier(copy.deepcopy(module_of(classifier)), classifier.card, device)


@with_gpu
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_recipe_agrees_on_cpu_and_gpu(name: str) -> None:
    one, tracks = untrained(name)
    other = copied(one, torch.device("cuda"))
    check_agreement(one, other, tracks)


@with_gpu
def test_the_shipped_model_agrees_on_cpu_and_gpu() -> None:
    shape = load_card().features.shape
    rng = np.random.default_rng(0)
    tracks = [rng.normal(size=(3, *shape)).astype(np.float32) for _ in range(6)]
    check_agreement(Classifier.load(None, "cpu"), Classifier.load(None, "cuda"), tracks)


def test_every_architecture_of_a_report_is_compared() -> None:
    compared = {
        network.architecture
        for name in ONE_OF_EACH
        if (network := load_recipe(name).network) is not None
    }
    assert compared == set(SMALL)


def test_the_check_itself_tells_models_apart(tmp_path: Path) -> None:
    one, tracks = untrained("cnn-elbir")
    check_agreement(one, copied(one, CPU), tracks)
    changed = copied(one, CPU)
    with torch.no_grad():
        for parameter in module_of(changed).parameters():
            parameter.add_(0.01)
    with pytest.raises(AssertionError):
        check_agreement(one, changed, tracks)
