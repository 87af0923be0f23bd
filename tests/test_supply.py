"""What is installed is pinned, hashed and named with its licence."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.conftest import EXTRAS, is_installed
from tests.third_party import PAGE, pinned, render, sections

ROOT = Path(__file__).parents[1]
LOCKS = ("core", "check")
ON_WINDOWS = {"colorama", "tzdata"}
"""Packages that are installed there alone."""


def locked(name: str) -> dict[str, str]:
    """Return the versions in a file of requirements/ by canonical name."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==([\w.+!-]+)", text, re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


@pytest.mark.parametrize("name", LOCKS)
def test_hashed_versions_are_those_of_the_constraints(name: str) -> None:
    versions = pinned()
    # Windows alone needs colorama, of which any version will do.
    differing = {p for p, version in locked(name).items() if versions.get(p) != version}
    assert differing <= ON_WINDOWS


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_has_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_core_is_hashed_whole() -> None:
    """What recsys itself needs, with what that needs: all that `sections` finds for the core."""
    names = {canonicalize_name(name) for name, _, _ in sections()[""]}
    assert names <= set(locked("core"))
    assert set(locked("core")) <= set(locked("check"))


def test_licences_are_those_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for rows in sections().values():
        for name, version, licence in rows:
            assert f"| {name} | {version} | {licence} |" in page


def test_the_page_names_everything_that_is_pinned() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = {
        canonicalize_name(name) for name in re.findall(r"^\| ([\w.-]+) \|", page, re.MULTILINE)
    }
    assert set(pinned()) - named <= ON_WINDOWS


@pytest.mark.extra
@pytest.mark.skipif(not all(map(is_installed, EXTRAS)), reason="needs all extras")
def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


def test_what_is_installed_gets_into_the_image() -> None:
    let_in = set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {name.partition(".")[0] for name in project["tool"]["setuptools"]["packages"]}
    links = {path.resolve().name for path in (ROOT / "recsys").iterdir() if path.is_symlink()}
    files = {"pyproject.toml", "constraints.txt", "README.md", *project["project"]["license-files"]}
    assert let_in >= {f"!{name}" for name in folders | links | files}
