"""Tags are text: whatever they hold, terminals, tables and pages show one line of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from recsys import Library
from tests.cli.running import call
from tests.planted import PlantedLibrary, Sound, at_cosine

NORTH, EAST = np.eye(16, dtype=np.float32)[:2]

EVIL = (
    "Evil\n\r\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2066\x9b31m\x00<script>alert(1)</script>[bold]"
)
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evil")
    texts = {"artist": EVIL, "album": EVIL, "genre_tag": EVIL}
    sounds = [
        Sound("jazz", at_cosine(NORTH, EAST, 1 - i / 10), title=f"{EVIL} {i}", **texts)
        for i in range(4)
    ]
    sounds.append(Sound("jazz", at_cosine(NORTH, EAST, 0.5), title="x" * 5_000_000, artist="Long"))
    planted = PlantedLibrary(folder, sounds)
    planted.store.close()
    return folder / "library.db"


@pytest.mark.parametrize(
    "command",
    [
        ("similar", "id:1"),
        ("similar", "id:1", "--explain"),
        ("similar", "artist:evil"),
        ("similar", "evil"),  # ambiguous
        ("playlist", "id:1", "--format", "m3u8"),
        ("playlist", "id:1", "--format", "pls"),
        ("playlist", "id:1", "--format", "xspf"),
        ("playlist", "id:1", "--format", "json"),
        ("radio", "id:1", "--new"),
        ("list",),
        ("show", "1"),
        ("like", "id:1"),
        ("feedback", "list"),
    ],
)
def test_no_command_prints_control_characters(database: Path, command: tuple[str, ...]) -> None:
    result = call(*command, db=database)
    for text in (result.stdout, result.stderr):
        assert not CONTROL.search(text), repr(CONTROL.findall(text))
        assert len(text) < 40_000


@pytest.mark.parametrize("command", ["similar", "radio", "show"])
def test_json_keeps_the_text(database: Path, command: str) -> None:
    result = call(command, "id:1", "--json", db=database)
    (line,) = result.stdout.splitlines()
    assert line.isascii()
    assert EVIL in json.dumps(json.loads(line), ensure_ascii=False).encode().decode(
        "unicode_escape", "ignore"
    ) or any(value == EVIL for value in _values(json.loads(line)))


def _values(found: object) -> list[object]:
    if isinstance(found, dict):
        return [each for value in found.values() for each in _values(value)]
    if isinstance(found, list):
        return [each for value in found for each in _values(value)]
    return [found]


def test_a_row_is_a_line(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # narrower tables wrap their cells
    lines = call("list", db=database).stdout.splitlines()
    assert len(lines) == 1 + 5
    table = call("similar", "id:1", db=database).stdout
    assert len([line for line in table.splitlines() if "Evil [2J]0;" in line]) == 1 + 3


def test_notebooks_show_text_alone(database: Path) -> None:
    with Library(database) as library:
        page = library.similar("id:1")._repr_html_() + library.track(1)._repr_html_()
    assert "<script>" not in page
    assert not CONTROL.search(page)
