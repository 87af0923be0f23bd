"""Labelled segments: what the recipes learn from, and the track that each of them belongs to.

All segments lie in one array, and each knows its track, so that whatever divides them can keep a
track together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.classifier.splits import track_groups
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recsys.types import IdArray

MIN_TRACKS = 3
"""Of a genre: one to learn from, one to validate on, one to test."""


@dataclass(frozen=True, slots=True)
class LabelledTrack:
    """A track and what is known of it.

    Attributes
    ----------
    key : str
        ``genre/name``, as split lists call the track.
    genre : str
        Its label.
    artist : str or None
        Who plays, where that is known.
    """

    key: str
    genre: str
    artist: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SegmentSet:
    """Segments of labelled tracks.

    Attributes
    ----------
    tracks : tuple of LabelledTrack
        Every one has at least one segment.
    inputs : ndarray of float16 or float32, shape (n_segments, *shape)
        What a model is shown; float16 where that is fine enough.
    track_of : ndarray of int64, shape (n_segments,)
        Number of each segment's track in `tracks`.
    labels : tuple of str
        Genres, sorted. A selection keeps all of them, so that their numbers stay.
    """

    tracks: tuple[LabelledTrack, ...]
    inputs: npt.NDArray[np.floating]
    track_of: IdArray
    labels: tuple[str, ...]

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return len(self.track_of)

    @property
    def track_targets(self) -> IdArray:
        """Number of each track's genre in `labels`, shape (n_tracks,)."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return np.asarray([numbers[track.genre] for track in self.tracks], dtype=np.int64)

    @property
    def targets(self) -> IdArray:
        """Number of each segment's genre in `labels`, shape (n_segments,)."""
        return self.track_targets[self.track_of]

    @property
    def track_groups(self) -> IdArray:
        """Number of each track's group, see :func:`recsys.classifier.splits.track_groups`."""
        tracks = self.tracks
        return track_groups([track.key for track in tracks], [track.artist for track in tracks])

    @property
    def groups(self) -> IdArray:
        """Number of each segment's group: of its artist, and of what repeats its track."""
        return self.track_groups[self.track_of]

    def select(self, segments: IdArray) -> SegmentSet:
        """Return some of the segments, in the order given, with the tracks they belong to."""
        kept, track_of = np.unique(self.track_of[segments], return_inverse=True)
        return SegmentSet(
            tracks=tuple(self.tracks[number] for number in kept),
            inputs=self.inputs[segments],
            track_of=track_of.astype(np.int64),
            labels=self.labels,
        )

    def subset(self, tracks: IdArray) -> SegmentSet:
        """Return all segments of some tracks, given by their numbers."""
        return self.select(np.flatnonzero(np.isin(self.track_of, tracks)).astype(np.int64))


def check_genres(genres: Mapping[str, str], min_tracks: int = MIN_TRACKS) -> None:
    """Raise unless there are two genres with enough tracks each.

    Parameters
    ----------
    genres : mapping
        Key of a track to its genre.
    min_tracks : int
        How many tracks of a genre are enough.

    Raises
    ------
    ModelError
        With the names and counts of the genres that are too small.
    """
    counts = Counter(genres.values())
    if len(counts) < 2:
        found = ", ".join(counts) or "none"
        raise ModelError(
            f"at least two genres are needed, found: {found}",
            "Put the tracks of each genre into a folder of its own.",
        )
    poor = [f"{genre} ({count})" for genre, count in sorted(counts.items()) if count < min_tracks]
    if poor:
        raise ModelError(
            f"too few tracks of {', '.join(poor)}: at least {min_tracks} of a genre are needed",
            "Add tracks of these genres, or leave their folders out.",
        )


def describe_balance(tracks: Iterable[LabelledTrack], wanted: Iterable[str] = ()) -> str:
    """Say how many tracks the genres have.

    Parameters
    ----------
    tracks : iterable of LabelledTrack
        What is there.
    wanted : iterable of str
        Genres that should be there.

    Returns
    -------
    str
        In words; genres of `wanted` without a track are named.

    Examples
    --------
    >>> few = [LabelledTrack("jazz/1", "jazz"), LabelledTrack("jazz/2", "jazz")]
    >>> describe_balance([*few, LabelledTrack("pop/1", "pop")], wanted=["jazz", "rock"])
    '2 genres, 1 (pop) to 2 (jazz) tracks; none of rock'
    """
    counts = Counter(track.genre for track in tracks)
    if not counts:
        return "no tracks"
    ranked = sorted(counts, key=lambda genre: (counts[genre], genre))
    least, most = ranked[0], ranked[-1]
    words = f"{len(counts)} genres, " if len(counts) > 1 else "1 genre, "
    if counts[least] == counts[most]:
        words += f"{counts[least]} tracks each"
    else:
        words += f"{counts[least]} ({least}) to {counts[most]} ({most}) tracks"
    missing = sorted(set(wanted) - set(counts))
    return f"{words}; none of {', '.join(missing)}" if missing else words
