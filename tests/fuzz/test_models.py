"""A damaged or forged model is refused with a message: no traceback, no number that is none."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.classifier import card as cards
from recsys.classifier.card import DEFAULT_MODEL, ModelCard, card_path
from recsys.classifier.inference import Classifier
from recsys.errors import ModelError
from recsys.types import FloatArray
from tests.cli.running import call
from tests.fuzz.mutations import mutated
from tests.sounds import staircase, write

WEIGHTS = DEFAULT_MODEL.read_bytes()
CARD = card_path(DEFAULT_MODEL).read_bytes()
HEADER = 8 + int.from_bytes(WEIGHTS[:8], "little")

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 0.5, 1e-9, 10**9, 2**31, 2**70, 1e308, float("nan"), float("inf")),
    *("", "x", "onnx", "scikit-learn", [], [None], [[]], {}, {"a": 1}),
)


def places(value: object, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path to every value of JSON, of the first few of a list."""
    if before:
        yield before
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*before, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value[:3]):
            yield from places(inner, (*before, i))


DECIDING = [
    place
    for place in places(json.loads(CARD))
    if place[0] not in ("training", "metrics", "limits") or len(place) == 1
]


def loads_or_is_refused(path: Path, windows: dict[tuple[int, ...], FloatArray]) -> bool:
    """Return whether a model loads; then its analysis of noise must be numbers."""
    try:
        classifier = Classifier.load(path)
        shape = classifier.features.shape
        noise = windows.setdefault(
            shape, np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
        )
        (analysis,) = classifier.analyse([noise])
    except ModelError:
        return False
    numbers = np.concatenate([analysis.probabilities, analysis.embedding, analysis.tags])
    assert np.isfinite(numbers).all()
    assert abs(float(np.linalg.norm(analysis.embedding)) - 1) < 1e-3
    return True


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(WEIGHTS)
    card_path(path).write_bytes(CARD)
    return path


def damage(model: Path, number: int) -> None:
    """Damage the header, the weights or the card."""
    kind = number % 3
    weights, text = WEIGHTS, CARD
    if kind == 0:
        weights = mutated(WEIGHTS[:HEADER], [], f"h{number}", 2) + WEIGHTS[HEADER:]
    elif kind == 1:
        weights = mutated(WEIGHTS, [], f"w{number}", 2)
    else:
        text = mutated(CARD, [], f"c{number}", 2)
    model.write_bytes(weights)
    card_path(model).write_bytes(text)


def test_damaged_files(model: Path) -> None:
    windows: dict[tuple[int, ...], FloatArray] = {}
    loaded = 0
    for number in range(120):
        damage(model, number)
        loaded += loads_or_is_refused(model, windows)
    assert loaded < 20  # where nothing changed, or no more than a text for people


def forged(number: int) -> bytes:
    """Return a card with an odd value, or without one."""
    rng = random.Random(number)
    card = copy.deepcopy(json.loads(CARD))
    *way, last = rng.choice(DECIDING)
    inner = card
    for key in way:
        inner = inner[key]
    if isinstance(inner, dict) and rng.random() < 0.2:
        del inner[last]
    else:
        inner[last] = rng.choice(ODD)
    return json.dumps(card).encode()


def trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every fingerprint fit, as that of who forges a card would."""
    monkeypatch.setattr(cards, "fingerprint", lambda _weights, card: card.fingerprint)


def test_forged_cards(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(monkeypatch)
    windows: dict[tuple[int, ...], FloatArray] = {}
    for number in range(70):
        card_path(model).write_bytes(forged(number))
        loads_or_is_refused(model, windows)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # large weights overflow
def test_forged_weights(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(monkeypatch)
    for number in range(60):
        start = mutated(WEIGHTS[:HEADER], [], f"f{number}", 2) + WEIGHTS[HEADER:]
        model.write_bytes(start)
        loads_or_is_refused(model, {})
    weights = bytearray(WEIGHTS)
    weights[HEADER:] = b"\xff" * len(weights[HEADER:])  # NaN everywhere
    model.write_bytes(weights)
    with pytest.raises(ModelError, match="not finite"):
        Classifier.load(model)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_many_damaged_and_forged_models(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows: dict[tuple[int, ...], FloatArray] = {}
    for number in range(200, 3000):
        damage(model, number)
        loads_or_is_refused(model, windows)
    model.write_bytes(WEIGHTS)
    trust(monkeypatch)
    for number in range(200, 3000):
        card_path(model).write_bytes(forged(number))
        loads_or_is_refused(model, windows)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": 1}, "config is 1, must be an object"),
        ({"config": {"track_head": 5}}, "track_head"),
        ({"dimension": "64"}, "dimension is '64', must be a whole number"),
        ({"dimension": 10**9}, "dimension: 1000000000 must be from 1"),
        ({"name": None}, "name is None, must be text"),
        ({"labels": [1, 2]}, "labels must be texts"),
        ({"features": {"kind": "compressed-mel", "sample_rate": 10**9}}, "sample_rate"),
        ({"features": {"kind": "compressed-mel", "window_s": 1e300}}, "window_s"),
        ({"features": {"kind": "compressed-mel", "n_mels": 10**9}}, "a window has"),
        ({"features": {"kind": "log-mel", "hop_length": 0}}, "hop_length"),
        ({"features": []}, "cannot be used"),
    ],
)
def test_cards_that_ask_for_the_impossible(change: dict[str, Any], words: str) -> None:
    card = json.loads(CARD)
    n = len(change.get("labels", card["labels"]))
    if n != len(card["labels"]):
        card |= {"thresholds": [0.5] * n, "confusion": np.eye(n).tolist()}
    with pytest.raises(ModelError, match=words):
        ModelCard.from_json(json.dumps(card | change))


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(ModelError, match="not JSON"):
        ModelCard.from_json("[" * 200_000)


def test_the_command_says_what_is_wrong(model: Path) -> None:
    sound = write(model.with_name("a.wav"), staircase(3.0))
    refused = 0
    for number in range(9):
        damage(model, number)
        result = call("classify", sound, "--model", model)
        assert "bug" not in result.stderr
        if result.exit_code:  # not where only a text for people changed
            assert (result.exit_code, result.stderr[:7]) == (1, "Error: "), result.output
            refused += 1
    assert refused > 6
