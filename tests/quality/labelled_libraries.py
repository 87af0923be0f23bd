"""Planted libraries with folders, artists and albums, and how to measure them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recsys.quality import Quality, QualityOptions, measure_quality
from recsys.quality.evaluation import QualityTask, draw_queries
from recsys.quality.labels import choose_labels, read_columns
from recsys.types import FloatArray
from tests.planted import LABELS, PlantedLibrary, Sound, make_info, unit


def two_clusters(
    of_each: int = 12, artists: int = 4, *, folders: bool = True, seed: int = 0
) -> list[Sound]:
    """Return blues and rock so far apart that the nearest are always of the own genre."""
    rng = np.random.default_rng(seed)
    sounds = []
    for number in range(2 * of_each):
        genre = ("blues", "rock")[number % 2]
        centre = np.eye(16)[0 if genre == "blues" else 1]
        sounds.append(
            Sound(
                genre=genre,
                embedding=unit(centre + 0.1 * rng.standard_normal(16)),
                artist=f"{genre} {number // 2 % artists}",
                title=f"Song {number}",
                album=f"Album {number // 2 % artists}",
                path=f"/music/{genre if folders else 'all'}/{number}.flac",
            )
        )
    return sounds


def scattered_sounds(
    number: int, seed: int, *, artists: int = 9, sure: tuple[float, float] = (0.3, 0.99)
) -> list[Sound]:
    """Return sounds of four overlapping genres in folders that agree with them most of the time."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((4, 16))
    sounds = []
    for i in range(number):
        genre, folder = rng.integers(4, size=2)
        folder = genre if rng.random() < 0.7 else folder
        artist = int(rng.integers(-1, artists))
        sounds.append(
            Sound(
                genre=LABELS[genre],
                embedding=unit(centres[folder] + 1.2 * rng.standard_normal(16)),
                sure=float(rng.uniform(*sure)),
                artist=f"Artist {artist}" if artist >= 0 else None,
                album=f"Album {int(rng.integers(3))}",
                title=f"Song {i}",
                path=f"/music/{LABELS[folder]}/{i}.flac",
            )
        )
    return sounds


def measured(library: PlantedLibrary, **options: Any) -> Quality:
    return measure_quality(library.store, library.index, library.info, QualityOptions(**options))


def figure(quality: Quality, system: str, name: str) -> float | None:
    (own,) = (row for row in quality.systems if row.name == system)
    return own.figures[name].value


def task_of(library: PlantedLibrary, k: int = 5, sample: int | None = None) -> QualityTask:
    columns = read_columns(library.store)
    labels = choose_labels(columns, "folder")
    rows = draw_queries(len(columns), QualityOptions(k=k, sample=sample))
    return QualityTask(columns, labels, rows, k, 0)


def wide_library(folder: Path, embeddings: FloatArray, genre: str = "jazz") -> PlantedLibrary:
    """Return a library of one genre with these embeddings, each track by an artist of its own."""
    info = replace(make_info(), dimension=embeddings.shape[1])
    sounds = [
        Sound(genre, vector, artist=f"A{i}", path=f"/music/{'ab'[i % 2]}/{i}.flac")
        for i, vector in enumerate(embeddings)
    ]
    return PlantedLibrary(folder, sounds, info)
