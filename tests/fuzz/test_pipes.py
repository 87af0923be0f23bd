"""A pipe without a writer is refused, not waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recsys.errors import GenreIndexError
from recsys.index.genre_index import MANIFEST, GenreIndex
from tests.cli.running import call, refused
from tests.sounds import staircase, write

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes"),
    pytest.mark.timeout(60),
]


@pytest.mark.parametrize(
    ("pipes", "command"),
    [
        (("a.db",), ("status", "--db", "a.db")),
        (("a.db",), ("index", "--db", "a.db", ".")),
        (("a.m3u8",), ("playlist", "--extend", "a.m3u8", "--length", "+3")),
        (("a.safetensors", "a.json"), ("classify", "--model", "a.safetensors", "a.wav")),
    ],
)
def test_a_pipe_is_refused(
    pipes: tuple[str, ...],
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in pipes:
        os.mkfifo(name)
    write(tmp_path / "a.wav", staircase(1.0))
    refused(call(*command, db=tmp_path / "none.db"), "it is not a regular file")


def test_a_pipe_in_place_of_the_index_is_damage(tmp_path: Path) -> None:

    os.mkfifo(tmp_path / MANIFEST)
    with pytest.raises(GenreIndexError, match="not a regular file"):
        GenreIndex.load(tmp_path)
