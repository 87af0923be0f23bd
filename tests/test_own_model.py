"""A library's own genres: proposed, saved, and used without another analysis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.classifier.calibrate import softmax
from recsys.classifier.card import card_path, load_card
from recsys.classifier.inference import Classifier
from recsys.classifier.training.architectures import load_model
from recsys.classifier.training.own_genres import (
    LabelOrigin,
    OwnGenreOptions,
    Proposal,
    free_model_path,
    propose,
    save_proposal,
    use_proposal,
)
from recsys.errors import LibraryBusyError, ModelError, QueryError, StoreError
from recsys.index.sync import index_is_current, index_problems, open_index
from recsys.indexing import IndexOptions
from recsys.indexing.session import IndexSession, change_model
from recsys.store import LibraryLock, Store
from recsys.store import store as store_module
from recsys.types import IndexSummary
from tests.classifier.planted_genres import spectrogram
from tests.own_library import GENRES, PRESENT, OwnLibrary, make_own_library

TAGS = OwnGenreOptions(LabelOrigin.TAGS)
REANALYSE = IndexOptions(reanalyse=True)


@pytest.fixture
def library(tmp_path: Path) -> OwnLibrary:
    return make_own_library(tmp_path)


@pytest.fixture
def proposal(library: OwnLibrary) -> Proposal:
    return propose(library.database, TAGS)


def adopt(proposal: Proposal, out: Path) -> int:
    return use_proposal(proposal, out, save_proposal(proposal, out))


def test_planted_genres_are_learned(proposal: Proposal) -> None:
    found = proposal.found
    assert proposal.own.labels == GENRES
    assert found.evaluation.accuracy > 0.95
    assert found.evaluation.n == 72
    assert found.majority.accuracy.value == pytest.approx(1 / 3)
    assert found.majority.macro_f1.value == pytest.approx(0.5 / 3)


def test_the_present_model_is_judged_where_both_know_the_genre(proposal: Proposal) -> None:
    """It takes everything for rock, and knows nothing of Hip-Hop."""
    both = proposal.found.comparison
    assert both is not None
    assert both.labels == ("jazz", "rock")
    assert both.n == 48
    assert both.present.accuracy.value == 0.5
    assert both.new.accuracy.value > 0.95
    assert both.gain_accuracy.low > 0.2
    assert both.gain_accuracy.value == pytest.approx(
        both.new.accuracy.value - both.present.accuracy.value
    )


def knows(library: OwnLibrary, keys: list[str] | None) -> None:
    """Let the card of the present model name its training tracks."""
    training = {} if keys is None else {"keys": {"train": keys, "valid": []}}
    card = replace(library.card, training=training)
    card_path(library.model).write_text(card.to_json())
    with Store.open(library.database) as store:
        store.set_model(card.info(), card.to_json(), library.model)


def test_a_model_that_knows_the_answers_is_not_compared(library: OwnLibrary) -> None:
    """It would win, and the advice would be against the listener's own genres."""
    knows(library, [f"{genre}/{i}" for genre in GENRES for i in range(24)])
    proposal = propose(library.database, TAGS)
    assert proposal.found.comparison is None
    assert (proposal.found.shared, proposal.found.known) == (48, 48)
    (note,) = (text for text in proposal.notes if "present model" in text)
    assert "learned from 72 of the 72 tracks" in note


def test_only_tracks_that_the_present_model_does_not_know_are_compared(
    library: OwnLibrary,
) -> None:
    knows(library, [f"{genre}/{i}" for genre in GENRES for i in range(6)])
    found = propose(library.database, TAGS).found
    assert found.comparison is not None
    assert (found.comparison.n, found.shared, found.known) == (36, 48, 12)
    assert found.comparison.present.accuracy.value == 0.5
    knows(library, [f"{genre}/{i}" for genre in GENRES for i in range(15)])
    assert propose(library.database, TAGS).found.comparison is None  # 18 are too few


def test_a_card_without_training_tracks_is_a_reservation(library: OwnLibrary) -> None:
    knows(library, None)
    proposal = propose(library.database, TAGS)
    assert proposal.found.comparison is not None
    assert any("does not list its training tracks" in note for note in proposal.notes)


def test_folders_name_the_same_genres(library: OwnLibrary, proposal: Proposal) -> None:
    by_folder = propose(library.database, OwnGenreOptions(LabelOrigin.FOLDERS))
    assert by_folder.own.labels == proposal.own.labels
    assert by_folder.own.targets.tolist() == proposal.own.targets.tolist()


@pytest.mark.parametrize("per_genre", [2, 3, 4])
def test_hardly_any_tracks(tmp_path: Path, per_genre: int) -> None:
    """The fewest tracks that are allowed are still evaluated."""
    library = make_own_library(tmp_path, per_genre=per_genre, artists=2)
    options = OwnGenreOptions(min_tracks=2, min_artists=2)
    proposal = propose(library.database, options)
    assert proposal.found.evaluation.n == 3 * per_genre
    assert 2 <= proposal.found.folds <= per_genre
    np.testing.assert_allclose(np.sum(proposal.found.calibration.confusion, axis=1), 1.0, rtol=1e-5)


def test_proposing_changes_nothing(library: OwnLibrary) -> None:
    before = library.database.read_bytes()
    propose(library.database, TAGS)
    assert library.database.read_bytes() == before


def test_the_saved_card_describes_the_training(proposal: Proposal, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    card = save_proposal(proposal, out)
    assert load_card(out).fingerprint == card.fingerprint == load_model(out)[1].fingerprint
    assert card.labels == GENRES
    assert card.dimension == 16
    np.testing.assert_allclose(np.sum(card.confusion, axis=1), 1.0, rtol=1e-5)
    assert np.min(card.confusion) > 0
    stored = card.training["own_genres"]
    assert stored["tracks"] == dict.fromkeys(GENRES, 24)
    assert len(card.training["keys"]["train"]) == 72
    assert "Jazz/0" in card.training["keys"]["train"]
    assert card.config["track_head"]["embeddings_of"] == proposal.present.fingerprint
    assert card.metrics["cross_validation"]["n"] == 72


def test_inference_agrees_with_the_stored_embedding(proposal: Proposal, tmp_path: Path) -> None:
    """The head looks at the embedding of the whole track, as it did when it was fitted."""
    out = tmp_path / "mine.safetensors"
    card = save_proposal(proposal, out)
    tracks = [np.concatenate([spectrogram("tone", i), spectrogram("noise", i)]) for i in range(3)]
    analyses = Classifier.load(out, "cpu").analyse(tracks)
    before = Classifier.load(proposal.trunk, "cpu").analyse(tracks)
    for now, then in zip(analyses, before, strict=True):
        np.testing.assert_allclose(now.embedding, then.embedding, atol=1e-6)
        wanted = softmax(proposal.found.head.logits(then.embedding), card.temperature)
        np.testing.assert_allclose(now.probabilities, wanted, atol=1e-5)


def test_library_and_index_follow_without_analysis(
    library: OwnLibrary, proposal: Proposal, tmp_path: Path
) -> None:
    out = tmp_path / "mine.safetensors"
    assert adopt(proposal, out) == 72
    with Store.open(library.database, read_only=True) as store:
        info = store.model()
        assert info is not None
        assert info.labels == GENRES
        assert store.model_path() == out
        assert store.counts()["unanalysed"] == 0
        for number, genre in library.genres.items():
            track, analysis = store.track(number), store.analysis(number)
            assert track is not None
            assert analysis is not None
            assert np.array_equal(analysis.embedding, library.embeddings[number])
            assert analysis.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
            assert track.genre == genre
            assert track.duration_s == 200.0
            assert track.warning == ("odd" if track.path.stem == "0" else None)
        assert index_is_current(store)
        assert index_problems(store) == []
        assert sorted(open_index(store).genres) == sorted(GENRES)


def test_the_next_run_finds_everything_done(proposal: Proposal, tmp_path: Path) -> None:
    """The folder is gone here, so nothing is scanned; only the model matters."""
    adopt(proposal, tmp_path / "mine.safetensors")
    (tmp_path / "music").mkdir()
    *_, summary = IndexSession(proposal.database).run([tmp_path / "music"])
    assert isinstance(summary, IndexSummary)
    assert summary.indexed == 0
    assert not any("wait for analysis" in note for note in summary.notes)


def test_the_way_back_needs_no_analysis(
    library: OwnLibrary, proposal: Proposal, tmp_path: Path
) -> None:
    adopt(proposal, tmp_path / "mine.safetensors")
    (tmp_path / "music").mkdir()
    session = IndexSession(library.database, model=library.model, options=REANALYSE)
    list(session.run([tmp_path / "music"]))
    with Store.open(library.database, read_only=True) as store:
        assert store.genre_counts() == {"rock": 72}
        assert index_is_current(store)


def test_a_saved_model_is_used_later_without_analysis(
    library: OwnLibrary, proposal: Proposal, tmp_path: Path
) -> None:
    """The files are not even there; all that is needed is stored."""
    out = tmp_path / "mine.safetensors"
    save_proposal(proposal, out)
    (tmp_path / "music").mkdir()
    with pytest.raises(ModelError, match="do not mix"):
        list(IndexSession(library.database, model=out).run([tmp_path / "music"]))
    list(IndexSession(library.database, model=out, options=REANALYSE).run([tmp_path / "music"]))
    with Store.open(library.database, read_only=True) as store:
        assert store.genre_counts() == dict.fromkeys(GENRES, 24)
        assert store.counts()["unanalysed"] == 0
        assert index_is_current(store)


def test_a_head_over_other_embeddings_needs_a_new_analysis(
    library: OwnLibrary, proposal: Proposal, tmp_path: Path
) -> None:
    out = tmp_path / "mine.safetensors"
    save_proposal(proposal, out)
    with Store.open(library.database) as store:
        other = replace(library.card, temperature=3.0, fingerprint="of other embeddings")
        store.set_model(other.info(), other.to_json(), library.model)
        change_model(store, load_card(out), out)
        assert store.counts()["unanalysed"] == 72


def test_a_damaged_head_changes_nothing(
    library: OwnLibrary, proposal: Proposal, tmp_path: Path
) -> None:
    out = tmp_path / "mine.safetensors"
    card = save_proposal(proposal, out)
    out.write_bytes(out.read_bytes()[:-1])
    with Store.open(library.database) as store:
        with pytest.raises(ModelError, match="do not belong together"):
            change_model(store, card, out)
        assert store.counts()["unanalysed"] == 0


def test_learning_again_puts_one_head_in_the_place_of_the_other(
    proposal: Proposal, tmp_path: Path
) -> None:
    adopt(proposal, tmp_path / "mine.safetensors")
    again = propose(proposal.database, OwnGenreOptions(LabelOrigin.TAGS, seed=1))
    assert any("too good" in note for note in again.notes)
    out = free_model_path(proposal.database)
    assert adopt(again, out) == 72
    model, card = load_model(out)
    tiny = load_model(tmp_path / "tiny.safetensors")[0]
    assert model.state_dict().keys() == tiny.state_dict().keys()
    assert card.config["track_head"] == {
        "dimension": 16,
        "network_genres": len(PRESENT),
        "embeddings_of": proposal.present.fingerprint,
    }
    assert card.training["network"]["name"] == "tiny"
    with torch.inference_mode():
        windows = torch.from_numpy(spectrogram("tone", 1))
        assert torch.equal(model(windows)[1], tiny(windows)[1])


def test_names_next_to_the_library_are_free(proposal: Proposal) -> None:
    first = free_model_path(proposal.database)
    assert first == proposal.database.with_name("library.genres-1.safetensors")
    save_proposal(proposal, first)
    assert free_model_path(proposal.database).name == "library.genres-2.safetensors"


def test_a_break_in_the_middle_leaves_the_library_as_it_was(
    library: OwnLibrary, proposal: Proposal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PAGE", 10)
    out = tmp_path / "mine.safetensors"
    card = save_proposal(proposal, out)
    pages: list[int] = []

    def breaking(embeddings: np.ndarray) -> np.ndarray:
        pages.append(len(embeddings))
        if len(pages) == 3:
            raise KeyboardInterrupt
        return np.full((len(embeddings), 3), 1 / 3, np.float32)

    before = proposal.present.info()
    with Store.open(library.database) as store:
        revision = store.revision
        with pytest.raises(KeyboardInterrupt):
            store.change_head(card.info(), card.to_json(), out, breaking, before=before)
        assert pages == [10, 10, 10]
        info = store.model()
        assert info is not None
        assert info.identity == before.identity
        assert store.revision == revision
        assert store.counts()["analyses"] == 72


def test_a_model_that_was_changed_meanwhile_is_not_overruled(
    proposal: Proposal, tmp_path: Path
) -> None:
    again = propose(proposal.database, OwnGenreOptions(LabelOrigin.TAGS, seed=1))
    adopt(proposal, tmp_path / "mine.safetensors")
    with pytest.raises(StoreError, match="changed meanwhile"):
        adopt(again, tmp_path / "other.safetensors")


def test_the_model_in_use_is_not_overwritten(proposal: Proposal) -> None:
    assert proposal.trunk is not None
    before = proposal.trunk.read_bytes()
    with pytest.raises(ModelError, match="uses now"):
        save_proposal(proposal, proposal.trunk)
    assert proposal.trunk.read_bytes() == before


def test_a_library_that_is_being_written(proposal: Proposal, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    card = save_proposal(proposal, out)
    with LibraryLock(proposal.database), pytest.raises(LibraryBusyError):
        use_proposal(proposal, out, card)


def test_a_model_file_that_became_another_one(library: OwnLibrary) -> None:
    from recsys.classifier.training.architectures import save_model

    model, card = load_model(library.model)
    save_model(library.model, model, replace(card, temperature=2.0))
    with pytest.raises(ModelError, match="is another one now") as caught:
        propose(library.database, TAGS)
    assert "--reanalyse" in caught.value.hint


def test_an_empty_library(tmp_path: Path) -> None:
    Store.open(tmp_path / "library.db", create=True).close()
    with pytest.raises(QueryError, match="no tracks yet"):
        propose(tmp_path / "library.db", TAGS)
