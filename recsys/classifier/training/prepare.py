"""From folders, archives and lists to what training takes: what is learned, what held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from recsys.classifier.log_mel import MEL, LogMel
from recsys.classifier.training.datasets import (
    ValidTrack,
    artist_of,
    check_genres,
    find_tracks,
    load_pieces,
    load_windows,
    merge_views,
    read_artists,
    read_mel_archive,
    read_split,
    restore,
    split_by_artist,
)
from recsys.errors import ModelError, RecsysError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from recsys.classifier.training.datasets import Example, LabelledFile, Pieces

View = tuple[str, str, "Pieces"]
Sound = TypeVar("Sound")

MIN_TRACKS = 2
"""Of a genre: one to learn from and one to validate on."""


@dataclass(frozen=True, slots=True)
class DataSources:
    """Where labelled music comes from.

    Attributes
    ----------
    directories : tuple of Path
        Folders of genre folders.
    mel : Path or None
        Archive of ready-made spectrograms, see
        :func:`recsys.classifier.training.datasets.read_mel_archive`.
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
    settings: LogMel = MEL,
    on_file: Callable[[int], None] | None = None,
) -> TrainingData:
    """Find, divide and decode labelled music.

    Parameters
    ----------
    sources : DataSources
        Where it is.
    workers : int
        Processes that decode.
    settings : LogMel
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
    check_genres(genres, MIN_TRACKS)
    train_keys, valid_keys, split = _divide(sources, files, genres)
    wanted = sum(file.key in train_keys | valid_keys for file in files)
    decoder = _Decoder(workers, settings, on_file, wanted)

    views = decoder.views([file for file in files if file.key in train_keys])
    examples = merge_views([*views, *(view for view in archive if view[0] in train_keys)])
    labels = tuple(sorted({example.genre for example in examples}))
    check_genres({example.key: example.genre for example in examples}, 1)

    known = valid_keys & {key for key, genre in genres.items() if genre in labels}
    from_files = decoder.longest([file for file in files if file.key in known])
    from_archive = {
        key: ValidTrack(key, genre, restore(picture))
        for key, genre, picture in archive
        # An excerpt too short for more than one window says less than the archive's picture.
        if key in known and (key not in from_files or len(from_files[key].windows) == 1)
    }
    valid = from_files | from_archive
    if not valid:
        raise ModelError(
            "no track could be set aside for validation",
            "Give more tracks by different artists, or name some with --valid-split.",
        )
    return TrainingData(
        labels=labels,
        examples=examples,
        valid=[valid[key] for key in sorted(valid)],
        valid_from_audio=frozenset(from_files.keys() - from_archive.keys()),
        failed=tuple(decoder.failed),
        missing=len((train_keys | valid_keys) - set(genres)),
        split=split,
    )


class _Decoder:
    """Decodes files, notes those that fail, and reports every one."""

    def __init__(
        self,
        workers: int,
        settings: LogMel,
        on_file: Callable[[int], None] | None,
        total: int,
    ) -> None:
        self.failed: list[tuple[Path, str]] = []
        self._workers = workers
        self._settings = settings
        self._on_file = on_file
        self._total = total

    def views(self, files: Sequence[LabelledFile]) -> list[View]:
        """Return what training draws its windows from."""
        loaded = load_pieces(files, self._workers, self._settings)
        return [(file.key, file.genre, pieces) for file, pieces in self._heard(loaded)]

    def longest(self, files: Sequence[LabelledFile]) -> dict[str, ValidTrack]:
        """Return the windows of each track; of several files of one track the longest counts."""
        paths = [file.path for file in files]
        loaded = load_windows(paths, self._workers, self._settings)
        outcomes = (windows for _, windows in loaded)
        found: dict[str, ValidTrack] = {}
        for file, windows in self._heard(zip(files, outcomes, strict=True)):
            earlier = found.get(file.key)
            if earlier is None or len(windows) > len(earlier.windows):
                found[file.key] = ValidTrack(file.key, file.genre, windows)
        return found

    def _heard(
        self, loaded: Iterable[tuple[LabelledFile, Sound | RecsysError]]
    ) -> Iterator[tuple[LabelledFile, Sound]]:
        """Pass on what could be decoded."""
        for file, outcome in loaded:
            if self._on_file is not None:
                self._on_file(self._total)
            if isinstance(outcome, RecsysError):
                self.failed.append((file.path, outcome.message))
            else:
                yield file, outcome


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
