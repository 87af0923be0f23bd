"""Search by words: normalisation of text, and the full-text query.

The tokenizer of SQLite (see :mod:`recsys.store.schema`) reads text that :func:`normalise` made,
because it neither folds "ß" to "ss" nor separates Chinese words. :func:`search_rank` ranks as
:func:`search_query` in Python, for libraries that are not in SQLite.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recsys.types import Tags

_MOST_MATCHES = 1000
"""Matches that are ranked: a word in half of a million tracks would take a sort of all of them."""

# Scripts that put no space between words: Thai to Tibetan, Burmese, Korean (as NFKD leaves it),
# Khmer, Chinese and Japanese.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"
    "\u2e80-\u2fdf\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)

_FIND_TRACKS = (
    "WITH hits AS (SELECT id, min(rank) AS rank FROM ({hits}) GROUP BY id)"
    " SELECT found.* FROM hits JOIN tracks USING (id) JOIN analysed_tracks AS found USING (id)"
    " WHERE NOT EXISTS (SELECT 1 FROM json_each(:symbols) WHERE instr(search_artist || char(10)"
    " || search_title || char(10) || search_album || char(10) || search_genre, value) = 0)"
    " ORDER BY search_title <> :words AND"
    " instr(char(10) || search_artist || char(10), char(10) || :words || char(10)) = 0,"
    " rank, search_artist, search_title, id LIMIT :limit"
)
_HITS = " UNION ALL ".join(
    f"SELECT rowid AS id, {rank} AS rank FROM"  # noqa: S608 (our own names)
    f" (SELECT rowid FROM tracks_fts WHERE tracks_fts MATCH :{query} LIMIT :most)"
    for query, rank in (("exact", 1), ("named", 1), ("anywhere", 2))
)


def storable_text(text: str | None) -> str | None:
    """Return text that UTF-8 can hold: lone surrogates become escapes."""
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


def search_terms(words: str) -> list[str]:
    """Return the words of a query, normalised; a word may become several in :func:`normalise`."""
    return [_spaced(word) for word in _folded(words).split()]


def is_word(term: str) -> bool:
    """Return whether a term has letters or digits; full-text search ignores all others."""
    return any(map(_in_word, term))


def _in_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LMN" or category == "Co"  # as the tokenizer of schema.py


def search_rank(terms: Sequence[str], texts: Sequence[str]) -> int | None:
    """Return the rank of :func:`search_texts` for :func:`search_terms`, as in the store.

    Returns
    -------
    int or None
        0 where artist or title equals the query, 1 where artist and title have every word, 2 where
        album or genre tag are needed, None where a word is missing.
    """
    names, query = texts[:2], " ".join(terms)
    words = [term for term in terms if is_word(term)]
    if not all(any(term in text for text in texts) for term in terms if term not in words):
        return None
    if not all(any(_holds(text, word) for text in texts) for word in words):
        return None
    if query in {*names[0].split("\n"), names[1]}:
        return 0
    return 1 if all(any(_holds(text, word) for text in names) for word in words) else 2


def _holds(text: str, term: str) -> bool:
    """Return whether a text has the words of a term in a row, the last one as a prefix."""
    found, wanted = _words(text), _words(term)
    *whole, last = wanted
    return any(
        found[start : start + len(whole)] == whole and found[start + len(whole)].startswith(last)
        for start in range(len(found) - len(whole))
    )


def _words(text: str) -> list[str]:
    return "".join(c if _in_word(c) else " " for c in text).split()


def search_query(words: str, limit: int) -> tuple[str, dict[str, Any]] | None:
    """Return the SQL statement that finds the tracks for words, with its parameters.

    None without words. The rows are those of :func:`recsys.store.rows.track_of`.
    """
    terms = search_terms(words)
    if not terms:
        return None
    spoken = [term for term in terms if is_word(term)]
    prefixes = " ".join(f"{_quoted(term)} *" for term in spoken)
    names = "{search_artist search_title}"
    parameters = {
        "words": " ".join(terms),
        # Separate, because among very many matches the exact ones must not be cut off.
        "exact": f"{names} : {_quoted(' '.join(spoken))}",
        "named": f"{names} : ({prefixes})",
        "anywhere": prefixes,
        # Full-text search has no words such as "!!!"; for those every track is scanned.
        "symbols": json.dumps([term for term in terms if not is_word(term)]),
        "most": max(_MOST_MATCHES, limit),
        "limit": limit,
    }
    hits = _HITS if spoken else "SELECT id, 1 AS rank FROM tracks"
    return _FIND_TRACKS.format(hits=hits), parameters


def _quoted(term: str) -> str:
    """Return a term quoted as a phrase of full-text search."""
    return '"' + term.replace('"', " ").replace("\0", " ") + '"'
