"""ONNX models on the command line: indexing, own genres over them, and libraries that never mix."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from recsys.classifier.card import load_card
from recsys.classifier.inference import Classifier
from recsys.errors import ModelError
from recsys.store import Store
from tests.classifier.small_onnx import FEATURES, LABELS, make_onnx, write_description
from tests.cli.genre_music import make_genres
from tests.cli.running import call, json_of
from tests.words.text_onnx import TABLE, make_text_onnx


@dataclass(frozen=True)
class AnalysedLibrary:
    music: Path
    database: Path
    model: Path

    def run(self, *words: object) -> Result:
        return call(*words, db=self.database)


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> AnalysedLibrary:
    """A library of two genres, analysed by a small ONNX model."""
    folder = tmp_path_factory.mktemp("onnx")
    music = make_genres(folder / "music", ("blues", "metal"), tracks=6, duration_s=1.0, artists=3)
    model = make_onnx(folder / "small.onnx")
    write_description(model)
    library = AnalysedLibrary(music, folder / "library.db", model)
    result = library.run("index", music, "--model", model, "--workers", 1)
    assert result.exit_code == 0, result.output
    return library


def statuses(result: Result) -> list[str]:
    lines: Sequence[dict[str, str]] = [json.loads(line) for line in result.stdout.splitlines()]
    return [line["status"] for line in lines if "status" in line]


def test_the_library_is_that_of_the_onnx_model(analysed: AnalysedLibrary) -> None:
    printed = json.loads(analysed.run("status", "--json").stdout)
    assert printed["model"]["fingerprint"] == load_card(analysed.model).fingerprint
    assert sum(printed["genres"].values()) == 12
    assert set(printed["genres"]) <= set(LABELS)


def test_the_next_run_knows_its_model(analysed: AnalysedLibrary) -> None:
    result = analysed.run("index", analysed.music, "--json")
    assert result.exit_code == 0, result.output
    assert set(statuses(result)) == {"unchanged"}


def test_similar_to_a_file_outside(analysed: AnalysedLibrary, tmp_path: Path) -> None:
    (path,) = make_genres(tmp_path, ("blues",), tracks=1, duration_s=1.0).glob("blues/*.flac")
    result = analysed.run("similar", path, "--json", "--k", 3)
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["results"]) == 3


def test_another_model_is_not_mixed_in(analysed: AnalysedLibrary, tmp_path: Path) -> None:
    other = make_onnx(tmp_path / "other.onnx")
    write_description(other, temperature=3.0)
    result = analysed.run("index", analysed.music, "--model", other)
    assert result.exit_code == 1
    assert "results of two models do not mix" in result.stderr
    assert "--reanalyse" in result.stderr


def test_own_genres_over_an_onnx_model(analysed: AnalysedLibrary, tmp_path: Path) -> None:
    """The head is ours, the embedding stays that of the ONNX file."""
    out = tmp_path / "own.safetensors"
    sizes = ("--min-tracks", 4, "--min-artists", 3)
    result = analysed.run("model", "own-genres", "--from-folders", *sizes, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["labels"] == ["blues", "metal"]
    assert printed["comparison"] is None  # calm, loud and odd are no words for these
    card = load_card(out)
    assert card.features == FEATURES
    classifier = Classifier.load(out, "auto")
    with Store.open(analysed.database, read_only=True) as store:
        stored = [store.analysis(track.id) for track in store.all_tracks()]
    windows = np.random.default_rng(0).standard_normal((2, *FEATURES.shape)).astype(np.float32)
    (analysis,) = classifier.analyse([windows])
    (before,) = Classifier.load(analysed.model).analyse([windows])
    np.testing.assert_allclose(analysis.embedding, before.embedding, atol=1e-6)
    assert analysis.probabilities.shape == (2,)
    assert all(row is not None and len(row.embedding) == card.dimension for row in stored)


def test_own_genres_need_the_onnx_file_as_it_was(analysed: AnalysedLibrary, tmp_path: Path) -> None:
    out = tmp_path / "own.safetensors"
    sizes = ("--min-tracks", 4, "--min-artists", 3)
    command = ("model", "own-genres", "--from-folders", *sizes, "--out", out, "--json")
    assert analysed.run(*command).exit_code == 0
    write_description(analysed.model, temperature=2.0)
    try:
        with pytest.raises(ModelError, match="has changed"):
            Classifier.load(out)
    finally:
        write_description(analysed.model)
    assert Classifier.load(out).info.labels == ("blues", "metal")


def test_words_go_to_the_text_model_of_the_onnx_model(analysed: AnalysedLibrary) -> None:
    """It lies in the space of the tracks: a word that is planted on a track finds that track."""
    with Store.open(analysed.database, read_only=True) as store:
        track = next(iter(store.all_tracks()))
        analysis = store.analysis(track.id)
    assert analysis is not None
    refused = analysed.run("similar", "--words", "dusty")
    assert "has no tags, and words need them" in refused.stderr
    assert "[text]" in refused.stderr
    make_text_onnx(analysed.model.parent, {"dusty": analysis.embedding})
    write_description(analysed.model, text=TABLE)
    try:
        answer = json_of(analysed.run("similar", "--words", "dusty jazz", "--k", 3, "--json"))
        shown = analysed.run("similar", "--words", "dusty, no zither", "--k", 3)
        listed = analysed.run("playlist", "--words", "dusty", "--length", 2, "--format", "paths")
    finally:
        write_description(analysed.model)
    first = answer["results"][0]
    assert first["path"] == str(track.path)
    assert first["score"] == first["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert answer["query"]["words"]["text_model"] == "small"
    assert shown.exit_code == 1  # the words are known to nobody
    assert "a vector of length 0.0 for 'zither'" in shown.stderr
    assert listed.stdout.splitlines()[0] == str(track.path)
    assert "read as: dusty (by the text model of small)" in listed.stderr


def test_a_missing_description_is_reported_before_anything_is_read(
    analysed: AnalysedLibrary, tmp_path: Path
) -> None:
    model = make_onnx(tmp_path / "bare.onnx")
    for words in (["classify", next(analysed.music.rglob("*.flac"))], ["index", analysed.music]):
        result = analysed.run(*words, "--model", model)
        assert result.exit_code == 1
        assert "bare.toml of the ONNX model cannot be read" in result.stderr
