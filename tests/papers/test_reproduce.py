"""A run over many recipes: what is done stays done, and what fails stops nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import ModelError
from recsys.papers import reproduce
from recsys.papers import transfer as pretrained
from recsys.papers.measure import Measurement
from recsys.papers.recipe import Recipe
from recsys.papers.reproduce import QUICK_TRACKS, FailedMeasurement, ReproduceOptions, Reproduction
from recsys.papers.transfer import BACKBONES
from tests.papers.many import BOTH, NEIGHBOURS, NETWORK, named, run
from tests.papers.small import PICTURE, classical, recipe


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
    # The report trains once, honesty in two folds.
    assert fits == ["network"] * 3 + ["neighbours"] * 3
    results = sorted(path.name for path in (options.out / "results").iterdir())
    assert results == sorted(f"{name}.json" for name, _, _ in seen)
    assert list((options.out / "state").iterdir()) == []


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
        features={**PICTURE, "height": 64, "width": 64},
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


def test_data_is_told_of_once_it_is_there(options: ReproduceOptions, decoded: list[Any]) -> None:
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
    original = Path.write_text

    def cut_off(path: Path, text: str, **others: Any) -> int:
        original(path, text[:50], **others)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", cut_off)
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
