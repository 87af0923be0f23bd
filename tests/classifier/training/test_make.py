"""Training the shipped kind of model end to end on synthetic music: evaluation and card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recsys.audio.windows import plan_offsets
from recsys.classifier.calibrate import fit_temperature, softmax
from recsys.classifier.card import ModelCard
from recsys.classifier.inference import Classifier, Pooled, pooled_outputs
from recsys.classifier.training import make
from recsys.classifier.training.architectures import TorchNetwork, load_model, save_model
from recsys.classifier.training.datasets import LabelledMusic
from recsys.classifier.training.make import (
    FULL_CLIP,
    LEAST_TRACKS,
    LICENCE,
    DefaultModel,
    TagAgreement,
    TrainProgress,
    default_card,
    keep_tags,
    make_default,
    make_folds,
    measure_agreement,
    out_of_fold_outputs,
)
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.teacher import TAGS, build_pruned
from recsys.classifier.training.tune import (
    TrackResponses,
    TuningData,
    outputs_of,
    responses_to,
    tune_and_fit,
)
from recsys.errors import ModelError
from recsys.types import IdArray
from tests.classifier.training.made_music import FEATURES, made_music
from tests.classifier.training.published_weights import ALIVE, Variables
from tests.classifier.training.small_network import (
    QUICK,
    equal_genres,
    random_windows,
    small_network,
    tuning_data,
)
from tests.cli.genre_music import GENRES


@pytest.fixture(scope="module")
def teacher(variables: Variables) -> MusiCNN:
    return build_pruned(variables, len(GENRES))


@pytest.fixture(scope="module")
def music() -> LabelledMusic:
    return made_music(held_out=2, excerpts=2)


class Counting(TrainProgress):
    def __init__(self) -> None:
        self.tracks: list[int] = []
        self.epochs: list[int] = []

    def track_augmented(self, total: int) -> None:
        self.tracks.append(total)

    def epoch_trained(self, total: int) -> None:
        self.epochs.append(total)


@pytest.fixture(scope="module")
def counting() -> Counting:
    return Counting()


@pytest.fixture(scope="module")
def made(teacher: MusiCNN, music: LabelledMusic, counting: Counting) -> DefaultModel:
    return make_default(teacher, music, FEATURES, QUICK, counting)


@pytest.fixture(scope="module")
def card(made: DefaultModel, music: LabelledMusic) -> ModelCard:
    notes = {"data": ["made"], "teacher": {"name": "made up"}}
    return default_card(made, music, FEATURES, QUICK, name="mine", notes=notes)


def test_every_track_has_a_row(made: DefaultModel) -> None:
    assert made.n_folds == 3
    assert made.out_of_fold.logits.shape == (24, 3)
    assert made.out_of_fold.embeddings.shape == (24, 128)
    np.testing.assert_allclose(np.linalg.norm(made.out_of_fold.embeddings, axis=1), 1, atol=1e-5)
    assert made.valid is not None
    assert made.valid.logits.shape == (6, 3)
    assert made.taught_tags.shape == (24, 50)


def test_planted_genres_are_separated(made: DefaultModel, music: LabelledMusic) -> None:
    assert (made.out_of_fold.logits.argmax(axis=1) == music.targets).mean() >= 0.9


@pytest.mark.usefixtures("made")
def test_progress_reaches_its_end(counting: Counting) -> None:
    """Twice three folds, the network of the training list and the final one."""
    assert counting.tracks == [24] * 24
    epochs = 8 * QUICK.training.epochs
    assert counting.epochs == [epochs] * epochs


def test_a_seed_decides_the_model(
    teacher: MusiCNN, music: LabelledMusic, made: DefaultModel
) -> None:
    again = make_default(teacher, music, FEATURES, QUICK)
    for name, value in made.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


def test_the_teacher_stays_as_it_was(
    teacher: MusiCNN, made: DefaultModel, variables: Variables
) -> None:
    np.testing.assert_array_equal(teacher.dense_norm.weight.detach().numpy(), gamma_of(variables))
    assert not np.array_equal(made.model.dense_norm.weight.detach().numpy(), gamma_of(variables))


def gamma_of(variables: Variables) -> np.ndarray:
    return variables["batch_normalization_10/gamma"]


def test_tags_that_are_not_learned_are_left_out(made: DefaultModel) -> None:
    assert tuple(made.agreement) == TAGS
    kept = tuple(tag for tag in TAGS if made.agreement[tag].is_learned)
    assert made.tags == kept
    assert made.model.tags.out_features == len(kept) == made.tag_logits.shape[1]


def test_the_card_describes_the_network(card: ModelCard, made: DefaultModel) -> None:
    assert (card.name, card.architecture, card.labels) == ("mine", "musicnn", GENRES)
    assert (card.features, card.dimension, card.licence) == (FEATURES, 128, LICENCE)
    assert card.config["filters"] == list(ALIVE)
    assert card.config["n_tags"] == len(card.tags) == len(card.tag_means)
    assert card.tags == made.tags
    assert ModelCard.from_json(card.to_json()) == card


def test_the_card_describes_the_training(card: ModelCard, music: LabelledMusic) -> None:
    training = card.training
    assert training["tracks"] == dict.fromkeys(GENRES, 8)
    assert training["tracks_with_sound"] == 24
    assert training["keys"] == {"train": [track.key for track in music.tracks], "valid": []}
    assert training["settings"] == asdict(QUICK)
    assert (training["recipe"], training["seed"], training["data"]) == ("default", 0, ["made"])
    assert "3-fold cross-validation by artist, and on the validation list" in training["split"]


def test_the_card_judges_each_list(card: ModelCard) -> None:
    counts = {"cross_validation": 24, "cross_validation_clips": 18, "valid": 6, "valid_clips": 6}
    counts |= {"cross_validation_excerpts": 6}
    assert {name: card.metrics[name]["n"] for name in counts} == counts
    for name in counts:
        low, high = card.metrics[name]["ece_interval"]
        assert 0 <= low <= high <= 1
        assert card.metrics[name]["artists"] <= counts[name]
    spread = card.metrics["fold_seeds"]
    for name, values in spread.items():
        assert values[0] == card.metrics[name]["accuracy"]
        assert len(values) == QUICK.divisions
    assert spread.keys() == {"cross_validation", "cross_validation_clips"}
    assert card.metrics["tags"].keys() == set(TAGS)
    assert 0 <= card.metrics["given_a_genre"] <= 1


def test_the_card_lists_weaknesses(card: ModelCard) -> None:
    bad_at = card.limits["bad_at"]
    assert bad_at[0].startswith("It knows 3 genres")
    wrong = 1 - card.metrics["cross_validation"]["accuracy"]
    assert bad_at[1].startswith(f"{wrong:.0%} of 24 tracks")
    assert all(label in bad_at[3] for label in card.labels)
    assert len(card.limits["not_to_be_used_for"]) == 2


def test_without_lists_there_is_only_cross_validation(
    made: DefaultModel, music: LabelledMusic
) -> None:
    alone = replace(music, train=np.arange(24), valid=np.arange(0))
    card = default_card(replace(made, valid=None), alone, FEATURES, QUICK, name="mine", notes={})
    assert "valid" not in card.metrics
    assert "valid_clips" not in card.metrics
    assert card.training["split"].endswith("cross-validation by artist")


def test_the_file_holds_the_network(
    card: ModelCard, made: DefaultModel, music: LabelledMusic, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    written = save_model(path, made.model, card)
    assert len(written.fingerprint) == 16
    loaded, found = load_model(path)
    assert found == written
    for name, value in made.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    tracks = [track.audio for track in music.tracks if track.audio is not None]
    analyses = Classifier.load(path, "cpu").analyse(tracks)
    best = [int(analysis.probabilities.argmax()) for analysis in analyses]
    assert np.mean(np.asarray(best) == music.targets) >= 0.9
    assert {analysis.fingerprint for analysis in analyses} == {written.fingerprint}


def test_too_few_tracks(teacher: MusiCNN) -> None:
    few = made_music(per_genre=6)
    assert len(few.tracks) < LEAST_TRACKS
    with pytest.raises(ModelError, match="18 tracks are too few") as caught:
        make_default(teacher, few, FEATURES, QUICK)
    assert str(LEAST_TRACKS) in caught.value.hint


Judged = Callable[..., dict[str, Any]]


@pytest.fixture
def judged(made: DefaultModel, music: LabelledMusic) -> Judged:
    """The figures of a card for any outputs of the networks."""

    def judge(out_of_fold: np.ndarray, **changes: Any) -> dict[str, Any]:
        rows = np.zeros((24, 1), dtype=np.float32)
        changed = replace(made, out_of_fold=Pooled(out_of_fold.astype("f4"), rows, rows), **changes)
        return default_card(changed, music, FEATURES, QUICK, name="m", notes={}).metrics

    return judge


def test_figures_of_networks_that_are_always_right(judged: Judged, music: LabelledMusic) -> None:
    metrics = judged(5 * np.eye(3)[music.targets])
    assert metrics["cross_validation"]["accuracy"] == 1
    assert metrics["cross_validation"]["macro_f1"] == 1
    assert metrics["given_a_genre"] == 1


def test_figures_of_networks_that_are_always_wrong(judged: Judged, music: LabelledMusic) -> None:
    metrics = judged(5 * np.eye(3)[(music.targets + 1) % 3])
    assert metrics["cross_validation"]["accuracy"] == 0


def test_the_temperature_is_that_of_the_folds(made: DefaultModel, music: LabelledMusic) -> None:
    """Right in two of three cases by a wide margin: calibrated, it is sure to two thirds."""
    wrong = np.arange(24) % 3 == 0
    logits = 10.0 * np.eye(3)[np.where(wrong, (music.targets + 1) % 3, music.targets)]
    rows = np.zeros((24, 1), dtype=np.float32)
    changed = replace(made, out_of_fold=Pooled(logits.astype("f4"), rows, rows))
    card = default_card(changed, music, FEATURES, QUICK, name="m", notes={})
    sure = softmax(logits, card.temperature).max(axis=1)
    np.testing.assert_allclose(sure, 2 / 3, atol=0.01)
    assert card.metrics["cross_validation"]["ece"] == pytest.approx(0, abs=0.02)


def test_a_temperature_for_every_number_of_windows(
    made: DefaultModel, music: LabelledMusic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows that are as sure, and right less often alone than in the mean, which is known."""
    monkeypatch.setattr(make, "_ENOUGH_LONG", 1)
    rng = np.random.default_rng(0)
    windows = []
    for genre, track in zip(music.targets, music.tracks, strict=True):
        count = 1 if track.audio is None else len(track.audio)
        truth = np.where(rng.random(count) < 0.6, genre, rng.integers(3, size=count))
        windows.append(8 * np.eye(3, dtype=np.float32)[truth])
    pooled = made.out_of_fold._replace(logits=np.stack([own.mean(axis=0) for own in windows]))
    changed = replace(made, out_of_fold=pooled, window_logits=tuple(windows))
    card = default_card(changed, music, FEATURES, QUICK, name="m", notes={})
    long = [row for row, own in enumerate(windows) if len(own) >= FULL_CLIP]
    most = min(FEATURES.max_windows, min(len(windows[row]) for row in long))
    assert len(card.temperatures) >= most
    middle = np.stack([windows[row][len(windows[row]) // 2] for row in long])
    assert card.temperatures[0] == pytest.approx(fit_temperature(middle, music.targets[long]))
    assert card.temperatures[0] > card.temperatures[most - 1]
    assert ModelCard.from_json(card.to_json()) == card


def test_windows_are_spread_as_a_decoder_spreads_them() -> None:
    ten = np.arange(10, dtype=np.float32)[:, np.newaxis]
    assert make.spread_windows(ten, 1) == 5
    assert make.spread_windows(ten, 10) == 4.5
    assert make.spread_windows(ten, 6) == np.mean([0, 2, 4, 5, 7, 9])
    for count in (3, 6):
        wanted = np.asarray(plan_offsets(30.0, 3.0, count)) / 3.0
        chosen = ((np.arange(count) + 0.5) * 10 / count).astype(int)
        assert np.abs(wanted - chosen).max() < 1  # less than a window away


def test_neighbours_by_the_same_artist_do_not_count(
    judged: Judged, made: DefaultModel, music: LabelledMusic
) -> None:
    """Two held-out tracks of each genre by different artists, all of a genre in one place: of ten
    neighbours each has one of its genre."""
    truth = music.targets[music.valid]
    logits = np.eye(3, dtype=np.float32)[truth]
    valid = Pooled(logits, np.eye(128, dtype=np.float32)[truth], made.valid.tag_logits)
    metrics = judged(5 * np.eye(3)[music.targets], valid=valid)["valid_clips"]
    assert metrics["precision_at_10_other_artists"] == pytest.approx(0.1)
    assert metrics["median_cosine_between_tracks"] == 0
    assert metrics["accuracy"] == 1


def test_agreement_goes_into_the_card(
    judged: Judged, made: DefaultModel, music: LabelledMusic
) -> None:
    tag = made.tags[0]
    agreement = {**made.agreement, tag: TagAgreement(0.95, 0.99)}
    metrics = judged(5 * np.eye(3)[music.targets], agreement=agreement)
    assert metrics["tags"][tag] == {"rank_correlation": 0.95, "roc_auc": 0.99, "kept": True}


def test_tags_of_the_validation_list(made: DefaultModel, music: LabelledMusic) -> None:
    """The teacher's own logits of twelve held-out tracks agree with it."""
    rows_of_list = np.arange(12)
    logits = np.zeros((12, 3), dtype=np.float32)
    valid = Pooled(logits, np.eye(12, 128, dtype=np.float32), made.taught_tags[rows_of_list])
    many = replace(music, valid=rows_of_list)
    card = default_card(replace(made, valid=valid), many, FEATURES, QUICK, name="m", notes={})
    found = card.metrics["tags_of_valid"]
    assert found.keys() == set(TAGS)
    assert all(own["rank_correlation"] == pytest.approx(1) for own in found.values())
    few = default_card(made, music, FEATURES, QUICK, name="m", notes={})
    assert "tags_of_valid" not in few.metrics


# Cross-validation by artist.


def test_the_outputs_are_those_of_the_whole_network() -> None:
    """Up to the rounding of the responses."""
    model, rng = small_network(), np.random.default_rng(0)
    tracks = [random_windows(rng, count).astype(np.float32) for count in (1, 4, 2)]
    expected = pooled_outputs(TorchNetwork(model, torch.device("cpu")), tracks)
    found = outputs_of(model, [responses_to(model, windows) for windows in tracks])
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
    folds = make_folds(targets, groups, 5, 0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(n))
    for fold in folds:
        assert not set(groups[fold]) & set(np.delete(groups, fold))
    assert 1 <= len(folds) <= min(5, len(np.unique(groups)))


def test_folds_have_the_genres_in_proportion() -> None:
    targets = equal_genres(20)
    for fold in make_folds(targets, np.arange(60), 5, seed=0):
        assert np.bincount(targets[fold]).tolist() == [4, 4, 4]


def test_a_seed_decides_the_folds() -> None:
    targets = equal_genres(20)
    first, again, other = (make_folds(targets, np.arange(60), 5, seed) for seed in (1, 1, 2))
    assert [fold.tolist() for fold in first] == [fold.tolist() for fold in again]
    assert [fold.tolist() for fold in first] != [fold.tolist() for fold in other]


def test_fewer_folds_where_there_are_fewer_artists() -> None:
    targets = equal_genres(4)
    assert len(make_folds(targets, np.arange(12) % 2, 5, seed=0)) == 2


def test_one_artist_alone_cannot_be_divided() -> None:
    with pytest.raises(ModelError, match="all 12 tracks are by one artist") as caught:
        make_folds(equal_genres(4), np.zeros(12, dtype=np.int64), 5, seed=0)
    assert "--artists" in caught.value.hint


def test_every_row_is_of_a_network_that_was_not_trained_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows come back in the order of the tracks."""
    responses = [TrackResponses((np.full((1, 6, 12), n, np.float16),), ()) for n in range(12)]
    folds = [np.asarray([11, 0, 5]), np.asarray([1, 10, 2, 9]), np.asarray([3, 4, 6, 7, 8])]
    trained_on: list[set[int]] = []

    def train(number: int, rows: IdArray) -> MusiCNN:
        assert number == len(trained_on)
        trained_on.append(set(rows.tolist()))
        return small_network()

    def echo(_: MusiCNN, held_out: list[np.ndarray]) -> Pooled:
        rows = np.asarray([windows[0, :1, 0] for windows in held_out], dtype=np.float32)
        assert not trained_on[-1] & set(rows[:, 0].astype(int))
        return Pooled(rows, rows, rows)

    monkeypatch.setattr(make, "outputs_of", echo)
    for rows in out_of_fold_outputs(folds, responses, train):
        assert rows[:, 0].tolist() == list(range(12))
    assert [len(rows) for rows in trained_on] == [9, 8, 7]


def cross_validated(data: TuningData, folds: list[IdArray]) -> Pooled:
    return out_of_fold_outputs(
        folds,
        data.tracks,
        lambda number, rows: tune_and_fit(
            small_network(), data.of(rows), replace(QUICK, seed=number)
        ),
    )


def test_planted_responses_are_separated() -> None:
    targets = equal_genres(12)
    found = cross_validated(tuning_data(targets), make_folds(targets, np.arange(36), 3, 0))
    assert (found.logits.argmax(axis=1) == targets).mean() >= 0.95


def test_a_genre_of_one_artist_is_never_given_to_others() -> None:
    """The network of its fold was not trained on it, so its tracks get other genres."""
    targets = equal_genres(8)
    fold = np.flatnonzero(targets == 2)
    rest = np.flatnonzero(targets != 2)
    found = cross_validated(tuning_data(targets), [fold, rest[::2], rest[1::2]])
    assert set(found.logits[fold].argmax(axis=1)) <= {0, 1}


# Which tags are kept.


@pytest.fixture
def taught() -> np.ndarray:
    """Forty tracks and two tags, no two scores alike."""
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(40), rng.permutation(40)], axis=1).astype(np.float32)


def test_the_same_order_agrees_whatever_the_scale(taught: np.ndarray) -> None:
    found = measure_agreement(np.exp(0.1 * taught), taught, ("rock", "sad"))
    assert list(found) == ["rock", "sad"]
    for agreement in found.values():
        assert agreement.rank_correlation == pytest.approx(1)
        assert agreement.roc_auc == 1
        assert agreement.is_learned


def test_the_opposite_order(taught: np.ndarray) -> None:
    found = measure_agreement(-taught, taught, ("rock", "sad"))["sad"]
    assert found.rank_correlation == pytest.approx(-1)
    assert found.roc_auc == 0
    assert not found.is_learned


def test_tags_are_not_confused(taught: np.ndarray) -> None:
    found_logits = np.stack([taught[:, 0], -taught[:, 1]], axis=1)
    found = measure_agreement(found_logits, taught, ("rock", "sad"))
    assert (found["rock"].is_learned, found["sad"].is_learned) == (True, False)


def test_the_top_tenth_carries_a_tag(taught: np.ndarray) -> None:
    """Four of forty: with these in front, the order of all others does not count."""
    found_logits = np.where(taught >= 36, 100.0, -taught).astype(np.float32)
    found = measure_agreement(found_logits, taught, ("rock", "sad"))["rock"]
    assert found.roc_auc == 1
    assert found.rank_correlation < 0


def test_one_score_for_all_tracks_agrees_with_nothing(taught: np.ndarray) -> None:
    for found_logits, wanted in ((np.ones_like(taught), taught), (taught, np.ones_like(taught))):
        assert (
            measure_agreement(found_logits, wanted, ("rock", "sad"))["rock"].rank_correlation == 0
        )


@pytest.mark.parametrize(
    ("correlation", "auc", "kept"),
    [(0.8, 0.9, True), (0.79, 1.0, False), (1.0, 0.89, False), (float("nan"), 1.0, False)],
)
def test_when_a_tag_is_kept(correlation: float, auc: float, kept: bool) -> None:
    agreement = TagAgreement(correlation, auc)
    assert agreement.is_learned == kept
    assert agreement.as_dict()["kept"] == kept


@pytest.mark.parametrize("kept_tags", [[2], [3, 0], [0, 1, 2, 3], []])
def test_a_network_has_the_tags_that_are_kept(kept_tags: list[int]) -> None:
    model = small_network()
    units = torch.randn(5, 16)
    kept = keep_tags(model, kept_tags)
    with torch.no_grad():
        before, after = model.heads(units), kept.heads(units)
    torch.testing.assert_close(after[2], before[2][:, kept_tags])
    torch.testing.assert_close(after[0], before[0])
    assert model.tags.out_features == 4
