"""The map of a library: its embeddings in two dimensions by UMAP, and how true that is.

McInnes, Healy and Melville 2018, arXiv:1802.03426. Neighbours on the map are neighbours in sound,
as far as the trustworthiness says (Venna and Kaski 2001); how far apart two regions lie says
little.
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recsys import atomic
from recsys.errors import QueryError, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recsys.types import FloatArray, IdArray

Positions = npt.NDArray[np.uint16]
"""Places on the map, shape (n, 2)."""

FEWEST = 5
"""Tracks of which a map can be made."""

UMAP_NEIGHBOURS = 15

JUDGED_NEIGHBOURS = 12
"""Neighbours on the map that are judged."""

JUDGED = 1000
"""Tracks, drawn at random, whose neighbours are judged."""

PLACED_BY = 4
"""Nearest tracks of the map by which a new one is placed."""

SIDE = 2**16 - 1

_MARGIN = 0.02
_BLOCK = 256
_CELLS = 48
_REGIONS_PER_GENRE = 2


@dataclass(frozen=True, slots=True)
class Projection:
    """Places of tracks, made once; new tracks are placed among them."""

    ids: IdArray  # (n,), ascending
    places: Positions
    fingerprint: str  # of the model whose embeddings they are
    trustworthiness: float | None  # in [0, 1]; None for too few tracks


def project(
    embeddings: FloatArray, seed: int = 0, on_progress: Callable[[float], object] | None = None
) -> Positions:
    """Return places of embeddings on a map, shape (n, 2), by UMAP; the same ones for a seed.

    `on_progress` hears the share that is done. QueryError if there are too few, MissingExtraError
    without umap-learn.
    """
    if len(embeddings) < FEWEST:
        raise QueryError(
            f"a map needs {FEWEST} tracks, and there are {len(embeddings)}", "Index more music."
        )
    umap = require("umap", "map")
    made = umap.UMAP(
        n_neighbors=min(UMAP_NEIGHBOURS, len(embeddings) - 1),
        min_dist=0.1,
        metric="cosine",
        init="random" if len(embeddings) < 2 * UMAP_NEIGHBOURS else "pca",
        random_state=seed,
        n_jobs=1,  # what a seed demands
        # Its steps can be had as text alone, that of tqdm.
        verbose=on_progress is not None,
        tqdm_kwds={"file": _Steps(on_progress)} if on_progress is not None else None,
    ).fit_transform(embeddings)
    return _scaled(np.asarray(made, np.float64))


class _Steps:
    """Hears of steps as a progress bar writes them: ``... 12/200 [...``."""

    def __init__(self, on_progress: Callable[[float], object]) -> None:
        self._tell = on_progress

    def write(self, text: str) -> None:
        """Tell the share that is done."""
        if found := re.search(r"(\d+)/(\d+) \[", text):
            self._tell(int(found[1]) / int(found[2]))

    def flush(self) -> None:
        """Have nothing left to write."""


def _scaled(places: npt.NDArray[np.float64]) -> Positions:
    """Return places in a square, both axes to one scale; what lies far out is moved to its edge."""
    low, high = np.percentile(places, [0.1, 99.9], axis=0)
    extent = float((high - low).max()) or 1.0
    scaled = (places - (low + high) / 2) / extent * (1 - 2 * _MARGIN) + 0.5
    result: Positions = (np.clip(scaled, 0, 1) * SIDE).round().astype(np.uint16)
    return result


def trustworthiness(
    embeddings: FloatArray, places: Positions, k: int = JUDGED_NEIGHBOURS, seed: int = 0
) -> float | None:
    """Return how far the `k` neighbours on a map are neighbours in sound, of a sample of tracks.

    1 minus the ranks by which they exceed `k`, scaled as Venna and Kaski do; a map by chance has
    about 0.5. None for fewer than 3 k tracks.
    """
    n = len(embeddings)
    if n < 3 * k:
        return None
    sample = np.random.default_rng(seed).permutation(n)[:JUDGED]
    flat = places.astype(np.float32)
    excess = 0.0
    for i in sample.tolist():
        away = ((flat - flat[i]) ** 2).sum(axis=1)
        away[i] = np.inf
        near = np.argpartition(away, k)[:k]
        similar = embeddings @ embeddings[i]
        similar[i] = -np.inf
        ranks = 1 + (similar[:, np.newaxis] > similar[near]).sum(axis=0)
        excess += float(np.maximum(ranks - k, 0).sum())
    return 1 - 2 * excess / (len(sample) * k * (2 * n - 3 * k - 1))


def placed(new: FloatArray, embeddings: FloatArray, places: Positions) -> Positions:
    """Return places of new embeddings: between those that are nearest to them in sound."""
    count = min(PLACED_BY, len(embeddings))
    result = np.empty((len(new), 2), np.uint16)
    for start in range(0, len(new), _BLOCK):
        cosines = new[start : start + _BLOCK] @ embeddings.T
        near = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        weights = np.clip(np.take_along_axis(cosines, near, axis=1), 1e-3, 1) ** 8
        weights /= weights.sum(axis=1, keepdims=True)
        mean = (places[near] * weights[..., np.newaxis]).sum(axis=1)
        result[start : start + _BLOCK] = mean.round()
    return result


def regions(
    places: Positions, genres: npt.NDArray[Any], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the densest places of each genre, in [0, 1], with their tracks; most tracks first."""
    found = []
    for number, name in enumerate(names):
        own = places[genres == number] / SIDE
        if len(own) < max(3, len(places) // 400):
            continue
        cells = np.minimum((own * _CELLS).astype(np.intp), _CELLS - 1)
        counts = np.zeros((_CELLS + 2, _CELLS + 2))
        np.add.at(counts, (cells[:, 0] + 1, cells[:, 1] + 1), 1)
        shifts = [(dx, dy) for dx in (0, 1, 2) for dy in (0, 1, 2)]
        around = np.stack([counts[dx : _CELLS + dx, dy : _CELLS + dy] for dx, dy in shifts]).sum(0)
        most = around.max()
        for _ in range(_REGIONS_PER_GENRE):
            x, y = np.unravel_index(int(around.argmax()), around.shape)
            if around[x, y] < most / 2:
                break
            inside = (np.abs(cells - (x, y)) <= 1).all(axis=1)
            middle = own[inside].mean(axis=0)
            found.append(
                {
                    "name": name,
                    "x": round(float(middle[0]), 4),
                    "y": round(float(middle[1]), 4),
                    "tracks": int(inside.sum()),
                }
            )
            around[max(0, x - 6) : x + 7, max(0, y - 6) : y + 7] = 0
    return sorted(found, key=lambda each: -int(each["tracks"]))


# The file next to the library


def map_file(database: Path) -> Path:
    """Return where the map of a library is kept."""
    return database.with_name(f"{database.stem}.map.npz")


def save(projection: Projection, path: Path) -> None:
    """Write a map, atomically."""
    about = {
        "fingerprint": projection.fingerprint,
        "trustworthiness": projection.trustworthiness,
    }
    with atomic.replacing(path, suffix=".npz") as target, target.open("wb") as file:
        np.savez(
            file,
            ids=projection.ids,
            places=projection.places,
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        )


def load(path: Path) -> Projection | None:
    """Return the map of a file; None where there is none, or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about: Mapping[str, Any] = json.loads(arrays["about"].tobytes())
            ids, places = arrays["ids"].astype(np.int64), arrays["places"].astype(np.uint16)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        return None
    if ids.ndim != 1 or places.shape != (len(ids), 2) or np.any(np.diff(ids) <= 0):
        return None
    return Projection(ids, places, str(about["fingerprint"]), about["trustworthiness"])


def check_can_project() -> None:
    """Raise MissingExtraError where umap-learn is not installed; it is not loaded."""
    from importlib.util import find_spec

    if find_spec("umap") is None:
        require("umap", "map")
