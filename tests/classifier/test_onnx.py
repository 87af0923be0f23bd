"""ONNX models: their outputs, and errors at loading for every fault."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from recsys.classifier.calibrate import softmax
from recsys.classifier.card import load_card
from recsys.classifier.inference import Classifier
from recsys.classifier.onnx import AXES, OnnxDescription, OnnxSession, axes_of
from recsys.errors import MissingExtraError, ModelError
from recsys.mel import Features
from recsys.registry import Registry, find, registered
from tests.classifier.small_onnx import (
    DIMENSION,
    FEATURES,
    LABELS,
    TAGS,
    description,
    expected,
    make_onnx,
    write_description,
)

TAG_TABLE = {"names": list(TAGS), "means": [-2.0, -1.0], "deviations": [1.0, 0.5]}
EVEN = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = make_onnx(tmp_path / "small.onnx")
    write_description(path)
    return path


@pytest.fixture(scope="module")
def tracks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, *FEATURES.shape)).astype(np.float32) for n in (1, 4, 70)]


def test_the_outputs_are_those_of_the_network(model: Path, tracks: list[np.ndarray]) -> None:
    classifier = Classifier.load(model, "auto")
    for track, analysis in zip(tracks, classifier.analyse(tracks), strict=True):
        logits, embedding, _ = expected(track)
        mean = embedding.mean(axis=0)
        np.testing.assert_allclose(analysis.embedding, mean / np.linalg.norm(mean), atol=1e-5)
        np.testing.assert_allclose(analysis.probabilities, softmax(logits.mean(axis=0)), atol=1e-5)
        assert analysis.tags.size == 0
        assert analysis.fingerprint == classifier.info.fingerprint


def test_the_card_is_that_of_the_description(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "small.onnx")
    write_description(path, name="Small", temperature=2.0, thresholds=[0.1, 0.2, 0.3], licence="X")
    card = load_card(path)
    assert (card.name, card.licence, card.architecture) == ("Small", "X", "onnx")
    assert (card.labels, card.features, card.dimension) == (LABELS, FEATURES, DIMENSION)
    assert (card.temperature, card.thresholds) == (2.0, (0.1, 0.2, 0.3))
    np.testing.assert_allclose(np.sum(card.confusion, axis=1), 1.0)
    assert Classifier.load(path).card == card


@pytest.mark.parametrize(
    "layout",
    [
        ("batch", "channel", "mels", "frames"),
        ("batch", "frames", "mels"),
        ("batch", "frames", "mels", "channel"),
        ("frames", "batch", "mels"),
    ],
)
def test_windows_are_laid_out_as_the_network_wants(
    tmp_path: Path, tracks: list[np.ndarray], layout: tuple[str, ...]
) -> None:
    path = make_onnx(tmp_path / "small.onnx", layout=layout)
    write_description(path, input={"name": "windows", "layout": list(layout)})
    logits, embedding = OnnxSession(path).of_windows(tracks[1])
    wanted = expected(tracks[1])
    np.testing.assert_allclose(logits, wanted[0], atol=1e-5)
    np.testing.assert_allclose(embedding, wanted[1], atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_networks_that_take_so_many_windows_and_no_others(
    tmp_path: Path, tracks: list[np.ndarray], batch: int
) -> None:
    path = make_onnx(tmp_path / "small.onnx", batch=batch)
    write_description(path)
    session = OnnxSession(path)
    for track in tracks:
        np.testing.assert_allclose(session.of_windows(track)[0], expected(track)[0], atol=1e-5)


def test_half_precision_goes_in(tmp_path: Path, tracks: list[np.ndarray]) -> None:
    path = make_onnx(tmp_path / "small.onnx", kind=TensorProto.FLOAT16)
    write_description(path)
    np.testing.assert_allclose(
        OnnxSession(path).of_windows(tracks[1])[0], expected(tracks[1])[0], atol=0.01
    )


def test_probabilities_of_a_softmax(tmp_path: Path, tracks: list[np.ndarray]) -> None:
    path = make_onnx(tmp_path / "small.onnx", last=[("Softmax", "logits", "shares")])
    write_description(path, outputs={"probabilities": "shares", "embedding": "embedding"})
    (analysis,) = Classifier.load(path).analyse([tracks[0]])
    np.testing.assert_allclose(
        analysis.probabilities, softmax(expected(tracks[0])[0])[0], atol=1e-5
    )


def test_probabilities_of_each_genre_alone_are_shares_in_proportion(
    tmp_path: Path, tracks: list[np.ndarray]
) -> None:
    path = make_onnx(tmp_path / "small.onnx", last=[("Sigmoid", "logits", "alone")])
    write_description(path, outputs={"probabilities": "alone", "embedding": "embedding"})
    (analysis,) = Classifier.load(path).analyse([tracks[0]])
    alone = 1 / (1 + np.exp(-expected(tracks[0])[0][0].astype(float)))
    np.testing.assert_allclose(analysis.probabilities, alone / alone.sum(), atol=1e-5)


@pytest.mark.parametrize("kind", ["tag_logits", "tag_probabilities"])
def test_tags(tmp_path: Path, tracks: list[np.ndarray], kind: str) -> None:
    path = make_onnx(tmp_path / "small.onnx", last=[("Sigmoid", "tag_logits", "tag_probabilities")])
    outputs = {"logits": "logits", "embedding": "embedding", kind: kind}
    write_description(path, outputs=outputs, tags=TAG_TABLE)
    (analysis,) = Classifier.load(path).analyse([tracks[1]])
    logits = expected(tracks[1])[2].mean(axis=0).astype(float)
    np.testing.assert_allclose(analysis.tags, 1 / (1 + np.exp(-logits)), atol=1e-4)
    info = load_card(path).info()
    assert (info.tags, info.tag_means, info.tag_deviations) == (TAGS, (-2.0, -1.0), (1.0, 0.5))


def test_whatever_changes_the_answer_changes_the_fingerprint(model: Path) -> None:
    seen = {OnnxSession(model).fingerprint}
    for changes in (
        {"labels": ["a", "b", "c"]},
        {"temperature": 2.0},
        {"thresholds": 0.4},
        {"features": {**FEATURES.as_dict(), "top_db": 60.0}},
        {"outputs": {"logits": "logits", "embedding": "logits"}},
    ):
        write_description(model, **changes)
        seen.add(OnnxSession(model).fingerprint)
    write_description(model)
    network = onnx.load(model)
    network.producer_name = "another"
    onnx.save(network, model)
    seen.add(OnnxSession(model).fingerprint)
    assert len(seen) == 7


def test_words_do_not_change_the_fingerprint(model: Path) -> None:
    before = OnnxSession(model).fingerprint
    write_description(model, name="Another name", licence="MIT")
    assert OnnxSession(model).fingerprint == before
    toml = model.with_suffix(".toml")
    toml.write_text(f"# a remark\n{toml.read_text()}")
    assert OnnxSession(model).fingerprint == before


def fault(path: Path) -> str:
    """Load a model that cannot be used, and return the message."""
    with pytest.raises(ModelError) as caught:
        load_card(path)
    assert caught.value.hint
    with pytest.raises(ModelError):
        Classifier.load(path)
    return caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wings": 2}, "unknown key 'wings'"),
        ({"labels": None}, "'labels' is missing"),
        ({"labels": ["one"]}, "labels"),
        ({"labels": ["a", "a", "b"]}, "a genre is named twice"),
        ({"labels": ["a", "b"]}, r"gives 'logits' of shape \(2, 3\).*names 2"),
        ({"thresholds": [0.1]}, "3 labels and 1 thresholds"),
        ({"confusion": [[1.0]]}, "3 rows of 3"),
        ({"temperature": 0}, "temperature: 0 must be finite and above 0"),
        ({"temperature": math.inf}, "temperature: inf must be"),
        ({"temperature": math.nan}, "temperature: nan must be"),
        ({"thresholds": 5}, "thresholds: 5 of calm must be from 0 to 1"),
        ({"thresholds": math.nan}, "thresholds: nan of calm"),
        ({"thresholds": [0.1, -0.2, 0.3]}, "thresholds: -0.2 of loud"),
        ({"confusion": [[math.nan, 0, 0], *EVEN[1:]]}, "confusion: nan in the row of calm"),
        ({"confusion": [*EVEN[:2], [1.2, -0.4, 0.2]]}, "confusion: 1.2 in the row of odd"),
        ({"confusion": [EVEN[0], [0.5, 0.2, 0.2], EVEN[2]]}, "loud sums to 0.9, not to 1"),
        ({"features": None}, "'features' is missing"),
        ({"features": {"kind": "smell"}}, "unknown kind 'smell'"),
        ({"features": {"kind": "log-mel", "bands": 3}}, "unknown key 'bands'"),
        ({"features": {"kind": "log-mel"}}, r"features and layout.*mels 128, frames 130"),
        ({"outputs": {"embedding": "embedding"}}, "name either logits or probabilities"),
        ({"outputs": {"logits": "logits"}}, "'outputs.embedding' is missing"),
        ({"outputs": {"logits": "lost", "embedding": "embedding"}}, "no output 'lost'; it has"),
        (
            {"outputs": {"probabilities": "logits", "embedding": "embedding"}},
            "which are no probabilities",
        ),
        ({"outputs": {"logits": "logits", "embedding": "spectrum"}}, "no output 'spectrum'"),
        ({"tags": TAG_TABLE}, r"tags need a table \[tags\]"),
        ({"input": {"name": "sound"}}, "no input 'sound'; it has windows"),
        ({"input": {"layout": ["batch", "mels"]}}, "batch, mels, frames are needed"),
        ({"input": {"layout": ["batch", "frames", "mels"]}}, "takes 'windows' of shape"),
    ],
)
def test_descriptions_that_do_not_fit(model: Path, changes: dict[str, Any], words: str) -> None:
    import re

    write_description(model, **changes)
    assert re.search(words, fault(model)), fault(model)


def test_tags_that_are_not_as_many(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "small.onnx")
    outputs = {"logits": "logits", "embedding": "embedding", "tag_logits": "tag_logits"}
    table = {"names": ["a", "b", "c"], "means": [0.0] * 3, "deviations": [1.0] * 3}
    write_description(path, outputs=outputs, tags=table)
    assert "names 3" in fault(path)
    write_description(path, outputs=outputs, tags={**table, "means": [0.0]})
    assert "3 names, 1 means" in fault(path)
    write_description(path, outputs=outputs, tags={**table, "deviations": [1.0, 0.0, 1.0]})
    assert "deviation 0 of the tag b must be finite and above 0" in fault(path)
    write_description(path, outputs=outputs, tags={**table, "means": [0.0, 0.0, math.inf]})
    assert "mean inf of the tag c must be finite" in fault(path)
    write_description(path, outputs=outputs, tags={**table, "names": ["a", "b", "A"]})
    assert "a tag is named twice" in fault(path)


def test_no_description(model: Path) -> None:
    model.with_suffix(".toml").unlink()
    assert "small.toml of the ONNX model cannot be read" in fault(model)


def test_a_description_that_is_no_toml(model: Path) -> None:
    model.with_suffix(".toml").write_text("labels = [")
    assert "is not TOML" in fault(model)


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "caf\udce9.onnx")
    write_description(path)
    with pytest.raises(ModelError, match="cannot be written as text"):
        load_card(path)


def test_no_model(model: Path) -> None:
    model.unlink()
    assert "cannot be read" in fault(model)


@pytest.mark.parametrize("keep", [0, 10, -50])
def test_a_model_that_does_not_load(model: Path, keep: int) -> None:
    model.write_bytes(model.read_bytes()[:keep])
    assert "does not load" in fault(model)


def test_weights_in_a_file_of_their_own(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in another file would not be hashed, and could change unseen."""
    network = onnx.load(model)
    onnx.save(network, model, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert "keeps its weights in a file of their own" in fault(model)
    monkeypatch.chdir(model.parent)
    assert "keeps its weights in a file of their own" in fault(model)


@pytest.mark.parametrize(
    ("op", "given"), [("Log", "logits"), ("Reciprocal", "zero")], ids=["nan", "infinity"]
)
def test_outputs_that_are_no_numbers(tmp_path: Path, op: str, given: str) -> None:
    last = [("Floor", "logits", "half"), ("Floor", "logits", "zero"), (op, given, "broken")]
    path = make_onnx(tmp_path / "small.onnx", last=last)
    write_description(path, outputs={"logits": "broken", "embedding": "embedding"})
    assert "'broken' that are no numbers" in fault(path)


def test_numbers_of_another_type(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "small.onnx", kind=TensorProto.INT64)
    write_description(path)
    assert "takes tensor(int64) as 'windows'" in fault(path)


def test_another_number_of_bands(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "small.onnx", mels=20)
    write_description(path)
    assert "mels 12" in fault(path)


def test_another_device_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ModelError, match="runs on the CPU"):
        Classifier.load(model, "cuda")


def test_without_onnxruntime(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError) as caught:
        load_card(model)
    assert "[onnx]" in caught.value.hint


@pytest.mark.parametrize("name", registered(Registry.FEATURE_KINDS))
def test_every_kind_of_features_has_names_for_its_axes(name: str) -> None:
    kind: type[Features] = find(Registry.FEATURE_KINDS, name)
    axes = axes_of(kind())
    assert len(set(axes)) == len(axes) == len(kind().shape)
    assert axes == AXES.get(kind.kind, ("values",))


def test_the_card_is_made_without_pytorch(model: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        f"from recsys.classifier.card import load_card; load_card(Path({str(model)!r}));"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_examples_in_the_documentation_are_valid() -> None:
    import re
    import tomllib

    page = Path(__file__).parents[2] / "docs" / "models.md"
    examples = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    whole, text = (tomllib.loads(example) for example in examples)
    assert OnnxDescription.model_validate(whole).text is None
    assert OnnxDescription.model_validate({**whole, **text}).text is not None
    assert OnnxDescription.model_validate(description()).features == FEATURES
