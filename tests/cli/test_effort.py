"""``--effort``: windows per track, which a library never mixes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.audio import decode
from recsys.classifier.card import ModelCard, load_card
from recsys.classifier.inference import Classifier
from recsys.demo import make_library
from recsys.mel import DEFAULT_EFFORT, EFFORTS, at_effort
from recsys.store import Store
from tests.cli.running import call


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of four tracks of 31 s, analysed as by default."""
    folder = tmp_path_factory.mktemp("effort")
    for style in ("chamber", "overdrive"):
        make_library(folder / "music" / style, styles=(style,), per_style=2, duration_s=31)
    assert call("index", folder / "music", "--db", folder / "library.db").exit_code == 0
    return folder


@pytest.fixture
def copied(analysed: Path, tmp_path: Path) -> Path:
    for file in analysed.glob("library.db*"):
        (shutil.copytree if file.is_dir() else shutil.copy)(file, tmp_path / file.name)
    return tmp_path / "library.db"


def test_a_new_library_is_analysed_with_the_default(analysed: Path) -> None:
    status = json.loads(call("status", "--json", "--db", analysed / "library.db").stdout)
    assert status["effort"] == DEFAULT_EFFORT == "balanced"
    assert status["model"]["fingerprint"] == load_card().fingerprint


@pytest.mark.parametrize("effort", EFFORTS)
def test_an_effort_stores_the_analysis_of_so_many_windows(
    analysed: Path, tmp_path: Path, effort: str
) -> None:
    database = tmp_path / "library.db"
    assert call("index", analysed / "music", "--db", database, "--effort", effort).exit_code == 0
    classifier = Classifier.load(device="cpu")
    windows = {"fast": 3, "balanced": 6, "full": 10}[effort]
    features = replace(classifier.features, max_windows=windows)
    with Store.open(database, read_only=True) as store:
        for track in store.all_tracks():
            waveform = decode(track.path, features)
            assert len(waveform.windows) == windows
            expected = classifier.analyse([features.compute(waveform.windows)])[0]
            stored = store.analysis(track.id)
            assert stored is not None
            # Stored after windows went through half precision on their way.
            np.testing.assert_allclose(stored.embedding, expected.embedding, atol=5e-3)


def test_another_effort_needs_reanalysis(analysed: Path, copied: Path) -> None:
    music = analysed / "music"
    refused = call("index", music, "--db", copied, "--effort", "full")
    assert refused.exit_code == 1
    assert "was analysed with effort balanced, not full" in refused.stderr
    assert f"recsys index --reanalyse --effort full {music}" in refused.stderr
    again = call("index", music, "--db", copied, "--effort", "full", "--reanalyse", "--json")
    assert json.loads(again.stdout.splitlines()[-1])["summary"]["indexed"] == 4
    # From then on it is the library's own, and need not be said.
    later = call("index", music, "--db", copied, "--json")
    assert json.loads(later.stdout.splitlines()[-1])["summary"]["unchanged"] == 4
    assert json.loads(call("status", "--json", "--db", copied).stdout)["effort"] == "full"


def test_files_outside_are_analysed_as_the_library_was(analysed: Path, copied: Path) -> None:
    """The very sound of a track, under another name, is the same to the last digit but rounding."""
    with Store.open(copied, read_only=True) as store:
        track = next(store.all_tracks())
    outside = copied.parent / f"outside{track.path.suffix}"
    shutil.copy(track.path, outside)
    found = call("similar", outside, "--db", copied, "--json", "--k", 3, "--show-duplicates")
    assert found.exit_code == 0, found.output
    best = json.loads(found.stdout)["results"][0]
    assert best["path"] == str(track.path)
    assert best["similarity"] > 0.9999


@pytest.mark.extra
def test_own_genres_keep_the_effort(analysed: Path, copied: Path, tmp_path: Path) -> None:
    learned = call(
        *("model", "own-genres", "--from-folders", "--db", copied, "--yes", "--min-tracks", 2),
        *("--min-artists", 2, "--out", tmp_path / "own.safetensors"),
    )
    assert learned.exit_code == 0, learned.output
    assert json.loads(call("status", "--json", "--db", copied).stdout)["effort"] == "balanced"
    added = tmp_path / "music"
    make_library(added, styles=("shuffle",), per_style=1, duration_s=31)
    result = call("index", added, "--db", copied)
    assert result.exit_code == 0, result.output
    outside = next(path for path in (analysed / "music").rglob("*") if path.is_file())
    assert call("similar", outside, "--db", copied).exit_code == 0


def test_a_card_knows_its_effort_also_after_json() -> None:
    card = load_card()
    fast = card.at_effort("fast")
    assert (fast.features.max_windows, fast.effort) == (3, "fast")
    assert card.at_effort("full") is card
    assert card.effort == "full"
    assert fast.info().identity == (card.fingerprint, "fast") != card.info().identity
    assert ModelCard.from_json(fast.to_json()) == fast
    short = replace(card.features, max_windows=2)
    assert at_effort(short, "fast") is short
    brief = replace(card, features=short)
    assert brief.at_effort("fast") is brief
