"""Whose genres a library has: tags or folders as labels, merged, counted, and grouped by artist."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from recsys.errors import ModelError
from recsys.genre_names import MergedGenre, first_genre, merge_spellings, spelling_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from recsys.types import IdArray, Track

Source = Literal["tags", "folders"]

LARGEST_ALBUM_FOLDER = 40
"""A folder of more tracks without artist and album is taken for a collection, not for an album."""


@dataclass(frozen=True, slots=True)
class LabelRules:
    """Which tracks and genres are learned from.

    Attributes
    ----------
    source : str
        ``tags``: the first name in the genre tag. ``folders``: the folder directly below a root.
    min_tracks, min_artists : int
        A genre with fewer is left out.
    most_per_genre : int
        Of a genre with more tracks, so many are drawn at random.
    seed : int
        Of that draw.
    """

    source: Source = "tags"
    min_tracks: int = 8
    min_artists: int = 3
    most_per_genre: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A genre with too little to learn from."""

    genre: str
    tracks: int
    artists: int


@dataclass(frozen=True, slots=True)
class OwnLabels:
    """The tracks that a genre head can learn from, and how they came to be those.

    Attributes
    ----------
    tracks : tuple of Track
        Every sound once.
    targets : ndarray of int64, shape (n,)
        Their genres, as numbers of `labels`.
    labels : tuple of str
        Genres, in the order of the alphabet.
    groups : ndarray of int64, shape (n,)
        Tracks of one artist have one number.
    grouped_by : dict of str to int
        How many tracks are grouped by ``artist``, ``album``, ``folder`` or stand ``alone``.
    merged : tuple of MergedGenre
        The spellings of each genre in `labels`, before any draw; the largest genre first.
    left_out : tuple of LeftOut
        Genres with too few tracks or artists; the largest first.
    unlabelled : int
        Tracks without a genre.
    copies : int
        Tracks that are passed over because another one is the same sound.
    """

    tracks: tuple[Track, ...]
    targets: IdArray
    labels: tuple[str, ...]
    groups: IdArray
    grouped_by: dict[str, int]
    merged: tuple[MergedGenre, ...]
    left_out: tuple[LeftOut, ...]
    unlabelled: int
    copies: int

    @property
    def drawn(self) -> int:
        """Tracks that were left out by the draw from large genres."""
        return sum(genre.count for genre in self.merged) - len(self.tracks)


def gather_labels(
    tracks: Iterable[Track], roots: Sequence[Path], rules: LabelRules = LabelRules()
) -> OwnLabels:
    """Find the genres of a library's tracks and leave out those that cannot be learned.

    Parameters
    ----------
    tracks : iterable of Track
        In a fixed order; of several with the same sound the first counts.
    roots : sequence of Path
        Folders whose tracks take part; genre folders lie directly in them.
    rules : LabelRules

    Returns
    -------
    OwnLabels

    Raises
    ------
    ModelError
        If fewer than two genres are left.
    """
    sounds: dict[str, tuple[Track, str]] = {}
    copies = unlabelled = 0
    for track in tracks:
        name = _genre_name(track, roots, rules.source)
        if name is None:
            unlabelled += 1
        elif track.audio_hash in sounds:
            copies += 1
        else:
            sounds[track.audio_hash] = (track, name)
    names = [name for _, name in sounds.values()]
    merged = merge_spellings(names)
    keys = [spelling_key(name) for name in names]
    labelled = [track for track, _ in sounds.values()]
    groups, kinds = _group(labelled, rules.source)
    learned, left_out = _sort_out(merged, keys, groups, rules)
    _check_enough(learned, left_out, unlabelled, rules)
    numbers = {genre.key: n for n, genre in enumerate(sorted(learned, key=lambda g: g.name))}
    targets = np.asarray([numbers.get(key, -1) for key in keys], dtype=np.int64)
    places = _draw(targets, len(numbers), rules)
    return OwnLabels(
        tracks=tuple(labelled[place] for place in places),
        targets=targets[places],
        labels=tuple(sorted(genre.name for genre in learned)),
        groups=np.unique(groups[places], return_inverse=True)[1].astype(np.int64),
        grouped_by=dict(Counter(kinds[place] for place in places)),
        merged=learned,
        left_out=left_out,
        unlabelled=unlabelled,
        copies=copies,
    )


def _genre_name(track: Track, roots: Sequence[Path], source: Source) -> str | None:
    """Return the genre of a track as it was written; None where nobody wrote one."""
    root = next((root for root in roots if track.path.is_relative_to(root)), None)
    if root is None:
        return None
    if source == "tags":
        return first_genre(track.tags.genre_tag)
    below = track.path.relative_to(root).parts
    return text_of(below[0]) if len(below) > 1 and spelling_key(below[0]) else None


def text_of(name: str) -> str:
    r"""Return the name of a file as text that every file can hold.

    Examples
    --------
    >>> text_of("Caf\udce9")
    'Caf\\udce9'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def _group(tracks: Sequence[Track], source: Source) -> tuple[IdArray, list[str]]:
    """Give tracks of one artist one number, and say what stood for the artist."""
    folders = Counter(track.path.parent for track in tracks if not _named(track))
    named = [_group_of(track, source, folders) for track in tracks]
    numbers: dict[tuple[str, str], int] = {}
    groups = [numbers.setdefault((kind, name.casefold()), len(numbers)) for kind, name in named]
    return np.asarray(groups, dtype=np.int64), [kind for kind, _ in named]


def _group_of(track: Track, source: Source, folders: Counter[Path]) -> tuple[str, str]:
    if track.artist and track.artist.strip():
        return "artist", " ".join(track.artist.split())
    if track.tags.album and track.tags.album.strip():
        return "album", " ".join(track.tags.album.split())
    folder = track.path.parent
    # The folder of a genre is no album, and would keep the whole genre on one side.
    if source == "tags" and 1 < folders[folder] <= LARGEST_ALBUM_FOLDER:
        return "folder", str(folder)
    return "alone", str(track.path)


def _named(track: Track) -> bool:
    return bool((track.artist or "").strip() or (track.tags.album or "").strip())


def _sort_out(
    merged: Sequence[MergedGenre], keys: Sequence[str], groups: IdArray, rules: LabelRules
) -> tuple[tuple[MergedGenre, ...], tuple[LeftOut, ...]]:
    """Part the genres that can be learned from those with too few tracks or artists."""
    artists: dict[str, set[int]] = {}
    for key, group in zip(keys, groups.tolist(), strict=True):
        artists.setdefault(key, set()).add(group)
    learned, left_out = [], []
    for genre in merged:
        count = len(artists[genre.key])
        if genre.count < rules.min_tracks or count < rules.min_artists:
            left_out.append(LeftOut(genre.name, genre.count, count))
        else:
            learned.append(genre)
    return tuple(learned), tuple(left_out)


def _check_enough(
    learned: Sequence[MergedGenre],
    left_out: Sequence[LeftOut],
    unlabelled: int,
    rules: LabelRules,
) -> None:
    if len(learned) >= 2:
        return
    if not learned and not left_out:
        where = "genre tag" if rules.source == "tags" else "genre folder"
        raise ModelError(
            f"not one of the library's {unlabelled} tracks has a {where}",
            "Genres come from tags (--from-tags), or from the folders directly below the indexed "
            "ones (--from-folders, which also takes the folder of the genre folders).",
        )
    found = [f"{genre.name} ({genre.count} tracks)" for genre in learned]
    found += [f"{g.genre} ({g.tracks} tracks, {g.artists} artists)" for g in left_out[:5]]
    raise ModelError(
        f"{len(learned)} genres can be learned, and two are the least: {', '.join(found)}"
        + (f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""),
        f"A genre needs {rules.min_tracks} tracks by {rules.min_artists} artists;"
        " see --min-tracks and --min-artists.",
    )


def _draw(targets: IdArray, n_genres: int, rules: LabelRules) -> list[int]:
    """Return the places of the tracks to learn from, in order, at most so many of a genre."""
    rng = np.random.default_rng(rules.seed)
    chosen: list[int] = []
    for genre in range(n_genres):
        members = np.flatnonzero(targets == genre)
        if len(members) > rules.most_per_genre:
            members = rng.choice(members, rules.most_per_genre, replace=False)
        chosen += members.tolist()
    return sorted(chosen)
