"""Names of a library in a phrase: artists, titles and albums, by the full-text index."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from recsys.credits import CREDITS, GUESTS, artist_key
from recsys.store.search import MOST_MATCHES, name_key, words_of
from recsys.words.phrase import PhraseName

if TYPE_CHECKING:
    from recsys.types import Catalogue, Track

_FEWEST_LETTERS = 3
"""A shorter word is in too many names to mean one."""


class LibraryNames:
    """The :class:`recsys.words.phrase.NameFinder` of a library."""

    def __init__(self, store: Catalogue) -> None:
        self._store = store
        self._found: dict[str, list[Track]] = {}

    def named(self, words: str, *, artists_only: bool = False) -> PhraseName | None:
        """Return the artist, title or album of exactly this name, but for case and marks."""
        key, tracks = name_key(words), self._tracks(words)
        kinds: list[tuple[str, Callable[[Track], Iterable[str | None]]]] = [("artist", _artists)]
        if not artists_only:
            kinds += [("title", _title), ("album", _album)]
        for kind, names_of in kinds:
            held = [(t, n) for t in tracks for n in names_of(t) if n and name_key(n) == key]
            if held:
                ids = tuple(dict.fromkeys(track.id for track, _ in held))
                track, found = held[0]
                name = found
                if kind == "artist" and name_key(track.artist or "") in (key, f"the{key}"):
                    name = track.artist or found
                return PhraseName(name, kind, ids)
        return None

    def holding(self, words: str) -> PhraseName | None:
        """Return the tracks whose artist or title has all of these words.

        Those of artists where there are any.
        """
        asked = set(words_of(words))
        if not asked or max(map(len, asked)) < _FEWEST_LETTERS:
            return None
        tracks = self._tracks(words)
        by_artist = [t for t in tracks if any(_has(a, asked) for a in _artists(t))]
        artists = {key: t.artist for t in by_artist if (key := artist_key(t)) is not None}
        if artists:
            name = " and ".join(filter(None, list(artists.values())[:3]))
            return PhraseName(name, "artist", tuple(track.id for track in by_artist))
        by_title = tuple(t.id for t in tracks if _has(f"{t.artist} {t.title}", asked))
        return PhraseName(words, "words", by_title) if by_title else None

    def _tracks(self, words: str) -> list[Track]:
        if words not in self._found:
            self._found[words] = list(self._store.find_tracks(words, MOST_MATCHES))
        return self._found[words]


def _artists(track: Track) -> list[str]:
    if artist_key(track) is None:  # "Various Artists"
        return []
    tags = [name for name in (track.tags.artist, track.tags.album_artist) if name]
    guests = [each[1] or each[2] for each in GUESTS.finditer(track.tags.title or "")]
    parts = (part.strip(" ()[]") for tag in (*tags, *guests) for part in CREDITS.split(tag))
    names = list(dict.fromkeys((*tags, *filter(None, parts))))
    return names + [name[4:] for name in names if name.lower().startswith("the ")]


def _title(track: Track) -> list[str | None]:
    return [track.tags.title]


def _album(track: Track) -> list[str | None]:
    return [track.tags.album]


def _has(text: str, asked: set[str]) -> bool:
    return asked.issubset(words_of(text))
