from __future__ import annotations

import json

import pytest

from recsys.benchmark.results import Figure, Table, beside, figure_of


def test_a_figure_of_repeats_is_their_median_with_both_ends() -> None:
    found = figure_of("search", [4.0, 1.0, 2.0, 9.0], "ms", target=5.0)
    assert (found.value, found.low, found.high, found.repeats) == (3.0, 1.0, 9.0, 4)
    assert figure_of("search", [4.0, 1.0, 2.0], "ms").value == 2.0
    with pytest.raises(ValueError, match="not measured"):
        figure_of("search", [], "ms")


@pytest.mark.parametrize(
    ("value", "higher", "met"), [(4.0, False, True), (6.0, False, False), (6.0, True, True)]
)
def test_a_promise_is_kept_on_its_own_side(value: float, higher: bool, met: bool) -> None:
    assert Figure("x", value, "ms", target=5.0, higher_is_better=higher).met is met


def test_without_a_promise_nothing_is_kept_or_broken() -> None:
    assert Figure("x", 1.0, "ms").met is None


def test_a_ratio_above_one_means_that_ours_is_better() -> None:
    quick, slow = Figure("a", 2.0, "ms"), Figure("b", 8.0, "ms")
    assert beside(quick, "slow 1.0", slow).ratio == 4.0
    many = Figure("a", 80.0, "tracks/s", higher_is_better=True)
    few = Figure("b", 10.0, "tracks/s", higher_is_better=True)
    assert beside(many, "few 1.0", few).ratio == 8.0


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        Figure("a", 1.0, "ms").times_better_than(Figure("b", 1.0, "s"))
    with pytest.raises(ValueError, match="no ratio"):
        Figure("a", 0.0, "ms").times_better_than(Figure("b", 1.0, "ms"))


def test_a_table_survives_json_and_names_what_falls_short() -> None:
    ours, late = Figure("p50", 2.0, "ms", target=5.0), Figure("open", 3.0, "s", target=1.0)
    peer = beside(ours, "other 1.2", Figure("p50", 4.0, "ms"))
    table = Table("search", (ours, late), (peer,), ("absent: not installed",), ("two cores",))
    assert Table.from_json(json.loads(json.dumps(table.as_json()))) == table
    assert table.short_of() == (late,)
    assert table.figure("p50") is ours
