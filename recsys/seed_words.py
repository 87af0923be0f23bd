"""Words of a seed, read as the name of a track, an artist or an album of the library.

See :mod:`recsys.seeds` for the order in which readings are tried.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.credits import CREDITS, DISC, GUESTS, NOT_AN_ARTIST, album_title, artists_of
from recsys.errors import AmbiguousQueryError, NotFoundError, QueryError
from recsys.library import AUDIO_SUFFIXES
from recsys.notebook import LONGEST_CELL, clock, one_line
from recsys.recommender.duplicates import name_key, same_song
from recsys.store.search import MOST_MATCHES, normalise, stem, storable_text, words_of
from recsys.store.search import name_key as letters_of
from recsys.types import FloatArray, SeedKind, Track

if TYPE_CHECKING:
    from recsys.types import Catalogue

MAX_LISTED = 20
"""Readings that are listed when words are ambiguous."""

MOST_SEEDS = MOST_MATCHES
"""Tracks of an artist or album that become seeds, at most."""

_SUGGESTED, _TRIED, _CORRECTED = 3, 12, 10
"""Names that are suggested, spellings that are tried for them, words that are corrected."""

_NAME_FROM = 3
"""Letters of the longest word from which names like it are suggested."""

_PREFIX = re.compile(r"(id|title|artist|album):\s*(.+)", re.IGNORECASE | re.DOTALL)

_LENGTH = re.compile(r"\s*\((?:(\d+):)?(\d+):(\d\d)\)$")

_EXTINF = re.compile(r"#EXTINF:(-?\d+),")

_DISC_FOLDER = re.compile(r"(?:dis[ck]|cd)\s*[-_#]?\s*[0-9]{1,2}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that words may mean; `seed` means it alone."""

    kind: SeedKind
    name: str
    seed: str
    tracks: tuple[Track, ...]

    def line(self) -> str:
        """Return the choice for display, with what to type for it."""
        if self.kind is SeedKind.TRACK:
            (track,) = self.tracks
            name = f"{one_line(track.display_name)} ({clock(track.duration_s)})"
            return f"{self.seed}  {name}: {one_line(str(track.path), LONGEST_CELL)}"
        return f"{one_line(self.seed)}  ({self.tracks_text})"

    @property
    def tracks_text(self) -> str:
        """Number of tracks, with the noun."""
        count = len(self.tracks)
        if count == MOST_SEEDS:
            return f"the first {count} tracks"
        return f"{count} track" + "s" * (count != 1)


class WordReader:
    """Reads words as a track, an artist or an album of a library."""

    def __init__(self, store: Catalogue) -> None:
        self._store = store
        self._length_s: float | None = None
        self._found: dict[str, list[Track]] = {}
        self._embeddings: dict[int, FloatArray | None] = {}

    def read(self, given: str) -> Choice:
        """Return what words mean; QueryError with suggestions where that is nothing."""
        words, choices = given, self.named(given)
        printed = _without_length(given)
        if printed is not None and not self._spells(given, choices):
            words, self._length_s = printed
            # "E (1:10)" is the track E of this length before it is "E110".
            if not choices or any(map(self._has_length, self._tracks(words))):
                choices = self.named(words) or choices
            else:
                self._length_s = None
        if not choices and (asked := _PREFIX.fullmatch(words.strip())) is not None:
            choices = self._of_kind(asked[1].lower(), asked[2])
        else:
            choices = choices or self._holding(words) or self._below(words) or self._apart(words)
        if self._length_s is not None:  # that of a track
            choices = [choice for choice in choices if choice.kind is SeedKind.TRACK]
        return self._only(given, choices)

    def named(self, words: str, *, files: bool = True) -> list[Choice]:
        """Return what has these words for its whole name, as exactly as anything has.

        Names of files, unless they do not count, and then of albums, come after all others.
        """
        tracks = self._tracks(words)
        printed = self._best(words, ((track, _printed_names(track)) for track in tracks))
        titles = self._best(words, ((track, [track.title]) for track in tracks))
        artists = _artists(words, tracks)
        exact = [(level, choices) for level, choices in (printed, titles, artists) if choices]
        if not exact:
            return (self._files(words, tracks) if files else []) or self._albums(words)
        best = min(level for level, _ in exact)
        # What is printed for a track beats a title or an artist that reads the same.
        if printed[1] and printed[0] == best:
            return printed[1]
        return [choice for level, choices in exact if level == best for choice in choices]

    def _albums(self, words: str) -> list[Choice]:
        """Return the albums, whole, that the words name, also as "artist - album"."""
        found = []
        for choice in _albums(words, self._tracks(words))[1]:
            name = letters_of(choice.name)
            alike = (
                track
                for track in self._tracks(choice.name)
                if (album := track.tags.album) is not None
                and name in (letters_of(album), letters_of(set_name(album)))
            )
            whole = next(g for g in _one_album_each(alike) if choice.tracks[0] in g)
            found.append(replace(choice, tracks=tuple(whole)))
        return found

    def _tracks(self, words: str) -> list[Track]:
        """Return the tracks that match; those of the length that was given, if there are any."""
        if words not in self._found:
            self._found[words] = list(self._store.find_tracks(words, MOST_SEEDS))
        found = self._found[words]
        return list(filter(self._has_length, found)) or found

    def _has_length(self, track: Track) -> bool:
        """Return whether a track has the length that was given."""
        return round(track.duration_s) == self._length_s

    @staticmethod
    def _spells(words: str, choices: Iterable[Choice]) -> bool:
        """Return whether words are the name of a choice mark by mark."""
        names = [name for c in choices for t in c.tracks for name in (*_all_names(t), c.name)]
        return _exactness(words, names) in {0, 1}

    def _of_kind(self, kind: str, words: str) -> list[Choice]:
        """Return what words mean after ``id:``, ``title:``, ``artist:`` or ``album:``."""
        if kind == SeedKind.ID:
            raise NotFoundError(
                f"no track has the id {words}", "Ids are in the JSON of the commands."
            )
        tracks = self._tracks(words)
        if kind == SeedKind.ARTIST:
            return _artists(words, tracks)[1] or _artists(words, tracks, whole=False)[1]
        if kind == SeedKind.ALBUM:
            return self._albums(words) or _albums(words, tracks, whole=False)[1]
        titles = self._best(words, ((track, [track.title]) for track in tracks))[1]
        return titles or self._files(words, tracks)

    def _holding(self, words: str) -> list[Choice]:
        """Return what holds all words, in any order."""
        tracks, asked = self._tracks(words), set(words_of(words))
        # "clapton tear it up" is not "Tear It Up (Live)".
        titles = [(track, words_of(track.title)) for track in tracks]
        whole = [track for track, title in titles if title and asked.issuperset(title)]
        songs = self._songs(whole or tracks)
        if len(songs) == 1:
            return songs
        groups = [*_artists(words, tracks, whole=False)[1], *_albums(words, tracks, whole=False)[1]]
        for choice in groups:
            if len(choice.tracks) == len(tracks) < MOST_SEEDS:  # nothing else holds them
                return [choice]
        return [*groups[: MAX_LISTED // 2], *songs]

    def _below(self, words: str) -> list[Choice]:
        """Return the tracks whose path ends with a relative one, as in a playlist of elsewhere."""
        if os.sep not in words:
            return []
        end = os.sep + os.path.normpath(words).lstrip(f".{os.sep}")
        tracks = self._tracks(Path(words).name)
        return self._songs([track for track in tracks if str(track.path).endswith(end)])

    def _best(
        self, words: str, named: Iterable[tuple[Track, Iterable[str]]]
    ) -> tuple[int, list[Choice]]:
        """Return the songs whose names equal the words most exactly, with how exactly."""
        levels = [
            (level, t) for t, names in named if (level := _exactness(words, names)) is not None
        ]
        best = min((level for level, _ in levels), default=3)
        return best, self._songs([track for level, track in levels if level == best])

    def _files(self, words: str, tracks: Iterable[Track]) -> list[Choice]:
        """Return the tracks of the files that have this name, with its extension or without."""
        names = ((track, [track.path.name, stem(track.path.name)]) for track in tracks)
        return self._best(words, names)[1]

    def _songs(self, tracks: Iterable[Track]) -> list[Choice]:
        """Return tracks as choices, copies of one recording as one.

        Of equal names only those are copies whose sound agrees.
        """
        kept: list[Track] = []
        hashes: set[str] = set()
        by_title: dict[str | None, list[Track]] = {}
        for track in tracks:
            title = name_key(track.tags.title)
            alike = by_title.setdefault(title, []) if title is not None else []
            is_copy = track.audio_hash in hashes or any(
                same_song(track, other, partial(self._cosine, track, other)) for other in alike
            )
            if not is_copy:
                kept.append(track)
                hashes.add(track.audio_hash)
                alike.append(track)
        return [Choice(SeedKind.TRACK, t.display_name, str(t.id), (t,)) for t in kept]

    def _cosine(self, one: Track, other: Track) -> float:
        """Return the cosine of the embeddings of two tracks, 0 where one has none."""
        if unknown := [t.id for t in (one, other) if t.id not in self._embeddings]:
            analyses = self._store.analyses(unknown)
            known = {track_id: analyses.get(track_id) for track_id in unknown}
            self._embeddings |= {i: None if a is None else a.embedding for i, a in known.items()}
        first, second = self._embeddings[one.id], self._embeddings[other.id]
        return 0.0 if first is None or second is None else float(first @ second)

    def _apart(self, words: str) -> list[Choice]:
        """Return what has the words that marks join here: "Artist-Title", "Artist_-_Title".

        "And" counts as little as "&".
        """
        if os.sep in words.replace(" / ", " ") or Path(words).suffix.lower() in AUDIO_SUFFIXES:
            return []  # a path
        parts = re.sub(r"(?i)(\b(and|und|et|y)\b|[-_\u2010-\u2014+&/])+", " ", words).strip()
        if not parts or parts == words:
            return []
        return self.named(parts) or self._holding(parts)

    def _only(self, given: str, choices: Sequence[Choice]) -> Choice:
        if len(choices) == 1:
            return choices[0]
        if not choices:
            raise self._nothing(given)
        listed = choices[:MAX_LISTED]
        more = "or more " if len(choices) > MAX_LISTED else ""
        kinds = {str(choice.kind) for choice in choices}
        what = f"{kinds.pop()}s" if len(kinds) == 1 else "tracks, artists and albums"
        raise AmbiguousQueryError(
            f"{given!r} matches {len(listed)} {more}{what}",
            "Add words, all in one quoted argument, or give one of these: an id, artist:NAME, "
            "album:NAME, or a path.",
            tuple(choice.line() for choice in listed),
            words=given,
            seeds=tuple(choice.seed for choice in listed),
        )

    def _nothing(self, given: str) -> QueryError:
        if given.strip().isdecimal():
            return NotFoundError(
                f"no track has the id {given.strip()}, nor is it a file, artist, title or album",
                "Ids are in recsys list.",
            )
        looks_like_path = os.sep in given or Path(given).suffix.lower() in AUDIO_SUFFIXES
        what = (
            "no such file"
            if looks_like_path
            else "no such file, and no artist, title, album or genre tag matches"
        )
        return QueryError(
            f"{what}: {given!r}{self.offered(given)}",
            "Give the path of an audio file, or words of artist and title in one quoted argument.",
        )

    def offered(self, given: str) -> str:
        """Return ``"; did you mean 'x'?"`` for names spelt nearly like words, or nothing."""
        names = list(islice(self._suggestions(given), _SUGGESTED))
        return f"; did you mean {' or '.join(map(repr, names))}?" if names else ""

    def _suggestions(self, given: str) -> Iterator[str]:
        """Yield names of the library that are spelt nearly like the words."""
        printed, prefix = _without_length(given), _PREFIX.fullmatch(given.strip())
        name = stem(Path(given).name) if Path(given).suffix.lower() in AUDIO_SUFFIXES else given
        words = words_of(printed[0] if printed else prefix[2] if prefix else name)
        if not words or len(words) > _CORRECTED or max(map(len, words)) < _NAME_FROM:
            return
        seen: set[str] = set()
        for spelling in islice(_spellings(words, self._store.like_words(words)), _TRIED):
            if seen and len(spelling) < len(words):
                return
            tracks = self._store.find_tracks(" ".join(spelling), MAX_LISTED)
            artists = _artists(" ".join(spelling), tracks, whole=False)[1]
            for name in [choice.name for choice in artists] or [t.display_name for t in tracks]:
                if name not in seen:
                    seen.add(name)
                    yield name


def _spellings(words: Sequence[str], known: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Yield words with others of a library in their places, the likeliest first.

    They are the nearest of all, then those with another in one place, then those with none there:
    first in the places of words that are not in the library.
    """
    if all(known):
        yield [near[0] for near in known]
    places = sorted(range(len(words)), key=lambda i: words[i] in known[i])
    others = [i for i in places if all(known[:i]) and all(known[i + 1 :])]
    for i in others:
        for other in known[i][1:]:
            yield [other if j == i else near[0] for j, near in enumerate(known)]
    for i in others if len(words) > 1 else ():
        yield [near[0] for j, near in enumerate(known) if j != i]


# Names, and how exactly words equal them


def _exactness(words: str, names: Iterable[str]) -> int | None:
    """Return how exactly words equal one of the names; None if they equal none.

    0 is to the letter, 1 but for case and accents, 2 but for marks and spaces.
    """
    best: int | None = None
    text = " ".join((storable_text(words) or "").split())
    letters = letters_of(text)
    for name in filter(None, map(storable_text, names)):
        if letters_of(name) == letters:
            exact = " ".join(name.split()) == text
            level = 0 if exact else 1 if normalise(name) == normalise(text) else 2
            best = level if best is None else min(best, level)
    return best


def _printed_names(track: Track) -> list[str]:
    """Return the forms in which a track with an artist is printed."""
    artists = dict.fromkeys([track.tags.artist, track.tags.album_artist])
    return [f"{artist} - {track.title}" for artist in artists if artist]


def _all_names(track: Track) -> list[str]:
    """Return the names by which a track is found as a whole."""
    return [*_printed_names(track), track.title, track.path.name, stem(track.path.name)]


def _artists(
    words: str, tracks: Sequence[Track], *, whole: bool = True
) -> tuple[int, list[Choice]]:
    """Return the artists whose name equals the words, or with `whole` false holds all of them.

    One of several in a tag, or a guest in a title, is found by its own name, and has the tracks of
    both; where a tag names it alone, that spelling counts.
    """
    asked = words_of(words)
    alone: dict[str, list[Track]] = {}
    credited: dict[str, list[Track]] = {}
    for track in tracks:
        own, others = _artist_names(track)
        for name in own:
            alone.setdefault(name, []).append(track)
        for name in others:
            credited.setdefault(name, []).append(track)
    levels = {
        name: level
        for name in alone
        if (level := _artist_level(words, name, () if whole else asked)) is not None
    }
    if min(levels.values(), default=3) == 3:
        named = (name for name in credited if _artist_level(words, name) is not None)
        levels = dict.fromkeys(named, 2) or levels
    best = min(levels.values(), default=3)
    # Spellings of one name are one artist.
    artists: dict[str, tuple[str, list[Track]]] = {}
    for name in (name for name, level in levels.items() if level == best):
        held = alone.get(name, credited.get(name, []))
        artists.setdefault(letters_of(name), (name, []))[1].extend(held)
    for name, held in credited.items():
        if (letters := letters_of(name)) in artists:
            artists[letters][1].extend(held)
    return best, [
        Choice(SeedKind.ARTIST, name, f"artist:{name}", tuple(dict.fromkeys(held)))
        for name, held in artists.values()
    ]


def _artist_level(words: str, name: str, asked: Sequence[str] = ()) -> int | None:
    """Return how exactly words equal the name of an artist, with "the" or without.

    3 is for a name that only holds what is `asked`.
    """
    level = _exactness(words, (name,))
    if level is None and _exactness(words, (re.sub("(?i)^the +", "", name),)) is not None:
        return 2
    return 3 if level is None and _holds_all(name, asked) else level


def _artist_names(track: Track) -> tuple[list[str], list[str]]:
    """Return the names in the artist tags of a track, and those of one artist among several."""
    tags = [tag for tag in (track.tags.artist, track.tags.album_artist) if tag and tag.strip()]
    own = [tag for tag in dict.fromkeys(tags) if name_key(tag) not in NOT_AN_ARTIST]
    guests = (each[1] or each[2] for each in GUESTS.finditer(track.tags.title or ""))
    parts = [part.strip(" ()[]") for tag in (*own, *guests) for part in CREDITS.split(tag)]
    several = [part for part in dict.fromkeys(parts) if part and part not in own]
    return own, several


def _albums(words: str, tracks: Sequence[Track], *, whole: bool = True) -> tuple[int, list[Choice]]:
    """Return the albums whose name equals the words, or with `whole` false holds all of them."""
    asked = words_of(words)
    by_names: dict[tuple[str, str | None, str | None], list[Track]] = {}
    for track in tracks:
        if (album := track.tags.album) is not None:
            makers = track.tags.album_artist, track.tags.artist
            by_names.setdefault((album, *makers), []).append(track)
    levels: list[tuple[int, Track]] = []
    for (album, *credited), held in by_names.items():
        titles = dict.fromkeys((album, set_name(album)))
        names = [*titles, *(f"{maker} - {t}" for maker in credited if maker for t in titles)]
        level = _exactness(words, names)
        if level is None and not whole and _holds_all(album, asked):
            level = 3
        if level is not None:
            levels += [(level, track) for track in held]
    best = min((level for level, _ in levels), default=3)
    groups = _one_album_each([track for level, track in levels if level == best])
    choices = []
    for group in groups:
        titles = dict.fromkeys(track.tags.album or "" for track in group)
        album = next(iter(titles)) if len(titles) == 1 else set_name(next(iter(titles)))
        maker = group[0].tags.album_artist or group[0].artist
        several = len(groups) > 1 and maker
        seed = f"album:{maker} - {album}" if several else f"album:{album}"
        choices.append(Choice(SeedKind.ALBUM, album, seed, tuple(group)))
    return best, choices


def set_name(album: str) -> str:
    """Return the name of an album without that of the disc."""
    return DISC.sub("", album) or album


def _one_album_each(tracks: Iterable[Track]) -> list[list[Track]]:
    """Divide tracks into albums: one name, but for the disc, and one artist or one sampler."""
    albums: dict[object, list[Track]] = {}  # by name and artist
    for track in tracks:
        makers = artists_of(track.tags.album_artist) or artists_of(track.artist)
        albums.setdefault((_set_letters(track), *makers[:1]), []).append(track)
    folders: dict[object, list[list[Track]]] = {}  # by name and folder
    for album in albums.values():
        folder = album[0].path.parent
        if _DISC_FOLDER.fullmatch(folder.name):
            folder = folder.parent
        folders.setdefault((_set_letters(album[0]), folder), []).append(album)
    divided: list[list[Track]] = []
    for parts in folders.values():
        whole = [track for part in parts for track in part]
        # The artists of a sampler have a track or two each; two albums of one name have more.
        is_sampler = 2 * len(parts) > len(whole)
        divided += [whole] if is_sampler else parts
    return divided


def _set_letters(track: Track) -> str:
    return letters_of(album_title(track) or "")


def _holds_all(name: str, asked: Sequence[str]) -> bool:
    """Return whether a name holds all words, or words that begin with them."""
    held = words_of(name)
    return bool(asked) and all(any(word.startswith(part) for word in held) for part in asked)


# Lengths, as they are printed behind a name


def _without_length(given: str) -> tuple[str, float] | None:
    """Return words and length of a printed name with its length, or of a line of an M3U file."""
    if (line := _EXTINF.match(given)) is not None:
        return given[line.end() :], float(line[1])
    printed = _LENGTH.search(given)
    if printed is None or not given[: printed.start()].strip():
        return None
    hours, minutes, seconds = (int(part or 0) for part in printed.groups())
    return given[: printed.start()], 3600.0 * hours + 60 * minutes + seconds
