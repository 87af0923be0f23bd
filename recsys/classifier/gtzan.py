"""What is wrong with GTZAN as published, known by the names of its tracks.

GTZAN has a file that cannot be read and many recordings that are there more than once (Sturm,
"The State of the Art Ten Years After a State of the Art", JNMR 43(2), 2014, arXiv:1306.1461).
A repetition on the other side of a split is an answer that was learned by heart.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

GENRES = (
    *("blues", "classical", "country", "disco", "hiphop"),
    *("jazz", "metal", "pop", "reggae", "rock"),
)
"""The ten of GTZAN."""

_NAME = re.compile(rf"(?P<genre>{'|'.join(GENRES)})/(?P=genre)\.\d{{5}}")
_NAMED = 3
"""Repetitions named in a sentence."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """Tracks that are one recording, or one piece by one artist.

    Attributes
    ----------
    tracks : tuple of str
        Names such as ``jazz.00033``, sorted.
    established_by : tuple of str
        How it is known: ``catalogue``, ``features`` or ``titles``; see ``source`` of the file.
    """

    tracks: tuple[str, ...]
    established_by: tuple[str, ...]

    @property
    def is_same_recording(self) -> bool:
        """More than the titles says so."""
        return set(self.established_by) != {"titles"}


@dataclass(frozen=True, slots=True)
class GtzanFaults:
    """The faults of GTZAN as published.

    Attributes
    ----------
    source : str
        Where the lists come from.
    corrupt : tuple of str
        Names of tracks that cannot be read.
    repetitions : tuple of Repetition
        No track is in two of them.
    """

    source: str
    corrupt: tuple[str, ...]
    repetitions: tuple[Repetition, ...]


@cache
def faults() -> GtzanFaults:
    """Return the known faults, from ``data/gtzan-faults.json``."""
    text = (files("recsys.data") / "gtzan-faults.json").read_text(encoding="utf-8")
    stored = json.loads(text)
    return GtzanFaults(
        source=stored["source"],
        corrupt=tuple(stored["corrupt"]),
        repetitions=tuple(
            Repetition(tuple(entry["tracks"]), tuple(entry["established_by"]))
            for entry in stored["repetitions"]
        ),
    )


@cache
def _artists() -> dict[str, str]:
    """Read ``data/gtzan-artists.csv``."""
    text = (files("recsys.data") / "gtzan-artists.csv").read_text(encoding="utf-8")
    return {row["track"]: row["artist"] for row in csv.DictReader(text.splitlines())}


def known_artists(keys: Collection[str]) -> dict[str, str]:
    """Return who plays on these tracks, from the public index of GTZAN (Sturm).

    Parameters
    ----------
    keys : collection of str
        ``genre/name`` of each track.

    Returns
    -------
    dict
        Key to artist, of the tracks whose artist is known; empty if this is not GTZAN.

    Examples
    --------
    >>> known_artists(["blues/blues.00000", "blues/mine"])
    {}
    >>> known_artists(["blues/blues.00000"])
    {'blues/blues.00000': 'John Lee Hooker'}
    """
    if not looks_like_gtzan(keys):
        return {}
    listed = _artists()
    named = [key for key in keys if _NAME.fullmatch(key) and _name(key) in listed]
    return {key: listed[_name(key)] for key in named}


def looks_like_gtzan(keys: Collection[str]) -> bool:
    """Return whether most tracks are named as in GTZAN.

    Parameters
    ----------
    keys : collection of str
        ``genre/name`` of each track.

    Examples
    --------
    >>> looks_like_gtzan(["jazz/jazz.00054", "pop/pop.00001"])
    True
    >>> looks_like_gtzan(["jazz/So What", "pop/pop.00001"])
    False
    """
    return 2 * sum(_NAME.fullmatch(key) is not None for key in keys) > len(keys)


def repetitions(keys: Collection[str]) -> list[tuple[str, ...]]:
    """Return the groups of tracks among these that are one recording or piece.

    Parameters
    ----------
    keys : collection of str
        ``genre/name`` of each track.

    Returns
    -------
    list of tuple of str
        Keys, two or more in a group; no groups if this is not GTZAN.

    Examples
    --------
    >>> repetitions(["jazz/jazz.00033", "jazz/jazz.00051", "jazz/jazz.00052"])
    [('jazz/jazz.00033', 'jazz/jazz.00051')]
    """
    if not looks_like_gtzan(keys):
        return []
    there = frozenset(keys)
    present = [_present(repetition.tracks, there) for repetition in faults().repetitions]
    return [group for group in present if len(group) > 1]


def describe(keys: Collection[str]) -> list[str]:
    """Say in words which faults of GTZAN are among these tracks.

    Parameters
    ----------
    keys : collection of str
        ``genre/name`` of each track.

    Returns
    -------
    list of str
        Sentences without a full stop; none if this is not GTZAN.
    """
    if not looks_like_gtzan(keys):
        return []
    known, there = faults(), frozenset(keys)
    words = [
        f"{_name(key)} is corrupt in GTZAN as published" for key in _present(known.corrupt, there)
    ]
    same = _again(_present(r.tracks, there) for r in known.repetitions if r.is_same_recording)
    if len(same) == 1:
        words.append(f"1 track repeats another in GTZAN as published ({same[0]})")
    elif same:
        words.append(f"{len(same)} tracks repeat others in GTZAN as published ({_some(same)})")
    pieces = _again(_present(r.tracks, there) for r in known.repetitions if not r.is_same_recording)
    if len(pieces) == 1:
        words.append(f"1 track has the artist and title of another in GTZAN ({pieces[0]})")
    elif pieces:
        words.append(
            f"{len(pieces)} tracks have the artist and title of others in GTZAN ({_some(pieces)})"
        )
    return words


def _again(groups: Iterable[tuple[str, ...]]) -> list[str]:
    """Name every track that repeats the first of its group."""
    return [f"{_name(key)} = {_name(group[0])}" for group in groups for key in group[1:]]


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _present(names: Iterable[str], keys: Collection[str]) -> tuple[str, ...]:
    """Return the keys of those tracks that are there."""
    known = (f"{name.split('.', 1)[0]}/{name}" for name in names)
    return tuple(key for key in known if key in keys)


def _name(key: str) -> str:
    return key.split("/", 1)[1]
