"""The music that a recipe is trained on: found, decoded, and told about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.datasets import artist_of, find_tracks, load_windows, read_artists
from recsys.classifier.gtzan import describe as describe_gtzan
from recsys.classifier.gtzan import known_artists
from recsys.classifier.segments import (
    SegmentSet,
    describe_balance,
    load_segments,
    read_public_table,
)
from recsys.errors import MissingExtraError, ModelError, RecsysError
from recsys.extras import require
from recsys.features.picture import Picture
from recsys.features.public_table import COLUMNS, PublicTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from recsys.classifier.datasets import LabelledFile
    from recsys.classifier.recipes.recipe import Recipe
    from recsys.features import Features

JOINS = "+"
"""Between the genres in the name of a folder whose songs have several."""


@dataclass(frozen=True, slots=True)
class MixedSongs:
    """Songs of several genres each, to judge models that let several hold.

    Attributes
    ----------
    names : tuple of str
        Of the songs.
    inputs : tuple of ndarray, each (n_segments, *shape)
    genres : tuple of frozenset of str
        Those of each song.
    """

    names: tuple[str, ...]
    inputs: tuple[npt.NDArray[np.floating], ...]
    genres: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class RecipeData:
    """What a recipe learns from and is measured on.

    Attributes
    ----------
    segments : SegmentSet
    skipped : tuple of (Path, str)
        Files that were left out, with the reason.
    notes : tuple of str
        What a reader of the figures should know of the data.
    mixed : MixedSongs or None
        Songs of several genres, if there are any and the recipe can use them.
    """

    segments: SegmentSet
    skipped: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...]
    mixed: MixedSongs | None = None


def find_music(directories: Sequence[Path]) -> list[LabelledFile]:
    """List the audio files in folders of genre folders; empty genre folders are passed over.

    Parameters
    ----------
    directories : sequence of Path

    Returns
    -------
    list of LabelledFile

    Raises
    ------
    ModelError
        If a folder is missing or holds no genre folder with audio.
    """
    return [file for one in directories for file in find_tracks(one, allow_empty=True)]


def genres_of(recipe: Recipe, files: Sequence[LabelledFile]) -> tuple[str, ...]:
    """Return the genres that a recipe will use, sorted."""
    found = {file.genre for file in files if JOINS not in file.genre}
    return tuple(sorted(found & set(recipe.genres) if recipe.genres else found))


def load_music(
    recipe: Recipe,
    files: Sequence[LabelledFile],
    *,
    artists: Path | None = None,
    workers: int = 2,
    on_file: Callable[[int], None] | None = None,
) -> RecipeData:
    """Decode what a recipe needs.

    Parameters
    ----------
    recipe : Recipe
    files : sequence of LabelledFile
        See :func:`find_music`.
    artists : Path, optional
        CSV with the columns track and artist; without it they are read from the tags. Of GTZAN
        those are known that neither names.
    workers : int
        Processes that decode.
    on_file : callable, optional
        Called after each file with the number of files that there are to decode.

    Returns
    -------
    RecipeData

    Raises
    ------
    ModelError
        If there is too little to learn from.
    MissingExtraError
        If a library that makes the features is not installed.
    """
    if isinstance(recipe.features, Picture):
        # Found now and not by every worker: the music is in order.
        require("PIL.Image", "papers")
    genres = genres_of(recipe, files)
    loaded = load_segments(
        files,
        recipe.features,
        artists=read_artists(artists) if artists else None,
        workers=workers,
        on_file=on_file,
        genres=genres,
    )
    mixed: MixedSongs | None = None
    failed: tuple[tuple[Path, str], ...] = ()
    if recipe.training is not None and recipe.training.loss == "sigmoid":
        mixed, failed = _load_mixed(files, recipe.features, genres, workers)
    segments, listed = _with_known_artists(loaded.segments)
    notes = (*_notes(recipe, segments, files), *listed)
    return RecipeData(segments, (*loaded.skipped, *failed), notes, mixed)


def load_table(recipe: Recipe, path: Path, artists: Path | None = None) -> RecipeData:
    """Read what a recipe needs from the public feature table instead of from audio.

    Parameters
    ----------
    recipe : Recipe
        Its features must be those of the table.
    path : Path
        CSV.
    artists : Path, optional
        CSV with the columns track and artist. Of GTZAN those are known that it does not name.

    Returns
    -------
    RecipeData

    Raises
    ------
    ModelError
        If the recipe looks at something else, or the table cannot be used.
    """
    if not isinstance(recipe.features, PublicTable):
        raise ModelError(
            f"the recipe {recipe.name} does not look at the columns of the public table",
            "Give it audio with --data.",
        )
    listed = read_artists(artists) if artists else None
    segments = _only(read_public_table(path, COLUMNS, artists=listed), recipe.genres)
    segments, known = _with_known_artists(segments)
    return RecipeData(segments, (), (*_notes(recipe, segments, ()), *known))


def artists_before_decoding(
    files: Sequence[LabelledFile], artists: Path | None = None
) -> dict[str, str | None]:
    """Return who plays on each track, as :func:`load_music` will find, without decoding.

    Parameters
    ----------
    files : sequence of LabelledFile
    artists : Path, optional
        CSV with the columns track and artist; without it the tags are read.

    Returns
    -------
    dict
        Key of every track to its artist, None where that is not known.

    Raises
    ------
    ModelError
        If the table cannot be read.
    """
    listed = read_artists(artists) if artists else None
    known = known_artists([file.key for file in files])
    found: dict[str, str | None] = {}
    for file in files:
        found[file.key] = found.get(file.key) or _artist(file, listed) or known.get(file.key)
    return found


def _artist(file: LabelledFile, listed: Mapping[str, str] | None) -> str | None:
    if listed is None:
        return artist_of(file)
    return listed.get(file.key) or listed.get(file.name)


def _with_known_artists(segments: SegmentSet) -> tuple[SegmentSet, tuple[str, ...]]:
    """Name the artists of GTZAN that neither a table nor tags name, and say of how many."""
    known = known_artists([track.key for track in segments.tracks])
    tracks = tuple(
        track if track.artist else replace(track, artist=known.get(track.key))
        for track in segments.tracks
    )
    count = sum(new.artist != old.artist for new, old in zip(tracks, segments.tracks, strict=True))
    if not count:
        return segments, ()
    words = f"the artists of {count} tracks are from the index of GTZAN that comes with recsys"
    return replace(segments, tracks=tracks), (words,)


def _only(segments: SegmentSet, genres: Sequence[str]) -> SegmentSet:
    """Leave out the genres that a recipe does not use, if it names those that it does."""
    if not genres:
        return segments
    kept = np.flatnonzero([track.genre in genres for track in segments.tracks])
    labels = tuple(label for label in segments.labels if label in genres)
    return replace(segments.subset(kept.astype(np.int64)), labels=labels)


def _notes(recipe: Recipe, segments: SegmentSet, files: Sequence[LabelledFile]) -> tuple[str, ...]:
    """Say what is uneven, missing or known to be wrong."""
    notes = [describe_balance(segments.tracks, wanted=recipe.genres)]
    unused = Counter(file.genre for file in files if file.genre not in segments.labels)
    if unused:
        words = ", ".join(f"{genre} ({count})" for genre, count in sorted(unused.items()))
        notes.append(f"not among the genres of this recipe: {words}")
    unknown = sum(track.artist is None for track in segments.tracks)
    if unknown:
        notes.append(f"{unknown} of {len(segments.tracks)} tracks have no known artist")
    keys = {track.key for track in segments.tracks} | {file.key for file in files}
    return (*notes, *describe_gtzan(sorted(keys)))


def _load_mixed(
    files: Sequence[LabelledFile], features: Features, labels: Sequence[str], workers: int
) -> tuple[MixedSongs | None, tuple[tuple[Path, str], ...]]:
    """Decode the songs in folders that name several known genres."""
    songs = [
        file
        for file in files
        if JOINS in file.genre and set(file.genre.split(JOINS)) <= set(labels)
    ]
    names, inputs, genres, failed = [], [], [], []
    loaded = load_windows([file.path for file in songs], workers, features)
    for file, (path, windows) in zip(songs, loaded, strict=True):
        if isinstance(windows, MissingExtraError):
            raise windows
        if isinstance(windows, RecsysError):
            failed.append((path, windows.message))
        else:
            names.append(file.key)
            inputs.append(windows)
            genres.append(frozenset(file.genre.split(JOINS)))
    mixed = MixedSongs(tuple(names), tuple(inputs), tuple(genres)) if names else None
    return mixed, tuple(failed)
