"""Libraries of any size whose tracks lie as music does, made from a seed.

An embedding is the centre of a genre, plus the centre of an artist, plus what is the track's own,
brought to unit length. Artist and track spread most along a few directions and ever less along the
others, as embeddings of music do: noise that is equal in every direction would make all tracks of
a genre equally far apart. Some tracks come twice, as encodings of one recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.store import Store, TrackRecord
from recsys.types import Analysis, FloatArray, ModelInfo, Tags, TrackFile

if TYPE_CHECKING:
    from collections.abc import Iterator

DIMENSION = 128
SHARES = (
    *(("rock", 0.26), ("pop", 0.17), ("classical", 0.14), ("jazz", 0.11), ("metal", 0.09)),
    *(("hiphop", 0.08), ("country", 0.06), ("blues", 0.04), ("disco", 0.03), ("reggae", 0.02)),
)
"""Genres and their shares of the artists: at a million tracks the largest has about 260,000."""

TRACKS_PER_ARTIST = 12
TRACKS_PER_ALBUM = 6
COPIES = 0.02
"""Share of the tracks that are another encoding of the track before them."""

ARTIST_SPREAD = 0.55
TRACK_SPREAD = 0.45
"""Lengths of what an artist and a track add to the centre of their genre, whose length is 1."""

COPY_SPREAD = 0.01
DECAY = 0.5
"""Spread along direction ``i`` falls as ``i ** -DECAY``."""

SHARPNESS = 14.0
"""Of the softmax that makes probabilities of the cosines to the centres of the genres."""

BATCH_ARTISTS = 1000

NOWHERE = Path("/planted")
"""Folder of the tracks that need no files."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Tracks in order: the first has the id ``first + 1``; a copy re-encodes the one before it."""

    first: int
    embeddings: FloatArray
    probabilities: FloatArray
    copies: np.ndarray[tuple[int], np.dtype[np.bool_]]


def planted_model() -> ModelInfo:
    """Return the model of planted libraries."""
    labels = tuple(name for name, _ in SHARES)
    confusion = np.full((len(labels), len(labels)), 0.2 / (len(labels) - 1), dtype=np.float32)
    np.fill_diagonal(confusion, 0.8)
    return ModelInfo("planted", "planted-1", labels, (0.4,) * len(labels), confusion, DIMENSION)


def batches(tracks: int, seed: int = 0) -> Iterator[Batch]:
    """Yield tracks, a batch at a time; the first ones are the same whatever their number."""
    centres, spread = _space(seed)
    size = BATCH_ARTISTS * TRACKS_PER_ARTIST
    for number, first in enumerate(range(0, tracks, size)):
        yield _batch(first, min(size, tracks - first), centres, spread, (seed, 1, number))


def later_batch(after: int, tracks: int, seed: int = 0) -> Batch:
    """Return tracks distributed like those of a library of ``after`` tracks, and not in it."""
    centres, spread = _space(seed)
    return _batch(after, tracks, centres, spread, (seed, 2, after))


def _space(seed: int) -> tuple[FloatArray, FloatArray]:
    """Return the centres of the genres, and the matrix that shapes white noise."""
    rng = np.random.default_rng((seed, 0))
    centres = _unit(rng.standard_normal((len(SHARES), DIMENSION), dtype=np.float32))
    scales = np.arange(1, DIMENSION + 1) ** -DECAY
    turned, _ = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))
    spread = (scales / np.linalg.norm(scales))[:, np.newaxis] * turned
    return centres, spread.astype(np.float32)


def _batch(
    first: int, count: int, centres: FloatArray, spread: FloatArray, key: tuple[int, ...]
) -> Batch:
    rng = np.random.default_rng(key)
    genres = rng.choice(len(SHARES), BATCH_ARTISTS, p=[share for _, share in SHARES])
    artists = rng.standard_normal((BATCH_ARTISTS, DIMENSION), dtype=np.float32) @ spread
    homes = centres[genres] + ARTIST_SPREAD * artists
    rows = rng.standard_normal((BATCH_ARTISTS * TRACKS_PER_ARTIST, DIMENSION), dtype=np.float32)
    found = np.repeat(homes, TRACKS_PER_ARTIST, axis=0) + TRACK_SPREAD * (rows @ spread)
    copies = rng.random(len(found)) < COPIES
    copies[::TRACKS_PER_ALBUM] = False  # an album does not begin with one
    copies[1:] &= ~copies[:-1]
    twice = np.flatnonzero(copies)
    found[twice] = found[twice - 1] + COPY_SPREAD * (rows[twice] @ spread)
    embeddings = _unit(found)[:count]
    return Batch(first, embeddings, _probabilities(embeddings, centres), copies[:count])


def _unit(rows: FloatArray) -> FloatArray:
    unit: FloatArray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _probabilities(embeddings: FloatArray, centres: FloatArray) -> FloatArray:
    logits = SHARPNESS * (embeddings @ centres.T)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return shares


def make_library(database: Path, tracks: int, seed: int = 0) -> None:
    """Make a database of planted tracks, with ids from 1, without its index.

    Answers have no file that is not there: each track has one, without any content.
    """
    model, root = planted_model(), music_of(database)
    with Store.open(database, create=True) as store:
        store.set_model(model, "{}")
        for batch in batches(tracks, seed):
            store.write(planted := records(batch, model, root))
            for record in planted:
                record.file.path.parent.mkdir(parents=True, exist_ok=True)
                record.file.path.touch()
        store.add_root(root)


def music_of(database: Path) -> Path:
    """Return the folder with the files of a planted library."""
    return database.parent / "music"


def records(batch: Batch, model: ModelInfo, root: Path = NOWHERE) -> list[TrackRecord]:
    """Return the tracks of a batch as the store takes them."""
    return [_record(batch, row, model, root) for row in range(len(batch.embeddings))]


def path_of(number: int, root: Path = NOWHERE) -> Path:
    """Return the path of a track by its number, counted from 0."""
    album = number // TRACKS_PER_ALBUM
    artist = number // TRACKS_PER_ARTIST
    return root / f"Artist {artist:07}/Album {album:07}/Song {number:08}.flac"


def _record(batch: Batch, row: int, model: ModelInfo, root: Path) -> TrackRecord:
    number = batch.first + row
    is_copy = bool(batch.copies[row])
    named = number - is_copy
    probabilities = batch.probabilities[row]
    # An odd multiplier makes durations and hashes differ without any order.
    mixed = (named * 0x9E3779B97F4A7C15) % 2**64
    own = (number * 0x9E3779B97F4A7C15) % 2**64
    return TrackRecord(
        file=TrackFile(path_of(number, root), 30_000_000 + number, 10**18 + number),
        tags=Tags(
            artist=f"Artist {number // TRACKS_PER_ARTIST:07}",
            album=f"Album {number // TRACKS_PER_ALBUM:07}",
            title=f"Song {named:08}",
            track_number=number % TRACKS_PER_ALBUM + 1,
            year=1960 + mixed % 60,
            genre_tag=model.top_genre(probabilities),
        ),
        audio_hash=f"{own:016x}{number:016x}",
        duration_s=120.0 + mixed % 240_000 / 1000 + 0.3 * is_copy,
        warning=None,
        analysis=Analysis(
            probabilities, batch.embeddings[row], model.fingerprint, effort=model.effort
        ),
    )
