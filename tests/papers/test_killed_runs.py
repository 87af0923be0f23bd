"""A run over many recipes that was killed goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from recsys.classifier.training import loop as networks
from recsys.papers import fit as fitting
from recsys.papers import measure as measuring
from recsys.papers.fit import FitOptions
from recsys.papers.measure import Measurement
from recsys.papers.reproduce import ReproduceOptions
from tests.papers.many import NETWORK, run


def kill_after(epochs: int) -> Callable[[Any], None]:
    def on_epoch(result: Any) -> None:
        if result.epoch == epochs:
            raise KeyboardInterrupt

    return on_epoch


def test_a_killed_run_goes_on_with_the_epoch_that_was_reached(
    options: ReproduceOptions, decoded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(networks, "SAVING_SHARE", 1e9)
    undisturbed = run([NETWORK], replace(options, out=options.out / "undisturbed"))
    with pytest.raises(KeyboardInterrupt):
        run([NETWORK], options, on_epoch=kill_after(2))
    epochs: list[int] = []
    resumed = run([NETWORK], options, on_epoch=lambda result: epochs.append(result.epoch))
    assert epochs[0] == 3
    for (_, _, one), (_, _, other) in zip(undisturbed, resumed, strict=True):
        assert isinstance(one, Measurement)
        assert isinstance(other, Measurement)
        assert replace(one, minutes=0) == replace(other, minutes=0)
    assert list((options.out / "state").iterdir()) == []


def test_the_state_of_a_killed_run_with_other_settings_is_in_nobodys_way(
    options: ReproduceOptions, decoded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(networks, "SAVING_SHARE", 1e9)
    with pytest.raises(KeyboardInterrupt):
        run([NETWORK], options, on_epoch=kill_after(2))
    assert list((options.out / "state").iterdir())
    found = run([NETWORK], replace(options, fit=FitOptions(epochs=2)))
    assert all(isinstance(one[2], Measurement) for one in found)
    assert list((options.out / "state").iterdir()) == []


class Clock:
    """Time that passes only while an epoch is trained: a minute each."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_minutes_count_what_was_done_before_a_kill(
    options: ReproduceOptions, decoded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    original = networks.Training._train_epoch

    def a_minute(self: Any, epoch: int) -> Any:
        clock.now += 60
        return original(self, epoch)

    for module in (networks, fitting, measuring):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(networks, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(networks.Training, "_train_epoch", a_minute)
    with pytest.raises(KeyboardInterrupt):
        run([NETWORK], options, on_epoch=kill_after(2))
    report, grouped = (outcome for _, _, outcome in run([NETWORK], options))
    assert isinstance(report, Measurement)
    assert isinstance(grouped, Measurement)
    assert (report.minutes, grouped.minutes) == (3.0, 6.0)
