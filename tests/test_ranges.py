"""Ranges of numbers, in Python and on the command line."""

from __future__ import annotations

import click
import pytest

from recsys.cli.options import RangeParam
from recsys.errors import QueryError
from recsys.types import Range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.7..", Range(0.7, None)),
        ("..0.3", Range(None, 0.3)),
        ("0.2..0.5", Range(0.2, 0.5)),
        ("118..126", Range(118, 126)),
        ("-14..-9.5", Range(-14, -9.5)),
        ("..-9", Range(None, -9)),
        (".2...5", Range(0.2, 0.5)),
        ("1..1", Range(1, 1)),
    ],
)
def test_a_range_is_read_and_written(text: str, expected: Range) -> None:
    assert RangeParam().convert(text, None, None) == expected
    assert Range.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "..", "0.7", "0.5..0.2", "a..b", "nan..", "..inf", "0.1..0.2..0.3", "0.7-0.9"]
)
def test_what_is_no_range_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"Give|Leave out|lower"):
        RangeParam().convert(text, None, None)


def test_one_number_is_no_range_and_both_meanings_are_named() -> None:
    with pytest.raises(QueryError, match=r"'0\.7' is not a range") as refused:
        Range.parse("0.7")
    assert refused.value.hint == "Give 0.7.. for no less, ..0.7 for no more."


def test_limits_belong_to_a_range_and_unknown_values_do_not() -> None:
    inside = Range(0.2, 0.5)
    assert [inside.holds(value) for value in (0.1, 0.2, 0.4, 0.5, 0.6, None)] == [
        *(False, True, True, True, False, False)
    ]
    assert Range(0.2).holds(9)
