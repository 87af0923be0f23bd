"""Years in a phrase: decades, years, ranges, "before" and "after"."""

from __future__ import annotations

import re
from collections.abc import Sequence

Range = tuple[int | None, int | None]
"""First and last year; None has no limit."""

_DECADES = {
    "fifties": 1950,
    "sixties": 1960,
    "seventies": 1970,
    "eighties": 1980,
    "nineties": 1990,
    "noughties": 2000,
    "naughties": 2000,
    "aughts": 2000,
}
_DECADE, _YEAR = re.compile(r"(19|20)?(\d)0(?:s|er)"), re.compile(r"(?:19|20)\d\d")
_PARTS = {"early": (0, 3), "mid": (4, 6), "middle": (4, 6), "late": (7, 9)}
_FILLERS = {"the", "of", "year", "in", "about", "around", "circa", "years"}
_BEFORE = (("before",), ("pre",), ("older", "than"), ("earlier", "than"))
_UNTIL = (("until",), ("till",), ("up", "to"))
_AFTER = (("after",), ("post",), ("newer", "than"), ("later", "than"), ("past",))
_SINCE = (("since",), ("starting",), ("starting", "from"), ("starting", "in"))
_TO, _ON = ("to", "until", "till", "through"), ("on", "onward", "onwards")
_OR_LATER = {(a, b) for a in ("or", "and") for b in ("later", "newer", "after", "up", "onwards")}
_OR_EARLIER = {(a, b) for a in ("or", "and") for b in ("earlier", "older", "before")}


def read_years(tokens: Sequence[str], start: int) -> tuple[Range, int] | None:
    """Return the years named from a token on and the number of its words, or None.

    Examples
    --------
    >>> read_years("before the 80s".split(), 0), read_years("late sixties soul".split(), 0)
    (((None, 1979), 3), ((1967, 1969), 2))
    >>> read_years("between 1975 and 1982".split(), 0), read_years("jazz from 1984".split(), 0)
    (((1975, 1982), 4), None)
    """
    found = _with_limit(tokens, start) or _range(tokens, start)
    if found is None:
        return None
    years, end = found
    return years, end - start


def is_year(token: str) -> bool:
    """Return whether a word is a year or a decade."""
    return _decade(token) is not None or _YEAR.fullmatch(token) is not None


def _with_limit(tokens: Sequence[str], start: int) -> tuple[Range, int] | None:
    """Read years behind "before", "since" and the like, with the position behind them."""
    for words in (*_BEFORE, *_UNTIL, *_AFTER, *_SINCE):
        if tuple(tokens[start : start + len(words)]) != words:
            continue
        named = _named(tokens, start + len(words))
        if named is None:
            continue
        first, last, end = named
        if words in _BEFORE:
            return (None, first - 1), end
        if words in _UNTIL:
            return (None, last), end
        return (last + 1 if words in _AFTER else first, None), end
    return None


def _range(tokens: Sequence[str], start: int) -> tuple[Range, int] | None:
    """Read one year or decade, or a range, with the position behind it."""
    begin, between = start, False
    if start < len(tokens):
        between = tokens[start] == "between"
        begin += between or tokens[start] == "from"
    named = _named(tokens, begin)
    if named is None:
        return None
    first, last, end = named
    joint = tokens[end] if end < len(tokens) else ""
    if joint in _TO or (between and joint == "and"):
        until = _named(tokens, end + 1)
        if until is not None and until[1] >= first:
            return (first, until[1]), until[2]
    if joint in _ON:
        return (first, None), end + 1
    following = tuple(tokens[end : end + 2])
    if following in _OR_LATER:
        return (first, None), end + 2
    return ((None, last), end + 2) if following in _OR_EARLIER else ((first, last), end)


def _named(tokens: Sequence[str], start: int) -> tuple[int, int, int] | None:
    """Return first and last year of a decade or year, after fillers, and the position behind it."""
    position, part = start, (0, 9)
    while position < len(tokens) and (tokens[position] in _FILLERS or tokens[position] in _PARTS):
        part = _PARTS.get(tokens[position], part)
        position += 1
    if position == len(tokens):
        return None
    decade = _decade(tokens[position])
    if decade is not None:
        return decade + part[0], decade + part[1], position + 1
    if _YEAR.fullmatch(tokens[position]):
        return int(tokens[position]), int(tokens[position]), position + 1
    return None


def _decade(token: str) -> int | None:
    if token in _DECADES:
        return _DECADES[token]
    match = _DECADE.fullmatch(token)
    if match is None:
        return None
    century = int(match[1]) if match[1] else 20 if match[2] in "01" else 19
    return 100 * century + 10 * int(match[2])
