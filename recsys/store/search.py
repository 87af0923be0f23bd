"""Search by words: normalisation of text, full-text queries for candidates, and their ranking.

The tokenizer of SQLite (see :mod:`recsys.store.schema`) reads text that :func:`normalise` made,
because it neither folds "ß" to "ss" nor separates Chinese words. A full-text query may find too
much, never too little: :func:`rank_matches` decides, here as for libraries that are not in SQLite.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, overload
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from recsys.types import Tags

MOST_MATCHES = 500
"""Matches of one full-text query that are ranked: a common word is in half of all tracks, and
ranking takes most of the time of a query."""

_CODES, _CODE_COUNT = 0xE000, 6400
"""The private-use characters of the basic plane, which the tokenizer takes for letters."""

_LONGEST_RUN = 8
"""Symbols in a row that are indexed; longer runs match by their beginning, then are compared."""

_ASCII_WORD, _ASCII_SYMBOLS = re.compile("[a-z0-9]+"), re.compile(r"[^a-z0-9\s]+")

# Scripts that put no space between words: Thai to Tibetan, Burmese, Korean (as NFKD leaves it),
# Khmer, Chinese and Japanese.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"
    "\u2e80-\u2fdf\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


@overload
def storable_text(text: str) -> str: ...
@overload
def storable_text(text: None) -> None: ...
def storable_text(text: str | None) -> str | None:
    r"""Return text that UTF-8 can hold: lone surrogates become escapes.

    Examples
    --------
    >>> storable_text("Caf\udce9")
    'Caf\\udce9'
    """
    if text is None:
        return None
    return text.encode("utf-8", "backslashreplace").decode()


def _folded(text: str) -> str:
    """Return text without case and accents, with single spaces.

    Unicode NFKD without combining marks (Unicode Standard Annex 15), then casefolded; both twice,
    because casefolding can produce marks and compatibility letters.
    """
    if text.isascii():  # most names; the general case takes twenty times as long
        return " ".join(text.lower().split())
    for _ in range(2):
        parts = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in parts if not unicodedata.combining(c)).casefold()
    return " ".join(text.split())


def _spaced(text: str) -> str:
    """Return text with spaces around the characters of scripts without spaces between words."""
    return text if text.isascii() else " ".join(_UNSPACED.sub(r" \g<0> ", text).split())


def normalise(text: str) -> str:
    """Return text for search: no case, no accents, single spaces.

    Characters of scripts without spaces between words become words, so that any part of a name is
    found.

    Examples
    --------
    >>> normalise("  Björk   GUÐMUNDSDÓTTIR "), normalise("糸 中島")
    ('bjork guðmundsdottir', '糸 中 島')
    """
    return _spaced(_folded(text))


def search_texts(tags: Tags, path: Path) -> tuple[str, str, str, str]:
    """Return the normalised search texts of a track: artist, title, album, genre tag.

    The first is the artist for display, with an album artist of another name on a second line. The
    title is that for display, so that a file without a title tag is found by its name.
    """
    texts = (tags.artist or tags.album_artist, tags.album_artist, tags.title or path.stem)
    artist, album_artist, title = (normalise(storable_text(text) or "") for text in texts)
    if album_artist != artist:
        artist = f"{artist}\n{album_artist}".rstrip("\n")
    album, genre = (normalise(storable_text(text) or "") for text in (tags.album, tags.genre_tag))
    return artist, title, album, genre


def search_keys(texts: Sequence[str]) -> str:
    """Return words for the full-text index that stand for whole names and for symbols.

    Without them, "the" as a title would be one of a million matches, and "!!!" no word at all.
    Symbols are found anywhere in a run, as the beginning of one of its ends.
    """
    keys = {_name_key(name) for name in (*texts[0].split("\n"), texts[1]) if name}
    for run in {run for text in texts for run in _symbols(text)}:
        keys.update(_symbol_key(run[i:]) for i in range(len(run)))
    hidden = [word for text in texts if _has_new_symbol(text) for word in _words(text)]
    return " ".join([*sorted(keys), *hidden])


def _has_new_symbol(text: str) -> bool:
    """Return whether the tokenizer, whose Unicode is older, may take a symbol for a letter.

    To it, a new emoji and the word that follows without a space are one word.
    """
    if text.isascii():
        return False
    return any(not _in_word(c) and unicodedata.ucd_3_2_0.category(c) == "Cn" for c in text)


def _name_key(name: str) -> str:
    high, low = divmod(crc32(name.encode()) % _CODE_COUNT**2, _CODE_COUNT)
    return chr(_CODES + high) + chr(_CODES + low)


def _symbol_key(symbols: str) -> str:
    return "".join(chr(_CODES + ord(c) % _CODE_COUNT) for c in symbols[:_LONGEST_RUN])


def search_terms(words: str) -> list[str]:
    """Return the words of a query, normalised; a word may become several in :func:`normalise`."""
    return [_spaced(word) for word in _folded(storable_text(words)).split()]


def full_text_queries(terms: Sequence[str]) -> tuple[str, str, str]:
    """Return the FTS5 queries for the matches of terms: all, those by whole name, those by name.

    Only where there are too many of all do the others bring more of the matches that rank first.
    """
    words = _spoken(terms)
    runs = [run for term in terms if not _is_word(term) for run in term.split()]
    symbols = [f"{_quoted(_symbol_key(run))} *" for run in runs]
    prefixes = [f"{_quoted(' '.join(_words(word)))} *" for word in words]
    named = [f"{{search_artist search_title}} : ({' '.join(prefixes)})"] if prefixes else []
    return (
        " AND ".join([*prefixes, *symbols]),
        _quoted(_name_key(" ".join(terms))),
        " AND ".join([*named, *symbols]),
    )


def _spoken(terms: Sequence[str]) -> list[str]:
    """Return the terms that have letters or digits, without those that another one begins with.

    "s" adds nothing to "song", and FTS5 would read every word with s.
    """
    words = {term for term in terms if _is_word(term)}
    implied = {a for a in words for b in words if a != b and b.startswith(a)}
    return sorted(words - implied)


def _quoted(term: str) -> str:
    """Return a term quoted as a phrase of full-text search."""
    return '"' + term.replace('"', " ").replace("\0", " ") + '"'


def rank_matches(
    terms: Sequence[str], candidates: Iterable[tuple[int, Sequence[str]]], limit: int | None = None
) -> list[int]:
    """Return the ids of the candidates that match :func:`search_terms`, the best first.

    Candidates are ids with :func:`search_texts`. First come those whose artist or title equals the
    query, then those with every word in artist and title, then those that match by album or genre
    tag too; each in the order of artists, titles and ids.
    """
    query, words = " ".join(terms), [_words(term) for term in _spoken(terms)]
    symbols = [term for term in terms if not _is_word(term)]
    ranked = []
    for track_id, texts in candidates:
        artist, title = texts[:2]
        held = [_words(text) for text in texts]
        if not all(any(symbol in text for text in texts) for symbol in symbols):
            continue
        if not all(_holds(held, word) for word in words):
            continue
        if query == title or query in artist.split("\n"):
            rank = 0
        else:
            rank = 1 if all(_holds(held[:2], word) for word in words) else 2
        ranked.append((rank, artist, title, track_id))
    return [track_id for *_, track_id in sorted(ranked)[:limit]]


def _holds(texts: Sequence[list[str]], wanted: list[str]) -> bool:
    """Return whether one of the texts has these words in a row, the last one as a prefix."""
    *whole, last = wanted
    if not whole:
        return any(word.startswith(last) for text in texts for word in text)
    n = len(whole)
    return any(
        text[start : start + n] == whole and text[start + n].startswith(last)
        for text in texts
        for start in range(len(text) - n)
    )


def _words(text: str) -> list[str]:
    """Return the words of a normalised text as the tokenizer of the full-text index does."""
    if text.isascii():
        return _ASCII_WORD.findall(text)
    return "".join(c if _in_word(c) else " " for c in text).split()


def _symbols(text: str) -> list[str]:
    """Return the runs of a normalised text that are neither words nor space."""
    if text.isascii():
        return _ASCII_SYMBOLS.findall(text)
    return "".join(" " if _in_word(c) else c for c in text).split()


def _is_word(term: str) -> bool:
    """Return whether a term has letters or digits; full-text search ignores all others."""
    return any(map(_in_word, term))


@lru_cache(4096)
def _in_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LMN" or category == "Co"  # as the tokenizer of schema.py
