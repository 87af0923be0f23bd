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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import numpy as np

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
from recsys.recommender import OUTSIDE_LIBRARY, make_query
from recsys.seed_words import Choice, WordReader
from recsys.types import Analysis, Kind, ModelInfo, Reading, SeedKind, SeedRole, Track

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.recommender import Query
    from recsys.recommender.presence import Presence
    from recsys.types import Catalogue

_BLEND = re.compile(r"blend:\s*(.+)", re.IGNORECASE | re.DOTALL)
_FILE_ADDRESS = re.compile(r"file:(?://(?:localhost)?(?=/))?(/.*)", re.IGNORECASE | re.DOTALL)

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

    def _known_words(self, seed: str | Path, path: Path) -> Choice | None:
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

    def _named(self, given: str, choice: Choice) -> FoundSeed:
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


def _most_typical_first(found: Sequence[ResolvedSeed]) -> list[ResolvedSeed]:
    """Return tracks with the one first that is nearest to all of them together."""
    if len(found) < 3:
        return list(found)
    embeddings = np.stack([analysis.embedding for _, analysis in found])
    typical = int(np.argmax(embeddings @ embeddings.mean(axis=0)))
    return [found[typical], *found[:typical], *found[typical + 1 :]]
