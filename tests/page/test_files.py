"""What the page is made of: small, and nothing that its policy forbids."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

import recsys.web

STATIC = Path(str(recsys.web.__file__)).parent / "static"
SCRIPTS = sorted(STATIC.rglob("*.js"))
OURS = [path for path in SCRIPTS if "vendor" not in path.parts]
CAMERA = STATIC / "vendor" / "face-api.js"  # loaded when the camera is opened, and else never
EAGER = [path for path in SCRIPTS if path != CAMERA]
MOST_BYTES = 250_000  # of script, compressed
MOST_FOR_CAMERA = 900_000  # with the weights


def test_scripts_are_small() -> None:
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in EAGER}
    assert len(sizes) > 20
    assert sum(sizes.values()) < MOST_BYTES, sizes
    for_camera = [CAMERA, *(STATIC / "vendor" / "face").iterdir()]
    assert sum(len(gzip.compress(path.read_bytes())) for path in for_camera) < MOST_FOR_CAMERA


def test_what_reads_faces_is_loaded_with_the_camera_alone() -> None:
    importing = [path.name for path in OURS if CAMERA.name in path.read_text("utf-8")]
    assert importing == ["face.js"]
    code = (STATIC / "js" / "face.js").read_text("utf-8")
    assert not re.search(rf"^import.*{CAMERA.name}", code, re.MULTILINE)


# face-api brings a backend of WebAssembly that starts workers from text. The page does not choose
# it, and the policy would forbid it: tests in the browser see that nothing is refused.
@pytest.mark.parametrize("path", EAGER, ids=lambda path: path.name)
def test_no_script_makes_code_of_text(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\beval\(|new Function\(|Function\.apply|importScripts", text)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_text_never_becomes_markup(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text)


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in [*OURS, *STATIC.rglob("*.css"), STATIC / "index.html"]:
        addresses = re.findall(r"https?://[^\s\"'`)]+", path.read_text("utf-8"))
        assert not addresses, path


def test_the_page_has_no_inline_code() -> None:
    page = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page)


def test_every_module_that_is_imported_is_there() -> None:
    for path in SCRIPTS:
        for name in re.findall(r"from\s*\"(\.[^\"]+)\"", path.read_text("utf-8")):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"


def test_every_text_is_used() -> None:
    """A text that no screen shows would be translated for nothing."""
    texts = (STATIC / "js" / "texts.js").read_text("utf-8")
    code = "\n".join(path.read_text("utf-8") for path in OURS if path.name != "texts.js")
    groups = {"sorts", "numbers", "kinds", "courses", "buttons", "nav", "rule"}
    inside = ""
    for line in texts.splitlines():
        if opened := re.match(r"\s*(\w+): \{$", line):
            inside = opened[1]
        elif (named := re.match(r"\s+(\w+):", line)) and inside not in groups:
            assert re.search(rf"\b{named[1]}\b", code), f"{inside}.{named[1]}"


def test_licences_of_the_libraries_go_with_them() -> None:
    licences = (STATIC / "vendor" / "LICENCES.txt").read_text("utf-8")
    for path in (STATIC / "vendor").glob("*.js"):
        name = path.read_text("utf-8").split(",")[0].removeprefix("/* ")
        assert re.fullmatch(r"\S+ [\d.]+", name)
        assert name in licences
