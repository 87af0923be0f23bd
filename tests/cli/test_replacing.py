"""Every command that writes a file leaves what is not of its kind as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recsys import atomic
from recsys.classifier.card import DEFAULT_MODEL, card_path, check_model_path
from recsys.errors import QueryError
from recsys.reports.drawing import write_file
from tests.playlists.test_safe_files import OGG

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

SONG = OGG


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (("playlist", "--length", "2", "--format", "m3u8", "-o"), "song.ogg"),
        (("playlist", "--length", "2", "-o"), "song.m3u8"),
        (("playlist", "--length", "2", "-o"), "song.json"),
        (("export", "--force"), "song.csv"),
        (("export", "--force"), "song.npz"),
        (("feedback", "export", "-o"), "song.ogg"),
        (("quality", "--report"), "song.html"),
    ],
)
def test_a_song_is_not_replaced(
    run: Callable[..., Result],
    tmp_path: Path,
    call: tuple[str, ...],
    name: str,
) -> None:
    song = tmp_path / name
    song.write_bytes(SONG)
    result = run(*call, song)
    assert result.exit_code != 0
    assert "it was left as it is" in result.stderr, result.stderr
    assert song.read_bytes() == SONG
    assert list(tmp_path.iterdir()) == [song]


@pytest.mark.parametrize("name", ["out.csv", "out.npz"])
def test_an_export_replaces_an_export(
    run: Callable[..., Result],
    tmp_path: Path,
    name: str,
) -> None:
    out = tmp_path / name
    assert run("export", out).exit_code == 0
    assert run("export", out).exit_code != 0
    assert run("export", out, "--force").exit_code == 0


def test_an_export_replaces_no_other_arrays(run: Callable[..., Result], tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    np.savez(out, weights=np.zeros(3))
    mine = out.read_bytes()
    assert "it was left as it is" in run("export", out, "--force").stderr
    assert out.read_bytes() == mine


def test_feedback_replaces_feedback(run: Callable[..., Result], tmp_path: Path) -> None:
    out = tmp_path / "events"
    event = '{"time": "2026-01-01T00:00:00Z", "kind": "like", "subject": "track", "key": "v2ab"}\n'
    out.write_text(event * 2)
    assert run("feedback", "export", "-o", out).exit_code == 0


@pytest.mark.parametrize(
    "there",
    [
        '{\n  "apiVersion": "v1",\n  "kind": "Pod"\n}\n',
        '{"apiVersion": "v1", "kind": "Pod"}\n',
        'the "kind": of thing\n',
        "[" * 100_000,
    ],
)
def test_feedback_replaces_nothing_else_with_a_kind(
    run: Callable[..., Result], tmp_path: Path, there: str
) -> None:
    out = tmp_path / "pod.json"
    out.write_text(there)
    result = run("feedback", "export", "-o", out)
    assert result.exit_code != 0
    assert "not an export of events: it was left as it is" in result.stderr
    assert out.read_text() == there


def test_a_model_replaces_a_model_only(tmp_path: Path) -> None:
    model, card = tmp_path / "m.safetensors", tmp_path / "m.json"
    check_model_path(model)
    model.write_bytes(b"\x10\0\0\0\0\0\0\0" + b'{"w":{"dtype":1}')
    with pytest.raises(QueryError, match=r"not a model in safetensors with its card m\.json"):
        check_model_path(model)  # of another program
    card.write_text('{"volume": 3}')
    with pytest.raises(QueryError, match=r"m\.json is there already and is not a model card"):
        check_model_path(model)
    card.write_bytes(card_path(DEFAULT_MODEL).read_bytes())
    check_model_path(model)
    model.write_bytes(SONG)
    with pytest.raises(QueryError, match="not a model in safetensors"):
        check_model_path(model)


@pytest.mark.parametrize(
    ("name", "before", "after", "alike"),
    [
        ("index.html", "<!doctype html>\n<p>my own site", "<!doctype html>\n<p>report", False),
        ("r.json", '{"theme": "dark"}', '{"model": 1}', False),
        ("r.json", '{"model": 2}', '{\n  "model": 1\n}', True),
        ("r.csv", "genre,recall\nx,1\n", "genre,recall\n", True),
        ("r.csv", "date,sum\n", "genre,recall\n", False),
        ("r.png", "\x89PNG\r\n\x1a\n\0", "\x89PNG\r\n\x1a\n\0\0", True),
        ("r.png", "GIF89a\0", "\x89PNG\r\n\x1a\n\0", False),
    ],
)
def test_a_report_replaces_one_that_begins_alike(
    tmp_path: Path, name: str, before: str, after: str, *, alike: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(before.encode("latin-1"))
    if alike:
        write_file(path, after.encode("latin-1"))
        assert path.read_bytes() == after.encode("latin-1")
    else:
        with pytest.raises(QueryError, match="it was left as it is"):
            write_file(path, after.encode("latin-1"))
        assert path.read_bytes() == before.encode("latin-1")


def test_the_pages_of_recsys_have_its_mark(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    page = Path(atomic.__file__).parent / "reports" / "page.html"
    path = tmp_path / "index.html"
    path.write_bytes(page.read_bytes())
    write_file(path, "<!doctype html>\nnew")
    assert path.read_text() == "<!doctype html>\nnew"
