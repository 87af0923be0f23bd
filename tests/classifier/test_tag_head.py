"""The tag head: its card and its outputs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.classifier.card import ModelCard, fingerprint, load_card
from recsys.classifier.inference import Classifier
from recsys.classifier.log_mel import MEL
from recsys.errors import ModelError
from recsys.types import FloatArray, ModelInfo
from tests.classifier.modules import module_of, torch_classifier
from tests.classifier.tagging import TAGS, TaggingModel, make_card, save_tagging_model


@pytest.fixture
def tracks() -> list[FloatArray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, *MEL.shape)).astype(np.float32) for n in (1, 70, 3)]


def classifier(card: ModelCard) -> Classifier:
    torch.manual_seed(2)
    model = TaggingModel(len(card.labels), MEL.shape)
    return torch_classifier(model, replace(card, fingerprint="0" * 16))


def test_scores_are_the_sigmoid_of_the_mean_over_the_windows(tracks: list[FloatArray]) -> None:
    model = classifier(make_card())
    with torch.inference_mode():
        for track, analysis in zip(tracks, model.analyse(tracks), strict=True):
            logits = module_of(model)(torch.from_numpy(track))[2].mean(dim=0)
            expected = torch.sigmoid(logits).numpy()
            assert analysis.tags.dtype == np.float32
            np.testing.assert_allclose(analysis.tags, expected, atol=1e-6)


def test_extreme_logits_stay_within_bounds(tracks: list[FloatArray]) -> None:
    model = classifier(make_card())
    with torch.no_grad():
        module_of(model).tags.bias.copy_(torch.tensor([1e4, -1e4] * (len(TAGS) // 2)))
    assert model.analyse(tracks[:1])[0].tags.tolist() == [1.0, 0.0] * (len(TAGS) // 2)


def test_outputs_that_the_card_does_not_name_are_not_offered(tracks: list[FloatArray]) -> None:
    without = make_card(tags=(), tag_means=(), tag_deviations=())
    assert classifier(without).analyse(tracks)[0].tags.shape == (0,)


def test_another_number_of_tags_than_the_card_names(tracks: list[FloatArray]) -> None:
    card = make_card(tags=TAGS[:2], tag_means=(0.0, 0.0), tag_deviations=(1.0, 1.0))
    with pytest.raises(ModelError, match=f"gives {len(TAGS)} tags, its card names 2"):
        classifier(card).analyse(tracks)


def test_a_saved_model_keeps_its_tags(
    tmp_path: Path, tracks: list[FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tagging.safetensors"
    written = save_tagging_model(path, monkeypatch)
    loaded = Classifier.load(path, "cpu")
    assert loaded.card == written == ModelCard.from_json(written.to_json())
    assert (loaded.info.tags, loaded.info.tag_deviations) == (TAGS, (0.5,) * len(TAGS))
    expected = classifier(make_card()).analyse(tracks)[1].tags
    np.testing.assert_allclose(loaded.analyse(tracks)[1].tags, expected, atol=1e-6)


def test_a_card_without_tags_is_read_and_keeps_its_fingerprint() -> None:
    fields = load_card().as_dict()
    names = ("tags", "tag_means", "tag_deviations")
    old = {name: value for name, value in fields.items() if name not in names}
    read = ModelCard.from_json(json.dumps(old))
    assert read.tags == read.tag_means == read.tag_deviations == ()
    empty = replace(read, tags=(), tag_means=(), tag_deviations=())
    assert fingerprint(b"weights", read) == fingerprint(b"weights", empty)
    some = replace(read, tags=("a",), tag_means=(0.0,), tag_deviations=(1.0,))
    assert fingerprint(b"weights", read) != fingerprint(b"weights", some)


@pytest.mark.parametrize(
    "change",
    [
        {"tags": (*TAGS[:-1], "another")},
        {"tag_means": (0.5,) * len(TAGS)},
        {"tag_deviations": (2.0,) * len(TAGS)},
    ],
)
def test_names_and_statistics_are_part_of_the_fingerprint(change: dict[str, object]) -> None:
    assert fingerprint(b"weights", make_card(**change)) != fingerprint(b"weights", make_card())


@pytest.mark.parametrize(
    "change",
    [
        {"tag_means": ()},
        {"tag_deviations": (0.5,)},
        {"tag_deviations": (0.0,) * len(TAGS)},
        {"tag_means": (float("nan"),) * len(TAGS)},
        {"tags": ("Rock", "rock", *TAGS[2:])},
        {"tags": ()},
    ],
)
def test_tags_that_contradict_their_statistics(change: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"cannot be used: .*(tag|names)"):
        ModelCard.from_json(json.dumps({**make_card().as_dict(), **change}))


def test_a_strength_is_a_distance_from_the_reference_in_deviations() -> None:
    info = ModelInfo(
        *("toy", "f", ("a", "b"), (0.5, 0.5), np.eye(2, dtype=np.float32), 2),
        tags=("rock", "happy"),
        tag_means=(0.0, -4.0),
        tag_deviations=(2.0, 0.5),
    )
    logits = np.array([[0.0, -4.0], [2.0, -3.5], [-4.0, -5.0]])
    strengths = info.tag_strengths((1 / (1 + np.exp(-logits))).astype(np.float32))
    np.testing.assert_allclose(strengths, [[0, 0], [1, 1], [-2, -2]], atol=1e-3)
    assert np.isfinite(info.tag_strengths(np.array([0.0, 1.0], np.float32))).all()
