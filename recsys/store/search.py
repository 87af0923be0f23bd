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
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from recsys.types import Tags

MOST_MATCHES = 500
"""Matches of one full-text query that are ranked: a common word is in half of all tracks, and
ranking takes most of the time of a query."""

_LONGEST_TEXT = 8192
"""Characters of a text that are kept: some tags hold a whole book."""

_CODES, _CODE_COUNT = 0xE000, 6400
"""The private-use characters of the basic plane, which the tokenizer takes for letters."""

_LONGEST_RUN = 8
"""Symbols in a row that are indexed; longer runs match by their beginning, then are compared."""

_MOST_KEYS = 2000
"""Characters of keys that are kept where texts have a limit."""

_PLAIN_LETTERS = str.maketrans(
    {
        **dict(zip("\u00f8\u0142\u0111\u00f0\u0131\u0127\u0167\u0138", "olddihtk", strict=True)),
        **{"\u00e6": "ae", "\u0153": "oe", "\u00fe": "th", "\u014b": "ng"},
    }
)
"""What a keyboard without them types for letters that Unicode does not take apart."""

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
    r"""Return text that UTF-8 can hold, of a length to be kept: lone surrogates become escapes.

    Examples
    --------
    >>> storable_text("Caf\udce9")
    'Caf\\udce9'
    """
    if text is None:
        return None
    return text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()


def _folded(text: str) -> str:
    """Return text without case and accents, with single spaces and plain letters for strokes.

    Unicode NFKD without combining marks (Unicode Standard Annex 15), then casefolded; both twice,
    because casefolding can produce marks and compatibility letters.
    """
    if text.isascii():  # most names; the general case takes twenty times as long
        return " ".join(text.lower().split())
    for _ in range(2):
        parts = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in parts if not unicodedata.combining(c)).casefold()
    return " ".join(text.translate(_PLAIN_LETTERS).split())


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
    ('bjork gudmundsdottir', '糸 中 島')
    """
    return _spaced(_folded(text))


@lru_cache(4096)
def name_key(text: str) -> str:
    """Return what all spellings of a name share: its letters and digits, normalised.

    A name without any, such as "!!!", is its own key.

    Examples
    --------
    >>> name_key("You're So Square"), name_key("youre so-square"), name_key("! ! !")
    ('youresosquare', 'youresosquare', '!!!')
    """
    return _letters(normalise(text))


def _letters(normalised: str) -> str:
    return "".join(_words(normalised)) or normalised.replace(" ", "")


def search_texts(tags: Tags, path: Path) -> tuple[str, str, str, str, str]:
    """Return the normalised search texts of a track: artist, title, album, genre tag, file name.

    The first is the artist for display, with an album artist of another name on a second line. The
    title is that for display, so that a file without a title tag is found by its name.
    """
    texts = (tags.artist or tags.album_artist, tags.album_artist, tags.title or path.stem)
    artist, album_artist, title = (normalise(storable_text(text) or "") for text in texts)
    if album_artist != artist:
        artist = f"{artist}\n{album_artist}".rstrip("\n")
    album, genre = (normalise(storable_text(text) or "") for text in (tags.album, tags.genre_tag))
    return artist, title, album, genre, file_text(path)


def file_text(path: Path) -> str:
    """Return the normalised search text of a file: its name."""
    return normalise(storable_text(path.name) or "")


def search_keys(texts: Sequence[str]) -> str:
    """Return words for the full-text index that stand for whole names and for symbols.

    Without them, "the" as a title would be one of a million matches, "!!!" no word at all, and
    "youre" none of "You're". Symbols are found anywhere in a run, as the beginning of one of its
    ends.
    """
    keys = {_hashed(key) for key in whole_names(texts)}
    # The name of a file is found as a whole only: most repeat what the tags say.
    for run in {run for text in texts[:4] for run in _symbols(text)}:
        keys.update(_symbol_key(run[i:]) for i in range(len(run)))
    hidden = [word for text in texts[:4] if _has_new_symbol(text) for word in _words(text)]
    joined = dict.fromkeys(word for text in texts[:4] for word in _joined_words(text))
    return " ".join([*sorted(keys), *joined, *hidden])


def shared_words(texts: Sequence[str]) -> tuple[str, ...]:
    """Return search texts for a database that finds parts of texts: one more has the keys."""
    keys = [*whole_names(texts), *(word for text in texts[:4] for word in _joined_words(text))]
    return (*texts, " ".join(dict.fromkeys(keys))[:_MOST_KEYS])


def whole_names(texts: Sequence[str]) -> list[str]:
    """Return the keys of the names by which a track is found as a whole, see :func:`name_key`.

    They are artist, also without "the", title, album, and the name of the file without its
    extension.
    """
    artist, title, album, _, file = texts
    names = [*artist.split("\n"), title, album, stem(file)]
    names += [name.removeprefix("the ") for name in artist.split("\n")]
    return list(dict.fromkeys(_letters(name) for name in names if name))


def stem(name: str) -> str:
    """Return the name of a file without its extension."""
    return name.rpartition(".")[0] or name


def _joined_words(text: str) -> list[str]:
    """Return the words of a text that marks divide, joined: "youre" for "you're"."""
    return [
        "".join(parts)
        for chunk in text.split()
        if not chunk.isalnum() and len(parts := _words(chunk)) > 1
    ]


def _has_new_symbol(text: str) -> bool:
    """Return whether the tokenizer, whose Unicode is older, may take a symbol for a letter.

    To it, a new emoji and the word that follows without a space are one word.
    """
    if text.isascii():
        return False
    return any(not _in_word(c) and unicodedata.ucd_3_2_0.category(c) == "Cn" for c in text)


def _hashed(key: str) -> str:
    high, low = divmod(crc32(key.encode()) % _CODE_COUNT**2, _CODE_COUNT)
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
    whole = " OR ".join(_quoted(_hashed(key)) for key in whole_keys(terms))
    if words:
        each = [" OR ".join(f"{_quoted(form)} *" for form in _forms(word)) for word in words]
        every = " AND ".join(f"({forms})" for forms in each)
    else:
        runs = [run for term in _marks(terms) for run in term.split()]
        every = " AND ".join(f"{_quoted(_symbol_key(run))} *" for run in runs)
    # Joined words are in the keys, whichever text they come from.
    named = f"{{search_artist search_title search_keys}} : ({every})" if words else every
    return f"({every}) OR {whole}", whole, named


def whole_keys(terms: Sequence[str]) -> list[str]:
    """Return the keys that a whole name may have that is written as terms, or is such a file's."""
    query = " ".join(terms)
    return list(dict.fromkeys(_letters(name) for name in (query, stem(query))))


def term_parts(terms: Sequence[str]) -> list[list[str]]:
    """Return for each term that counts the parts that every match of it holds, in their order."""
    return [_words(word) for word in _spoken(terms)] or [[term] for term in _marks(terms)]


def _marks(terms: Sequence[str]) -> list[str]:
    """Return the terms that count where none has letters: not the dash of "!!! - ???".

    Of dashes alone, any but the first and the last may be the one between artist and title.
    """
    marks = [term for term in terms if term not in {"-", "\u2013"}]
    return marks or [*terms[:1], *terms[1:][-1:]]


def _forms(word: str) -> list[str]:
    """Return how the full-text index may hold a word: as its parts in a row, and joined."""
    parts = _words(word)
    return [" ".join(parts), "".join(parts)][: len(parts)]


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

    Candidates are ids with :func:`search_texts`. First come those whose artist, title, both, or
    file name equal the query, mark by mark; then those that equal it by :func:`name_key`; then
    those with every word in artist and title; then those that match by album or genre tag too.
    Each come in the order of artists, titles and ids. Marks count where the query has no words.
    """
    query = " ".join(terms)
    keys = set(whole_keys(terms))
    words = [[_words(term), ["".join(_words(term))]] for term in _spoken(terms)]
    symbols = [] if words else _marks(terms)
    ranked = []
    for track_id, texts in candidates:
        artist, title, album, genre, file = texts
        artists = artist.split("\n")
        names = [title, file, stem(file), *artists, *(f"{name} - {title}" for name in artists)]
        in_names, anywhere = _parts(artist, title), _parts(artist, title, album, genre)
        if query in names:
            rank = 0
        elif not keys.isdisjoint(map(_letters, names)):
            rank = 1
        elif words and all(_holds(in_names, word) for word in words):
            rank = 2
        elif (
            (words and all(_holds(anywhere, word) for word in words))
            or (symbols and all(any(mark in text for text in texts[:4]) for mark in symbols))
            or not keys.isdisjoint(whole_names(texts))
        ):
            rank = 3
        else:
            continue
        ranked.append((rank, artist, title, track_id))
    return [track_id for *_, track_id in sorted(ranked)[:limit]]


def text_matcher(terms: Sequence[str]) -> Callable[[str], bool]:
    """Return a test for normalised texts that terms name as a whole, or that hold all their words.

    Examples
    --------
    >>> named = text_matcher(search_terms("ac dc"))
    >>> named("ac/dc"), named("acdc"), named("dc ac live"), named("ac")
    (True, True, True, False)
    """
    keys = set(whole_keys(terms))
    words = [[_words(term), ["".join(_words(term))]] for term in _spoken(terms)]

    def matches(text: str) -> bool:
        if not keys.isdisjoint(map(_letters, text.split("\n"))):
            return True
        parts = _parts(text)
        return bool(words) and all(_holds(parts, word) for word in words)

    return matches


def _parts(*texts: str) -> list[list[str]]:
    """Return the words of each text, and each joined word as a text of its own."""
    return [_words(text) for text in texts] + [[w] for text in texts for w in _joined_words(text)]


def _holds(texts: Sequence[list[str]], forms: Sequence[list[str]]) -> bool:
    """Return whether one of the texts has one of the forms: words in a row, the last a prefix."""
    return any(_holds_row(texts, form) for form in forms)


def _holds_row(texts: Sequence[list[str]], wanted: list[str]) -> bool:
    *whole, last = wanted
    if not whole:
        return any(word.startswith(last) for text in texts for word in text)
    n = len(whole)
    return any(
        text[start : start + n] == whole and text[start + n].startswith(last)
        for text in texts
        for start in range(len(text) - n)
    )


_LIKE = 0.7
"""Least ratio of :mod:`difflib` between a word and another that may be meant."""

_OFFERED = 3
"""Known words that are offered for another."""


def like_words(word: str, vocabulary: Sequence[str]) -> list[str]:
    """Return the words that may be meant by one, at most four, the nearest first.

    The word itself is the first of them where it begins one of the vocabulary.

    Examples
    --------
    >>> like_words("jakson", ["jackson", "jason", "michael"])
    ['jackson', 'jason']
    """
    import difflib  # only needed where nothing was found

    letters, n = set(word), len(word)
    # Comparing takes fifty times as long as this, which leaves out what differs in most letters.
    near = [
        other
        for other in vocabulary
        if -3 < len(other) - n < 3 and 2 * len(letters.intersection(other)) > len(letters)
    ]
    own = [word] if any(other.startswith(word) for other in vocabulary) else []
    found = difflib.get_close_matches(word, near, n=_OFFERED, cutoff=_LIKE)
    return own + [other for other in found if other != word]


def vocabulary_of(texts: Iterable[str]) -> list[str]:
    """Return the words of normalised texts, each once, in their order."""
    return list(dict.fromkeys(word for text in texts for word in _words(text)))


def words_of(query: str) -> list[str]:
    """Return the words of a query as the full-text index holds them, those with marks joined."""
    return ["".join(_words(term)) for term in search_terms(query) if _is_word(term)]


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
