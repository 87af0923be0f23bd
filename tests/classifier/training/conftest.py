"""A made-up checkpoint, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.classifier.training.published_weights import (
    Variables,
    random_variables,
    write_checkpoint,
)


@pytest.fixture(scope="session")
def variables() -> Variables:
    return random_variables()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, variables: Variables) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "MSD_musicnn", variables)
