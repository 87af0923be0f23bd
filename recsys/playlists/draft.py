"""A playlist in the making: options, chosen tracks, constraints, and queues of candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.checks import check_at_least, check_types
from recsys.credits import spaced_artists
from recsys.errors import QueryError
from recsys.playlists.curve import Curve
from recsys.recommender.duplicates import NearDuplicates
from recsys.recommender.filters import NO_FILTERS, Filters, left_out

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from recsys.recommender.query import Candidate
    from recsys.types import Track

DEFAULT_LENGTH = 30
"""Tracks where neither length nor duration is given: about two hours."""

PREFERRED_ARTIST_GAP = 2
"""Artist gap that is kept where possible when none is given."""

POOL = 32
"""Candidates among which a diversity of 1 chooses; at 0 it is the nearest alone."""

FITTING_POOL = 8
"""Candidates that are tried for length before a duration counts as filled."""

PREFERENCE_REACH = 64
"""How far down the candidates the preferred artist gap is pursued."""

DRAW_WIDTH = 0.5
"""Range of the random draw at diversity 1, in standard deviations of the candidates."""

_LEAST_WIDTH = 1e-6
"""Candidates of equal worth are drawn at random too."""


@dataclass(frozen=True, slots=True)
class PlaylistOptions:
    """How to make a playlist.

    Attributes
    ----------
    length : int or None
        Tracks. None means :data:`DEFAULT_LENGTH`, or no limit when there is a duration.
    duration_s : float or None
        Seconds to fill. The last track may overshoot by at most half its own length; the first
        track is always kept. With a length as well, the one reached first ends the list.
    artist_gap : int or None
        Minimum of other tracks between two of one artist, guests included; tracks without an artist
        are exempt. The list ends rather than break it. None keeps :data:`PREFERRED_ARTIST_GAP` as
        long as there is a choice, and drops it rather than end the list or leave a genre early.
    seed : int
        Random seed, for the first track when none is given and for the draws of `diversity`.
    diversity : float
        In [0, 1]. At 0 the next track is always the nearest. Above, tracks unlike the chosen ones
        are preferred, and near-equals are drawn at random.
    per_genre : int
        Consecutive tracks of one genre of a cycle.
    genre : str or None
        Only tracks of this genre, apart from the seeds. Not for cycles, which name their genres.
    tags : tuple of str
        Tags of the model. Only tracks that carry all of them, apart from the seeds. A list from
        seeds, or from a drawn track, is then ordered by mood:
        :class:`recsys.playlists.order.MoodWalk`.
    curves : tuple of str
        Numbers of the tracks and their course over the list, ``energy=rise``: see
        :class:`recsys.playlists.curve.Curve`. Not for a way from one track to another.
    filters : Filters
        Which tracks must not be in the list, see :class:`recsys.recommender.filters.Filters`.
    name : str or None
        Of the playlist; None for a name that describes it.
    taste : bool
        Let what the listener liked, disliked, played and skipped change which tracks are taken.
        Not between two tracks.

    Raises
    ------
    QueryError
        A value is out of range or of another type.
    """

    length: int | None = None
    duration_s: float | None = None
    artist_gap: int | None = None
    seed: int = 0
    diversity: float = 0.0
    per_genre: int = 1
    genre: str | None = None
    tags: tuple[str, ...] = ()
    name: str | None = None
    curves: tuple[str, ...] = ()
    filters: Filters = NO_FILTERS
    taste: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(1, length=self.length, per_genre=self.per_genre)
        check_at_least(0, artist_gap=self.artist_gap, seed=self.seed)
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
        numbers = [curve.number for curve in self.courses]
        if len(set(numbers)) < len(numbers):
            raise QueryError(
                f"two curves of one number: {', '.join(self.curves)}", "Give one of each."
            )

    @property
    def courses(self) -> tuple[Curve, ...]:
        """The curves, read."""
        return tuple(map(Curve.parse, self.curves))

    @property
    def limit(self) -> int | None:
        """Maximum number of tracks; None when only the duration counts."""
        if self.length is None and self.duration_s is None:
            return DEFAULT_LENGTH
        return self.length

    @property
    def gaps(self) -> tuple[int, ...]:
        """Artist gaps to try for every track, widest first."""
        if self.artist_gap is not None:
            return (self.artist_gap,)
        return tuple(range(PREFERRED_ARTIST_GAP, -1, -1))


# Notes on a playlist that the library could not fill


def shortage(
    options: PlaylistOptions,
    tracks: Sequence[Track],
    held_back: Collection[Track],
    duplicates: int,
    where: str,
    filtered: Mapping[str, int],
) -> str:
    """Return a note with the length reached and the reason.

    Only the artist gap kept out the tracks in `held_back`; `where` is the searched part of the
    library, `filtered` counts what the filters refused.
    """
    if held_back:
        artists = {spaced_artists(track)[:1] for track in held_back}
        reason = (
            f"artist gap {options.artist_gap} leaves no candidate in {where} "
            f"({count(len(held_back), 'track')} of {count(len(artists), 'artist')})"
        )
    else:
        reason = f"no further track in {where}"
    if duplicates:
        reason += f"; {count(duplicates, 'near-duplicate')} left out"
    return f"{_progress(options, tracks)}: {reason}{left_out(filtered)}"


def _progress(options: PlaylistOptions, tracks: Sequence[Track]) -> str:
    parts = []
    if options.limit is not None:
        parts.append(f"{len(tracks)} of {count(options.limit, 'track')}")
    if options.duration_s is not None:
        played = sum(track.duration_s for track in tracks)
        parts.append(f"{clock(played)} of {clock(options.duration_s)}")
    return ", ".join(parts)


def count(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, "track"), count(2, "track")
    ('1 track', '2 tracks')
    """
    return f"{number} {noun}" + ("" if number == 1 else "s")


def clock(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds.

    Examples
    --------
    >>> clock(3725.4)
    '1:02:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


# The draft and its queues


class PlaylistDraft:
    """The tracks chosen so far, and the constraints on the next one.

    The track `last`, if any, will close the list. It counts towards length and duration from the
    start, and no near-duplicate of it is chosen.
    """

    def __init__(self, options: PlaylistOptions, last: Candidate | None = None) -> None:
        self.options = options
        self.chosen: list[Candidate] = []  # in playing order, without `last`
        self.duplicates: set[int] = set()  # tracks that were left out as near-duplicates
        self.closed = False  # no candidate would bring the list nearer to its duration
        self.last = last
        # Whether tracks by the artist of `last` may precede it, where the gap leaves room.
        self.last_artist_allowed = True
        self.rng = np.random.default_rng(options.seed)
        self._last_artists = frozenset(spaced_artists(last.track) if last else ())
        self._restart([])

    def __len__(self) -> int:
        return len(self.chosen) + (self.last is not None)

    @property
    def full(self) -> bool:
        """Whether length or duration is reached."""
        length, duration = self.options.limit, self.options.duration_s
        return (
            self.closed
            or (length is not None and len(self) >= length)
            or (duration is not None and self.total_s >= duration)
        )

    def fits(self, candidate: Candidate) -> bool:
        """Return whether a track brings the list nearer to its duration, or is the first."""
        duration = self.options.duration_s
        if duration is None or len(self) == 0:
            return True
        overshoot = self.total_s + candidate.track.duration_s - duration
        return overshoot <= candidate.track.duration_s / 2

    def add(self, candidate: Candidate) -> None:
        """Append a track."""
        for artist in spaced_artists(candidate.track):
            self._position_of_artist[artist] = len(self.chosen)
        self.chosen.append(candidate)
        self._remember(candidate)

    def truncate(self, length: int) -> None:
        """Keep only the first tracks."""
        self.closed = False
        self._restart(self.chosen[:length])

    def holds(self, candidate: Candidate) -> bool:
        """Return whether a track is in the list."""
        return candidate.track.id in self._ids

    def is_duplicate(self, candidate: Candidate) -> bool:
        """Return whether a track is a near-duplicate of one in the list; note it if so."""
        if self._recordings.match(candidate.track, candidate.embedding):
            self.duplicates.add(candidate.track.id)
            return True
        return False

    def keeps_gap(self, candidate: Candidate, gap: int) -> bool:
        """Return whether the next position keeps the gap to other tracks of the same artist."""
        artists = spaced_artists(candidate.track)
        if not artists or gap == 0:
            return True
        position = len(self.chosen)
        if not self._last_artists.isdisjoint(artists):
            limit = self.options.limit
            follow = gap if limit is None else limit - 2 - position
            if not self.last_artist_allowed or follow < gap:
                return False
        positions = self._position_of_artist
        for artist in artists:  # a loop: this is asked some thousand times for one list
            if artist in positions and position - positions[artist] <= gap:
                return False
        return True

    def pick(self, pool: Sequence[Candidate]) -> Candidate:
        """Choose one of several candidates, which come nearest first, by the diversity.

        Maximal marginal relevance (Carbonell and Goldstein 1998, SIGIR): the similarity to the
        query, less the similarity to the most similar track already chosen, weighted by the
        diversity; plus Gumbel noise in proportion to the diversity and to the spread of the
        candidates.
        """
        diversity = self.options.diversity
        if diversity == 0 or len(pool) == 1:
            return pool[0]
        relevance = np.array([candidate.score for candidate in pool])
        redundancy = np.zeros(len(pool))
        if self.chosen:
            vectors = np.stack([candidate.embedding for candidate in pool])
            chosen = np.stack([candidate.embedding for candidate in self.chosen])
            # Not "@": for matrices this small, waking the threads of BLAS costs more than the sums.
            redundancy = np.einsum("id,jd->ij", vectors, chosen).max(axis=1)
        worth = (1 - diversity) * relevance - diversity * redundancy
        width = diversity * DRAW_WIDTH * max(float(worth.std()), _LEAST_WIDTH)
        return pool[int(np.argmax(worth + width * self.rng.gumbel(size=len(pool))))]

    def _restart(self, chosen: list[Candidate]) -> None:
        self.chosen = []
        self._ids: set[int] = set()
        self._recordings = NearDuplicates()
        self._position_of_artist: dict[str, int] = {}
        self.total_s = 0.0  # duration of the chosen tracks and `last`
        if self.last is not None:
            self._remember(self.last)
        for candidate in chosen:
            self.add(candidate)

    def _remember(self, candidate: Candidate) -> None:
        self._ids.add(candidate.track.id)
        self._recordings.add(candidate.track, candidate.embedding)
        self.total_s += candidate.track.duration_s


class CandidateQueue:
    """Candidates for a draft, best first, read lazily.

    Candidates that the artist gap holds back keep their position and are offered again later. With
    `in_order`, the first allowed candidate is taken whatever the diversity.
    """

    def __init__(self, candidates: Iterator[Candidate], *, in_order: bool = False) -> None:
        self._candidates = candidates
        self._in_order = in_order
        self.waiting: list[Candidate] = []

    def extend(self, draft: PlaylistDraft) -> bool:
        """Add the next track to a draft; return whether there was one.

        If none is allowed, `waiting` has those that only the artist gap holds back; if none fits
        the duration, the draft is closed.
        """
        pool = self._pool(draft)
        fitting = [candidate for candidate in pool if draft.fits(candidate)]
        if not fitting:
            draft.closed = bool(pool)
            return False
        draft.add(draft.pick(fitting))
        return True

    def _pool(self, draft: PlaylistDraft) -> list[Candidate]:
        size = 1
        if not self._in_order:
            size += round(draft.options.diversity * (POOL - 1))
            if draft.options.duration_s is not None:
                size = max(size, FITTING_POOL)  # the best may be too long where another fits
        gaps = draft.options.gaps
        # Tracks in a given order keep it, unless a requested gap forbids it.
        for gap in gaps[-1:] if self._in_order else gaps:
            reach = None if gap == gaps[-1] else PREFERENCE_REACH
            pool = self._allowed(draft, size, gap, reach)
            if pool:
                return pool
        return []

    def _allowed(
        self, draft: PlaylistDraft, size: int, gap: int, reach: int | None
    ) -> list[Candidate]:
        allowed: list[Candidate] = []
        position = 0
        while len(allowed) < size and (reach is None or position < reach):
            if position == len(self.waiting):
                following = next(self._candidates, None)
                if following is None:
                    break
                self.waiting.append(following)
            candidate = self.waiting[position]
            keeps_gap = draft.keeps_gap(candidate, gap)
            if draft.holds(candidate) or (keeps_gap and draft.is_duplicate(candidate)):
                del self.waiting[position]
                continue
            if keeps_gap:
                allowed.append(candidate)
            position += 1
        return allowed
