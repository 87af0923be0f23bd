"""What a listener asks about: a track of the library, any audio file, or words.

A path that exists wins over words; several matches are listed, not guessed at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import AmbiguousQueryError, QueryError
from recsys.library import AUDIO_SUFFIXES, absolute
from recsys.types import Analysis, Track

if TYPE_CHECKING:
    from recsys.store import Store

MAX_LISTED = 20
"""Matches that are listed when words match several tracks."""

ResolvedSeed = tuple[Track, Analysis]


def resolve_seed(
    text: str | Path, store: Store, analyse: Callable[[Path], ResolvedSeed]
) -> ResolvedSeed:
    """Find out what is meant and how it sounds.

    Parameters
    ----------
    text : str or Path
        Path of a file, in the library or not, or words that match artist or title.
    store : Store
        The library.
    analyse : callable
        Analyses a file that is not in the library, with the library's model.

    Returns
    -------
    (Track, Analysis)
        The track's id is :data:`recsys.recommender.OUTSIDE_LIBRARY` for a file outside it.

    Raises
    ------
    AmbiguousQueryError
        If words match more than one track.
    QueryError
        If nothing matches, or the path is a folder.
    AudioError
        If a file outside the library cannot be analysed.
    """
    path = absolute(text)
    track = store.track_by_path(path)
    if track is None and path.is_dir():
        raise QueryError(f"a folder, not a track: {path}", "Give one audio file, or words.")
    if track is None and path.exists():
        return analyse(path)
    if track is None:
        track = _match_words(str(text), store)
    analysis = store.analysis(track.id)
    if analysis is None:
        raise QueryError(
            f"{track.path} has not been analysed by the library's present model",
            "Run recsys index on its folder again.",
        )
    return track, analysis


def _match_words(words: str, store: Store) -> Track:
    matches: Sequence[Track] = store.find_tracks(words, limit=MAX_LISTED + 1) if words else ()
    if len(matches) == 1:
        return matches[0]
    if not matches:
        meant_path = os.sep in words or Path(words).suffix.lower() in AUDIO_SUFFIXES
        what = "no such file" if meant_path else "no such file, and no artist or title matches"
        raise QueryError(
            f"{what}: {words!r}",
            "Give the path of an audio file, or words of artist and title in one quoted argument.",
        )
    more = "or more " if len(matches) > MAX_LISTED else ""
    raise AmbiguousQueryError(
        f"{words!r} matches {min(len(matches), MAX_LISTED)} {more}tracks",
        "Add words, or give one of these paths:",
        tuple(f"{track.display_name}: {track.path}" for track in matches[:MAX_LISTED]),
    )
