from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.benchmark.planted import (
    COPIES,
    DIMENSION,
    SHARES,
    TRACKS_PER_ARTIST,
    Batch,
    batches,
    later_batch,
    make_library,
    path_of,
    planted_model,
    records,
)
from recsys.errors import StoreError
from recsys.recommender.duplicates import NearDuplicates
from recsys.store import Store, TrackRecord
from recsys.store.bulk import insert_new
from recsys.types import Tags, TrackFile

TRACKS = 600


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("planted") / "library.db"
    make_library(path, TRACKS, seed=3)
    return path


def first_batch(tracks: int = 12_000, seed: int = 3) -> Batch:
    return next(batches(tracks, seed))


def test_the_same_seed_makes_the_same_tracks_whatever_their_number() -> None:
    few, many = list(batches(500, 3)), list(batches(13_000, 3))
    np.testing.assert_array_equal(few[0].embeddings, many[0].embeddings[:500])
    assert [(b.first, len(b.embeddings)) for b in many] == [(0, 12_000), (12_000, 1_000)]
    assert not np.array_equal(few[0].embeddings, first_batch(500, seed=4).embeddings)
    assert not np.array_equal(many[0].embeddings[:1000], many[1].embeddings)


def test_tracks_are_nearest_to_their_artist_and_then_to_their_genre() -> None:
    batch = first_batch()
    rows = batch.embeddings
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(batch.probabilities.sum(axis=1), 1, atol=1e-5)
    artists = np.arange(len(rows)) // TRACKS_PER_ARTIST
    genres = batch.probabilities.argmax(axis=1)
    cosines = rows[:1200] @ rows.T
    same_artist = artists[:1200, np.newaxis] == artists
    same_genre = (genres[:1200, np.newaxis] == genres) & ~same_artist
    means = [cosines[same_artist].mean(), cosines[same_genre].mean()]
    means.append(cosines[~same_genre & ~same_artist].mean())
    assert means == sorted(means, reverse=True)
    assert means[0] > means[1] + 0.1 > means[2] + 0.2


def test_genres_are_as_uneven_as_they_are_planted() -> None:
    genres = first_batch().probabilities.argmax(axis=1)
    shares = np.bincount(genres, minlength=len(SHARES)) / len(genres)
    np.testing.assert_allclose(shares, [share for _, share in SHARES], atol=0.04)
    assert SHARES[0][1] * 1_000_000 > 200_000


def test_copies_are_near_duplicates_and_nothing_else_is() -> None:
    batch, model = first_batch(2400), planted_model()
    assert 0 < batch.copies.sum() < 2 * COPIES * len(batch.copies)
    made = records(batch, model)
    with_ids = NearDuplicates()
    found = []
    for number, record in enumerate(made):
        track = as_track(number, record)
        found.append(with_ids.match(track, batch.embeddings[number]))
        with_ids.add(track, batch.embeddings[number])
    np.testing.assert_array_equal(found, batch.copies)


def as_track(number: int, record: TrackRecord):  # type: ignore[no-untyped-def]  # noqa: ANN201
    from recsys.types import Track

    return Track(
        number, record.file.path, record.tags, record.duration_s, record.audio_hash, "rock"
    )


def test_the_library_holds_what_was_planted(library: Path) -> None:
    batch, model = first_batch(TRACKS), planted_model()
    with Store.open(library, read_only=True) as store:
        assert store.counts()["tracks"] == store.counts()["analyses"] == TRACKS
        assert store.integrity_problems() == []
        ids, genres, rows = next(store.iter_embeddings())
        np.testing.assert_array_equal(ids, np.arange(1, TRACKS + 1))
        np.testing.assert_array_equal(rows, batch.embeddings)
        assert genres == [model.top_genre(p) for p in batch.probabilities]
        track = store.track_by_path(path_of(77))
        assert track is not None
        assert (track.id, track.artist) == (78, "Artist 0000006")
        (found,) = store.find_tracks("artist 0000006 song 00000077")
        assert found.id == 78


def test_what_is_written_in_bulk_is_what_is_written_one_by_one(tmp_path: Path) -> None:
    model, made = planted_model(), records(first_batch(50), planted_model())
    contents = []
    for name in ("bulk.db", "plain.db"):
        with Store.open(tmp_path / name, create=True) as store:
            store.set_model(model, "{}")
            if name == "bulk.db":
                insert_new(store, made)
            else:
                store.write(made)
            tables = ("tracks", "analyses")
            contents.append([store._rows(f"SELECT * FROM {table}") for table in tables])
    assert contents[0] == contents[1]


def test_what_cannot_be_written_in_bulk_leaves_nothing_behind(tmp_path: Path) -> None:
    model, made = planted_model(), records(first_batch(20), planted_model())
    unheard = TrackRecord(TrackFile(Path("/x"), 1, 1), Tags(), "hash", 1.0, None, None)
    with Store.open(tmp_path / "library.db", create=True) as store:
        with pytest.raises(StoreError, match="cannot be filled in bulk"):
            insert_new(store, made)
        store.set_model(model, "{}")
        with pytest.raises(StoreError, match="/x has no analysis"):
            insert_new(store, [*made, unheard])
        assert store.counts()["tracks"] == 0
        insert_new(store, made)
        with pytest.raises(StoreError, match="UNIQUE"):
            insert_new(store, made[:1])
        assert store.counts()["tracks"] == 20


def test_later_tracks_are_new_ones_of_the_same_kind() -> None:
    later, before = later_batch(TRACKS, 24, seed=3), first_batch(TRACKS)
    assert (later.first, len(later.embeddings)) == (TRACKS, 24)
    assert later.embeddings.shape[1] == DIMENSION
    assert (later.embeddings @ before.embeddings.T).max() < 0.999
    assert (later.embeddings @ before.embeddings.T).max() > 0.5
