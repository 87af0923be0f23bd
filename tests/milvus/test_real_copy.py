"""Real music of every encoding, on Milvus as at home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recsys.api import Library
from recsys.index.sync import open_index
from recsys.indexing import IndexOptions
from tests.milvus.shared_libraries import answers, open_at

REAL_DATA = os.environ.get("RECSYS_REAL_DATA")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.real_data,
    pytest.mark.skipif(not REAL_DATA, reason="RECSYS_REAL_DATA points at no real audio"),
]


def test_real_music_gets_the_answers_that_it_gets_at_home(tmp_path: Path) -> None:
    folders = [Path(REAL_DATA or "") / name for name in ("formats", "library", "bad")]
    database, place = tmp_path / "library.db", tmp_path / "shared.db"
    with Library(database, effort="fast") as library:
        library.index(folders, IndexOptions(workers=1))
        assert library.push(place).tracks == library.status().tracks
        tracks = list(library.store.all_tracks())
        seeds = [track.id for track in tracks]
        ours = list(answers(library.store, open_index(library.store), seeds))
    shared = open_at(place)
    assert list(answers(shared, shared.index, seeds)) == ours
    assert [shared.track_by_path(track.path) for track in tracks] == tracks
    shared.close()
    with Library(index=place) as reader, Library(database) as home:
        new = tmp_path / "new.mp3"
        new.write_bytes(next((folders[1]).glob("*.mp3")).read_bytes()[:-100_000])
        assert reader.similar(new).results == home.similar(new).results
