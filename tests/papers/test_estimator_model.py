"""Classical models in files: what is restored, and what is refused."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
import torch

from recsys.errors import ModelError
from recsys.papers.estimators import LEAST_PROBABILITY, EstimatorModel, class_scores

skops = pytest.importorskip("skops.io")


class Foreign:
    """What no classical model is made of."""

    classes_ = np.arange(2)


class Given:
    """A classifier with probabilities or distances that are known."""

    def __init__(self, **answers: list[list[float]] | list[float]) -> None:
        for name, answer in answers.items():
            setattr(self, name, lambda _rows, answer=answer: np.asarray(answer))


def pipeline(steps: list[tuple[str, Any]] | None = None) -> Any:
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import Pipeline

    rows = np.arange(12.0).reshape(6, 2)
    made = Pipeline(steps or [("classify", GaussianNB())])
    return made.fit(rows, np.asarray([0, 0, 0, 1, 1, 1]))


def holding(raw: bytes) -> dict[str, torch.Tensor]:
    return {"pipeline_bytes": torch.from_numpy(np.frombuffer(raw, dtype=np.uint8).copy())}


def test_probabilities_become_their_logarithms() -> None:
    given = class_scores(Given(predict_proba=[[0.5, 0.5, 0.0]]), np.zeros((1, 2)))
    np.testing.assert_allclose(given, np.log([[0.5, 0.5, LEAST_PROBABILITY]]))


def test_distances_are_scores() -> None:
    several = class_scores(Given(decision_function=[[1.0, -2.0, 3.0]]), np.zeros((1, 2)))
    np.testing.assert_array_equal(several, [[1.0, -2.0, 3.0]])
    two = class_scores(Given(decision_function=[1.5, -2.0]), np.zeros((2, 2)))
    np.testing.assert_array_equal(two, [[-1.5, 1.5], [2.0, -2.0]])


def test_inputs_of_any_shape_are_flattened() -> None:
    model = EstimatorModel(2, (1, 2), "naive-bayes")
    model.adopt(pipeline())
    scores, embedding = model(torch.tensor([[[0.0, 1.0]], [[10.0, 11.0]]]))
    assert scores.argmax(1).tolist() == [0, 1]
    assert embedding.tolist() == [[0.0, 1.0], [10.0, 11.0]]
    assert scores.dtype == embedding.dtype == torch.float32


def test_what_was_never_fitted_reports_it() -> None:
    with pytest.raises(ModelError, match="never fitted"):
        EstimatorModel(2, (2,))(torch.zeros(1, 2))


def test_weights_of_another_size_are_taken() -> None:
    model, copy = EstimatorModel(2, (2,)), EstimatorModel(2, (2,))
    model.adopt(pipeline())
    copy.load_state_dict(model.state_dict())
    rows = torch.tensor([[0.0, 1.0], [10.0, 11.0]])
    assert torch.equal(copy(rows)[0], model(rows)[0])


def test_a_file_with_a_foreign_type_is_refused() -> None:
    with pytest.raises(ModelError, match=r"types that are not trusted: .*Foreign"):
        EstimatorModel(2, (2,)).load_state_dict(holding(skops.dumps(Foreign())))


def test_functions_of_other_libraries_are_refused() -> None:
    """The commonest way in: a harmless transformer with a function of the system in it."""
    import os

    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    evil = Pipeline([("scale", FunctionTransformer(os.system)), ("classify", pipeline()[-1])])
    with pytest.raises(ModelError, match=r"not trusted: .*system"):
        EstimatorModel(2, (2,)).load_state_dict(holding(skops.dumps(evil)))


def test_a_file_for_other_genres_is_refused() -> None:
    with pytest.raises(ModelError, match=r"knows the genres number \[0, 1\], not the 3"):
        EstimatorModel(3, (2,)).load_state_dict(holding(skops.dumps(pipeline())))


def empty_archive() -> bytes:
    file = io.BytesIO()
    zipfile.ZipFile(file, "w").close()
    return file.getvalue()


@pytest.mark.parametrize(
    "raw",
    [b"", b"nothing", empty_archive(), skops.dumps([1])],
    ids=["empty", "text", "zip", "list"],
)
def test_what_is_no_model_is_refused(raw: bytes) -> None:
    with pytest.raises(ModelError):
        EstimatorModel(2, (2,)).load_state_dict(holding(raw))


def test_damage_is_found() -> None:
    raw = skops.dumps(pipeline())
    with pytest.raises(ModelError, match="cannot be restored"):
        EstimatorModel(2, (2,)).load_state_dict(holding(raw[: len(raw) // 2]))
