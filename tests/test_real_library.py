"""The real audio that RECSYS_REAL_DATA points at: every encoding, every damaged file."""

from __future__ import annotations

import json
import os
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from recsys.cli.main import cli
from recsys.store import Store

REAL_DATA = os.environ.get("RECSYS_REAL_DATA")

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not REAL_DATA, reason="RECSYS_REAL_DATA points at no real audio"),
]

DECODABLE_BAD = {"bitrot.flac", "truncated.mp3"}
LOW_RATE = {"mono-11k.wav", "mono-64k.mp3"}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    assert REAL_DATA is not None
    database = tmp_path_factory.mktemp("real") / "library.db"
    folders = [str(Path(REAL_DATA) / name) for name in ("formats", "bad", "library")]
    result = CliRunner().invoke(cli, ["index", *folders, "--db", str(database), "--json"])
    assert result.exit_code == 3
    return database, [json.loads(line) for line in result.stdout.splitlines()]


def by_folder(lines: list[dict[str, Any]], folder: str) -> dict[str, dict[str, Any]]:
    paths = ((Path(line["path"]), line) for line in lines if "path" in line)
    return {path.name: line for path, line in paths if path.parent.name == folder}


def test_every_encoding_is_indexed(real: tuple[Path, list[dict[str, Any]]]) -> None:
    formats = by_folder(real[1], "formats")
    assert len(formats) == 16
    assert {line["status"] for line in formats.values()} == {"indexed"}
    assert not any("warning" in line for line in formats.values())


def test_every_bad_file_has_its_reason_or_a_warning(
    real: tuple[Path, list[dict[str, Any]]],
) -> None:
    bad = by_folder(real[1], "bad")
    assert {name for name, line in bad.items() if line["status"] == "indexed"} == DECODABLE_BAD
    assert all("ends early or is damaged" in bad[name]["warning"] for name in DECODABLE_BAD)
    reasons = {name: line["reason"] for name, line in bad.items() if line["status"] == "failed"}
    assert "empty" in reasons["empty.flac"]
    assert "silent" in reasons["silence-10s.flac"]
    assert "too short" in reasons["tenth-of-a-second.wav"]
    assert "not numbers" in reasons["nan-samples.wav"]
    for name in ("text.mp3", "text-renamed.wav", "noise-bytes.ogg", "jazz.00054.wav"):
        assert "not an audio file" in reasons[name]


def test_encodings_of_one_song_sound_alike(real: tuple[Path, list[dict[str, Any]]]) -> None:
    with Store.open(real[0], read_only=True) as store:
        embeddings = {}
        for track in store.all_tracks():
            analysis = store.analysis(track.id)
            if analysis and track.path.parent.name == "formats" and track.path.name not in LOW_RATE:
                embeddings[track.path.name] = analysis.embedding
    cosines = {
        (a, b): float(np.dot(embeddings[a], embeddings[b])) for a, b in combinations(embeddings, 2)
    }
    assert len(cosines) == 14 * 13 / 2
    worst = min(cosines, key=cosines.__getitem__)
    assert cosines[worst] >= 0.97, worst


def test_songs_with_names_that_are_not_english(real: tuple[Path, list[dict[str, Any]]]) -> None:
    runner = CliRunner(env={"RECSYS_DB": str(real[0])})
    result = runner.invoke(cli, ["similar", "secularie nyme", "--json"])
    assert result.exit_code == 1  # a slip of the pen is no match
    result = runner.invoke(cli, ["similar", "seculaire nyme", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["query"]["title"] == "Séculaire feat. Nÿme"
