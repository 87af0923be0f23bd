"""A damaged ONNX file, or its TOML, is refused with a message."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest

from recsys.classifier.inference import Classifier
from recsys.errors import ModelError
from tests.classifier.small_onnx import make_onnx, write_description
from tests.fuzz.mutations import mutated

NUMBERS = (
    *(b"0", b"-1", b"1e999", b"99999999999", b"nan", b"true", b'"x"', b"[]", b"[[]]"),
    *(b"1_000_000_000", b"1979-05-27"),
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = make_onnx(tmp_path / "small.onnx")
    write_description(path)
    return path


def damage(network: bytes, toml: bytes, model: Path, number: int) -> None:
    rng = random.Random(number)
    if number % 2:
        network = mutated(network, [network], f"{number}", 2)
    elif rng.random() < 0.5:
        toml = mutated(toml, [toml], f"{number}", 2)
    else:
        at = rng.choice(list(re.finditer(rb"\d[\d_.]*", toml)))
        toml = toml[: at.start()] + rng.choice(NUMBERS) + toml[at.end() :]
    model.write_bytes(network)
    model.with_suffix(".toml").write_bytes(toml)


def check(model: Path, numbers: range) -> None:
    network, toml = model.read_bytes(), model.with_suffix(".toml").read_bytes()
    for number in numbers:
        damage(network, toml, model, number)
        try:
            classifier = Classifier.load(model)
            noise = np.random.default_rng(0).standard_normal((2, *classifier.features.shape))
            (analysis,) = classifier.analyse([noise.astype(np.float32)])
        except ModelError:
            continue
        assert np.isfinite([*analysis.probabilities, *analysis.embedding, *analysis.tags]).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # large weights overflow
def test_damaged_files(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    check(model, range(100))
    assert capfd.readouterr() == ("", "")  # onnxruntime prints nothing into an answer


def test_a_toml_that_is_too_deep_is_refused(model: Path) -> None:
    model.with_suffix(".toml").write_text("a = " + "[" * 200_000)
    with pytest.raises(ModelError, match="is not TOML"):
        Classifier.load(model)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_many_damaged_files(model: Path) -> None:
    check(model, range(100, 3000))
