"""Heads over track embeddings, on clusters that were planted."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.classifier.calibrate import softmax
from recsys.classifier.training.own_genres import NEVER, fit_head, out_of_fold_logits
from recsys.types import FloatArray, IdArray


def clusters(
    n_genres: int, per_genre: int = 30, spread: float = 0.3, seed: int = 0
) -> tuple[FloatArray, IdArray]:
    """Unit vectors around one direction per genre."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.standard_normal((16, 16)))[0][:n_genres]
    targets = np.repeat(np.arange(n_genres), per_genre)
    rows = centres[targets] + spread * rng.standard_normal((len(targets), 16)) / 4
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), targets


@pytest.mark.parametrize("n_genres", [2, 3, 7])
def test_clusters_are_separated(n_genres: int) -> None:
    embeddings, targets = clusters(n_genres)
    other, _ = clusters(n_genres)
    head = fit_head(embeddings, targets, n_genres)
    assert head.weight.shape == (n_genres, 16)
    assert np.array_equal(head.logits(other).argmax(axis=1), targets)


@pytest.mark.parametrize("n_genres", [2, 4])
def test_the_scores_are_those_of_the_regression(n_genres: int) -> None:
    """Folding the standardisation and the two-class case into the weights changes nothing."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    embeddings, targets = clusters(n_genres, spread=1.5)
    oracle = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=500)
    ).fit(embeddings, targets)
    found = softmax(fit_head(embeddings, targets, n_genres).logits(embeddings))
    np.testing.assert_allclose(found, oracle.predict_proba(embeddings), atol=2e-3)


def test_a_genre_without_tracks_is_never_given() -> None:
    embeddings, targets = clusters(3)
    head = fit_head(embeddings[targets != 1], targets[targets != 1], 3)
    assert head.bias[1] == NEVER
    assert not np.any(head.logits(embeddings).argmax(axis=1) == 1)


def test_one_genre_alone_is_always_given() -> None:
    embeddings, targets = clusters(3)
    head = fit_head(embeddings[targets == 2], targets[targets == 2], 3)
    assert np.all(head.logits(embeddings).argmax(axis=1) == 2)


def test_a_small_genre_is_found_next_to_a_large_one() -> None:
    embeddings, targets = clusters(2, per_genre=200, spread=1.2)
    few = np.concatenate([np.flatnonzero(targets == 0), np.flatnonzero(targets == 1)[:8]])
    head = fit_head(embeddings[few], targets[few], 2)
    given = head.logits(embeddings).argmax(axis=1)
    assert np.mean(given[targets == 1] == 1) > 0.6


def test_no_track_is_evaluated_by_a_head_trained_on_its_artist() -> None:
    """Every artist has a place of its own and a genre by the toss of a coin."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 6)
    centres = rng.standard_normal((40, 64))
    rows = centres[groups] + 0.05 * rng.standard_normal((240, 64))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    targets = rng.permutation(np.repeat([0, 1], 20))[groups]
    by_artist = out_of_fold_logits(rows, targets, groups, 2).argmax(axis=1)
    by_track = out_of_fold_logits(rows, targets, np.arange(240), 2).argmax(axis=1)
    assert np.mean(by_track == targets) > 0.95
    assert np.mean(by_artist == targets) < 0.75


def test_folds_report_progress_and_repeat() -> None:
    embeddings, targets = clusters(3)
    groups = np.arange(len(targets)) // 3
    calls: list[None] = []
    first = out_of_fold_logits(
        embeddings, targets, groups, 3, folds=4, on_fold=lambda: calls.append(None)
    )
    assert len(calls) == 4
    assert np.array_equal(first, out_of_fold_logits(embeddings, targets, groups, 3, folds=4))


def test_too_few_artists_for_the_folds() -> None:
    embeddings, targets = clusters(2)
    with pytest.raises(ValueError, match="5 folds"):
        out_of_fold_logits(embeddings, targets, targets, 2)
