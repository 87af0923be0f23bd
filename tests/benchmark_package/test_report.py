from __future__ import annotations

import json
from pathlib import Path

import pytest

from recsys.benchmark.report import as_json, surroundings, write_report
from recsys.benchmark.results import Figure, Peer, Table
from recsys.errors import RecsysError

LISTENING = Table(
    "Listening to 5 files: mp3",
    (Figure("--effort balanced", 8.0, "tracks/s", 3, 7.5, 8.5, higher_is_better=True),),
    (Peer("bliss, two processes", Figure("bliss", 1.0, "tracks/s", higher_is_better=True), 8.0),),
)
SEARCH = [
    Table(f"Search, {size:,} tracks", (Figure("similar, p50", value, "ms"),))
    for size, value in ((1_000, 0.9), (10_000, 1.1))
]


def test_json_holds_every_table_whole() -> None:
    found = json.loads(json.dumps(as_json(surroundings(), [LISTENING, *SEARCH])))
    assert [Table.from_json(fields) for fields in found["tables"]] == [LISTENING, *SEARCH]
    assert found["surroundings"]["processors"] >= 1
    assert "torch" in found["surroundings"]["versions"]


def test_pictures_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    names = [path.name for path in write_report(tmp_path / "new", surroundings(), [LISTENING])]
    assert names == ["benchmark.json", "listening.png"]
    files = write_report(tmp_path, surroundings(), [LISTENING, *SEARCH])
    assert [path.name for path in files] == ["benchmark.json", "listening.png", "search.png"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in files[1:])


def test_one_size_alone_makes_no_curve(tmp_path: Path) -> None:
    files = write_report(tmp_path, surroundings(), SEARCH[:1])
    assert [path.name for path in files] == ["benchmark.json"]


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecsysError, match="file/out cannot be written to"):
        write_report(tmp_path / "file" / "out", surroundings(), SEARCH)
