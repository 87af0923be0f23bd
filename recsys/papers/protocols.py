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

from recsys.classifier.training.datasets import (
    check_genres,
    read_split,
    split_by_artist,
    track_groups,
)
from recsys.errors import ModelError
from recsys.papers.data import artists_before_decoding, genres_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recsys.classifier.training.datasets import LabelledFile, SegmentSet
    from recsys.papers.recipe import Recipe
    from recsys.types import IdArray

# Choosing tracks, or whole groups of tracks, so that every genre keeps something to learn from.


BoolArray = npt.NDArray[np.bool_]


def take(
    labels: IdArray, among: BoolArray, count: int, rng: np.random.Generator, keep: int = 1
) -> BoolArray:
    """Choose tracks at random, genres in proportion and each at least once.

    Exactly `count` are chosen where the genres allow it, which scikit-learn's stratified
    shuffling does not promise for genres of few tracks.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Genres.
    among : ndarray of bool, shape (n,)
        What may be chosen.
    count : int
        How many; none at all if 0.
    rng : Generator
    keep : int
        Of every genre, how many are left at least.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    chosen = np.zeros(len(labels), dtype=bool)
    if count <= 0:
        return chosen
    places = np.full(len(labels), np.inf)
    for label in np.unique(labels[among]):
        members = rng.permutation(np.flatnonzero(among & (labels == label)))
        # Where a track stands in its genre, from 0 to 1: genres are cut at the same place.
        places[members] = (np.arange(len(members)) + rng.random()) / len(members)
        places[members[0]] = -1.0
        places[members[max(0, len(members) - keep) :]] = np.inf
    order = np.argsort(places, kind="stable")
    at_least = int(np.sum(places < 0))
    order = order[: min(max(count, at_least), int(np.sum(np.isfinite(places))))]
    chosen[order] = True
    return chosen


def take_groups(
    labels: IdArray, groups: IdArray, among: BoolArray, share: float, seed: int
) -> BoolArray:
    """Choose whole groups at random, genres in proportion; every genre keeps some.

    Parameters
    ----------
    labels, groups : ndarray of int64, shape (n,)
        Genre and group of each track.
    among : ndarray of bool, shape (n,)
        What may be chosen.
    share : float
        About how much of `among` to choose, up to a half; nothing if 0.
    seed : int

    Returns
    -------
    ndarray of bool, shape (n,)
        Nothing where the groups are too few.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    places = np.flatnonzero(among)
    if share <= 0 or len(places) < 2:
        return chosen
    names = [str(place) for place in places]
    _, held_out = split_by_artist(
        names,
        [str(label) for label in labels[places]],
        {name: str(group) for name, group in zip(names, groups[places], strict=True)},
        share=min(0.5, share),
        seed=seed,
    )
    chosen[[int(name) for name in held_out]] = True
    return chosen


def stratified_folds(labels: IdArray, folds: int, seed: int) -> tuple[IdArray, str]:
    """Choose the fold in which each track is tested, genres in proportion.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Genres.
    folds : int
        Fewer are made where a genre has fewer tracks.
    seed : int

    Returns
    -------
    fold_of : ndarray of int64, shape (n,)
    description : str
    """
    from sklearn.model_selection import StratifiedKFold

    made = _affordable(labels, folds)
    fold_of = np.zeros(len(labels), dtype=np.int64)
    cutter = StratifiedKFold(n_splits=made, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(cutter.split(labels, labels)):
        fold_of[test] = number
    return fold_of, _in_words(made, folds)


def group_folds(labels: IdArray, groups: IdArray, folds: int, seed: int) -> tuple[IdArray, str]:
    """Choose the fold in which each track is tested, by whole groups, genres in proportion.

    Parameters
    ----------
    labels, groups : ndarray of int64, shape (n,)
        Genre and group of each track; every genre has two groups or more.
    folds : int
        Fewer are made where a genre has fewer tracks.
    seed : int

    Returns
    -------
    fold_of : ndarray of int64, shape (n,)
        A genre is in one fold alone only where shared groups leave no other way.
    description : str
    """
    from sklearn.model_selection import StratifiedGroupKFold

    made = _affordable(labels, min(folds, len(np.unique(groups))))
    fold_of = np.zeros(len(labels), dtype=np.int64)
    cutter = StratifiedGroupKFold(n_splits=made, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(cutter.split(labels, labels, groups)):
        fold_of[test] = number
    _spread(labels, groups, fold_of, made)
    kept, fold_of = np.unique(fold_of, return_inverse=True)
    return fold_of.astype(np.int64), _in_words(len(kept), folds)


def _affordable(labels: IdArray, folds: int) -> int:
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    return max(2, min(folds, rarest))


def _in_words(made: int, asked: int) -> str:
    if made == asked:
        return f"{made} folds"
    return f"{made} folds (not {asked}: a genre has too few tracks or artists)"


def _spread(labels: IdArray, groups: IdArray, fold_of: IdArray, folds: int) -> None:
    """Move groups until no genre is tested in one fold alone, for then none is learned from."""
    for label in np.unique(labels).repeat(2):
        members = labels == label
        if len(np.unique(fold_of[members])) > 1:
            continue
        sizes = {group: int(np.sum(groups == group)) for group in np.unique(groups[members])}
        smallest = min(sizes, key=lambda group: sizes[group])
        counts = np.bincount(fold_of, minlength=folds)
        counts[fold_of[members][0]] = len(labels)
        fold_of[groups == smallest] = int(np.argmin(counts))


# ----------------------------------------------------------------------


PROTOCOLS = ("random", "by-artist", "filtered", "by-segment")
"""What ``--protocol`` offers."""

ARTIST_FOLDS = 5
"""Of ``by-artist``, if no other number is asked for."""


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


# Dividing the data of a recipe, as its report did or honestly.


VALID_SHARE = 0.15
"""Of the tracks, to choose and calibrate by, where the report gives no share."""

TEST_SHARE = 0.2
"""Of the tracks, where data is divided once and not into folds."""


def check_protocol(
    recipe: Recipe,
    files: Sequence[LabelledFile],
    protocol: str,
    lists: FilteredLists | None = None,
    artists: Path | None = None,
) -> None:
    """Raise where it can be seen before decoding that data cannot be divided as asked.

    Parameters
    ----------
    recipe : Recipe
    files : sequence of LabelledFile
        What there is.
    protocol : str
        As in :func:`divide_for`.
    lists : FilteredLists, optional
        For ``filtered``.
    artists : Path, optional
        CSV with the columns track and artist; without it tags are read, for ``by-artist``.

    Raises
    ------
    ModelError
        If segments are to be mixed though the report did not, lists leave nothing to learn from
        or to hold out, or a genre has too few artists to be on both sides.
    """
    if protocol == "by-segment" and recipe.protocol.split != "by-segment":
        raise ModelError(
            f"the report of {recipe.name} did not mix the segments of a track",
            "by-segment is only for recipes whose report did; use random or by-artist.",
        )
    genres = genres_of(recipe, files)
    keys = {file.key: file.genre for file in files if file.genre in genres}
    if protocol == "by-artist":
        used = [file for file in files if file.genre in genres]
        check_artists(keys, artists_before_decoding(used, artists))
    if lists is not None:
        _check_lists_protocol(lists, keys, genres)


def _check_lists_protocol(
    lists: FilteredLists, keys: Mapping[str, str], genres: Sequence[str]
) -> None:
    """Raise where lists leave nothing to learn from or to hold out."""
    for names, purpose in ((lists.train, "learn from"), (lists.valid, "hold out")):
        if not names & keys.keys():
            raise ModelError(
                f"none of the {len(names)} listed tracks to {purpose} is in the folders",
                "Check that the list names GENRE/TRACK as the folders do.",
            )
    learned = {keys[name] for name in lists.train & keys.keys()}
    if missing := sorted(set(genres) - learned):
        raise ModelError(
            f"the list names no track of {', '.join(missing)} to learn from",
            "Add some to the list, or leave the folders of these genres out.",
        )


def divide_for(
    recipe: Recipe,
    segments: SegmentSet,
    protocol: str,
    *,
    folds: int = 1,
    seed: int = 0,
    lists: FilteredLists | None = None,
) -> Division:
    """Divide honestly, with validation to choose by.

    Parameters
    ----------
    recipe : Recipe
        Its own shares are used where tracks are divided at random, but not its number of test
        tracks, which is :func:`divide_as_report`'s.
    segments : SegmentSet
    protocol : str
        ``random``, ``by-artist``, ``filtered`` or ``by-segment``.
    folds : int
        1 divides once; more test every track once.
    seed : int
    lists : FilteredLists, optional
        For ``filtered``.

    Returns
    -------
    Division

    Raises
    ------
    ModelError
        If segments are to be mixed though the report did not, or the data cannot be divided.
    """
    check_protocol(recipe, (), protocol)
    own = recipe.protocol
    like_the_report = protocol in ("random", "by-segment")
    return divide(
        segments,
        protocol,
        test_share=own.test if like_the_report else TEST_SHARE,
        valid_share=own.valid or VALID_SHARE,
        folds=folds,
        seed=seed,
        lists=lists,
    )


def divide_as_report(recipe: Recipe, segments: SegmentSet, *, seed: int = 0) -> Division:
    """Divide as the report did, whatever may be said against it.

    Parameters
    ----------
    recipe : Recipe
    segments : SegmentSet
    seed : int

    Returns
    -------
    Division
        Of one fold; without validation where the report had none.
    """
    own = recipe.protocol
    # The number holds for all of GTZAN; of a smaller collection the same share is tested.
    whole = own.test_count is not None and len(segments.tracks) * own.test > 0.9 * own.test_count
    # One row for a track has nothing to leak.
    one_each = segments.n_segments == len(segments.tracks)
    return divide(
        segments,
        "random" if one_each else own.split,
        test_share=own.test,
        valid_share=own.valid,
        folds=1,
        seed=seed,
        test_count=own.test_count if whole else None,
    )
