"""Cross-validation: no artist on both sides, every track once, and in its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recsys.classifier.inference import pooled_outputs
from recsys.classifier.training import tune as validate
from recsys.classifier.training.architectures import TorchNetwork
from recsys.classifier.training.examples import HalfArray
from recsys.classifier.training.heads import HeardTrack, Lessons, fit_heads, listen
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import (
    FineTuneSettings,
    Said,
    cross_validate,
    folds_by_artist,
    say,
)
from recsys.errors import ModelError
from tests.classifier.fine_tune.small import (
    N_GENRES,
    QUICK,
    equal_genres,
    lessons,
    random_pictures,
    small_network,
)


def test_it_says_what_the_whole_network_would_say() -> None:
    """Up to the rounding of what the front end heard."""
    model, rng = small_network(), np.random.default_rng(0)
    tracks = [random_pictures(rng, count).astype(np.float32) for count in (1, 4, 2)]
    expected = pooled_outputs(TorchNetwork(model, torch.device("cpu")), tracks)
    found = say(model, [listen(model, windows) for windows in tracks])
    np.testing.assert_allclose(found.logits, expected.logits, atol=0.01)
    np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=0.01)
    np.testing.assert_allclose(found.tag_logits, expected.tag_logits, atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_no_artist_is_in_two_folds(data: st.DataObject) -> None:
    n = data.draw(st.integers(6, 40), label="tracks")
    artists = st.integers(0, data.draw(st.integers(1, n), label="most artists"))
    groups = np.asarray(data.draw(st.lists(artists, min_size=n, max_size=n), label="artist"))
    genres = st.lists(st.integers(0, 2), min_size=n, max_size=n)
    targets = np.asarray(data.draw(genres, label="genre"))
    assume(np.bincount(targets).max() >= 2 and len(np.unique(groups)) >= 2)
    folds = folds_by_artist(targets, groups, 5, seed=0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(n))
    for fold in folds:
        assert not set(groups[fold]) & set(np.delete(groups, fold))
    assert 1 <= len(folds) <= min(5, len(np.unique(groups)))


def test_folds_have_the_genres_in_proportion() -> None:
    targets = equal_genres(20)
    for fold in folds_by_artist(targets, np.arange(60), 5, seed=0):
        assert np.bincount(targets[fold]).tolist() == [4, 4, 4]


def test_a_seed_decides_the_folds() -> None:
    targets = equal_genres(20)
    first, again, other = (folds_by_artist(targets, np.arange(60), 5, seed) for seed in (1, 1, 2))
    assert [fold.tolist() for fold in first] == [fold.tolist() for fold in again]
    assert [fold.tolist() for fold in first] != [fold.tolist() for fold in other]


def test_fewer_folds_where_there_are_fewer_artists() -> None:
    targets = equal_genres(4)
    assert len(folds_by_artist(targets, np.arange(12) % 2, 5, seed=0)) == 2


def test_one_artist_alone_cannot_be_divided() -> None:
    with pytest.raises(ModelError, match="all 12 tracks are by one artist") as caught:
        folds_by_artist(equal_genres(4), np.zeros(12, dtype=np.int64), 5, seed=0)
    assert "--artists" in caught.value.hint


def test_nobody_judges_what_was_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every track is given to the network of its fold, which was not shown it, and its row comes
    back in its place."""
    targets = equal_genres(4)
    everything = numbered(targets)
    folds = [np.asarray([11, 0, 5]), np.asarray([1, 10, 2, 9]), np.asarray([3, 4, 6, 7, 8])]
    learned: list[set[int]] = []
    seeds: list[int] = []

    def remember(
        model: MusiCNN, shown: Lessons, settings: FineTuneSettings, seed: int, on_step: object
    ) -> MusiCNN:
        learned.append({int(track.plain[0, 0, 0]) for track in shown.tracks})
        assert shown.targets.tolist() == [place % N_GENRES for place in sorted(learned[-1])]
        seeds.append(seed)
        return model

    def repeat(model: MusiCNN, heard: list[HalfArray]) -> Said:
        rows = np.asarray([windows[0, :1, 0] for windows in heard], dtype=np.float32)
        assert not learned[-1] & set(rows[:, 0].astype(int))
        return Said(rows, rows, rows)

    monkeypatch.setattr(validate, "make_network", remember)
    monkeypatch.setattr(validate, "say", repeat)
    said = cross_validate(small_network(), everything, folds, QUICK)
    for rows in (said.logits, said.embeddings, said.tag_logits):
        assert rows[:, 0].tolist() == list(range(12))
    assert [len(shown) for shown in learned] == [9, 8, 7]
    assert len(set(seeds)) == 3


def numbered(targets: np.ndarray) -> Lessons:
    """Tracks whose windows hold their number."""
    plain = lessons(targets)
    tracks = [
        HeardTrack((np.full((1, 6, 12), number, np.float16),), ()) for number in range(len(targets))
    ]
    return Lessons(tracks, targets, plain.tag_logits, plain.outliers)


def test_planted_genres_are_told_apart() -> None:
    targets, told = equal_genres(12), []
    said = cross_validate(
        small_network(),
        lessons(targets),
        folds_by_artist(targets, np.arange(36), 3, seed=0),
        QUICK,
        told.append,
    )
    assert (said.logits.argmax(axis=1) == targets).mean() >= 0.95
    assert len(told) == 3 * QUICK.epochs * QUICK.steps_per_epoch


def test_a_genre_of_one_artist_is_never_given_to_others() -> None:
    """The network of its fold has not learned it, and the tracks of that fold go elsewhere."""
    targets = equal_genres(8)
    fold = np.flatnonzero(targets == 2)
    rest = np.flatnonzero(targets != 2)
    said = cross_validate(small_network(), lessons(targets), [fold, rest[::2], rest[1::2]], QUICK)
    assert set(said.logits[fold].argmax(axis=1)) <= {0, 1}


def test_heads_are_those_that_fit_the_tuned_layers() -> None:
    given_lessons = lessons(equal_genres(4))
    made = validate.make_network(small_network(), given_lessons, QUICK, seed=0)
    again = fit_heads(made, given_lessons)
    for name, value in made.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=1e-5, rtol=1e-4)
