"""Another head over the same embeddings: what is kept, what changes, and what the index learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import StoreError
from recsys.store import Store
from recsys.types import Analysis, Effort, FloatArray, ModelInfo
from tests.stored import LABELS, analysed, axis, model_info, record

TAGGED = replace(
    model_info(), tags=("calm", "loud"), tag_means=(0.0, 0.0), tag_deviations=(1.0,) * 2
)
OWN = replace(
    TAGGED,
    fingerprint="own",
    labels=("a", "b"),
    thresholds=(0.3, 0.3),
    confusion=np.full((2, 2), 0.5, dtype=np.float32),
)


def second_axis_is_b(embeddings: FloatArray) -> FloatArray:
    share = np.clip(embeddings[:, 1], 0.1, 0.9)
    return np.stack([1 - share, share], axis=1).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "library.db", create=True) as store:
        store.set_model(TAGGED, "{}")
        store.write(
            [
                record(
                    f"/m/{number}.flac",
                    replace(
                        analysed(embedding=number), tags=np.array([0.25, 0.5 * number], np.float32)
                    ),
                    warning="odd" if number else None,
                )
                for number in (0, 1)
            ]
        )
        yield store


def change(store: Store, info: ModelInfo = OWN, before: ModelInfo = TAGGED) -> int:
    return store.change_head(info, "{}", Path("/own.safetensors"), second_axis_is_b, before=before)


def test_only_genres_and_probabilities_change(store: Store) -> None:
    before = [store.analysis(number) for number in (1, 2)]
    assert change(store) == 2
    for number, old, genre in zip((1, 2), before, ("a", "b"), strict=True):
        track, new = store.track(number), store.analysis(number)
        assert old is not None
        assert new is not None
        assert track is not None
        assert (track.genre, track.duration_s) == (genre, 200.0)
        assert track.warning == ("odd" if number == 2 else None)
        assert np.array_equal(new.embedding, old.embedding)
        assert np.array_equal(new.tags, old.tags)
        assert new.fingerprint == "own"
        assert np.array_equal(new.probabilities, second_axis_is_b(new.embedding[np.newaxis])[0])
    assert store.model_path() == Path("/own.safetensors")


def test_the_index_learns_of_every_track(store: Store) -> None:
    revision = store.revision
    change(store)
    changes = store.changes_since(revision)
    assert changes.ids.tolist() == [1, 2]
    assert changes.genres == ("a", "b")
    assert changes.revision > revision


def test_sounds_that_the_former_model_had_not_analysed_still_wait(store: Store) -> None:
    store.write([record("/m/9.flac", None, audio_hash="another hash")])
    assert change(store) == 2
    assert store.counts()["unanalysed"] == 1


def test_a_head_for_another_model(store: Store) -> None:
    with pytest.raises(StoreError, match="changed meanwhile"):
        change(store, before=replace(TAGGED, fingerprint="m0"))
    with pytest.raises(StoreError, match="changed meanwhile"):
        change(store, before=replace(TAGGED, effort=Effort.FAST))
    with pytest.raises(StoreError, match="changed meanwhile"):
        change(store, replace(OWN, dimension=99))
    info = store.model()
    assert info is not None
    assert info.labels == LABELS


def test_new_tracks_are_written_by_the_new_model(store: Store) -> None:
    change(store)
    fresh = Analysis(np.array([0.2, 0.8], np.float32), axis(3), "own", np.zeros(2, np.float32))
    (number,) = store.write([record("/m/new.flac", fresh)])
    track = store.track(number)
    assert track is not None
    assert track.genre == "b"
