"""Fixtures over the planted genres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import torch

from recsys.classifier.log_mel import MEL
from tests.classifier.planted_genres import LABELS, synthesise


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models run on one thread: several only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
