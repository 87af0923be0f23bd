"""The shipped model on real audio, where there is some."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from recsys.audio import decode
from recsys.classifier.card import load_card
from recsys.classifier.inference import Classifier
from recsys.cli.main import cli

REAL = Path(os.environ.get("RECSYS_REAL_DATA", "nowhere")).resolve()

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not (REAL / "gtzan").is_dir(), reason="RECSYS_REAL_DATA names no folder with gtzan/ in it"
    ),
]


@pytest.mark.skipif(
    not (REAL.parent / "splits").is_dir(), reason="no splits/ next to RECSYS_REAL_DATA"
)
def test_training_tracks_are_classified_right_and_reported() -> None:
    """The card's figures are of held-out networks; what the shipped one learned it must beat."""
    split = REAL.parent / "splits" / "valid_filtered.txt"
    words = ["evaluate", str(REAL / "gtzan"), "--split", str(split), "--json"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["n"] == load_card().metrics["valid_clips"]["n"]
    assert found["accuracy"] >= load_card().metrics["valid_clips"]["interval"][1]
    assert "trained or selected on" in result.stderr
    assert CliRunner().invoke(cli, [*words, "--held-out"]).exit_code == 1


@pytest.mark.skipif(not (REAL / "formats").is_dir(), reason="no formats/ in RECSYS_REAL_DATA")
def test_encodings_of_one_song_lie_together() -> None:
    """All encodings have close embeddings, except those without half of the sound."""
    files = [
        path for path in sorted((REAL / "formats").iterdir()) if not path.name.startswith("mono-")
    ]
    classifier = Classifier.load(device="cpu")
    features = classifier.features
    windows = [features.compute(decode(path, features).windows) for path in files]
    embeddings = np.stack([analysis.embedding for analysis in classifier.analyse(windows)])
    assert len(files) >= 10
    assert float((embeddings @ embeddings.T).min()) >= 0.97
