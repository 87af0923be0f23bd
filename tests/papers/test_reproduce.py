"""A run over many recipes: finished results stay, and a failure stops nothing."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.classifier.training.datasets import LabelledFile
from recsys.errors import ModelError
from recsys.papers import reproduce
from recsys.papers import transfer as pretrained
from recsys.papers.features import COLUMNS
from recsys.papers.fit import FitOptions
from recsys.papers.measure import Measurement
from recsys.papers.recipe import RECIPE_NAMES, Recipe
from recsys.papers.reproduce import (
    QUICK_EPOCHS,
    QUICK_TRACKS,
    QUICK_TREES,
    FailedMeasurement,
    ReproduceOptions,
    Reproduction,
    all_recipes,
    shortened,
    spread,
)
from recsys.papers.transfer import BACKBONES
from tests.papers.many import BOTH, DENSE, NEIGHBOURS, NETWORK, named, run
from tests.papers.small_recipes import IMAGES, TOML, classical, planted, recipe


def test_every_recipe_is_measured_both_ways(
    options: ReproduceOptions, decoded: list[Any], fits: list[str]
) -> None:
    seen: list[tuple[str, int, int]] = []
    found = run(
        BOTH, options, on_task=lambda task, number, of: seen.append((task.name, number, of))
    )
    assert [one[:2] for one in found] == [
        ("network", "report"),
        ("network", "honest"),
        ("neighbours", "report"),
        ("neighbours", "honest"),
    ]
    assert all(isinstance(one[2], Measurement) for one in found)
    assert [one[1:] for one in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[0][0] == "network.audio.report"
    # The paper protocol trains once, the artist-grouped one in two folds.
    assert fits == ["network"] * 3 + ["neighbours"] * 3
    results = sorted(path.name for path in (options.out / "results").iterdir())
    assert results == sorted(f"{name}.json" for name, _, _ in seen)
    assert list((options.out / "state").iterdir()) == []


def test_networks_get_several_seeds_and_classical_models_one(
    options: ReproduceOptions, decoded: list[Any]
) -> None:
    several = replace(options, seeds=2, fit=FitOptions(seed=1))
    seen: list[str] = []
    found = run(BOTH, several, on_task=lambda task, *_: seen.append(task.name))
    assert seen == [
        *("network.audio.report.seed1", "network.audio.report.seed2"),
        *("network.audio.honest.seed1", "network.audio.honest.seed2"),
        *("neighbours.audio.report.seed1", "neighbours.audio.honest.seed1"),
    ]
    assert [one[2].seed for one in found if isinstance(one[2], Measurement)] == [1, 2, 1, 2, 1, 1]
    assert list((options.out / "state").iterdir()) == []
    # What one seed gave stays where more are asked for.
    assert len(run(BOTH, replace(several, seeds=3))) == 2


def test_what_is_done_is_not_done_again(
    options: ReproduceOptions, decoded: list[Any], fits: list[str]
) -> None:
    first = Reproduction(BOTH, options)
    assert first.done() == {}
    made = dict(first.run())
    fits.clear()
    decoded.clear()
    again = Reproduction(BOTH, options)
    assert list(again.run()) == []
    assert fits == decoded == []
    assert list(again.done().values()) == list(made.values())
    more = [*BOTH, named("other", classical(estimator={"name": "tree"}))]
    assert {one[0] for one in run(more, options)} == {"other"}


def test_a_recipe_that_fails_stops_no_other(
    options: ReproduceOptions, decoded: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a machine that is offline, where pretrained weights cannot be had."""
    offline = replace(BACKBONES["alexnet"], url="file:///nowhere/alexnet-owt-7be5be79.pth")
    monkeypatch.setitem(BACKBONES, "alexnet", offline)
    monkeypatch.setattr(pretrained.torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    transfer = recipe(
        weights="alexnet",
        features={**IMAGES, "height": 64, "width": 64},
        network={"architecture": "alexnet-transfer", "config": {"filters": 4, "pool": 1}},
    )
    found = run([named("transfer", transfer), NEIGHBOURS], options)
    kinds = [(name, type(outcome)) for name, _, outcome in found]
    assert kinds == [("transfer", FailedMeasurement)] * 2 + [("neighbours", Measurement)] * 2
    failure = found[0][2]
    assert isinstance(failure, FailedMeasurement)
    assert "the weights of alexnet cannot be had" in failure.reason
    assert "--weights" in failure.hint
    # It failed before anything was decoded for it.
    assert {name for name, _ in decoded} == {"neighbours"}


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, OSError, ValueError])
def test_an_error_from_a_library_stops_no_other_recipe(
    error: type[Exception],
    options: ReproduceOptions,
    decoded: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = reproduce.measure

    def breaks(own: Recipe, *args: Any, **others: Any) -> Measurement:
        if own.name == "network":
            raise error("out of memory")
        return original(own, *args, **others)

    monkeypatch.setattr(reproduce, "measure", breaks)
    found = run(BOTH, options)
    kinds = [(name, type(outcome)) for name, _, outcome in found]
    assert kinds == [("network", FailedMeasurement)] * 2 + [("neighbours", Measurement)] * 2
    failure = found[0][2]
    assert isinstance(failure, FailedMeasurement)
    assert failure.reason == f"{error.__name__}: out of memory"
    assert "--device cpu" in failure.hint


def test_data_is_reported_once_it_is_there(options: ReproduceOptions, decoded: list[Any]) -> None:
    told: list[tuple[str, int]] = []
    run(
        BOTH,
        options,
        on_data=lambda task, data: told.append((task.source, len(data.segments.tracks))),
    )
    assert told == [("audio", 24)]


def test_features_are_decoded_once_for_the_recipes_that_share_them(
    options: ReproduceOptions, decoded: list[tuple[str, int]]
) -> None:
    other = named("other", recipe(features={"kind": "summary", "parts": ["rms"]}))
    run([NETWORK, NEIGHBOURS, other], options)
    assert decoded == [("network", 24), ("other", 24)]


def test_results_are_written_in_one_step(
    options: ReproduceOptions, decoded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the file is written: nothing that looks finished is left, and it is redone."""
    original = Path.write_bytes

    def cut_off(path: Path, data: bytes) -> int:
        original(path, data[:50])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", cut_off)
        with pytest.raises(KeyboardInterrupt):
            run([NEIGHBOURS], options)
    assert list((options.out / "results").glob("*.json")) == []
    assert len(run([NEIGHBOURS], options)) == 2
    assert len(list((options.out / "results").iterdir())) == 2


def test_nothing_to_measure_on_is_an_error(options: ReproduceOptions) -> None:
    with pytest.raises(ModelError, match="nothing to measure"):
        Reproduction(BOTH, replace(options, directories=()))


@pytest.mark.parametrize("what", ["table", "artists"])
def test_a_file_that_is_not_there_is_an_error_at_once(
    what: str, options: ReproduceOptions, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"none\.csv is not there"):
        Reproduction(BOTH, replace(options, **{what: tmp_path / "none.csv"}))


def test_a_folder_of_results_that_cannot_be_made_is_an_error(options: ReproduceOptions) -> None:
    options.out.write_text("a file")
    with pytest.raises(ModelError, match="results cannot be written"):
        Reproduction(BOTH, options)


def test_a_quick_run_takes_few_tracks_and_shares_nothing_with_a_whole_one(
    options: ReproduceOptions, decoded: list[tuple[str, int]], music: Path
) -> None:
    for number in range(20):
        (music / "rock" / f"more.{number}.wav").write_bytes(b"sound")
    quick = replace(options, quick=True)
    assert len(run(BOTH, quick)) == 4
    assert decoded == [("network", 3 * QUICK_TRACKS)]
    assert len(run(BOTH, options)) == 4
    assert decoded[1] == ("network", 24 + 20)


# Results are reused where nothing that decides them has changed, and only there.


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


# Recipes over the public feature table, measured on it.


TABLE = named("table", classical(features={"kind": "public-table"}))


@pytest.fixture
def feature_table(tmp_path: Path) -> Path:
    """One row a track, as in the public table of 30 s."""
    data = planted((len(COLUMNS),), per_track=1)
    path = tmp_path / "features.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", *COLUMNS, "label"])
        for row, track in zip(data.inputs, data.tracks, strict=True):
            # Tracks of GTZAN that stand next to each other are often of one artist.
            number = 12 * int(track.key.rpartition(".")[2])
            writer.writerow([f"{track.genre}.{number:05d}.wav", *row.tolist(), track.genre])
    return path


def test_recipes_over_the_table_are_measured_on_it_too(
    options: ReproduceOptions, decoded: list[Any], feature_table: Path
) -> None:
    both = replace(options, table=feature_table)
    tasks = [task.name for task in Reproduction([NEIGHBOURS, TABLE], both).tasks]
    assert tasks == [
        *("neighbours.audio.report", "neighbours.audio.honest", "table.audio.report"),
        *("table.audio.honest", "table.table.report", "table.table.honest"),
    ]
    alone = replace(both, directories=())
    found = run([NEIGHBOURS, TABLE], alone)
    assert [one[:2] for one in found] == [("table", "report"), ("table", "honest")]
    report = found[0][2]
    assert isinstance(report, Measurement)
    assert report.data == "public feature table, 24 tracks, 3 genres"
    assert report.test["accuracy"] == 1.0
    assert decoded == []


@pytest.mark.parametrize("what", ["table", "artists"])
def test_a_table_of_the_same_size_with_other_content_is_another(
    what: str, options: ReproduceOptions, feature_table: Path, tmp_path: Path
) -> None:
    artists = tmp_path / "artists.csv"
    artists.write_text("track,artist\njazz/jazz.00012,A\n")
    own = replace(options, directories=(), table=feature_table, artists=artists)
    assert len(run([TABLE], own)) == 2
    assert run([TABLE], own) == []
    path = {"table": feature_table, "artists": artists}[what]
    text = path.read_text()
    # A digit of the last row: the columns keep their names.
    other = text.replace(",A", ",B") if what == "artists" else "2".join(text.rsplit("1", 1))
    assert len(other) == len(text)
    assert other != text
    path.write_text(other)
    assert len(run([TABLE], own)) == 2


def test_a_recipe_of_some_genres_uses_those_of_the_table_alone(
    options: ReproduceOptions, feature_table: Path
) -> None:
    two = named("two", classical(features={"kind": "public-table"}, genres=["jazz", "rock"]))
    found = run([two], replace(options, directories=(), table=feature_table))
    grouped = found[1][2]
    assert isinstance(grouped, Measurement)
    assert grouped.data == "public feature table, 16 tracks, 2 genres"
    assert list(grouped.test["per_genre"]) == ["jazz", "rock"]


# Which recipes are run, in which order, and what is left of recipes and music in a quick run.


def test_recipes_that_share_features_stand_together() -> None:
    names = [one.name for one in all_recipes(RECIPE_NAMES)]
    assert len(names) == len(set(names))
    assert {name.partition(":")[0] for name in names} == set(RECIPE_NAMES)
    seen = [(one.features, one.genres) for one in all_recipes(RECIPE_NAMES)]
    changes = sum(one != other for one, other in pairwise(seen))
    assert changes == len(set(seen)) - 1


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["svm-36"], ["svm-36"]),
        (["svm-36", "svm-36"], ["svm-36"]),
        (["ann:chroma"], ["ann:chroma"]),
        (["ann"], ["ann", "ann:centroid", "ann:chroma"]),
        (["ann", "ann:chroma"], ["ann", "ann:centroid", "ann:chroma"]),
    ],
)
def test_a_name_stands_for_its_variants_and_each_is_run_once(
    names: list[str], expected: list[str]
) -> None:
    assert [one.name for one in all_recipes(names)] == expected


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "mine.toml")
        paths[-1].write_text(TOML)
    with pytest.raises(ModelError, match="two recipes are called mine"):
        all_recipes([str(path) for path in paths])
    assert [one.name for one in all_recipes([str(paths[0])])] == ["mine", "mine:wide"]


def test_a_shortened_recipe_keeps_its_name_and_loses_its_length() -> None:
    for own in all_recipes(RECIPE_NAMES):
        short = shortened(own)
        assert short.name == own.name
        assert short.features == own.features
        assert short.memorise == 0
        if short.training is not None:
            assert short.training.epochs <= QUICK_EPOCHS
        if short.search is not None:
            trials = [*short.search.network.values(), *short.search.training.values()]
            assert np.prod([len(values) for values in trials]) == 2
            assert short.search.epochs == 1
        if short.estimator is not None and short.estimator.name in ("xgboost", "random-forest"):
            assert short.estimator.settings["n_estimators"] == QUICK_TREES


def files(genre: str, count: int) -> list[LabelledFile]:
    return [LabelledFile(Path(f"{genre}.{n}.wav"), genre, f"{genre}.{n}") for n in range(count)]


def test_tracks_come_from_all_over_a_genre() -> None:
    """In GTZAN, the first 28 of reggae are of one artist."""
    chosen = [file.key for file in spread(files("reggae", 100), 8)]
    assert chosen == [f"reggae/reggae.{n}" for n in (0, 12, 25, 37, 50, 62, 75, 87)]


def test_small_genres_are_taken_whole() -> None:
    rock, jazz = files("rock", 3), files("jazz", 9)
    mixed = [*rock[:2], *jazz, rock[2]]
    chosen = spread(mixed, 8)
    assert [file for file in chosen if file.genre == "rock"] == rock
    assert len(chosen) == 3 + 8
    assert spread([], 8) == []
