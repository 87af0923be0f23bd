"""Hand-made features of real files: computed once, kept, and done without where files are gone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import MissingExtraError
from recsys.quality import hand_made
from recsys.quality.hand_made import (
    append_cached,
    cache_path,
    hand_made_features,
    read_cached,
    summary,
)
from recsys.quality.systems import standardised
from recsys.store import Store
from tests.sounds import staircase, write
from tests.stored import analysed, new_library, record


def library_of(folder: Path, paths: Sequence[Path]) -> Store:
    store = new_library(folder)
    store.write([record(path, analysed()) for path in paths])
    return store


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    tone = write(folder / "tone.wav", staircase(2.0))
    noise = write(folder / "noise.wav", (0.1 * rng.standard_normal(44_100)).astype(np.float32))
    (folder / "text.mp3").write_text("no music")
    return [tone, noise, folder / "text.mp3", folder / "gone.wav"]


@pytest.mark.extra
def test_features_are_computed_once(
    music: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    with library_of(tmp_path, music) as store:
        ids = np.array([track.id for track in store.all_tracks()])
        features, skipped = hand_made_features(
            store, ids, workers=1, on_file=lambda *done: calls.append(done)
        )
        assert features.shape == (4, 36)
        assert skipped == 2
        assert np.isnan(features).any(axis=1).tolist() == [False, False, True, True]
        assert calls == [(number, 4) for number in range(5)]
        zero_crossings = features[:, summary().names.index("zcr_mean")]
        assert zero_crossings[1] > 5 * zero_crossings[0]  # noise against a low tone

        kept = cache_path(store.path)
        assert len(read_cached(kept, 36)) == 2
        with kept.open("a") as file:
            file.write('\n{"version": 1, "sound": "half')  # stopped while it wrote

        monkeypatch.setattr(hand_made, "_describe", None)
        again, skipped = hand_made_features(store, ids[:2], workers=1)
        assert skipped == 0
        assert np.array_equal(again, features[:2])


def test_a_line_after_half_a_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.hand-made.jsonl"
    path.write_text('{"version": 1')
    append_cached(path, "a", [1.0] * 36)
    append_cached(path, "b", [2.0] * 36)
    assert list(read_cached(path, 36)) == ["a", "b"]
    assert read_cached(path, 35) == {}


def test_features_that_cannot_be_kept_are_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "no such folder" / "x.jsonl"
    append_cached(path, "a", [1.0] * 36)
    assert read_cached(path, 36) == {}


def test_without_librosa_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    summary.cache_clear()
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(MissingExtraError) as caught:
        summary()
    assert "[papers]" in caught.value.hint


def test_standardised_features_have_mean_zero_and_rows_of_unit_length() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(5, [1, 100, 0], (50, 3)).astype(np.float32)
    known = np.arange(50) >= 10
    rows = standardised(features, known)
    assert not rows[:10].any()
    assert np.linalg.norm(rows[10:], axis=1) == pytest.approx(np.ones(40))
    assert not rows[:, 2].any()  # it never changes
    chosen = features[known].astype(float)
    scaled = (chosen[:, :2] - chosen[:, :2].mean(axis=0)) / chosen[:, :2].std(axis=0)
    cosines = rows[10:] @ rows[10:].T
    expected = scaled @ scaled.T / np.outer(*[np.linalg.norm(scaled, axis=1)] * 2)
    assert cosines == pytest.approx(expected, abs=1e-6)
