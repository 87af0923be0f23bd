"""Libraries to be pushed, and what is asked of both to see that the answers are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.milvus.catalogue import MilvusCatalogue
from recsys.milvus.client import Connection, parse_place
from recsys.milvus.push import PushSummary, push
from recsys.playlists import PlaylistMaker, PlaylistOptions
from recsys.recommender import Recommender, SimilarOptions
from recsys.recommender.query import make_query
from tests.planted import PlantedLibrary, make_info, scattered, unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from recsys.index.base import EmbeddingIndex
    from recsys.store import Store
    from recsys.types import Catalogue
    from tests.planted import Sound

TAGS = ("rock", "Mellow", "Hip-Hop", "80s")

OPTIONS = (
    SimilarOptions(k=20),
    SimilarOptions(k=500),
    SimilarOptions(k=15, strategy="similarity"),
    SimilarOptions(k=30, genre="Jazz", show_duplicates=True),
    SimilarOptions(k=30, max_per_artist=1, no_same_album=True),
    SimilarOptions(k=25, tags=("mellow", "80s")),
)

PLAYLISTS = (
    PlaylistOptions(length=12, seed=3),
    PlaylistOptions(length=20, seed=4, diversity=0.5, artist_gap=3),
    PlaylistOptions(duration_s=3600, seed=5, tags=("mellow",)),
)


def odd_sounds(direction: Sequence[float]) -> list[Sound]:
    """Tracks whose names are not what a database expects, all at nearly one place."""
    from tests.planted import Sound

    here = unit(direction)
    named = [
        ('AC"DC \\ 100% _under_', "Say 'hello'\nagain", "/music/a\"b'c\\d%e_f.mp3"),
        ("Sigur Rós", "Ágætis byrjun", "/music/\udcff\udc80 not utf-8.flac"),
        ("", "", "/music/日本/\t曲.ogg"),
        ("\x1a mark", "{id} in [1]", "/music/\x1a26.mp3"),
    ]
    return [
        Sound("jazz", here, artist=artist, title=title, path=path, album="Odd", genre_tag="a\\b;c")
        for artist, title, path in named
    ]


def sounds(number: int, seed: int = 0) -> list[Sound]:
    rng = np.random.default_rng(seed)
    made = [
        replace(
            sound,
            strengths=tuple(rng.normal(0, 1.5, len(TAGS)).tolist()),
            album=f"Album {i % 7}",
            genre_tag=("Free Jazz", "rock", None)[i % 3],
            path=f"/music/{seed}/{i:05}.flac",
        )
        for i, sound in enumerate(scattered(number, rng, artists=number // 4))
    ]
    return [*made, *odd_sounds(rng.standard_normal(16).tolist())] if seed == 0 else made


def make_library(folder: Path, number: int = 150) -> PlantedLibrary:
    return PlantedLibrary(folder, sounds(number), make_info(tags=TAGS))


def push_to(store: Store, place: Path | str, **options: Any) -> PushSummary:
    with Connection(parse_place(place), create=True) as connection:
        return push(store, connection, **options)


def open_at(place: Path | str) -> MilvusCatalogue:
    return MilvusCatalogue.open(Connection(parse_place(place)))


def answers(
    catalogue: Catalogue, index: EmbeddingIndex, seeds: Sequence[int]
) -> Iterator[tuple[Any, ...]]:
    """Yield all that a reader may ask of a library, as values that compare."""
    info = catalogue.model()
    assert info is not None
    recommender, maker = (kind(catalogue, index, info) for kind in (Recommender, PlaylistMaker))
    for seed in seeds:
        track, analysis = catalogue.track(seed), catalogue.analysis(seed)
        assert track is not None
        assert analysis is not None
        query = make_query(info, [(track, analysis)])
        for options in OPTIONS:
            answer = recommender.with_reasons(recommender.similar(query, options))
            yield options, answer.genre_group, answer.genre_scores, answer.results, answer.filtered
            yield options, answer.notes
        for wish in PLAYLISTS:
            yield wish, maker.from_seeds(query, wish)
            yield wish, maker.anywhere(wish)
        yield seed, maker.cycle("auto", (track, analysis), PlaylistOptions(length=12))
