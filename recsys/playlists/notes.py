"""What a playlist says of itself when the library could not fill the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.recommender.duplicates import artist_key

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from recsys.playlists.options import PlaylistOptions
    from recsys.types import Track


def shortage(
    options: PlaylistOptions,
    tracks: Sequence[Track],
    held_back: Collection[Track],
    duplicates: int,
    where: str,
) -> str:
    """Return how far a list got and what stopped it.

    Parameters
    ----------
    options : PlaylistOptions
        What was asked for.
    tracks : sequence of Track
        What it came to.
    held_back : collection of Track
        Those that only the artist gap kept out.
    duplicates : int
        Near-duplicates that were left out.
    where : str
        In what was searched, for people.
    """
    if held_back:
        artists = {artist_key(track) for track in held_back}
        reason = (
            f"artist gap {options.artist_gap} leaves no candidate in {where} "
            f"({count(len(held_back), 'track')} of {count(len(artists), 'artist')})"
        )
    else:
        reason = f"no further track in {where}"
    if duplicates:
        reason += f"; {count(duplicates, 'near-duplicate')} left out"
    return f"{_progress(options, tracks)}: {reason}"


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
