"""Results are taken up again where nothing that decides them has changed, and only there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from recsys.papers import reproduce
from recsys.papers.fit import FitOptions
from recsys.papers.recipe import Recipe
from recsys.papers.reproduce import ReproduceOptions
from tests.papers.many import BOTH, DENSE, NEIGHBOURS, named, run
from tests.papers.small import recipe

Change = Callable[[list[Recipe], ReproduceOptions], tuple[list[Recipe], ReproduceOptions]]


def another_file(recipes: list[Recipe], options: ReproduceOptions) -> Any:
    (options.directories[0] / "jazz" / "jazz.99.wav").write_bytes(b"sound")
    return recipes, options


def a_longer_file(recipes: list[Recipe], options: ReproduceOptions) -> Any:
    (options.directories[0] / "jazz" / "jazz.1.wav").write_bytes(b"longer sound")
    return recipes, options


def a_touched_file(recipes: list[Recipe], options: ReproduceOptions) -> Any:
    os.utime(options.directories[0] / "jazz" / "jazz.1.wav", (1, 1))
    return recipes, options


def other_features(recipes: list[Recipe], options: ReproduceOptions) -> Any:
    features = {"kind": "summary", "parts": ["rms"]}
    return [named("network", recipe(features=features)), recipes[1]], options


CHANGES: dict[str, tuple[Change, set[str]]] = {
    "nothing": (lambda rs, o: (rs, o), set()),
    "seed": (lambda rs, o: (rs, replace(o, fit=FitOptions(seed=1))), {"network", "neighbours"}),
    "epochs": (lambda rs, o: (rs, replace(o, fit=FitOptions(epochs=1))), {"network"}),
    "folds": (lambda rs, o: (rs, replace(o, folds=3)), {"network", "neighbours"}),
    "weights": (lambda rs, o: (rs, replace(o, fit=FitOptions(weights="/weights"))), set()),
    "workers": (lambda rs, o: (rs, replace(o, workers=1)), set()),
    "music": (another_file, {"network", "neighbours"}),
    "size": (a_longer_file, {"network", "neighbours"}),
    "time": (a_touched_file, {"network", "neighbours"}),
    "summary": (lambda rs, o: ([named("network", recipe(summary="Other")), rs[1]], o), set()),
    "a default written out": (
        lambda rs, o: ([named("network", recipe(network=DENSE)), rs[1]], o),
        set(),
    ),
    "training": (
        lambda rs, o: ([named("network", recipe(training={"epochs": 1})), rs[1]], o),
        {"network"},
    ),
    "features": (other_features, {"network"}),
    "published": (
        lambda rs, o: ([named("network", recipe(published={"test": 0.5})), rs[1]], o),
        set(),
    ),
    "title": (lambda rs, o: ([named("network", recipe(title="Other")), rs[1]], o), set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_the_outcome_is_measured_again(
    name: str, options: ReproduceOptions, decoded: list[Any]
) -> None:
    run(BOTH, options)
    change, expected = CHANGES[name]
    assert {one[0] for one in run(*change(BOTH, options))} == expected


def test_another_version_measures_again(
    options: ReproduceOptions, decoded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run([NEIGHBOURS], options)
    monkeypatch.setattr(reproduce, "MEASUREMENT_VERSION", -1)
    assert len(run([NEIGHBOURS], options)) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"identity": "x"}', "\udcff"])
def test_a_damaged_result_is_measured_again(
    content: str, options: ReproduceOptions, decoded: list[Any]
) -> None:
    run([NEIGHBOURS], options)
    path = options.out / "results" / "neighbours.audio.report.json"
    whole = json.loads(path.read_text())
    path.write_bytes(content.encode(errors="surrogateescape"))
    ((_, way, _),) = run([NEIGHBOURS], options)
    assert way == "report"
    again = json.loads(path.read_text())
    assert {**again, "minutes": 0} == {**whole, "minutes": 0}
