"""Which tracks may be in a list at all, whatever their rank: lengths, artists, folders, words.

:class:`Filters` says what is asked for, :class:`TrackFilter` decides for one request. It is asked
where candidates leave the index, in :func:`recsys.recommender.query.nearest`, so that similar
tracks, playlists, ways and radio all keep to it.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from recsys.checks import check_types
from recsys.credits import CREDITS, GUESTS
from recsys.errors import QueryError
from recsys.keys import compatible
from recsys.kinds import main_kind
from recsys.recommender.duplicates import NOT_AN_ARTIST, NearDuplicates
from recsys.recommender.duplicates import name_key as spelling
from recsys.recommender.languages import languages_in
from recsys.recommender.presence import Presence
from recsys.store.search import name_key, normalise, storable_text, vocabulary_of, words_of
from recsys.types import CERTAIN_FROM, MEASURED, NOT_MUSIC, TRACK_NUMBERS, Kind, Range

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recsys.types import BanList, FloatArray, Track

FILTERS = {
    "tag": "without the tags asked for",
    "banned": "banned",
    "not_like": "not to be like, or near-duplicates of that",
    "excluded": "in an excluded folder, or with excluded words",
    "not_artist": "by an excluded artist",
    "query_artist": "by an artist of the query",
    "too_short": "shorter than the minimum length",
    "skit": "skits and jingles",
    "too_long": "longer than the maximum length",
    "speech": "speech",
    "other": "neither music nor speech",
    "language": "in another language",
    "no_language": "without a language tag",
    **{name: f"{name} out of range" for name in TRACK_NUMBERS},
    "no_tempo": "without a tempo that is certain enough",
    "no_loudness": "without a measured loudness",
    "key": "in a key that does not go with the seed's",
    "no_key": "without a key that is certain enough",
    "missing": "files that are gone",
    "away": "files on a disk that is not there",
    "query": "the query itself",
    "near_duplicate": "near-duplicates",
    "same_album": "same album",
    "same_artist": "more tracks of one artist than asked for",
}
"""Reasons for leaving a track out, in the order in which they are tried, with their texts."""

SKIT_S = 15.0
"""Duration in seconds below which a track is a skit or a jingle: no list has it unless it is asked
for.

Songs are longer but for a handful (1.3 s is one), and so are the clips of data sets, 29 s and 30 s.
"""

_PATH_STARTS = ("/", "~", f".{os.sep}", f"..{os.sep}")

_PLURAL = re.compile("(?:(?<=x|z)es|(?<=ch|sh|ss)es|(?<!s)s)$")


def reasons(counts: Mapping[str, int]) -> str:
    """Return the text of every reason that occurred, with its count.

    Examples
    --------
    >>> reasons({"query": 1, "too_long": 3, "tag": 0})
    'longer than the maximum length (3), the query itself (1)'
    """
    return ", ".join(f"{FILTERS[name]} ({counts[name]})" for name in FILTERS if counts.get(name))


def left_out(counts: Mapping[str, int]) -> str:
    """Return ``"; left out: ..."`` with every reason that occurred, or nothing."""
    text = reasons(counts)
    return f"; left out: {text}" if text else ""


@dataclass(frozen=True, slots=True)
class Filters:
    """Tracks that must not be in a list. Seeds are exempt: they were asked for.

    Attributes
    ----------
    not_artists : tuple of str
        No tracks of these artists; case, accents and marks do not count. A track credited to
        several artists ("A; B", "A feat. B", "A & B", "A and the Bs") is one of each.
    no_same_artist : bool
        No other tracks of the artists of the seeds.
    exclude : tuple of str or Path
        A Path, or a text that begins with ``/``, ``~``, ``./`` or ``../``, is a file, or a folder
        with everything below it. Another text is words: no tracks that have all of them in artist,
        title, album and genre tag. A word stands for its plural, too.
    min_length_s, max_length_s : float or None
        Limits of the duration in seconds, which is rounded as it is shown. A track of unknown
        duration is kept. Without a minimum, tracks below :data:`SKIT_S` are left out, unless what
        the list is made from is as short: see :func:`shortest_wanted`.
    languages : tuple of str
        Only tracks whose language tag names one of these, as a code of ISO 639, in English or in
        itself: "de", "ger", "German", "Deutsch". Tracks without the tag are left out.
    include : tuple of Kind
        What is in the lists although it is no music: speech, other. It is besides, where most
        seeds are of that kind. See :mod:`recsys.kinds`.
    ranges : dict of str to Range or str
        Only tracks whose numbers, :data:`recsys.types.TRACK_NUMBERS`, lie in these ranges:
        ``{"energy": "0.7.."}``. Tracks without such a number are left out.
    key_match : bool
        Only tracks whose key goes with that of a seed: the same, its relative, or a fifth up or
        down, which are neighbours on the Camelot wheel. Tracks whose key is not known, or not
        certain enough, are left out. It is never a default of the library.
    moods : tuple of str
        Only tracks in all of these moods of the library's table, see :mod:`recsys.mood`: names for
        ranges, which narrow those given.
    use_defaults : bool
        Whether the defaults of the library apply as well, see :meth:`over`.

    Raises
    ------
    QueryError
        A length is not above 0, the limits exclude each other, a name is empty, or a range is none.
    """

    not_artists: tuple[str, ...] = ()
    no_same_artist: bool = False
    exclude: tuple[str | Path, ...] = ()
    min_length_s: float | None = None
    max_length_s: float | None = None
    languages: tuple[str, ...] = ()
    include: tuple[Kind, ...] = ()
    ranges: Mapping[str, Range | str] = field(default_factory=dict)
    moods: tuple[str, ...] = ()
    key_match: bool = False
    use_defaults: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("not_artists", "exclude", "languages", "include", "moods"):
            _check_texts(name, getattr(self, name))
        if strange := [kind for kind in self.include if kind not in list(NOT_MUSIC)]:
            raise QueryError(
                f"nothing to include is called {str(strange[0])!r}",
                f"Known: {', '.join(NOT_MUSIC)}.",
            )
        object.__setattr__(self, "include", tuple(map(Kind, self.include)))
        check_types(self)
        for name in ("min_length_s", "max_length_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise QueryError(
                    f"{name} must be a number of seconds above 0, got {value}",
                    "Leave it out to have no limit.",
                )
        least, most = self.min_length_s, self.max_length_s
        if least is not None and most is not None and least > most:
            raise QueryError(
                f"no track is longer than {least:g} s and shorter than {most:g} s",
                "The minimum length must not exceed the maximum length.",
            )
        # A frozen instance cannot set its own fields in the usual way.
        object.__setattr__(self, "exclude", tuple(map(_exclusion, self.exclude)))
        object.__setattr__(self, "ranges", checked_ranges(self.ranges))

    def over(self, defaults: Filters) -> Filters:
        """Return these filters together with defaults, unless these ignore them.

        Artists, exclusions and kinds add up; lengths, languages, ranges and moods given here
        replace the defaults.
        """
        if not self.use_defaults:
            return self
        least = defaults.min_length_s if self.min_length_s is None else self.min_length_s
        most = defaults.max_length_s if self.max_length_s is None else self.max_length_s
        if least is not None and most is not None and least > most:
            # A length of the call stands against a default: the default gives way.
            least, most = self.min_length_s, self.max_length_s
        return Filters(
            not_artists=tuple(dict.fromkeys((*defaults.not_artists, *self.not_artists))),
            no_same_artist=defaults.no_same_artist or self.no_same_artist,
            exclude=tuple(dict.fromkeys((*defaults.exclude, *self.exclude))),
            min_length_s=least,
            max_length_s=most,
            languages=self.languages or defaults.languages,
            include=tuple(dict.fromkeys((*defaults.include, *self.include))),
            ranges={**defaults.ranges, **self.ranges},
            moods=self.moods or defaults.moods,
            key_match=self.key_match,
        )

    def including(self, *groups: str | None) -> Filters:
        """Return the filters with the kinds among some genre groups: who names them wants them."""
        named = {group.strip().casefold() for group in groups if group}
        kinds = [kind for kind in NOT_MUSIC if kind in named and kind not in self.include]
        return replace(self, include=(*self.include, *kinds)) if kinds else self

    def with_moods(self, of_moods: Mapping[str, Range]) -> Filters:
        """Return the filters with the ranges of their moods in place of the names."""
        ranges = checked_ranges(self.ranges)
        for name, limits in of_moods.items():
            try:
                ranges[name] = ranges[name] & limits if name in ranges else limits
            except QueryError as error:
                raise QueryError(
                    f"no track with {name} {ranges[name]} is {' and '.join(self.moods)}, which has"
                    f" {name} {limits}",
                    f"Leave out the mood or the {name}.",
                ) from error
        return replace(self, ranges=ranges, moods=())

    def asked(self) -> dict[str, Any]:
        """Return the filters that are set, as values for JSON; :meth:`of` reads them."""
        texts: dict[str, Any] = {
            "exclude": [os.fspath(each) for each in self.exclude],
            "include": [str(kind) for kind in self.include],
            "ranges": {name: str(limits) for name, limits in self.ranges.items()},
        }
        values = {
            each.name: texts.get(each.name, getattr(self, each.name))
            for each in fields(self)
            if each.name != "use_defaults"
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value
        }

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Self:
        """Return the filters of :meth:`asked`."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in asked.items()
        }
        return cls(**values)


def checked_ranges(ranges: Mapping[str, Range | str]) -> dict[str, Range]:
    """Return ranges by the number that they are of, in its order; QueryError for others."""
    strange = [name for name in ranges if name not in TRACK_NUMBERS]
    if strange:
        raise QueryError(
            f"tracks have no {strange[0]!r} to filter by", f"Known: {', '.join(TRACK_NUMBERS)}."
        )
    found = {}
    for name in TRACK_NUMBERS:
        value = ranges.get(name)
        if isinstance(value, str):
            value = Range.parse(value)
        if isinstance(value, Range):
            found[name] = value
        elif value is not None:
            raise QueryError(
                f"the range of {name} must be a Range, got {value!r}", 'Give "0.7..", for example.'
            )
    return found


def is_within(track: Track, ranges: Mapping[str, Range]) -> bool:
    """Return whether the numbers of a track lie in ranges; one that is not known does not."""
    return all(limits.holds(getattr(track, name)) for name, limits in ranges.items())


def moods_of(track: Track, moods: Mapping[str, Mapping[str, Range]]) -> list[str]:
    """Return the moods, of those of :meth:`recsys.Library.moods`, that a track has."""
    return [mood for mood, ranges in moods.items() if is_within(track, ranges)]


def _check_texts(name: str, values: object) -> None:
    if isinstance(values, str) or not isinstance(values, tuple | list):
        raise QueryError(f"{name} must be a tuple, got {values!r}", f"Give ({values!r},).")
    kinds = (str, Path) if name == "exclude" else str
    strange = [value for value in values if not isinstance(value, kinds)]
    if strange:
        raise QueryError(f"{name} must hold texts, got {strange[0]!r}", f"Give ('{strange[0]}',).")
    empty = [value for value in values if not str(value).strip()]
    if empty:
        raise QueryError(f"an empty text among {name}: {empty[0]!r}", "Leave it out.")


def _exclusion(value: str | Path) -> str | Path:
    """Return a file or folder as an absolute Path, and words as they are."""
    if isinstance(value, Path) or value.startswith(_PATH_STARTS):
        return Path(os.path.abspath(Path(value).expanduser()))  # noqa: PTH100 (links are kept)
    return value


NO_FILTERS = Filters()
"""Every track may be in a list."""


class TrackFilter:
    """Decides which tracks may be in the lists of one request, and counts the others by reason.

    What is banned is always refused, and so are files that are not there, where `files` knows, and
    `unwanted` tracks, given with their embeddings, and their near-duplicates; otherwise the `seeds`
    never are. Tracks shorter than `shortest_s` are skits.
    """

    def __init__(
        self,
        filters: Filters,
        seeds: Sequence[Track] = (),
        unwanted: Sequence[tuple[Track, FloatArray]] = (),
        banned: BanList | None = None,
        files: Presence | None = None,
        shortest_s: float = 0.0,
    ) -> None:
        self._banned = banned or None
        self._files = files
        self._unwanted = NearDuplicates()
        for track, embedding in unwanted:
            self._unwanted.add(track, embedding)
        self._seeds = frozenset(os.fspath(track.path) for track in seeds)
        self._folders = tuple(_folder_texts(filters.exclude))
        words = [text for text in filters.exclude if isinstance(text, str)]
        self._words = [([_singular(_letters(w)) for w in t.split()], _asked(t)) for t in words]
        self._artists = frozenset(map(name_key, map(storable_text, filters.not_artists)))
        of_query = seeds if filters.no_same_artist else ()
        self._query_artists = frozenset(name for track in of_query for name in _artists(track))
        self._min_s = filters.min_length_s or shortest_s
        self._too_short = "too_short" if filters.min_length_s else "skit"
        self._max_s = filters.max_length_s or math.inf
        self._left_out_kinds = frozenset(NOT_MUSIC) - {*filters.include, main_kind(seeds)}
        self._ranges = tuple(checked_ranges(filters.ranges).items())
        self._keys = _keys_that_go_with(seeds) if filters.key_match else frozenset[str]()
        self._languages = frozenset[str]().union(*map(languages_in, filters.languages))
        self._refused: dict[int, str] = {}  # reasons by track: several searches find the same one

    @property
    def refuses_all(self) -> bool:
        """Whether no further track can be admitted: no file of the library is there."""
        return self._files is not None and self._files.nothing_is_there

    @property
    def filtered(self) -> Counter[str]:
        """How many different tracks were refused, by reason."""
        return Counter(self._refused.values())

    def admits(self, track: Track, embedding: FloatArray | None = None) -> bool:
        """Return whether a track may be in the lists; count it if not."""
        reason = self.objection(track, embedding)
        if reason is not None:
            self._refused[track.id] = reason
        return reason is None

    def objection(self, track: Track, embedding: FloatArray | None = None) -> str | None:
        """Return why a track may not be in the lists, a key of :data:`FILTERS`, or None.

        Near-duplicates of unwanted tracks are found where there is an embedding, of unit length.
        """
        if self._banned is not None and self._banned.holds(track):
            return "banned"
        if os.fspath(track.path) in self._seeds:
            return self._objection_to_file(track)
        if embedding is not None and len(self._unwanted) and self._unwanted.match(track, embedding):
            return "not_like"
        if self._folders and f"{track.path}{os.sep}".startswith(self._folders):
            return "excluded"
        if self._words and self._has_excluded_words(track):
            return "excluded"
        return (
            ((self._artists or self._query_artists) and self._objection_to_artists(track))
            or self._objection_to_length(track)
            or (track.kind in self._left_out_kinds and str(track.kind))
            or (self._languages and self._objection_to_language(track))
            or self._objection_to_numbers(track)
            or (self._keys and self._objection_to_key(track))
            or self._objection_to_file(track)
            or None
        )

    def _objection_to_file(self, track: Track) -> str | None:
        return None if self._files is None else self._files.objection(track)

    def _objection_to_artists(self, track: Track) -> str | None:
        names = _artists(track)
        if not self._artists.isdisjoint(names):
            return "not_artist"
        return None if self._query_artists.isdisjoint(names) else "query_artist"

    def _objection_to_length(self, track: Track) -> str | None:
        if not 0 < track.duration_s < math.inf:  # unknown
            return None
        length_s = round(track.duration_s)
        if length_s < self._min_s:
            return self._too_short
        return "too_long" if length_s > self._max_s else None

    def _objection_to_language(self, track: Track) -> str | None:
        named = languages_in(track.tags.language or "")
        if not named:
            return "no_language"
        return "language" if named.isdisjoint(self._languages) else None

    def _objection_to_numbers(self, track: Track) -> str | None:
        for name, limits in self._ranges:
            value = getattr(track, name)
            if not limits.holds(value):
                return name if value is not None or name not in MEASURED else f"no_{name}"
        return None

    def _objection_to_key(self, track: Track) -> str | None:
        if track.key is None:
            return "no_key"
        return None if track.key in self._keys else "key"

    def _has_excluded_words(self, track: Track) -> bool:
        tags = track.tags
        texts = (tags.artist, tags.album_artist, track.title, tags.album, tags.genre_tag)
        given = [text for text in texts if text]
        # Taking names apart takes ten times as long as this, which nearly always decides.
        letters = _letters(" ".join(given))
        likely = [forms for stems, forms in self._words if all(stem in letters for stem in stems)]
        if not likely:
            return False
        held = frozenset[str]().union(*map(_words, given))
        return any(all(any(form <= held for form in forms) for forms in asked) for asked in likely)


def _keys_that_go_with(seeds: Sequence[Track]) -> frozenset[str]:
    """Return the keys that go with those of the seeds; QueryError if none of them has one."""
    keys = {track.key for track in seeds if track.key is not None}
    if seeds and not keys:
        found = next((track for track in seeds if track.mix.key is not None), None)
        if found is not None:
            raise QueryError(
                f"the key of {found.display_name} was measured as {found.mix.key}, which is too"
                f" uncertain to match ({found.mix.key_confidence:.2f}, {CERTAIN_FROM:g} is needed)",
                "Leave out --key-match, or name a track of a certain key; a key in the file's own"
                " tags is taken as certain.",
            )
        raise QueryError(
            f"the key of {seeds[0].display_name} was not measured, or none was found",
            "Measure it: recsys index --also key; or leave out --key-match.",
        )
    return frozenset[str]().union(*map(compatible, keys))


def shortest_wanted(tracks: Iterable[Track]) -> float:
    """Return the least duration of a list that is made from some tracks: :data:`SKIT_S` or none.

    None where most of them are as short themselves, or their durations are not known.
    """
    durations = sorted(t.duration_s for t in tracks if 0 < t.duration_s < math.inf)
    if not durations or round(durations[len(durations) // 2]) < SKIT_S:
        return 0.0
    return SKIT_S


def _folder_texts(exclude: Iterable[str | Path]) -> Iterable[str]:
    """Yield the beginnings of paths in excluded folders, as named and with links resolved."""
    for path in exclude:
        if isinstance(path, Path):
            for text in {os.fspath(path), os.path.realpath(path)}:
                yield text.rstrip(os.sep) + os.sep


def _asked(words: str) -> list[list[frozenset[str]]]:
    """Return for each excluded word its forms: "hip-hop" is "hiphop", or both "hip" and "hop"."""
    forms = []
    for word in words.split():
        parts = vocabulary_of([normalise(storable_text(word))])
        joined = [frozenset([_singular("".join(parts))])] if parts else []
        forms.append([*joined, frozenset(map(_singular, parts)) or frozenset([normalise(word)])])
    return forms


def _letters(text: str) -> str:
    """Return the letters and digits of a text, normalised and without anything between them."""
    return re.sub(r"[\W_]+", "", normalise(storable_text(text)))


@lru_cache(maxsize=4096)
def _words(text: str) -> frozenset[str]:
    """Return the words of a text in the singular, those with marks also joined, and the whole."""
    whole = normalise(storable_text(text))
    words = {*vocabulary_of([whole]), *words_of(whole)}
    return frozenset([*map(_singular, words), whole])  # the whole may be marks alone: "!!!"


def _singular(word: str) -> str:
    """Return a word without the ending of an English plural.

    Examples
    --------
    >>> [_singular(word) for word in ("audiobooks", "remixes", "speeches", "bass", "live")]
    ['audiobook', 'remix', 'speech', 'bass', 'live']
    """
    return _PLURAL.sub("", word) or word


@lru_cache(maxsize=4096)
def _credited(artist: str) -> frozenset[str]:
    """Return the keys of all artists that one tag names, and of the tag as a whole."""
    names = [artist, *CREDITS.split(artist)]
    return frozenset(name_key(name) for name in names if normalise(name))


def _artists(track: Track) -> frozenset[str]:
    """Return the keys of the artists of a track; none for placeholders of taggers."""
    names = [name for name in (track.tags.artist, track.tags.album_artist) if name]
    known = [name for name in names if spelling(name) not in NOT_AN_ARTIST]
    known += [each[1] or each[2] for each in GUESTS.finditer(track.tags.title or "")]
    return frozenset(key for name in known for key in _credited(storable_text(name)))
