"""How a playlist is to be made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recsys.errors import QueryError

DEFAULT_LENGTH = 30
"""Tracks, when neither a length nor a duration is asked for: about two hours."""

PREFERRED_ARTIST_GAP = 2
"""The artist gap that is kept where possible when none is asked for."""


@dataclass(frozen=True, slots=True)
class PlaylistOptions:
    """How a playlist is to be made.

    Attributes
    ----------
    length : int or None
        Tracks. None means :data:`DEFAULT_LENGTH`, or no limit when there is a duration.
    duration_s : float or None
        Seconds to be filled. The last track may overshoot by at most half its own length, and the
        first track always stands. With a length as well, whichever is reached first ends the list.
    artist_gap : int or None
        At least so many other tracks between two of one artist; tracks that name no artist are not
        held apart. The list ends rather than break it. None keeps artists
        :data:`PREFERRED_ARTIST_GAP` apart as long as there is a choice, and gives that up rather
        than end the list or leave a genre early.
    seed : int
        For everything random: the first track when none is given, and the draws of `diversity`.
    diversity : float
        In [0, 1]. At 0 the next track is always the nearest. Above, tracks unlike those already
        chosen are preferred, and the choice among near-equals is drawn at random.
    per_genre : int
        Tracks in a row of one genre of a cycle.
    genre : str or None
        Only tracks of this genre, besides the seeds. Not for cycles, which name their genres.
    moods : tuple of str
        Tags of the model. Only tracks that carry all of them, besides the seeds; a list from seeds
        or from anywhere is then put in an order that keeps the mood, see
        :class:`recsys.playlists.mood.MoodWalk`.
    name : str or None
        Of the playlist; None names it after how it was made.

    Raises
    ------
    QueryError
        A value is out of range.
    """

    length: int | None = None
    duration_s: float | None = None
    artist_gap: int | None = None
    seed: int = 0
    diversity: float = 0.0
    per_genre: int = 1
    genre: str | None = None
    moods: tuple[str, ...] = ()
    name: str | None = None

    def __post_init__(self) -> None:
        _at_least("length", self.length, 1)
        _at_least("artist_gap", self.artist_gap, 0)
        _at_least("per_genre", self.per_genre, 1)
        _at_least("seed", self.seed, 0)
        if self.duration_s is not None and not 0 < self.duration_s < math.inf:
            raise QueryError(
                f"duration must be a number of seconds above 0, got {self.duration_s}",
                "For example 7200 for two hours.",
            )
        if not 0 <= self.diversity <= 1:
            raise QueryError(
                f"diversity must lie between 0 and 1, got {self.diversity}",
                "0 always takes the nearest track, 1 the least like those before.",
            )

    @property
    def limit(self) -> int | None:
        """How many tracks at most; None when only the duration counts."""
        if self.length is None and self.duration_s is None:
            return DEFAULT_LENGTH
        return self.length

    @property
    def gaps(self) -> tuple[int, ...]:
        """The artist gaps to try for every track, widest first."""
        if self.artist_gap is not None:
            return (self.artist_gap,)
        return tuple(range(PREFERRED_ARTIST_GAP, -1, -1))


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise QueryError(
            f"{name} must be at least {least}, got {value}",
            f"Give {least} or more, or leave it out.",
        )
