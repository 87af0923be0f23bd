"""Classical models are restored without running code, and damage is refused with a message."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from recsys.errors import ModelError
from recsys.papers import estimators
from recsys.papers.estimators import EstimatorModel
from tests.fuzz.mutations import mutated

ROWS = np.random.default_rng(0).normal(size=(60, 5))
GENRES = np.arange(60) % 3


@pytest.fixture(scope="module")
def packed() -> bytes:
    steps = [("scale", StandardScaler()), ("classify", KNeighborsClassifier(3))]
    content: bytes = skops.io.dumps(Pipeline(steps).fit(ROWS, GENRES))
    return content


def restored(content: bytes) -> EstimatorModel:
    model = EstimatorModel(3, (5,))
    tensor = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
    model.load_state_dict({"pipeline_bytes": tensor})
    return model


def test_an_intact_model_is_restored(packed: bytes) -> None:
    logits, _ = restored(packed)(torch.from_numpy(ROWS[:6].astype(np.float32)))
    assert logits.shape == (6, 3)


def test_damaged_bytes(packed: bytes) -> None:
    refusals = 0
    for number in range(150):
        content = mutated(packed, [packed], f"{number}", 2)
        try:
            restored(content or b"x")
        except ModelError:
            refusals += 1
    assert refusals > 130


def with_schema(packed: bytes, text: str) -> bytes:
    """Return an archive with another description of what it holds."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, text if name == "schema.json" else old.read(name))
    return changed.getvalue()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"__class__": 5}', "[" * 100_000])
def test_damaged_descriptions(text: str, packed: bytes) -> None:
    with pytest.raises(ModelError, match="cannot be restored"):
        restored(with_schema(packed, text))


def test_functions_are_not_restored() -> None:
    """A type outside the list is named, and nothing of it is made."""
    pipeline = Pipeline([("run", FunctionTransformer(np.linalg.svd))])
    with pytest.raises(ModelError, match="not trusted"):
        restored(skops.io.dumps(pipeline))


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    target = tmp_path / "made"

    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (target,)

    with pytest.raises(ModelError):
        restored(pickle.dumps(Hostile()))
    assert not target.exists()


def test_an_archive_that_unpacks_to_gigabytes(
    packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimators, "MOST_BYTES", 10_000_000)
    changed = io.BytesIO(packed)
    with zipfile.ZipFile(changed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(11_000_000))
    assert len(changed.getvalue()) < 100_000
    with pytest.raises(ModelError, match="GiB large"):
        restored(changed.getvalue())


def test_the_description_names_known_classes_alone(packed: bytes) -> None:
    """The name of a module in the description imports nothing that is not trusted."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        schema = json.loads(archive.read("schema.json"))
    schema["__module__"], schema["__class__"] = "os", "system"
    with pytest.raises(ModelError):
        restored(with_schema(packed, json.dumps(schema)))
