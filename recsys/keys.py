"""Musical keys: their names, their places on the Camelot wheel, and which go together.

The wheel numbers the circle of fifths from 1 to 12, minor keys A and major keys B. Neighbours share
all notes but one, so that two records in them can be mixed.
"""

from __future__ import annotations

import re

KEYS = (
    *("C major", "Db major", "D major", "Eb major", "E major", "F major", "Gb major", "G major"),
    *("Ab major", "A major", "Bb major", "B major"),
    *("C minor", "C# minor", "D minor", "Eb minor", "E minor", "F minor", "F# minor", "G minor"),
    *("G# minor", "A minor", "Bb minor", "B minor"),
)
"""The keys as they are named here: major by the semitones above C, then minor."""

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NAME = re.compile(r"([A-G])(#|♯|b|♭)? ?(major|maj|minor|min|m)?", re.IGNORECASE)
_CODE = re.compile(r"(1[0-2]|0?[1-9])([ABdm])")


def camelot(key: str) -> str:
    """Return the place of a key on the Camelot wheel.

    Examples
    --------
    >>> camelot("A minor"), camelot("C major"), camelot("B major")
    ('8A', '8B', '1B')
    """
    number = KEYS.index(key)
    tonic, minor = number % 12, number >= 12
    place = (7 * (tonic + (3 if minor else 0)) + 7) % 12 + 1
    return f"{place}{'A' if minor else 'B'}"


def compatible(key: str) -> frozenset[str]:
    """Return the keys that go with a key: itself, its relative, and a fifth up and down.

    Examples
    --------
    >>> sorted(compatible("A minor"))
    ['A minor', 'C major', 'D minor', 'E minor']
    """
    number = KEYS.index(key)
    tonic, minor = number % 12, number >= 12
    relative = (tonic + 3) % 12 if minor else 12 + (tonic + 9) % 12
    fifths = ((tonic + step) % 12 + 12 * minor for step in (7, 5))
    return frozenset(KEYS[each] for each in (number, relative, *fifths))


def key_of(text: str) -> str | None:
    """Return the key that a text names, as tags do; None where it names none.

    Camelot codes are read, and so is Open Key (``1d`` is C major, ``1m`` A minor).

    Examples
    --------
    >>> [key_of(text) for text in ("Am", "8A", "F#m", "Db", "D# major", "1d", "o", "12")]
    ['A minor', 'A minor', 'F# minor', 'Db major', 'Eb major', 'C major', None, None]
    """
    text = text.strip()
    if code := _CODE.fullmatch(text):
        letter = code[2]
        place = int(code[1]) if letter in "AB" else (int(code[1]) + 6) % 12 + 1
        wanted = f"{place}{'A' if letter in 'Am' else 'B'}"
        return next(key for key in KEYS if camelot(key) == wanted)
    name = _NAME.fullmatch(text)
    if name is None:
        return None
    sign = {None: 0, "#": 1, "♯": 1, "b": -1, "♭": -1}[name[2] and name[2].lower()]
    mode = name[3] or ""
    minor = mode == "m" or mode.lower().startswith("min")
    return KEYS[(_SEMITONES[name[1].upper()] + sign) % 12 + 12 * minor]
