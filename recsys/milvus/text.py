"""Text as Milvus takes it: in fields, and in the filters that ask for them."""

from __future__ import annotations

import re

_MARK = "\x1a"
"""SUBSTITUTE, which no name holds: marks what stands for something that UTF-8 has not."""

_MARKED = re.compile(f"{_MARK}(?:{_MARK}|([0-9a-f]{{4}}))")
_ODD = re.compile(f"[{_MARK}\ud800-\udfff]")
_ESCAPES = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"},
)
_WILD = re.compile(r"[^\w .,-]|_")


def storable(text: str) -> str:
    r"""Return text that UTF-8 can hold; lone surrogates, those of odd file names, are marked.

    Examples
    --------
    >>> storable("a/b"), restored(storable("\udcff.mp3")) == "\udcff.mp3"
    ('a/b', True)
    """
    return _ODD.sub(lambda odd: _MARK + (_MARK if odd[0] == _MARK else f"{ord(odd[0]):04x}"), text)


def restored(text: str) -> str:
    """Return what :func:`storable` was given."""
    return _MARKED.sub(lambda mark: chr(int(mark[1], 16)) if mark[1] else _MARK, text)


def quoted(text: str) -> str:
    r"""Return text as a filter has it.

    Examples
    --------
    >>> quoted('AC"DC')
    '"AC\\"DC"'
    """
    return f'"{storable(text).translate(_ESCAPES)}"'


def pattern(part: str) -> str:
    """Return the pattern of a filter for texts that hold a part.

    What has a meaning in patterns, or may be read in several ways, stands for anything: whoever
    asks has to look at what comes back once more.

    Examples
    --------
    >>> pattern("100%")
    '"%100%%"'
    """
    return quoted(f"%{_WILD.sub('%', part)}%")
