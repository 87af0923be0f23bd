"""The measures against cases worked out by hand and against plain loops."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.robustness import (
    half_figures,
    median_cosine,
    own_cosines,
    reciprocal_ranks,
    variant_figures,
)
from tests.stored import unit_rows


def test_the_median_is_that_of_all_pairs() -> None:
    rows = unit_rows(9, 4, seed=1)
    pairs = [float(a @ b) for a, b in combinations(rows, 2)]
    assert median_cosine(rows) == pytest.approx(np.median(pairs), abs=1e-6)
    assert median_cosine(np.eye(3, dtype=np.float32)) == 0
    with pytest.raises(ValueError, match="there is 1"):
        median_cosine(unit_rows(1, 4))


def test_a_variant_is_found_when_no_other_original_is_nearer() -> None:
    originals = np.eye(3, dtype=np.float32)
    variants = np.array([[0.8, 0.6, 0], [0.8, 0.6, 0], [0, 0, 1]], np.float32)
    cosines, found = own_cosines(originals, variants)
    assert cosines == pytest.approx([0.8, 0.6, 1.0])
    assert found.tolist() == [1, 0, 1]
    figures = variant_figures(cosines, found)
    assert (figures.n, figures.found, figures.median) == (
        3,
        pytest.approx(2 / 3),
        pytest.approx(0.8),
    )
    assert figures.low == pytest.approx(0.62)  # a tenth of the way from 0.6 to 0.8


def test_an_embedding_that_tells_nothing_apart_finds_nothing() -> None:
    same = np.tile(unit_rows(1, 5), (8, 1))
    cosines, found = own_cosines(same, same)
    assert cosines == pytest.approx(np.ones(8))
    assert found.tolist() == [1 / 8] * 8
    ranks, _ = reciprocal_ranks(same, same, ["a"] * 8)
    assert ranks == pytest.approx(np.full(8, 1 / 4.5))


def test_blocks_give_what_one_piece_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    originals, variants = unit_rows(23, 3), unit_rows(23, 3, seed=2)
    whole = own_cosines(originals, variants)
    monkeypatch.setattr("recsys.robustness._BLOCK", 5)
    for one, other in zip(whole, own_cosines(originals, variants), strict=True):
        assert (one == other).all()


@given(st.integers(0, 10_000), st.lists(st.sampled_from("abc"), min_size=2, max_size=12))
def test_ranks_are_those_of_a_plain_loop(seed: int, genres: list[str]) -> None:
    firsts, seconds = unit_rows(len(genres), 3, seed), unit_rows(len(genres), 3, seed + 1)
    expected = []
    for genre in sorted(set(genres)):
        own = [i for i, other in enumerate(genres) if other == genre]
        if len(own) > 1:
            for i in own:
                order = sorted(own, key=lambda j: -float(firsts[i] @ seconds[j]))
                expected.append(1 / (1 + order.index(i)))
    ranks, chances = reciprocal_ranks(firsts, seconds, genres)
    assert ranks == pytest.approx(expected)
    assert len(chances) == len(ranks)


def test_chance_is_the_mean_over_all_orders() -> None:
    orders = list(permutations(range(4)))
    mean = np.mean([1 / (1 + order.index(0)) for order in orders])
    _, chances = reciprocal_ranks(unit_rows(5, 3), unit_rows(5, 3), ["a", "a", "b", "a", "a"])
    assert chances == pytest.approx(np.full(4, mean))


def test_halves_that_find_each_other_reach_one() -> None:
    rows = unit_rows(6, 4)
    figures = half_figures(rows, rows, ["a"] * 3 + ["b"] * 3)
    assert figures is not None
    assert (figures.n, figures.mean_reciprocal_rank, figures.interval) == (6, 1.0, (1.0, 1.0))
    assert figures.by_chance == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert half_figures(rows, rows, list("abcdef")) is None


def test_the_interval_is_of_the_size_that_statistics_expects() -> None:
    rng = np.random.default_rng(5)
    firsts = unit_rows(200, 8)
    noisy = firsts + 0.3 * rng.standard_normal(firsts.shape).astype(np.float32)
    seconds = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    figures = half_figures(firsts, seconds, ["a"] * 200, seed=3)
    ranks, _ = reciprocal_ranks(firsts, seconds, ["a"] * 200)
    assert figures is not None
    low, high = figures.interval
    assert low < figures.mean_reciprocal_rank < high
    assert high - low == pytest.approx(2 * 1.96 * ranks.std() / np.sqrt(200), rel=0.15)
    assert figures == half_figures(firsts, seconds, ["a"] * 200, seed=3)
