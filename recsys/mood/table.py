"""The table of moods: which tags make a number, and which regions of the numbers are a mood."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from recsys.checks import regular
from recsys.errors import QueryError, RecsysError
from recsys.names import resolve_name, spelling_key
from recsys.types import MOOD_NUMBERS, Range

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from recsys.types import FloatArray, ModelInfo

_LOGISTIC = 1.702
"""Slope at which the logistic function is within 0.01 of the normal distribution function."""

_HINT = "Compare it with what recsys mood table prints."

_MOST_BYTES = 1_000_000
"""No table of moods is larger; the library keeps a copy."""

_MOST = 1000.0
"""Largest number of a table: strengths are z-scores, so that larger ones are slips of the pen."""


class TableError(RecsysError):
    """A table of moods that cannot be used."""


@dataclass(frozen=True, slots=True)
class NumberRule:
    """How one number is made of tag strengths."""

    more: dict[str, float]  # weights by tag
    less: dict[str, float]
    mean: float  # of the combination, over the music that the table names
    deviation: float

    def combine(self, info: ModelInfo, strengths: FloatArray, least_share: float) -> FloatArray:
        """Return the combination for each row of strengths, (n, n_tags), before standardising.

        NaN where the model has less than `least_share` of the weights, or none of one side.
        """
        columns = {spelling_key(tag): column for column, tag in enumerate(info.tags)}
        total, held = 0.0, 0.0
        combined = np.zeros(len(strengths))
        for sign, weights in ((1.0, self.more), (-1.0, self.less)):
            known = {
                columns[key]: weight
                for tag, weight in weights.items()
                if (key := spelling_key(tag)) in columns
            }
            if weights and not known:
                return np.full(len(strengths), np.nan, dtype=np.float32)
            share = sum(known.values())
            total, held = total + sum(weights.values()), held + share
            for column, weight in known.items():
                combined += sign * weight / share * strengths[:, column]
        if held < least_share * total:
            combined[:] = np.nan
        return combined.astype(np.float32)

    def standardised(self, combined: FloatArray) -> FloatArray:
        """Return combinations as numbers in [0, 1]."""
        z = (combined.astype(np.float64) - self.mean) / self.deviation
        values: FloatArray = (1 / (1 + np.exp(-_LOGISTIC * z))).astype(np.float32)
        return values


@dataclass(frozen=True, slots=True)
class MoodTable:
    """A table of moods, see the head of ``moods.toml``.

    Attributes
    ----------
    numbers : dict of str to NumberRule
        All of :data:`recsys.types.MOOD_NUMBERS`.
    moods : dict of str to dict of str to Range
        Ranges of numbers by the name of the mood.
    spellings : dict of str to str
        Names of moods by their spellings.
    least_share : float
        Share of the weights whose tags a model must have.
    """

    numbers: dict[str, NumberRule]
    moods: dict[str, dict[str, Range]]
    spellings: dict[str, str]
    least_share: float

    @classmethod
    def parse(cls, text: str) -> MoodTable:
        """Return the table of a TOML text.

        Raises
        ------
        TableError
            It is no TOML, a number or weight is missing or no number, or a range is none.
        """
        try:
            table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
            raise TableError(f"the table of moods is no TOML: {error}", _HINT) from None
        _only(table, ("least_share", "number", "mood"), "the table of moods")
        rules = table.get("number", {})
        _only(rules, MOOD_NUMBERS, "[number]")
        missing = [name for name in MOOD_NUMBERS if name not in rules]
        if missing:
            raise TableError(f"[number.{missing[0]}] is missing", _HINT)
        moods: dict[str, dict[str, Range]] = {}
        spellings: dict[str, str] = {}
        named = table.get("mood", {})
        _only(named, None, "[mood]")
        for name, row in named.items():
            _only(row, (*MOOD_NUMBERS, "words"), f"[mood.{name}]")
            words = row.pop("words", "")
            if not isinstance(words, str):
                raise TableError(
                    f"words in [mood.{name}] must be a text, got {words!r}",
                    'Divide them by commas: words = "joyful, cheerful".',
                )
            if not row:
                raise TableError(f"[mood.{name}] has no range", 'For example energy = "0.7..".')
            moods[name] = {number: _range(value, name) for number, value in row.items()}
            for spelling in (name, *filter(None, map(str.strip, words.split(",")))):
                known = spellings.setdefault(spelling, name)
                if known != name:
                    raise TableError(
                        f"{spelling!r} means two moods: {known} and {name}",
                        "Delete one of the two.",
                    )
        share = _number(table.get("least_share"), "least_share")
        if not 0 <= share <= 1:
            raise TableError(f"least_share must be from 0 to 1, got {share:g}", _HINT)
        return cls({n: _rule(n, rules[n]) for n in MOOD_NUMBERS}, moods, spellings, share)

    def check_sense(self) -> None:
        """Raise TableError for what can be read, but not be meant.

        Of tables to come alone: a library may hold one that was taken before this was asked.
        """
        for number, rule in self.numbers.items():
            for side, weights in (("more", rule.more), ("less", rule.less)):
                for known, tag in _twins({tag: tag for tag in weights}):
                    raise TableError(
                        f"{known!r} and {tag!r} are one tag, {side} in [number.{number}]",
                        "Delete one of the two.",
                    )
        for name, ranges in self.moods.items():
            if not name.strip() or not name.isprintable():
                raise TableError(f"{name!r} cannot be the name of a mood", "Give it words.")
            for limits in ranges.values():
                try:
                    _ = limits & Range(0.0, 1.0)  # all numbers lie there
                except QueryError as error:
                    raise TableError(f"[mood.{name}]: {error.message}", error.hint) from None
        for known, spelling in _twins(self.spellings):
            raise TableError(
                f"{spelling!r} means two moods: {self.spellings[known]} and"
                f" {self.spellings[spelling]}",
                "Delete one of the two.",
            )

    def missing_tags(self, info: ModelInfo) -> tuple[str, ...]:
        """Return the tags of the table that a model lacks, which count for nothing."""
        known = {spelling_key(tag) for tag in info.tags}
        named = [tag for rule in self.numbers.values() for tag in (*rule.more, *rule.less)]
        return tuple(tag for tag in dict.fromkeys(named) if spelling_key(tag) not in known)

    def missing_numbers(self, info: ModelInfo) -> tuple[str, ...]:
        """Return the numbers that no track has, because a model lacks too many of their tags."""
        nothing = np.zeros((1, len(info.tags)), dtype=np.float32)
        return tuple(
            name
            for name, rule in self.numbers.items()
            if np.isnan(rule.combine(info, nothing, self.least_share)).all()
        )

    def ranges(self, names: Sequence[str]) -> dict[str, Range]:
        """Return the ranges that all of some moods share; QueryError for one that is not known."""
        found: dict[str, Range] = {}
        for given in names:
            others = "Tags of the model have --tag. Moods:"
            name = self.spellings[resolve_name(given, [*self.spellings], "mood", others)]
            for number, limits in self.moods[name].items():
                try:
                    found[number] = found[number] & limits if number in found else limits
                except QueryError as error:
                    raise QueryError(
                        f"no track is {' and '.join(names)}: {number}: {error.message}",
                        "Leave out a mood.",
                    ) from None
        return found


def _twins(meanings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of names that differ in accents and capitals alone, and mean different things."""
    first: dict[str, str] = {}
    for name, meaning in meanings.items():
        known = first.setdefault(spelling_key(name), name)
        if meanings[known] != meaning:
            yield known, name


def _only(table: object, known: Sequence[str] | None, place: str) -> None:
    """Raise TableError for what is no table, or has other keys than these, if any are given."""
    if not isinstance(table, dict):
        raise TableError(f"{place} must be a table, got {_brief(table)}", _HINT)
    strange = [name for name in table if known is not None and name not in known]
    if strange and known:
        raise TableError(f"unknown key {strange[0]!r} in {place}", f"Known: {', '.join(known)}.")


def _number(value: object, place: str) -> float:
    if value is None:
        raise TableError(f"{place} is missing", _HINT)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TableError(f"{place} must be a number, got {_brief(value)}", _HINT)
    if not -_MOST <= value <= _MOST:
        raise TableError(
            f"{place} must be a number from -{_MOST:g} to {_MOST:g}, got {_brief(value)}", _HINT
        )
    return float(value)


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _rule(name: str, row: object) -> NumberRule:
    place = f"[number.{name}]"
    _only(row, ("more", "less", "mean", "deviation"), place)
    assert isinstance(row, dict)
    more, less = (_weights(row.get(side, {}), f"{side} in {place}") for side in ("more", "less"))
    if not more and not less:
        raise TableError(f"{place} has no tags", _HINT)
    deviation = _number(row.get("deviation"), f"deviation in {place}")
    if deviation < 1 / _MOST:
        raise TableError(
            f"deviation in {place} must be at least {1 / _MOST:g}, got {deviation:g}", _HINT
        )
    return NumberRule(more, less, _number(row.get("mean"), f"mean in {place}"), deviation)


def _weights(row: object, place: str) -> dict[str, float]:
    if not isinstance(row, dict):
        raise TableError(f"{place} must be weights of tags, got {_brief(row)}", _HINT)
    weights = {
        tag: _number(weight, f"the weight of {tag!r}, {place},") for tag, weight in row.items()
    }
    low = [tag for tag, weight in weights.items() if weight <= 0]
    if low:
        raise TableError(
            f"the weight of {low[0]!r}, {place}, must be above 0, got {weights[low[0]]:g}",
            "Tags that count against a number are in `less`.",
        )
    return weights


def _range(value: object, mood: str) -> Range:
    try:
        return Range.parse(str(value))
    except QueryError as error:
        raise TableError(f"[mood.{mood}]: {error.message}", error.hint) from None


def shipped_text() -> str:
    """Return the table that comes with recsys."""
    return files("recsys.data").joinpath("moods.toml").read_text(encoding="utf-8")


def read_table(path: Path) -> str:
    """Return the text of a table, checked; TableError if the file is none."""
    try:
        with regular(path).open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise TableError("it is larger than a table of moods can be (1 MB)", _HINT)
        text = raw.decode("utf-8")
        MoodTable.parse(text).check_sense()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read: {error}", "Name a TOML file in UTF-8.") from None
    except TableError as error:
        raise TableError(f"{path}: {error.message}", error.hint) from None
    return text


@lru_cache(maxsize=4)
def table_of(text: str | None) -> MoodTable:
    """Return the table of a text; None is the one that comes with recsys."""
    return MoodTable.parse(shipped_text() if text is None else text)
