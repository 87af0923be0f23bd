"""From folders, archives and lists to what training takes: what is learned, what held out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.classifier.datasets import (
    ValidTrack,
    artist_of,
    find_tracks,
    load_pieces,
    load_windows,
    merge_views,
    read_artists,
    read_mel_archive,
    read_split,
    restore,
)
from recsys.classifier.splits import split_by_artist
from recsys.errors import ModelError, RecsysError
from recsys.features import MEL, MelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from recsys.classifier.datasets import Example, LabelledFile, Pieces

View = tuple[str, str, "Pieces"]


@dataclass(frozen=True, slots=True)
class DataSources:
    """Where labelled music comes from.

    Attributes
    ----------
    directories : tuple of Path
        Folders of genre folders.
    mel : Path or None
        Archive of ready-made spectrograms, see
        :func:`recsys.classifier.datasets.read_mel_archive`.
    train_split, valid_split : Path or None
        Lists of tracks. Without either, whole artists are set aside at random; with one of
        them alone, the tracks it names are on one side and all others on the other.
    artists : Path or None
        CSV with artists; without it they are read from the tags.
    seed : int
        Of the random split.
    """

    directories: tuple[Path, ...]
    mel: Path | None = None
    train_split: Path | None = None
    valid_split: Path | None = None
    artists: Path | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Everything that training looks at.

    Attributes
    ----------
    labels : tuple of str
        Genres, sorted.
    examples : list of Example
        To learn from.
    valid : list of ValidTrack
        Held out.
    valid_from_audio : frozenset of str
        Keys of held-out tracks that come from files, not from an archive.
    failed : tuple of (Path, str)
        Files that could not be used, and why.
    missing : int
        Tracks that the lists name and that are nowhere.
    split : str
        How the tracks were divided, in words.
    """

    labels: tuple[str, ...]
    examples: list[Example]
    valid: list[ValidTrack]
    valid_from_audio: frozenset[str]
    failed: tuple[tuple[Path, str], ...]
    missing: int
    split: str


def prepare(
    sources: DataSources,
    *,
    workers: int = 2,
    settings: MelSettings = MEL,
    on_file: Callable[[int], None] | None = None,
) -> TrainingData:
    """Find, divide and decode labelled music.

    Parameters
    ----------
    sources : DataSources
        Where it is.
    workers : int
        Processes that decode.
    settings : MelSettings
        What a window looks like.
    on_file : callable, optional
        Called after each file with the number of files that there are to decode.

    Returns
    -------
    TrainingData

    Raises
    ------
    ModelError
        If there is too little to learn from: fewer than two genres, or a genre with fewer than
        two tracks.
    """
    files = [file for directory in sources.directories for file in find_tracks(directory)]
    archive = read_mel_archive(sources.mel, settings) if sources.mel else []
    genres = {file.key: file.genre for file in files} | {key: genre for key, genre, _ in archive}
    _check_genres(genres)
    train_keys, valid_keys, split = _divide(sources, files, genres)
    failed: list[tuple[Path, str]] = []
    report = _Reporter(on_file, sum(file.key in train_keys | valid_keys for file in files))

    views: list[View] = []
    for file, pieces in load_pieces([f for f in files if f.key in train_keys], workers, settings):
        if isinstance(pieces, RecsysError):
            failed.append((file.path, pieces.message))
        else:
            views.append((file.key, file.genre, pieces))
        report()
    views += [view for view in archive if view[0] in train_keys]
    examples = merge_views(views)
    labels = tuple(sorted({example.genre for example in examples}))
    _check_genres({example.key: example.genre for example in examples}, minimum=1)

    held_out = [f for f in files if f.key in valid_keys and f.genre in labels]
    valid = _longest_views(held_out, failed, report, workers, settings)
    from_audio = frozenset(valid)
    for key, genre, picture in archive:
        if key in valid_keys and key not in valid and genre in labels:
            valid[key] = ValidTrack(key, genre, restore(picture))
    if not valid:
        raise ModelError(
            "no track could be set aside for validation",
            "Give more tracks by different artists, or name some with --valid-split.",
        )
    return TrainingData(
        labels=labels,
        examples=examples,
        valid=[valid[key] for key in sorted(valid)],
        valid_from_audio=from_audio,
        failed=tuple(failed),
        missing=len((train_keys | valid_keys) - set(genres)),
        split=split,
    )


class _Reporter:
    """Calls back with the number of files, if anybody wants to know."""

    def __init__(self, on_file: Callable[[int], None] | None, total: int) -> None:
        self._on_file = on_file
        self._total = total

    def __call__(self) -> None:
        if self._on_file is not None:
            self._on_file(self._total)


def _check_genres(genres: Mapping[str, str], minimum: int = 2) -> None:
    """Raise unless there are two genres with enough tracks each."""
    counts = Counter(genres.values())
    if len(counts) < 2:
        found = ", ".join(counts) or "none"
        raise ModelError(
            f"at least two genres are needed, found: {found}",
            "Put the tracks of each genre into a folder of its own.",
        )
    poor = sorted(genre for genre, count in counts.items() if count < minimum)
    if poor:
        raise ModelError(
            f"too few tracks to learn {', '.join(poor)} from: at least {minimum} are needed",
            "Add tracks of these genres, or leave their folders out.",
        )


def _divide(
    sources: DataSources, files: Sequence[LabelledFile], genres: Mapping[str, str]
) -> tuple[frozenset[str], frozenset[str], str]:
    """Return the keys to learn from, those held out, and how they were chosen."""
    everything = frozenset(genres)
    if sources.train_split and sources.valid_split:
        train, valid = read_split(sources.train_split), read_split(sources.valid_split)
        both = sorted(train & valid)
        if both:
            raise ModelError(
                f"{len(both)} tracks are in both lists, {both[0]} among them",
                "A track that is learned from cannot be held out as well.",
            )
        how = f"lists {sources.train_split.name} and {sources.valid_split.name}"
    elif sources.valid_split:
        valid = read_split(sources.valid_split)
        train = everything - valid
        how = f"held out: {sources.valid_split.name}; learned from: everything else"
    else:
        eligible = read_split(sources.train_split) if sources.train_split else everything
        train, valid = _divide_by_artist(sources, files, genres, eligible & everything)
        train |= eligible - everything
        how = f"a fifth held out, by artist, seed {sources.seed}"
        if sources.train_split:
            how += f", from {sources.train_split.name}"
    return train, valid, how


def _divide_by_artist(
    sources: DataSources,
    files: Sequence[LabelledFile],
    genres: Mapping[str, str],
    eligible: frozenset[str],
) -> tuple[frozenset[str], frozenset[str]]:
    keys = sorted(eligible)
    if not keys:
        raise ModelError(
            "none of the tracks in the list are in the folders",
            "Check that the list names genre/track as the folders do.",
        )
    if sources.artists:
        listed = read_artists(sources.artists)
        artists = {key: listed.get(key.split("/", 1)[1]) for key in keys}
    else:
        artists = {file.key: artist_of(file) for file in files if file.key in eligible}
    chosen = split_by_artist(keys, [genres[key] for key in keys], artists, seed=sources.seed)
    return frozenset(chosen[0]), frozenset(chosen[1])


def _longest_views(
    files: Sequence[LabelledFile],
    failed: list[tuple[Path, str]],
    report: _Reporter,
    workers: int,
    settings: MelSettings,
) -> dict[str, ValidTrack]:
    """Decode held-out files; of several files of one track the longest counts."""
    found: dict[str, ValidTrack] = {}
    loaded = load_windows([file.path for file in files], workers, settings)
    for file, (path, windows) in zip(files, loaded, strict=True):
        report()
        if isinstance(windows, RecsysError):
            failed.append((path, windows.message))
            continue
        earlier = found.get(file.key)
        if earlier is None or len(windows) > len(earlier.windows):
            found[file.key] = ValidTrack(file.key, file.genre, windows)
    return found
