"""Seeds of a query: a track of the library, any audio file, or words.

A seed is read as the first of these that it can be:

1. the id of a track, if it is a number and the library has this track;
2. the path of a file or its ``file://`` address: ``./42`` is the file where ``42`` would be an id;
3. the name of a track, as recsys prints it, or of a title, a file, an artist or an album;
4. words of artist, title, album and genre tag that only one track, artist or album holds.

Words that the library knows come before a folder, or a file without an audio extension, that is
named like them in the current folder; ``./Queen`` is that one.

``id:``, ``title:``, ``artist:`` and ``album:`` before it say which is meant. Several readings of
equal rank are listed, each with a seed that means it alone; none is guessed. ``blend:NAME`` is a
query that was saved under a name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import numpy as np

from recsys.credits import CREDITS, DISC, GUESTS, NOT_AN_ARTIST, album_title, artists_of
from recsys.errors import (
    DAMAGED_ANALYSES,
    AmbiguousQueryError,
    AudioError,
    ModelError,
    QueryError,
    shell,
)
from recsys.kinds import kind_of
from recsys.library import AUDIO_SUFFIXES, absolute
from recsys.notebook import LONGEST_CELL, clock, one_line
from recsys.recommender import OUTSIDE_LIBRARY, make_query
from recsys.recommender.duplicates import name_key, same_song
from recsys.store.search import MOST_MATCHES, normalise, stem, storable_text, words_of
from recsys.store.search import name_key as letters_of
from recsys.types import Analysis, FloatArray, Kind, ModelInfo, Reading, SeedKind, SeedRole, Track

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.recommender import Query
    from recsys.recommender.presence import Presence
    from recsys.types import Catalogue

MAX_LISTED = 20
"""Readings that are listed when words are ambiguous."""

MOST_SEEDS = MOST_MATCHES
"""Tracks of an artist or album that become seeds, at most."""

_SUGGESTED, _TRIED, _CORRECTED = 3, 12, 10
"""Names that are suggested, spellings that are tried for them, words that are corrected."""

_NAME_FROM = 3
"""Letters of the longest word from which names like it are suggested."""

_BLEND = re.compile(r"blend:\s*(.+)", re.IGNORECASE | re.DOTALL)
_PREFIX = re.compile(r"(id|title|artist|album):\s*(.+)", re.IGNORECASE | re.DOTALL)
_LENGTH = re.compile(r"\s*\((?:(\d+):)?(\d+):(\d\d)\)$")
_EXTINF = re.compile(r"#EXTINF:(-?\d+),")

_FILE_ADDRESS = re.compile(r"file:(?://(?:localhost)?(?=/))?(/.*)", re.IGNORECASE | re.DOTALL)
_DISC_FOLDER = re.compile(r"(?:dis[ck]|cd)\s*[-_#]?\s*[0-9]{1,2}", re.IGNORECASE)

ResolvedSeed = tuple[Track, Analysis]


@dataclass(frozen=True, slots=True)
class FoundSeed:
    """The tracks that one seed stands for, the most typical of them first, and how it was read."""

    reading: Reading
    tracks: tuple[ResolvedSeed, ...]
    like: tuple[ResolvedSeed, ...] = ()  # of a blend
    not_like: tuple[ResolvedSeed, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundSeeds:
    """All seeds of a query, in the order given."""

    seeds: tuple[FoundSeed, ...]
    like: tuple[FoundSeed, ...] = ()
    not_like: tuple[FoundSeed, ...] = ()

    @property
    def readings(self) -> tuple[Reading, ...]:
        """How they were read."""
        groups = (SeedRole.SEED, self.seeds), (SeedRole.LIKE, self.like)
        return tuple(
            replace(found.reading, role=role)
            for role, group in (*groups, (SeedRole.NOT_LIKE, self.not_like))
            for found in group
        )

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return bool(self.seeds or self.like or self.not_like)

    def query(self, info: ModelInfo) -> Query:
        """Return the query; QueryError without a seed."""
        if not self.seeds and not self.like:
            raise QueryError("no seed given", "Give a track of the library, a file, or words.")
        seeds = [track for found in self.seeds for track in found.tracks]
        blended = (track for found in self.seeds for track in found.like)
        like = [*(track for found in self.like for track in found.tracks), *blended]
        left = (track for found in self.seeds for track in found.not_like)
        not_like = [*(track for found in self.not_like for track in found.tracks), *left]
        return replace(make_query(info, seeds, like, not_like), readings=self.readings)


@dataclass(frozen=True, slots=True)
class _Choice:
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


class SeedFinder:
    """Resolves seeds to tracks and their analyses.

    The model is loaded for the first file outside the library only. `is_copy` is for a read-only
    copy of a library, which cannot be analysed again. Of copies of one sound, `files` chooses one
    that is there. Without `paths` no text is read as a path, so that it reaches no file.
    """

    def __init__(
        self,
        store: Catalogue,
        load_classifier: Callable[[], Classifier],
        *,
        is_copy: bool = False,
        files: Presence | None = None,
        paths: bool = True,
    ) -> None:
        self._store = store
        self._files = files
        self._paths = paths
        self._load_classifier = load_classifier
        self._is_copy = is_copy

    def find(self, seed: str | Path) -> FoundSeed:
        """Return what a seed stands for; see the module for how it is read.

        A file outside the library has the id :data:`recsys.recommender.OUTSIDE_LIBRARY`.

        Raises
        ------
        AmbiguousQueryError
            Words match more than one track, artist or album.
        QueryError
            Nothing matches, or the path is a folder.
        AudioError
            A file outside the library cannot be analysed.
        """
        given = str(seed)
        if not given.strip():
            raise QueryError(f"no track was named: {given!r}", "Give a path or words.")
        if isinstance(seed, str) and (named := _BLEND.fullmatch(given.strip())) is not None:
            return self._blend(given, named[1])
        if isinstance(seed, str) and (track := self._numbered(seed)) is not None:
            return self._stored(given, SeedKind.ID, (track,), note=self._other_meaning(seed))
        if isinstance(seed, str) and not self._paths:
            return self._named(given, WordReader(self._store).read(given))
        path = seed_path(seed)
        track = self._store.track_by_path(path)
        if track is not None:
            return self._stored(given, SeedKind.FILE, (track,))
        # os.path answers False for words that could be no path, where pathlib raises.
        if os.path.exists(path):  # noqa: PTH110
            known = self._known_words(seed, path)
            return self._file(given, path) if known is None else self._named(given, known)
        return self._named(given, WordReader(self._store).read(given))

    def _known_words(self, seed: str | Path, path: Path) -> _Choice | None:
        """Return what a name means that is also that of a file or folder, None if it is no words.

        A folder of the artist, or a text about it, does not hide the artist.
        """
        if not isinstance(seed, str) or os.sep in seed or path.suffix.lower() in AUDIO_SUFFIXES:
            return None
        try:
            return WordReader(self._store).read(seed)
        except AmbiguousQueryError:
            raise
        except QueryError:
            return None

    def _file(self, given: str, path: Path) -> FoundSeed:
        if path.is_dir():
            raise QueryError(f"a folder, not a track: {path}", "Give one audio file, or words.")
        outside = self._analyse_file(path)
        return FoundSeed(Reading(given, SeedKind.FILE, outside[0].display_name), (outside,))

    def _named(self, given: str, choice: _Choice) -> FoundSeed:
        """Return what words stand for."""
        note = ""
        if choice.kind is not SeedKind.TRACK:
            note = f"{given!r} is read as the {choice.kind} {choice.name}: {choice.tracks_text}"
        return self._stored(given, choice.kind, choice.tracks, name=choice.name, note=note)

    def of_hashes(self, hashes: Iterable[str]) -> list[ResolvedSeed]:
        """Return the tracks of these sounds that the library still has, with their analyses."""
        copies = (self._store.tracks_with_hash(audio_hash) for audio_hash in hashes)
        tracks = [self._present(tracks[0]) for tracks in copies if tracks]
        analyses = self._store.analyses([track.id for track in tracks])
        return [(track, analyses[track.id]) for track in tracks if track.id in analyses]

    def _blend(self, given: str, name: str) -> FoundSeed:
        """Return the tracks of a blend, the most typical seed first."""
        blend = self._store.blend(name)
        if blend is None:
            raise QueryError(
                f"there is no blend {name!r}",
                "recsys blends lists them; recsys similar A B --save-blend NAME makes one.",
            )
        seeds, like, not_like = map(self.of_hashes, (blend.seeds, blend.like, blend.not_like))
        if not seeds:
            raise QueryError(
                f"the tracks of the blend {name!r} have left the library",
                f"Delete it: {shell('recsys', 'blends', '--delete', name)}",
            )
        wanted = len(blend.seeds) + len(blend.like) + len(blend.not_like)
        gone = wanted - len(seeds) - len(like) - len(not_like)
        note = f"{gone} of {wanted} tracks of the blend {name} have left the library"
        reading = Reading(given, SeedKind.BLEND, name, len(seeds), note if gone else "")
        first = _most_typical_first(seeds)
        return FoundSeed(reading, tuple(first), tuple(like), tuple(not_like))

    def _numbered(self, seed: str) -> Track | None:
        """Return the track of a seed that is an id."""
        asked = re.fullmatch(r"\s*(?:id:)?\s*([0-9]{1,18})\s*", seed, re.IGNORECASE)
        return None if asked is None else self._store.track(int(asked[1]))

    def _other_meaning(self, seed: str) -> str:
        """Return a note where a bare number is the name of something, too."""
        number = seed.strip()
        if not number.isdigit():
            return ""
        is_file = self._paths and os.path.exists(number)  # noqa: PTH110
        others = [f"./{number} is the file"] if is_file else []
        named = [c for c in WordReader(self._store).named(number, files=False) if c.seed != number]
        kinds = dict.fromkeys("title" if c.kind is SeedKind.TRACK else c.kind for c in named)
        others += [f"{kind}:{number} is the {kind}" for kind in kinds]
        return f"{number} is read as an id; {', '.join(others)}" if others else ""

    def _present(self, track: Track) -> Track:
        """Return a track, or where its file is gone a copy of its sound that is there."""
        if self._files is None or self._files.holds(track):
            return track
        copies = self._store.tracks_with_hash(track.audio_hash)
        return next(filter(self._files.holds, copies), track)

    def _stored(
        self,
        given: str,
        kind: SeedKind,
        tracks: Sequence[Track],
        *,
        name: str = "",
        note: str = "",
    ) -> FoundSeed:
        tracks = list(dict.fromkeys(map(self._present, tracks)))
        analyses = self._store.analyses([track.id for track in tracks])
        found = [(track, analyses[track.id]) for track in tracks if track.id in analyses]
        if not found:
            if any(track.genre for track in tracks):
                raise QueryError(f"the analysis of {tracks[0].path} is damaged", DAMAGED_ANALYSES)
            raise QueryError(
                f"{tracks[0].path} has not been analysed by the library's present model",
                "Run recsys index on its folder again.",
            )
        reading = Reading(given, kind, name or tracks[0].display_name, len(found), note)
        return FoundSeed(reading, tuple(_most_typical_first(found)))

    def _analyse_file(self, path: Path) -> ResolvedSeed:
        """Identify a file outside the library; analyse it unless the library has a copy of it."""
        info = self._store.model()
        if info is None:
            raise QueryError(f"{self._store.path} has no model yet", "Index a folder first.")
        # In a process of its own: a file that crashes its decoder must not end this one.
        from recsys.indexing.examine import identify
        from recsys.workers import apply

        try:
            identity, tags = apply(identify, path)
            copy = next(iter(self._store.tracks_with_hash(identity)), None)
            analysis = self._store.analysis(copy.id) if copy else None
            if copy is not None and analysis is not None:
                duration_s = copy.duration_s
            else:
                analysis, duration_s = self._run_model(path, info)
        except AudioError as error:
            raise AudioError(f"{path}: {error.message}", error.hint) from error
        judged = kind_of(info, analysis)
        kind = None if judged is None else judged.kind
        genre = info.top_genre(analysis.probabilities) if kind in (None, Kind.MUSIC) else str(kind)
        track = Track(
            *(OUTSIDE_LIBRARY, path, tags, duration_s, identity, genre),
            kind=kind,
            kind_probability=None if judged is None else judged.probability,
            vocals=None if judged is None else judged.vocals,
        )
        return track, analysis

    def _run_model(self, path: Path, info: ModelInfo) -> tuple[Analysis, float]:
        from recsys.indexing.examine import FileAnalyser, analyses_of
        from recsys.workers import apply

        classifier = self._load_classifier()
        # Embeddings of another model are not comparable with the stored ones.
        if classifier.info.identity != info.identity:
            raise ModelError(
                f"{self._store.path} was analysed with model {info.name} ({info.fingerprint}, "
                f"effort {info.effort}), and a new file can only be analysed with "
                f"{classifier.info.fingerprint}, effort {classifier.info.effort}, now",
                self._mismatch_hint(),
            )
        result = apply(FileAnalyser(classifier.features, classifier.place), path)
        return analyses_of([result], lambda: classifier)[0], result.duration_s

    def _mismatch_hint(self) -> str:
        if self._is_copy:
            return "Query with a track of the library: only its own model can analyse a new file."
        again = shell("recsys", "index", "--reanalyse", *self._store.roots())
        return f"Analyse the library again with the new model: {again}"


def seed_path(seed: str | Path) -> Path:
    """Return the absolute path of a seed, which may be a percent-encoded ``file://`` address."""
    address = _FILE_ADDRESS.fullmatch(seed) if isinstance(seed, str) else None
    return absolute(seed if address is None else os.fsdecode(unquote_to_bytes(address[1])))


class WordReader:
    """Reads words as a track, an artist or an album of a library."""

    def __init__(self, store: Catalogue) -> None:
        self._store = store
        self._length_s: float | None = None
        self._found: dict[str, list[Track]] = {}
        self._embeddings: dict[int, FloatArray | None] = {}

    def read(self, given: str) -> _Choice:
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

    def named(self, words: str, *, files: bool = True) -> list[_Choice]:
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

    def _albums(self, words: str) -> list[_Choice]:
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
    def _spells(words: str, choices: Iterable[_Choice]) -> bool:
        """Return whether words are the name of a choice mark by mark."""
        names = [name for c in choices for t in c.tracks for name in (*_all_names(t), c.name)]
        return _exactness(words, names) in {0, 1}

    def _of_kind(self, kind: str, words: str) -> list[_Choice]:
        """Return what words mean after ``id:``, ``title:``, ``artist:`` or ``album:``."""
        if kind == SeedKind.ID:
            raise QueryError(f"no track has the id {words}", "Ids are in the JSON of the commands.")
        tracks = self._tracks(words)
        if kind == SeedKind.ARTIST:
            return _artists(words, tracks)[1] or _artists(words, tracks, whole=False)[1]
        if kind == SeedKind.ALBUM:
            return self._albums(words) or _albums(words, tracks, whole=False)[1]
        titles = self._best(words, ((track, [track.title]) for track in tracks))[1]
        return titles or self._files(words, tracks)

    def _holding(self, words: str) -> list[_Choice]:
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

    def _below(self, words: str) -> list[_Choice]:
        """Return the tracks whose path ends with a relative one, as in a playlist of elsewhere."""
        if os.sep not in words:
            return []
        end = os.sep + os.path.normpath(words).lstrip(f".{os.sep}")
        tracks = self._tracks(Path(words).name)
        return self._songs([track for track in tracks if str(track.path).endswith(end)])

    def _best(
        self, words: str, named: Iterable[tuple[Track, Iterable[str]]]
    ) -> tuple[int, list[_Choice]]:
        """Return the songs whose names equal the words most exactly, with how exactly."""
        levels = [
            (level, t) for t, names in named if (level := _exactness(words, names)) is not None
        ]
        best = min((level for level, _ in levels), default=3)
        return best, self._songs([track for level, track in levels if level == best])

    def _files(self, words: str, tracks: Iterable[Track]) -> list[_Choice]:
        """Return the tracks of the files that have this name, with its extension or without."""
        names = ((track, [track.path.name, stem(track.path.name)]) for track in tracks)
        return self._best(words, names)[1]

    def _songs(self, tracks: Iterable[Track]) -> list[_Choice]:
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
        return [_Choice(SeedKind.TRACK, t.display_name, str(t.id), (t,)) for t in kept]

    def _cosine(self, one: Track, other: Track) -> float:
        """Return the cosine of the embeddings of two tracks, 0 where one has none."""
        if unknown := [t.id for t in (one, other) if t.id not in self._embeddings]:
            analyses = self._store.analyses(unknown)
            known = {track_id: analyses.get(track_id) for track_id in unknown}
            self._embeddings |= {i: None if a is None else a.embedding for i, a in known.items()}
        first, second = self._embeddings[one.id], self._embeddings[other.id]
        return 0.0 if first is None or second is None else float(first @ second)

    def _apart(self, words: str) -> list[_Choice]:
        """Return what has the words that marks join here: "Artist-Title", "Artist_-_Title".

        "And" counts as little as "&".
        """
        if os.sep in words.replace(" / ", " ") or Path(words).suffix.lower() in AUDIO_SUFFIXES:
            return []  # a path
        parts = re.sub(r"(?i)(\b(and|und|et|y)\b|[-_\u2010-\u2014+&/])+", " ", words).strip()
        if not parts or parts == words:
            return []
        return self.named(parts) or self._holding(parts)

    def _only(self, given: str, choices: Sequence[_Choice]) -> _Choice:
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
            return QueryError(
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
) -> tuple[int, list[_Choice]]:
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
        _Choice(SeedKind.ARTIST, name, f"artist:{name}", tuple(dict.fromkeys(held)))
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


def _albums(
    words: str, tracks: Sequence[Track], *, whole: bool = True
) -> tuple[int, list[_Choice]]:
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
        choices.append(_Choice(SeedKind.ALBUM, album, seed, tuple(group)))
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


def _most_typical_first(found: Sequence[ResolvedSeed]) -> list[ResolvedSeed]:
    """Return tracks with the one first that is nearest to all of them together."""
    if len(found) < 3:
        return list(found)
    embeddings = np.stack([analysis.embedding for _, analysis in found])
    typical = int(np.argmax(embeddings @ embeddings.mean(axis=0)))
    return [found[typical], *found[:typical], *found[typical + 1 :]]
