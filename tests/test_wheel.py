"""The wheel alone, in an empty environment, does the main job of the README."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and install it into an environment of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    constraints = ["-c", REPOSITORY / "constraints.txt"]
    pip = [sys.executable, "-m", "pip", "--quiet"]
    # From a copy: setuptools keeps every module that it ever copied to build/, so later wheels of
    # the checkout would hold modules that were renamed or removed.
    sources = folder / "sources"
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "demo-library")
    shutil.copytree(REPOSITORY, sources, symlinks=True, ignore=left_out)
    run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, sources, cwd=folder)
    (wheel,) = folder.glob("recsys-*.whl")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    home = folder / "venv" / "bin"
    run(home / "python", "-m", "pip", "--quiet", "install", *constraints, wheel, cwd=folder)
    return home


@pytest.fixture(scope="module")
def music(bin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "music"
    run(bin_folder / "python", "-m", "recsys.demo", folder, cwd=folder.parent)
    return folder


def run(*command: object, cwd: Path) -> str:
    """Run a command without anything of this environment, and return what it prints."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "RECSYS_"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_brings_nothing_heavy(bin_folder: Path) -> None:
    listed = json.loads(
        run(bin_folder / "python", "-m", "pip", "list", "--format", "json", cwd=bin_folder)
    )
    names = {package["name"].lower() for package in listed}
    assert {"recsys", "numpy", "faiss-cpu", "sqlite-utils"} <= names
    assert not names & {"torch", "librosa", "scikit-learn", "scipy", "pandas", "numba", "pydantic"}


def test_the_plugin_for_beets_is_in_its_namespace(bin_folder: Path) -> None:
    look = "import beetsplug; from importlib.util import find_spec as f; "
    look += "print(beetsplug.__file__, f('beetsplug.recsys').origin)"
    package, module = run(bin_folder / "python", "-c", look, cwd=bin_folder).split()
    assert package == "None"
    assert module.endswith("/site-packages/beetsplug/recsys.py")


@pytest.mark.parametrize("inside", [False, True], ids=["empty folder", "inside the checkout"])
def test_the_main_job(bin_folder: Path, music: Path, tmp_path: Path, inside: bool) -> None:
    cwd = REPOSITORY if inside else tmp_path
    recsys, db = bin_folder / "recsys", tmp_path / "library.db"
    *_, last = run(recsys, "index", music, "--db", db, "--json", cwd=cwd).splitlines()
    summary = json.loads(last)["summary"]
    assert summary["failed"] == 0
    assert summary["indexed"] == summary["found"] > 20
    answer = json.loads(run(recsys, "similar", "chamber no. 1", "--json", "--db", db, cwd=cwd))
    assert answer["results"]
    evening = tmp_path / "evening.m3u8"
    run(recsys, "playlist", "shuffle no. 2", "--length", "12", "--db", db, "-o", evening, cwd=cwd)
    assert evening.read_text(encoding="utf-8").count("#EXTINF") == 12


def test_what_needs_an_extra_names_it(bin_folder: Path, music: Path, tmp_path: Path) -> None:
    command = [bin_folder / "recsys", "train", music, "--out", tmp_path / "m.safetensors"]
    done = subprocess.run(
        [str(part) for part in command], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "[train]" in done.stderr
    assert "Traceback" not in done.stderr
