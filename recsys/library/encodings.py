"""Text of tags that was written in another encoding than the tags say.

ID3 that calls itself Latin-1 holds the code page of the machine that wrote it: Windows-1251, Big5,
Shift-JIS. Nothing is changed in a file, and nothing that the text itself lost: encoded again by the
same code page and read as Latin-1, a name is what the file says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from unicodedata import normalize

_CODE_PAGES = (
    *("windows-1251", "koi8-r", "big5", "gb18030", "cp932", "euc-jp", "cp949", "windows-1253"),
    *("windows-1255", "windows-1256", "cp874"),
)
_WESTERN = "windows-1252"
# Letters of Windows-1250 and Windows-1252 where Latin-1 has control characters.
_LETTERS = re.compile("[\x8a\x8c-\x8f\x9a\x9c-\x9f]")
_FOREIGN_RUN = re.compile("[\x80-\xff]{3}")
_LEAST_CHARACTERS = 4  # beyond ASCII: "ÆØÅ" is Norwegian


def repaired(texts: Sequence[str]) -> list[str]:
    """Return fields of one file that do not state their encoding, or Latin-1, as they were meant.

    A name in a Western language is never changed: it has no word of which most letters have
    accents. Only where a file has one is the code page detected, from all of its fields together.
    What has characters outside Latin-1 was read by the right encoding. Windows-1250 is detected by
    the letters that Latin-1 lacks, among them š, ž and ś.
    """
    if all(text.isascii() for text in texts):
        return list(texts)
    texts = [_from_utf8(text) for text in texts]
    latin1 = [text for text in texts if _is_latin1(text)]
    page = None
    suspects = {text for text in latin1 if _has_foreign_word(text)}
    if sum(map(_beyond_ascii, suspects)) >= _LEAST_CHARACTERS:
        page = _detected(latin1, _CODE_PAGES)
    if page is not None:
        texts = [_read_as(text, page) if _may_be_of(page, text) else text for text in texts]
    rest = [text for text in texts if _is_latin1(text)]
    western = _WESTERN
    if any(_LETTERS.search(text) for text in rest):
        western = _detected(rest, ("windows-1250",)) or _WESTERN
    return [_read_as(text, western) if _has_controls(text) else text for text in texts]


def _is_latin1(text: str) -> bool:
    return not text.isascii() and max(text) <= "\xff"


def _has_controls(text: str) -> bool:
    return _is_latin1(text) and any("\x80" <= character < "\xa0" for character in text)


def _beyond_ascii(text: str) -> int:
    return sum(character >= "\x80" for character in text)


def _surplus(text: str) -> int:
    """Return how many more characters beyond ASCII there are than letters of ASCII."""
    letters = sum(character.isascii() and character.isalpha() for character in text)
    return _beyond_ascii(text) - letters


def _has_foreign_word(text: str) -> bool:
    # Cries and signs are Western: "Öööö", "ÉÈÊË", "°°°°".
    symbols = {normalize("NFD", character)[0] for character in text.lower() if character >= "\x80"}
    return _FOREIGN_RUN.search(text) is not None and _surplus(text) > 0 and len(symbols) > 1


def _may_be_of(page: str, text: str) -> bool:
    # The second of two bytes is a letter of ASCII in half of Big5 and Shift-JIS.
    least = 0 if page.lower().startswith(("big5", "cp932", "shift", "gb18030")) else 1
    foreign = _FOREIGN_RUN.search(text) is not None or _surplus(text) >= least
    return _is_latin1(text) and foreign


def _from_utf8(text: str) -> str:
    """Return text of which the bytes were UTF-8, which no text in Latin-1 is by chance."""
    return _read_as(text, "utf-8") if _is_latin1(text) else text


def _read_as(text: str, encoding: str) -> str:
    try:
        return text.encode("latin-1").decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return text


def _detected(texts: Sequence[str], pages: tuple[str, ...]) -> str | None:
    """Return the code page of the bytes behind texts; None where it is the Western one."""
    from chardet import detect  # few files need it

    content = "\n".join(texts).encode("latin-1")
    found = detect(content, include_encodings=(*pages, _WESTERN))["encoding"]
    return None if found is None or found.lower() == _WESTERN else found
