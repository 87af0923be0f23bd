"""Measurements: divided as said, every track tested once, and kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.classifier.training.datasets import SegmentSet
from recsys.papers import measure as measuring
from recsys.papers import protocols
from recsys.papers.data import MixedSong, RecipeData
from recsys.papers.fit import FitOptions
from recsys.papers.measure import Measurement, measure
from recsys.papers.protocols import Division
from recsys.papers.recipe import Recipe
from tests.papers.small_recipes import IMAGES, LABELS, classical, planted, recipe


@pytest.fixture
def divisions(monkeypatch: pytest.MonkeyPatch) -> list[Division]:
    """Every division that was made."""
    made: list[Division] = []
    original = protocols.divide

    def kept(*args: Any, **options: Any) -> Division:
        made.append(original(*args, **options))
        return made[-1]

    monkeypatch.setattr(protocols, "divide", kept)
    return made


def run(own: Recipe, way: str, segments: SegmentSet | None = None, **changes: Any) -> Measurement:
    data = RecipeData(segments or planted(), (), ("a note",), changes.pop("mixed", ()))
    return measure(own, data, way, FitOptions(), described="planted", **changes)


MIXING = {"split": "by-segment", "test": 0.25, "valid": 0.25}


def test_artist_grouped_has_no_artist_and_no_track_on_two_sides(divisions: list[Division]) -> None:
    data = planted()
    for own in (classical(), recipe(), classical(protocol=MIXING)):
        found = run(own, "honest", data)
        assert (found.protocol, found.leaky, found.unit) == ("by-artist", False, "track")
        for fold in divisions[-1].folds:
            sides = [fold.train, fold.valid, fold.test]
            assert all(len(side) for side in sides)
            for of in (data.track_of, data.groups):
                groups = [set(of[side].tolist()) for side in sides]
                assert len(set.union(*groups)) == sum(map(len, groups))


def test_every_track_is_tested_once_where_there_are_folds(divisions: list[Division]) -> None:
    data = planted()
    found = run(classical(), "honest", data, folds=4)
    tested = np.concatenate([fold.test for fold in divisions[-1].folds])
    assert sorted(tested.tolist()) == list(range(data.n_segments))
    assert found.folds == len(divisions[-1].folds) == 4
    assert found.test["n"] == len(data.tracks)
    assert sum(one["n"] for one in found.test["per_genre"].values()) == len(data.tracks)


def test_vectors_get_folds_and_images_one_division() -> None:
    assert run(classical(), "honest", planted(tracks=10)).folds == 5
    images = classical(features=IMAGES)
    found = run(images, "honest", planted((16, 16), tracks=10))
    assert found.folds == 1
    assert found.test["n"] < 30


def test_the_report_is_followed_in_what_it_mixes(divisions: list[Division]) -> None:
    data = planted(per_track=4)
    found = run(classical(protocol=MIXING), "report", data)
    assert (found.protocol, found.leaky, found.unit) == ("by-segment", True, "segment")
    (fold,) = divisions[-1].folds
    assert found.test["n"] == len(fold.test) == round(0.25 * data.n_segments)
    assert set(data.track_of[fold.test]) & set(data.track_of[fold.train])


def test_one_row_for_a_track_has_nothing_to_leak() -> None:
    found = run(classical(protocol=MIXING), "report", planted(per_track=1))
    assert (found.protocol, found.leaky, found.unit) == ("random", False, "track")


def test_the_shares_are_the_reports(divisions: list[Division]) -> None:
    data = planted(tracks=20)
    run(classical(protocol={"split": "random", "test": 0.3, "valid": 0.1}), "report", data)
    (fold,) = divisions[-1].folds
    counts = [len(np.unique(data.track_of[side])) for side in (fold.train, fold.valid, fold.test)]
    assert counts == [36, 6, 18]


@pytest.mark.parametrize(("tracks", "tested"), [(20, 12), (4, 3)])
def test_a_number_of_test_tracks_holds_where_there_are_as_many(tracks: int, tested: int) -> None:
    protocol = {"split": "random", "test": 0.2, "test_count": 12}
    assert run(classical(protocol=protocol), "report", planted(tracks=tracks)).test["n"] == tested


@pytest.mark.parametrize("way", ["report", "honest"])
@pytest.mark.parametrize("own", [recipe(), classical()], ids=["network", "classical"])
def test_a_measurement_survives_json(own: Recipe, way: str) -> None:
    found = run(own, way)
    assert Measurement(**json.loads(json.dumps(asdict(found)))) == found


def test_it_says_what_it_was_calibrated_on() -> None:
    assert run(recipe(), "honest").notes["calibrated_on"] == "validation"
    assert run(recipe(), "honest").test["ece"] >= 0
    without = recipe(protocol={"split": "random", "test": 0.2})
    found = run(without, "report")
    # A temperature fitted to the test part would flatter it.
    assert found.notes["calibrated_on"] == "nothing"
    assert found.test["ece"] is None


def test_it_says_how_much_was_learned_from() -> None:
    data = planted(tracks=20)
    own = classical(protocol={"split": "random", "test": 0.3, "valid": 0.1})
    assert run(own, "report", data).n_train == 36
    mixed = run(classical(protocol=MIXING), "report", data)
    assert mixed.n_train == data.n_segments - 2 * round(0.25 * data.n_segments)
    assert (mixed.n_tracks, mixed.unknown_artists) == (60, 0)
    nobody = tuple(replace(track, artist=None) for track in data.tracks[:7]) + data.tracks[7:]
    assert run(own, "report", replace(data, tracks=nobody)).unknown_artists == 7


def test_what_was_skipped_is_kept_with_its_reason() -> None:
    data = RecipeData(planted(), ((Path("music/jazz/a.wav"), "is silent"),), ())
    found = measure(classical(), data, "report", FitOptions(), described="planted")
    assert found.notes["skipped"] == 1
    assert found.notes["skipped_files"] == [["jazz/a.wav", "is silent"]]


def test_train_accuracy_is_that_of_the_kept_model(divisions: list[Division]) -> None:
    """At a rate of 0.3 the running accuracy of the last epoch is another one."""
    data = planted(apart=0.5)
    own = recipe(training={"epochs": 3, "learning_rate": 0.3, "batch": 8})
    found = run(own, "report", data)
    fold = divisions[-1].folds[0]
    again = measuring.fit(own, data, fold, FitOptions(by_report=True))
    scores = again.model(torch.from_numpy(data.inputs[fold.train]))[0].detach().numpy()
    right = scores.argmax(1) == data.targets[fold.train]
    assert found.train_accuracy == pytest.approx(right.mean())


def test_what_is_reported_with_the_accuracy() -> None:
    found = run(recipe(memorise=3), "report")
    assert found.notes["epochs_run"] == [3]
    assert found.notes["data"] == ["a note"]
    assert found.notes["memorised"]["tracks"] == 3
    assert len(found.history) == 3
    grouped = run(recipe(memorise=3), "honest")
    assert "memorised" not in grouped.notes
    search = {"name": "knn", "grid": {"n_neighbors": [1, 3]}, "folds": 2}
    folded = run(classical(estimator=search), "honest", folds=2)
    assert len(folded.notes["chosen_per_fold"]) == 2
    assert folded.train_accuracy == folded.notes["train_accuracy"]


def test_what_is_plain_is_measured_as_right_and_what_is_nothing_as_chance() -> None:
    assert run(classical(), "honest").test["accuracy"] == 1.0
    chance = run(classical(), "honest", planted(tracks=40, apart=0.0))
    assert 0.15 < chance.test["accuracy"] < 0.52
    low, high = chance.test["interval"]
    assert low < chance.test["accuracy"] < high


def test_by_artist_cannot_use_what_only_tells_artists_apart() -> None:
    """Every artist is a spot of its own: a leaky split knows all, an artist-grouped one nothing."""
    data = planted(tracks=16, apart=0.0, per_track=4)
    place = np.unique(data.groups, return_inverse=True)[1]
    spots = np.random.default_rng(1).normal(size=(24, 4))[place]
    spotted = replace(data, inputs=(spots + 0.01 * data.inputs).astype(np.float32))
    own = classical(protocol=MIXING)
    assert run(own, "report", spotted).test["accuracy"] == 1.0
    assert run(own, "honest", spotted).test["accuracy"] < 0.65


def test_songs_of_several_genres_are_judged_too() -> None:
    own = recipe(training={"epochs": 20, "learning_rate": 0.05, "loss": "sigmoid"})
    data = planted()
    song = MixedSong("a+b/1", data.inputs[:2], frozenset(LABELS[:1]))
    found = run(own, "report", data, mixed=(song,))
    assert found.notes["mixed"]["n"] == 1
    assert found.notes["mixed"]["accuracy"] == 1.0
    assert Measurement(**json.loads(json.dumps(asdict(found)))) == found


def test_a_genre_without_test_tracks_is_no_reason_to_stop(divisions: list[Division]) -> None:
    """Two artists of a genre: one of its artists is learned from, and it may be missing in test."""
    data = planted(tracks=12)
    kept = np.asarray(
        [n for n, t in enumerate(data.tracks) if t.genre != "rock" or int(t.key[-1]) < 4]
    )
    few = data.select(np.flatnonzero(np.isin(data.track_of, kept)))
    for seed in range(3):
        options = FitOptions(seed=seed)
        found = measure(
            recipe(), RecipeData(few, (), ()), "honest", options, described="x", folds=1
        )
        fold = divisions[-1].folds[0]
        assert set(few.targets[fold.train].tolist()) == {0, 1, 2}
        assert found.test["n"] == len(np.unique(few.track_of[fold.test]))


def test_each_fold_keeps_a_state_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[Path | None] = []
    original = measuring.fit

    def noted(own: Recipe, segments: Any, fold: Any, options: FitOptions, *args: Any) -> Any:
        paths.append(options.partial)
        return original(own, segments, fold, options, *args)

    monkeypatch.setattr(measuring, "fit", noted)
    options = FitOptions(partial=tmp_path / "small.abc.pt")
    data = RecipeData(planted(), (), ())
    measure(classical(), data, "honest", options, described="planted", folds=2)
    assert paths == [tmp_path / "small.abc.0.pt", tmp_path / "small.abc.1.pt"]
