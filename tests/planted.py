"""Libraries whose right answers are known: tracks planted at chosen positions, in a real store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.index.genre_index import GenreIndex
from recsys.recommender.query import OUTSIDE_LIBRARY, Query, make_query
from recsys.store import Store, TrackRecord
from recsys.types import Analysis, FloatArray, ModelInfo, Tags, Track, TrackFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LABELS = ("blues", "classical", "jazz", "rock")

CONFUSION = (
    (0.70, 0.00, 0.20, 0.10),
    (0.00, 0.85, 0.15, 0.00),
    (0.15, 0.10, 0.70, 0.05),
    (0.20, 0.00, 0.05, 0.75),
)


def make_info(
    labels: Sequence[str] = LABELS,
    confusion: Sequence[Sequence[float]] = CONFUSION,
    dimension: int = 16,
    threshold: float = 0.4,
    tags: Sequence[str] = (),
) -> ModelInfo:
    return ModelInfo(
        name="planted",
        fingerprint="planted-1",
        labels=tuple(labels),
        thresholds=(threshold,) * len(labels),
        confusion=np.array(confusion, dtype=np.float32),
        dimension=dimension,
        tags=tuple(tags),
        tag_means=(0.0,) * len(tags),
        tag_deviations=(1.0,) * len(tags),
    )


def unit(vector: Iterable[float]) -> FloatArray:
    """Return a vector of unit length that the index, which rounds to float16, returns as it is."""
    array = np.array(list(vector), dtype=np.float64)
    for _ in range(20):  # the first rounding may change the length by more than the next one keeps
        half = (array / np.linalg.norm(array)).astype(np.float16).astype(np.float64)
        array = half / np.sqrt((half * half).sum())
    return array.astype(np.float32)


def file_outside(path: Path, genre: str = "rock") -> Track:
    """Return a file that is not in the library."""
    return Track(OUTSIDE_LIBRARY, path, Tags(), 0.0, "", genre)


def at_cosine(direction: FloatArray, other: FloatArray, cosine: float) -> FloatArray:
    """Return a unit vector at this cosine to `direction`, leaning towards `other`."""
    across = other - (other @ direction) * direction
    across = across / np.linalg.norm(across)
    return unit(cosine * direction + np.sqrt(1 - cosine**2) * across)


@dataclass(frozen=True)
class Sound:
    """One track to be planted. The probability of its genre is `sure`; the rest is spread.

    `strengths` are those of the model's tags, 0 where they are not given.
    """

    genre: str
    embedding: FloatArray
    sure: float = 0.97
    artist: str | None = None
    title: str | None = None
    album: str | None = None
    album_artist: str | None = None
    duration_s: float = 0.0
    audio_hash: str | None = None
    path: str | None = None
    genre_tag: str | None = None
    year: int | None = None
    strengths: tuple[float, ...] = ()


class PlantedLibrary:
    """Sounds in a real store and a real index, with what a test needs to ask about them."""

    def __init__(
        self, folder: Path, sounds: Sequence[Sound], info: ModelInfo | None = None
    ) -> None:
        self.info = info or make_info()
        self.store = Store.open(folder / "library.db", create=True)
        self.store.set_model(self.info, "{}")
        self.store.set_genre_source("gtzan")  # the genres that are planted
        self.index = GenreIndex(self.info.dimension)
        self.sounds: dict[int, Sound] = {}
        self.add(sounds)

    def add(self, sounds: Sequence[Sound]) -> list[int]:
        known = len(self.sounds)
        records = [self._record(known + i, sound) for i, sound in enumerate(sounds)]
        ids = self.store.write(records)
        for track_id, sound in zip(ids, sounds, strict=True):
            self.sounds[track_id] = sound
            self.index.add(sound.genre, np.array([track_id]), sound.embedding[np.newaxis])
        return ids

    def probabilities(self, sound: Sound) -> FloatArray:
        labels = self.info.labels
        rest = (1 - sound.sure) / (len(labels) - 1)
        return np.array([sound.sure if g == sound.genre else rest for g in labels], np.float32)

    def track(self, track_id: int) -> Track:
        track = self.store.track(track_id)
        assert track is not None
        return track

    def seed(self, track_id: int) -> tuple[Track, Analysis]:
        analysis = self.store.analysis(track_id)
        assert analysis is not None
        return self.track(track_id), analysis

    def query(self, *track_ids: int) -> Query:
        return make_query(self.info, [self.seed(track_id) for track_id in track_ids])

    def analysis(
        self,
        embedding: FloatArray,
        probabilities: Sequence[float],
        strengths: Sequence[float] = (),
    ) -> Analysis:
        logits = np.array([*strengths] or [0.0] * len(self.info.tags))
        scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
        known = np.array(probabilities, np.float32)
        return Analysis(known, embedding, self.info.fingerprint, scores)

    def ids(self, genre: str | None = None) -> list[int]:
        return [i for i, sound in self.sounds.items() if genre in (None, sound.genre)]

    def nearest_ids(self, genre: str | None, query: FloatArray) -> list[int]:
        """Every track of a genre by falling cosine, equals by id: the NumPy oracle."""
        cosines = {
            i: round(float(self.sounds[i].embedding.astype(float) @ query.astype(float)), 6)
            for i in self.ids(genre)
        }
        return sorted(cosines, key=lambda i: (-cosines[i], i))

    def ranked_by_hand(
        self,
        query: Query,
        scores: Iterable[tuple[str, float]],
        groups: Mapping[int, str] | None = None,
        *,
        nearest_leads: bool = True,
    ) -> list[tuple[int, int]]:
        """Return (track, tier) of the whole library, best first: the oracle of rankings by tiers.

        A genre group that scores a third of the best is in the first tier, one that scores a tenth
        has a tier of its own; a tier ends at a cosine of 0.4, and everything else follows. The
        nearest track of all leads the first tier, unless that has one of 0.85 or more; with
        `nearest_leads` False, as in playlists, it does not. `groups` are the genres that were
        planted unless given.
        """
        scored = dict(scores)
        best = max(scored.values())
        related = sorted((s for s in scored.values() if best / 10 <= s < best / 3), reverse=True)
        cosine = {
            i: round(
                float(self.sounds[i].embedding.astype(float) @ query.embedding.astype(float)), 6
            )
            for i in self.ids()
            if i not in query.exclude_ids
        }

        def tier_of(i: int) -> int:
            score = scored[groups[i] if groups else self.sounds[i].genre]
            if cosine[i] < 0.4 or score < best / 10:
                return len(related) + 2
            return 1 if score >= best / 3 else related.index(score) + 2

        tiers = {i: tier_of(i) for i in cosine}
        nearest = min(cosine, key=lambda i: (-cosine[i], i), default=None)
        first = [cosine[i] for i, tier in tiers.items() if tier == 1]
        leads = nearest_leads and nearest is not None
        if leads and max(first, default=-1.0) < min(0.85, cosine[nearest]):
            tiers[nearest] = 1
        return sorted(tiers.items(), key=lambda row: (row[1], -cosine[row[0]], row[0]))

    def _record(self, number: int, sound: Sound) -> TrackRecord:
        probabilities = self.probabilities(sound).tolist()
        analysis = self.analysis(sound.embedding, probabilities, sound.strengths)
        # Unless a test says otherwise, no two tracks have a like duration or the same sound.
        return TrackRecord(
            file=TrackFile(Path(sound.path or f"/music/{number:04}.flac"), 1000 + number, number),
            tags=Tags(
                artist=sound.artist,
                album_artist=sound.album_artist,
                album=sound.album,
                title=sound.title,
                year=sound.year,
                genre_tag=sound.genre_tag,
            ),
            audio_hash=sound.audio_hash or f"hash-{number}",
            duration_s=sound.duration_s or 60.0 + 10 * number,
            warning=None,
            analysis=analysis,
        )


def scattered(
    number: int,
    rng: np.random.Generator,
    *,
    labels: Sequence[str] = LABELS,
    dimension: int = 16,
    artists: int = 0,
    spread: float = 0.6,
) -> list[Sound]:
    """Return sounds scattered around one centre per genre, with artists if asked for."""
    centres = {label: unit(rng.standard_normal(dimension)) for label in labels}
    sounds = []
    for i in range(number):
        genre = labels[int(rng.integers(len(labels)))]
        noise = spread * rng.standard_normal(dimension) / np.sqrt(dimension)
        artist = f"Artist {int(rng.integers(artists))}" if artists else None
        sounds.append(
            Sound(
                genre=genre,
                embedding=unit(centres[genre] + noise),
                artist=artist,
                title=f"Song {i}",
                duration_s=float(rng.uniform(60, 600)),
            )
        )
    return sounds
