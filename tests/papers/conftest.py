"""Music that is never decoded, and runs over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recsys.papers import measure as measuring
from recsys.papers import reproduce
from recsys.papers.data import RecipeData
from recsys.papers.recipe import Recipe
from recsys.papers.reproduce import ReproduceOptions
from tests.papers.small_recipes import LABELS, planted


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Genre folders whose files are never opened."""
    root = tmp_path / "music"
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in range(8):
            (root / label / f"{label}.{number}.wav").write_bytes(b"sound")
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was decoded: recipe and number of files. Planted data is returned for it."""
    calls: list[tuple[str, int]] = []

    def load(own: Recipe, files: Any, **_: object) -> RecipeData:
        calls.append((own.name, len(files)))
        return RecipeData(planted(own.features.shape), (), ())

    monkeypatch.setattr(reproduce, "load_music", load)
    return calls


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every fit that was begun, by the name of its recipe."""
    calls: list[str] = []
    original = measuring.fit

    def counted(own: Recipe, *args: Any) -> Any:
        calls.append(own.name)
        return original(own, *args)

    monkeypatch.setattr(measuring, "fit", counted)
    return calls


@pytest.fixture
def options(tmp_path: Path, music: Path) -> ReproduceOptions:
    return ReproduceOptions(tmp_path / "out", (music,), folds=2)
