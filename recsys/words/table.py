"""The table of words: what each means in tags of the model, and the words between them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from recsys.names import spelling_key
from recsys.store.search import normalise

Tokens = tuple[str, ...]
"""Words of a phrase as :func:`tokens_of` returns them."""

LONGEST = 6
"""Words of the longest entry that is looked up."""


class SoundKind(StrEnum):
    """What a sound describes."""

    STYLE = "style"
    MOOD = "mood"
    TEMPO = "tempo"
    VOICE = "voice"
    INSTRUMENT = "instrument"
    USE = "use"


ADJECTIVES = (SoundKind.MOOD, SoundKind.TEMPO)
"""Kinds whose words come before others, so that a "no" before them reaches further."""


def alike(one: SoundKind, other: SoundKind) -> bool:
    """Return whether a negation of one reaches the other across an "and"."""
    heard = (SoundKind.VOICE, SoundKind.INSTRUMENT)
    return one is other or (one in heard and other in heard)


class Role(StrEnum):
    """What a word between the sounds does; those first named win where a word has several."""

    NO = "no"
    NOT = "not"
    NOT_VERY = "not_very"
    VERY = "very"
    LITTLE = "little"
    OR = "or"
    AND = "and"
    LIKE = "like"
    STOP = "stop"
    UNMEASURED = "unmeasured"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Sound:
    """One sound of the table, see the head of ``words.toml`` for its fields."""

    name: str
    kind: SoundKind
    tags: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    any: bool = False
    near: bool = False
    opposite: str | None = None
    group: str | None = None  # the genre group of this name, where the library has it


@dataclass(frozen=True, slots=True)
class Years:
    """A word that means years, such as "modern"."""

    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Everything that some words may mean."""

    role: Role | None = None
    sound: Sound | None = None
    years: Years | None = None


class Vocabulary:
    """The words that are understood for one library: those of the table that it can rank by.

    Parameters
    ----------
    tags : sequence of str
        Tags of the model. Each is a word, in the table or not.
    groups : sequence of str
        Genre groups of the library. Each is a word as well.
    """

    def __init__(self, tags: Sequence[str], groups: Sequence[str]) -> None:
        self._entries: dict[Tokens, Entry] = {}
        self.sounds: dict[str, Sound] = {}
        self._spellings: dict[str, list[str]] = {}
        by_key = {spelling_key(tag): tag for tag in tags}
        group_of = {spelling_key(group): group for group in groups}
        table = _table()
        for role in reversed(Role):  # the first one wins
            for words in _listed(table["grammar"][role]):
                self._entries[tokens_of(words)] = Entry(role=role)
        for row in table["years"]:
            for words in _listed(row["words"]):
                self._entries[tokens_of(words)] = Entry(
                    years=Years(row.get("first"), row.get("last"))
                )
        for row in table["sound"]:
            self._add_row(row, by_key, group_of)
        # The library's own names, where the table has no better reading of them.
        for name in [*tags, *groups]:
            tokens = tokens_of(name)
            if tokens and self._entries.get(tokens, Entry()).sound is None:
                key = spelling_key(name)
                tag = (by_key[key],) if key in by_key else ()
                self._add((tokens,), Sound(name, SoundKind.STYLE, tag, group=group_of.get(key)))

    def _add_row(
        self, row: Mapping[str, Any], by_key: Mapping[str, str], group_of: Mapping[str, str]
    ) -> None:
        kind, name = SoundKind(row["kind"]), row["name"]

        def known(field: str) -> tuple[str, ...]:
            return tuple(by_key[k] for n in row.get(field, ()) if (k := spelling_key(n)) in by_key)

        sound = Sound(
            name,
            kind,
            known("tags"),
            known("absent"),
            row.get("any", False),
            row.get("near", False),
            row.get("opposite"),
            group_of.get(spelling_key(name)) if kind is SoundKind.STYLE else None,
        )
        if sound.tags or sound.group is not None:  # else the library has no measure of it
            self._spellings[name] = _listed(row["words"])
            self._add(map(tokens_of, self._spellings[name]), sound)
        elif not row.get("tags"):  # a group that the library lacks: no guess makes up for it
            for words in _listed(row["words"]):
                self._entries.setdefault(tokens_of(words), Entry(role=Role.UNMEASURED))

    def _add(self, spellings: Iterable[Tokens], sound: Sound) -> None:
        self.sounds[sound.name] = sound
        for tokens in spellings:
            role = self._entries.get(tokens, Entry()).role
            self._entries[tokens] = Entry(role=role, sound=sound)

    def find(self, tokens: Sequence[str], start: int) -> tuple[Entry, int] | None:
        """Return the longest entry that begins at a token, and its number of tokens."""
        for length in range(min(LONGEST, len(tokens) - start), 0, -1):
            words = tuple(tokens[start : start + length])
            entry = next((e for form in _forms(words) if (e := self._entries.get(form))), None)
            if entry is not None:
                return entry, length
        return None

    def spellings(self) -> list[tuple[str, Sound]]:
        """Return every spelling of the table with its sound, for a text model."""
        return [(words, self.sounds[n]) for n, held in self._spellings.items() for words in held]

    def single_words(self) -> list[str]:
        """Return the single words that mean a sound, for comparison with misspellings."""
        return [words[0] for words, e in self._entries.items() if len(words) == 1 and e.sound]


def _forms(words: Tokens) -> Iterable[Tokens]:
    """Yield words as they are, then with the last one in singular and plural."""
    yield words
    *rest, last = words
    if len(last) > 3 and last.endswith("s"):
        yield (*rest, last[:-1])
    yield (*rest, f"{last}s")


_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": ","})
_REPLACED = (
    (re.compile(r"\bw/o\b", re.IGNORECASE), " without "),
    (re.compile(r"\bw/", re.IGNORECASE), " with "),
    (re.compile(r"(\d)\s*-\s*(\d)"), r"\1 to \2"),
    (re.compile(r"(?<=\d)0?ies\b", re.IGNORECASE), "0s"),
    (re.compile(r"[&+]"), " and "),
    (re.compile(r"/"), " or "),
    (re.compile(r"'"), ""),
    (re.compile(r"[,;:.!?()\[\]]+"), " , "),
)


def tokens_of(text: str) -> Tokens:
    """Return the words of a text, without case, accents, apostrophes and hyphens.

    Marks that end a part of a sentence become commas.

    Examples
    --------
    >>> tokens_of("R&B from the '80s, but not hip-hop!")
    ('r', 'and', 'b', 'from', 'the', '80s', ',', 'but', 'not', 'hip', 'hop', ',')
    """
    text = text.translate(_QUOTES)
    for pattern, instead in _REPLACED:
        text = pattern.sub(instead, text)
    return tuple(re.findall(r"[^\W_]+|,", normalise(text)))


def _listed(words: str) -> list[str]:
    return [part.strip() for part in words.split(",")]


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files("recsys.data").joinpath("words.toml").read_text(encoding="utf-8"))
