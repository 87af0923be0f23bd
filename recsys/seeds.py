"""Seeds of a query: a track of the library, any audio file, or words.

A path that exists wins over words. Several matches are listed; none is guessed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import AmbiguousQueryError, AudioError, ModelError, QueryError
from recsys.library import AUDIO_SUFFIXES, absolute, audio_hash, read_tags
from recsys.recommender import OUTSIDE_LIBRARY
from recsys.types import Analysis, ModelInfo, Track

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.types import Catalogue

MAX_LISTED = 20
"""Matches that are listed when words match several tracks."""

ResolvedSeed = tuple[Track, Analysis]


class SeedFinder:
    """Resolves seeds to tracks and their analyses.

    The model is loaded for the first file outside the library only. `is_copy` is for a read-only
    copy of a library, which cannot be analysed again.
    """

    def __init__(
        self,
        store: Catalogue,
        load_classifier: Callable[[], Classifier],
        *,
        is_copy: bool = False,
    ) -> None:
        self._store = store
        self._load_classifier = load_classifier
        self._is_copy = is_copy

    def find(self, seed: str | Path) -> ResolvedSeed:
        """Return track and analysis of a path, or of words of artist, title, album or genre tag.

        A file outside the library has the id :data:`recsys.recommender.OUTSIDE_LIBRARY`.

        Raises
        ------
        AmbiguousQueryError
            Words match more than one track.
        QueryError
            Nothing matches, or the path is a folder.
        AudioError
            A file outside the library cannot be analysed.
        """
        if not str(seed).strip():
            raise QueryError(f"no track was named: {seed!r}", "Give a path or words.")
        path = absolute(seed)
        track = self._store.track_by_path(path)
        # os.path answers False for words that could be no path, where pathlib raises.
        if track is None and os.path.isdir(path):  # noqa: PTH112
            raise QueryError(f"a folder, not a track: {path}", "Give one audio file, or words.")
        if track is None and os.path.exists(path):  # noqa: PTH110
            return self._analyse_file(path)
        if track is None:
            track = _match_words(str(seed), self._store)
        analysis = self._store.analysis(track.id)
        if analysis is None:
            raise QueryError(
                f"{track.path} has not been analysed by the library's present model",
                "Run recsys index on its folder again.",
            )
        return track, analysis

    def _analyse_file(self, path: Path) -> ResolvedSeed:
        """Identify a file outside the library; analyse it unless the library has a copy of it."""
        info = self._store.model()
        if info is None:
            raise QueryError(f"{self._store.path} has no model yet", "Index a folder first.")
        try:
            identity = audio_hash(path)
            copy = next(iter(self._store.tracks_with_hash(identity)), None)
            analysis = self._store.analysis(copy.id) if copy else None
            if copy is not None and analysis is not None:
                duration_s = copy.duration_s
            else:
                analysis, duration_s = self._run_model(path, info)
        except AudioError as error:
            raise AudioError(f"{path}: {error.message}", error.hint) from error
        genre = info.top_genre(analysis.probabilities)
        track = Track(OUTSIDE_LIBRARY, path, read_tags(path), duration_s, identity, genre)
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
        # In a process of its own: a file that crashes its decoder must not end this one.
        result = apply(FileAnalyser(classifier.features, classifier.place), path)
        return analyses_of([result], lambda: classifier)[0], result.duration_s

    def _mismatch_hint(self) -> str:
        if self._is_copy:
            return "Query with a track of the library: only its own model can analyse a new file."
        roots = " ".join(map(str, self._store.roots()))
        return f"Analyse the library again with the new model: recsys index --reanalyse {roots}"


def _match_words(words: str, store: Catalogue) -> Track:
    matches: Sequence[Track] = store.find_tracks(words, limit=MAX_LISTED + 1) if words else ()
    if len(matches) == 1:
        return matches[0]
    if not matches:
        looks_like_path = os.sep in words or Path(words).suffix.lower() in AUDIO_SUFFIXES
        what = (
            "no such file"
            if looks_like_path
            else "no such file, and no artist, title, album or genre tag matches"
        )
        raise QueryError(
            f"{what}: {words!r}",
            "Give the path of an audio file, or words of artist and title in one quoted argument.",
        )
    more = "or more " if len(matches) > MAX_LISTED else ""
    raise AmbiguousQueryError(
        f"{words!r} matches {min(len(matches), MAX_LISTED)} {more}tracks",
        "Add words, all in one quoted argument, or give one of these paths:",
        tuple(f"{track.display_name}: {track.path}" for track in matches[:MAX_LISTED]),
    )
