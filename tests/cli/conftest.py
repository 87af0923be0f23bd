"""A small library of synthetic music, indexed once with the shipped model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
from click.testing import Result

from recsys.demo import SAMPLE_RATE, STYLES, render
from tests.cli.running import call, lines_of
from tests.sounds import write

TRACKS_PER_STYLE = 2
DURATION_S = 7.0


@dataclass(frozen=True)
class IndexedLibrary:
    music: Path
    database: Path
    events: list[dict[str, Any]]

    def track(self, style: str, number: int = 0) -> Path:
        (path,) = (self.music / style).glob(f"{number}.*")
        return path


def make_music(folder: Path, per_style: int = TRACKS_PER_STYLE) -> Path:
    rng = np.random.default_rng(1)
    for position, (style_name, style) in enumerate(STYLES.items()):
        for number in range(per_style):
            suffix = (".flac", ".ogg", ".mp3")[(position + number) % 3]
            path = folder / style_name / f"{number}{suffix}"
            write(path, render(style, rng, DURATION_S), SAMPLE_RATE)
            file = mutagen.File(path, easy=True)
            if file.tags is None:
                file.add_tags()
            file["artist"], file["title"] = f"The {style_name} band", f"Number {number}"
            file.save()
    return folder


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> IndexedLibrary:
    folder = tmp_path_factory.mktemp("library")
    music = make_music(folder / "music")
    (music / "bad.mp3").write_bytes(b"no sound")
    database = folder / "library.db"
    result = call("index", music, "--db", database, "--json")
    return IndexedLibrary(music, database, lines_of(result, code=3))


@pytest.fixture
def run(indexed: IndexedLibrary) -> Callable[..., Result]:
    """Call a command on the indexed library."""
    return partial(call, db=indexed.database)
