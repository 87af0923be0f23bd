"""The shipped model on real audio, where there is some."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from recsys.audio import decode
from recsys.classifier.checkpoint import load_card
from recsys.classifier.inference import Classifier
from recsys.cli.main import cli
from recsys.features import log_mel

REAL = Path(os.environ.get("RECSYS_REAL_DATA", "nowhere")).resolve()

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not (REAL / "gtzan").is_dir(), reason="RECSYS_REAL_DATA names no folder with gtzan/ in it"
    ),
]


@pytest.mark.skipif(
    not (REAL.parent / "splits").is_dir(), reason="no splits/ beside RECSYS_REAL_DATA"
)
def test_the_card_tells_the_truth() -> None:
    """Measuring again gives the accuracy that the card claims, to two tracks."""
    split = REAL.parent / "splits" / "valid_filtered.txt"
    words = ["evaluate", str(REAL / "gtzan"), "--split", str(split), "--json"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    claimed = load_card().metrics["valid_audio_files_only"]
    assert found["n"] == claimed["n"]
    assert found["accuracy"] == pytest.approx(claimed["accuracy"], abs=2.1 / found["n"])
    assert found["ece"] == pytest.approx(claimed["ece"], abs=0.03)


@pytest.mark.skipif(not (REAL / "formats").is_dir(), reason="no formats/ in RECSYS_REAL_DATA")
def test_encodings_of_one_song_lie_together() -> None:
    """Every encoding is heard alike, but for those that leave out half of the sound."""
    files = [
        path for path in sorted((REAL / "formats").iterdir()) if not path.name.startswith("mono-")
    ]
    classifier = Classifier.load(device="cpu")
    windows = [log_mel(decode(path).windows) for path in files]
    embeddings = np.stack([analysis.embedding for analysis in classifier.analyse(windows)])
    assert len(files) >= 10
    assert float((embeddings @ embeddings.T).min()) >= 0.97
