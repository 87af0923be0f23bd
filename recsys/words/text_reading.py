"""Readings of phrases that a text model takes as they are, but for what they do not want."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from recsys.words.table import Role, Vocabulary, tokens_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEGATIONS = (Role.NO, Role.NOT, Role.NOT_VERY)


@dataclass(frozen=True, slots=True)
class TextReading:
    """How a phrase was divided for the text model of a library's own model."""

    given: str
    model: str  # whose text model it is
    wanted: str  # empty where something is unwanted alone
    unwanted: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.wanted] if self.wanted else []
        parts += [f"without {text}" for text in self.unwanted]
        return f"{', '.join(parts)} (by the text model of {self.model})"

    def fields(self) -> dict[str, object]:
        """Return the reading as scripts read it; the text model knows neither years nor names."""
        return {
            "given": self.given,
            "reading": str(self),
            "wanted": [self.wanted] if self.wanted else [],
            "unwanted": list(self.unwanted),
            "years": [],
            "names": [],
            "not_understood": [],
            "text_model": self.model,
        }


def divided(phrase: str) -> tuple[str, tuple[str, ...]]:
    """Return what a phrase wants, and what it does not.

    A negation of the table reaches to the next comma, or to a word such as "but", "with" or "from";
    "non" to the next word. A part in double quotes is taken as it is, and so is a phrase without
    negations.

    Examples
    --------
    >>> divided("Dusty, late-night jazz")
    ('Dusty, late-night jazz', ())
    >>> divided("slow piano without vocals or drums from the 80s, but not too sad")
    ('slow piano from the 80s', ('vocals or drums', 'sad'))
    """
    wanted: list[str] = []
    unwanted: list[list[str]] = []
    for position, part in enumerate(re.split(r'["“”]', phrase)):
        if position % 2:
            wanted.append(part.strip())
        else:
            _divide(tokens_of(part), wanted, unwanted)
    if not unwanted:
        text = re.sub(r'["“”]', "", phrase).strip()
        return (text if set(tokens_of(text)) - {","} else ""), ()
    return _text(wanted), tuple(text for words in unwanted if (text := _text(words)))


def _divide(tokens: Sequence[str], wanted: list[str], unwanted: list[list[str]]) -> None:
    taken: list[str] | None = None  # by the negation that is open
    position = 0
    while position < len(tokens):
        role, length = _role(tokens, position)
        word = tokens[position]
        if role in _NEGATIONS:
            if wanted and wanted[-1] in ("but", "and"):
                wanted.pop()
            taken = []
            unwanted.append(taken)
        elif taken is not None and word != "," and not (role is Role.STOP and taken):
            taken += tokens[position : position + length]
            if tokens[position - 1] == "non":
                taken = None
        else:
            taken = None
            wanted += tokens[position : position + length]
        position += length


def _role(tokens: Sequence[str], start: int) -> tuple[Role | None, int]:
    match = _between_sounds().find(tokens, start)
    return (None, 1) if match is None else (match[0].role, match[1])


@cache
def _between_sounds() -> Vocabulary:
    return Vocabulary((), ())  # no sound without tags: the words between them alone


def _text(words: Sequence[str]) -> str:
    """Join words and commas; none of these is left at an end, nor two in a row."""
    text = re.sub(r"\s*,[\s,]*", ", ", " ".join(words)).strip(" ,")
    return text.removesuffix(" but")
