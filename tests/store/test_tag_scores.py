"""Tag scores in the library: kept with the analysis, absent where a model has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import StoreError
from recsys.store import Store
from recsys.types import Analysis
from tests.stored import analysed, model_info, new_library, record

INFO = replace(
    model_info("tagging"),
    tags=("rock", "chill"),
    tag_means=(0.5, -2.0),
    tag_deviations=(1.0, 0.25),
)


def tagged(*scores: float) -> Analysis:
    return replace(analysed(model="tagging"), tags=np.array(scores, dtype=np.float32))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = new_library(tmp_path)
    opened.set_model(INFO, "{}")
    opened.write([record("/a", tagged(0.5, 0.25)), record("/b", tagged(1.0, 1e-5))])
    return opened


def test_the_model_keeps_its_tags_and_their_statistics(store: Store) -> None:
    model = store.model()
    assert model is not None
    assert (model.tags, model.tag_means, model.tag_deviations) == (
        *(INFO.tags, INFO.tag_means, INFO.tag_deviations),
    )


def test_scores_come_back_as_they_were_written(store: Store) -> None:
    analysis = store.analysis(2)
    assert analysis is not None
    assert analysis.tags.tolist() == np.array([1.0, 1e-5], np.float32).tolist()
    assert store.tag_scores([1, 2, 99]).keys() == {1, 2}
    ids, scores = store.all_tag_scores()
    assert ids.tolist() == [1, 2]
    assert scores.tolist() == [store.tag_scores([i])[i].tolist() for i in (1, 2)]


def test_a_model_without_tags_leaves_them_empty(tmp_path: Path) -> None:
    with new_library(tmp_path) as plain:
        plain.write([record("/a", analysed())])
        analysis = plain.analysis(1)
        assert analysis is not None
        assert analysis.tags.shape == (0,)
        assert plain.tag_scores([1]) == {}
        assert plain.all_tag_scores()[1].shape == (0, 0)
        assert plain.integrity_problems() == []


@pytest.mark.parametrize("scores", [(), (0.5,), (0.5, 0.5, 0.5)])
def test_another_number_of_tags_than_the_model_has(store: Store, scores: tuple[float, ...]) -> None:
    with pytest.raises(StoreError, match="tags of shape"):
        store.write([record("/c", tagged(*scores))])
    assert store.counts()["tracks"] == 2


def test_lost_scores_are_found_by_the_check(store: Store) -> None:
    assert store.integrity_problems() == []
    store._db.execute("UPDATE analyses SET tag_scores = NULL WHERE rowid = 1")
    (problem,) = store.integrity_problems()
    assert problem.text.startswith("Damaged analyses, not numbers or of the wrong length: 1 (/")
