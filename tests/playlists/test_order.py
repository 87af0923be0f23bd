"""Tours of genres, ways between vectors, and artists held apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.playlists.order import related_order, tour_cost
from recsys.playlists.way import slerp
from recsys.recommender.taxonomy import ModelGenres
from recsys.types import ModelInfo
from tests.planted import make_info, unit
from tests.playlists.gaps import gap_holds

X, Y, Z = np.eye(3, dtype=np.float32)


def ring_info(order: str) -> ModelInfo:
    """Return a model that confuses each genre with its neighbours on a ring, and hardly others."""
    labels = sorted(order)
    confusion = np.full((len(labels), len(labels)), 0.01)
    for one, other in zip(order, order[1:] + order[:1], strict=True):
        confusion[labels.index(one), labels.index(other)] = 0.2
        confusion[labels.index(other), labels.index(one)] = 0.1
    np.fill_diagonal(confusion, 0.6)
    return make_info(labels, (confusion / confusion.sum(axis=1, keepdims=True)).tolist())


def order_of(info: ModelInfo, genres: Sequence[str]) -> list[str]:
    return related_order(ModelGenres(info).relatedness(genres), genres)


@pytest.mark.parametrize("ring", ["acebd", "abcdefghij", "ajbichdgef"])
def test_the_planted_ring_is_found(ring: str) -> None:
    order = "".join(order_of(ring_info(ring), sorted(ring)))
    assert order[0] == "a"
    assert order in (ring, ring[0] + ring[:0:-1])


@pytest.mark.parametrize("seed", range(20))
def test_the_tour_is_as_short_as_the_shortest_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confusion = rng.dirichlet(np.full(7, 0.5), size=7) + 0.01
    info = make_info("abcdefg", (confusion / confusion.sum(axis=1, keepdims=True)).tolist())
    related = (info.confusion + info.confusion.T).astype(float) / 2
    costs = -np.log(related)
    best = min(tour_cost((0, *rest), costs) for rest in permutations(range(1, 7)))
    found = [info.labels.index(genre) for genre in order_of(info, "abcdefg")]
    assert found[0] == 0
    assert sorted(found) == list(range(7))
    assert tour_cost(found, costs) == pytest.approx(best, rel=0.02)


def test_the_round_begins_with_the_first_and_turns_to_its_nearer_neighbour() -> None:
    info = ring_info("acebd")
    labels = info.labels
    confusion = info.confusion.copy()
    confusion[labels.index("c"), labels.index("e")] += 0.05
    nearer = make_info(labels, confusion.tolist())
    assert order_of(nearer, ["c", "a", "b", "d", "e"]) == ["c", "e", "b", "d", "a"]


@pytest.mark.parametrize("genres", [[], ["b"], ["b", "a"]])
def test_few_genres_keep_their_order(genres: list[str]) -> None:
    assert order_of(ring_info("abc"), genres) == genres


@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_slerp_turns_by_a_share_of_the_angle(share: float, seed: int) -> None:
    a, b = (unit(row) for row in np.random.default_rng(seed).standard_normal((2, 5)))
    angle = np.arccos(np.clip(a.astype(float) @ b, -1, 1))
    point = slerp(a, b, share)
    assert np.linalg.norm(point) == pytest.approx(1, abs=1e-5)
    assert point @ a == pytest.approx(np.cos(share * angle), abs=1e-5)
    assert point @ b == pytest.approx(np.cos((1 - share) * angle), abs=1e-5)


def test_slerp_between_equal_and_between_opposite_vectors() -> None:
    assert np.array_equal(slerp(X, X, 0.3), X)
    halfway = slerp(X, -X, 0.5)
    assert halfway @ X == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(halfway) == pytest.approx(1)
    assert slerp(X, -X, 1.0) == pytest.approx(-X, abs=1e-6)


@pytest.mark.parametrize(
    ("artists", "gap", "expected"),
    [
        ("AA", 0, True),
        ("AA", 1, False),
        ("ABA", 1, True),
        ("ABA", 2, False),
        ("ABCA", 2, True),
        ("....", 3, True),
        ("", 1, True),
    ],
)
def test_gap_holds(artists: str, gap: int, expected: bool) -> None:
    assert gap_holds([None if a == "." else a for a in artists], gap) is expected
