"""The head that comes with the model tells speech, noise and music apart."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from recsys import Library
from recsys.demo import SAMPLE_RATE, STYLES, render
from recsys.types import Kind
from tests.sounds import noise, write

DATA = Path(__file__).parents[2] / "data"
HEAD = json.loads((DATA / "kind-head.json").read_text(encoding="utf-8"))
TEXT = (
    "The library is a folder of music. Nothing in it is changed by this program, which reads every "
    "file once and remembers what it found. Then it answers questions about the tracks. "
)


def test_the_head_is_of_the_shipped_network() -> None:
    card = json.loads((DATA / "genre-model.json").read_text(encoding="utf-8"))
    assert HEAD["model"] == card["fingerprint"]
    assert HEAD["tag_means"] == card["tag_means"]
    width = card["dimension"] + len(card["tag_means"])
    assert {kind: len(row) for kind, row in HEAD["weights"].items()} == dict.fromkeys(Kind, width)


def test_its_figures_are_those_that_are_claimed() -> None:
    for name, (music, speech, other) in HEAD["measured"].items():
        if name.startswith("music: ") and "sung" not in name:
            assert speech + other <= 0.01 * (music + speech + other) + 1
        if name.startswith("speech: prompts"):
            assert speech >= 0.95 * (music + speech + other)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_a_voice_is_speech(tmp_path: Path) -> None:
    for voice in ("en-us+f3", "de+m3"):
        path = tmp_path / f"{voice}.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-w", path, 3 * TEXT], check=True)
        (result,) = Library(tmp_path / "none.db").classify(path)
        assert result.kind == Kind.SPEECH


def test_noise_is_no_music_and_music_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sounds = {"noise": noise(10.0), "hum": np.sin(np.arange(220_500) * 2 * np.pi * 50 / 22_050)}
    sounds["quiet"] = noise(10.0, seed=1) / 300
    for name, sound in sounds.items():
        write(tmp_path / f"{name}.wav", sound.astype(np.float32))
    for name, style in STYLES.items():
        write(tmp_path / f"{name}.flac", render(style, rng, 10.0), SAMPLE_RATE)
    found = {r.path.stem: r.kind for r in Library(tmp_path / "none.db").classify(tmp_path)}
    # A pure tone may pass for music: the threshold spares synthesisers.
    assert found.pop("hum") is not Kind.SPEECH
    del sounds["hum"]
    assert found == {
        **dict.fromkeys(sounds, Kind.OTHER),
        **dict.fromkeys(STYLES, Kind.MUSIC),
    }
