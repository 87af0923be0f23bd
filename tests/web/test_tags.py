"""Genre tags that are corrected from the page, and brought back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mutagen
import pytest
from starlette.testclient import TestClient

from recsys.api import Library
from recsys.store.connection import LibraryLock
from recsys.web import retagging
from tests.sounds import staircase, write
from tests.web.conftest import API, Indexed, Serving, get, post


@pytest.fixture
def flac(copied: Indexed) -> tuple[int, Path]:
    """Id and file of a track whose file may be changed."""
    with Library(copied.database) as library:
        return next((t.id, t.path) for t in library.tracks() if t.path.suffix == ".flac")


@pytest.fixture
def client(copied: Indexed, serving: Serving) -> TestClient:
    return serving(copied.database)


def genre_of(path: Path) -> Any:
    return mutagen.File(path).tags.get("genre")


def test_a_genre_is_corrected_shown_and_brought_back(
    client: TestClient, flac: tuple[int, Path]
) -> None:
    track, path = flac
    written = post(client, f"tracks/{track}/genre", {"genre": " Jazz "})
    assert written == {
        "run": 1,
        "path": str(path),
        "status": "written",
        "genre": ["Jazz"],
        "reason": None,
    }
    assert genre_of(path) == ["Jazz"]
    assert get(client, f"tracks/{track}")["genre_tag"] == "Jazz"
    again = post(client, f"tracks/{track}/genre", {"genre": "Jazz"})
    assert (again["status"], again["run"]) == ("unchanged", None)
    post(client, f"tracks/{track}/genre", {"genre": "Cool Jazz"})
    change = {"path": str(path), "old": ["Jazz"], "new": ["Cool Jazz"]}
    assert get(client, "tags/undo")["changes"] == [change]
    assert get(client, "tags/undo", run=1)["changes"][0]["old"] is None
    for genre, run in ((["Jazz"], 2), (None, 1)):
        undone = post(client, "tags/undo")
        assert (undone["run"], undone["outcomes"][0]["genre"]) == (run, genre)
        assert genre_of(path) == genre
    assert get(client, f"tracks/{track}")["genre_tag"] is None
    assert post(client, "tags/undo", code=404)["hint"]
    assert get(client, "tags/undo", 404)["code"] == "not_found"


@pytest.mark.parametrize("genre", ["", "  ", "unknown", "a\nb", "\0", "\x1b[31m", "x" * 201, 3])
def test_what_is_no_genre_is_refused(
    client: TestClient, flac: tuple[int, Path], genre: object
) -> None:
    before = flac[1].read_bytes()
    assert post(client, f"tracks/{flac[0]}/genre", {"genre": genre}, 400)["detail"]
    assert flac[1].read_bytes() == before


def test_files_that_cannot_be_written_say_why(
    client: TestClient, copied: Indexed, flac: tuple[int, Path]
) -> None:
    track, path = flac
    body = {"genre": "Jazz"}
    path.chmod(0o444)
    read_only = post(client, f"tracks/{track}/genre", body, 422)
    assert read_only["code"] == "unwritable"
    assert "read-only" in read_only["detail"]
    path.chmod(0o644)
    with LibraryLock(copied.database):
        busy = client.post(f"{API}/tracks/{track}/genre", json=body)
    assert (busy.status_code, busy.json()["code"]) == (409, "busy")
    assert busy.headers["retry-after"]
    path.write_bytes(path.read_bytes() + b"\0")
    changed = post(client, f"tracks/{track}/genre", body, 422)
    assert "has changed" in changed["detail"]
    assert "recsys index" in changed["hint"]
    path.unlink()
    assert post(client, f"tracks/{track}/genre", body, 410)["code"] == "gone"
    assert post(client, "tracks/999/genre", body, 404)["code"] == "not_found"
    get(client, "tags/undo", 404)


def test_a_format_without_tags_says_so(serving: Serving, tmp_path: Path) -> None:
    path = write(tmp_path / "music" / "a.au", staircase(8))
    database = tmp_path / "library.db"
    with Library(database) as library:
        library.index([path.parent])
    before = path.read_bytes()
    found = post(serving(database), "tracks/1/genre", {"genre": "Jazz"}, 422)
    assert "no tags that can be written" in found["detail"]
    assert path.read_bytes() == before


def test_a_tag_that_cannot_be_brought_back_stays_to_be_undone(
    client: TestClient, flac: tuple[int, Path], tmp_path: Path
) -> None:
    track, path = flac
    post(client, f"tracks/{track}/genre", {"genre": "Jazz"})
    moved = shutil.move(path, tmp_path / "elsewhere.flac")
    assert "is gone" in post(client, "tags/undo", code=422)["detail"]
    path.symlink_to(moved)
    assert "leads out" in post(client, "tags/undo", code=410)["detail"]
    assert genre_of(moved) == ["Jazz"]
    path.unlink()
    shutil.move(moved, path)
    assert post(client, "tags/undo", {"run": 1})["outcomes"][0]["status"] == "restored"


def test_a_run_of_many_files_is_left_to_the_command(
    client: TestClient, flac: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    post(client, f"tracks/{flac[0]}/genre", {"genre": "Jazz"})
    monkeypatch.setattr(retagging, "MOST_UNDONE", 0)
    assert "recsys audit --undo 1" in post(client, "tags/undo", code=409)["hint"]
    assert genre_of(flac[1]) == ["Jazz"]
