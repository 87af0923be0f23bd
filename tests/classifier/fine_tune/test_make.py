"""The default recipe from end to end on made-up music, and the card of what it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.classifier.calibrate import softmax
from recsys.classifier.card import ModelCard, save_model
from recsys.classifier.inference import Classifier, load_model
from recsys.classifier.training.examples import PicturedMusic
from recsys.classifier.training.make import (
    LEAST_TRACKS,
    LICENCE,
    Made,
    Steps,
    make_default,
    make_default_card,
)
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.teacher import TAGS, TagAgreement, build_pruned
from recsys.classifier.training.tune import Said
from recsys.errors import ModelError
from tests.classifier.fine_tune.made_music import FEATURES, made_music
from tests.classifier.fine_tune.published_weights import ALIVE, Variables
from tests.classifier.fine_tune.small import QUICK
from tests.cli.genre_music import GENRES


@pytest.fixture(scope="module")
def teacher(variables: Variables) -> MusiCNN:
    return build_pruned(variables, len(GENRES))


@pytest.fixture(scope="module")
def music() -> PicturedMusic:
    return made_music(held_out=2, excerpts=2)


@pytest.fixture(scope="module")
def told() -> dict[str, list[int]]:
    return {"tracks": [], "steps": []}


@pytest.fixture(scope="module")
def made(teacher: MusiCNN, music: PicturedMusic, told: dict[str, list[int]]) -> Made:
    steps = Steps(told["tracks"].append, told["steps"].append)
    return make_default(teacher, music, FEATURES, QUICK, steps)


@pytest.fixture(scope="module")
def card(made: Made, music: PicturedMusic) -> ModelCard:
    notes = {"data": ["made"], "teacher": {"name": "made up"}}
    return make_default_card(made, music, FEATURES, QUICK, name="mine", notes=notes)


def test_every_track_is_spoken_of_by_others_than_have_learned_it(made: Made) -> None:
    assert made.n_folds == 3
    assert made.out_of_fold.logits.shape == (24, 3)
    assert made.out_of_fold.embeddings.shape == (24, 128)
    np.testing.assert_allclose(np.linalg.norm(made.out_of_fold.embeddings, axis=1), 1, atol=1e-5)
    assert made.valid is not None
    assert made.valid.logits.shape == (6, 3)
    assert made.taught_tags.shape == (24, 50)


def test_planted_genres_are_told_apart(made: Made, music: PicturedMusic) -> None:
    assert (made.out_of_fold.logits.argmax(axis=1) == music.targets).mean() >= 0.9


def test_progress_reaches_its_end(made: Made, told: dict[str, list[int]]) -> None:
    """Three folds, the network of the training list and the final one."""
    assert told["tracks"] == [24] * 24
    steps = 5 * QUICK.epochs * QUICK.steps_per_epoch
    assert told["steps"] == [steps] * steps


def test_a_seed_decides_the_model(teacher: MusiCNN, music: PicturedMusic, made: Made) -> None:
    again = make_default(teacher, music, FEATURES, QUICK)
    for name, value in made.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


def test_the_teacher_stays_as_it_was(teacher: MusiCNN, made: Made, variables: Variables) -> None:
    np.testing.assert_array_equal(teacher.dense_norm.weight.detach().numpy(), gamma_of(variables))
    assert not np.array_equal(made.model.dense_norm.weight.detach().numpy(), gamma_of(variables))


def gamma_of(variables: Variables) -> np.ndarray:
    return variables["batch_normalization_10/gamma"]


def test_tags_that_are_not_learned_are_left_out(made: Made) -> None:
    assert tuple(made.agreement) == TAGS
    kept = tuple(tag for tag in TAGS if made.agreement[tag].is_learned)
    assert made.tags == kept
    assert made.model.tags.out_features == len(kept) == made.said_tags.shape[1]


def test_the_card_describes_the_network(card: ModelCard, made: Made) -> None:
    assert (card.name, card.architecture, card.labels) == ("mine", "musicnn", GENRES)
    assert (card.features, card.dimension, card.licence) == (FEATURES, 128, LICENCE)
    assert card.config["filters"] == list(ALIVE)
    assert card.config["n_tags"] == len(card.tags) == len(card.tag_means)
    assert card.tags == made.tags
    assert ModelCard.from_json(card.to_json()) == card


def test_the_card_tells_how_the_network_was_made(card: ModelCard, music: PicturedMusic) -> None:
    training = card.training
    assert training["tracks"] == dict.fromkeys(GENRES, 8)
    assert training["tracks_with_sound"] == 24
    assert training["keys"] == {"train": [track.key for track in music.tracks], "valid": []}
    assert training["settings"] == asdict(QUICK)
    assert (training["recipe"], training["seed"], training["data"]) == ("default", 0, ["made"])
    assert "3-fold cross-validation by artist, and on the validation list" in training["split"]


def test_the_card_judges_each_list(card: ModelCard) -> None:
    counts = {"cross_validation": 24, "cross_validation_clips": 18, "valid": 6, "valid_clips": 6}
    assert {name: card.metrics[name]["n"] for name in counts} == counts
    for name in counts:
        low, high = card.metrics[name]["ece_interval"]
        assert 0 <= low <= high <= 1
    assert card.metrics["tags"].keys() == set(TAGS)
    assert 0 <= card.metrics["given_a_genre"] <= 1


def test_the_card_says_what_the_model_is_bad_at(card: ModelCard) -> None:
    bad_at = card.limits["bad_at"]
    assert bad_at[0].startswith("It knows 3 genres")
    wrong = 1 - card.metrics["cross_validation"]["accuracy"]
    assert bad_at[1].startswith(f"{wrong:.0%} of 24 tracks")
    assert all(label in bad_at[3] for label in card.labels)
    assert len(card.limits["not_to_be_used_for"]) == 2


def test_without_lists_there_is_only_cross_validation(made: Made, music: PicturedMusic) -> None:
    alone = replace(music, train=np.arange(24), valid=np.arange(0))
    card = make_default_card(
        replace(made, valid=None), alone, FEATURES, QUICK, name="mine", notes={}
    )
    assert "valid" not in card.metrics
    assert "valid_clips" not in card.metrics
    assert card.training["split"].endswith("cross-validation by artist")


def test_the_file_says_what_the_network_says(
    card: ModelCard, made: Made, music: PicturedMusic, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    written = save_model(path, made.model, card)
    assert len(written.fingerprint) == 16
    loaded, found = load_model(path)
    assert found == written
    for name, value in made.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    tracks = [track.sound for track in music.tracks if track.sound is not None]
    heard = Classifier.load(path, "cpu").analyse(tracks)
    best = [int(analysis.probabilities.argmax()) for analysis in heard]
    assert np.mean(np.asarray(best) == music.targets) >= 0.9
    assert {analysis.fingerprint for analysis in heard} == {written.fingerprint}


def test_too_few_tracks(teacher: MusiCNN) -> None:
    few = made_music(per_genre=6)
    assert len(few.tracks) < LEAST_TRACKS
    with pytest.raises(ModelError, match="18 tracks are too few") as caught:
        make_default(teacher, few, FEATURES, QUICK)
    assert str(LEAST_TRACKS) in caught.value.hint


Judged = Callable[..., dict[str, Any]]


@pytest.fixture
def judged(made: Made, music: PicturedMusic) -> Judged:
    """The figures of a card on whatever the networks may have said."""

    def judge(out_of_fold: np.ndarray, **changes: Any) -> dict[str, Any]:
        rows = np.zeros((24, 1), dtype=np.float32)
        said = replace(made, out_of_fold=Said(out_of_fold.astype("f4"), rows, rows), **changes)
        return make_default_card(said, music, FEATURES, QUICK, name="m", notes={}).metrics

    return judge


def test_figures_of_networks_that_are_always_right(judged: Judged, music: PicturedMusic) -> None:
    metrics = judged(5 * np.eye(3)[music.targets])
    assert metrics["cross_validation"]["accuracy"] == 1
    assert metrics["cross_validation"]["macro_f1"] == 1
    assert metrics["given_a_genre"] == 1


def test_figures_of_networks_that_are_always_wrong(judged: Judged, music: PicturedMusic) -> None:
    metrics = judged(5 * np.eye(3)[(music.targets + 1) % 3])
    assert metrics["cross_validation"]["accuracy"] == 0


def test_the_temperature_is_that_of_the_folds(made: Made, music: PicturedMusic) -> None:
    """Right in two of three cases by a wide margin: calibrated, it is sure to two thirds."""
    wrong = np.arange(24) % 3 == 0
    logits = 10.0 * np.eye(3)[np.where(wrong, (music.targets + 1) % 3, music.targets)]
    rows = np.zeros((24, 1), dtype=np.float32)
    said = replace(made, out_of_fold=Said(logits.astype("f4"), rows, rows))
    card = make_default_card(said, music, FEATURES, QUICK, name="m", notes={})
    sure = softmax(logits, card.temperature).max(axis=1)
    np.testing.assert_allclose(sure, 2 / 3, atol=0.01)
    assert card.metrics["cross_validation"]["ece"] == pytest.approx(0, abs=0.02)


def test_neighbours_by_the_same_artist_do_not_count(
    judged: Judged, made: Made, music: PicturedMusic
) -> None:
    """Two held-out tracks of each genre by different artists, all of a genre in one place: of ten
    neighbours each has one of its genre."""
    truth = music.targets[music.valid]
    logits = np.eye(3, dtype=np.float32)[truth]
    valid = Said(logits, np.eye(128, dtype=np.float32)[truth], made.valid.tag_logits)
    metrics = judged(5 * np.eye(3)[music.targets], valid=valid)["valid_clips"]
    assert metrics["precision_at_10_other_artists"] == pytest.approx(0.1)
    assert metrics["median_cosine_between_tracks"] == 0
    assert metrics["accuracy"] == 1


def test_agreement_goes_into_the_card(judged: Judged, made: Made, music: PicturedMusic) -> None:
    agreement = {**made.agreement, "rock": TagAgreement(0.95, 0.99)}
    metrics = judged(5 * np.eye(3)[music.targets], agreement=agreement)
    assert metrics["tags"]["rock"] == {"rank_correlation": 0.95, "roc_auc": 0.99, "kept": True}


def test_tags_of_the_validation_list(made: Made, music: PicturedMusic) -> None:
    """A network that says of twelve held-out tracks what the teacher says agrees with it."""
    places = np.arange(12)
    logits = np.zeros((12, 3), dtype=np.float32)
    said = Said(logits, np.eye(12, 128, dtype=np.float32), made.taught_tags[places])
    many = replace(music, valid=places)
    card = make_default_card(replace(made, valid=said), many, FEATURES, QUICK, name="m", notes={})
    found = card.metrics["tags_of_valid"]
    assert found.keys() == set(TAGS)
    assert all(own["rank_correlation"] == pytest.approx(1) for own in found.values())
    few = make_default_card(made, music, FEATURES, QUICK, name="m", notes={})
    assert "tags_of_valid" not in few.metrics
