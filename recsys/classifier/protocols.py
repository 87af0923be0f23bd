"""How segments are divided into what is learned from, chosen by and tested on.

``random``
    By track, genres in proportion: the same artist may be on both sides.
``by-artist``
    Whole artists, and with them all that repeats a track of theirs: the honest figure (Flexer,
    "A closer look on artist filters in musical genre classification", ISMIR 2007).
``filtered``
    As lists say, such as the fault-filtered ones of GTZAN (Kereliuk, Sturm and Larsen, "Deep
    Learning and Music Adversaries", IEEE Transactions on Multimedia 17(11), 2015).
``by-segment``
    Regardless of the track, which leaks: only for reports that did so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.classifier.datasets import read_split
from recsys.classifier.folds import group_folds, stratified_folds, take, take_groups
from recsys.classifier.labelled import check_genres
from recsys.classifier.splits import track_groups
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recsys.classifier.labelled import SegmentSet
    from recsys.types import IdArray

PROTOCOLS = ("random", "by-artist", "filtered", "by-segment")
"""What ``--protocol`` offers."""

ARTIST_FOLDS = 5
"""Of ``by-artist``, if no other number is asked for."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One division of the segments; no segment is in two parts.

    Attributes
    ----------
    train, valid, test : ndarray of int64
        Numbers of segments, ascending. `valid` may be empty.
    """

    train: IdArray
    valid: IdArray
    test: IdArray


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """All folds of a protocol.

    Attributes
    ----------
    protocol : str
        One of :data:`PROTOCOLS`.
    folds : tuple of Fold
        One, or several of which each track is tested in exactly one.
    leaky : bool
        Segments of one track are on both sides: the figures are too good.
    description : str
        What was done, in words, with counts.
    seed : int
        Of everything random in it.
    """

    protocol: str
    folds: tuple[Fold, ...]
    leaky: bool
    description: str
    seed: int


@dataclass(frozen=True, slots=True)
class FilteredLists:
    """Keys of tracks, as lists name them.

    Attributes
    ----------
    train, valid : frozenset of str
    test : frozenset of str or None
        Without it, what is in `valid` is tested, and validation is a part of `train`.
    """

    train: frozenset[str]
    valid: frozenset[str]
    test: frozenset[str] | None = None

    @classmethod
    def read(cls, train: Path, valid: Path, test: Path | None = None) -> FilteredLists:
        """Read lists of ``genre/track.ext``.

        Raises
        ------
        ModelError
            If a list cannot be read.
        """
        return cls(read_split(train), read_split(valid), read_split(test) if test else None)


@dataclass(frozen=True, slots=True)
class _Request:
    """What the caller asked for."""

    test_share: float
    valid_share: float
    folds: int
    seed: int
    lists: FilteredLists | None
    test_count: int | None


@dataclass(frozen=True, slots=True)
class _Parts:
    """One fold, as masks over tracks (or over segments)."""

    train: BoolArray
    valid: BoolArray
    test: BoolArray


def divide(
    segments: SegmentSet,
    protocol: str,
    *,
    test_share: float = 0.2,
    valid_share: float = 0.0,
    folds: int | None = None,
    seed: int = 0,
    lists: FilteredLists | None = None,
    test_count: int | None = None,
) -> Division:
    """Divide segments into what is learned from, chosen by and tested on.

    Parameters
    ----------
    segments : SegmentSet
        What there is.
    protocol : str
        One of :data:`PROTOCOLS`.
    test_share, valid_share : float
        Of all tracks (of all segments in ``by-segment``). With several folds the test share
        follows from their number; `valid_share` may be 0.
    folds : int, optional
        1 for one division, more for cross-validation (``random`` and ``by-artist``); by default
        5 for ``by-artist`` and 1 else. Fewer are made where a genre has fewer tracks.
    seed : int
        The same seed divides the same segments in the same way.
    lists : FilteredLists, optional
        For ``filtered``.
    test_count : int, optional
        Number of test tracks instead of `test_share`, where that is no more than half of them.

    Returns
    -------
    Division
        Every genre is in the training part of every fold.

    Raises
    ------
    ModelError
        If the protocol is not known, lists are missing or contradict themselves, or a genre has
        too few tracks or artists to be on both sides.
    """
    tracks = segments.tracks
    check_genres({track.key: track.genre for track in tracks})
    if not (0 < test_share < 1 and valid_share >= 0 and test_share + valid_share < 1):
        raise ModelError(
            f"a share of {test_share:g} for testing and of {valid_share:g} for validation "
            "leaves nothing to learn from, or nothing to test",
            "Give shares above 0 that are less than 1 together.",
        )
    if folds is None:
        folds = ARTIST_FOLDS if protocol == "by-artist" else 1
    request = _Request(test_share, valid_share, max(1, folds), seed, lists, test_count)
    if protocol == "by-segment":
        parts = [_hold_out(segments.targets, request)]
        how, track_of = _leaking(segments, parts[0]), np.arange(segments.n_segments)
    elif protocol in _MAKERS:
        parts, how = _MAKERS[protocol](segments, request)
        how, track_of = f"{how}, {_counts(parts)}", segments.track_of
    else:
        raise ModelError(f"unknown protocol {protocol!r}", f"Known are {', '.join(PROTOCOLS)}.")
    made = tuple(_fold(part, track_of) for part in parts)
    return Division(protocol, made, protocol == "by-segment", f"{how}, seed {seed}", seed)


def _fold(parts: _Parts, track_of: IdArray) -> Fold:
    """Let the segments follow what was divided: their tracks, or themselves."""
    train, valid, test = (
        np.flatnonzero(mask[track_of]).astype(np.int64)
        for mask in (parts.train, parts.valid, parts.test)
    )
    return Fold(train, valid, test)


def _random(segments: SegmentSet, request: _Request) -> tuple[list[_Parts], str]:
    labels = segments.track_targets
    if request.folds == 1:
        return [_hold_out(labels, request)], "divided by track, genres in proportion"
    fold_of, how = stratified_folds(labels, request.folds, request.seed)
    rng = np.random.default_rng(request.seed)
    count = round(request.valid_share * len(labels))
    parts = []
    for number in range(fold_of.max() + 1):
        test = fold_of == number
        valid = take(labels, ~test, count, rng)
        parts.append(_Parts(~test & ~valid, valid, test))
    return parts, f"{how} by track, genres in proportion"


def _hold_out(labels: IdArray, request: _Request) -> _Parts:
    """Set aside a part to test and a part to validate on, genres in proportion."""
    rng = np.random.default_rng(request.seed)
    count = round(request.test_share * len(labels))
    if request.test_count is not None and 2 * request.test_count <= len(labels):
        count = request.test_count
    everything = np.ones(len(labels), dtype=bool)
    keep = 2 if request.valid_share else 1
    test = take(labels, everything, count, rng, keep=keep)
    valid = take(labels, ~test, round(request.valid_share * len(labels)), rng)
    return _Parts(~test & ~valid, valid, test)


def _by_artist(segments: SegmentSet, request: _Request) -> tuple[list[_Parts], str]:
    labels, groups = segments.track_targets, segments.track_groups
    counts = [len(np.unique(groups[labels == number])) for number in range(len(segments.labels))]
    _check_both_sides(segments.labels, counts)
    wanted = request.folds if request.folds > 1 else max(2, round(1 / request.test_share))
    fold_of, how = group_folds(labels, groups, wanted, request.seed)
    met = [len(np.unique(fold_of[labels == number])) for number in range(len(segments.labels))]
    _check_both_sides(segments.labels, [min(pair) for pair in zip(met, counts, strict=True)])
    numbers = list(range(fold_of.max() + 1))
    how += _who_plays(segments)
    if request.folds == 1:
        # The fold that tests most genres, then the one whose size is nearest to what was asked.
        size = request.test_share * len(labels)
        numbers = [max(numbers, key=lambda n: _fitness(labels[fold_of == n], size))]
        how = f"one of {how}"
    parts = []
    for number in numbers:
        test = fold_of == number
        share = request.valid_share * len(labels) / int(np.sum(~test))
        valid = take_groups(labels, groups, ~test, share, request.seed)
        parts.append(_Parts(~test & ~valid, valid, test))
    return parts, how


def _fitness(labels: IdArray, size: float) -> tuple[int, float]:
    return len(np.unique(labels)), -abs(len(labels) - size)


def _who_plays(segments: SegmentSet) -> str:
    """Say how much of a division by artist is one, and how much is one by track."""
    groups = segments.track_groups
    named = np.unique(groups[[bool((t.artist or "").strip()) for t in segments.tracks]])
    alone = int(np.sum(~np.isin(groups, named)))
    if not len(named):
        return " by track, and with it what repeats it: no artist is known"
    words = f" by artist ({len(named)} known"
    return f"{words}; {alone} tracks of no known one stand alone)" if alone else f"{words})"


def check_artists(genres: Mapping[str, str], artists: Mapping[str, str | None]) -> None:
    """Raise unless tracks can be divided by artist, as far as that is seen without their sound.

    Parameters
    ----------
    genres : mapping
        Key of a track to its genre.
    artists : mapping
        Key of a track to its artist, None where that is not known.

    Raises
    ------
    ModelError
        With the genres that have too few artists to be on both sides.
    """
    groups = track_groups(list(genres), [artists.get(key) for key in genres])
    of: dict[str, set[int]] = {}
    for genre, group in zip(genres.values(), groups.tolist(), strict=True):
        of.setdefault(genre, set()).add(group)
    _check_both_sides(sorted(of), [len(of[genre]) for genre in sorted(of)])


def _check_both_sides(labels: Sequence[str], counts: Sequence[int]) -> None:
    """Raise where the artists of a genre, by their number, can only be on one side."""
    names = zip(labels, counts, strict=True)
    if poor := [f"{genre} ({count})" for genre, count in names if count < 2]:
        raise ModelError(
            f"too few artists to be on both sides of a division by artist: {', '.join(poor)}",
            "Add tracks by other artists, leave these genres out, or divide by track "
            "(--protocol random).",
        )


def _filtered(segments: SegmentSet, request: _Request) -> tuple[list[_Parts], str]:
    lists = request.lists
    if lists is None:
        raise ModelError(
            "the protocol filtered needs lists of tracks",
            "Name the lists to learn from and to validate on, with one genre/track.ext per line.",
        )
    _check_lists(lists)
    keys = [track.key for track in segments.tracks]
    train, valid = (_named(keys, names) for names in (lists.train, lists.valid))
    how = "divided as the lists say"
    if lists.test is not None:
        test = _named(keys, lists.test)
    else:
        test, labels = valid, segments.track_targets
        share = request.valid_share * int(np.sum(train | test)) / max(1, int(np.sum(train)))
        valid = take_groups(labels, segments.track_groups, train, share, request.seed)
        train = train & ~valid
        how += " (tested: the list to validate on)"
    _check_sides(segments, train, test)
    left_out = int(np.sum(~(train | valid | test)))
    if left_out:
        how += f", {left_out} tracks in no list left out"
    return [_Parts(train, valid, test)], how


_MAKERS = {"random": _random, "by-artist": _by_artist, "filtered": _filtered}


def _named(keys: list[str], names: frozenset[str]) -> BoolArray:
    return np.asarray([key in names for key in keys], dtype=bool)


def _check_lists(lists: FilteredLists) -> None:
    test = lists.test or frozenset()
    pairs = ((lists.train, lists.valid), (lists.train, test), (lists.valid, test))
    both = sorted(set().union(*(one & other for one, other in pairs)))
    if both:
        raise ModelError(
            f"{len(both)} tracks are in more than one list, {both[0]} among them",
            "A track that is learned from cannot be held out as well.",
        )


def _check_sides(segments: SegmentSet, train: BoolArray, test: BoolArray) -> None:
    labels = segments.track_targets
    missing = [name for n, name in enumerate(segments.labels) if not np.any(labels[train] == n)]
    if missing or not np.any(test):
        what = f"no track of {', '.join(missing)} to learn from" if missing else "no track to test"
        raise ModelError(
            f"the lists leave {what}",
            "Check that they name genre/track as the folders do, and leave out the genres that "
            "they do not name.",
        )


def _counts(parts: list[_Parts]) -> str:
    """Say how many tracks are on each side."""
    train, valid, test = (
        _range([int(mask.sum()) for mask in masks])
        for masks in zip(*((part.train, part.valid, part.test) for part in parts), strict=True)
    )
    return f"tracks to learn from {train}, to validate on {valid}, to test {test}"


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def _leaking(segments: SegmentSet, parts: _Parts) -> str:
    """Say how much of a division by segment leaks."""
    tested = np.unique(segments.track_of[parts.test])
    known = int(np.isin(tested, segments.track_of[parts.train]).sum())
    counts = _counts([parts]).replace("tracks", "segments", 1)
    return (
        "LEAKY: divided by segment, regardless of the track: "
        f"of {len(tested)} tested tracks, {known} have segments to learn from; {counts}"
    )
