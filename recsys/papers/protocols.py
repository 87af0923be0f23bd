"""How segments are divided into training, validation and test parts.

``random``
    By track, genres in proportion: the same artist may be on both sides.
``by-artist``
    An artist-grouped split: whole artists, and with them all that repeats a track of theirs
    (Flexer, "A closer look on artist filters in musical genre classification", ISMIR 2007).
``filtered``
    By lists, such as the fault-filtered ones of GTZAN (Kereliuk, Sturm and Larsen, "Deep
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
    hold_out_groups,
    read_split,
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

BoolArray = npt.NDArray[np.bool_]

PROTOCOLS = ("random", "by-artist", "filtered", "by-segment")
"""Choices of ``--protocol``."""

ARTIST_FOLDS = 5
"""Default of ``by-artist``."""

VALID_SHARE = 0.15
"""Of the tracks, to choose and calibrate with, where the report gives no share."""

TEST_SHARE = 0.2
"""Of the tracks, where data is divided once and not into folds."""

OUT, TRAIN, VALID, TEST = -1, 0, 1, 2
"""Side of a track (of a segment, in ``by-segment``) in one fold."""


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One division: ascending row numbers of segments; `valid` may be empty."""

    train: IdArray
    valid: IdArray
    test: IdArray


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """All folds of a protocol."""

    protocol: str
    folds: tuple[Fold, ...]  # each track is tested in at most one
    leaky: bool  # segments of one track are on both sides: the figures are too good
    description: str  # for people, with counts and the seed

    @property
    def unit(self) -> str:
        """What is tested and counted: ``track`` or ``segment``."""
        return "segment" if self.leaky else "track"


@dataclass(frozen=True, slots=True)
class FilteredLists:
    """Track keys to train on, and to test on; validation is taken from the former."""

    train: frozenset[str]
    test: frozenset[str]

    @classmethod
    def read(cls, train: Path, test: Path) -> FilteredLists:
        """Read lists of ``genre/track.ext``; an unreadable one raises ModelError."""
        return cls(read_split(train), read_split(test))


def divide(
    segments: SegmentSet,
    protocol: str,
    *,
    test_share: float = TEST_SHARE,
    valid_share: float = 0.0,
    folds: int | None = None,
    seed: int = 0,
    lists: FilteredLists | None = None,
    test_count: int | None = None,
) -> Division:
    """Divide segments into training, validation and test parts.

    Parameters
    ----------
    segments : SegmentSet
    protocol : str
        One of :data:`PROTOCOLS`.
    test_share, valid_share : float
        Of all tracks (of all segments in ``by-segment``). With several folds the test share
        follows from their number; `valid_share` may be 0.
    folds : int, optional
        1 for one division, more for cross-validation (``random`` and ``by-artist``); by default
        5 for ``by-artist`` and 1 else. Fewer are made where a genre has fewer tracks.
    seed : int
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
        If the protocol is unknown, lists are missing or contradict themselves, or a genre has
        too few tracks or artists to be on both sides.
    """
    check_genres({track.key: track.genre for track in segments.tracks})
    if not (0 < test_share < 1 and valid_share >= 0 and test_share + valid_share < 1):
        raise ModelError(
            f"a share of {test_share:g} for testing and of {valid_share:g} for validation "
            "leaves nothing to learn from, or nothing to test",
            "Give shares above 0 that are less than 1 together.",
        )
    if protocol not in PROTOCOLS:
        raise ModelError(f"unknown protocol {protocol!r}", f"Known are {', '.join(PROTOCOLS)}.")
    leaky = protocol == "by-segment"
    labels = segments.targets if leaky else segments.track_targets
    if protocol == "by-artist":
        folds = max(1, folds or ARTIST_FOLDS)
        sides, how = _by_artist(segments, folds, test_share, valid_share, seed)
    elif protocol == "filtered":
        sides, how = _filtered(segments, lists, valid_share, seed)
    elif protocol == "random" and folds is not None and folds > 1:
        sides, how = _stratified_folds(labels, folds, valid_share, seed)
    else:
        n_test = round(test_share * len(labels))
        if test_count is not None and 2 * test_count <= len(labels):
            n_test = test_count
        sides = [_hold_out(labels, n_test, valid_share, seed)]
        how = "divided by track, genres in proportion"
        if leaky:
            how = _describe_leak(segments, sides[0])
    of_segment = np.arange(segments.n_segments) if leaky else segments.track_of
    made = tuple(
        Fold(*(np.flatnonzero(side[of_segment] == part) for part in (TRAIN, VALID, TEST)))
        for side in sides
    )
    counts = _counts(sides, "segments" if leaky else "tracks")
    description = f"{how}{';' if leaky else ','} {counts}, seed {seed}"
    return Division(protocol, made, leaky, description)


def divide_for(
    recipe: Recipe,
    segments: SegmentSet,
    protocol: str,
    *,
    folds: int = 1,
    seed: int = 0,
    lists: FilteredLists | None = None,
) -> Division:
    """Divide with a validation part; the recipe's own shares are used by track or segment.

    The recipe's number of test tracks holds only in :func:`divide_as_report`. Raises as
    :func:`divide` and :func:`check_protocol`.
    """
    check_protocol(recipe, (), protocol)
    own = recipe.protocol
    return divide(
        segments,
        protocol,
        test_share=own.test if protocol in ("random", "by-segment") else TEST_SHARE,
        valid_share=own.valid or VALID_SHARE,
        folds=folds,
        seed=seed,
        lists=lists,
    )


def divide_as_report(recipe: Recipe, segments: SegmentSet, *, seed: int = 0) -> Division:
    """Divide by the paper protocol, leaks included; without validation where it had none."""
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


# Checks before decoding.


def check_protocol(
    recipe: Recipe,
    files: Sequence[LabelledFile],
    protocol: str,
    lists: FilteredLists | None = None,
    artists: Path | None = None,
) -> None:
    """Raise before decoding if the data cannot be divided as asked.

    Parameters
    ----------
    recipe : Recipe
    files : sequence of LabelledFile
    protocol : str
        One of :data:`PROTOCOLS`.
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
    used = [file for file in files if file.genre in genres]
    keys = {file.key: file.genre for file in used}
    if protocol == "by-artist":
        check_artists(keys, artists_before_decoding(used, artists))
    if lists is None:
        return
    for names, purpose in ((lists.train, "learn from"), (lists.test, "hold out")):
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


def check_artists(genres: Mapping[str, str], artists: Mapping[str, str | None]) -> None:
    """Raise unless every genre has artists for both sides; both mappings are by track key."""
    groups = track_groups(list(genres), [artists.get(key) for key in genres])
    labels = np.asarray(list(genres.values()))
    _check_both_sides({label: groups[labels == label] for label in np.unique(labels).tolist()})


def _check_both_sides(groups: Mapping[str, IdArray]) -> None:
    """Raise where the tracks of a genre are all of one group, or all in one fold."""
    counts = {genre: len(np.unique(own)) for genre, own in groups.items()}
    if poor := [f"{genre} ({count})" for genre, count in counts.items() if count < 2]:
        raise ModelError(
            f"too few artists to be on both sides of a division by artist: {', '.join(poor)}",
            "Add tracks by other artists, leave these genres out, or divide by track "
            "(--protocol random).",
        )


# The protocols. Each returns the side of every track in each fold, and a description.


def _stratified_folds(
    labels: IdArray, folds: int, valid_share: float, seed: int
) -> tuple[list[IdArray], str]:
    from sklearn.model_selection import StratifiedKFold

    made = _affordable(labels, folds)
    rng = np.random.default_rng(seed)
    count = round(valid_share * len(labels))
    sides = []
    splitter = StratifiedKFold(n_splits=made, shuffle=True, random_state=seed)
    for _, test in splitter.split(labels, labels):
        side = np.full(len(labels), TRAIN)
        side[test] = TEST
        side[_take(labels, side == TRAIN, count, rng)] = VALID
        sides.append(side)
    return sides, f"{_describe_folds(made, folds)} by track, genres in proportion"


def _hold_out(labels: IdArray, n_test: int, valid_share: float, seed: int) -> IdArray:
    """Set aside a part to test and a part to validate on, genres in proportion."""
    rng = np.random.default_rng(seed)
    side = np.full(len(labels), TRAIN)
    # Of every genre one track is left to train on, and one more to validate on.
    keep = 2 if valid_share else 1
    side[_take(labels, side == TRAIN, n_test, rng, keep=keep)] = TEST
    side[_take(labels, side == TRAIN, round(valid_share * len(labels)), rng)] = VALID
    return side


def _by_artist(
    segments: SegmentSet, folds: int, test_share: float, valid_share: float, seed: int
) -> tuple[list[IdArray], str]:
    labels, groups = segments.track_targets, segments.track_groups

    def per_genre(values: IdArray) -> dict[str, IdArray]:
        return {genre: values[labels == label] for label, genre in enumerate(segments.labels)}

    _check_both_sides(per_genre(groups))
    wanted = folds if folds > 1 else max(2, round(1 / test_share))
    fold_of = _group_folds(labels, groups, wanted, seed)
    _check_both_sides(per_genre(fold_of))
    numbers = list(range(fold_of.max() + 1))
    how = _describe_folds(len(numbers), wanted) + _describe_artists(segments)
    if folds == 1:
        # The fold that tests most genres, then the one nearest to the wanted size.
        size = test_share * len(labels)
        tested = [labels[fold_of == number] for number in numbers]
        fitness = [(len(np.unique(one)), -abs(len(one) - size)) for one in tested]
        numbers, how = [max(numbers, key=fitness.__getitem__)], f"one of {how}"
    sides = []
    for number in numbers:
        side = np.where(fold_of == number, TEST, TRAIN)
        share = valid_share * len(labels) / int(np.sum(side == TRAIN))
        side[_take_groups(segments, side == TRAIN, share, seed)] = VALID
        sides.append(side)
    return sides, how


def _group_folds(labels: IdArray, groups: IdArray, folds: int, seed: int) -> IdArray:
    """Return the test fold of each track: whole groups, genres in proportion.

    A genre is in one fold alone only where shared groups leave no other way.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    made = _affordable(labels, min(folds, len(np.unique(groups))))
    fold_of = np.zeros(len(labels), dtype=np.int64)
    splitter = StratifiedGroupKFold(n_splits=made, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        fold_of[test] = number
    # scikit-learn may put a whole genre into one fold, which leaves none of it to train on: move
    # its smallest group to the smallest other fold. The second round is for a genre that lost its
    # other folds to such a move of a group that it shares.
    for label in np.tile(np.unique(labels), 2):
        members = labels == label
        if len(np.unique(fold_of[members])) > 1:
            continue
        sizes = {group: int(np.sum(groups == group)) for group in np.unique(groups[members])}
        smallest = min(sizes, key=lambda group: sizes[group])
        counts = np.bincount(fold_of, minlength=made)
        counts[fold_of[members][0]] = len(labels)
        fold_of[groups == smallest] = int(np.argmin(counts))
    # Large groups may leave a fold empty; the others are numbered without it.
    return np.unique(fold_of, return_inverse=True)[1].astype(np.int64)


def _filtered(
    segments: SegmentSet, lists: FilteredLists | None, valid_share: float, seed: int
) -> tuple[list[IdArray], str]:
    if lists is None:
        raise ModelError(
            "the protocol filtered needs lists of tracks",
            "Name the lists to learn from and to validate on, with one genre/track.ext per line.",
        )
    if twice := lists.train & lists.test:
        raise ModelError(
            f"{len(twice)} tracks are in more than one list, {min(twice)} among them",
            "A track that is learned from cannot be held out as well.",
        )
    keys = [track.key for track in segments.tracks]
    side = np.full(len(keys), OUT)
    side[[key in lists.train for key in keys]] = TRAIN
    side[[key in lists.test for key in keys]] = TEST
    train = side == TRAIN
    share = valid_share * int(np.sum(side != OUT)) / max(1, int(np.sum(train)))
    side[_take_groups(segments, train, share, seed)] = VALID
    learned = {segments.tracks[number].genre for number in np.flatnonzero(side == TRAIN)}
    missing = [genre for genre in segments.labels if genre not in learned]
    if missing or not np.any(side == TEST):
        what = f"no track of {', '.join(missing)} to learn from" if missing else "no track to test"
        raise ModelError(
            f"the lists leave {what}",
            "Check that they name genre/track as the folders do, and leave out the genres that "
            "they do not name.",
        )
    how = "divided as the lists say (tested: the list to validate on)"
    if left_out := int(np.sum(side == OUT)):
        how += f", {left_out} tracks in no list left out"
    return [side], how


# Choosing tracks, or whole groups of tracks, so that every genre keeps something to learn from.


def _take(
    labels: IdArray, among: BoolArray, count: int, rng: np.random.Generator, keep: int = 1
) -> BoolArray:
    """Choose tracks at random, genres in proportion and each at least once; `keep` are left.

    Exactly `count` are chosen where the genres allow it, which scikit-learn's stratified
    shuffling does not promise for genres of few tracks.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    if count <= 0:
        return chosen
    ranks = np.full(len(labels), np.inf)
    for label in np.unique(labels[among]):
        members = rng.permutation(np.flatnonzero(among & (labels == label)))
        # Rank within the genre, in [0, 1]: cutting all genres at one rank keeps the proportions.
        ranks[members] = (np.arange(len(members)) + rng.random()) / len(members)
        ranks[members[0]] = -1.0
        ranks[members[max(0, len(members) - keep) :]] = np.inf
    order = np.argsort(ranks, kind="stable")
    at_least = int(np.sum(ranks < 0))
    chosen[order[: min(max(count, at_least), int(np.sum(np.isfinite(ranks))))]] = True
    return chosen


def _take_groups(segments: SegmentSet, among: BoolArray, share: float, seed: int) -> IdArray:
    """Choose tracks by whole groups, genres in proportion; none where the groups are too few."""
    rows = np.flatnonzero(among)
    if share <= 0 or len(rows) < 2:
        return rows[:0]
    targets, groups = segments.track_targets[rows], segments.track_groups[rows]
    return rows[hold_out_groups(targets, groups, min(0.5, share), seed)]


def _affordable(labels: IdArray, folds: int) -> int:
    """Return how many folds the rarest genre has tracks for, at most `folds`, at least 2."""
    return max(2, min(folds, int(np.unique(labels, return_counts=True)[1].min())))


# Descriptions.


def _describe_folds(made: int, asked: int) -> str:
    if made == asked:
        return f"{made} folds"
    return f"{made} folds (not {asked}: a genre has too few tracks or artists)"


def _describe_artists(segments: SegmentSet) -> str:
    """Return how many artists are known, and how many tracks are a group of their own."""
    groups = segments.track_groups
    named = np.unique(groups[[bool((t.artist or "").strip()) for t in segments.tracks]])
    alone = int(np.sum(~np.isin(groups, named)))
    if not len(named):
        return " by track, and with it what repeats it: no artist is known"
    words = f" by artist ({len(named)} known"
    return f"{words}; {alone} tracks of no known one stand alone)" if alone else f"{words})"


def _describe_leak(segments: SegmentSet, side: IdArray) -> str:
    tested = np.unique(segments.track_of[side == TEST])
    known = int(np.isin(tested, segments.track_of[side == TRAIN]).sum())
    return (
        "LEAKY: divided by segment, regardless of the track: "
        f"of {len(tested)} tested tracks, {known} have segments to learn from"
    )


def _counts(sides: Sequence[IdArray], unit: str) -> str:
    spans = []
    for part in (TRAIN, VALID, TEST):
        counts = {int(np.sum(side == part)) for side in sides}
        low, high = min(counts), max(counts)
        spans.append(f"{low}" if low == high else f"{low} to {high}")
    return f"{unit} to learn from {spans[0]}, to validate on {spans[1]}, to test {spans[2]}"
