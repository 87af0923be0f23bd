"""Fixtures over the planted genres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import torch

from recsys.classifier.log_mel import MEL
from recsys.classifier.training.datasets import Example, ValidTrack, quantise
from tests.classifier.planted_genres import LABELS, picture, synthesise


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models run on one thread: several only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    """Six tracks of each planted genre."""
    return [
        Example(f"{genre}/{seed}", genre, (quantise(picture(genre, seed)),))
        for genre in LABELS
        for seed in range(6)
    ]


@pytest.fixture(scope="session")
def valid() -> list[ValidTrack]:
    """Four other tracks of each planted genre."""
    return [
        ValidTrack(f"{genre}/{seed}", genre, picture(genre, seed))
        for genre in LABELS
        for seed in range(100, 104)
    ]


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of genre folders with four short files each."""
    root = tmp_path_factory.mktemp("music")
    for genre in LABELS:
        (root / genre).mkdir()
        for seed in range(4):
            sound = synthesise(genre, 200 + seed, seconds=3.2)
            soundfile.write(root / genre / f"{genre}.{seed:02d}.wav", sound, MEL.sample_rate)
    return root
