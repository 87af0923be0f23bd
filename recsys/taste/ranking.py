"""Taste: how much the events of a listener move a track up or down.

    score = cosine to the query + taste
    taste = sound + artist + genre, each weight * sum(w k) / (shrinkage + sum(|w| k))

over the judged tracks. ``w`` is what was said of one, from -1 (disliked) to 1 (liked), less the
older it is; ``k``, in [0, 1], how much a candidate is like it: by the cosine of their embeddings,
or whether they share the artist, or the genre group. So one event moves little, and many that
contradict each other nothing.

The order of a tier changes, never the tiers. The figures were chosen with simulated listeners
(``tests/benchmarks/simulate_listeners.py``) other than those whose results are reported.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.credits import artist_key
from recsys.taste.events import EventKind, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import numpy.typing as npt

    from recsys.taste.events import Event
    from recsys.types import FloatArray, Track

MOST_EVENTS = 5000
"""Latest events that count: older ones have lost their weight, and reading them takes time."""

MOST_JUDGED = 500
"""Judged tracks that count, those of which most was said."""

STRENGTH = {
    EventKind.LIKE: 1.0,
    EventKind.DISLIKE: -1.0,
    EventKind.PLAY: 0.25,
    EventKind.SKIP: -0.25,
}
"""What one event says of a track. A ban says nothing of others: the song may be worn out."""

HALF_LIFE_DAYS = 365.0
"""Days after which an event counts half.

About the best for listeners whose taste changed a year ago, and no worse than none for others.
"""

TOLD_FROM = 0.005
"""What a track is moved by at least to be told: less changes no place that is seen."""


@dataclass(frozen=True, slots=True)
class TasteWeights:
    """How much each part of the taste counts, as differences of cosines."""

    sound: float = 0.3
    artist: float = 0.05
    genre: float = 0.05
    shrinkage: float = 0.5  # judgements that say nothing, added to every mean
    sharpness: float = 4.0  # power of the cosine: the higher, the nearer a judged track must be


@dataclass(frozen=True, slots=True)
class Opinion:
    """What was said of a sound."""

    weight: float  # in [-1, 1]
    verb: str  # the last that was said, for display
    group: str | None = None  # of which it was said, if not of the track alone: "the artist X"


@dataclass(frozen=True, slots=True)
class Judged:
    """A track of the library of which something was said."""

    track: Track
    embedding: FloatArray  # (d,), unit length
    opinion: Opinion


class Taste:
    """What the events of a listener say of tracks; made of :func:`opinions`."""

    def __init__(
        self,
        judged: Sequence[Judged],
        artists: Mapping[str, float] | None = None,
        weights: TasteWeights | None = None,
    ) -> None:
        """Take the judged tracks, and the weights of artists that were judged as such, by key."""
        self._weights = weights or TasteWeights()
        self._judged = tuple(judged)
        vectors = [each.embedding for each in judged]
        self._vectors = np.stack(vectors) if vectors else np.empty((0, 0), np.float32)
        self._w = np.array([each.opinion.weight for each in judged], dtype=np.float32)
        said: defaultdict[str, list[float]] = defaultdict(list)
        for each in judged:
            artist = artist_key(each.track)
            if artist is not None:
                said[artist].append(each.opinion.weight)
        for artist, weight in (artists or {}).items():
            said[artist].append(weight)
        self._artists = {artist: self._mean(values) for artist, values in said.items()}
        groups: defaultdict[str, list[float]] = defaultdict(list)
        for each in judged:
            groups[each.track.genre_group].append(each.opinion.weight)
        self._genres = {genre: self._mean(values) for genre, values in groups.items()}

    def _mean(self, values: Sequence[float]) -> float:
        return math.fsum(values) / (self._weights.shrinkage + math.fsum(map(abs, values)))

    def __bool__(self) -> bool:
        return bool(self._artists or self._judged)

    def of(self, tracks: Sequence[Track], embeddings: FloatArray) -> npt.NDArray[np.float64]:
        """Return what is added to the cosines of tracks, shape (n,); `embeddings` are (n, d)."""
        weights = self._weights
        added = np.array([self._by_names(track) for track in tracks], dtype=np.float64)
        if self._judged:
            alike = self._alike(embeddings)
            added += (
                weights.sound * (alike @ self._w) / (weights.shrinkage + alike @ np.abs(self._w))
            )
        # Rounded, so that the order of float32 sums, which processors choose, decides nothing.
        return added.round(6)

    def reason(self, track: Track, embedding: FloatArray) -> tuple[str, str] | None:
        """Return what moves a track in words, and how far; None where that is next to nothing."""
        moved = float(self.of([track], embedding[np.newaxis])[0])
        if abs(moved) < TOLD_FROM:
            return None
        parts = [part for part in self._parts(track, embedding) if part[0] * moved > 0]
        _, words = max(parts, key=lambda part: abs(part[0]))
        return words, f"moved {'up' if moved > 0 else 'down'} by {abs(moved):.2f}"

    def _parts(self, track: Track, embedding: FloatArray) -> Iterator[tuple[float, str]]:
        """Yield what each judgement adds, with words for it."""
        weights, artist = self._weights, artist_key(track)
        if self._judged:
            alike = self._alike(embedding[np.newaxis])[0]
            shares = alike * self._w / (weights.shrinkage + float(alike @ np.abs(self._w)))
            total = weights.sound * float(shares.sum())
            nearest = int(np.argmax(shares * np.sign(total)))
            yield total, _words(self._judged[nearest], track)
        if artist in self._artists:
            value = weights.artist * self._artists[artist]
            yield value, f"you {_said(value)} {track.artist}"
        if track.genre_group in self._genres:
            value = weights.genre * self._genres[track.genre_group]
            yield value, f"you {_said(value)} {track.genre_group}"

    def _by_names(self, track: Track) -> float:
        artist = artist_key(track)
        by_artist = 0.0 if artist is None else self._artists.get(artist, 0.0)
        by_genre = self._genres.get(track.genre_group, 0.0)
        return self._weights.artist * by_artist + self._weights.genre * by_genre

    def _alike(self, embeddings: FloatArray) -> npt.NDArray[np.float64]:
        """Return how much tracks are like each judged one, in [0, 1], shape (n, judged)."""
        # Row by row: for matrices this small, waking the threads of BLAS costs more than the sums.
        cosines = [self._vectors @ own for own in embeddings]
        alike: npt.NDArray[np.float64] = np.clip(np.stack(cosines), 0, 1).astype(np.float64)
        alike **= self._weights.sharpness
        return alike


@dataclass(frozen=True, slots=True)
class Opinions:
    """What events say, by the audio hash of a sound, and by the key of an artist."""

    sounds: Mapping[str, Opinion]
    artists: Mapping[str, float]


def opinions(
    events: Iterable[Event], now: datetime, half_life_days: float = HALF_LIFE_DAYS
) -> Opinions:
    """Return what events, in the order of their times, say now: of :data:`MOST_JUDGED` sounds.

    The last like or dislike of a thing replaces those before it; plays and skips add up.
    """

    def weight_of(event: Event) -> float:
        days = max(0.0, (now - event.time).total_seconds() / 86_400)
        return float(STRENGTH[event.kind] * 2.0 ** (-days / half_life_days))

    last: dict[tuple[Subject, str], Event] = {}
    passing = []
    for event in events:
        if event.kind in (EventKind.LIKE, EventKind.DISLIKE):
            last[event.subject, event.key] = event
        elif event.kind in STRENGTH:
            passing.append(event)
    sums: defaultdict[str, float] = defaultdict(float)
    latest: dict[str, Event] = {}
    for event in (*passing, *last.values()):
        # An artist with many tracks counts more than one track, but not as all of them.
        weight = weight_of(event) / math.sqrt(max(1, len(event.tracks)))
        for sound in event.tracks:
            sums[sound] += weight
            latest[sound] = event
    sounds = {sound: _opinion(sums[sound], event) for sound, event in latest.items()}
    most = sorted(sounds, key=lambda sound: (-abs(sounds[sound].weight), sound))[:MOST_JUDGED]
    artists = {
        key: weight_of(event) for (subject, key), event in last.items() if subject == Subject.ARTIST
    }
    return Opinions({sound: sounds[sound] for sound in most}, artists)


def _opinion(total: float, event: Event) -> Opinion:
    group = None if event.subject == Subject.TRACK else str(event)
    return Opinion(max(-1.0, min(1.0, total)), _VERBS[event.kind], group)


_VERBS = {
    EventKind.LIKE: "liked",
    EventKind.DISLIKE: "disliked",
    EventKind.PLAY: "played",
    EventKind.SKIP: "skipped",
}


def _words(judged: Judged, track: Track) -> str:
    """Return words for what was said of a track that is like another one."""
    opinion = judged.opinion
    if judged.track.audio_hash == track.audio_hash:
        return f"you {opinion.verb} {opinion.group or 'it'}"
    return f"you {opinion.verb} {opinion.group or judged.track.display_name}, which sounds like it"


def _said(value: float) -> str:
    return "liked or played" if value > 0 else "disliked or skipped"
