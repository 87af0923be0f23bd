"""Dividing the data of a recipe, as its report did or honestly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.classifier.protocols import FilteredLists, check_artists, divide
from recsys.classifier.recipes.data import artists_before_decoding, genres_of
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recsys.classifier.datasets import LabelledFile
    from recsys.classifier.protocols import Division
    from recsys.classifier.recipes.recipe import Recipe
    from recsys.classifier.segments import SegmentSet

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
        _check_lists(lists, keys, genres)


def _check_lists(lists: FilteredLists, keys: Mapping[str, str], genres: Sequence[str]) -> None:
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
