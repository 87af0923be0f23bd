"""A whole run, with the shipped model, while something happens to its library."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from recsys import Library
from recsys.errors import StoreError
from recsys.index.sync import index_directory, index_is_current
from recsys.indexing import IndexOptions, IndexPlan
from recsys.store import Store
from recsys.types import IndexEvent
from tests.sounds import staircase, write


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for number in range(3):
        pitch = 1 + number / 5
        sound = staircase(2 * pitch, round(22_050 * pitch))
        write(tmp_path / "music" / f"{number}.flac", sound)
    return Library(tmp_path / "library.db")


def music(library: Library) -> Path:
    return library.database.parent / "music"


ONE = IndexOptions(workers=1)


@pytest.mark.parametrize("moment", [IndexPlan, IndexEvent])
def test_a_run_whose_database_is_deleted_has_no_summary(
    library: Library, moment: type[object]
) -> None:
    events = library.index_events(music(library), ONE)
    assert any(isinstance(event, moment) for event in events)  # up to the first one
    library.database.unlink()
    with pytest.raises(StoreError, match="was deleted or replaced") as caught:
        list(events)
    assert "run the command again" in caught.value.hint


def test_the_index_is_made_again_where_its_folder_is_removed(library: Library) -> None:
    library.index(music(library), ONE)
    write(music(library) / "new.flac", staircase(4))
    for event in library.index_events(music(library), ONE):
        if isinstance(event, IndexPlan):
            shutil.rmtree(index_directory(library.database))
    with Store.open(library.database, read_only=True) as store:
        assert index_is_current(store)
    assert len(library.similar(1, k=10).results) == 3


def test_the_journal_is_chosen(library: Library) -> None:
    library.index(music(library), IndexOptions(workers=1, journal="delete"))
    assert not library.database.with_name("library.db-wal").exists()
    with Store.open(library.database, read_only=True) as store:
        assert store.journal() == "delete"


def test_a_journal_that_fails_on_a_network_is_noted_once(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.index(music(library), ONE).notes == ()
    monkeypatch.setattr("recsys.store.store.network_file_system", lambda _: "nfs4")
    (note,) = library.index(music(library), ONE).notes
    assert "network file system (nfs4)" in note
    assert "recsys index --journal delete" in note


def test_a_damaged_analysis_is_mended(library: Library) -> None:
    library.index(music(library), ONE)
    with Store.open(library.database) as store:
        store._db.execute("UPDATE analyses SET embedding = zeroblob(8) WHERE rowid = 1")
        ((damaged, path),) = store.damaged_analyses()
    others = {1, 2, 3} - {damaged}
    shutil.rmtree(index_directory(library.database))
    answer = library.similar(min(others), k=10)
    assert {row.track.id for row in answer.results} == others - {min(others)}
    assert library.doctor().database_problems
    repaired = library.doctor(rebuild=True)
    assert repaired.repairs[0].startswith("deleted 1 damaged analyses")
    events = {
        os.fspath(event.path): event.status
        for event in library.index_events(None, ONE)
        if isinstance(event, IndexEvent)
    }
    assert events.pop(os.fspath(path)) == "indexed"
    assert {*events.values()} == {"unchanged"}
    assert not library.doctor().problems
